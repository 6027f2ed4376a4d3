/** The answer to a stored send, as the declared encoder writes it: texts that the caller has put at `TEXTS_AT`, with digits between them. */
import { copyExactly, copyShort, put32, word } from './bytes'
import {
  BINARY_END_LENGTH,
  BINARY_HEAD_LENGTH,
  BINARY_LABEL_LENGTH,
  BINARY_OFFSET_LENGTH,
  BINARY_TRANSACTION_LENGTH,
  REPLY_END_LENGTH,
  REPLY_HEAD_LENGTH,
  REPLY_LABEL_LENGTH,
  REPLY_OFFSET_LENGTH,
  REPLY_OPAQUE_LENGTH,
  REPLY_TRANSACTION_LENGTH,
  SLOT_KEY,
  SLOT_KEY_LENGTH,
  SLOT_QUEUE_ID,
  STAMP_LENGTH,
  TEXTS_AT,
} from '../src/protocol/kernel/layout'

const COMMA: u8 = 0x2c
/** Serialize type 1, in the byte before the header's length. */
const BINARY_TYPE = 0x1000000
const OPAQUE_AT = 13
const FIELDS_LENGTH_AT = 25

/** Address behind the decimal digits of `value` ≥ 0. */
function putDigits(at: usize, value: i64): usize {
  let count: usize = 1
  for (let limit: i64 = 10; value >= limit; limit *= 10) count++
  const end = at + count
  let p = end
  let rest = value
  while (rest > 0x7fffffff) {
    const next = rest / 10
    store<u8>(--p, <u8>(0x30 + (rest - next * 10)))
    rest = next
  }
  let small = <u32>rest
  while (p >= at + 2) {
    const next = small / 100
    const two = small - next * 100
    const ten = (two * 103) >>> 10
    p -= 2
    store<u16>(p, <u16>(0x3030 + ten + ((two - ten * 10) << 8)))
    small = next
  }
  if (p > at) store<u8>(at, <u8>(0x30 + small))
  return end
}

const DIGITS_OF_HEX = i8x16(0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46)

/** Sixteen hexadecimal digits that end at `end`. */
@inline
function putHex(end: usize, value: i64): void {
  const bytes = i64x2.splat(<i64>bswap<u64>(<u64>value))
  const high = i8x16.shr_u(bytes, 4)
  const low = v128.and(bytes, i8x16.splat(15))
  const halves = i8x16.shuffle(high, low, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
  v128.store(end - 16, i8x16.swizzle(DIGITS_OF_HEX, halves))
}

/** Writes the answer to the send in `slot` at `at`, where seven bytes more than it needs are free. Its length. */
export function writeReply(slot: usize, at: usize, queueOffset: f64, physicalOffset: f64): i32 {
  const headLength = word(REPLY_HEAD_LENGTH)
  copyExactly(at, repliesAt(), headLength)
  const headEnd = at + <usize>headLength
  putHex(headEnd - <usize>word(REPLY_LABEL_LENGTH), <i64>physicalOffset)
  return finish(slot, at, headEnd, queueOffset)
}

/**
 * Likewise the answer to the batch in `slot`: that to a send, with the ids of `count` messages, of `idLength` bytes each, whose physical offsets
 * are the float64 at `offsetsAt`.
 */
export function writeBatchReply(slot: usize, at: usize, queueOffset: f64, idLength: i32, offsetsAt: usize, count: i32): i32 {
  const labelLength = word(REPLY_LABEL_LENGTH)
  const headLength = word(REPLY_HEAD_LENGTH)
  copyExactly(at, repliesAt(), headLength)
  const idAt = at + <usize>(headLength - labelLength - idLength)
  let p = idAt + <usize>idLength
  putHex(p, <i64>load<f64>(offsetsAt))
  for (let i = 1; i < count; i++) {
    store<u8>(p++, COMMA)
    copyExactly(p, idAt, idLength)
    p += <usize>idLength
    putHex(p, <i64>load<f64>(offsetsAt + (<usize>i << 3)))
  }
  copyShort(p, repliesAt() + <usize>(headLength - labelLength), labelLength)
  return finish(slot, at, p + <usize>labelLength, queueOffset)
}

@inline
function repliesAt(): usize {
  return TEXTS_AT + <usize>word(STAMP_LENGTH)
}

/** Writes what follows at `p`, from the queue id on, and the lengths of the frame at `at`. */
function finish(slot: usize, at: usize, p: usize, queueOffset: f64): i32 {
  let text = repliesAt() + <usize>word(REPLY_HEAD_LENGTH)
  p = putDigits(p, load<i32>(slot, SLOT_QUEUE_ID))
  let length = word(REPLY_OFFSET_LENGTH)
  copyShort(p, text, length)
  text += <usize>length
  p = putDigits(p + <usize>length, <i64>queueOffset)
  length = word(REPLY_TRANSACTION_LENGTH)
  copyShort(p, text, length)
  text += <usize>length
  p += <usize>length
  length = load<i32>(slot, SLOT_KEY_LENGTH)
  copyShort(p, slot + SLOT_KEY, length)
  p += <usize>length
  length = word(REPLY_OPAQUE_LENGTH)
  copyShort(p, text, length)
  text += <usize>length
  p = putDigits(p + <usize>length, load<i32>(slot))
  length = word(REPLY_END_LENGTH)
  copyShort(p, text, length)
  p += <usize>length
  const total = <i32>(p - at)
  put32(at, total - 4)
  put32(at + 4, total - 8)
  return total
}

/** As `writeReply`, with the binary header: there the length of each value stands before it. */
export function writeBinaryReply(slot: usize, at: usize, queueOffset: f64, physicalOffset: f64): i32 {
  let text = repliesAt() + <usize>jsonLength()
  let length = word(BINARY_HEAD_LENGTH)
  copyExactly(at, text, length)
  text += <usize>length
  let p = at + <usize>length
  putHex(p - <usize>word(BINARY_LABEL_LENGTH), <i64>physicalOffset)
  p = putCounted(p, load<i32>(slot, SLOT_QUEUE_ID))
  length = word(BINARY_OFFSET_LENGTH)
  copyShort(p, text, length)
  text += <usize>length
  p = putCounted(p + <usize>length, <i64>queueOffset)
  length = word(BINARY_TRANSACTION_LENGTH)
  copyShort(p, text, length)
  text += <usize>length
  p += <usize>length
  length = load<i32>(slot, SLOT_KEY_LENGTH)
  put32(p - 4, length)
  copyShort(p, slot + SLOT_KEY, length)
  p += <usize>length
  length = word(BINARY_END_LENGTH)
  copyShort(p, text, length)
  p += <usize>length
  const total = <i32>(p - at)
  put32(at, total - 4)
  put32(at + 4, BINARY_TYPE | (total - 8))
  put32(at + OPAQUE_AT, load<i32>(slot))
  put32(at + FIELDS_LENGTH_AT, total - FIELDS_LENGTH_AT - 4)
  return total
}

/** Digits whose number is written into the four bytes before them. */
@inline
function putCounted(at: usize, value: i64): usize {
  const end = putDigits(at, value)
  put32(at - 4, <i32>(end - at))
  return end
}

/** Of the texts of the answer in JSON, which come first. */
@inline
function jsonLength(): i32 {
  return (
    word(REPLY_HEAD_LENGTH) + word(REPLY_OFFSET_LENGTH) + word(REPLY_TRANSACTION_LENGTH) + word(REPLY_OPAQUE_LENGTH) + word(REPLY_END_LENGTH)
  )
}
