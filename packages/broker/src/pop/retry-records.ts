import {
  PROPERTY,
  PROPERTIES_MAX_BYTES,
  RECORD,
  decodeRecords,
  encodeRecord,
  formatExtraInfo,
  formatProperties,
  hostToBytes,
  readLong,
  retryFlagOf,
} from '@skylarkmq/remoting/protocol'
import type { StoredMessage } from '@skylarkmq/remoting/protocol'

/** The queue offsets of records, one after another. */
export function queueOffsetsIn(body: Uint8Array): number[] {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.length)
  const offsets: number[] = []
  for (let at = 0; at < bytes.length; at += bytes.readInt32BE(at + RECORD.TOTAL_SIZE))
    offsets.push(readLong(bytes, at + RECORD.QUEUE_OFFSET))
  return offsets
}

export interface Popped {
  readonly startOffset: number
  readonly popTime: number
  readonly invisibleTimeMs: number
  readonly reviveQueueId: number
  readonly brokerName: string
}

/**
 * Messages of a retry topic as consumers get them: with the topic that they were sent to, and their handle in POP_CK, which says where
 * they lie (RocketMQ 5.3 `PopMessageProcessor#popMsgFromQueue`).
 */
export const withOriginTopic = (body: Uint8Array, originTopic: string, popped: Popped): Uint8Array[] =>
  decodeRecords(body).map((message) => renamed(message, originTopic, popped))

function renamed(message: StoredMessage, topic: string, popped: Popped): Uint8Array {
  const { queueId, queueOffset } = message
  const handle = formatExtraInfo({ ...popped, retryFlag: retryFlagOf(message.topic), queueId, queueOffset })
  const text = formatProperties([...[...message.properties].filter(([name]) => name !== PROPERTY.POP_CK), [PROPERTY.POP_CK, handle]])
  // Without room for the handle it goes out as it is: clients then make the handle from the retry topic's name.
  const isTooLong = Buffer.byteLength(text) > PROPERTIES_MAX_BYTES
  return encodeRecord({
    ...message,
    topic: isTooLong ? message.topic : topic,
    bornHost: hostToBytes(message.bornHost, message.bornPort),
    storeHost: message.storeHostBytes,
    properties: isTooLong ? message.propertiesText : text,
  })
}
