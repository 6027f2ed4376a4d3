import type { Clock } from '@skylarkmq/runtime'
import type { ConsumerOffsets } from '../offsets/consumer-offsets.ts'
import { DueHeap } from './due-heap.ts'
import type { OrderBatch } from './order-batch.ts'
import type { EventRecord } from './pop-log.ts'
import type { InFlight, PopQueue } from './pop-queue.ts'

/** What is in flight, in memory: the queues with their messages, and when each becomes visible again. Knows nothing of how it is stored. */
export class InFlightState {
  readonly due = new DueHeap<InFlight>()
  readonly #clock: Clock
  readonly #offsets: ConsumerOffsets
  readonly #queues = new Map<string, PopQueue>()
  #size = 0
  /** Somebody waits for the heap. */
  onDue: () => void = () => {}

  constructor(clock: Clock, offsets: ConsumerOffsets) {
    this.#clock = clock
    this.#offsets = offsets
  }

  /** Messages. */
  get size(): number {
    return this.#size
  }

  queues(): IterableIterator<PopQueue> {
    return this.#queues.values()
  }

  find(group: string, topic: string, queueId: number): PopQueue | undefined {
    return this.#queues.get(keyOf(group, topic, queueId))
  }

  add(queue: PopQueue): void {
    this.#queues.set(keyOf(queue.group, queue.topic, queue.queueId), queue)
  }

  forget(queue: PopQueue): void {
    for (const entry of queue.entries.values()) this.remove(entry)
    this.setOrder(queue, undefined, undefined)
    this.#queues.delete(keyOf(queue.group, queue.topic, queue.queueId))
  }

  /** Without `dueAt` whoever puts it plans it. */
  put(queue: PopQueue, offset: number, popTime: number, invisibleTimeMs: number, dueAt: number | undefined, record: EventRecord): void {
    const old = queue.entries.get(offset)
    if (old !== undefined) this.remove(old)
    const entry = { queue, offset, popTime, invisibleTimeMs, dueAt: dueAt ?? 0, record, isMoved: false }
    record.live++
    queue.entries.set(offset, entry)
    this.#size++
    if (dueAt !== undefined) this.plan(entry)
  }

  remove(entry: InFlight): void {
    if (entry.queue.entries.get(entry.offset) !== entry) return
    entry.queue.entries.delete(entry.offset)
    entry.record.live--
    this.#size--
  }

  /** The group goes on here, whatever was in flight from here on. */
  moveTo(queue: PopQueue, next: number): void {
    for (const entry of queue.entries.values()) if (entry.offset >= next) this.remove(entry)
    queue.position = next
    if (queue.order !== undefined && queue.order.next !== next) this.setOrder(queue, undefined, undefined)
    queue.settle()
  }

  setOrder(queue: PopQueue, order: OrderBatch | undefined, record: EventRecord | undefined): void {
    queue.unstored = undefined
    queue.order = order
    this.haveLastWord(queue, order === undefined ? undefined : record)
  }

  /** Of the batch that is consumed in order. */
  haveLastWord(queue: PopQueue, record: EventRecord | undefined): void {
    if (queue.orderRecord !== undefined) queue.orderRecord.live--
    queue.orderRecord = record
    if (record !== undefined) record.live++
  }

  /** The group's offset passes what is done with. */
  commit(queue: PopQueue): void {
    queue.advance()
    if (queue.committed === queue.cursor) return
    const { group, topic, queueId, cursor } = queue
    // Gone since the last time: the group was deleted, and its offsets must not come back.
    if (queue.committed !== undefined && this.#offsets.get(group, topic, queueId) === undefined) return
    queue.committed = cursor
    this.#offsets.commit(group, topic, queueId, cursor)
  }

  /** Later, because it could not be moved now. */
  postpone(entry: InFlight, ms: number): void {
    entry.dueAt = this.#clock.monotonic() + ms
    this.plan(entry)
  }

  /** It may be in the heap with this time already: another one makes that void. */
  planAgain(entry: InFlight, dueAt: number): void {
    entry.dueAt = dueAt + 1
    this.plan(entry)
  }

  plan(entry: InFlight): void {
    this.due.add(entry.dueAt, entry)
    if (this.due.size > 1024 && this.due.size > 4 * this.#size) this.due.prune((dueAt, one) => isWaiting(one, dueAt))
    if (this.due.nextDueAt === entry.dueAt) this.onDue()
  }
}

/** Not acknowledged, and not changed since it was planned. */
export const isWaiting = (entry: InFlight, dueAt: number): boolean =>
  !entry.isMoved && entry.dueAt === dueAt && entry.queue.entries.get(entry.offset) === entry

const keyOf = (group: string, topic: string, queueId: number): string => `${group}\0${topic}\0${queueId}`
