/**
 * Reads the JSON header of SEND_MESSAGE_V2 in one pass over its bytes. An accelerator, not a second definition: it accepts only headers in
 * which nothing is unusual and declines all others, which then take the declared decoder. A property test holds the two equal.
 */
import { setWord, skipPlain, special } from './bytes'
import { forgetRanges, noteRange, remember, scanRepeated } from './repeated-header'
import {
  BORN,
  PROPERTIES,
  QUEUE,
  SEND_BATCH_MESSAGE,
  SEND_MESSAGE_V2,
  beginFields,
  fieldEnd,
  fieldStart,
  judge,
  meetField,
  setField,
  takeProperty,
  wasFree,
} from './send-fields'
import { OPAQUE, PROPERTIES_AT, PROPERTIES_BYTES_MAX, PROPERTIES_MAX, REQUEST_FLAG, VERSION } from '../src/protocol/kernel/layout'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const OPEN = 0x7b
const CLOSE = 0x7d

const TRUE: u32 = 0x65757274
const FALS: u32 = 0x736c6166

let opaqueAt: usize = 0
let opaqueEnd: usize = 0
let propertiesLength: i32 = 0

/** As \u0002. */
const ESCAPE_BYTES = 6

/** Hexadecimal digit, or more than 15. */
@inline
function hex(byte: u32): u32 {
  const digit = byte - 0x30
  if (digit <= 9) return digit
  const letter = (byte | 0x20) - 0x61
  return letter <= 5 ? letter + 10 : 16
}

/** Resolves the escapes of the property text and judges each property. Address of the closing quote, or 0. */
function takeProperties(start: usize, end: usize): usize {
  let at = start
  let out: usize = PROPERTIES_AT
  const limit: usize = PROPERTIES_AT + PROPERTIES_BYTES_MAX
  let nameStart = out
  let nameEnd: usize = 0
  let valueAt: usize = 0
  let count = 0
  while (true) {
    if (at >= end || out > limit) return 0
    const word = load<u64>(at)
    // What is too much is written over by the next step.
    store<u64>(out, word)
    const found = special(word)
    if (found == 0) {
      at += 8
      out += 8
      continue
    }
    const plain = <usize>ctz(found) >> 3
    at += plain
    out += plain
    if (at >= end) return 0
    const stop = load<u8>(at++)
    if (stop == QUOTE) break
    if (stop != BACKSLASH) return 0
    let byte = <u32>load<u8>(at++)
    if (byte == 0x75) {
      // \u00XX below 0x80 only: the separators. Others decline.
      if (load<u16>(at) != 0x3030) return 0
      const high = hex(load<u8>(at, 2))
      const low = hex(load<u8>(at, 3))
      if (high > 7 || low > 15) return 0
      byte = high * 16 + low
      at += 4
      if (byte == 1 && nameEnd == 0) {
        nameEnd = out
        valueAt = at
      }
      else if (byte == 2) {
        if (nameEnd <= nameStart || nameEnd + 1 >= out || count == PROPERTIES_MAX) return 0
        if (!takeProperty(count, nameStart, nameEnd, out)) return 0
        // One without escapes may have others of its length in its place.
        const valueLength = out - nameEnd - 1
        if (wasFree() && at - ESCAPE_BYTES - valueAt == valueLength) noteRange(valueAt, <i32>valueLength, nameEnd + 1)
        count++
        nameStart = out + 1
        nameEnd = 0
      }
    } else if (byte == 0x6e) byte = 0x0a
    else if (byte == 0x74) byte = 0x09
    else if (byte == 0x72) byte = 0x0d
    else if (byte != QUOTE && byte != BACKSLASH && byte != 0x2f) return 0
    store<u8>(out++, <u8>byte)
  }
  // A text without its last separator is legal but unusual.
  if (nameStart != out || out > limit) return 0
  propertiesLength = <i32>(out - PROPERTIES_AT)
  return at - 1
}

/** End of a raw whole number ≥ 0, true or false; 0 for all else. */
function rawEnd(start: usize, end: usize): usize {
  if (load<u32>(start) == TRUE) return start + 4
  if (load<u32>(start) == FALS && load<u8>(start, 4) == 0x65) return start + 5
  let at = start
  while (at < end && <u32>load<u8>(at) - 0x30 <= 9) at++
  // JSON.parse rounds beyond 15 digits, and knows no leading zeros.
  if (at == start || at - start > 15 || (at - start > 1 && load<u8>(start) == 0x30)) return 0
  return at
}

