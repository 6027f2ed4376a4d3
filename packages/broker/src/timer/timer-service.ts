import { decodeRecord } from '@skylarkmq/remoting/protocol'
import type { StoredMessage } from '@skylarkmq/remoting/protocol'
import type { Clock, Log, Timer } from '@skylarkmq/runtime'
import type { AppendResult, MessageStore, MessageToStore, PendingTimer, TimerIndex } from '@skylarkmq/store'
import type { Settings } from '../config.ts'
import { wasDelivered } from '../delay/find-delivery.ts'
import { LIMITS } from '../limits.ts'
import type { Throughput } from '../throughput.ts'
import type { TopicConfigs } from '../topics/topic-configs.ts'
import { canDeliverTo } from '../topics/deliver-to.ts'
import { indexOfLog } from './index-of-log.ts'
import { TimerIndexer } from './timer-indexer.ts'
import { delivered, isDelivered, rolled } from './timer-record.ts'
import { TIMER_QUEUE, TIMER_TOPIC } from './timer-request.ts'

export interface TimerDeps {
  readonly store: MessageStore
  readonly timerIndex: TimerIndex
  readonly clock: Clock
  readonly log: Log
  readonly topics: TopicConfigs
  readonly settings: Settings
  readonly throughput: Throughput
}

/** Arrivals of so long enter the view together. */
const GATHER_MS = 5
/** A wall clock that jumps forward must not leave messages waiting: whoever waits looks this often. */
const LOOK_AGAIN_MS = 1_000
const RETRY_MS = 500
const ROLL_LOOK_MS = 60_000
/** A record is stored anew when it has this share behind it of the time, or of the bytes, that the log keeps. */
const ROLL_AGE = 0.75
/** For the bytes: not sooner than so long after it was stored. */
const ROLL_REST_MS = 600_000
const HOUR_MS = 3_600_000

type Pass = 'again' | 'retry' | 'done'

/**
 * Delivers messages that were given a time of their own (RocketMQ 5.3 `TimerMessageStore`). They lie in queue 0 of Apache's timer topic;
 * the timer index, a view of that queue ordered by time, says which is next. There is no wheel: memory does not grow with what waits, and
 * no time is too far.
 *
 * Neither lost nor twice: a delivery stays in the view until it is on disk, and names the record that it came from. What a start finds in
 * the view from an earlier life is looked for in its topic, by unique key, before it is delivered. One pass at a time does everything:
 * it takes over what arrived, delivers what is due, and stores anew what the log is about to forget.
 */
export class TimerService {
  readonly #deps: TimerDeps
  readonly #indexer: TimerIndexer
  /** Delivered in this life, by origin, with the log position of the delivery: they leave the view when that is on disk. */
  readonly #stored = new Map<number, number>()
  /** All due entries up to here are delivered. */
  #cursor = { dueMs: Number.NEGATIVE_INFINITY, origin: -1 }
  #rolledTo = 0
  #nextRollLook = 0
  #timer: Timer | undefined
  #timerAt = Number.POSITIVE_INFINITY
  #running: Promise<void> | undefined
  #isAsked = false
  #isFailing = false
  #isClosed = false

