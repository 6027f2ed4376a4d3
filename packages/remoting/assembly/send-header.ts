/**
 * Reads the JSON header of SEND_MESSAGE_V2 in one pass over its bytes. An accelerator, not a second definition: it accepts only headers in
 * which nothing is unusual and declines all others, which then take the declared decoder. A property test holds the two equal.
 */
import { equal, javaHash, setWord, skipPlain, special, wholeNumber } from './bytes'
import { forgetRanges, noteRange, remember, scanRepeated } from './repeated-header'
import {
  BORN_TIMESTAMP,
  FLAG,
  NAMES_AT,
  NAMES_MET_AT,
  NAMES_PER_LENGTH,
  NAME_LENGTH_MAX,
  NAME_SLOT_BYTES,
  NUMBERS_AT,
  OPAQUE,
  PROPERTIES_AT,
  PROPERTIES_BYTES_MAX,
  PROPERTIES_LENGTH,
  PROPERTIES_MAX,
  PROPERTIES_TEXT_AT,
  QUEUE_ID,
  RECONSUME_TIMES,
  REQUEST_FLAG,
  SLOT_KEY_BYTES,
  SYS_FLAG,
  TOPIC_AT,
  TOPIC_HASH,
  TOPIC_LENGTH,
  UNIQ_KEY,
  UNIQ_KEY_AT,
  UNIQ_KEY_LENGTH,
  UNUSUAL,
  USUAL,
  VERSION,
  WAIT,
  WAITS,
} from '../src/protocol/kernel/layout'

const SEND_MESSAGE_V2 = 310
const SEND_BATCH_MESSAGE = 320
const QUOTE = 0x22
const BACKSLASH = 0x5c
const COLON = 0x3a
const COMMA = 0x2c
const OPEN = 0x7b
const CLOSE = 0x7d

// One-letter fields of SendMessageRequestHeaderV2, from 'a' on.
const GROUP = 0
const TOPIC = 1
const DEFAULT_QUEUES = 3
const QUEUE = 4
const SYSTEM_FLAG = 5
const BORN = 6
const MESSAGE_FLAG = 7
const PROPERTIES = 8
const RECONSUMED = 9
const MAX_RECONSUMED = 11
const BATCH = 12
const FIELDS = 14

const TRUE: u32 = 0x65757274
const FALS: u32 = 0x736c6166

/** Starts and ends of the fields' texts; a bit of `fieldsSeen` says that the field was there. */
const fieldStarts = memory.data(FIELDS * 4)
const fieldEnds = memory.data(FIELDS * 4)
let fieldsSeen: u32 = 0
let opaqueAt: usize = 0
let opaqueEnd: usize = 0

let uniqKeyAt: usize = 0
let uniqKeyLength: i32 = 0
let waits: i32 = 1
let propertiesLength: i32 = 0
/** The property that was just taken means nothing but itself. */
let isFree = false
/** As \u0002. */
const ESCAPE_BYTES = 6

/** Tells of the name of a property, whose `length` bytes lie at `at`. False: there is no room for it. */
export function addName(at: usize, length: i32, kind: i32): bool {
  if (length > NAME_LENGTH_MAX) return false
  let slot: usize = <usize>(NAMES_AT + length * NAMES_PER_LENGTH * NAME_SLOT_BYTES)
  for (let i = 0; i < NAMES_PER_LENGTH - 1; i++, slot += NAME_SLOT_BYTES) {
    if (load<u8>(slot) != 0) continue
    store<u8>(slot, <u8>kind)
    memory.copy(slot + 1, at, length)
    return true
  }
  return false
}

@inline
export function kindOf(at: usize, length: i32): i32 {
  if (length > NAME_LENGTH_MAX) return USUAL
  let slot: usize = <usize>(NAMES_AT + length * NAMES_PER_LENGTH * NAME_SLOT_BYTES)
  while (true) {
    const kind = <i32>load<u8>(slot)
    if (kind == 0) return USUAL
    if (equal(slot + 1, at, length)) return kind
    slot += NAME_SLOT_BYTES
  }
}

/** Remembers the name of property `count`. False when it came before: of a name twice, the declared route keeps the last. */
@inline
export function meetName(count: i32, nameStart: usize, length: i32): bool {
  for (let k = 0; k < count; k++) {
    const met: usize = <usize>(NAMES_MET_AT + (k << 3))
    if (load<i32>(met, 4) == length && equal(load<u32>(met), nameStart, length)) return false
  }
  const here: usize = <usize>(NAMES_MET_AT + (count << 3))
  store<u32>(here, <u32>nameStart)
  store<i32>(here, length, 4)
  return true
}

