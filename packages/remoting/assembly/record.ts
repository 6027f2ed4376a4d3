/** Records of the commit log: RocketMQ MessageExtEncoder#encode and CommitLog#checkMessageAndReturnSize. */
import { copyExactly, copyShort, get32, put16, put32, put64, word } from './bytes'
import { copyWithCrc32, crc32 } from './crc32'
import {
  BORN_HOST_AT,
  BORN_TIMESTAMP,
  FLAG,
  NUMBERS_AT,
  OPAQUE,
  PROPERTIES_LENGTH,
  PROPERTIES_TEXT_AT,
  QUEUE_ID,
  RECONSUME_TIMES,
  REQUEST_FLAG,
  SLOT_KEY,
  SLOT_KEY_LENGTH,
  SLOT_QUEUE_ID,
  SLOT_REQUEST_FLAG,
  SLOT_VERSION,
  STAMP_LENGTH,
  TEXTS_AT,
  TOPIC_AT,
  TOPIC_LENGTH,
  UNIQ_KEY_AT,
  UNIQ_KEY_LENGTH,
  STORE_HOST_AT,
  VERSION,
} from '../src/protocol/kernel/layout'

export const MAGIC_V1 = -626_843_481
export const MAGIC_V2 = -626_843_477
export const BORN_HOST_V6 = 0x10
const STORE_HOST_V6 = 0x20

/**
 * Stores the send that `scanSend` has read: writes its record at `at`, of `size` bytes, and notes in `slot` what the answer needs. The
 * body is copied from `bodyAt`, or lies at its place already (0). Hosts are at `BORN_HOST_AT` and `STORE_HOST_AT`, of the lengths that
 * `sysFlag` tells.
 */
export function encodeSend(
  at: usize,
  size: i32,
  queueId: i32,
  sysFlag: i32,
  queueOffset: f64,
  physicalOffset: f64,
  storeTimestamp: f64,
  bodyAt: usize,
  bodyLength: i32,
  slot: usize,
): void {
  const topicLength = word(TOPIC_LENGTH)
  noteRequest(slot)
  const isLong = topicLength > 127
  const magic = isLong ? MAGIC_V2 : MAGIC_V1
  let p = putHead(at, size, magic, queueId, word(FLAG), queueOffset, physicalOffset, sysFlag, storeTimestamp, bodyLength)
  const crc = bodyAt == 0 ? crc32(p, p + <usize>bodyLength) : copyWithCrc32(p, bodyAt, bodyLength)
  put32(at + 8, <i32>(crc & 0x7fffffff))
  p += <usize>bodyLength
  if (isLong) put16(p++, topicLength)
  else store<u8>(p, <u8>topicLength)
  copyShort(++p, <usize>word(TOPIC_AT), topicLength)
  p += <usize>topicLength
  const propertiesLength = word(PROPERTIES_LENGTH)
  const stampLength = word(STAMP_LENGTH)
  put16(p, propertiesLength + stampLength)
  copyExactly(p + 2, <usize>word(PROPERTIES_TEXT_AT), propertiesLength)
  copyExactly(p + 2 + <usize>propertiesLength, TEXTS_AT, stampLength)
}

/** Notes in `slot` what the answer needs of the header that was scanned. */
export function noteRequest(slot: usize): void {
  const keyLength = word(UNIQ_KEY_LENGTH)
  store<i32>(slot, word(OPAQUE))
  store<i32>(slot, word(QUEUE_ID), SLOT_QUEUE_ID)
  store<i32>(slot, keyLength, SLOT_KEY_LENGTH)
  store<i32>(slot, word(REQUEST_FLAG), SLOT_REQUEST_FLAG)
  store<i32>(slot, word(VERSION), SLOT_VERSION)
  copyShort(slot + SLOT_KEY, <usize>word(UNIQ_KEY_AT), keyLength)
}

