import type { MessageQueue } from '@skylarkmq/remoting/protocol'
import type { Clock, Timer } from '@skylarkmq/runtime'
import type { AssignedQueue } from './assigned-queue.ts'

/** A queue that makes no progress. */
export interface Stall {
  readonly queue: MessageQueue
  /** `handler`: messages are here and none is consumed. `lock`: another consumer holds the queue's lock. `broker`: pulls get no answer. */
  readonly reason: 'handler' | 'lock' | 'broker'
  /** How long nothing has moved. */
  readonly forMs: number
  /** The oldest offset that is not consumed. */
  readonly offset: number | undefined
  readonly messageId: string | undefined
  /** Messages here that are not consumed. */
  readonly cachedMessages: number
}

export interface StallWatchOptions {
  readonly clock: Clock
  readonly stalledAfterMs: number
  readonly queues: () => readonly AssignedQueue[]
  readonly isPaused: () => boolean
  /** False for an orderly consumer without the queue's lock. */
  readonly mayConsume: (assigned: AssignedQueue) => boolean
  readonly stalled: (stall: Stall) => void
  readonly recovered: (queue: MessageQueue) => void
}

interface Watched {
  readonly cache: unknown
  readonly offset: number | undefined
  readonly signsOfLife: number
  sinceMs: number
  isStalled: boolean
}

const LOOKS_PER_STALL = 4

/** Notices queues that stand still: says so once, and once more when they move again, however long it lasts. */
export class StallWatch {
  readonly #options: StallWatchOptions
  readonly #watched = new WeakMap<AssignedQueue, Watched>()
  readonly #timer: Timer

  constructor(options: StallWatchOptions) {
    this.#options = options
    this.#timer = options.clock.every(Math.ceil(options.stalledAfterMs / LOOKS_PER_STALL), () => this.#look())
  }

  stop(): void {
    this.#timer.cancel()
  }

  #look(): void {
    for (const assigned of this.#options.queues()) this.#lookAt(assigned)
  }

  #lookAt(assigned: AssignedQueue): void {
    const { clock, stalledAfterMs, stalled, recovered } = this.#options
    const now = clock.monotonic()
    const { cache, signsOfLife } = assigned
    const offset = cache.committableOffset
    const before = this.#watched.get(assigned)
    const reason = this.#reason(assigned, now)
    const hasMoved = before?.cache !== cache || before.offset !== offset || before.signsOfLife !== signsOfLife
    if (before === undefined || hasMoved || reason === undefined) {
      if (before?.isStalled) recovered(assigned.queue)
      this.#watched.set(assigned, { cache, offset, signsOfLife, sinceMs: now, isStalled: false })
      return
    }
    const forMs = now - before.sinceMs
    if (before.isStalled || forMs < stalledAfterMs) return
    before.isStalled = true
    stalled({
      queue: assigned.queue,
      reason,
      forMs,
      offset,
      messageId: cache.first?.message.messageId,
      cachedMessages: cache.count,
    })
  }

  /** What could hold the queue up; undefined while it has nothing to do, or is not wanted to. */
  #reason(assigned: AssignedQueue, now: number): Stall['reason'] | undefined {
    const { isPaused, mayConsume, stalledAfterMs } = this.#options
    if (assigned.isDropped || assigned.isPaused || isPaused()) return undefined
    if (!mayConsume(assigned)) return 'lock'
    if (assigned.cache.count > 0) return 'handler'
    return now - assigned.lastAnswerMs >= stalledAfterMs / LOOKS_PER_STALL + LONGEST_HOLD_MS ? 'broker' : undefined
  }
}

/** An empty queue is answered after so long: silence before that means nothing. */
const LONGEST_HOLD_MS = 30_000
