import type { MetadataStore } from '@skylarkmq/store'
import { LIMITS } from '../limits.ts'
import type { ConsumerOffsets } from '../offsets/consumer-offsets.ts'
import { DueHeap } from './due-heap.ts'
import { OrderBatch } from './order-batch.ts'
import { PopLog } from './pop-log.ts'
import type { EventRecord, PopEvent, PopLogDeps } from './pop-log.ts'
import { PopQueue } from './pop-queue.ts'
import type { InFlight } from './pop-queue.ts'

export interface TableDeps extends PopLogDeps {
  readonly metadata: MetadataStore
  readonly offsets: ConsumerOffsets
}

const ROW = 'popInFlight'
/** With so many records to read at a start, what is still in flight from the older half is written anew. */
const REPLAY_MAX_RECORDS = 20_000

/**
 * Which messages are in flight: popped, not acknowledged, invisible. In memory, and in the commit log as events (`PopLog`), from which it
 * is made again at a start.
 *
 * The committed offset of a group never passes a message that is in flight. So nothing depends on this table that must not be lost: with
 * it gone, or with another broker on the same files, messages are delivered again that were acknowledged behind one that was not.
 */
export class InFlightTable {
  readonly log: PopLog
  readonly due = new DueHeap<InFlight>()
  readonly #deps: TableDeps
  readonly #replayMaxRecords: number
  readonly #queues = new Map<string, PopQueue>()
  #size = 0
  /** Moved, and not yet surely on disk where they were moved to. */
  #moved: { readonly entries: readonly InFlight[]; readonly until: number }[] = []
  #filledIn: InFlight[] = []
  /** Somebody waits for the heap. */
  onDue: () => void = () => {}

  constructor(deps: TableDeps, replayMaxRecords: number = REPLAY_MAX_RECORDS) {
    this.#deps = deps
    this.#replayMaxRecords = replayMaxRecords
    this.log = new PopLog(deps)
  }

  get size(): number {
    return this.#size
  }

  queues(): IterableIterator<PopQueue> {
    return this.#queues.values()
  }

  find(group: string, topic: string, queueId: number): PopQueue | undefined {
    return this.#queues.get(keyOf(group, topic, queueId))
  }

  /** The queue as the group goes on with it; `init` says where a group begins that has no offset. */
  queueFor(group: string, topic: string, queueId: number, init: () => number): PopQueue {
    const { offsets } = this.#deps
    const reset = offsets.takeReset(group, topic, queueId)
    const committed = reset ?? offsets.get(group, topic, queueId)
    const known = this.find(group, topic, queueId)
    if (known !== undefined && reset === undefined && committed !== undefined && committed === known.committed) return known
    if (known !== undefined && committed !== undefined) {
      this.moveTo(known, committed)
      return known
    }
    // Without an offset whatever is known is of a group or topic of that name that was deleted.
    if (known !== undefined) this.drop(known)
    const queue = new PopQueue(group, topic, queueId, committed ?? 0)
    this.#queues.set(keyOf(group, topic, queueId), queue)
    if (committed === undefined) this.moveTo(queue, init())
    else queue.committed = committed
    return queue
  }

  /** The messages are in flight from now on. `onLogged` tells when that is stored: an answer waits for it. */
  take(
    queue: PopQueue,
    taken: {
      readonly start: number
      readonly next: number
      readonly offsets: readonly number[]
      readonly popTime: number
      readonly invisibleTimeMs: number
    },
    onLogged: (refused: string | undefined) => void,
  ): void {
    const { start, next, offsets, popTime, invisibleTimeMs } = taken
    const { group, topic, queueId } = queue
    const distances = offsets.map((offset) => offset - start)
    const record = this.log.add(['p', group, topic, queueId, popTime, invisibleTimeMs, start, next, distances], onLogged)
    const dueAt = this.#deps.clock.monotonic() + invisibleTimeMs
    for (const offset of offsets) this.#put(queue, offset, popTime, invisibleTimeMs, dueAt, record)
    queue.position = Math.max(queue.position, next)
    this.#commit(queue)
  }

