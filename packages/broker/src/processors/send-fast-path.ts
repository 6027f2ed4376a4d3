/**
 * The usual send, handled where its bytes lie: no header object, no strings, no promise. It is an accelerator of `sendMessage`, not a
 * second definition: whatever is unusual (a topic not met before, a delay, a transaction, a retry topic, a property that the broker sets)
 * is declined and takes the declared route. A test holds the records and answers of both equal.
 */
import { PROPERTIES_MAX_BYTES, RETRY_PREFIX, SEND_FIELD, SendHeaderScanner } from '@skylarkmq/remoting/protocol'
import type { FastPath, FrameView, ServerConnection } from '@skylarkmq/remoting'
import type { AppendResult, MessageStore } from '@skylarkmq/store'
import type { TopicConfigs } from '../topics/topic-configs.ts'
import { equalBytes, PROPERTIES_COUNT_MAX, PropertyNames, sameRange, stampText, UNIQ_KEY, UNUSUAL, WAIT } from './plain-properties.ts'
import { isCompacted } from '../topics/topic-attributes.ts'
import { ALLOWED_SYS_FLAG, isClosedToSends } from './send-checks.ts'
import { answer, bornHostOf, hostFlags, isSync } from './send-message.ts'
import type { SendDeps } from './send-message.ts'
import { SendReplyWriter } from './send-reply-writer.ts'

const TOPICS_MAX = 65_536
const UNIQ_KEY_BYTES_MAX = 128

interface KnownTopic {
  readonly bytes: Uint8Array
  readonly name: string
  readonly queues: number
}

/** Topics by the bytes of their name, so that a send makes no string. Forgotten whenever a topic changes. */
class KnownTopics {
  readonly #topics: TopicConfigs
  readonly #slots = new Map<number, KnownTopic>()

  constructor(topics: TopicConfigs) {
    this.#topics = topics
    topics.onChange(() => this.#slots.clear())
  }

  find(bytes: Uint8Array, start: number, end: number): KnownTopic | undefined {
    let hash = 0
    for (let p = start; p < end; p++) hash = (Math.imul(hash, 31) + (bytes[p] as number)) | 0
    const known = this.#slots.get(hash)
    if (known !== undefined && equalBytes(known.bytes, bytes, start, end)) return known
    return this.#learn(hash, Buffer.from(bytes.subarray(start, end)))
  }

  #learn(hash: number, bytes: Buffer): KnownTopic | undefined {
    const name = bytes.toString('utf8')
    const config = this.#topics.get(name)
    if (config === undefined || config.order || isCompacted(config) || isClosedToSends(name) || name.startsWith(RETRY_PREFIX))
      return undefined
    const known = { bytes, name, queues: Math.max(config.writeQueueNums, config.readQueueNums) }
    if (this.#slots.size >= TOPICS_MAX) this.#slots.clear()
    this.#slots.set(hash, known)
    return known
  }
}

/** One send whose answer is under way. Reused, so that a send makes no closure. */
class PendingSend {
  readonly uniqKey = Buffer.alloc(UNIQ_KEY_BYTES_MAX)
  uniqKeyLength = 0
  opaque = 0
  version = 0
  queueId = 0
  isOneway = false
  connection: ServerConnection | undefined
  readonly onStored: (result: AppendResult) => void

  constructor(done: (send: PendingSend, result: AppendResult) => void) {
    this.onStored = (result) => done(this, result)
  }
}

export function sendFastPath(deps: SendDeps, maxInFlight: number): FastPath {
  const path = new SendFastPath(deps, maxInFlight)
  return (view, connection) => path.take(view, connection)
}

class SendFastPath {
  readonly #deps: SendDeps
  readonly #store: MessageStore
  readonly #maxInFlight: number
  readonly #scanner = new SendHeaderScanner()
  readonly #topics: KnownTopics
  readonly #names = new PropertyNames()
  readonly #replies: SendReplyWriter
  readonly #free: PendingSend[] = []
  #inFlight = 0
  #stamp: Buffer

  constructor(deps: SendDeps, maxInFlight: number) {
    this.#deps = deps
    this.#store = deps.store
    this.#maxInFlight = maxInFlight
    this.#topics = new KnownTopics(deps.topics)
    const config = deps.settings.current
    this.#replies = new SendReplyWriter(deps.storeHost, config)
    this.#stamp = Buffer.from(stampText(config))
  }

