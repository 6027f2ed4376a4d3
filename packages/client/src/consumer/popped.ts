import type { Answer } from '@skylarkmq/remoting'
import type { PopExtraInfo, PopMessage, StoredMessage } from '@skylarkmq/remoting/protocol'
import { decodeRecords, formatExtraInfo, parseExtraInfo, parseStartOffsets, realTopicOf, retryFlagOf } from '@skylarkmq/remoting/protocol'
import { unwrapBatch } from './inner-batch.ts'
import type { CacheEntry } from './process-queue.ts'
import { ConsumedMessage } from './received-message.ts'

/** A record that a pop brought, and the handle by which the broker knows it: a new one each time that its invisible time is changed. */
export class PoppedRecord {
  /** The topic that it lies in, which may be a retry topic. */
  readonly topic: string
  /** The topic that was popped. */
  readonly originTopic: string
  readonly brokerName: string
  readonly queueId: number
  readonly offset: number
  /** Messages of it that are not acknowledged yet: more than one for a whole batch in one record. */
  open = 1
  /** A message of it failed: the record comes again. */
  hasFailed = false
  /** Changes of its time run one after the other. */
  changing: Promise<unknown> = Promise.resolve()
  #handle: PopExtraInfo

  constructor({ topic, group, brokerName }: PopOrigin, stored: StoredMessage, handle: PopExtraInfo) {
    this.topic = realTopicOf(topic, group, handle.retryFlag) ?? stored.topic
    this.originTopic = topic
    this.brokerName = brokerName
    this.queueId = stored.queueId
    this.offset = stored.queueOffset
    this.#handle = { ...handle, queueId: stored.queueId }
  }

  get handle(): PopExtraInfo {
    return this.#handle
  }

  get extraInfo(): string {
    return formatExtraInfo({ ...this.#handle, queueOffset: this.offset })
  }

  /** From now on the broker knows it by these (RocketMQ `MQClientAPIImpl#changeInvisibleTimeAsync`). */
  renew({ popTime, invisibleTime, reviveQid }: { popTime: number; invisibleTime: number; reviveQid: number }): void {
    this.#handle = { ...this.#handle, startOffset: this.offset, popTime, invisibleTimeMs: invisibleTime, reviveQueueId: reviveQid }
  }
}

/** A popped message between the pop and the end of its handler. */
export interface PopEntry extends CacheEntry<ConsumedMessage> {
  readonly record: PoppedRecord
}

export interface PopOrigin {
  /** What was asked for. */
  readonly topic: string
  readonly group: string
  readonly brokerName: string
  readonly namespace: string | undefined
  /** Monotonic: until then the messages are ours, by the time at which they arrived. */
  readonly expiresMs: number
}

/**
 * The messages of an answer to a pop, each with its handle: one that was tried before brings it, for the others it is put together
 * (RocketMQ 5.3 `MQClientAPIImpl#processPopResponse`).
 */
export function poppedEntries(answer: Answer<typeof PopMessage>, origin: PopOrigin): PopEntry[] {
  const { popTime, invisibleTime, reviveQid, startOffsetInfo } = answer.header()
  const starts = parseStartOffsets(startOffsetInfo)
  const made = (stored: StoredMessage): PopExtraInfo => {
    const retryFlag = retryFlagOf(stored.topic)
    const key = `${retryFlag}@${stored.queueId}`
    // Brokers that do not say it mean the first of the queue.
    const startOffset = starts.get(key) ?? stored.queueOffset
    starts.set(key, startOffset)
    const { brokerName } = origin
    return {
      startOffset,
      popTime,
      invisibleTimeMs: invisibleTime,
      reviveQueueId: reviveQid,
      retryFlag,
      brokerName,
      queueId: stored.queueId,
    }
  }
  const { body } = answer
  return decodeRecords(Buffer.from(body.buffer, body.byteOffset, body.byteLength)).flatMap((stored) => {
    const handle = parseExtraInfo(stored.properties.get('POP_CK') ?? '') ?? made(stored)
    const record = new PoppedRecord(origin, stored, handle)
    const messages = unwrapBatch(stored)
    record.open = messages.length
    return messages.map((inner) => entryOf(new ConsumedMessage(inner, origin.brokerName, origin.namespace), record, origin.expiresMs))
  })
}

const entryOf = (message: ConsumedMessage, record: PoppedRecord, expiresMs: number): PopEntry => ({
  message,
  record,
  offset: record.offset,
  sequence: 0,
  taken: false,
  done: false,
  takenMs: 0,
  expiresMs,
})
