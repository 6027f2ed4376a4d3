import type { SeededRandom } from './random.ts'
import type { Scheduler } from './scheduler.ts'

/** What both kernels together hold of one direction; more stays with the sender. */
const WINDOW_BYTES = 256 * 1024

/** How a link behaves. Times are one way. */
export interface LinkOptions {
  readonly delayMs: { readonly min: number; readonly max: number }
  /** 'seeded' splits and joins chunks anywhere; 'whole' delivers all that has arrived. */
  readonly chunks: 'seeded' | 'whole'
}

export interface PipeEnds {
  /** Whether the receiver takes bytes now. */
  readonly canDeliver: () => boolean
  readonly deliver: (chunk: Uint8Array) => void
  /** The sender's last byte was delivered. */
  readonly deliverEnd: () => void
  readonly deliverReset: () => void
  /** Bytes reached a receiver that has closed, and it said so. */
  readonly refused: () => void
  /** All that was pushed has left. */
  readonly drained: () => void
  /** The end mark has left. */
  readonly finished: () => void
  /** A partition holds everything back. */
  readonly isHeld: () => boolean
}

interface Unsent {
  readonly bytes: Uint8Array
  done: number
  readonly onWritten: (() => void) | undefined
}

/**
 * One direction of a connection. Bytes wait with the sender (`unsentBytes`), then in the window, then they are delivered: in order, split
 * and delayed by the seed. They are copied when they enter the window, not when pushed: a buffer reused too early shows as corruption.
 */
export class Pipe {
  readonly #scheduler: Scheduler
  readonly #random: SeededRandom
  readonly #link: LinkOptions
  readonly #ends: PipeEnds
  readonly #unsent: Unsent[] = []
  #unsentBytes = 0
  #window: Uint8Array[] = []
  #windowBytes = 0
  #taking = false
  #delivering = false
  #ending = false
  #finished = false
  #delivered = false
  #receiverGone = false
  #resetting = false

  constructor(scheduler: Scheduler, random: SeededRandom, link: LinkOptions, ends: PipeEnds) {
    this.#scheduler = scheduler
    this.#random = random
    this.#link = link
    this.#ends = ends
  }

  get unsentBytes(): number {
    return this.#unsentBytes
  }

  get isFinished(): boolean {
    return this.#finished
  }

  get isDelivered(): boolean {
    return this.#delivered
  }

  get hasUndelivered(): boolean {
    return this.#windowBytes > 0
  }

  push(bytes: Uint8Array, onWritten: (() => void) | undefined): void {
    this.#unsent.push({ bytes, done: 0, onWritten })
    this.#unsentBytes += bytes.length
    this.#planTake()
  }

  finish(): void {
    this.#ending = true
    this.#planTake()
  }

  /** Something may flow again: the receiver reads, a partition has healed. */
  kick(): void {
    this.#planTake()
    this.#planDeliver()
  }

  /** The sender closed. What it had pushed is dropped; what left already still arrives, then the end, or a reset at once. */
  senderGone(withReset: boolean): void {
    this.#drop()
    if (this.#receiverGone || this.#delivered) return
    if (withReset) return this.#reset()
    this.#ending = true
    this.#planTake()
  }

  receiverGone(): void {
    this.#receiverGone = true
    this.#window = []
    this.#windowBytes = 0
    this.#planTake()
  }

  /** The sender's node lost power: nothing more leaves, and no end mark either. */
  silence(): void {
    this.#unsent.length = 0
    this.#unsentBytes = 0
    this.#ending = false
    this.#finished = true
  }

  #drop(): void {
    for (const { onWritten } of this.#unsent.splice(0)) {
      if (onWritten) this.#scheduler.schedule(0, 'work', onWritten)
    }
    this.#unsentBytes = 0
  }

  #reset(): void {
    if (this.#resetting) return
    this.#resetting = true
    this.#scheduler.schedule(this.#delay(), 'work', () => {
      if (!this.#receiverGone) this.#ends.deliverReset()
    })
  }

  #refuse(): void {
    if (this.#resetting) return
    this.#resetting = true
    this.#scheduler.schedule(this.#delay(), 'work', () => this.#ends.refused())
  }

  #delay(): number {
    return this.#random.between(this.#link.delayMs.min, this.#link.delayMs.max)
  }

  #planTake(): void {
    if (this.#taking || this.#finished || (this.#unsent.length === 0 && !this.#ending)) return
    if (this.#windowBytes >= WINDOW_BYTES && this.#unsent.length > 0) return
    this.#taking = true
    this.#scheduler.schedule(this.#random.between(0, 0.01), 'work', () => {
      this.#taking = false
      this.#take()
    })
  }

  #take(): void {
    const written: (() => void)[] = []
    const hadUnsent = this.#unsent.length > 0
    while (this.#unsent.length > 0 && this.#windowBytes < WINDOW_BYTES) {
      const first = this.#unsent[0] as Unsent
      const count = Math.min(first.bytes.length - first.done, WINDOW_BYTES - this.#windowBytes)
      if (this.#receiverGone) this.#refuse()
      else {
        // Not `slice`: on a Buffer that is a view.
        this.#window.push(new Uint8Array(first.bytes.subarray(first.done, first.done + count)))
        this.#windowBytes += count
      }
      first.done += count
      if (first.done < first.bytes.length) break
      this.#unsent.shift()
      this.#unsentBytes -= first.bytes.length
      if (first.onWritten) written.push(first.onWritten)
    }
    const isDrained = hadUnsent && this.#unsent.length === 0
    if (isDrained || this.#unsent.length === 0) this.#finishIfEnding()
    for (const onWritten of written) onWritten()
    if (isDrained) this.#ends.drained()
    this.#planDeliver()
    this.#planTake()
  }

  #finishIfEnding(): void {
    if (!this.#ending || this.#finished) return
    this.#finished = true
    this.#scheduler.schedule(0, 'work', () => this.#ends.finished())
  }

  #planDeliver(): void {
    if (this.#delivering || this.#delivered || this.#receiverGone) return
    if (this.#windowBytes === 0 && !(this.#finished && this.#ending)) return
    if (!this.#ends.canDeliver() || this.#ends.isHeld()) return
    this.#delivering = true
    this.#scheduler.schedule(this.#delay(), 'work', () => {
      this.#delivering = false
      this.#deliver()
    })
  }

  #deliver(): void {
    if (this.#receiverGone || this.#delivered || !this.#ends.canDeliver() || this.#ends.isHeld()) return
    if (this.#windowBytes > 0) {
      this.#ends.deliver(this.#takeChunk())
      this.#planTake()
    } else if (this.#finished && this.#ending) {
      this.#delivered = true
      this.#ends.deliverEnd()
    }
    this.#planDeliver()
  }

  #takeChunk(): Uint8Array {
    const length = this.#chunkLength()
    const chunk = new Uint8Array(length)
    let done = 0
    while (done < length) {
      const first = this.#window[0] as Uint8Array
      const count = Math.min(first.length, length - done)
      chunk.set(first.subarray(0, count), done)
      done += count
      if (count === first.length) this.#window.shift()
      else this.#window[0] = first.subarray(count)
    }
    this.#windowBytes -= length
    return chunk
  }

  #chunkLength(): number {
    const most = this.#windowBytes
    if (this.#link.chunks === 'whole') return most
    const shape = this.#random.integer(4)
    if (shape < 2) return most
    return 1 + this.#random.integer(shape === 2 ? most : Math.min(most, 16))
  }
}
