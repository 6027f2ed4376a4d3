import { RocketError } from '@skylarkmq/remoting/protocol'
import { abortedError } from '../core/waiting.ts'

export interface InFlightLimits {
  readonly messages: number
  readonly bytes: number
  readonly whenFull: 'wait' | 'fail'
}

interface Waiter {
  readonly bytes: number
  readonly admit: () => void
  readonly refuse: (error: Error) => void
  hasLeft: boolean
}

/** Given-away places at the front before the list is moved together: `shift` costs the length of the list, this a constant. */
const MOVED_TOGETHER_FROM = 1024

/** Bounds what is sent and not answered yet; further senders wait in order, or fail. */
export class InFlight {
  readonly #limits: InFlightLimits
  #waiting: Waiter[] = []
  #head = 0
  #messages = 0
  #bytes = 0
  #onIdle: (() => void) | undefined

  constructor(limits: InFlightLimits) {
    this.#limits = limits
  }

  get count(): number {
    return this.#messages
  }

  /** Undefined when admitted at once; else a promise to wait for. A message larger than the bound is admitted when it is alone. */
  acquire(bytes: number, signal: AbortSignal | undefined): Promise<void> | undefined {
    if (!this.#hasWaiters && this.#fits(bytes)) {
      this.#take(bytes)
      return undefined
    }
    if (this.#limits.whenFull === 'fail') {
      throw new RocketError(
        `${this.#messages} messages (${this.#bytes} bytes) of this producer wait for an answer; at most ${this.#limits.messages} (${this.#limits.bytes} bytes) may; slow down, or set inFlight.whenFull to "wait"`,
        { code: 'SYSTEM_BUSY', retryable: true, phase: 'send' },
      )
    }
    return new Promise<void>((resolve, reject) => {
      const onAbort = () => {
        waiter.refuse(abortedError(signal as AbortSignal, 'a send that waited for its turn'))
        this.#admitNext()
      }
      const waiter: Waiter = {
        bytes,
        hasLeft: false,
        admit: () => {
          signal?.removeEventListener('abort', onAbort)
          resolve()
        },
        refuse: (error) => {
          waiter.hasLeft = true
          signal?.removeEventListener('abort', onAbort)
          reject(error)
        },
      }
      this.#waiting.push(waiter)
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  release(bytes: number): void {
    this.#messages--
    this.#bytes -= bytes
    this.#admitNext()
    if (this.#messages === 0) this.#onIdle?.()
  }

  /** Those who wait for their turn get the error instead. */
  refuseWaiting(error: Error): void {
    for (const waiter of this.#waiting.slice(this.#head)) if (!waiter.hasLeft) waiter.refuse(error)
    this.#waiting = []
    this.#head = 0
  }

  /** Resolves when nothing is under way. */
  idle(): Promise<void> {
    if (this.#messages === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.#onIdle = resolve
    })
  }

  #fits(bytes: number): boolean {
    return this.#messages === 0 || (this.#messages < this.#limits.messages && this.#bytes + bytes <= this.#limits.bytes)
  }

  #take(bytes: number): void {
    this.#messages++
    this.#bytes += bytes
  }

  get #hasWaiters(): boolean {
    return this.#head < this.#waiting.length
  }

  #admitNext(): void {
    while (this.#hasWaiters) {
      const waiter = this.#waiting[this.#head] as Waiter
      if (!waiter.hasLeft && !this.#fits(waiter.bytes)) break
      this.#head++
      if (waiter.hasLeft) continue
      this.#take(waiter.bytes)
      waiter.admit()
    }
    if (this.#head > 0 && (!this.#hasWaiters || (this.#head >= MOVED_TOGETHER_FROM && this.#head * 2 >= this.#waiting.length))) {
      this.#waiting = this.#waiting.slice(this.#head)
      this.#head = 0
    }
  }
}
