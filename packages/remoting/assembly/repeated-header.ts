/**
 * Headers of one sender differ little: opaque, queue, time, and the values of properties, mostly of equal length. Of each header that was
 * read whole is remembered what may differ in the next one; where all else is the same, only that is read. Judged as strictly as by
 * `scanSend` and `scanBatch`: a header that is not like the one remembered is read whole.
 */
import { copyExactly, isPlain, setWord, wholeNumber, word } from './bytes'
import {
  BORN_TIMESTAMP,
  NUMBERS_AT,
  OPAQUE,
  PROPERTIES_LENGTH,
  PROPERTIES_TEXT_AT,
  QUEUE_ID,
  SCAN_WORDS,
  TEMPLATES,
  TEMPLATES_AT,
  TEMPLATE_BYTES,
  TEMPLATE_HEADER_BYTES,
  TOPIC_AT,
  UNIQ_KEY_AT,
} from '../src/protocol/kernel/layout'

// One template for each length modulo `TEMPLATES`. int32: what it is of (0: nothing), misses, texts; starts and lengths of the numbers.
const MISSES = 4
const TEXTS = 8
const NUMBERS = 12
const OPAQUE_NUMBER = 0
const QUEUE_NUMBER = 1
const BORN_NUMBER = 2
/** Results of the scan; of the topic its place in the header, of UNIQ_KEY its place in the property text. */
const WORDS = 40
/** int32 place in the header, length, and place in the property text, of each value that may differ. */
const RANGES = 104
const RANGES_MAX = 10
const RANGE_BYTES = 12
const HEADER: usize = 224
const MASK: usize = HEADER + TEMPLATE_HEADER_BYTES
const TEXT: usize = MASK + TEMPLATE_HEADER_BYTES

/** One in so many headers that are not like the one before replaces it: remembering costs half as much as reading. */
const REPLACED_EVERY = 4

@inline
function templateOf(length: i32): usize {
  return TEMPLATES_AT + <usize>(length & (TEMPLATES - 1)) * TEMPLATE_BYTES
}

/** What a template is of: headers of requests of this code and this length. */
@inline
function kindOf(length: i32, code: i32): i32 {
  return (code << 16) | length
}

let ranges = 0
const rangesMet = memory.data(RANGES_MAX * RANGE_BYTES)

/** A new header is being read. */
@inline
export function forgetRanges(): void {
  ranges = 0
}

/** The value of a property stands in the header at `at`, as it is, and in the property text at `textAt`. */
@inline
export function noteRange(at: usize, length: i32, textAt: usize): void {
  if (ranges == RANGES_MAX) return
  const range = rangesMet + <usize>(ranges++ * RANGE_BYTES)
  store<u32>(range, <u32>at)
  store<i32>(range, length, 4)
  store<u32>(range, <u32>textAt, 8)
}

function putNumber(template: usize, number: i32, start: usize, at: usize, end: usize): void {
  const place = template + NUMBERS + <usize>(number << 3)
  store<i32>(place, <i32>(at - start))
  store<i32>(place, <i32>(end - at), 4)
  memory.fill(template + MASK + (at - start), 0, end - at)
}