/** All of a record before its body but the CRC, by the numbers of the header that was scanned. Address of the body. */
@inline
export function putHead(
  at: usize,
  size: i32,
  magic: i32,
  queueId: i32,
  flag: i32,
  queueOffset: f64,
  physicalOffset: f64,
  sysFlag: i32,
  storeTimestamp: f64,
  bodyLength: i32,
): usize {
  put32(at, size)
  put32(at + 4, magic)
  put32(at + 12, queueId)
  put32(at + 16, flag)
  put64(at + 20, queueOffset)
  put64(at + 28, physicalOffset)
  put32(at + 36, sysFlag)
  put64(at + 40, load<f64>(NUMBERS_AT + (BORN_TIMESTAMP << 3)))
  let p = at + 48
  p = copyHost(p, BORN_HOST_AT, (sysFlag & BORN_HOST_V6) != 0)
  put64(p, storeTimestamp)
  p = copyHost(p + 8, STORE_HOST_AT, (sysFlag & STORE_HOST_V6) != 0)
  put32(p, word(RECONSUME_TIMES))
  store<i64>(p, 0, 4)
  put32(p + 12, bodyLength)
  return p + 16
}

/** What of the sysFlag of the record at `at` says how it is laid out, and what becomes of its transaction: the last byte. */
@inline
export function flagsOf(at: usize): i32 {
  return <i32>load<u8>(at, 39)
}

/** Where the body of a record at `at` lies, by its `sysFlag`. */
export function bodyAtOf(at: usize, sysFlag: i32): usize {
  return at + 48 + (sysFlag & BORN_HOST_V6 ? 20 : 8) + 8 + (sysFlag & STORE_HOST_V6 ? 20 : 8) + 16
}

@inline
function copyHost(to: usize, from: usize, isV6: bool): usize {
  store<u64>(to, load<u64>(from))
  if (!isV6) return to + 8
  store<u64>(to, load<u64>(from, 8), 8)
  store<u32>(to, load<u32>(from, 16), 16)
  return to + 20
}

export const FACTOR: u32 = 0x9e3779b1
export const SEED: u32 = 0x5bd1e995

@inline
export function digestOfRange(from: usize, to: usize, seed: u32): u32 {
  let h = seed
  let at = from
  for (; at + 4 <= to; at += 4) {
    h = (h ^ <u32>get32(at)) * FACTOR
    h ^= h >>> 15
  }
  for (; at < to; at++) {
    h = (h ^ <u32>load<u8>(at)) * FACTOR
    h ^= h >>> 15
  }
  return h
}

/** Digest of all of a record but its body; its lengths must be sound. See `digest.ts` of the store. */
export function recordDigest(at: usize): i32 {
  const bodyAt = bodyAtOf(at, get32(at + 36))
  const topicAt = bodyAt + <usize>get32(bodyAt - 4)
  return <i32>digestOfRange(topicAt, at + <usize>get32(at), digestOfRange(at, bodyAt, SEED))
}

/** Where the body ends of what lies in `[at, end)`, at least a record's head, if its lengths say that it has one there; else 0. */
@inline
export function topicAtOf(at: usize, end: usize): usize {
  const bodyAt = bodyAtOf(at, get32(at + 36))
  if (bodyAt > end) return 0
  const bodyLength = get32(bodyAt - 4)
  return bodyLength >= 0 && <usize>bodyLength <= end - bodyAt ? bodyAt + <usize>bodyLength : 0
}

/** Of `size` bytes at `at`, whatever they are: that they are a record with this digest, and a body with its CRC. 1 or 0. */
export function isAsWritten(at: usize, size: i32, digest: i32): i32 {
  const end = at + <usize>size
  const topicAt = topicAtOf(at, end)
  if (topicAt == 0) return 0
  const bodyAt = bodyAtOf(at, get32(at + 36))
  if (<i32>digestOfRange(topicAt, end, digestOfRange(at, bodyAt, SEED)) != digest) return 0
  return get32(at + 8) == <i32>(crc32(bodyAt, topicAt) & 0x7fffffff) ? 1 : 0
}
