import { crc32 } from 'node:zlib'
import { RocketError } from '../rocket-error.ts'
import { formatAddress } from './hosts.ts'
import { asBuffer, readLong, writeLong } from './longs.ts'
import { PROPERTIES_MAX_BYTES, parseProperties } from './properties.ts'
import { SYS_FLAG } from './sys-flag.ts'

/**
 * A stored message: one layout for the commit log and for pull responses (RocketMQ 5.3 `MessageExtEncoder`, `MessageDecoder`). V2
 * differs in one thing: the topic's length takes two bytes, for topics over 127 bytes. Positions up to `BORN_HOST` are fixed; those
 * after it shift by 12 for each IPv6 host.
 */
export const RECORD = Object.freeze({
  TOTAL_SIZE: 0,
  MAGIC: 4,
  BODY_CRC: 8,
  QUEUE_ID: 12,
  FLAG: 16,
  QUEUE_OFFSET: 20,
  PHYSICAL_OFFSET: 28,
  SYS_FLAG: 36,
  BORN_TIMESTAMP: 40,
  BORN_HOST: 48,
  /** With an IPv4 born host. */
  STORE_TIMESTAMP: 56,
  STORE_HOST: 64,
  RECONSUME_TIMES: 72,
  PREPARED_TRANSACTION_OFFSET: 76,
  BODY_LENGTH: 84,
  BODY: 88,
  /** A V1 record with IPv4 hosts and nothing in it. */
  FIXED_BYTES: 91,
})

export const MAGIC_V1 = -626843481
export const MAGIC_V2 = -626843477
/** Marks the unused end of a log file; never sent. */
export const MAGIC_BLANK = -875286124
export const RECORD_TOPIC_V1_MAX_BYTES = 127

export interface StoredMessage {
  readonly topic: string
  readonly queueId: number
  readonly queueOffset: number
  readonly physicalOffset: number
  readonly flag: number
  readonly sysFlag: number
  readonly bornTimestamp: number
  readonly bornHost: string
  readonly bornPort: number
  readonly storeTimestamp: number
  readonly storeHost: string
  readonly storePort: number
  /** 8 or 20 bytes: what the offset message id is made of. */
  readonly storeHostBytes: Uint8Array
  readonly reconsumeTimes: number
  readonly preparedTransactionOffset: number
  readonly bodyCrc: number
  /** As stored (perhaps compressed): a view of the record's bytes. */
  readonly body: Uint8Array
  readonly properties: Map<string, string>
  readonly propertiesText: string
  readonly sizeBytes: number
}

export interface RecordToEncode {
  readonly topic: string
  readonly queueId: number
  readonly queueOffset: number
  readonly physicalOffset: number
  readonly flag: number
  /** The two host bits are set from the hosts' lengths. */
  readonly sysFlag: number
  readonly bornTimestamp: number
  readonly bornHost: Uint8Array
  readonly storeTimestamp: number
  readonly storeHost: Uint8Array
  readonly reconsumeTimes: number
  readonly preparedTransactionOffset: number
  readonly body: Uint8Array
  /** Property text, or its UTF-8 bytes. */
  readonly properties: Uint8Array | string
}

/** CRC-32 with the sign bit cleared, as RocketMQ stores it (`UtilAll#crc32`). */
export const bodyCrc32 = (body: Uint8Array): number => crc32(body) & 0x7fffffff

/** Bytes of a record: V2 when the topic needs it. */
export const recordBytes = (
  topicBytes: number,
  bodyBytes: number,
  propertiesBytes: number,
  bornHostBytes = 8,
  storeHostBytes = 8,
): number =>
  RECORD.FIXED_BYTES +
  (bornHostBytes - 8) +
  (storeHostBytes - 8) +
  (topicBytes > RECORD_TOPIC_V1_MAX_BYTES ? 1 : 0) +
  topicBytes +
  bodyBytes +
  propertiesBytes

const illegal = (sentence: string, topic: string): RocketError =>
  new RocketError(sentence, { code: 'MESSAGE_ILLEGAL', brokerCode: 13, topic })

