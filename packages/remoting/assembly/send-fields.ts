/** What the header of a send says, whichever way it was written: its fields and the properties in it, and whether they are usual. */
import { equal, javaHash, setWord, skipPlain, wholeNumber } from './bytes'
import {
  BORN_TIMESTAMP,
  FLAG,
  NAMES_AT,
  NAMES_MET_AT,
  NAMES_PER_LENGTH,
  NAME_LENGTH_MAX,
  NAME_SLOT_BYTES,
  NUMBERS_AT,
  PROPERTIES_LENGTH,
  PROPERTIES_TEXT_AT,
  QUEUE_ID,
  RECONSUME_TIMES,
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
  WAIT,
  WAITS,
} from '../src/protocol/kernel/layout'

export const SEND_MESSAGE_V2 = 310
export const SEND_BATCH_MESSAGE = 320

// One-letter fields of SendMessageRequestHeaderV2, from 'a' on.
const GROUP = 0
const TOPIC = 1
const DEFAULT_QUEUES = 3
export const QUEUE = 4
const SYSTEM_FLAG = 5
export const BORN = 6
const MESSAGE_FLAG = 7
export const PROPERTIES = 8
const RECONSUMED = 9
const MAX_RECONSUMED = 11
const BATCH = 12
const FIELDS = 14

const TRUE: u32 = 0x65757274

/** Starts and ends of the fields' texts; a bit of `fieldsSeen` says that the field was there. */
const fieldStarts = memory.data(FIELDS * 4)
const fieldEnds = memory.data(FIELDS * 4)
let fieldsSeen: u32 = 0

let uniqKeyAt: usize = 0
let uniqKeyLength: i32 = 0
let waits: i32 = 1
/** The property that was just taken means nothing but itself. */
let isFree = false

@inline
export function beginFields(): void {
  fieldsSeen = 0
  uniqKeyAt = 0
  waits = 1
}

/** The field of this number comes. False: there is none, or it came before. */
@inline
export function meetField(index: i32): bool {
  if (<u32>index >= <u32>FIELDS || (fieldsSeen & (1 << index)) != 0) return false
  fieldsSeen |= 1 << index
  return true
}

@inline
export function setField(index: i32, start: usize, end: usize): void {
  store<u32>(fieldStarts + (<usize>index << 2), <u32>start)
  store<u32>(fieldEnds + (<usize>index << 2), <u32>end)
}

@inline
export function fieldStart(index: i32): usize {
  return load<u32>(fieldStarts + (<usize>index << 2))
}

@inline
export function fieldEnd(index: i32): usize {
  return load<u32>(fieldEnds + (<usize>index << 2))
}

@inline
export function wasFree(): bool {
  return isFree
}

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
export function takeProperty(count: i32, nameStart: usize, nameEnd: usize, valueEnd: usize): bool {
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

/** Value of a field that must be there, of 31 bits; -1 otherwise. */
@inline
function number31(field: i32): i32 {
  if ((fieldsSeen & (1 << field)) == 0) return -1
  const value = wholeNumber(fieldStart(field), fieldEnd(field))
  return value > 0x7fffffff ? -1 : <i32>value
}

/** True when the fields say nothing unusual; their values are results then. The property text has `propertiesLength` bytes at `propertiesAt`. */
export function judge(isBatch: bool, propertiesAt: usize, propertiesLength: i32): bool {
  const seen = fieldsSeen
  if ((seen & (1 << GROUP)) == 0 || (seen & (1 << TOPIC)) == 0 || uniqKeyAt == 0 || uniqKeyLength > SLOT_KEY_BYTES) return false
  const queueId = number31(QUEUE)
  const sysFlag = number31(SYSTEM_FLAG)
  const flag = number31(MESSAGE_FLAG)
  if (queueId < 0 || sysFlag < 0 || flag < 0 || (seen & (1 << BORN)) == 0) return false
  const born = wholeNumber(fieldStart(BORN), fieldEnd(BORN))
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
    const at: usize = fieldStart(BATCH)
    const length = fieldEnd(BATCH) - <u32>at
    if (isBatch ? length != 4 || load<u32>(at) != TRUE : length != 5 || load<u8>(at) != 0x66) return false
  }
  const topicAt: usize = fieldStart(TOPIC)
  const topicEnd: usize = fieldEnd(TOPIC)
  setWord(TOPIC_AT, <i32>topicAt)
  setWord(TOPIC_LENGTH, <i32>(topicEnd - topicAt))
  setWord(TOPIC_HASH, javaHash(topicAt, topicEnd))
  setWord(QUEUE_ID, queueId)
  setWord(SYS_FLAG, sysFlag)
  setWord(FLAG, flag)
  setWord(RECONSUME_TIMES, reconsumeTimes)
  setWord(PROPERTIES_LENGTH, propertiesLength)
  setWord(PROPERTIES_TEXT_AT, <i32>propertiesAt)
  setWord(UNIQ_KEY_AT, <i32>uniqKeyAt)
  setWord(UNIQ_KEY_LENGTH, uniqKeyLength)
  setWord(WAITS, waits)
  store<f64>(NUMBERS_AT + (BORN_TIMESTAMP << 3), <f64>born)
  return true
}
