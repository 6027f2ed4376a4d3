import { getInt64 } from '../bytes.ts'
import { bodyCrcOfRange } from '../crc32.ts'
import {
  AT,
  BLANK_MARKER_BYTES,
  MAGIC_BLANK,
  MAGIC_V1,
  MAGIC_V2,
  MIN_RECORD_BYTES,
  SYS_FLAG_BORN_HOST_V6,
  SYS_FLAG_STORE_HOST_V6,
} from './record.ts'

/** `blank`: an end-of-file marker. `end`: zeros, nothing was written here. Else what is wrong, in words. */
export type Verdict = 'record' | 'blank' | 'end' | { readonly wrong: string }

/** Size of the record whose first 8 bytes are at `at`, when magic and size are plausible; else 0. */
export function plausibleSize(view: DataView, at: number, room: number): number {
  const magic = view.getInt32(at + AT.magic)
  if (magic !== MAGIC_V1 && magic !== MAGIC_V2) return 0
  const size = view.getInt32(at)
  return size >= MIN_RECORD_BYTES && size <= room ? size : 0
}

/** Judges the first 8 bytes of a place in the log. `room`: bytes to the segment's end. */
export function checkHead(view: DataView, at: number, room: number): Verdict {
  const size = view.getInt32(at)
  const magic = view.getInt32(at + AT.magic)
  if (size === 0 && magic === 0) return 'end'
  if (magic === MAGIC_BLANK)
    return size === room && room >= BLANK_MARKER_BYTES ? 'blank' : { wrong: `end-of-file marker of ${size} bytes where ${room} are left` }
  if (magic !== MAGIC_V1 && magic !== MAGIC_V2) return { wrong: `magic code ${(magic >>> 0).toString(16)}` }
  if (size < MIN_RECORD_BYTES || size > room) return { wrong: `record size ${size} where ${room} bytes are left` }
  return 'record'
}

/**
 * Judges a whole record (its head is plausible): lengths, own position, and with `withCrc` the body. Undefined when good.
 * The CRC covers the body only; what else can be told from the bytes is: a topic is printable ASCII, a queue offset has a record for
 * each of its predecessors, and properties that end in NUL are a sector that never reached the disk.
 */
export function checkRecord(bytes: Uint8Array, view: DataView, at: number, physicalOffset: number, withCrc: boolean): string | undefined {
  const size = view.getInt32(at)
  const own = getInt64(view, at + AT.physicalOffset)
  if (own !== physicalOffset) return `record says that it is at ${own}`
  const sysFlag = view.getInt32(at + AT.sysFlag)
  const end = at + size
  const bodyAt = at + AT.bornHost + (sysFlag & SYS_FLAG_BORN_HOST_V6 ? 20 : 8) + 8 + (sysFlag & SYS_FLAG_STORE_HOST_V6 ? 20 : 8) + 12
  if (bodyAt + 7 > end) return `record size ${size} is too small for its hosts`
  const bodyLength = view.getInt32(bodyAt)
  const topicAt = bodyAt + 4 + bodyLength
  if (bodyLength < 0 || topicAt + 3 > end) return `body length ${bodyLength} in a record of ${size} bytes`
  const long = view.getInt32(at + AT.magic) === MAGIC_V2
  const topicLength = long ? view.getInt16(topicAt) : view.getInt8(topicAt)
  const propertiesAt = topicAt + (long ? 2 : 1) + topicLength
  if (topicLength <= 0 || propertiesAt + 2 > end) return `topic length ${topicLength} in a record of ${size} bytes`
  const propertiesLength = view.getInt16(propertiesAt)
  if (propertiesLength < 0 || propertiesAt + 2 + propertiesLength !== end)
    return `properties length ${propertiesLength} in a record of ${size} bytes`
  if (propertiesLength > 0 && bytes[end - 1] === 0) return 'properties that end in zeros'
  for (let i = propertiesAt - topicLength; i < propertiesAt; i++) {
    if (!isTopicByte(bytes[i] as number)) return `byte ${bytes[i]} in the topic`
  }
  const queueOffset = getInt64(view, at + AT.queueOffset)
  if (queueOffset < 0 || queueOffset * MIN_RECORD_BYTES > physicalOffset)
    return `queue offset ${queueOffset} at log position ${physicalOffset}`
  if (withCrc && bodyCrcOfRange(bytes, bodyAt + 4, topicAt) !== view.getInt32(at + AT.bodyCrc)) return 'CRC of the body does not match'
  return undefined
}

/** Printable ASCII. RocketMQ allows fewer still (TopicValidator). */
export function isTopicByte(byte: number): boolean {
  return byte > 0x20 && byte < 0x7f
}
