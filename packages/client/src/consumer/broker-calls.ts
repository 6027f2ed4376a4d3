import type { MessageQueue } from '@skylarkmq/remoting/protocol'
import {
  ConsumerSendMsgBack,
  decodeConsumerIdList,
  decodeLockResult,
  DEFAULT_TOPIC,
  encodeLockBatch,
  formatProperties,
  GetConsumerListByGroup,
  GetMaxOffset,
  GetMinOffset,
  LockBatchMq,
  PROPERTY,
  QueryConsumerOffset,
  ResponseCode,
  retryTopic,
  RocketError,
  SearchOffsetByTimestamp,
  SendMessageV2,
  UnlockBatchMq,
  UpdateConsumerOffset,
} from '@skylarkmq/remoting/protocol'
import { expectSuccess } from '@skylarkmq/remoting'
import type { ClientCore } from '../core/types.ts'
import { queueKey } from './assigned-queue.ts'
import type { ReceivedMessage } from './received-message.ts'

const LOCK_TIMEOUT_MS = 1000
const SEND_BACK_TIMEOUT_MS = 5000
/** Answers to a send that say that the message is stored: as asked for, or not on disk or on a replica yet. */
const STORED: ReadonlySet<number> = new Set([0, 10, 11, 12])

/** What a consumer asks of brokers, for one group. */
export class BrokerCalls {
  readonly core: ClientCore
  readonly group: string

  constructor(core: ClientCore, group: string) {
    this.core = core
    this.group = group
  }

  /** Where to read a queue: the wanted copy, the next one when that was a replica, any (RocketMQ `findBrokerAddressInSubscribe`). */
  readAddress(brokerName: string, brokerId = 0): { readonly address: string; readonly isMaster: boolean } | undefined {
    const addresses = this.core.brokerAddresses(brokerName)
    const exact = addresses.get(brokerId)
    if (exact !== undefined) return { address: exact, isMaster: brokerId === 0 }
    const next = brokerId === 0 ? undefined : addresses.get(brokerId + 1)
    if (next !== undefined) return { address: next, isMaster: false }
    for (const [id, address] of addresses) return { address, isMaster: id === 0 }
    return undefined
  }

