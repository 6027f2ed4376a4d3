/**
 * The body of SEND_BATCH_MESSAGE: messages one after another (RocketMQ MessageDecoder#encodeMessage: int32 size, magic, CRC, flag, body length,
 * body, int16 properties length, properties). Judged whole before anything is written; what is not usual takes the declared route.
 */
import { copyExactly, get16, get32, put16, put32, setWord, skipText, turned64, word } from './bytes'
import { copyWithCrc32 } from './crc32'
import { bodyAtOf, MAGIC_V1, putHead } from './record'
import { kindOf, meetName } from './send-fields'
import { beginShape, endShape, forgetShape, isOfShape, noteValue } from './shape'
import {
  BATCH_COUNT,
  BATCH_MESSAGES_MAX,
  BATCH_SHAPE_AT,
  PROPERTIES_BYTES_MAX,
  PROPERTIES_MAX,
  QUEUE_ID,
  STAMP_LENGTH,
  TEXTS_AT,
  TOPIC_AT,
  TOPIC_LENGTH,
  UNIQ_KEY,
  UNUSUAL,
} from '../src/protocol/kernel/layout'

/** All of a message but body and properties. */
const FIXED_BYTES = 22
const NAME_END = 1
const VALUE_END = 2

/** Whole pairs in ASCII, UNIQ_KEY among them, no name twice, none that means something to the broker. The last may lack its end. */
function isPlain(start: usize, end: usize): bool {
  const textLength = <i32>(end - start)
  if (isOfShape(BATCH_SHAPE_AT, start, textLength)) return true
  const isRemembered = beginShape(BATCH_SHAPE_AT, start, textLength)
  let at = start
  let count = 0
  let hasUniqKey = false
  while (at < end) {
    const nameEnd = skipText(at, end)
    if (nameEnd >= end || nameEnd == at || load<u8>(nameEnd) != NAME_END || count == PROPERTIES_MAX) return false
    const valueAt = nameEnd + 1
    let valueEnd = skipText(valueAt, end)
    if (valueEnd >= end) valueEnd = end
    else if (load<u8>(valueEnd) != VALUE_END) return false
    if (valueEnd == valueAt) return false
    const length = <i32>(nameEnd - at)
    if (!meetName(count, at, length)) return false
    const kind = kindOf(at, length)
    if (kind == UNUSUAL) return false
    if (kind == UNIQ_KEY) hasUniqKey = true
    if (isRemembered) noteValue(BATCH_SHAPE_AT, valueAt - start, valueEnd - start)
    count++
    at = valueEnd + 1
  }
  if (!hasUniqKey) return false
  if (isRemembered) endShape(BATCH_SHAPE_AT, textLength)
  return true
}

/** What is stored of properties that end before `end`: their last separator is. */
@inline
function storedLength(length: i32, end: usize): i32 {
  return load<u8>(end - 1) == VALUE_END ? length : length + 1
}

/**
 * Judges the batch that lies in `length` bytes at `start`: how many bytes its records take together, when each takes `overhead` (the stamp
 * in it) beside body and properties. -1: the declared route judges it. The messages' number is a result.
 */
export function measureBatch(start: usize, length: i32, overhead: i32): i32 {
  const end = start + <usize>length
  const stampLength = word(STAMP_LENGTH)
  forgetShape(BATCH_SHAPE_AT)
  let at = start
  let count = 0
  let total = 0
  while (at < end) {
    const left = <i32>(end - at)
    if (left < FIXED_BYTES || count == BATCH_MESSAGES_MAX) return -1
    const size = get32(at)
    if (size < FIXED_BYTES || size > left) return -1
    const bodyLength = get32(at + 16)
    if (bodyLength <= 0 || bodyLength > size - FIXED_BYTES) return -1
    const propertiesAt = at + FIXED_BYTES + <usize>bodyLength
    const propertiesLength = size - FIXED_BYTES - bodyLength
    if (get16(propertiesAt - 2) != propertiesLength || !isPlain(propertiesAt, at + <usize>size)) return -1
    const stored = storedLength(propertiesLength, at + <usize>size)
    if (stored + stampLength > PROPERTIES_BYTES_MAX) return -1
    total += overhead + bodyLength + stored
    count++
    at += <usize>size
  }
  setWord(BATCH_COUNT, count)
  return total
}

/**
 * Writes the records of the batch that `measureBatch` has just judged at `at`, one after another, with the header that was scanned. The
 * first has the offsets given, each next one those behind it. Hosts are where `encodeSend` has them; the topic has at most 127 bytes.
 */
export function encodeBatch(
  at: usize,
  start: usize,
  length: i32,
  overhead: i32,
  sysFlag: i32,
  queueOffset: f64,
  physicalOffset: f64,
  storeTimestamp: f64,
): void {
  const end = start + <usize>length
  const queueId = word(QUEUE_ID)
  const topicAt = <usize>word(TOPIC_AT)
  const topicLength = word(TOPIC_LENGTH)
  const stampLength = word(STAMP_LENGTH)
  const headBytes = <i32>bodyAtOf(0, sysFlag)
  let queuePlace = <i64>queueOffset
  let position = <i64>physicalOffset
  let from = start
  let first: usize = 0
  while (from < end) {
    const next = from + <usize>get32(from)
    const bodyLength = get32(from + 16)
    const propertiesAt = from + FIXED_BYTES + <usize>bodyLength
    const propertiesLength = <i32>(next - propertiesAt)
    const stored = storedLength(propertiesLength, next)
    const size = overhead + bodyLength + stored
    const bodyAt = at + <usize>headBytes
    // The heads of a batch differ in little. Not from the record before: what was stored a moment ago in parts is slow to load as a whole.
    if (first == 0) {
      first = at
      putHead(at, size, MAGIC_V1, queueId, 0, queueOffset, physicalOffset, sysFlag, storeTimestamp, bodyLength)
    } else {
      copyExactly(at, first, headBytes)
      put32(at, size)
      v128.store(at, turned64(i64x2.replace_lane(i64x2.splat(queuePlace), 1, position)), 20)
      store<u32>(bodyAt - 4, load<u32>(from, 16))
    }
    store<u32>(at, load<u32>(from, 12), 16)
    put32(at + 8, <i32>(copyWithCrc32(bodyAt, from + 20, bodyLength) & 0x7fffffff))
    let p = bodyAt + <usize>bodyLength
    store<u8>(p++, <u8>topicLength)
    copyExactly(p, topicAt, topicLength)
    p += <usize>topicLength
    put16(p, stored + stampLength)
    p += 2
    copyExactly(p, propertiesAt, propertiesLength)
    p += <usize>stored
    store<u8>(p - 1, VALUE_END)
    copyExactly(p, TEXTS_AT, stampLength)
    from = next
    at += <usize>size
    queuePlace++
    position += <i64>size
  }
}
