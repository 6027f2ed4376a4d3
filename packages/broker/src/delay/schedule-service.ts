import { HALF_TOPIC, PROPERTY, SCHEDULE_TOPIC, checkTopicName, decodeRecords } from '@skylarkmq/remoting/protocol'
import type { StoredMessage } from '@skylarkmq/remoting/protocol'
import type { Clock, Log, Timer } from '@skylarkmq/runtime'
import type { MessageStore, MessageToStore, MetadataStore, ReadResult } from '@skylarkmq/store'
import { LIMITS } from '../limits.ts'
import { canDeliverTo, copyOf } from '../topics/deliver-to.ts'
import type { TopicConfigs } from '../topics/topic-configs.ts'
import { looksSame, wasDelivered } from './find-delivery.ts'

export interface ScheduleDeps {
  readonly store: MessageStore
  readonly metadata: MetadataStore
  readonly clock: Clock
  readonly log: Log
  readonly delayLevelsMs: readonly number[]
  readonly topics: TopicConfigs
  /** Whether a message must be on disk before its level goes on. */
  readonly isSync: boolean
}

/** Where the log ended when the levels' progress was last saved in order. */
const CLEAN_AT = 'delayCleanAt'

/** A wall clock that jumps forward must not leave messages waiting: levels that wait look this often. */
const LOOK_AGAIN_MS = 1_000
const RETRY_MS = 100

interface Level {
  readonly number: number
  readonly queueId: number
  readonly delayMs: number
  /** The next entry to deliver. */
  offset: number
  /** What was delivered and is not on disk yet: the offset to go on at, and the log position of the delivery. */
  unsaved: { readonly offset: number; readonly position: number }[]
  /** Entries below may have been delivered by a life that ended before it could say so. */
  readonly doubtBelow: number
  /** Log position of an entry, kept for whoever asks what is still needed. */
  needed: { readonly offset: number; readonly position: number }
  timer: Timer | undefined
  isRunning: boolean
  /** Something arrived while it ran. */
  isAsked: boolean
}

/**
 * Delivers delayed messages: one queue of the schedule topic a level, its entries due in order. A level sleeps until its first entry is
 * due, or until one arrives (RocketMQ 5.3 `ScheduleMessageService`). Progress is saved once a delivery is on disk, so that none is lost;
 * what a crash leaves unsaved is found in the log, for a delivery names the record that it came from, so that none comes twice.
 */
export class ScheduleService {
  readonly #deps: ScheduleDeps
  readonly #levels: Level[]
  #isClosed = false