  /** The committed offset; undefined when the broker has none. Rejects when it cannot be known. */
  async committedOffset(queue: MessageQueue): Promise<number | undefined> {
    const header = { consumerGroup: this.group, topic: queue.topic, queueId: queue.queueId }
    const answer = await this.core.invoke(this.#target(queue), QueryConsumerOffset, header)
    if (answer.code === ResponseCode.QUERY_NOT_FOUND) return undefined
    return expectSuccess(answer).header().offset
  }

  /** With `timeoutMs` the broker's answer is awaited; without, the commit is one-way. */
  async commitOffset(queue: MessageQueue, offset: number, timeoutMs?: number): Promise<void> {
    const header = { consumerGroup: this.group, topic: queue.topic, queueId: queue.queueId, commitOffset: offset }
    if (timeoutMs === undefined) await this.core.notify(this.#target(queue), UpdateConsumerOffset, header)
    else expectSuccess(await this.core.invoke(this.#target(queue), UpdateConsumerOffset, header, { timeoutMs }))
  }

  async maxOffset(queue: MessageQueue): Promise<number> {
    const answer = await this.core.invoke(this.#target(queue), GetMaxOffset, { topic: queue.topic, queueId: queue.queueId })
    return expectSuccess(answer).header().offset
  }

  async minOffset(queue: MessageQueue): Promise<number> {
    const answer = await this.core.invoke(this.#target(queue), GetMinOffset, { topic: queue.topic, queueId: queue.queueId })
    return expectSuccess(answer).header().offset
  }

  async offsetByTime(queue: MessageQueue, timestampMs: number): Promise<number> {
    const header = { topic: queue.topic, queueId: queue.queueId, timestamp: timestampMs }
    return expectSuccess(await this.core.invoke(this.#target(queue), SearchOffsetByTimestamp, header)).header().offset
  }

  /** The client ids of the group, sorted; undefined when no broker could tell. Any broker of the topic knows every member. */
  async memberIds(topic: string): Promise<string[] | undefined> {
    const route = await this.core.route(topic)
    const addresses = route.brokerDatas.flatMap((broker) => Object.values(broker.brokerAddrs))
    let rest = addresses
    while (rest.length > 0) {
      const address = this.core.random.pick(rest)
      rest = rest.filter((other) => other !== address)
      try {
        const answer = await this.core.invoke(address, GetConsumerListByGroup, { consumerGroup: this.group })
        if (answer.code !== 0) continue
        const ids = decodeConsumerIdList(answer.body)
        if (ids.length > 0) return [...ids].sort()
      } catch (error) {
        this.core.log.debug('asking for the members of the group failed', { group: this.group, address, error })
      }
    }
    return undefined
  }

  /** Locks queues of one broker; the keys of those that were granted. */
  async lock(brokerName: string, queues: readonly MessageQueue[]): Promise<ReadonlySet<string>> {
    const answer = await this.core.invoke(brokerName, LockBatchMq, {}, { body: this.#lockBody(queues), timeoutMs: LOCK_TIMEOUT_MS })
    return new Set(decodeLockResult(expectSuccess(answer).body).map(queueKey))
  }

  async unlock(brokerName: string, queues: readonly MessageQueue[]): Promise<void> {
    await this.core.invoke(brokerName, UnlockBatchMq, {}, { body: this.#lockBody(queues), timeoutMs: LOCK_TIMEOUT_MS })
  }

  #lockBody(queues: readonly MessageQueue[]): Buffer {
    return encodeLockBatch({ consumerGroup: this.group, clientId: this.core.clientId, onlyThisBroker: false, mqSet: queues })
  }

  /**
   * Sees to it that a failed message comes again, or becomes a dead letter (`delayLevel` -1): by the broker that has it; else, as a new
   * message, by any broker of the retry topic (RocketMQ `DefaultMQPushConsumerImpl#sendMessageBack`). False when no broker did either.
   */
  async passOn(message: ReceivedMessage, delayLevel: number, maxReconsumeTimes: number): Promise<boolean> {
    const { log } = this.core
    try {
      await this.#sendBack(message, delayLevel, maxReconsumeTimes)
      return true
    } catch (error) {
      log.warn('a failed message could not be handed back to its broker', { messageId: message.messageId, error })
    }
    try {
      await this.#resendForRetry(message, delayLevel, maxReconsumeTimes)
      return true
    } catch (error) {
      log.warn('a failed message could not be sent to the retry topic; it is tried again here', { messageId: message.messageId, error })
      return false
    }
  }

  /** Hands a failed message back: to the retry topic after a delay, or (`delayLevel` -1, or too many attempts) to the dead letters. */
  async #sendBack(message: ReceivedMessage, delayLevel: number, maxReconsumeTimes: number): Promise<void> {
    const header = {
      offset: message.physicalOffset,
      group: this.group,
      delayLevel,
      originMsgId: message.messageId,
      originTopic: message.brokerTopic,
      unitMode: false,
      maxReconsumeTimes,
    }
    // The record lies on the broker it was read from, which may be a replica: only the master writes.
    expectSuccess(await this.core.invoke(message.brokerName, ConsumerSendMsgBack, header, { timeoutMs: SEND_BACK_TIMEOUT_MS }))
  }

  /**
   * Second way of a failed message, when its broker does not take it back: sent anew to the retry topic. A broker puts it among the dead
   * letters instead when it has failed more often than is allowed (RocketMQ `SendMessageProcessor#handleRetryAndDLQ`).
   */
  async #resendForRetry(message: ReceivedMessage, delayLevel: number, maxReconsumeTimes: number): Promise<void> {
    const { stored } = message
    const topic = retryTopic(this.group)
    const queues = await this.core.publishQueues(topic)
    if (queues.length === 0) throw new RocketError(`no broker takes messages of ${topic}`, { code: 'NO_ROUTE', topic, group: this.group })
    const queue = this.core.random.pick(queues)
    const properties = new Map(stored.properties)
    properties.delete(PROPERTY.TRAN_MSG)
    if (!properties.has(PROPERTY.ORIGIN_MESSAGE_ID)) properties.set(PROPERTY.ORIGIN_MESSAGE_ID, message.messageId)
    if (!properties.has(PROPERTY.RETRY_TOPIC)) properties.set(PROPERTY.RETRY_TOPIC, message.brokerTopic)
    const isDead = delayLevel < 0
    properties.set(PROPERTY.DELAY, isDead ? '0' : String(delayLevel > 0 ? delayLevel : 3 + message.reconsumeTimes))
    const header = {
      producerGroup: 'CLIENT_INNER_PRODUCER',
      topic,
      defaultTopic: DEFAULT_TOPIC,
      defaultTopicQueueNums: 4,
      queueId: queue.queueId,
      sysFlag: stored.sysFlag & ~0x3c,
      bornTimestamp: this.core.clock.now(),
      flag: stored.flag,
      properties: formatProperties(properties),
      reconsumeTimes: message.reconsumeTimes + 1,
      unitMode: false,
      maxReconsumeTimes: isDead ? 0 : maxReconsumeTimes,
      batch: false,
    }
    const answer = await this.core.invoke(queue.brokerName, SendMessageV2, header, { body: stored.body, timeoutMs: SEND_BACK_TIMEOUT_MS })
    if (!STORED.has(answer.code)) expectSuccess(answer)
  }

  /** The master, or a replica while the master is away. */
  #target(queue: MessageQueue): string {
    return this.readAddress(queue.brokerName)?.address ?? queue.brokerName
  }
}
