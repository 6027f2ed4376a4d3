/**
 * The usual send, handled where its bytes lie: no header object, no strings, no promise. It is an accelerator of `sendMessage`, not a
 * second definition: whatever is unusual (a topic not met before, a delay, a transaction, a retry topic, a property that the broker sets)
 * is declined and takes the declared route. A test holds the records and answers of both equal.
 */
import { PROPERTIES_MAX_BYTES, PROPERTY, PROPERTY_KIND, RETRY_PREFIX, SCANNED } from '@skylarkmq/remoting/protocol'
import type { Kernel } from '@skylarkmq/remoting/protocol'
import type { FastPath, FrameView, ServerConnection } from '@skylarkmq/remoting'
import type { AppendResult, MessageStore } from '@skylarkmq/store'
import type { TopicConfigs } from '../topics/topic-configs.ts'
import { equalBytes, UNUSUAL_PROPERTIES } from './plain-properties.ts'
import { isCompacted } from '../topics/topic-attributes.ts'
import { ALLOWED_SYS_FLAG, isClosedToSends } from './send-checks.ts'
import { answer, bornHostOf, hostFlags, isSync } from './send-message.ts'
import type { SendDeps } from './send-message.ts'
import { putTexts } from './send-reply.ts'

const TOPICS_MAX = 65_536

interface KnownTopic {
  readonly bytes: Uint8Array
  readonly name: string
  readonly queues: number
}

/** Topics by the hash and the bytes of their name, so that a send makes no string. Forgotten whenever a topic changes. */
export class KnownTopics {
  readonly #topics: TopicConfigs
  readonly #slots = new Map<number, KnownTopic>()

