/**
 * Reads the binary header (serialize type ROCKETMQ) of SEND_MESSAGE_V2, as Apache's own benchmarks write it. An accelerator as `scanSend` is: what
 * is unusual takes the declared decoder.
 */
import { get16, get32, isPlain, setWord, skipText } from './bytes'
import { PROPERTIES, SEND_MESSAGE_V2, beginFields, judge, meetField, setField, takeProperty } from './send-fields'
import { BINARY, OPAQUE, PROPERTIES_BYTES_MAX, PROPERTIES_MAX, REQUEST_FLAG, VERSION } from '../src/protocol/kernel/layout'

/** int16 code, language, int16 version, int32 opaque, flag and length of the remark; behind the remark the length of the fields. */
const FIXED_BYTES = 21
/** int16 length of a key, the key of one letter, int32 length of the value. */
const FIELD_BYTES = 7
const NAME_END = 1
const VALUE_END = 2

/** Reads the header at `start`, of `length` bytes. True when all of it is usual. At least 8 bytes of memory lie behind it. */
export function scanBinarySend(start: usize, length: i32): bool {
  if (length < FIXED_BYTES || get16(start) != SEND_MESSAGE_V2) return false
  const flag = get32(start + 9)
  // A request, perhaps one way, without a remark; and nothing behind its fields.
  if ((flag & ~2) != 0 || get32(start + 13) != 0 || get32(start + 17) != length - FIXED_BYTES) return false
  const end = start + <usize>length
  let at = start + FIXED_BYTES
  let propertiesAt: usize = 0
  let propertiesLength = 0
  beginFields()
  while (at < end) {
    if (at + FIELD_BYTES > end || get16(at) != 1) return false
    const index = <i32>load<u8>(at, 2) - 0x61
    const valueLength = get32(at + 3)
    at += FIELD_BYTES
    if (valueLength < 0 || <u32>valueLength > <u32>(end - at) || !meetField(index)) return false
    const valueEnd = at + <usize>valueLength
    setField(index, at, valueEnd)
    if (index == PROPERTIES) {
      if (valueLength > PROPERTIES_BYTES_MAX || !takePlainProperties(at, valueEnd)) return false
      propertiesAt = at
      propertiesLength = valueLength
    } else if (!isPlain(at, valueLength)) return false
    at = valueEnd
  }
  const opaque = get32(start + 5)
  if (opaque < 0) return false
  setWord(OPAQUE, opaque)
  setWord(REQUEST_FLAG, flag | BINARY)
  setWord(VERSION, get16(start + 3))
  return judge(false, propertiesAt, propertiesLength)
}

/** Whole pairs in ASCII, each with its end, and each usual. */
function takePlainProperties(start: usize, end: usize): bool {
  let at = start
  for (let count = 0; at < end; count++) {
    const nameEnd = skipText(at, end)
    if (nameEnd >= end || nameEnd == at || load<u8>(nameEnd) != NAME_END || count == PROPERTIES_MAX) return false
    const valueEnd = skipText(nameEnd + 1, end)
    if (valueEnd >= end || load<u8>(valueEnd) != VALUE_END || valueEnd == nameEnd + 1) return false
    if (!takeProperty(count, at, nameEnd, valueEnd)) return false
    at = valueEnd + 1
  }
  return true
}
