import {
  PROPERTIES_MAX_BYTES,
  PROPERTY,
  decodeRecord,
  dlqTopic,
  formatProperties,
  hostToBytes,
  isRetryTopic,
  offsetMessageId,
  originOfPopRetryTopic,
  popRetryTopicV1,
  popRetryTopicV2,
} from '@skylarkmq/remoting/protocol'
import type { StoredMessage } from '@skylarkmq/remoting/protocol'
import type { Clock, Log, Timer } from '@skylarkmq/runtime'
import type { AppendResult, MessageStore, MessageToStore, ReadResult } from '@skylarkmq/store'
import type { Settings } from '../config.ts'
import type { GroupConfigs } from '../groups/group-configs.ts'
import { LIMITS } from '../limits.ts'
import { hostFlags } from '../processors/send-message.ts'
import type { TopicConfigs } from '../topics/topic-configs.ts'
import type { InFlightTable } from './in-flight-table.ts'
import { isWaiting } from './in-flight-state.ts'
import type { InFlight } from './pop-queue.ts'

export interface ReviveDeps {
  readonly store: MessageStore
  readonly topics: TopicConfigs
  readonly groupConfigs: GroupConfigs
  readonly settings: Settings
  readonly clock: Clock
  readonly log: Log
  readonly storeHost: Uint8Array
}

/** A clock that was suspended with its computer must not leave messages waiting for hours. */
const LOOK_AGAIN_MS = 60_000
const RETRY_MS = 1000

/**
 * Messages that nobody acknowledged within their invisible time. They are stored anew in the retry topic of group and topic, which pops
 * look into as well (RocketMQ 5.3 `PopReviveService`), with one attempt more; after the last one of the group in its dead-letter topic.
 * The copy and the event that says so are written at once, so that a crash neither loses nor doubles it.
 */
export class ReviveService {
  readonly #deps: ReviveDeps
  readonly #table: InFlightTable
  readonly #wake: (topic: string, group: string) => void
  #timer: Timer | undefined
  #plannedFor = Number.POSITIVE_INFINITY
  #isClosed = false

  constructor(deps: ReviveDeps, table: InFlightTable, wake: (topic: string, group: string) => void) {
    this.#deps = deps
    this.#table = table
    this.#wake = wake
  }

  start(): void {
    this.#table.state.onDue = () => this.#plan()
    this.#plan()
  }

  close(): void {
    this.#isClosed = true
    this.#table.state.onDue = () => {}
    this.#timer?.cancel()
  }