/** Judges one property. False: only the declared route knows what it means. */
function takeProperty(count: i32, nameStart: usize, nameEnd: usize, valueEnd: usize): bool {
  const length = <i32>(nameEnd - nameStart)
  if (!meetName(count, nameStart, length)) return false
  const kind = kindOf(nameStart, length)
  if (kind == UNUSUAL) return false
  isFree = kind != WAIT
  const value = nameEnd + 1
  if (kind == UNIQ_KEY) {
    // It is answered as it is.
    if (skipPlain(value, valueEnd) < valueEnd) return false
    uniqKeyAt = value
    uniqKeyLength = <i32>(valueEnd - value)
  } else if (kind == WAIT) {
    // RocketMQ parses WAIT as a boolean; only the plain words are taken here.
    const first = load<u8>(value)
    if (valueEnd - value == 5 && first == 0x66) waits = 0
    else if (valueEnd - value != 4 || first != 0x74) return false
  }
  return true
}

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
        if (isFree && at - ESCAPE_BYTES - valueAt == valueLength) noteRange(valueAt, <i32>valueLength, nameEnd + 1)
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
    if (<u32>index >= <u32>FIELDS || (fieldsSeen & (1 << index)) != 0) return 0
    fieldsSeen |= 1 << index
    at += 4
    const isQuoted = load<u8>(at) == QUOTE
    if (isQuoted) at++
    store<u32>(fieldStarts + (<usize>index << 2), <u32>at)
    if (index == PROPERTIES) at = isQuoted ? takeProperties(at, end) : 0
    else if (isQuoted) {
      at = skipPlain(at, end)
      if (at >= end || load<u8>(at) != QUOTE) return 0
    }
    // A raw number or boolean, as JavaScript clients send them.
    else at = rawEnd(at, end)
    if (at == 0) return 0
    store<u32>(fieldEnds + (<usize>index << 2), <u32>at)
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

/** Value of a field that must be there, of 31 bits; -1 otherwise. */
@inline
function number31(field: i32): i32 {
  if ((fieldsSeen & (1 << field)) == 0) return -1
  const value = wholeNumber(load<u32>(fieldStarts + (<usize>field << 2)), load<u32>(fieldEnds + (<usize>field << 2)))
  return value > 0x7fffffff ? -1 : <i32>value
}

/** True when the fields say nothing unusual; their values are results then. */
function judge(isBatch: bool): bool {
  const seen = fieldsSeen
  if ((seen & (1 << GROUP)) == 0 || (seen & (1 << TOPIC)) == 0 || uniqKeyAt == 0 || uniqKeyLength > SLOT_KEY_BYTES) return false
  const queueId = number31(QUEUE)
  const sysFlag = number31(SYSTEM_FLAG)
  const flag = number31(MESSAGE_FLAG)
  if (queueId < 0 || sysFlag < 0 || flag < 0 || (seen & (1 << BORN)) == 0) return false
  const born = wholeNumber(load<u32>(fieldStarts + (BORN << 2)), load<u32>(fieldEnds + (BORN << 2)))
  if (born < 0) return false
  let reconsumeTimes = 0
  if ((seen & (1 << RECONSUMED)) != 0) {
    reconsumeTimes = number31(RECONSUMED)
    if (reconsumeTimes < 0) return false
  }
  // What is not used must still be valid, or the declared route refuses it.
  if ((seen & (1 << DEFAULT_QUEUES)) != 0 && number31(DEFAULT_QUEUES) < 0) return false
  if ((seen & (1 << MAX_RECONSUMED)) != 0 && number31(MAX_RECONSUMED) < 0) return false
  if ((seen & (1 << BATCH)) != 0) {
    const at: usize = load<u32>(fieldStarts + (BATCH << 2))
    const length = load<u32>(fieldEnds + (BATCH << 2)) - <u32>at
    if (isBatch ? length != 4 || load<u32>(at) != TRUE : length != 5 || load<u8>(at) != 0x66) return false
  }
  const topicAt: usize = load<u32>(fieldStarts + (TOPIC << 2))
  const topicEnd: usize = load<u32>(fieldEnds + (TOPIC << 2))
  setWord(TOPIC_AT, <i32>topicAt)
  setWord(TOPIC_LENGTH, <i32>(topicEnd - topicAt))
  setWord(TOPIC_HASH, javaHash(topicAt, topicEnd))
  setWord(QUEUE_ID, queueId)
  setWord(SYS_FLAG, sysFlag)
  setWord(FLAG, flag)
  setWord(RECONSUME_TIMES, reconsumeTimes)
  setWord(PROPERTIES_LENGTH, propertiesLength)
  setWord(PROPERTIES_TEXT_AT, PROPERTIES_AT)
  setWord(UNIQ_KEY_AT, <i32>uniqKeyAt)
  setWord(UNIQ_KEY_LENGTH, uniqKeyLength)
  setWord(WAITS, waits)
  store<f64>(NUMBERS_AT + (BORN_TIMESTAMP << 3), <f64>born)
  return true
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
  const queueAt: usize = load<u32>(fieldStarts + (QUEUE << 2))
  const queueEnd: usize = load<u32>(fieldEnds + (QUEUE << 2))
  const bornAt: usize = load<u32>(fieldStarts + (BORN << 2))
  remember(start, length, code, opaqueAt, opaqueEnd, queueAt, queueEnd, bornAt, load<u32>(fieldEnds + (BORN << 2)))
  return true
}

function scan(start: usize, length: i32, code: i32): bool {
  const end = start + <usize>length
  fieldsSeen = 0
  uniqKeyAt = 0
  waits = 1
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
  return judge(code == SEND_BATCH_MESSAGE)
}
