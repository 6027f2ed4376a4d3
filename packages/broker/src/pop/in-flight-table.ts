import type { MetadataStore } from '@skylarkmq/store'
import { LIMITS } from '../limits.ts'
import type { ConsumerOffsets } from '../offsets/consumer-offsets.ts'
import { InFlightReplay } from './in-flight-replay.ts'
import { InFlightState } from './in-flight-state.ts'
import type { OrderBatch } from './order-batch.ts'
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
  readonly state: InFlightState
  readonly #deps: TableDeps
  readonly #replayMaxRecords: number
  /** Moved, and not yet surely on disk where they were moved to. */
  #moved: { readonly entries: readonly InFlight[]; readonly until: number }[] = []

  constructor(deps: TableDeps, replayMaxRecords: number = REPLAY_MAX_RECORDS) {
    this.#deps = deps
    this.#replayMaxRecords = replayMaxRecords
    this.log = new PopLog(deps)
    this.state = new InFlightState(deps.clock, deps.offsets)
  }

  /** The queue as the group goes on with it; `init` says where a group begins that has no offset. */
  queueFor(group: string, topic: string, queueId: number, init: () => number): PopQueue {
    const { offsets } = this.#deps
    const reset = offsets.takeReset(group, topic, queueId)
    const committed = reset ?? offsets.get(group, topic, queueId)
    const known = this.state.find(group, topic, queueId)
    if (known !== undefined && reset === undefined && committed !== undefined && committed === known.committed) return known
    if (known !== undefined && committed !== undefined) {
      this.moveTo(known, committed)
      return known
    }
    // Without an offset whatever is known is of a group or topic of that name that was deleted.
    if (known !== undefined) this.drop(known)
    const queue = new PopQueue(group, topic, queueId, committed ?? 0)
    this.state.add(queue)
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
    for (const offset of offsets) this.state.put(queue, offset, popTime, invisibleTimeMs, dueAt, record)
    queue.position = Math.max(queue.position, next)
    this.state.commit(queue)
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
    this.state.put(queue, offset, popTime, invisibleTimeMs, this.#deps.clock.monotonic() + leftMs, record)
    queue.settle()
    this.state.commit(queue)
  }

  /** Nothing of interest up to here. Not worth an event: it is looked at again after a crash. */
  skipTo(queue: PopQueue, next: number): void {
    if (next <= queue.position) return
    queue.position = next
    this.state.commit(queue)
  }

  /** The message that this handle names, as long as it is in flight. */
  entry(group: string, topic: string, queueId: number, offset: number, popTime: number): InFlight | undefined {
    const entry = this.state.find(group, topic, queueId)?.entries.get(offset)
    return entry !== undefined && !entry.isMoved && entry.popTime === popTime ? entry : undefined
  }

  /** When it cannot be stored it is not done: the message is in flight as before, and another acknowledgement is welcome. */
  ack(entry: InFlight, onLogged: (refused: string | undefined) => void): void {
    const { group, topic, queueId } = entry.queue
    entry.isMoved = true
    this.log.add(['d', group, topic, queueId, entry.popTime, [entry.offset]], (refused) => {
      if (refused === undefined) {
        this.state.remove(entry)
        this.state.commit(entry.queue)
      } else if (entry.queue.entries.get(entry.offset) === entry) {
        entry.isMoved = false
        this.state.planAgain(entry, entry.dueAt)
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
        this.state.planAgain(entry, dueAt)
      }
      onLogged(refused)
    })
    this.state.plan(entry)
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
    this.state.postpone(entry, ms)
  }

  /** The group goes on here, whatever was in flight from here on. */
  moveTo(queue: PopQueue, next: number): void {
    this.log.add(['m', queue.group, queue.topic, queue.queueId, next])
    if (queue.unstored !== undefined && queue.order?.next !== next) this.state.setOrder(queue, undefined, undefined)
    this.state.moveTo(queue, next)
    this.state.commit(queue)
  }

  /** Counts at once. When it cannot be stored the batch is as it was, and so is the group's place. */
  setOrder(queue: PopQueue, order: OrderBatch, onLogged: (refused: string | undefined) => void): void {
    const { group, topic, queueId } = queue
    const unstored = (queue.unstored ??= { count: 0, newest: order, stored: queue.order, cursor: queue.cursor })
    unstored.count++
    unstored.newest = order
    queue.order = order.freeAt === 0 ? undefined : order
    // In order, what is in flight is known by the batch alone.
    this.state.moveTo(queue, order.next)
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
      this.state.haveLastWord(queue, changed.freeAt === 0 ? undefined : record)
    }
    if (--unstored.count > 0) return
    queue.unstored = undefined
    if (unstored.stored !== unstored.newest) {
      queue.order = unstored.stored?.freeAt === 0 ? undefined : unstored.stored
      this.state.moveTo(queue, unstored.cursor)
    }
    this.state.commit(queue)
  }

  /** Reads the log. Before requests are taken. `isGone`: its topic was deleted. */
  async open(isGone: (queue: PopQueue) => boolean): Promise<void> {
    const saved = Number(this.#deps.metadata.get('kv', ROW) ?? 0)
    const replay = new InFlightReplay(this.#deps, this.log, this.state)
    for (const entry of await replay.read(Number.isSafeInteger(saved) ? saved : 0, isGone)) this.#hold(entry)
  }

  /** Where the log is read from at the next start, together with the offsets that belong to it. */
  save(isGone: (queue: PopQueue) => boolean): void {
    const { metadata, offsets } = this.#deps
    this.#forgetMoved()
    for (const queue of this.state.queues()) {
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
    this.state.forget(queue)
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

  /** Moved ones count as in flight until the disk has where they went: a loss of power must not take both. */
  #forgetMoved(): void {
    const { store } = this.#deps
    const flushed = store.flushedOffset
    while (this.#moved.length > 0 && (this.#moved[0] as { until: number }).until <= flushed) {
      const { entries } = this.#moved.shift() as { entries: readonly InFlight[] }
      for (const entry of entries) if (entry.isMoved) this.state.remove(entry)
      for (const entry of entries) this.state.commit(entry.queue)
    }
  }

  #writeAnew(): void {
    const older = (this.log.replayFrom + this.log.end) / 2
    const isOld = ({ queueOffset }: EventRecord): boolean => queueOffset >= 0 && queueOffset < older
    let left: number = LIMITS.popWrittenAnew
    for (const queue of this.state.queues()) {
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
