import { deflate } from 'node:zlib'
import type { Clock } from '@skylarkmq/runtime'
import {
  KEY_SEPARATOR,
  PROPERTIES_MAX_BYTES,
  PROPERTY,
  RocketError,
  SYS_FLAG,
  checkTopicName,
  formatProperties,
  formatProperty,
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

/** Messages come in rows to one topic, whose name need not be looked at again. */
let lastGoodTopic = ''

/** Properties and body of a message, checked as RocketMQ's clients check them (5.3 `Validators#checkMessage`). */
export function encodeMessage(message: Message, messageId: string, maxBytes: number, clock: Pick<Clock, 'now'>): EncodedMessage {
  const { topic } = message
  if (topic !== lastGoodTopic) {
    checkTopic(topic)
    lastGoodTopic = topic
  }
  const body = bodyBytes(message)
  if (body.length === 0) throw illegal(`the body of the message to ${topic} is empty; RocketMQ stores no empty messages`, topic)
  if (body.length > maxBytes) {
    throw illegal(`the body of the message to ${topic} has ${body.length} bytes; at most ${maxBytes} are allowed (maxMessageBytes)`, topic)
  }
  const delay = delayProperty(message, clock)
  const properties = propertiesText(message, messageId, delay)
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

const WAITS = { true: formatProperty(PROPERTY.WAIT, 'true'), false: formatProperty(PROPERTY.WAIT, 'false') }

function propertiesText(message: Message, messageId: string, delay: readonly [string, string] | undefined): string {
  const { topic, tags, orderKey } = message
  let text = message.properties ? ownProperties(message.properties, topic) : ''
  if (tags !== undefined && tags !== '') {
    if (typeof tags !== 'string') throw bad(`tags is ${shown(tags)}; it must be one text`, topic)
    if (tags.includes('||')) throw bad(`the tag ${shown(tags)} contains "||", which separates tags in subscriptions`, topic)
    text += formatProperty(PROPERTY.TAGS, tags)
  }
  if (message.keys !== undefined) text += formatProperty(PROPERTY.KEYS, keysText(message))
  if (orderKey !== undefined) text += formatProperty(PROPERTY.SHARDING_KEY, orderKey)
  if (delay) text += formatProperty(delay[0], delay[1])
  return text + formatProperty(PROPERTY.UNIQ_KEY, messageId) + (message.waitStoreOk === false ? WAITS.false : WAITS.true)
}

function ownProperties(properties: Readonly<Record<string, string>>, topic: string): string {
  let text = ''
  for (const [name, value] of Object.entries(properties)) {
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
    text += formatProperty(name, value)
  }
  return text
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

function delayProperty(message: Message, clock: Pick<Clock, 'now'>): readonly [string, string] | undefined {
  const { topic, delayLevel, delayMs, deliverAt } = message
  if (delayLevel === undefined && delayMs === undefined && deliverAt === undefined) return undefined
  const given = [delayLevel, delayMs, deliverAt].filter((value) => value !== undefined)
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
  return at <= clock.now() ? undefined : [PROPERTY.TIMER_DELIVER_MS, String(Math.ceil(at))]
}
