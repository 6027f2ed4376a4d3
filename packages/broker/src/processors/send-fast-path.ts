/**
 * The usual sends, handled where their bytes lie, as many as a socket has brought: no header object, no strings, no promise, and no
 * JavaScript for each. An accelerator of `sendMessage`, not a second definition: whatever is unusual (a topic not met before, a delay, a
 * transaction, a retry topic, a property that the broker sets) is declined and takes the declared route. A test holds the records and answers of both
 * equal.
 */
import {
  PROPERTY,
  PROPERTY_KIND,
  RUN,
  RUN_STOP,
  SCANNED,
  SERIALIZE_JSON,
  SERIALIZE_ROCKETMQ,
  SLOT,
  SendMessageV2,
} from '@skylarkmq/remoting/protocol'
import type { Kernel } from '@skylarkmq/remoting/protocol'
import type { RunPath, ServerConnection } from '@skylarkmq/remoting'
import type { AppendResult, MessageStore } from '@skylarkmq/store'
import type { KnownTopic, KnownTopics } from './known-topics.ts'
import { UNUSUAL_PROPERTIES } from './plain-properties.ts'
import { ALLOWED_SYS_FLAG } from './send-checks.ts'
import { answer, bornHostOf, hostFlags, isSync } from './send-message.ts'
import type { SendDeps } from './send-message.ts'
import { startsAs } from './send-batch-fast-path.ts'
import { putTexts, SLACK_BYTES } from './send-reply.ts'
import type { SendSlots, SlotRange } from './send-slots.ts'

/** Room for answers is asked for in pieces of this size at most. */
const REPLIES_BYTES_MAX = 60_000
/** What lies outside the kernel's memory is copied in, so much at a time or one frame. */
const COPIED_BYTES = 16_384
/** The length field and the word that holds serialize type and header length. */
const PREFIX_BYTES = 8
const TYPE_AT = 4
const NO_NAME = new Uint8Array(0)

/** Where a run is to be taken from, and how many sends at most. */
interface Frames {
  readonly at: number
  readonly end: number
  readonly slots: number
  readonly isScanned: boolean
  readonly bornHost: Uint8Array
}

/** A run of sends whose answers are under way. */
class PendingRun {
  readonly connection: ServerConnection
  readonly onStored: (result: AppendResult) => void
  range: SlotRange | undefined
  keyBytes = 0

  constructor(connection: ServerConnection, done: (run: PendingRun, result: AppendResult) => void) {
    this.connection = connection
    this.onStored = (result) => done(this, result)
  }
}

export function sendFastPath(deps: SendDeps, topics: KnownTopics, slots: SendSlots): RunPath {
  const path = new SendFastPath(deps, topics, slots)
  return (bytes, start, end, connection) => path.take(bytes, start, end, connection)
}

class SendFastPath {
  readonly #deps: SendDeps
  readonly #store: MessageStore
  readonly #kernel: Kernel
  readonly #topics: KnownTopics
  readonly #slots: SendSlots
  /** False when the texts of answers are longer than the kernel has room for: then all takes the declared route. */
  #isUsable: boolean | undefined
  #textBytes = 0
  /** That of the latest run. */
  #topic: KnownTopic | undefined
  #mustWait = false

  constructor(deps: SendDeps, topics: KnownTopics, slots: SendSlots) {
    this.#deps = deps
    this.#store = deps.store
    const kernel = deps.store.kernel
    this.#kernel = kernel
    this.#slots = slots
    this.#topics = topics
    deps.topics.onChange(() => {
      this.#topic = undefined
    })
    for (const name of UNUSUAL_PROPERTIES) kernel.addName(name, PROPERTY_KIND.unusual)
    kernel.addName(PROPERTY.UNIQ_KEY, PROPERTY_KIND.uniqKey)
    kernel.addName(PROPERTY.WAIT, PROPERTY_KIND.wait)
  }

