import { LIMITS } from '../limits.ts'
import type { ConsumerOffsets } from '../offsets/consumer-offsets.ts'
import type { InFlightState } from './in-flight-state.ts'
import { OrderBatch } from './order-batch.ts'
import type { EventRecord, PopEvent, PopLog, PopLogDeps } from './pop-log.ts'
import { PopQueue } from './pop-queue.ts'
import type { InFlight } from './pop-queue.ts'

export interface ReplayDeps extends PopLogDeps {
  readonly offsets: ConsumerOffsets
}

/** Makes what is in flight from the log of its events, at a start. */
export class InFlightReplay {
  readonly #deps: ReplayDeps
  readonly #log: PopLog
  readonly #state: InFlightState
  /** Queues whose group was moved: what was committed otherwise does not count. */
  readonly #reset = new Set<PopQueue>()
  readonly #filledIn: InFlight[] = []

  constructor(deps: ReplayDeps, log: PopLog, state: InFlightState) {
    this.#deps = deps
    this.#log = log
    this.#state = state
  }

  /** `isGone`: its topic was deleted. Returns the messages that only a damaged record may know of: the next start would not. */
  async read(from: number, isGone: (queue: PopQueue) => boolean): Promise<readonly InFlight[]> {
    for await (const { record, events } of this.#log.read(from)) {
      for (const event of events) this.#apply(event, record)
    }
    for (const queue of this.#state.queues()) {
      if (isGone(queue)) this.#state.forget(queue)
      else this.#resume(queue)
    }
    const { missing: records } = this.#log
    if (records > 0) {
      this.#deps.log.error('records of what is in flight are damaged or missing; what they may have been about comes again', {
        records,
        count: this.#filledIn.length,
      })
    }
    return this.#filledIn.filter((entry) => entry.queue.entries.get(entry.offset) === entry)
  }

  #resume(queue: PopQueue): void {
    const { offsets, clock } = this.#deps
    const [now, monotonic] = [clock.now(), clock.monotonic()]
    queue.settle()
    const committed = offsets.get(queue.group, queue.topic, queue.queueId)
    // Consumers that pull have gone on meanwhile.
    if (committed !== undefined && committed > queue.cursor && !this.#reset.has(queue))
      this.#state.moveTo(queue, Math.max(committed, queue.position))
    this.#state.commit(queue)
    for (const entry of queue.entries.values()) {
      const leftMs = Math.min(entry.invisibleTimeMs, entry.popTime + entry.invisibleTimeMs - now)
      entry.dueAt = monotonic + Math.max(0, leftMs)
      this.#state.due.add(entry.dueAt, entry)
    }
  }

  #apply(event: PopEvent, record: EventRecord): void {
    const state = this.#state
    const [kind, group, topic, queueId] = event
    const queue = state.find(group, topic, queueId) ?? this.#queueOf(group, topic, queueId)
    switch (kind) {
      case 'p': {
        const [, , , , popTime, invisibleTimeMs, start, next, distances] = event
        this.#fillIn(queue, start, record)
        for (const distance of distances) state.put(queue, start + distance, popTime, invisibleTimeMs, undefined, record)
        queue.position = next
        break
      }
      case 'h': {
        const [, , , , offset, popTime, invisibleTimeMs, next] = event
        this.#fillIn(queue, next, record)
        state.put(queue, offset, popTime, invisibleTimeMs, undefined, record)
        queue.position = next
        break
      }
      case 'd':
        for (const offset of event[5]) {
          const entry = queue.entries.get(offset)
          if (entry?.popTime === event[4]) state.remove(entry)
        }
        break
      case 'x':
        state.forget(queue)
        break
      case 'm':
        this.#reset.add(queue)
        state.moveTo(queue, event[4])
        break
      case 'o': {
        const order = event[4] === null ? undefined : new OrderBatch(event[4])
        state.setOrder(queue, order === undefined || order.freeAt === 0 ? undefined : order, record)
        if (order !== undefined) state.moveTo(queue, order.next)
      }
    }
  }

  #queueOf(group: string, topic: string, queueId: number): PopQueue {
    const queue = new PopQueue(group, topic, queueId, this.#deps.offsets.get(group, topic, queueId) ?? 0)
    this.#state.add(queue)
    return queue
  }

  /**
   * A record before this one is damaged, and it may have been the one that told who took what lies before `next`: those count as in flight,
   * and come again at once.
   */
  #fillIn(queue: PopQueue, next: number, record: EventRecord): void {
    if (this.#log.missing === 0) return
    for (let offset = Math.max(queue.position, next - LIMITS.popInFlightPerQueue); offset < next; offset++) {
      if (queue.entries.has(offset)) continue
      this.#state.put(queue, offset, 0, 0, undefined, record)
      this.#filledIn.push(queue.entries.get(offset) as InFlight)
    }
  }
}
