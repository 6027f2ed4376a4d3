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
  do {
    const next = small / 10
    store<u8>(--p, <u8>(0x30 + (small - next * 10)))
    small = next
  } while (p > at)
  return end
}

/** Sixteen hexadecimal digits that end at `end`. */
function putHex(end: usize, value: i64): void {
  let rest = value
  for (let p = end - 1, first = end - 16; p >= first; p--) {
    const digit = <i32>(rest & 15)
    store<u8>(p, <u8>(digit < 10 ? 0x30 + digit : 0x37 + digit))
    rest >>= 4
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