  /** Before anything is written: whether the view knows the whole log is told by where the log ends. */
  constructor(deps: TimerDeps) {
    this.#deps = deps
    this.#indexer = new TimerIndexer(deps, indexOfLog(deps), {
      added: (entry) => this.#added(entry),
      isDelivered: (entry) => this.#stored.has(entry.origin) || this.#wasDelivered(entry, this.messageOf(entry)),
    })
  }

  start(): void {
    const { store } = this.#deps
    store.onArrival((topic) => {
      if (topic === TIMER_TOPIC) this.#wakeIn(GATHER_MS)
    })
    store.retainFrom(() => this.#neededFrom())
    this.#wakeIn(0)
  }

  /** Ends the pass under way. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#timer?.cancel()
    await this.#running
    this.#indexer.close()
  }

  /** After the store has been closed: what was delivered is on disk now. */
  finish(): void {
    const { store, timerIndex, log } = this.#deps
    try {
      this.#forgetStored()
      const isWhole = this.#stored.size === 0 && this.#indexer.isCaughtUp
      if (isWhole) timerIndex.apply({ state: { ...this.#indexer.state, cleanAt: store.maxPhysicalOffset } })
    } catch (error) {
      log.warn('the list of scheduled messages could not be closed in order; the next start looks for what was delivered', { error })
    }
    timerIndex.close()
  }

  /** Waiting messages of each topic. */
  counts(): ReadonlyMap<string, number> {
    return this.#deps.timerIndex.counts()
  }

  /** Waiting messages after (afterMs, afterOrigin), next first. */
  list(afterMs: number, afterOrigin: number, max: number): PendingTimer[] {
    return this.#deps.timerIndex
      .range(afterMs, afterOrigin, Number.POSITIVE_INFINITY, max + this.#stored.size)
      .filter(({ origin }) => !this.#stored.has(origin))
      .slice(0, max)
  }

  /** Messages that wait for their time. */
  get waiting(): number {
    return Math.max(0, this.#deps.timerIndex.size - this.#stored.size)
  }

  /** For how long the first message that is due has been so. */
  get behindMs(): number {
    const next = this.#deps.timerIndex.nextDueMs(this.#cursor.dueMs, this.#cursor.origin)
    return next === undefined ? 0 : Math.max(0, this.#deps.clock.now() - next)
  }

  /** First offset of the timer topic's queue that is not taken over yet. */
  get indexedTo(): number {
    return this.#indexer.state.indexedTo
  }

  /** Resolves when the recall at this offset of the timer topic has taken effect: how many messages it took back; undefined: not known. */
  recalled(queueOffset: number): Promise<number | undefined> {
    return this.#indexer.recalled(queueOffset)
  }

  /** Where the message lies that an entry stands for. Undefined when its record is damaged or gone. */
  messageOf(entry: PendingTimer): StoredMessage | undefined {
    const record = this.#deps.store.readRecordAt(entry.position)
    const message = record === undefined ? undefined : decodeRecord(record)
    return message?.topic === TIMER_TOPIC && message.queueOffset === entry.queueOffset ? message : undefined
  }

  /** The log is kept from the oldest waiting record on; wholly while it is not known which that is. */
  #neededFrom(): number {
    if (!this.#indexer.isCaughtUp) return 0
    return this.#deps.timerIndex.oldest()?.position ?? Number.POSITIVE_INFINITY
  }

  #added(entry: PendingTimer): void {
    const { dueMs, origin } = this.#cursor
    if (entry.dueMs < dueMs || (entry.dueMs === dueMs && entry.origin <= origin)) this.#goBackBefore(entry)
  }

  #goBackBefore(entry: PendingTimer): void {
    this.#cursor = { dueMs: entry.dueMs, origin: entry.origin - 1 }
  }

  #wakeIn(ms: number): void {
    if (this.#isClosed) return
    if (this.#running !== undefined) {
      this.#isAsked = true
      return
    }
    const at = this.#deps.clock.monotonic() + ms
    if (this.#timer !== undefined && this.#timerAt <= at) return
    this.#timer?.cancel()
    this.#timerAt = at
    this.#timer = this.#deps.clock.after(ms, () => {
      this.#timer = undefined
      this.#running = this.#run().then((waitMs) => {
        this.#running = undefined
        if (this.#isAsked) this.#wakeIn(GATHER_MS)
        else if (waitMs !== undefined) this.#wakeIn(waitMs)
      })
    })
  }

  /** How long until the next pass; undefined: until something arrives. */
  async #run(): Promise<number | undefined> {
    this.#isAsked = false
    try {
      for (let pass: Pass = 'again'; pass === 'again' && !this.#isClosed; ) {
        await this.#indexer.catchUp()
        this.#forgetStored()
        pass = await this.#deliverDue()
        if (pass === 'done') pass = await this.#roll()
        if (pass === 'retry') return RETRY_MS
        // Others have their turn.
        await new Promise<void>((resolve) => this.#deps.clock.afterTurn(resolve))
      }
      if (this.#isFailing) this.#deps.log.info('the scheduled messages are worked on again')
      this.#isFailing = false
      return this.#waitMs()
    } catch (error) {
      if (!this.#isFailing) this.#deps.log.error('the scheduled messages cannot be worked on; it is tried again twice a second', { error })
      this.#isFailing = true
      this.#indexer.failed()
      return RETRY_MS
    }
  }

  #waitMs(): number | undefined {
    const next = this.#deps.timerIndex.nextDueMs(this.#cursor.dueMs, this.#cursor.origin)
    if (next === undefined) return this.#stored.size > 0 ? LOOK_AGAIN_MS : undefined
    return Math.max(1, Math.min(LOOK_AGAIN_MS, next - this.#deps.clock.now()))
  }

  #forgetStored(): void {
    const { store, timerIndex } = this.#deps
    const remove: number[] = []
    for (const [origin, position] of this.#stored) if (position < store.flushedOffset) remove.push(origin)
    if (remove.length === 0) return
    timerIndex.apply({ remove })
    for (const origin of remove) this.#stored.delete(origin)
  }

  /** One batch of what is due, in order of time. */
  async #deliverDue(): Promise<Pass> {
    const { timerIndex, clock, log } = this.#deps
    const nowMs = clock.now()
    const due = timerIndex.range(this.#cursor.dueMs, this.#cursor.origin, nowMs, LIMITS.scheduleMessages)
    if (due.length === 0) return 'done'
    const remove: number[] = []
    const appends: Promise<{ readonly entry: PendingTimer; readonly result: AppendResult }>[] = []
    let bytes = 0
    for (const entry of due) {
      if (bytes > LIMITS.scheduleBytes) break
      this.#cursor = { dueMs: entry.dueMs, origin: entry.origin }
      if (this.#stored.has(entry.origin)) continue
      const target = this.#targetOf(entry, nowMs)
      if (target === undefined) remove.push(entry.origin)
      else {
        bytes += target.body.length + target.properties.length
        appends.push(this.#append(target).then((result) => ({ entry, result })))
      }
    }
    let failed: { readonly entry: PendingTimer; readonly result: AppendResult } | undefined
    for (const { entry, result } of await Promise.all(appends)) {
      if (isStored(result)) {
        this.#stored.set(entry.origin, result.physicalOffset)
        this.#deps.throughput.timed++
      } else failed ??= { entry, result }
    }
    if (failed !== undefined) {
      this.#goBackBefore(failed.entry)
      const reason = failed.result.reason ?? failed.result.status
      log.warn('a scheduled message could not be stored in its topic; it is tried again', { topic: failed.entry.topic, reason })
    }
    if (remove.length > 0) timerIndex.apply({ remove })
    return failed === undefined ? 'again' : 'retry'
  }

  /** What to store for an entry that is due. Undefined: nothing, it has been delivered or cannot be. */
  #targetOf(entry: PendingTimer, nowMs: number): MessageToStore | undefined {
    const { log, topics } = this.#deps
    const message = this.messageOf(entry)
    if (message === undefined) {
      this.#tellLost(entry)
      return undefined
    }
    if (this.#wasDelivered(entry, message)) return undefined
    const target = delivered(message, entry, nowMs)
    if (target === undefined || canDeliverTo(topics, target.topic, target.queueId)) return target
    log.warn('a scheduled message is left out: its topic was deleted', { topic: entry.topic, position: entry.position })
    return undefined
  }

  #tellLost({ topic, position }: PendingTimer): void {
    this.#deps.log.error('a scheduled message is lost: its record in the log cannot be read', { topic, position })
  }

  /** By a life that ended before it could say so. */
  #wasDelivered(entry: PendingTimer, message: StoredMessage | undefined): boolean {
    if (message === undefined || entry.queueOffset >= this.#indexer.state.doubtBelow) return false
    return wasDelivered(this.#deps.store, message, entry.topic, (found) => isDelivered(found, message, entry))
  }

  /** The log keeps nothing for ever: a record that has lain there for long is stored anew at its end. */
  async #roll(): Promise<Pass> {
    const { timerIndex, clock } = this.#deps
    if (this.#indexer.state.indexedTo < this.#rolledTo || clock.monotonic() < this.#nextRollLook) return 'done'
    const nowMs = clock.now()
    const isOld = this.#isToRoll(nowMs)
    const { indexedTo } = this.#indexer.state
    const old = timerIndex.storedBetween(0, indexedTo, LIMITS.scheduleMessages).filter((entry) => entry.dueMs > nowMs && isOld(entry))
    if (old.length === 0) {
      this.#nextRollLook = clock.monotonic() + ROLL_LOOK_MS
      return 'done'
    }
    const remove: number[] = []
    const appends: Promise<AppendResult>[] = []
    for (const entry of old) {
      const message = this.messageOf(entry)
      if (message === undefined) this.#tellLost(entry)
      if (message === undefined || this.#wasDelivered(entry, message)) remove.push(entry.origin)
      else appends.push(this.#append(rolled(message, entry, nowMs)))
    }
    const results = await Promise.all(appends)
    for (const result of results) if (isStored(result)) this.#rolledTo = Math.max(this.#rolledTo, result.queueOffset + 1)
    if (remove.length > 0) timerIndex.apply({ remove })
    return results.every(isStored) ? 'again' : 'retry'
  }

  /** By the time and by the size that the log is kept for. */
  #isToRoll(nowMs: number): (entry: PendingTimer) => boolean {
    const { store, settings } = this.#deps
    const { fileReservedTime, retentionBytes } = settings.current
    const offsetAt = (ms: number): number => store.offsetByTime(TIMER_TOPIC, TIMER_QUEUE, ms, 'lower')
    const oldBelow = offsetAt(nowMs - fileReservedTime * HOUR_MS * ROLL_AGE)
    if (retentionBytes <= 0) return ({ queueOffset }) => queueOffset < oldBelow
    const farBelow = store.maxPhysicalOffset - retentionBytes * ROLL_AGE
    // What waits may be more than the log is to hold: it is not written over and over.
    const restedBelow = offsetAt(nowMs - ROLL_REST_MS)
    return ({ queueOffset, position }) => queueOffset < oldBelow || (position < farBelow && queueOffset < restedBelow)
  }

  #append(message: MessageToStore): Promise<AppendResult> {
    const isSync = this.#deps.settings.current.flushDiskType === 'SYNC_FLUSH'
    return new Promise((resolve) => this.#deps.store.append(message, isSync, resolve))
  }
}

const isStored = (result: AppendResult): boolean => result.status === 'ok' || result.status === 'flush-timeout'