  constructor(topics: TopicConfigs) {
    this.#topics = topics
    topics.onChange(() => this.#slots.clear())
  }

  find(hash: number, bytes: Uint8Array, start: number, end: number): KnownTopic | undefined {
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
  /** Where the kernel keeps what the answer needs. */
  readonly slot: number
  version = 0
  isOneway = false
  connection: ServerConnection | undefined
  readonly onStored: (result: AppendResult) => void

  constructor(slot: number, done: (send: PendingSend, result: AppendResult) => void) {
    this.slot = slot
    this.onStored = (result) => done(this, result)
  }
}

export function sendFastPath(deps: SendDeps, topics = new KnownTopics(deps.topics)): FastPath {
  const path = new SendFastPath(deps, topics)
  return (view, connection) => path.take(view, connection)
}

class SendFastPath {
  readonly #deps: SendDeps
  readonly #store: MessageStore
  readonly #kernel: Kernel
  readonly #topics: KnownTopics
  readonly #free: PendingSend[] = []
  #slotsUsed = 0
  /** False when the texts of answers are longer than the kernel has room for: then all takes the declared route. */
  #isUsable: boolean | undefined
  #replyBytesMax = 0
  #lastConnection: ServerConnection | undefined
  #lastBornHost: Uint8Array = new Uint8Array(0)

  constructor(deps: SendDeps, topics: KnownTopics) {
    this.#deps = deps
    this.#store = deps.store
    const kernel = deps.store.kernel
    this.#kernel = kernel
    this.#topics = topics
    for (const name of UNUSUAL_PROPERTIES) kernel.addName(name, PROPERTY_KIND.unusual)
    kernel.addName(PROPERTY.UNIQ_KEY, PROPERTY_KIND.uniqKey)
    kernel.addName(PROPERTY.WAIT, PROPERTY_KIND.wait)
  }

  /** At the first send, when the broker knows its port. */
  #begin(): boolean {
    const bytesMax = putTexts(this.#kernel, this.#deps.storeHost, this.#deps.settings.current)
    this.#replyBytesMax = bytesMax ?? 0
    return (this.#isUsable = bytesMax !== undefined)
  }

  take(view: FrameView, connection: ServerConnection): boolean {
    const { bytes, bodyStart, bodyEnd } = view
    const kernel = this.#kernel
    if (view.serializeType !== 0 || bodyStart >= bodyEnd || !(this.#isUsable ?? this.#begin())) return false
    const base = kernel.addressOf(bytes)
    const headerAt = kernel.headerAt(bytes, base, view.headerStart, view.headerEnd)
    if (headerAt < 0 || kernel.calls.scanSend(headerAt, view.headerEnd - view.headerStart) === 0) return false
    const { words } = kernel
    const topicAt = words[SCANNED.topicAt] as number
    const topic = this.#topics.find(
      words[SCANNED.topicHash] as number,
      kernel.bytes,
      topicAt,
      topicAt + (words[SCANNED.topicLength] as number),
    )
    if (topic === undefined || (words[SCANNED.queueId] as number) >= topic.queues) return false
    const { settings, storeHost } = this.#deps
    if (bodyEnd - bodyStart > settings.current.maxMessageSize || this.#store.refusal !== undefined) return false
    if ((words[SCANNED.propertiesLength] as number) + (words[SCANNED.stampLength] as number) > PROPERTIES_MAX_BYTES) return false
    const send = this.#free.pop() ?? this.#another()
    if (send === undefined) return false

    send.version = words[SCANNED.version] as number
    send.isOneway = ((words[SCANNED.requestFlag] as number) & 2) !== 0
    send.connection = connection
    connection.noteUnanswered()
    const bornHost = connection === this.#lastConnection ? this.#lastBornHost : this.#bornHostOf(connection)
    const sysFlag = ((words[SCANNED.sysFlag] as number) & ALLOWED_SYS_FLAG) | hostFlags(bornHost, storeHost)
    const waits = words[SCANNED.waits] !== 0 && isSync(this.#deps)
    this.#store.appendScanned(
      {
        topic: topic.name,
        sysFlag,
        bornHost,
        storeHost,
        bytes,
        bodyStart,
        bodyEnd,
        bodyAt: base < 0 ? 0 : base + bodyStart,
        slot: send.slot,
      },
      waits,
      send.onStored,
    )
    return true
  }

  #bornHostOf(connection: ServerConnection): Uint8Array {
    this.#lastConnection = connection
    this.#lastBornHost = bornHostOf(connection)
    return this.#lastBornHost
  }

  /** As long as there are slots. */
  #another(): PendingSend | undefined {
    if (this.#slotsUsed === this.#kernel.slots) return undefined
    return new PendingSend(this.#kernel.slotAt(this.#slotsUsed++), this.#done)
  }

  readonly #done = (send: PendingSend, result: AppendResult): void => {
    const connection = send.connection as ServerConnection
    connection.settleOne()
    if (!send.isOneway && !connection.isClosed) {
      if (result.status === 'ok') this.#reply(connection, send.slot, result)
      else this.#refuse(connection, send, result)
    }
    send.connection = undefined
    this.#free.push(send)
  }

  #reply(connection: ServerConnection, slot: number, { queueOffset, physicalOffset }: AppendResult): void {
    const kernel = this.#kernel
    const { bytes, start } = connection.reserve(this.#replyBytesMax)
    const base = kernel.addressOf(bytes)
    let length: number
    if (base >= 0) length = kernel.calls.writeReply(slot, base + start, queueOffset, physicalOffset)
    else {
      length = kernel.calls.writeReply(slot, SCANNED.inputAt, queueOffset, physicalOffset)
      bytes.set(kernel.bytes.subarray(SCANNED.inputAt, SCANNED.inputAt + length), start)
    }
    connection.giveBack(this.#replyBytesMax - length)
  }

  #refuse(connection: ServerConnection, send: PendingSend, result: AppendResult): void {
    const { opaque, queueId, key } = this.#kernel.slotOf(send.slot)
    connection.reply({ opaque, serializeType: 0, code: 310, version: send.version }, answer(this.#deps, result, queueId, key))
  }
}
