/**
 * The usual batch, handled where its bytes lie: an accelerator of `sendBatch`, as `send-fast-path.ts` is one of `sendMessage`. A test holds
 * the records and answers of both equal.
 */
import { DLQ_PREFIX, SCANNED, SYS_FLAG } from '@skylarkmq/remoting/protocol'
import type { Kernel } from '@skylarkmq/remoting/protocol'
import type { FastPath, FrameView, ServerConnection } from '@skylarkmq/remoting'
import type { AppendResult, MessageStore } from '@skylarkmq/store'
import type { KnownTopics } from './known-topics.ts'
import { ALLOWED_SYS_FLAG } from './send-checks.ts'
import { answer, bornHostOf, hostFlags, isSync } from './send-message.ts'
import type { SendDeps } from './send-message.ts'
import { BatchReply, putTexts } from './send-reply.ts'
import type { SendSlots, SlotRange } from './send-slots.ts'

const SEND_BATCH_MESSAGE = 320
const BATCH_TOPIC_MAX_LENGTH = 127
const BATCH_SYS_FLAG = ALLOWED_SYS_FLAG & ~(SYS_FLAG.COMPRESSED | SYS_FLAG.COMPRESSION_MASK)
/** The code of a request, where the header begins with it: `{"code":320,`. */
const CODE_AT = 8
const COMMA = 0x2c
const DIGIT_0 = 0x30

export function sendBatchFastPath(deps: SendDeps, topics: KnownTopics, slots: SendSlots): FastPath {
  const batches = new BatchFastPath(deps, topics, slots)
  return (view, connection) => startsAs(SEND_BATCH_MESSAGE, view.bytes, view.headerStart, view.headerEnd) && batches.take(view, connection)
}

/** That the JSON header there begins with this code of three digits, as usual clients write it. */
export function startsAs(code: number, bytes: Uint8Array, headerStart: number, headerEnd: number): boolean {
  const at = headerStart + CODE_AT
  if (at + 4 > headerEnd || bytes[at + 3] !== COMMA) return false
  return (bytes[at] as number) * 100 + (bytes[at + 1] as number) * 10 + (bytes[at + 2] as number) === code + 111 * DIGIT_0
}

class BatchFastPath {
  readonly #deps: SendDeps
  readonly #store: MessageStore
  readonly #kernel: Kernel
  readonly #topics: KnownTopics
  readonly #slots: SendSlots
  #isUsable: boolean | undefined
  #replies: BatchReply | undefined

  constructor(deps: SendDeps, topics: KnownTopics, slots: SendSlots) {
    this.#deps = deps
    this.#store = deps.store
    this.#kernel = deps.store.kernel
    this.#topics = topics
    this.#slots = slots
  }

  /** At the first batch, when the broker knows its port. */
  #begin(): boolean {
    const { storeHost, settings } = this.#deps
    const textBytes = putTexts(this.#kernel, storeHost, settings.current)
    if (textBytes !== undefined) this.#replies = new BatchReply(this.#kernel, storeHost, textBytes)
    return (this.#isUsable = textBytes !== undefined)
  }

  take(view: FrameView, connection: ServerConnection): boolean {
    const { bytes, bodyStart, bodyEnd } = view
    const kernel = this.#kernel
    const { settings, storeHost } = this.#deps
    const bodyLength = bodyEnd - bodyStart
    if (view.serializeType !== 0 || bodyLength <= 0 || bodyLength > settings.current.maxMessageSize) return false
    if (this.#slots.findFree() === 0 || !(this.#isUsable ?? this.#begin())) return false
    const base = kernel.addressOf(bytes)
    if (base < 0 && bodyLength > kernel.batchBytes) return false
    const headerAt = kernel.headerAt(bytes, base, view.headerStart, view.headerEnd)
    if (headerAt < 0 || kernel.calls.scanBatch(headerAt, view.headerEnd - view.headerStart) === 0) return false
    const { words } = kernel
    const topicAt = words[SCANNED.topicAt] as number
    const topicLength = words[SCANNED.topicLength] as number
    const topic = this.#topics.find(words[SCANNED.topicHash] as number, kernel.bytes, topicAt, topicAt + topicLength)
    const queueId = words[SCANNED.queueId] as number
    if (topic === undefined || queueId >= topic.queues) return false
    if (topicLength > BATCH_TOPIC_MAX_LENGTH || topic.name.startsWith(DLQ_PREFIX)) return false
    if (base < 0) kernel.bytes.set(bytes.subarray(bodyStart, bodyEnd), kernel.batchAt)

    const bornHost = bornHostOf(connection)
    const sysFlag = ((words[SCANNED.sysFlag] as number) & BATCH_SYS_FLAG) | hostFlags(bornHost, storeHost)
    const range = this.#slots.take(1)
    kernel.calls.noteRequest(kernel.slotAt(range.first))
    const isTaken = this.#store.appendScannedBatch(
      { topic: topic.name, sysFlag, bornHost, storeHost, bodyAt: base < 0 ? kernel.batchAt : base + bodyStart, bodyLength },
      words[SCANNED.waits] !== 0 && isSync(this.#deps),
      (result) => this.#done(connection, range, result),
    )
    if (isTaken) connection.noteUnanswered(1)
    else this.#slots.giveBack(range)
    return isTaken
  }

  #done(connection: ServerConnection, range: SlotRange, result: AppendResult): void {
    connection.settle(1)
    if (!connection.isClosed) this.#answer(connection, this.#kernel.slotAt(range.first), result)
    this.#slots.giveBack(range)
  }

  #answer(connection: ServerConnection, slot: number, result: AppendResult): void {
    const { status, physicalOffsets, queueOffset } = result
    if (this.#kernel.isOneway(slot)) return
    if (status === 'ok' && physicalOffsets !== undefined && this.#replies?.write(connection, slot, queueOffset, physicalOffsets)) return
    const { opaque, version, queueId, key } = this.#kernel.slotOf(slot)
    const request = { opaque, serializeType: 0, code: SEND_BATCH_MESSAGE, version } as const
    connection.reply(request, answer(this.#deps, result, queueId, key))
  }
}