/** Remembers the header that was just read, with the places of what may differ. */
export function remember(
  start: usize,
  length: i32,
  code: i32,
  opaqueAt: usize,
  opaqueEnd: usize,
  queueAt: usize,
  queueEnd: usize,
  bornAt: usize,
  bornEnd: usize,
): void {
  const textLength = word(PROPERTIES_LENGTH)
  if (length > TEMPLATE_HEADER_BYTES || textLength > TEMPLATE_HEADER_BYTES) return
  const template = templateOf(length)
  if (load<i32>(template) != 0) {
    const misses = load<i32>(template, MISSES) + 1
    store<i32>(template, misses, MISSES)
    if (misses % REPLACED_EVERY != 0) return
  }
  store<i32>(template, kindOf(length, code))
  memory.copy(template + HEADER, start, length)
  memory.fill(template + MASK, 0xff, length)
  memory.fill(template + MASK + <usize>length, 0, 16)
  putNumber(template, OPAQUE_NUMBER, start, opaqueAt, opaqueEnd)
  putNumber(template, QUEUE_NUMBER, start, queueAt, queueEnd)
  putNumber(template, BORN_NUMBER, start, bornAt, bornEnd)
  const textAt = <usize>word(PROPERTIES_TEXT_AT)
  memory.copy(template + TEXT, textAt, textLength)
  for (let i = 0; i < SCAN_WORDS; i++) store<i32>(template + WORDS + <usize>(i << 2), word(i))
  store<i32>(template, word(TOPIC_AT) - <i32>start, WORDS + (TOPIC_AT << 2))
  store<i32>(template, word(UNIQ_KEY_AT) - <i32>textAt, WORDS + (UNIQ_KEY_AT << 2))
  store<i32>(template, ranges, TEXTS)
  for (let i = 0; i < ranges; i++) {
    const met = rangesMet + <usize>(i * RANGE_BYTES)
    const range = template + RANGES + <usize>(i * RANGE_BYTES)
    const at = load<u32>(met) - <u32>start
    const size = load<i32>(met, 4)
    store<u32>(range, at)
    store<i32>(range, size, 4)
    store<u32>(range, load<u32>(met, 8) - <u32>textAt, 8)
    memory.fill(template + MASK + <usize>at, 0, size)
  }
}

/** Value of a number of at most 15 digits, written as JSON writes numbers; -1 for all else. */
@inline
function numberOf(template: usize, number: i32, start: usize): i64 {
  const place = template + NUMBERS + <usize>(number << 3)
  const at = start + <usize>load<i32>(place)
  const length = load<i32>(place, 4)
  if (length > 1 && load<u8>(at) == 0x30) return -1
  return wholeNumber(at, at + <usize>length)
}

/** Reads the header at `start` by one that was like it; results as by `scanSend`. False: there is none, or it is not like it. */
export function scanRepeated(start: usize, length: i32, code: i32): bool {
  if (length > TEMPLATE_HEADER_BYTES) return false
  const template = templateOf(length)
  if (load<i32>(template) != kindOf(length, code)) return false
  let difference = i64x2.splat(0)
  for (let i: usize = 0; i < <usize>length; i += 16) {
    const here = v128.xor(v128.load(start + i), v128.load(template + i, HEADER))
    difference = v128.or(difference, v128.and(here, v128.load(template + i, MASK)))
  }
  if (v128.any_true(difference)) return false
  const opaque = numberOf(template, OPAQUE_NUMBER, start)
  const queueId = numberOf(template, QUEUE_NUMBER, start)
  const born = numberOf(template, BORN_NUMBER, start)
  if (opaque < 0 || queueId < 0 || queueId > 0x7fffffff || born < 0) return false
  const texts = load<i32>(template, TEXTS)
  for (let i = 0; i < texts; i++) {
    const range = template + RANGES + <usize>(i * RANGE_BYTES)
    const at = start + <usize>load<u32>(range)
    const size = load<i32>(range, 4)
    if (!isPlain(at, size)) return false
    copyExactly(template + TEXT + <usize>load<u32>(range, 8), at, size)
  }
  for (let i = 0; i < SCAN_WORDS; i += 2) store<u64>(<usize>(i << 2), load<u64>(template + WORDS + <usize>(i << 2)))
  setWord(OPAQUE, <i32>opaque)
  setWord(QUEUE_ID, <i32>queueId)
  setWord(TOPIC_AT, <i32>start + word(TOPIC_AT))
  setWord(PROPERTIES_TEXT_AT, <i32>(template + TEXT))
  setWord(UNIQ_KEY_AT, <i32>(template + TEXT) + word(UNIQ_KEY_AT))
  store<f64>(NUMBERS_AT + (BORN_TIMESTAMP << 3), <f64>born)
  return true
}