export function encodeRecord(record: RecordToEncode): Buffer {
  const topic = Buffer.from(record.topic, 'utf8')
  const properties = typeof record.properties === 'string' ? Buffer.from(record.properties, 'utf8') : record.properties
  if (properties.length > PROPERTIES_MAX_BYTES) {
    throw illegal(`the message properties have ${properties.length} bytes; at most ${PROPERTIES_MAX_BYTES} are allowed`, record.topic)
  }
  if (topic.length > 255) throw illegal(`the topic has ${topic.length} bytes; at most 255 are allowed`, record.topic)
  const bornV6 = record.bornHost.length === 20
  const storeV6 = record.storeHost.length === 20
  const size = recordBytes(topic.length, record.body.length, properties.length, bornV6 ? 20 : 8, storeV6 ? 20 : 8)
  const bytes = Buffer.allocUnsafe(size)
  const isV2 = topic.length > RECORD_TOPIC_V1_MAX_BYTES
  const hostFlags = (bornV6 ? SYS_FLAG.BORN_HOST_V6 : 0) | (storeV6 ? SYS_FLAG.STORE_HOST_V6 : 0)
  bytes.writeInt32BE(size, RECORD.TOTAL_SIZE)
  bytes.writeInt32BE(isV2 ? MAGIC_V2 : MAGIC_V1, RECORD.MAGIC)
  bytes.writeInt32BE(bodyCrc32(record.body), RECORD.BODY_CRC)
  bytes.writeInt32BE(record.queueId, RECORD.QUEUE_ID)
  bytes.writeInt32BE(record.flag | 0, RECORD.FLAG)
  writeLong(bytes, record.queueOffset, RECORD.QUEUE_OFFSET)
  writeLong(bytes, record.physicalOffset, RECORD.PHYSICAL_OFFSET)
  bytes.writeInt32BE((record.sysFlag & ~(SYS_FLAG.BORN_HOST_V6 | SYS_FLAG.STORE_HOST_V6)) | hostFlags, RECORD.SYS_FLAG)
  writeLong(bytes, record.bornTimestamp, RECORD.BORN_TIMESTAMP)
  bytes.set(record.bornHost, RECORD.BORN_HOST)
  let at = RECORD.BORN_HOST + (bornV6 ? 20 : 8)
  writeLong(bytes, record.storeTimestamp, at)
  bytes.set(record.storeHost, at + 8)
  at += 8 + (storeV6 ? 20 : 8)
  bytes.writeInt32BE(record.reconsumeTimes, at)
  writeLong(bytes, record.preparedTransactionOffset, at + 4)
  bytes.writeInt32BE(record.body.length, at + 12)
  bytes.set(record.body, at + 16)
  at += 16 + record.body.length
  at = isV2 ? bytes.writeInt16BE(topic.length, at) : bytes.writeInt8(topic.length, at)
  bytes.set(topic, at)
  at = bytes.writeInt16BE(properties.length, at + topic.length)
  bytes.set(properties, at)
  return bytes
}

/**
 * The record that starts at `position`, or undefined when no whole, well-formed one does (magic, and every length inside the record).
 * The body's CRC is not checked: `bodyCrc32(m.body) === m.bodyCrc` does. `body` is a view of `bytes`.
 */
export function decodeRecord(bytes: Uint8Array, position = 0): StoredMessage | undefined {
  const record = readRecord(asBuffer(bytes), position, '')
  return record === undefined ? undefined : copyOfRecord(record)
}

/** All records from the start; stops at the first bytes that are none, as Java's client does (`MessageDecoder#decodesBatch`). */
export const decodeRecords = (bytes: Uint8Array): StoredMessage[] => readRecords(bytes).map(copyOfRecord)

/**
 * As `decodeRecords`, for those who read many and look into few: what a consumer seldom asks for is decoded when it asks. Not to be
 * copied by `...`, which would lose that (`copyOfRecord` does it); the bytes must not change.
 */
export function readRecords(bytes: Uint8Array): StoredMessage[] {
  const messages: StoredMessage[] = []
  const b = asBuffer(bytes)
  let topic = ''
  for (let at = 0; at < b.length; ) {
    const message = readRecord(b, at, topic)
    if (message === undefined) break
    messages.push(message)
    topic = message.topic
    at += message.sizeBytes
  }
  return messages
}

const bornLengthOf = (sysFlag: number): 4 | 16 => ((sysFlag & SYS_FLAG.BORN_HOST_V6) === 0 ? 4 : 16)
const storeLengthOf = (sysFlag: number): 4 | 16 => ((sysFlag & SYS_FLAG.STORE_HOST_V6) === 0 ? 4 : 16)

class RecordInPlace implements StoredMessage {
  readonly topic: string
  readonly queueId: number
  readonly queueOffset: number
  readonly physicalOffset: number
  readonly flag: number
  readonly sysFlag: number
  readonly bornTimestamp: number
  readonly storeTimestamp: number
  readonly reconsumeTimes: number
  readonly body: Uint8Array
  readonly sizeBytes: number
  readonly #bytes: Buffer
  readonly #position: number
  readonly #bornLength: 4 | 16
  readonly #storeAt: number
  readonly #tailAt: number
  readonly #propertiesAt: number
  #propertiesText: string | undefined
  #properties: Map<string, string> | undefined

  constructor(
    b: Buffer,
    position: number,
    places: { bodyAt: number; topicLengthAt: number; propertiesAt: number; end: number },
    topic: string,
  ) {
    const sysFlag = b.readInt32BE(position + RECORD.SYS_FLAG)
    const bornLength = bornLengthOf(sysFlag)
    const storeAt = position + RECORD.BORN_HOST + bornLength + 12
    const tailAt = storeAt + storeLengthOf(sysFlag) + 4
    this.topic = topic
    this.queueId = b.readInt32BE(position + RECORD.QUEUE_ID)
    this.queueOffset = readLong(b, position + RECORD.QUEUE_OFFSET)
    this.physicalOffset = readLong(b, position + RECORD.PHYSICAL_OFFSET)
    this.flag = b.readInt32BE(position + RECORD.FLAG)
    this.sysFlag = sysFlag
    this.bornTimestamp = readLong(b, position + RECORD.BORN_TIMESTAMP)
    this.storeTimestamp = readLong(b, storeAt - 8)
    this.reconsumeTimes = b.readInt32BE(tailAt)
    this.body = b.subarray(places.bodyAt, places.topicLengthAt)
    this.sizeBytes = places.end - position
    this.#bytes = b
    this.#position = position
    this.#bornLength = bornLength
    this.#storeAt = storeAt
    this.#tailAt = tailAt
    this.#propertiesAt = places.propertiesAt
  }