  /** In flight by the word of the broker that had this folder before: the group has gone on behind it. */
  adopt(message: {
    readonly group: string
    readonly topic: string
    readonly queueId: number
    readonly offset: number
    readonly popTime: number
    readonly invisibleTimeMs: number
  }): void {
    const { group, topic, queueId, offset, popTime, invisibleTimeMs } = message
    const queue = this.queueFor(group, topic, queueId, () => offset + 1)
    // What lies ahead of the group comes anyway.
    if (offset >= queue.position || queue.entries.has(offset)) return
    const record = this.log.add(['h', group, topic, queueId, offset, popTime, invisibleTimeMs, queue.position])
    const leftMs = Math.max(0, popTime + invisibleTimeMs - this.#deps.clock.now())
    this.#put(queue, offset, popTime, invisibleTimeMs, this.#deps.clock.monotonic() + leftMs, record)
    queue.settle()
    this.#commit(queue)
  }

  /** Nothing of interest up to here. Not worth an event: it is looked at again after a crash. */
  skipTo(queue: PopQueue, next: number): void {
    if (next <= queue.position) return
    queue.position = next
    this.#commit(queue)
  }

  /** The message that this handle names, as long as it is in flight. */
  entry(group: string, topic: string, queueId: number, offset: number, popTime: number): InFlight | undefined {
    const entry = this.find(group, topic, queueId)?.entries.get(offset)
    return entry !== undefined && !entry.isMoved && entry.popTime === popTime ? entry : undefined
  }

  /** When it cannot be stored it is not done: the message is in flight as before, and another acknowledgement is welcome. */
  ack(entry: InFlight, onLogged: (refused: string | undefined) => void): void {
    const { group, topic, queueId } = entry.queue
    entry.isMoved = true
    this.log.add(['d', group, topic, queueId, entry.popTime, [entry.offset]], (refused) => {
      if (refused === undefined) {
        this.#remove(entry)
        this.#commit(entry.queue)
      } else if (entry.queue.entries.get(entry.offset) === entry) {
        entry.isMoved = false
        this.#planAgain(entry, entry.dueAt)
      }
      onLogged(refused)
    })
  }

  /** The new handle's pop time is later than the old one's. When it cannot be stored the old handle goes on to be the one that counts. */
  change(entry: InFlight, invisibleTimeMs: number, onLogged: (refused: string | undefined) => void): void {
    const { popTime, invisibleTimeMs: oldTimeMs, dueAt } = entry
    const newPopTime = Math.max(this.#deps.clock.now(), popTime + 1)
    entry.popTime = newPopTime
    entry.invisibleTimeMs = invisibleTimeMs
    entry.dueAt = this.#deps.clock.monotonic() + invisibleTimeMs
    this.#hold(entry, (refused) => {
      if (refused !== undefined && entry.popTime === newPopTime) {
        entry.popTime = popTime
        entry.invisibleTimeMs = oldTimeMs
        this.#planAgain(entry, dueAt)
      }
      onLogged(refused)
    })
    this.#plan(entry)
  }

  /** Later, because it could not be moved now. */
  postpone(entry: InFlight, ms: number): void {
    entry.dueAt = this.#deps.clock.monotonic() + ms
    this.#plan(entry)
  }

  /** They were just handed to the store in another topic, in this turn: both are written at once. */
  moved(entries: readonly InFlight[], onLogged: (refused: string | undefined) => void): void {
    let left = entries.length
    let why: string | undefined
    const one = (refused: string | undefined): void => {
      why ??= refused
      if (--left > 0) return
      this.#moved.push({ entries, until: this.#deps.store.maxPhysicalOffset })
      onLogged(why)
    }
    for (const entry of entries) {
      const { group, topic, queueId } = entry.queue
      entry.isMoved = true
      this.log.add(['d', group, topic, queueId, entry.popTime, [entry.offset]], one)
    }
  }

