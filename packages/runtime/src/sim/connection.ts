import type { Timer } from '../clock.ts'
import type { Connection, ConnectionHandler } from '../network.ts'
import type { Pipe } from './pipe.ts'
import type { Scheduler } from './scheduler.ts'

const LINGER_MS = 1000

export interface Addresses {
  readonly localHost: string
  readonly localPort: number
  readonly remoteHost: string
  readonly remotePort: number
}

export const resetError = (addresses: Addresses): Error =>
  Object.assign(new Error(`connection to ${addresses.remoteHost}:${addresses.remotePort} was reset (ECONNRESET)`), { code: 'ECONNRESET' })

/** One end of a simulated connection. */
export class SimConnection implements Connection {
  readonly remoteHost: string
  readonly remotePort: number
  readonly localHost: string
  readonly localPort: number
  readonly isEncrypted: boolean
  /** The node it belongs to, and the one at the other end. */
  readonly node: string
  readonly peerNode: string
  readonly #scheduler: Scheduler
  #out!: Pipe
  #in!: Pipe
  #handler: ConnectionHandler | undefined
  #paused = false
  #ended = false
  #closed = false
  #closeTold = false
  #error: Error | undefined
  #linger: Timer | undefined
  #onGone: () => void = () => {}

  constructor(options: { scheduler: Scheduler; node: string; peerNode: string; addresses: Addresses; isEncrypted: boolean }) {
    this.#scheduler = options.scheduler
    this.node = options.node
    this.peerNode = options.peerNode
    this.isEncrypted = options.isEncrypted
    this.localHost = options.addresses.localHost
    this.localPort = options.addresses.localPort
    this.remoteHost = options.addresses.remoteHost
    this.remotePort = options.addresses.remotePort
  }

  attach(out: Pipe, incoming: Pipe, onGone: () => void): void {
    this.#out = out
    this.#in = incoming
    this.#onGone = onGone
  }

  get unsentBytes(): number {
    return this.#out.unsentBytes
  }

  get isClosed(): boolean {
    return this.#closed
  }

  /** Whether bytes of the peer may be delivered now. */
  get isReading(): boolean {
    return this.#handler !== undefined && (!this.#paused || this.#ended) && !this.#closed
  }

  start(handler: ConnectionHandler): void {
    this.#handler = handler
    if (this.#closed) this.#tellClose()
    else this.#in.kick()
  }

  write(bytes: Uint8Array, onWritten?: () => void): void {
    if (this.#closed || this.#ended) {
      if (onWritten) this.#scheduler.schedule(0, 'work', onWritten)
      return
    }
    this.#out.push(bytes, onWritten)
  }

  /** Nothing to gain: a write costs nothing here. */
  cork(): void {}

  uncork(): void {}

  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    this.#in.kick()
  }

  end(): void {
    if (this.#closed || this.#ended) return
    this.#ended = true
    this.#out.finish()
    this.#in.kick()
  }

  destroy(error?: Error): void {
    this.close(error)
  }

  // From here on: what the two pipes and the network tell.

  receive(chunk: Uint8Array): void {
    if (this.#closed || this.#ended) return
    this.#handler?.onBytes(chunk)
    // The real buffer is shared by all sockets: whoever keeps it shall see.
    chunk.fill(0xdd)
  }

  /** All that was pushed has left. */
  drained(): void {
    if (!this.#closed) this.#handler?.onDrain?.()
  }

  /** The peer's last byte was delivered. As Node (`allowHalfOpen` false), this end finishes too. */
  peerFinished(): void {
    if (this.#closed) return
    if (this.#out.isFinished) this.close(undefined)
    else if (!this.#ended) this.end()
  }

  /** Our last byte and the end mark have left. */
  outFinished(): void {
    if (this.#closed) return
    if (this.#in.isDelivered) return this.close(undefined)
    this.#linger = this.#scheduler.schedule(LINGER_MS, 'timer', () => this.close(undefined))
  }

  close(error: Error | undefined): void {
    if (this.#closed) return
    this.#closed = true
    this.#error = error
    this.#linger?.cancel()
    this.#out.senderGone(this.#in.hasUndelivered)
    this.#in.receiverGone()
    this.#onGone()
    this.#tellClose()
  }

  /** Its node died: nobody is told anything any more. */
  forget(): void {
    this.#closed = true
    this.#closeTold = true
    this.#linger?.cancel()
  }

  #tellClose(): void {
    this.#scheduler.schedule(0, 'work', () => {
      if (!this.#handler || this.#closeTold) return
      this.#closeTold = true
      this.#handler.onClose(this.#error)
    })
  }
}