  get bornHost(): string {
    return formatAddress(this.#bytes, this.#position + RECORD.BORN_HOST, this.#bornLength)
  }

  get bornPort(): number {
    return this.#bytes.readInt32BE(this.#position + RECORD.BORN_HOST + this.#bornLength)
  }

  get storeHost(): string {
    return formatAddress(this.#bytes, this.#storeAt, storeLengthOf(this.sysFlag))
  }

  get storePort(): number {
    return this.#bytes.readInt32BE(this.#tailAt - 4)
  }

  get storeHostBytes(): Uint8Array {
    return this.#bytes.subarray(this.#storeAt, this.#tailAt)
  }

  get preparedTransactionOffset(): number {
    return readLong(this.#bytes, this.#tailAt + 4)
  }

  get bodyCrc(): number {
    return this.#bytes.readInt32BE(this.#position + RECORD.BODY_CRC)
  }

  get propertiesText(): string {
    return (this.#propertiesText ??= this.#bytes.toString('utf8', this.#propertiesAt, this.#position + this.sizeBytes))
  }

  get properties(): Map<string, string> {
    return (this.#properties ??= parseProperties(this.propertiesText))
  }
}

/** All of it, as plain values. */
export const copyOfRecord = (record: StoredMessage): StoredMessage => ({
  topic: record.topic,
  queueId: record.queueId,
  queueOffset: record.queueOffset,
  physicalOffset: record.physicalOffset,
  flag: record.flag,
  sysFlag: record.sysFlag,
  bornTimestamp: record.bornTimestamp,
  bornHost: record.bornHost,
  bornPort: record.bornPort,
  storeTimestamp: record.storeTimestamp,
  storeHost: record.storeHost,
  storePort: record.storePort,
  storeHostBytes: record.storeHostBytes,
  reconsumeTimes: record.reconsumeTimes,
  preparedTransactionOffset: record.preparedTransactionOffset,
  bodyCrc: record.bodyCrc,
  body: record.body,
  properties: record.properties,
  propertiesText: record.propertiesText,
  sizeBytes: record.sizeBytes,
})

/** `likelyTopic`: of the record before, whose text is used again when this one's bytes are the same. */
function readRecord(b: Buffer, position: number, likelyTopic: string): StoredMessage | undefined {
  if (position < 0 || b.length - position < RECORD.FIXED_BYTES) return undefined
  const sizeBytes = b.readInt32BE(position)
  const magic = b.readInt32BE(position + RECORD.MAGIC)
  if (magic !== MAGIC_V1 && magic !== MAGIC_V2) return undefined
  const end = position + sizeBytes
  if (sizeBytes < RECORD.FIXED_BYTES || end > b.length) return undefined
  const sysFlag = b.readInt32BE(position + RECORD.SYS_FLAG)
  const tailAt = position + RECORD.BORN_HOST + bornLengthOf(sysFlag) + 12 + storeLengthOf(sysFlag) + 4
  const topicLengthBytes = magic === MAGIC_V1 ? 1 : 2
  // The body's length and the two that follow must fit in front of the record's end.
  if (tailAt + 16 + topicLengthBytes + 2 > end) return undefined
  const bodyAt = tailAt + 16
  const bodyLength = b.readInt32BE(tailAt + 12)
  const topicLengthAt = bodyAt + bodyLength
  if (bodyLength < 0 || topicLengthAt + topicLengthBytes + 2 > end) return undefined
  const topicLength = topicLengthBytes === 1 ? b.readInt8(topicLengthAt) : b.readInt16BE(topicLengthAt)
  const topicAt = topicLengthAt + topicLengthBytes
  if (topicLength < 0 || topicAt + topicLength + 2 > end) return undefined
  const propertiesLength = b.readInt16BE(topicAt + topicLength)
  const propertiesAt = topicAt + topicLength + 2
  if (propertiesLength < 0 || propertiesAt + propertiesLength !== end) return undefined
  const topic = isAsciiAt(b, topicAt, topicLength, likelyTopic) ? likelyTopic : b.toString('utf8', topicAt, topicAt + topicLength)
  return new RecordInPlace(b, position, { bodyAt, topicLengthAt, propertiesAt, end }, topic)
}

/** A text beyond ASCII has other bytes than characters, and is never found. */
function isAsciiAt(b: Buffer, at: number, length: number, text: string): boolean {
  if (length !== text.length) return false
  for (let i = 0; i < length; i++) {
    const byte = b[at + i] as number
    if (byte > 0x7f || byte !== text.charCodeAt(i)) return false
  }
  return true
}
