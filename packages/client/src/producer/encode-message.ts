import { deflate } from 'node:zlib'
import {
  KEY_SEPARATOR,
  PROPERTIES_MAX_BYTES,
  PROPERTY,
  RocketError,
  SYS_FLAG,
  checkTopicName,
  formatProperties,
  isReservedProperty,
  isSendForbidden,
} from '@skylarkmq/remoting/protocol'
import type { Message } from './types.ts'

/** RocketMQ's delay levels: 1 s … 2 h. */
export const MAX_DELAY_LEVEL = 18
const ZLIB_LEVEL = 5

/** A message as it travels. */
export interface EncodedMessage {
  readonly topic: string
  readonly messageId: string
  readonly body: Uint8Array
  readonly properties: string
  readonly flag: number
  readonly sysFlag: number
  readonly isDelayed: boolean
  readonly waitStoreOk: boolean
}

const bad = (sentence: string, topic: string): RocketError => new RocketError(sentence, { code: 'BAD_ARGUMENT', topic, phase: 'send' })

const illegal = (sentence: string, topic: string): RocketError =>
  new RocketError(sentence, { code: 'MESSAGE_ILLEGAL', topic, phase: 'send' })

const shown = (value: unknown): string => JSON.stringify(value) ?? String(value)

export function checkTopic(topic: unknown): asserts topic is string {
  if (typeof topic !== 'string') throw bad(`the topic of a message must be text, found ${shown(topic)}`, String(topic))
  const wrong = checkTopicName(topic)
  if (wrong) throw bad(wrong, topic)
  if (isSendForbidden(topic)) throw bad(`Sending message to topic[${topic}] is forbidden: only brokers write it`, topic)
}

/** Properties and body of a message, checked as RocketMQ's clients check them (5.3 `Validators#checkMessage`). */
export function encodeMessage(message: Message, messageId: string, maxBytes: number, now: number): EncodedMessage {
  const { topic } = message
  checkTopic(topic)
  const body = bodyBytes(message)
  if (body.length === 0) throw illegal(`the body of the message to ${topic} is empty; RocketMQ stores no empty messages`, topic)
  if (body.length > maxBytes) {
    throw illegal(`the body of the message to ${topic} has ${body.length} bytes; at most ${maxBytes} are allowed (maxMessageBytes)`, topic)
  }
  const delay = delayProperty(message, now)
  const properties = formatProperties(entries(message, messageId, delay))
  // Each UTF-16 unit takes at most 3 bytes: most texts need no count.
  if (properties.length * 3 > PROPERTIES_MAX_BYTES && Buffer.byteLength(properties) > PROPERTIES_MAX_BYTES) {
    throw illegal(
      `the properties of the message to ${topic} have ${Buffer.byteLength(properties)} bytes; at most ${PROPERTIES_MAX_BYTES} are allowed`,
      topic,
    )
  }
  const flag = message.flag ?? 0
  if (!Number.isInteger(flag) || flag !== (flag | 0)) throw bad(`the flag ${shown(flag)} is not a whole number of 32 bits`, topic)
  return {
    topic,
    messageId,
    body,
    properties,
    flag,
    sysFlag: 0,
    isDelayed: delay !== undefined,
    waitStoreOk: message.waitStoreOk ?? true,
  }
}

/** The message with more properties than its application set. */
export function withProperties(message: EncodedMessage, more: readonly (readonly [string, string])[]): EncodedMessage {
  const properties = message.properties + formatProperties(more)
  if (Buffer.byteLength(properties) > PROPERTIES_MAX_BYTES) {
    const { topic } = message
    throw illegal(`the properties of the message to ${topic} are too long: at most ${PROPERTIES_MAX_BYTES} bytes are allowed`, topic)
  }
  return { ...message, properties }
}

/** Bodies of `fromBytes` and above, if that makes them smaller. On the thread pool: the event loop goes on. */
export async function compressed(message: EncodedMessage, fromBytes: number): Promise<EncodedMessage> {
  const body = await new Promise<Uint8Array | undefined>((resolve) =>
    deflate(message.body, { level: ZLIB_LEVEL }, (error, result) => resolve(error ? undefined : result)),
  )
  // The compression type stays 0, which every client reads as zlib (RocketMQ 5.3 `MessageSysFlag`).
  if (body === undefined || body.length >= message.body.length || message.body.length < fromBytes) return message
  return { ...message, body, sysFlag: message.sysFlag | SYS_FLAG.COMPRESSED }
}