/** Address behind the closing brace, or 0. */
function takeExtFields(start: usize, end: usize): usize {
  let at = start
  if (load<u8>(at++) != OPEN) return 0
  if (load<u8>(at) == CLOSE) return at + 1
  while (true) {
    // "x": of one letter
    if (at + 4 >= end || load<u8>(at) != QUOTE || load<u16>(at, 2) != 0x3a22) return 0
    const index = <i32>load<u8>(at, 1) - 0x61
    if (!meetField(index)) return 0
    at += 4
    const isQuoted = load<u8>(at) == QUOTE
    if (isQuoted) at++
    const valueStart = at
    if (index == PROPERTIES) at = isQuoted ? takeProperties(at, end) : 0
    else if (isQuoted) {
      at = skipPlain(at, end)
      if (at >= end || load<u8>(at) != QUOTE) return 0
    }
    // A raw number or boolean, as JavaScript clients send them.
    else at = rawEnd(at, end)
    if (at == 0) return 0
    setField(index, valueStart, at)
    if (isQuoted) at++
    const next = load<u8>(at++)
    if (next == CLOSE) return at
    if (next != COMMA) return 0
  }
}

/** Bit of a key of the header, which has `length` bytes at `at`; 0 for others. */
@inline
function keyBit(at: usize, length: usize): u32 {
  if (length == 4) {
    const word = load<u32>(at)
    return word == 0x65646f63 ? 1 : word == 0x67616c66 ? 2 : 0
  }
  if (length == 6) return load<u32>(at) == 0x7161706f && load<u16>(at, 4) == 0x6575 ? 4 : 0
  if (length == 7) return load<u32>(at) == 0x73726576 && load<u32>(at, 3) == 0x6e6f6973 ? 8 : 0
  if (length == 9) return load<u64>(at) == 0x646c656946747865 && load<u8>(at, 8) == 0x73 ? 16 : 0
  if (length == 8) return load<u64>(at) == 0x65676175676e616c ? 32 : 0
  // serializeTypeCurrentRPC
  if (length != 23) return 0
  return load<u64>(at) == 0x7a696c6169726573 && load<u64>(at, 8) == 0x7275436570795465 && load<u64>(at, 15) == 0x435052746e657272 ? 64 : 0
}

/** Reads the header at `start`, of `length` bytes. True when all of it is usual. At least 8 bytes of memory lie behind it. */
export function scanSend(start: usize, length: i32): bool {
  return scanAny(start, length, SEND_MESSAGE_V2)
}

/** The same for SEND_BATCH_MESSAGE, whose header is of the same fields. */
export function scanBatch(start: usize, length: i32): bool {
  return scanAny(start, length, SEND_BATCH_MESSAGE)
}

function scanAny(start: usize, length: i32, code: i32): bool {
  if (scanRepeated(start, length, code)) return true
  forgetRanges()
  if (!scan(start, length, code)) return false
  remember(start, length, code, opaqueAt, opaqueEnd, fieldStart(QUEUE), fieldEnd(QUEUE), fieldStart(BORN), fieldEnd(BORN))
  return true
}

function scan(start: usize, length: i32, code: i32): bool {
  const end = start + <usize>length
  beginFields()
  propertiesLength = 0
  let at = start
  let seen: u32 = 0
  let opaque = 0
  let requestFlag = 0
  let version = 0
  if (load<u8>(at++) != OPEN) return false
  while (true) {
    if (at >= end || load<u8>(at) != QUOTE) return false
    const key = ++at
    at = skipPlain(at, end)
    if (at >= end || load<u16>(at) != 0x3a22) return false
    const bit = keyBit(key, at - key)
    at += 2
    if (bit == 0 || (seen & bit) != 0) return false
    seen |= bit
    if (bit < 16) {
      const digits = at
      let value = 0
      for (; at < end; at++) {
        const digit = <u32>load<u8>(at) - 0x30
        if (digit > 9) break
        value = value * 10 + <i32>digit
        if (at - digits > 8) return false
      }
      if (at == digits || (load<u8>(digits) == 0x30 && at - digits > 1)) return false
      if (bit == 1) {
        // Others are not worth the rest.
        if (value != code) return false
      } else if (bit == 2) requestFlag = value
      else if (bit == 4) {
        opaque = value
        opaqueAt = digits
        opaqueEnd = at
      } else version = value
    } else if (bit == 16) {
      at = takeExtFields(at, end)
      if (at == 0) return false
    } else {
      if (load<u8>(at++) != QUOTE) return false
      at = skipPlain(at, end)
      if (at >= end || load<u8>(at++) != QUOTE) return false
    }
    const next = load<u8>(at++)
    if (next == CLOSE) break
    if (next != COMMA) return false
  }
  // A request, perhaps one way; with code and opaque.
  if (at != end || (seen & 5) != 5 || requestFlag > 3 || (requestFlag & 1) != 0) return false
  setWord(OPAQUE, opaque)
  setWord(REQUEST_FLAG, requestFlag)
  setWord(VERSION, version)
  return judge(code == SEND_BATCH_MESSAGE, PROPERTIES_AT, propertiesLength)
}