  take(view: FrameView, connection: ServerConnection): boolean {
    const { bytes, bodyStart, bodyEnd } = view
    const scanner = this.#scanner
    if (view.serializeType !== 0 || bodyStart >= bodyEnd || this.#inFlight >= this.#maxInFlight) return false
    if (!scanner.scan(bytes, view.headerStart, view.headerEnd)) return false
    const { starts, ends } = scanner
    const topicStart = starts[SEND_FIELD.topic] as number
    if (topicStart < 0 || (starts[SEND_FIELD.producerGroup] as number) < 0 || scanner.flag > 3 || (scanner.flag & 1) !== 0) return false
    const topic = this.#topics.find(bytes, topicStart, ends[SEND_FIELD.topic] as number)
    if (topic === undefined) return false
    const queueId = scanner.number(bytes, SEND_FIELD.queueId)
    const sysFlag = scanner.number(bytes, SEND_FIELD.sysFlag)
    const bornTimestamp = scanner.number(bytes, SEND_FIELD.bornTimestamp)
    const flag = scanner.number(bytes, SEND_FIELD.flag)
    if (queueId < 0 || queueId >= topic.queues || sysFlag < 0 || bornTimestamp < 0 || flag < 0) return false
    if (sysFlag > 0x7fffffff || flag > 0x7fffffff) return false
    const reconsumeTimes = (starts[SEND_FIELD.reconsumeTimes] as number) < 0 ? 0 : scanner.number(bytes, SEND_FIELD.reconsumeTimes)
    if (reconsumeTimes < 0 || reconsumeTimes > 0x7fffffff || isTrue(bytes, scanner, SEND_FIELD.batch)) return false
    if (!isWhole(bytes, scanner, SEND_FIELD.defaultTopicQueueNums) || !isWhole(bytes, scanner, SEND_FIELD.maxReconsumeTimes)) return false
    const { settings, storeHost } = this.#deps
    const { current } = settings
    if (bodyEnd - bodyStart > current.maxMessageSize || this.#store.refusal !== undefined) return false
    const uniq = this.#inspectProperties(scanner)
    if (uniq < 0) return false

    const propertiesLength = scanner.propertiesLength + this.#stamp.length
    scanner.properties.set(this.#stamp, scanner.propertiesLength)
    const send = this.#free.pop() ?? new PendingSend(this.#done)
    const keyStart = (scanner.nameEnds[uniq] as number) + 1
    send.uniqKeyLength = (scanner.valueEnds[uniq] as number) - keyStart
    for (let i = 0; i < send.uniqKeyLength; i++) send.uniqKey[i] = scanner.properties[keyStart + i] as number
    send.opaque = scanner.opaque
    send.version = scanner.version
    send.queueId = queueId
    send.isOneway = (scanner.flag & 2) !== 0
    send.connection = connection
    this.#inFlight++
    connection.noteUnanswered()
    const bornHost = bornHostOf(connection)
    const message = {
      topic: topic.name,
      queueId,
      flag,
      sysFlag: (sysFlag & ALLOWED_SYS_FLAG) | hostFlags(bornHost, storeHost),
      bornTimestamp,
      bornHost,
      storeHost,
      reconsumeTimes,
      preparedTransactionOffset: 0,
      body: new Uint8Array(bytes.buffer, bytes.byteOffset + bodyStart, bodyEnd - bodyStart),
      properties: this.#propertiesOf(propertiesLength),
    }
    this.#store.append(message, this.#waits && isSync(this.#deps), send.onStored)
    return true
  }

  #waits = true
  #properties = new Uint8Array(0)

  /** The scanner's text of this length: mostly the same view as last time. */
  #propertiesOf(length: number): Uint8Array {
    if (this.#properties.length !== length) this.#properties = this.#scanner.properties.subarray(0, length)
    return this.#properties
  }

  /** Index of UNIQ_KEY among the properties, or -1 when something about them is unusual. */
  #inspectProperties(scanner: SendHeaderScanner): number {
    const { properties, nameStarts, nameEnds, valueEnds, propertyCount } = scanner
    if (propertyCount > PROPERTIES_COUNT_MAX || scanner.propertiesLength + this.#stamp.length > PROPERTIES_MAX_BYTES) return -1
    let uniq = -1
    this.#waits = true
    for (let i = 0; i < propertyCount; i++) {
      const start = nameStarts[i] as number
      const end = nameEnds[i] as number
      // A name twice: the declared route keeps the last.
      for (let k = 0; k < i; k++) {
        if (
          (nameEnds[k] as number) - (nameStarts[k] as number) === end - start &&
          sameRange(properties, nameStarts[k] as number, start, end - start)
        )
          return -1
      }
      const kind = this.#names.kindOf(properties, start, end)
      if (kind === UNUSUAL) return -1
      if (kind === UNIQ_KEY) uniq = i
      // RocketMQ parses WAIT as a boolean; only the plain words are taken here.
      else if (kind === WAIT) {
        const length = (valueEnds[i] as number) - end - 1
        if (length === 5 && properties[end + 1] === 0x66) this.#waits = false
        else if (length !== 4 || properties[end + 1] !== 0x74) return -1
      }
    }
    if (uniq >= 0 && (valueEnds[uniq] as number) - (nameEnds[uniq] as number) - 1 > UNIQ_KEY_BYTES_MAX) return -1
    return uniq
  }

  readonly #done = (send: PendingSend, result: AppendResult): void => {
    const connection = send.connection as ServerConnection
    this.#inFlight--
    connection.settleOne()
    if (!send.isOneway && !connection.isClosed) {
      if (result.status === 'ok') this.#replies.write(connection, send.opaque, send.queueId, result, send.uniqKey, send.uniqKeyLength)
      else {
        const transactionId = send.uniqKey.toString('utf8', 0, send.uniqKeyLength)
        const request = { opaque: send.opaque, serializeType: 0 as const, code: 310, version: send.version }
        connection.reply(request, answer(this.#deps, result, send.queueId, transactionId))
      }
    }
    send.connection = undefined
    this.#free.push(send)
  }
}

/** True for all that is not clearly false or absent. */
function isTrue(bytes: Uint8Array, scanner: SendHeaderScanner, index: number): boolean {
  const start = scanner.starts[index] as number
  return start >= 0 && ((scanner.ends[index] as number) - start !== 5 || bytes[start] !== 0x66)
}

/** Absent, or digits that fit 32 bits: what is not used must still be valid, or the declared route refuses it. */
function isWhole(bytes: Uint8Array, scanner: SendHeaderScanner, index: number): boolean {
  if ((scanner.starts[index] as number) < 0) return true
  const value = scanner.number(bytes, index)
  return value >= 0 && value <= 0x7fffffff
}
