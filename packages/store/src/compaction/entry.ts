import { hash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { getInt64, javaHashOfUtf8, setInt64 } from '../bytes.ts'
import { AT, SYS_FLAG_BORN_HOST_V6, SYS_FLAG_STORE_HOST_V6 } from '../commit-log/record.ts'
import { crc32OfRange } from '../crc32.ts'
import { topicRange } from '../dispatch/record-parser.ts'
import { KEY_BYTES } from './key-set.ts'

/**
 * What a compacted file knows of one record: int64 queue offset · int64 position in the file · int32 size · int32 tags code ·
 * int64 store time · int64 time from which a tombstone counts (0: it is none) · 16 bytes of the key's SHA-256 · int32 1 with a key ·
 * u32 CRC of the record.
 */
export const ENTRY_BYTES = 64
export const ENTRY = {
  queueOffset: 0,
  position: 8,
  size: 16,
  tagsCode: 20,
  storeTimestamp: 24,
  tombstoneSince: 32,
  key: 40,
  hasKey: 56,
  crc: 60,
} as const

const utf8 = new TextEncoder()
const KEYS = utf8.encode('KEYS')
const TAGS = utf8.encode('TAGS')
/** For producers whose clients refuse to send an empty body (Apache's do): a user property that says the same. */
const TOMBSTONE = utf8.encode('TOMBSTONE')
const TRUE = utf8.encode('true')
const NAME_END = 1
const VALUE_END = 2

/**
 * Writes the entry of the (sound) record at `start` to `entries[at]`, of which `target` is the view. Its position is left open. `now` is
 * the time from which it counts if it is a tombstone; without it the store time.
 */
export function describeRecord(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  now: number | undefined,
  entries: Uint8Array,
  target: DataView,
  at: number,
): boolean {
  const range = topicRange(bytes, view, start)
  if (range === undefined) return false
  const size = view.getInt32(start)
  const sysFlag = view.getInt32(start + AT.sysFlag)
  const storeTimeAt = start + AT.bornHost + (sysFlag & SYS_FLAG_BORN_HOST_V6 ? 20 : 8)
  const bodyAt = storeTimeAt + 8 + (sysFlag & SYS_FLAG_STORE_HOST_V6 ? 20 : 8) + 12
  setInt64(target, at + ENTRY.queueOffset, getInt64(view, start + AT.queueOffset))
  setInt64(target, at + ENTRY.position, 0)
  target.setInt32(at + ENTRY.size, size)
  target.setInt32(at + ENTRY.tagsCode, 0)
  const storeTimestamp = getInt64(view, storeTimeAt)
  const since = now ?? storeTimestamp
  setInt64(target, at + ENTRY.storeTimestamp, storeTimestamp)
  setInt64(target, at + ENTRY.tombstoneSince, view.getInt32(bodyAt) === 0 ? since : 0)
  entries.fill(0, at + ENTRY.key, at + ENTRY_BYTES)
  target.setUint32(at + ENTRY.crc, crcOf(bytes, start, start + size))
  const end = Math.min(start + size, range.propertiesAt + 2 + view.getInt16(range.propertiesAt))
  scanProperties(bytes, range.propertiesAt + 2, end, since, target, at)
  return true
}

const NATIVE_FROM_BYTES = 250

/** Of the whole record: the log's own covers the body only. */
export function crcOf(bytes: Uint8Array, start: number, end: number): number {
  return end - start < NATIVE_FROM_BYTES ? crc32OfRange(bytes, start, end) : crc32(bytes.subarray(start, end))
}

function scanProperties(bytes: Uint8Array, from: number, end: number, since: number, target: DataView, at: number): void {
  let name = from
  while (name < end) {
    let nameEnd = name
    while (nameEnd < end && bytes[nameEnd] !== NAME_END && bytes[nameEnd] !== VALUE_END) nameEnd++
    let valueEnd = nameEnd
    while (valueEnd < end && bytes[valueEnd] !== VALUE_END) valueEnd++
    const value = nameEnd + 1
    if (value < valueEnd) {
      if (isText(KEYS, bytes, name, nameEnd)) {
        // RocketMQ CompactionLog: the whole text of KEYS is the key.
        // As text: a Buffer has memory outside the heap, of which the collector has to be rid one by one.
        const digest = hash('sha256', bytes.subarray(value, valueEnd), 'binary')
        for (let i = 0; i < KEY_BYTES; i++) target.setUint8(at + ENTRY.key + i, digest.charCodeAt(i))
        target.setInt32(at + ENTRY.hasKey, 1)
      } else if (isText(TAGS, bytes, name, nameEnd)) target.setInt32(at + ENTRY.tagsCode, javaHashOfUtf8(bytes, value, valueEnd, 0))
      else if (isText(TOMBSTONE, bytes, name, nameEnd) && isText(TRUE, bytes, value, valueEnd))
        setInt64(target, at + ENTRY.tombstoneSince, since)
    }
    name = valueEnd + 1
  }
}

function isText(text: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  if (end - start !== text.length) return false
  for (let i = 0; i < text.length; i++) if (bytes[start + i] !== text[i]) return false
  return true
}
