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
}

/** Bounds what is sent and not answered yet; further senders wait in order, or fail. */
export class InFlight {
  readonly #limits: InFlightLimits
  readonly #waiting: Waiter[] = []
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
    if (this.#waiting.length === 0 && this.#fits(bytes)) {
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
        const at = this.#waiting.indexOf(waiter)
        if (at >= 0) this.#waiting.splice(at, 1)
        reject(abortedError(signal as AbortSignal, 'a send that waited for its turn'))
        this.#admitNext()
      }
      const waiter: Waiter = {
        bytes,
        admit: () => {
          signal?.removeEventListener('abort', onAbort)
          resolve()
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
    if (this.#messages === 0 && this.#waiting.length === 0) this.#onIdle?.()
  }

  /** Resolves when nothing is under way. */
  idle(): Promise<void> {
    if (this.#messages === 0 && this.#waiting.length === 0) return Promise.resolve()
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

  #admitNext(): void {
    while (this.#waiting.length > 0 && this.#fits((this.#waiting[0] as Waiter).bytes)) {
      const waiter = this.#waiting.shift() as Waiter
      this.#take(waiter.bytes)
      waiter.admit()
    }
  }
}
