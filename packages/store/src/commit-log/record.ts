import { setInt64 } from '../bytes.ts'
import type { MessageToStore } from '../types.ts'

/** RocketMQ MessageDecoder: records with one and with two bytes of topic length, and the end-of-file marker. */
export const MAGIC_V1 = -626_843_481
export const MAGIC_V2 = -626_843_477
export const MAGIC_BLANK = -875_286_124

/** RocketMQ CommitLog END_FILE_MIN_BLANK_LENGTH: int length of the rest, int magic. */
export const BLANK_MARKER_BYTES = 8

/** All but hosts, body, topic and properties: 91 bytes for a V1 record with two IPv4 hosts. */
export const FIXED_BYTES = 75

export const AT = {
  size: 0,
  magic: 4,
  bodyCrc: 8,
  queueId: 12,
  flag: 16,
  queueOffset: 20,
  physicalOffset: 28,
  sysFlag: 36,
  bornTimestamp: 40,
  bornHost: 48,
} as const

export const SYS_FLAG_BORN_HOST_V6 = 0x10
export const SYS_FLAG_STORE_HOST_V6 = 0x20
const TRANSACTION_MASK = 0xc
const TRANSACTION_PREPARED = 0x4
const TRANSACTION_ROLLBACK = 0xc

export const MIN_RECORD_BYTES = FIXED_BYTES + 16 + 1

/** Prepared and rolled back messages stay out of consume queues and carry queue offset 0. */
export function entersQueue(sysFlag: number): boolean {
  const transaction = sysFlag & TRANSACTION_MASK
  return transaction !== TRANSACTION_PREPARED && transaction !== TRANSACTION_ROLLBACK
}

export function isRollback(sysFlag: number): boolean {
  return (sysFlag & TRANSACTION_MASK) === TRANSACTION_ROLLBACK
}

export function recordBytes(message: MessageToStore, topicBytes: Uint8Array): number {
  return (
    FIXED_BYTES +
    message.bornHost.length +
    message.storeHost.length +
    message.body.length +
    topicBytes.length +
    (topicBytes.length > 127 ? 1 : 0) +
    message.properties.length
  )
}

/** Writes a record at `at`. `view` and `target` are of the same bytes. The layout: RocketMQ MessageExtEncoder#encode. */
export function encodeRecord(
  target: Uint8Array,
  view: DataView,
  at: number,
  message: MessageToStore,
  topicBytes: Uint8Array,
  assigned: { sizeBytes: number; bodyCrc: number; queueOffset: number; physicalOffset: number; storeTimestamp: number },
): number {
  const long = topicBytes.length > 127
  view.setInt32(at, assigned.sizeBytes)
  view.setInt32(at + AT.magic, long ? MAGIC_V2 : MAGIC_V1)
  view.setInt32(at + AT.bodyCrc, assigned.bodyCrc)
  view.setInt32(at + AT.queueId, message.queueId)
  view.setInt32(at + AT.flag, message.flag)
  setInt64(view, at + AT.queueOffset, assigned.queueOffset)
  setInt64(view, at + AT.physicalOffset, assigned.physicalOffset)
  view.setInt32(at + AT.sysFlag, message.sysFlag)
  setInt64(view, at + AT.bornTimestamp, message.bornTimestamp)
  let p = at + AT.bornHost
  p = put(target, p, message.bornHost)
  setInt64(view, p, assigned.storeTimestamp)
  p += 8
  p = put(target, p, message.storeHost)
  view.setInt32(p, message.reconsumeTimes)
  setInt64(view, p + 4, message.preparedTransactionOffset)
  p += 12
  view.setInt32(p, message.body.length)
  p += 4
  target.set(message.body, p)
  p += message.body.length
  if (long) view.setInt16(p++, topicBytes.length)
  else view.setInt8(p, topicBytes.length)
  p++
  p = put(target, p, topicBytes)
  view.setInt16(p, message.properties.length)
  p += 2
  target.set(message.properties, p)
  return p + message.properties.length
}

/** For few bytes: a loop costs less than a call into the engine. */
function put(target: Uint8Array, at: number, bytes: Uint8Array): number {
  const length = bytes.length
  for (let i = 0; i < length; i++) target[at + i] = bytes[i] as number
  return at + length
}