  constructor(deps: ScheduleDeps) {
    this.#deps = deps
    const isClean = deps.metadata.get('kv', CLEAN_AT) === String(deps.store.maxPhysicalOffset)
    this.#levels = deps.delayLevelsMs.map((delayMs, queueId) => ({
      number: queueId + 1,
      queueId,
      delayMs,
      offset: Number(deps.metadata.get('delay', String(queueId + 1)) ?? 0),
      unsaved: [],
      doubtBelow: isClean ? 0 : deps.store.maxOffset(SCHEDULE_TOPIC, queueId),
      needed: { offset: -1, position: 0 },
      timer: undefined,
      isRunning: false,
      isAsked: false,
    }))
  }

  start(): void {
    this.#deps.store.onArrival((topic, queueId) => {
      const level = topic === SCHEDULE_TOPIC ? this.#levels[queueId] : undefined
      // A level with a timer waits for an earlier entry than the one that arrived.
      if (level !== undefined && level.timer === undefined) this.#look(level)
    })
    this.#deps.store.retainFrom(() => Math.min(...this.#levels.map((level) => this.#neededFrom(level))))
    for (const level of this.#levels) {
      this.#clamp(level)
      this.#look(level)
    }
  }

  close(): void {
    this.#isClosed = true
    for (const level of this.#levels) level.timer?.cancel()
  }

  /** After the store has been closed: what was delivered is on disk now. */
  finish(): void {
    for (const level of this.#levels) this.#save(level)
    if (this.#levels.every(({ unsaved }) => unsaved.length === 0)) {
      this.#deps.metadata.set('kv', CLEAN_AT, String(this.#deps.store.maxPhysicalOffset))
    }
  }

  /** Log position of the next entry; 0, which keeps everything, while it is not known. */
  #neededFrom(level: Level): number {
    const { store } = this.#deps
    const { queueId, offset } = level
    if (offset >= store.maxOffset(SCHEDULE_TOPIC, queueId)) return Number.POSITIVE_INFINITY
    if (level.needed.offset === offset) return level.needed.position
    const learn = ({ body, status, nextOffset }: ReadResult): number => {
      const first = status === 'found' ? decodeRecords(body)[0] : undefined
      if (first !== undefined && level.offset === offset) level.needed = { offset, position: first.physicalOffset }
      return first?.physicalOffset ?? (nextOffset > offset ? Number.POSITIVE_INFINITY : 0)
    }
    const result = store.read({ topic: SCHEDULE_TOPIC, queueId, offset, maxMessages: 1, maxBytes: 1 })
    if (!(result instanceof Promise)) return learn(result)
    result.then(learn, () => undefined)
    return 0
  }

  /** `[level, next offset, end of its queue]` */
  progress(): { readonly level: number; readonly offset: number; readonly maxOffset: number }[] {
    return this.#levels.map((level) => ({
      level: level.number,
      offset: level.offset,
      maxOffset: this.#deps.store.maxOffset(SCHEDULE_TOPIC, level.queueId),
    }))
  }

  /** The queue may have lost its end or its beginning since the progress was saved. */
  #clamp(level: Level): void {
    const { store, log } = this.#deps
    const [min, max] = [store.minOffset(SCHEDULE_TOPIC, level.queueId), store.maxOffset(SCHEDULE_TOPIC, level.queueId)]
    const offset = Math.max(Math.max(0, min), Math.min(level.offset, Math.max(0, max)))
    if (offset === level.offset) return
    log.warn('the delivery of a delay level goes on elsewhere: its queue does not reach there', {
      level: level.number,
      from: level.offset,
      to: offset,
    })
    this.#advance(level, offset, -1)
  }

  #look(level: Level): void {
    if (this.#isClosed) return
    if (level.isRunning) {
      level.isAsked = true
      return
    }
    if (this.#deps.store.maxOffset(SCHEDULE_TOPIC, level.queueId) <= level.offset && level.offset === 0) return
    level.isRunning = true
    level.isAsked = false
    const due = { at: Number.POSITIVE_INFINITY }
    const result = this.#readDue(level, due)
    const deliver = (found: ReadResult): void => this.#deliver(level, found, due.at)
    if (result instanceof Promise) result.then(deliver, (error: unknown) => this.#failed(level, error))
    else deliver(result)
  }

  /** Entries up to the first that is not due; `due.at` becomes that one's time. */
  #readDue(level: Level, due: { at: number }): ReadResult | Promise<ReadResult> {
    const now = this.#deps.clock.now()
    return this.#deps.store.read({
      topic: SCHEDULE_TOPIC,
      queueId: level.queueId,
      offset: level.offset,
      maxMessages: LIMITS.scheduleMessages,
      maxBytes: LIMITS.scheduleBytes,
      entryFilter: (deliverAt) => {
        if (due.at !== Number.POSITIVE_INFINITY) return false
        // Later than its level allows: the clock was wrong when it was stored.
        if (deliverAt <= now || deliverAt > now + level.delayMs) return true
        due.at = deliverAt
        return false
      },
    })
  }

  #deliver(level: Level, result: ReadResult, dueAt: number): void {
    if (this.#isClosed) return
    const messages = result.status === 'found' ? decodeRecords(result.body) : []
    if (messages.length > 0) {
      this.#storeNext(level, messages, 0)
      return
    }
    level.isRunning = false
    if (dueAt !== Number.POSITIVE_INFINITY) {
      this.#sleep(level, Math.min(LOOK_AGAIN_MS, Math.max(1, dueAt - this.#deps.clock.now())))
      return
    }
    const isOutside = result.status === 'offset-too-small' || result.status === 'offset-overflow-badly'
    if (isOutside || (result.status !== 'offset-overflow-one' && result.nextOffset > level.offset)) {
      if (isOutside)
        this.#deps.log.warn('the delivery of a delay level jumped', { level: level.number, from: level.offset, to: result.nextOffset })
      this.#advance(level, result.nextOffset, -1)
      this.#sleep(level, 1)
    } else if (level.isAsked) this.#look(level)
  }

  /** All of a read are handed to the store at once; the level goes on when the last is stored, and stops at the first that is not. */
  #storeNext(level: Level, messages: readonly StoredMessage[], from: number): void {
    let pending = 0
    let failedAt: number | undefined
    let reason: string | undefined
    const done = (): void => {
      level.isRunning = false
      if (this.#isClosed) return
      if (failedAt === undefined) {
        this.#look(level)
        return
      }
      this.#deps.log.warn('a delayed message could not be stored in its topic; it is tried again', {
        level: level.number,
        offset: failedAt,
        reason,
      })
      this.#sleep(level, RETRY_MS)
    }
    for (let i = from; i < messages.length; i++) {
      const message = messages[i] as StoredMessage
      const target = this.#targetOf(level, message)
      if (target === undefined) continue
      pending++
      this.#deps.store.append(target, this.#deps.isSync, (result) => {
        const isStored = result.status === 'ok' || result.status === 'flush-timeout'
        if (isStored && failedAt === undefined) this.#advance(level, message.queueOffset + 1, result.physicalOffset)
        if (!isStored && failedAt === undefined) {
          failedAt = message.queueOffset
          reason = result.reason ?? result.status
        }
        if (--pending === 0) finish()
      })
    }
    const last = messages[messages.length - 1] as StoredMessage
    const finish = (): void => {
      if (failedAt === undefined) this.#advance(level, last.queueOffset + 1, -1)
      done()
    }
    if (pending === 0) this.#deps.clock.afterTurn(finish)
  }

  /** The message as it goes to its real topic, and where it came from. Undefined: nothing is to be stored. Properties stay as stored: consumers see DELAY, REAL_TOPIC and REAL_QID. */
  #targetOf(level: Level, message: StoredMessage): MessageToStore | undefined {
    const topic = message.properties.get(PROPERTY.REAL_TOPIC) ?? ''
    const queueId = Number(message.properties.get(PROPERTY.REAL_QID) ?? Number.NaN)
    if (
      topic === HALF_TOPIC ||
      topic === SCHEDULE_TOPIC ||
      checkTopicName(topic) !== undefined ||
      !Number.isInteger(queueId) ||
      queueId < 0
    ) {
      this.#deps.log.error('a delayed message is left out: it does not say where it goes', {
        level: level.number,
        offset: message.queueOffset,
        topic,
      })
      return undefined
    }
    const { store, topics, log } = this.#deps
    const isDelivery = (found: StoredMessage): boolean =>
      found.preparedTransactionOffset === message.physicalOffset || (found.preparedTransactionOffset === 0 && looksSame(found, message))
    if (message.queueOffset < level.doubtBelow && wasDelivered(store, message, topic, isDelivery)) return undefined
    if (!canDeliverTo(topics, topic, queueId)) {
      log.warn('a delayed message is left out: its topic was deleted', { level: level.number, offset: message.queueOffset, topic })
      return undefined
    }
    return copyOf(message, topic, queueId, message.physicalOffset, Buffer.from(message.propertiesText))
  }

  #advance(level: Level, offset: number, position: number): void {
    level.offset = offset
    level.unsaved.push({ offset, position })
    this.#save(level)
  }

  #save(level: Level): void {
    const { store, metadata } = this.#deps
    let count = 0
    while (count < level.unsaved.length && (level.unsaved[count]?.position ?? 0) < store.flushedOffset) count++
    if (count === 0) return
    metadata.set('delay', String(level.number), String(level.unsaved[count - 1]?.offset))
    level.unsaved = level.unsaved.slice(count)
  }

  #sleep(level: Level, ms: number): void {
    level.timer?.cancel()
    level.timer = this.#deps.clock.after(ms, () => {
      level.timer = undefined
      this.#look(level)
    })
  }

  #failed(level: Level, error: unknown): void {
    level.isRunning = false
    this.#deps.log.error('reading delayed messages failed; it is tried again', { level: level.number, error })
    this.#sleep(level, RETRY_MS)
  }
}