  /** What was moved could not be stored: it is in flight as before. */
  unmove(entry: InFlight, ms: number): void {
    entry.isMoved = false
    this.#hold(entry)
    this.postpone(entry, ms)
  }

  /** The group goes on here, whatever was in flight from here on. */
  moveTo(queue: PopQueue, next: number): void {
    this.log.add(['m', queue.group, queue.topic, queue.queueId, next])
    if (queue.unstored !== undefined && queue.order?.next !== next) this.#setOrder(queue, undefined, undefined)
    this.#moveTo(queue, next)
    this.#commit(queue)
  }

  /** Counts at once. When it cannot be stored the batch is as it was, and so is the group's place. */
  setOrder(queue: PopQueue, order: OrderBatch, onLogged: (refused: string | undefined) => void): void {
    const { group, topic, queueId } = queue
    const unstored = (queue.unstored ??= { count: 0, newest: order, stored: queue.order, cursor: queue.cursor })
    unstored.count++
    unstored.newest = order
    queue.order = order.freeAt === 0 ? undefined : order
    // In order, what is in flight is known by the batch alone.
    this.#moveTo(queue, order.next)
    // Until it is stored, and when it cannot be, the record before has the last word: the next start must read it.
    const record = this.log.add(['o', group, topic, queueId, order.saved()], (refused) => {
      if (queue.unstored === unstored) this.#orderSettled(queue, unstored, order, refused === undefined ? record : undefined)
      record.live--
      onLogged(refused)
    })
    record.live++
  }

