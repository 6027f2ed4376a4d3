import type { Clock, Timer } from '@skylarkmq/runtime'
import type { AnyCommand } from '../protocol/command.ts'
import type { Frame } from '../protocol/frame-types.ts'

/** A request that waits for its answer. */
export interface Waiting {
  readonly command: AnyCommand
  /** By the monotonic clock. */
  readonly deadlineMs: number
  readonly resolve: (answer: Frame) => void
  readonly reject: (error: Error) => void
  readonly onTimeout: () => Error
}

/** With many waiting, late ones are looked for at most this often. */
const SCAN_MS = 10
const MANY = 256
/** A timer that fires so late says that the process was held up. */
const HELD_UP_MS = 50

/**
 * Requests of one connection by opaque. One timer for all, at the earliest deadline: a timer per request would cost more than the
 * request.
 */
export class PendingRequests {
  readonly #clock: Clock
  readonly #waiting = new Map<number, Waiting>()
  #lastOpaque = 0
  #timer: Timer | undefined
  #timerAtMs = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    return this.#waiting.size
  }

  /** From 1 on, never 0: clients in JavaScript replace opaque 0 by a number of their own (reference 1.4). */
  nextOpaque(): number {
    do {
      this.#lastOpaque = this.#lastOpaque === 0x7fffffff ? 1 : this.#lastOpaque + 1
    } while (this.#waiting.has(this.#lastOpaque))
    return this.#lastOpaque
  }

  add(opaque: number, waiting: Waiting): void {
    this.#waiting.set(opaque, waiting)
    if (this.#timer === undefined || waiting.deadlineMs < this.#timerAtMs) this.#arm(waiting.deadlineMs)
  }

  has(opaque: number): boolean {
    return this.#waiting.has(opaque)
  }

  /** Takes the request out, so that its answer, if one still comes, is dropped. */
  take(opaque: number): Waiting | undefined {
    const waiting = this.#waiting.get(opaque)
    if (waiting !== undefined) this.#waiting.delete(opaque)
    return waiting
  }

  /** Rejects all, each with an error of its own. */
  rejectAll(makeError: (opaque: number, waiting: Waiting) => Error): void {
    const all = [...this.#waiting]
    this.#waiting.clear()
    this.#timer?.cancel()
    this.#timer = undefined
    for (const [opaque, waiting] of all) waiting.reject(makeError(opaque, waiting))
  }

  #arm(atMs: number): void {
    this.#timer?.cancel()
    this.#timerAtMs = atMs
    this.#timer = this.#clock.after(Math.max(0, Math.ceil(atMs - this.#clock.monotonic())), () => this.#onTimer())
  }

  /** A process that was held up (a long pause, a suspended machine) reads what has arrived meanwhile before it calls it late. */
  #onTimer(): void {
    this.#timer = undefined
    if (this.#clock.monotonic() - this.#timerAtMs < HELD_UP_MS) return this.#scan()
    this.#clock.afterTurn(() => this.#scan())
  }

  #scan(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    const nowMs = this.#clock.monotonic()
    let earliestMs = Number.POSITIVE_INFINITY
    for (const [opaque, waiting] of this.#waiting) {
      if (waiting.deadlineMs <= nowMs) {
        this.#waiting.delete(opaque)
        waiting.reject(waiting.onTimeout())
      } else if (waiting.deadlineMs < earliestMs) {
        earliestMs = waiting.deadlineMs
      }
    }
    if (this.#waiting.size === 0) return
    this.#arm(this.#waiting.size > MANY ? Math.max(earliestMs, nowMs + SCAN_MS) : earliestMs)
  }
}
