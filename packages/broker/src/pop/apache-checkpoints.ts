import { decodeRecords } from '@skylarkmq/remoting/protocol'
import type { StoredMessage } from '@skylarkmq/remoting/protocol'
import type { Clock, Log, Timer } from '@skylarkmq/runtime'
import type { MessageStore } from '@skylarkmq/store'
import type { Settings } from '../config.ts'
import { LIMITS } from '../limits.ts'
import type { ConsumerOffsets } from '../offsets/consumer-offsets.ts'
import { TIMER_QUEUE, TIMER_TOPIC } from '../timer/timer-request.ts'
import type { TimerService } from '../timer/timer-service.ts'
import { ackedBy, keyOf, parseCheckpoint } from './apache-checkpoint.ts'
import type { Checkpoint } from './apache-checkpoint.ts'
import type { InFlightTable } from './in-flight-table.ts'

export interface ApacheCheckpointDeps {
  readonly store: MessageStore
  readonly timers: TimerService
  readonly offsets: ConsumerOffsets
  readonly settings: Settings
  readonly clock: Clock
  readonly log: Log
}

/** Apache's broker reads its revive topic as this group: with its offset either broker goes on where the other stopped. */
const GROUP = 'CID_RMQ_SYS_REVIVE_GROUP'
const LOOK_MS = 1000
/** Acknowledgements become visible a second after their checkpoint; nobody is in a hurry. */
const GRACE_MS = 3000

/** A checkpoint whose time is not quite up. */
interface Pending {
  readonly checkpoint: Checkpoint
  readonly queueOffset: number
  /** Offsets of messages that nobody has acknowledged. */
  readonly left: Set<number>
}

interface ReviveQueue {
  readonly queueId: number
  next: number
  readonly pending: Map<string, Pending>
}

/** A message by its handle. */
export interface Named {
  readonly group: string
  readonly topic: string
  readonly queueId: number
  readonly offset: number
  readonly popTime: number
}

/**
 * Messages that Apache's broker had given out when this one took over its folder. It notes each pop in a checkpoint and each
 * acknowledgement in a message, which become visible in the revive topic when the invisible time is up (RocketMQ 5.3 `PopReviveService`);
 * the timer service sees to that here as well. What a checkpoint names and nobody has acknowledged enters the table of what is in flight,
 * from where it is delivered again as everything else.
 */
export class ApacheCheckpoints {
  readonly #deps: ApacheCheckpointDeps
  readonly #table: InFlightTable
  readonly #topic: string
  readonly #queues: ReviveQueue[] = []
  /** Acknowledged here after being popped there. */
  readonly #acked = new Set<string>()
  /** Checkpoints may still come. */
  #isExpecting = true
  #wasQuiet = false
  /** End of the timer topic at the start. */
  #timersFound = 0
  #timer: Timer | undefined
  #running: Promise<void> | undefined
  #isClosed = false

  constructor(deps: ApacheCheckpointDeps, table: InFlightTable) {
    this.#deps = deps
    this.#table = table
    this.#topic = `rmq_sys_REVIVE_LOG_${deps.settings.current.brokerClusterName}`
  }