  /** A change of the batch is stored in `record`, or refused. */
  #orderSettled(queue: PopQueue, unstored: NonNullable<PopQueue['unstored']>, changed: OrderBatch, record: EventRecord | undefined): void {
    if (record !== undefined) {
      unstored.stored = changed
      unstored.cursor = changed.next
      this.#haveLastWord(queue, changed.freeAt === 0 ? undefined : record)
    }
    if (--unstored.count > 0) return
    queue.unstored = undefined
    if (unstored.stored !== unstored.newest) {
      queue.order = unstored.stored?.freeAt === 0 ? undefined : unstored.stored
      this.#moveTo(queue, unstored.cursor)
    }
    this.#commit(queue)
  }

  /** Reads the log. Before requests are taken. `isGone`: its topic was deleted. */
  async open(isGone: (queue: PopQueue) => boolean): Promise<void> {
    const { metadata, offsets, clock } = this.#deps
    const saved = Number(metadata.get('kv', ROW) ?? 0)
    const reset = new Set<PopQueue>()
    for await (const { record, events } of this.log.read(Number.isSafeInteger(saved) ? saved : 0)) {
      for (const event of events) this.#apply(event, record, reset)
    }
    const [now, monotonic] = [clock.now(), clock.monotonic()]
    for (const queue of this.#queues.values()) {
      if (isGone(queue)) {
        this.#forget(queue)
        continue
      }
      queue.settle()
      const committed = offsets.get(queue.group, queue.topic, queue.queueId)
      // Consumers that pull have gone on meanwhile.
      if (committed !== undefined && committed > queue.cursor && !reset.has(queue)) this.#moveTo(queue, Math.max(committed, queue.position))
      this.#commit(queue)
      for (const entry of queue.entries.values()) {
        const leftMs = Math.min(entry.invisibleTimeMs, entry.popTime + entry.invisibleTimeMs - now)
        entry.dueAt = monotonic + Math.max(0, leftMs)
        this.due.add(entry.dueAt, entry)
      }
    }
    this.#keepFilledIn()
  }

  /**
   * A record before this one is damaged, and it may have been the one that told who took what lies before `next`: those count as in flight,
   * and come again at once.
   */
  #fillIn(queue: PopQueue, next: number, record: EventRecord): void {
    if (this.log.missing === 0) return
    for (let offset = Math.max(queue.position, next - LIMITS.popInFlightPerQueue); offset < next; offset++) {
      if (queue.entries.has(offset)) continue
      this.#put(queue, offset, 0, 0, undefined, record)
      this.#filledIn.push(queue.entries.get(offset) as InFlight)
    }
  }

  /** The next start would not know that a record is missing. */
  #keepFilledIn(): void {
    const count = this.#filledIn.length
    if (this.log.missing > 0) {
      const records = this.log.missing
      this.#deps.log.error('records of what is in flight are damaged or missing; what they may have been about comes again', {
        records,
        count,
      })
    }
    for (const entry of this.#filledIn) if (entry.queue.entries.get(entry.offset) === entry) this.#hold(entry)
    this.#filledIn = []
  }

  /** Where the log is read from at the next start, together with the offsets that belong to it. */
  save(isGone: (queue: PopQueue) => boolean): void {
    const { metadata, offsets } = this.#deps
    this.#forgetMoved()
    for (const queue of this.#queues.values()) {
      if (isGone(queue)) {
        this.drop(queue)
        continue
      }
      const committed = queue.entries.size > 0 ? offsets.get(queue.group, queue.topic, queue.queueId) : queue.committed
      if (committed !== undefined && committed !== queue.committed) this.moveTo(queue, committed)
    }
    if (this.log.end - this.log.replayFrom > this.#replayMaxRecords) this.#writeAnew()
    offsets.save()
    metadata.set('kv', ROW, String(this.log.replayFrom))
  }

  /** The group or the topic is gone. */
  drop(queue: PopQueue): void {
    this.log.add(['x', queue.group, queue.topic, queue.queueId])
    this.#forget(queue)
  }

  #forget(queue: PopQueue): void {
    for (const entry of queue.entries.values()) this.#remove(entry)
    this.#setOrder(queue, undefined, undefined)
    this.#queues.delete(keyOf(queue.group, queue.topic, queue.queueId))
  }

  #apply(event: PopEvent, record: EventRecord, reset: Set<PopQueue>): void {
    const [kind, group, topic, queueId] = event
    const queue = this.find(group, topic, queueId) ?? this.#replayedQueue(group, topic, queueId)
    switch (kind) {
      case 'p': {
        const [, , , , popTime, invisibleTimeMs, start, next, distances] = event
        this.#fillIn(queue, start, record)
        for (const distance of distances) this.#put(queue, start + distance, popTime, invisibleTimeMs, undefined, record)
        queue.position = next
        break
      }
      case 'h': {
        const [, , , , offset, popTime, invisibleTimeMs, next] = event
        this.#fillIn(queue, next, record)
        this.#put(queue, offset, popTime, invisibleTimeMs, undefined, record)
        queue.position = next
        break
      }
      case 'd':
        for (const offset of event[5]) {
          const entry = queue.entries.get(offset)
          if (entry?.popTime === event[4]) this.#remove(entry)
        }
        break
      case 'x':
        this.#forget(queue)
        break
      case 'm':
        reset.add(queue)
        this.#moveTo(queue, event[4])
        break
      case 'o': {
        const order = event[4] === null ? undefined : new OrderBatch(event[4])
        this.#setOrder(queue, order === undefined || order.freeAt === 0 ? undefined : order, record)
        if (order !== undefined) this.#moveTo(queue, order.next)
      }
    }
  }

  #replayedQueue(group: string, topic: string, queueId: number): PopQueue {
    const queue = new PopQueue(group, topic, queueId, this.#deps.offsets.get(group, topic, queueId) ?? 0)
    this.#queues.set(keyOf(group, topic, queueId), queue)
    return queue
  }

  #put(queue: PopQueue, offset: number, popTime: number, invisibleTimeMs: number, dueAt: number | undefined, record: EventRecord): void {
    const old = queue.entries.get(offset)
    if (old !== undefined) this.#remove(old)
    const entry = { queue, offset, popTime, invisibleTimeMs, dueAt: dueAt ?? 0, record, isMoved: false }
    record.live++
    queue.entries.set(offset, entry)
    this.#size++
    if (dueAt !== undefined) this.#plan(entry)
  }

  #hold(entry: InFlight, onLogged?: (refused: string | undefined) => void): void {
    const { queue, offset, popTime, invisibleTimeMs, record: before } = entry
    const event: PopEvent = ['h', queue.group, queue.topic, queue.queueId, offset, popTime, invisibleTimeMs, queue.position]
    // Until it is stored, and when it cannot be, the record before has the last word: the next start must read it.
    const record = this.log.add(event, (refused) => {
      if (refused !== undefined && entry.record === record && queue.entries.get(offset) === entry) {
        entry.record = before
        record.live--
      } else before.live--
      onLogged?.(refused)
    })
    entry.record = record
    record.live++
  }

  #remove(entry: InFlight): void {
    if (entry.queue.entries.get(entry.offset) !== entry) return
    entry.queue.entries.delete(entry.offset)
    entry.record.live--
    this.#size--
  }

  #moveTo(queue: PopQueue, next: number): void {
    for (const entry of queue.entries.values()) if (entry.offset >= next) this.#remove(entry)
    queue.position = next
    if (queue.order !== undefined && queue.order.next !== next) this.#setOrder(queue, undefined, undefined)
    queue.settle()
  }

  #setOrder(queue: PopQueue, order: OrderBatch | undefined, record: EventRecord | undefined): void {
    queue.unstored = undefined
    queue.order = order
    this.#haveLastWord(queue, order === undefined ? undefined : record)
  }

  #haveLastWord(queue: PopQueue, record: EventRecord | undefined): void {
    if (queue.orderRecord !== undefined) queue.orderRecord.live--
    queue.orderRecord = record
    if (record !== undefined) record.live++
  }

  #commit(queue: PopQueue): void {
    queue.advance()
    if (queue.committed === queue.cursor) return
    const { offsets } = this.#deps
    const { group, topic, queueId, cursor } = queue
    // Gone since the last time: the group was deleted, and its offsets must not come back.
    if (queue.committed !== undefined && offsets.get(group, topic, queueId) === undefined) return
    queue.committed = cursor
    offsets.commit(group, topic, queueId, cursor)
  }

  /** It may be in the heap with this time already: another one makes that void. */
  #planAgain(entry: InFlight, dueAt: number): void {
    entry.dueAt = dueAt + 1
    this.#plan(entry)
  }

  #plan(entry: InFlight): void {
    this.due.add(entry.dueAt, entry)
    if (this.due.size > 1024 && this.due.size > 4 * this.#size) this.due.prune((dueAt, one) => isWaiting(one, dueAt))
    if (this.due.nextDueAt === entry.dueAt) this.onDue()
  }

  /** Moved ones count as in flight until the disk has where they went: a loss of power must not take both. */
  #forgetMoved(): void {
    const { store } = this.#deps
    const flushed = store.flushedOffset
    while (this.#moved.length > 0 && (this.#moved[0] as { until: number }).until <= flushed) {
      const { entries } = this.#moved.shift() as { entries: readonly InFlight[] }
      for (const entry of entries) if (entry.isMoved) this.#remove(entry)
      for (const entry of entries) this.#commit(entry.queue)
    }
  }

  #writeAnew(): void {
    const older = (this.log.replayFrom + this.log.end) / 2
    const isOld = ({ queueOffset }: EventRecord): boolean => queueOffset >= 0 && queueOffset < older
    let left: number = LIMITS.popWrittenAnew
    for (const queue of this.#queues.values()) {
      for (const entry of queue.entries.values()) {
        if (left <= 0) return
        if (entry.isMoved || !isOld(entry.record)) continue
        this.#hold(entry)
        left--
      }
      if (queue.order === undefined || queue.orderRecord === undefined || !isOld(queue.orderRecord)) continue
      this.setOrder(queue, queue.order, () => {})
    }
  }
}

/** Not acknowledged, and not changed since it was planned. */
export const isWaiting = (entry: InFlight, dueAt: number): boolean =>
  !entry.isMoved && entry.dueAt === dueAt && entry.queue.entries.get(entry.offset) === entry

const keyOf = (group: string, topic: string, queueId: number): string => `${group}\0${topic}\0${queueId}`