  /** At the first send, when the broker knows its port. */
  #begin(): boolean {
    const bytes = putTexts(this.#kernel, this.#deps.storeHost, this.#deps.settings.current)
    this.#textBytes = bytes ?? 0
    return (this.#isUsable = bytes !== undefined)
  }

  take(bytes: Buffer, start: number, end: number, connection: ServerConnection): number {
    // Not a send: nothing is set up for it.
    if (bytes[start + TYPE_AT] === SERIALIZE_JSON && !startsAs(SendMessageV2.code, bytes, start + PREFIX_BYTES, end)) return start
    if (!(this.#isUsable ?? this.#begin())) return start
    const kernel = this.#kernel
    const base = kernel.addressOf(bytes)
    if (base >= 0) return this.#takeAll(base + start, base + end, connection) - base
    let at = start
    while (end - at > PREFIX_BYTES) {
      const frameBytes = 4 + bytes.readInt32BE(at)
      const length = Math.min(end - at, Math.max(frameBytes, COPIED_BYTES))
      if (length < frameBytes || length > kernel.batchBytes) break
      kernel.bytes.set(bytes.subarray(at, at + length), kernel.batchAt)
      const taken = this.#takeAll(kernel.batchAt, kernel.batchAt + length, connection) - kernel.batchAt
      if (taken === 0) break
      at += taken
    }
    return at
  }

  /** Address of the first frame that it did not take. */
  #takeAll(start: number, end: number, connection: ServerConnection): number {
    const { words } = this.#kernel
    const bornHost = this.#setRules(connection)
    let at = start
    let isScanned = false
    while (end - at > PREFIX_BYTES) {
      if (this.#topic === undefined) {
        if (!this.#scan(at, end) || !this.#turnToTopic()) break
        isScanned = true
      }
      const slots = Math.min(this.#slots.findFree(), connection.requestsLeft)
      if (slots === 0) break
      const run = new PendingRun(connection, this.#done)
      const count = this.#append(run, { at, end, slots, isScanned, bornHost })
      if (count < 0) break
      if (count > 0) {
        at = words[RUN.nextAt] as number
        run.range = this.#slots.take(count)
        run.keyBytes = words[RUN.keyBytes] as number
        connection.noteUnanswered(count)
      }
      const stop = words[RUN.stop]
      if (stop === RUN_STOP.topic ? !this.#turnToTopic() : stop !== RUN_STOP.room || count === 0) break
      isScanned = true
    }
    return at
  }

  /** The address of the sender, as records hold it. */
  #setRules(connection: ServerConnection): Uint8Array {
    const { settings, storeHost } = this.#deps
    const bornHost = bornHostOf(connection)
    this.#mustWait = isSync(this.#deps)
    this.#kernel.setRunRules({
      bodyBytesMax: settings.current.maxMessageSize,
      hostFlags: hostFlags(bornHost, storeHost),
      flagsAllowed: ALLOWED_SYS_FLAG,
      mustWait: this.#mustWait,
    })
    return bornHost
  }

  /** Has the kernel read the header of the frame there. False: it is none that is usual. */
  #scan(at: number, end: number): boolean {
    this.#kernel.setRunTopic(NO_NAME, 0)
    this.#kernel.calls.takeSends(at, end, 0, 0, 0, 0, 0, 1, 0)
    return this.#kernel.words[RUN.stop] === RUN_STOP.topic
  }

  /** From now on the sends of a run are to the topic of the header that was scanned. False: it is none for this path. */
  #turnToTopic(): boolean {
    const { words, bytes } = this.#kernel
    const topicAt = words[SCANNED.topicAt] as number
    const topicEnd = topicAt + (words[SCANNED.topicLength] as number)
    this.#topic = this.#topics.find(words[SCANNED.topicHash] as number, bytes, topicAt, topicEnd)
    if (this.#topic === undefined) return false
    this.#kernel.setRunTopic(this.#topic.bytes, this.#topic.queues)
    return true
  }

  #append(run: PendingRun, { at, end, slots, isScanned, bornHost }: Frames): number {
    const { storeHost } = this.#deps
    const slot = this.#kernel.slotAt(this.#slots.next)
    const topic = (this.#topic as KnownTopic).name
    return this.#store.appendSends({ topic, bornHost, storeHost, at, end, slot, slots, isScanned }, this.#mustWait, run.onStored)
  }

  readonly #done = (run: PendingRun, result: AppendResult): void => {
    const { connection } = run
    const range = run.range as SlotRange
    connection.settle(range.count)
    if (!connection.isClosed) {
      if (result.status === 'ok') this.#reply(connection, range, run.keyBytes)
      else this.#refuse(connection, range, result)
    }
    this.#slots.giveBack(range)
  }

  #reply(connection: ServerConnection, { first, count }: SlotRange, keyBytes: number): void {
    const bytes = this.#textBytes + SLOT.replyDigits
    const room = count * bytes + keyBytes + SLACK_BYTES
    if (room <= REPLIES_BYTES_MAX) return this.#write(connection, first, count, room)
    const bytesMax = bytes + SLOT.keyBytes
    const step = Math.floor((REPLIES_BYTES_MAX - SLACK_BYTES) / bytesMax)
    for (let done = 0; done < count; done += step) {
      const some = Math.min(step, count - done)
      this.#write(connection, first + done, some, some * bytesMax + SLACK_BYTES)
    }
  }

  #write(connection: ServerConnection, first: number, count: number, room: number): void {
    const kernel = this.#kernel
    const { bytes, start } = connection.reserve(room)
    const base = kernel.addressOf(bytes)
    const at = base >= 0 ? base + start : SCANNED.inputAt
    const length = kernel.calls.writeReplies(kernel.slotAt(first), count, at)
    if (base < 0) bytes.set(kernel.bytes.subarray(at, at + length), start)
    connection.giveBack(room - length)
  }

  #refuse(connection: ServerConnection, { first, count }: SlotRange, result: AppendResult): void {
    for (let i = 0; i < count; i++) {
      const { opaque, version, isOneway, isBinary, queueId, key, queueOffset, physicalOffset } = this.#kernel.slotOf(
        this.#kernel.slotAt(first + i),
      )
      if (isOneway) continue
      const request = { opaque, serializeType: isBinary ? SERIALIZE_ROCKETMQ : SERIALIZE_JSON, code: SendMessageV2.code, version } as const
      connection.reply(request, answer(this.#deps, { ...result, queueOffset, physicalOffset }, queueId, key))
    }
  }
}