function bodyBytes(message: Message): Uint8Array {
  const { body } = message
  if (typeof body === 'string') return Buffer.from(body, 'utf8')
  if (body instanceof Uint8Array) return body
  throw bad(`the body of a message must be text or a Uint8Array, found ${typeof body}`, message.topic)
}

function* entries(message: Message, messageId: string, delay: readonly [string, string] | undefined): Iterable<readonly [string, string]> {
  const { topic } = message
  if (message.properties) {
    for (const [name, value] of Object.entries(message.properties)) {
      if (name === '') throw bad(`a property of the message to ${topic} has an empty name`, topic)
      if (isReservedProperty(name)) {
        throw bad(
          `the property name ${shown(name)} is reserved by RocketMQ; choose another (tags, keys and delays have fields of their own)`,
          topic,
        )
      }
      if (typeof value !== 'string' || value === '') {
        throw bad(`the property ${shown(name)} of the message to ${topic} is ${shown(value)}; it must be text that is not empty`, topic)
      }
      yield [name, value]
    }
  }
  if (message.tags !== undefined && message.tags !== '') {
    if (typeof message.tags !== 'string') throw bad(`tags is ${shown(message.tags)}; it must be one text`, topic)
    if (message.tags.includes('||')) throw bad(`the tag ${shown(message.tags)} contains "||", which separates tags in subscriptions`, topic)
    yield [PROPERTY.TAGS, message.tags]
  }
  const keys = keysText(message)
  if (keys !== '') yield [PROPERTY.KEYS, keys]
  if (message.orderKey !== undefined && message.orderKey !== '') yield [PROPERTY.SHARDING_KEY, message.orderKey]
  if (delay) yield delay
  yield [PROPERTY.UNIQ_KEY, messageId]
  yield [PROPERTY.WAIT, message.waitStoreOk === false ? 'false' : 'true']
}

function keysText(message: Message): string {
  const { keys } = message
  if (keys === undefined) return ''
  if (typeof keys === 'string') return keys
  for (const key of keys) {
    if (typeof key !== 'string' || key === '' || key.includes(KEY_SEPARATOR)) {
      throw bad(
        `the key ${shown(key)} of the message to ${message.topic} is empty or contains a space, which separates keys`,
        message.topic,
      )
    }
  }
  return keys.join(KEY_SEPARATOR)
}

function delayProperty(message: Message, now: number): readonly [string, string] | undefined {
  const { topic, delayLevel, delayMs, deliverAt } = message
  const given = [delayLevel, delayMs, deliverAt].filter((value) => value !== undefined)
  if (given.length === 0) return undefined
  if (given.length > 1) throw bad(`the message to ${topic} has more than one of delayLevel, delayMs and deliverAt; give one`, topic)
  if (delayLevel !== undefined) {
    if (!Number.isInteger(delayLevel) || delayLevel < 0 || delayLevel > MAX_DELAY_LEVEL) {
      throw bad(`delayLevel is ${shown(delayLevel)}; it must be from 1 to ${MAX_DELAY_LEVEL} (0: no delay)`, topic)
    }
    return delayLevel === 0 ? undefined : [PROPERTY.DELAY, String(delayLevel)]
  }
  if (delayMs !== undefined) {
    if (!Number.isFinite(delayMs) || delayMs < 0) throw bad(`delayMs is ${shown(delayMs)}; it must be 0 or more`, topic)
    return delayMs === 0 ? undefined : [PROPERTY.TIMER_DELAY_MS, String(Math.ceil(delayMs))]
  }
  const at = deliverAt instanceof Date ? deliverAt.getTime() : Number(deliverAt)
  if (!Number.isFinite(at)) throw bad(`deliverAt is ${shown(deliverAt)}; it must be a Date or milliseconds since 1970`, topic)
  return at <= now ? undefined : [PROPERTY.TIMER_DELIVER_MS, String(Math.ceil(at))]
}