  #plan(): void {
    const { clock } = this.#deps
    const next = this.#table.state.due.nextDueAt
    if (this.#isClosed || next === undefined || next >= this.#plannedFor) return
    this.#timer?.cancel()
    this.#plannedFor = next
    const ms = Math.min(LOOK_AGAIN_MS, Math.max(1, next - clock.monotonic()))
    this.#timer = clock.after(ms, () => {
      this.#plannedFor = Number.POSITIVE_INFINITY
      this.#round()
      this.#plan()
    })
  }

  #round(): void {
    const now = this.#deps.clock.monotonic()
    const found: { entry: InFlight; message: StoredMessage | undefined }[] = []
    let bytes = 0
    for (let i = 0; i < LIMITS.reviveMessages && bytes < LIMITS.reviveBytes; i++) {
      const due = this.#table.state.due.takeDue(now)
      if (due === undefined) break
      if (!isWaiting(due.value, due.dueAt)) continue
      const result = this.#read(due.value)
      if (result instanceof Promise) this.#later(due.value, due.dueAt, result)
      else {
        found.push({ entry: due.value, message: messageIn(result) })
        bytes += result.body.length
      }
    }
    this.#move(found)
  }

  #read({ queue, offset }: InFlight): ReadResult | Promise<ReadResult> {
    return this.#deps.store.read({ topic: queue.topic, queueId: queue.queueId, offset, maxMessages: 1, maxBytes: 1, scanEntries: 1 })
  }

  /** An old message is read off the main thread. */
  #later(entry: InFlight, dueAt: number, result: Promise<ReadResult>): void {
    result.then(
      (read) => {
        if (!this.#isClosed && isWaiting(entry, dueAt)) this.#move([{ entry, message: messageIn(read) }])
      },
      (error: unknown) => {
        this.#deps.log.error('a message that was not acknowledged could not be read; it is tried again', { ...described(entry), error })
        if (isWaiting(entry, dueAt)) this.#table.state.postpone(entry, RETRY_MS)
      },
    )
  }

  #move(found: readonly { readonly entry: InFlight; readonly message: StoredMessage | undefined }[]): void {
    const { store, settings, groupConfigs } = this.#deps
    const moved: InFlight[] = []
    const isSync = settings.current.flushDiskType === 'SYNC_FLUSH'
    for (const { entry, message } of found) {
      // Deleted, which the next saving notices.
      if (groupConfigs.get(entry.queue.group) === undefined) {
        this.#table.state.postpone(entry, LOOK_AGAIN_MS)
        continue
      }
      const target = message?.queueOffset === entry.offset ? this.#targetOf(entry, message) : undefined
      if (target === undefined) this.#deps.log.warn('a message that was not acknowledged is no longer there', described(entry))
      else store.append(target, isSync, (result) => this.#stored(entry, target.topic, result))
      moved.push(entry)
    }
    if (moved.length === 0) return
    this.#table.moved(moved, (refused) => {
      if (refused !== undefined)
        this.#deps.log.warn('what became visible again could not be noted', { count: moved.length, reason: refused })
    })
    this.#table.log.flush()
    store.commitTurn()
  }

  #stored(entry: InFlight, topic: string, result: AppendResult): void {
    if (result.status === 'ok' || result.status === 'flush-timeout') {
      const { group } = entry.queue
      if (topic !== dlqTopic(group)) this.#wake(originOfPopRetryTopic(topic, group), group)
      return
    }
    this.#deps.log.warn('a message that was not acknowledged could not be stored for another attempt; it is tried again', {
      ...described(entry),
      reason: result.reason ?? result.status,
    })
    this.#table.unmove(entry, RETRY_MS)
  }

  /** Undefined when the group is gone. */
  #targetOf(entry: InFlight, message: StoredMessage): MessageToStore | undefined {
    const { topics, groupConfigs, settings, storeHost } = this.#deps
    const { group, topic } = entry.queue
    const config = groupConfigs.get(group)
    if (config === undefined) return undefined
    const isDead = message.reconsumeTimes >= config.retryMaxTimes
    const retry = settings.current.enableRetryTopicV2 ? popRetryTopicV2(group, topic) : popRetryTopicV1(group, topic)
    const target = isDead ? dlqTopic(group) : isRetryTopic(topic) ? topic : retry
    const queueId = isDead ? topics.ensure(target, 1) && 0 : this.#retryQueue(target, group, message.queueId)
    const bornHost = hostToBytes(message.bornHost, message.bornPort)
    return {
      topic: target,
      queueId,
      flag: message.flag,
      sysFlag: (message.sysFlag & ~0x30) | hostFlags(bornHost, storeHost),
      bornTimestamp: message.bornTimestamp,
      bornHost,
      storeHost,
      reconsumeTimes: message.reconsumeTimes + 1,
      preparedTransactionOffset: 0,
      body: message.body,
      properties: propertiesOf(entry, message, isDead ? originOfPopRetryTopic(topic, group) : undefined),
    }
  }

  /** With queues of its own for each of the topic's, a message keeps its place among them (RocketMQ 5.5 `PopConsumerService#getRetryQueueId`). */
  #retryQueue(retry: string, group: string, queueId: number): number {
    const { topics, settings } = this.#deps
    const config = topics.ensure(retry, 1)
    if (!settings.current.useSeparateRetryQueue) return 0
    const wanted = topics.get(originOfPopRetryTopic(retry, group))?.writeQueueNums ?? config.writeQueueNums
    if (wanted > config.writeQueueNums)
      topics.set({ ...config, readQueueNums: Math.max(wanted, config.readQueueNums), writeQueueNums: wanted })
    return queueId < Math.max(wanted, config.writeQueueNums) ? queueId : 0
  }
}

/** When it was popped first and where it came from: left out when the message has no room for it. */
function propertiesOf(entry: InFlight, message: StoredMessage, originTopic: string | undefined): Uint8Array {
  const properties = new Map(message.properties)
  if (!properties.has(PROPERTY.FIRST_POP_TIME)) properties.set(PROPERTY.FIRST_POP_TIME, String(entry.popTime))
  if (!properties.has(PROPERTY.ORIGIN_MESSAGE_ID))
    properties.set(PROPERTY.ORIGIN_MESSAGE_ID, offsetMessageId(message.storeHostBytes, message.physicalOffset))
  if (originTopic !== undefined && !properties.has(PROPERTY.RETRY_TOPIC)) properties.set(PROPERTY.RETRY_TOPIC, originTopic)
  const text = Buffer.from(formatProperties(properties))
  return text.length <= PROPERTIES_MAX_BYTES ? text : Buffer.from(message.propertiesText)
}

const messageIn = ({ status, body }: ReadResult): StoredMessage | undefined => (status === 'found' ? decodeRecord(body) : undefined)

const described = ({ queue, offset }: InFlight) => ({ group: queue.group, topic: queue.topic, queueId: queue.queueId, offset })
