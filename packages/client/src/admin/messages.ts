import { expectSuccess } from '@skylarkmq/remoting'
import {
  PROPERTY,
  QueryMessage,
  ResponseCode,
  RocketError,
  TRACE_TOPIC,
  ViewMessageById,
  decodeRecord,
  decodeRecords,
  parseOffsetMessageId,
} from '@skylarkmq/remoting/protocol'
import { decodeEvents } from '../message-trace/events.ts'
import type { MessageTraceEvent } from '../message-trace/events.ts'
import { ReceivedMessage } from '../consumer/received-message.ts'
import type { AdminParts } from './targets.ts'
import { atEach, brokersOfTopic } from './targets.ts'

export interface QueryOptions {
  /** Milliseconds since 1970. Default: 36 hours before the end. */
  readonly from?: number
  readonly to?: number
  /** Default 64. */
  readonly max?: number
}

const UNIQUE_KEY_MAX = 32
/** Of events of the same millisecond. */
const RANK: readonly MessageTraceEvent['type'][] = ['sent', 'transactionEnd', 'recalled', 'consumeBegin', 'consumeEnd']
const DEFAULT_SPAN_MS = 36 * 60 * 60 * 1000

export class MessageAdmin {
  readonly #parts: AdminParts

  constructor(parts: AdminParts) {
    this.#parts = parts
  }

  /** By offset message id, which names the broker. `topic` checks nothing; some brokers want it for permissions. */
  async viewById(offsetMessageId: string, topic?: string): Promise<ReceivedMessage> {
    const place = parseOffsetMessageId(offsetMessageId)
    if (!place) {
      throw new RocketError(
        `${JSON.stringify(offsetMessageId)} is no offset message id (32 hex digits: broker address and offset); for the id that the producer made use queryByUniqueKey`,
        { code: 'BAD_ARGUMENT' },
      )
    }
    const { core, timeoutMs } = this.#parts
    const address = `${place.host.includes(':') ? `[${place.host}]` : place.host}:${place.port}`
    const answer = expectSuccess(await core.invoke(address, ViewMessageById, { offset: place.physicalOffset, topic }, { timeoutMs }))
    const stored = decodeRecord(Buffer.from(answer.body), 0)
    if (!stored)
      throw new RocketError(`the broker ${address} answered no message for ${offsetMessageId}`, { code: 'QUERY_NOT_FOUND', address })
    return new ReceivedMessage(stored, '')
  }

  /** Messages that have this key, newest last. The broker finds by hash: the key itself is compared here. */
  queryByKey(topic: string, key: string, options: QueryOptions = {}): Promise<readonly ReceivedMessage[]> {
    return this.#query(topic, key, options, false, (message) => message.keys.includes(key))
  }

  /** Messages with this client message id: more than one when it was sent twice. */
  queryByUniqueKey(topic: string, messageId: string, options: QueryOptions = {}): Promise<readonly ReceivedMessage[]> {
    return this.#query(topic, messageId, options, true, (message) => message.properties.get(PROPERTY.UNIQ_KEY) === messageId)
  }

  /** What was written down of a message, in order: sent, handed to consumers, settled. Of clients that trace, ours or RocketMQ's. */
  async trace(messageId: string, options: QueryOptions & { readonly topic?: string } = {}): Promise<readonly MessageTraceEvent[]> {
    const found = await this.queryByKey(options.topic ?? TRACE_TOPIC, messageId, options)
    const events = found.flatMap((message) => decodeEvents(message.text)).filter((event) => event.messageId === messageId)
    return events.sort((a, b) => a.time - b.time || RANK.indexOf(a.type) - RANK.indexOf(b.type))
  }

  async #query(
    topic: string,
    key: string,
    options: QueryOptions,
    isUnique: boolean,
    matches: (message: ReceivedMessage) => boolean,
  ): Promise<readonly ReceivedMessage[]> {
    const { core, timeoutMs } = this.#parts
    const to = options.to ?? core.clock.now() + 60_000
    const header = {
      topic,
      key,
      maxNum: isUnique ? UNIQUE_KEY_MAX : (options.max ?? 64),
      beginTimestamp: options.from ?? Math.max(0, to - DEFAULT_SPAN_MS),
      endTimestamp: to,
      _UNIQUE_KEY_QUERY: isUnique,
    }
    const targets = await brokersOfTopic(this.#parts, topic)
    const found = await atEach(`the query of topic ${topic}`, targets, async ({ address, brokerName }) => {
      const answer = await core.invoke(address, QueryMessage, header, { timeoutMs: timeoutMs * 3 })
      if (answer.code === ResponseCode.QUERY_NOT_FOUND) return []
      return decodeRecords(Buffer.from(expectSuccess(answer).body)).map((stored) => new ReceivedMessage(stored, brokerName))
    })
    const distinct = new Map<string, ReceivedMessage>()
    for (const message of found.flat()) if (matches(message)) distinct.set(message.offsetMessageId, message)
    return [...distinct.values()].sort((a, b) => a.storeTimestamp - b.storeTimestamp)
  }
}
