/** As it is written to the log of what is in flight. */
export interface SavedOrder {
  readonly attemptId: string | undefined
  readonly popTime: number
  readonly invisibleTimeMs: number
  readonly offsets: readonly number[]
  readonly done: readonly number[]
  readonly visibleAt: readonly (readonly [offset: number, timeMs: number])[]
  readonly counts: readonly (readonly [offset: number, count: number])[]
}

/**
 * The messages of a queue that a group consumes in order now (RocketMQ 5.3 `ConsumerOrderInfoManager`). As long as one of them is
 * neither acknowledged nor visible again, the group gets nothing else of the queue. Whoever pops with the same attempt id asks again
 * because the answer was lost, and gets the same messages. It never changes: what a full disk refuses leaves the one before.
 */
export class OrderBatch {
  readonly attemptId: string | undefined
  readonly popTime: number
  readonly invisibleTimeMs: number
  readonly offsets: readonly number[]
  readonly #done: Set<number>
  /** Where it differs from popTime + invisibleTimeMs. */
  readonly #visibleAt: Map<number, number>
  /** How often a message was delivered before. */
  readonly #counts: Map<number, number>

  constructor(saved: SavedOrder) {
    this.attemptId = saved.attemptId
    this.popTime = saved.popTime
    this.invisibleTimeMs = saved.invisibleTimeMs
    this.offsets = saved.offsets
    this.#done = new Set(saved.done)
    this.#visibleAt = new Map(saved.visibleAt)
    this.#counts = new Map(saved.counts)
  }

  static popped(
    before: OrderBatch | undefined,
    attemptId: string | undefined,
    popTime: number,
    invisibleTimeMs: number,
    offsets: readonly number[],
  ): OrderBatch {
    const counts: [number, number][] = []
    const isSameAttempt = attemptId !== undefined && before?.attemptId === attemptId
    for (const offset of offsets) {
      if (before === undefined || !before.offsets.includes(offset)) continue
      const count = before.countOf(offset) + (isSameAttempt ? 0 : 1)
      if (count > 0) counts.push([offset, count])
    }
    return new OrderBatch({ attemptId, popTime, invisibleTimeMs, offsets, done: [], visibleAt: [], counts })
  }

  countOf(offset: number): number {
    return this.#counts.get(offset) ?? 0
  }

  /** The first message that is not acknowledged; behind the last one when all are. */
  get next(): number {
    return this.offsets.find((offset) => !this.#done.has(offset)) ?? (this.offsets[this.offsets.length - 1] as number) + 1
  }

  isBlocked(attemptId: string | undefined, now: number): boolean {
    if (attemptId !== undefined && attemptId === this.attemptId) return false
    return this.freeAt > now
  }

  /** When the last of its messages that are not acknowledged is visible again; 0 when all are acknowledged. */
  get freeAt(): number {
    let freeAt = 0
    for (const offset of this.offsets) {
      if (this.#done.has(offset)) continue
      freeAt = Math.max(freeAt, this.#visibleAt.get(offset) ?? this.popTime + this.invisibleTimeMs)
    }
    return freeAt
  }

  /** As it is with this one done; undefined when it is not one of these, or its handle is of an earlier pop. */
  acked(offset: number, popTime: number): OrderBatch | undefined {
    if (popTime !== this.popTime || !this.offsets.includes(offset)) return undefined
    const saved = this.saved()
    return new OrderBatch({ ...saved, done: [...saved.done, offset] })
  }

  /** Likewise. */
  visibleAt(offset: number, popTime: number, timeMs: number): OrderBatch | undefined {
    if (popTime !== this.popTime || !this.offsets.includes(offset)) return undefined
    const saved = this.saved()
    return new OrderBatch({ ...saved, visibleAt: [...saved.visibleAt, [offset, timeMs]] })
  }

  saved(): SavedOrder {
    const { attemptId, popTime, invisibleTimeMs, offsets } = this
    return {
      attemptId,
      popTime,
      invisibleTimeMs,
      offsets,
      done: [...this.#done],
      visibleAt: [...this.#visibleAt],
      counts: [...this.#counts],
    }
  }
}