  start(): void {
    this.#timersFound = this.#deps.store.maxOffset(TIMER_TOPIC, TIMER_QUEUE)
    this.#deps.store.onArrival((topic) => {
      if (topic === this.#topic) this.#plan()
    })
    this.#plan()
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#timer?.cancel()
    await this.#running
  }

  /** It may be of a pop that the other broker answered. */
  acknowledged(named: Named): void {
    if (this.#isExpecting && this.#acked.size < LIMITS.popInFlightPerQueue) this.#acked.add(nameOf(named))
  }

  #plan(): void {
    if (this.#isClosed || this.#timer !== undefined || this.#running !== undefined) return
    this.#timer = this.#deps.clock.after(LOOK_MS, () => {
      this.#timer = undefined
      this.#running = this.#look().then(
        () => this.#looked(false),
        (error: unknown) => {
          this.#deps.log.error('what Apache RocketMQ had given out cannot be read; it is tried again', { topic: this.#topic, error })
          this.#looked(true)
        },
      )
    })
  }

  #looked(hasFailed: boolean): void {
    this.#running = undefined
    const { timers } = this.#deps
    const isPending = this.#queues.some(({ pending }) => pending.size > 0)
    const isKnown = this.#isIndexed
    // This broker makes no checkpoints: when the last is done with, none comes any more.
    if (this.#isExpecting) this.#isExpecting = isPending || !isKnown || (timers.counts().get(this.#topic) ?? 0) > 0
    if (!this.#isExpecting) this.#acked.clear()
    // Else an arrival says when to look again.
    if (hasFailed || isPending || !isKnown) this.#plan()
  }

  /** It is known what of the other broker's still waits for its time. */
  get #isIndexed(): boolean {
    return this.#deps.timers.indexedTo >= this.#timersFound
  }

  async #look(): Promise<void> {
    const { store, offsets, clock, timers } = this.#deps
    // What has been due for so long has been delivered.
    const isQuiet = this.#isIndexed && timers.behindMs < LOOK_MS
    for (const queueId of store.queues().get(this.#topic) ?? []) {
      if (this.#queues.some((queue) => queue.queueId === queueId)) continue
      this.#queues.push({ queueId, next: offsets.get(GROUP, this.#topic, queueId) ?? 0, pending: new Map() })
    }
    for (const queue of this.#queues) await this.#read(queue)
    // What was due at the last look has been read by now.
    if (isQuiet && this.#wasQuiet) for (const queue of this.#queues) this.#settle(queue, clock.now())
    this.#wasQuiet = isQuiet
  }

  async #read(queue: ReviveQueue): Promise<void> {
    const { store } = this.#deps
    const { queueId } = queue
    const end = store.maxOffset(this.#topic, queueId)
    queue.next = Math.max(queue.next, store.minOffset(this.#topic, queueId))
    while (queue.next < end && !this.#isClosed) {
      const { body, nextOffset } = await store.read({
        topic: this.#topic,
        queueId,
        offset: queue.next,
        maxMessages: LIMITS.scheduleMessages,
        maxBytes: LIMITS.scheduleBytes,
      })
      for (const message of decodeRecords(body)) this.#take(queue, message)
      if (nextOffset <= queue.next) break
      queue.next = nextOffset
    }
  }

  #take({ pending }: ReviveQueue, message: StoredMessage): void {
    const checkpoint = parseCheckpoint(message)
    if (checkpoint !== undefined) {
      const { offsets } = checkpoint
      pending.set(keyOf(checkpoint), { checkpoint, queueOffset: message.queueOffset, left: new Set(offsets) })
      return
    }
    const acked = ackedBy(message)
    if (acked === undefined) return
    const found = pending.get(acked.key)
    for (const offset of acked.offsets) found?.left.delete(offset)
  }

  #settle(queue: ReviveQueue, now: number): void {
    let count = 0
    for (const [key, one] of queue.pending) {
      const { checkpoint, left } = one
      const { group, topic, queueId, popTime, invisibleTimeMs } = checkpoint
      if (popTime + invisibleTimeMs + GRACE_MS > now) continue
      for (const offset of left) {
        if (this.#acked.has(nameOf({ group, topic, queueId, offset, popTime }))) continue
        this.#table.adopt({ group, topic, queueId, offset, popTime, invisibleTimeMs })
        count++
      }
      queue.pending.delete(key)
    }
    if (count > 0) this.#deps.log.info('messages that Apache RocketMQ had given out are delivered again', { count })
    const settled = this.#table.log.settled()
    if (settled === undefined) this.#commit(queue)
    else void settled.then(() => this.#commit(queue))
  }

  #commit({ queueId, next, pending }: ReviveQueue): void {
    let oldest = next
    for (const { queueOffset } of pending.values()) oldest = Math.min(oldest, queueOffset)
    if (next > 0) this.#deps.offsets.commit(GROUP, this.#topic, queueId, oldest)
  }
}

const nameOf = ({ group, topic, queueId, offset, popTime }: Named): string => `${group}\n${topic}\n${queueId}\n${offset}\n${popTime}`
