/** The answer to a stored send, as the declared encoder writes it: texts that the caller has put at `TEXTS_AT`, with digits between them. */
import { copyExactly, copyShort, put32, word } from './bytes'
import {
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

/**
 * At `at` stands a message id of `length` bytes, with what leads to it: writes `count` of them one after another, the first there, with the
 * float64 offsets that lie at `offsetsAt`.
 */
export function writeIds(at: usize, length: i32, offsetsAt: usize, count: i32): void {
  let p = at
  for (let i = 0; i < count; i++, p += <usize>length) {
    if (i > 0) copyExactly(p, at, length)
    putHex(p + <usize>length, <i64>load<f64>(offsetsAt + (<usize>i << 3)))
  }
}

/** Writes the answer to the send in `slot` at `at`, where seven bytes more than it needs are free. Its length. */
export function writeReply(slot: usize, at: usize, queueOffset: f64, physicalOffset: f64): i32 {
  let text: usize = TEXTS_AT + <usize>word(STAMP_LENGTH)
  const headLength = word(REPLY_HEAD_LENGTH)
  copyExactly(at, text, headLength)
  text += <usize>headLength
  let p = at + <usize>headLength
  putHex(p - <usize>word(REPLY_LABEL_LENGTH), <i64>physicalOffset)
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
