/**
 * What the store's views hold, of whole runs of records: journal entries (`journal-file.ts` of the store), index entries (`index-file.ts`),
 * and rows for the consume queues (`consume-queue/entry.ts`). Where a record has anything unusual the run ends before it: the code there,
 * which is the definition, does the same one by one.
 */
import { equal, get32, javaHash, skipToSeparator, skipToSpace } from './bytes'
import { bodyAtOf, BORN_HOST_V6, digestOfRange, FACTOR, MAGIC_V1, SEED } from './record'
import {
  DERIVE_AT,
  DERIVE_NUMBERS_AT,
  FIRST_KEYED_OFFSET,
  FIRST_KEYED_TIME,
  INDEX_ENTRY_BYTES,
  INDEX_ENTRY_COUNT,
  INDEX_NEXT_AT,
  INDEX_PLACE_SEED,
  INDEX_ROOM,
  INDEX_SLOT_COUNT,
  INDEX_SLOTS_AT,
  JOURNAL_ENTRY_BYTES,
  JOURNAL_NEXT_AT,
  JOURNAL_ROOM,
  KEY_HASHES_AT,
  KEYS_MAX,
  LAST_KEYED_OFFSET,
  LAST_KEYED_TIME,
  LAST_OFFSET,
  MISSED_TOPIC_AT,
  MISSED_TOPIC_HASH,
  MISSED_TOPIC_LENGTH,
  MISSED_TOPIC_SLOT,
  NEWEST_TIME,
  ROW_BYTES,
  ROW_ENTRY,
  ROW_QUEUE_OFFSET,
  ROW_RECORD_END,
  ROW_TAGS_CODE,
  ROW_TOPIC_SLOT,
  ROWS_AT,
  ROWS_MAX,
  DERIVED_END_AT,
  DERIVED_KEYS,
  DERIVED_RECORDS,
  DERIVED_ROWS,
  DERIVED_STOP,
  SECOND_LAST_OFFSET,
  SEGMENT_END,
  SEGMENT_START,
  DERIVE_STOP_END,
  DERIVE_STOP_ROWS_FULL,
  DERIVE_STOP_TOPIC,
  DERIVE_STOP_UNUSUAL,
  DIGESTS_AT,
  TOPIC_CREATED_AT,
  TOPIC_ID,
  TOPIC_KEY_SEED,
  TOPIC_NAME,
  TOPIC_NAME_MAX,
  TOPIC_SLOT,
  TOPIC_SLOT_BYTES,
  TOPIC_SLOTS,
  TOPICS_AT,
  TOUCHED,
} from '../src/protocol/kernel/layout'

const FIXED_BYTES_MIN: usize = 92
const TRANSACTION_MASK = 0xc
const PREPARED = 0x4
const ROLLBACK = 0xc
const VALUE_END = 2
/** No more than `KEYS_MAX`. */
const LINKED_AT_ONCE: usize = 32
const NOT_ASCII: u64 = 0x8080808080808080

// What `scanProperties` found: values of the last property of each name.
let tagsAt: usize = 0
let tagsEnd: usize = 0
let uniqKeyAt: usize = 0
let uniqKeyEnd: usize = 0
let keysAt: usize = 0
let keysEnd: usize = 0
/** Bytes of all texts that were hashed for the record, together: tells whether all is ASCII. */
let seen: u64 = 0

@inline
function given(index: i32): i32 {
  return load<i32>(DERIVE_AT + (<usize>index << 2))
}

@inline
function tell(index: i32, value: i32): void {
  store<i32>(DERIVE_AT + (<usize>index << 2), value)
}

@inline
function number(index: i32): f64 {
  return load<f64>(DERIVE_NUMBERS_AT + (<usize>index << 3))
}

@inline
function tellNumber(index: i32, value: f64): void {
  store<f64>(DERIVE_NUMBERS_AT + (<usize>index << 3), value)
}

/**
 * Derives from the records at `at`, whole ones below `end`, what the views hold, up to the first that is unusual. How many; the rest is
 * told in `DERIVED_…`. The topics that were set count, and the rooms given.
 */
export function deriveRun(at: usize, end: usize): i32 {
  const topicsAt = <usize>given(TOPICS_AT)
  const segmentStart = number(SEGMENT_START)
  const segmentEnd = number(SEGMENT_END)
  const rowsAt = <usize>given(ROWS_AT)
  const rowsEnd = rowsAt + <usize>(given(ROWS_MAX) * ROW_BYTES)
  const indexAt = <usize>given(INDEX_NEXT_AT)
  const indexEnd = indexAt + <usize>(given(INDEX_ROOM) * INDEX_ENTRY_BYTES)
  const journalAt = <usize>given(JOURNAL_NEXT_AT)
  const journalEnd = journalAt + <usize>(given(JOURNAL_ROOM) * JOURNAL_ENTRY_BYTES)
  let row = rowsAt
  let index = indexAt
  let journal = journalAt
  let topic = topicsAt
  let newest = number(NEWEST_TIME)
  let last: f64 = -1
  let secondLast: f64 = -1
  let stop = DERIVE_STOP_UNUSUAL
  let ahead = 0
  let digestAt: usize = 0
  while (true) {
    if (at + 8 > end) {
      stop = DERIVE_STOP_END
      break
    }
    if (journal == journalEnd) break
    if (row == rowsEnd) {
      stop = DERIVE_STOP_ROWS_FULL
      break
    }
    const nameLengthAt = bodyEndOf(at, end)
    if (nameLengthAt == 0) break
    const size = get32(at)
    const next = at + <usize>size
    const sysFlag = get32(at + 36)
    const nameAt = nameLengthAt + 1
    const nameLength = <i32>load<u8>(nameLengthAt)
    const propertiesAt = nameAt + <usize>nameLength + 2
    if (propertiesAt > next || nameLength == 0 || nameLength > TOPIC_NAME_MAX) break
    if (propertiesAt + <usize>bswap<u16>(load<u16>(propertiesAt - 2)) != next) break
    const physicalOffset = bswap<u64>(load<u64>(at, 28))
    const position = <f64>(<i64>physicalOffset)
    if (position < segmentStart || position >= segmentEnd) break
    const timeAt = at + (sysFlag & BORN_HOST_V6 ? 68 : 56)
    const time = bswap<u64>(load<u64>(timeAt))
    const storeTime = <f64>(<i64>time)
    if (storeTime < newest) break
    if (!isNamed(topic, nameAt, nameLength)) {
      const hash = javaHash(nameAt, nameAt + <usize>nameLength)
      const slot = (hash ^ (hash >>> 8) ^ (hash >>> 16)) & (TOPIC_SLOTS - 1)
      topic = topicsAt + <usize>(slot * TOPIC_SLOT_BYTES)
      if (!isNamed(topic, nameAt, nameLength)) {
        stop = DERIVE_STOP_TOPIC
        tell(MISSED_TOPIC_AT, <i32>nameAt)
        tell(MISSED_TOPIC_LENGTH, nameLength)
        tell(MISSED_TOPIC_HASH, hash)
        tell(MISSED_TOPIC_SLOT, slot)
        break
      }
    }
    if (position < load<f64>(topic, TOPIC_CREATED_AT)) break

    scanProperties(propertiesAt, next)
    seen = 0
    const tagsCode = hashOf(tagsAt, tagsEnd, 0)
    const transaction = sysFlag & TRANSACTION_MASK
    const keys = transaction == ROLLBACK ? 0 : hashKeys(load<i32>(topic, TOPIC_KEY_SEED))
    if ((seen & NOT_ASCII) != 0 || keys < 0 || <usize>(keys * INDEX_ENTRY_BYTES) > indexEnd - index) break

    // From here on the record is taken.
    if (ahead == 0) {
      ahead = digestNext(at, end)
      digestAt = DIGESTS_AT
    }
    if (keys > 0) {
      if (index == indexAt) {
        tellNumber(FIRST_KEYED_OFFSET, position)
        tellNumber(FIRST_KEYED_TIME, storeTime)
      }
      putKeys(keys, index, physicalOffset, time)
      index += <usize>(keys * INDEX_ENTRY_BYTES)
      tellNumber(LAST_KEYED_OFFSET, position)
      tellNumber(LAST_KEYED_TIME, storeTime)
    }
    const digest = load<u32>(digestAt)
    digestAt += 4
    ahead--
    const ofPosition = mix(mix(SEED, <i32>(physicalOffset >>> 32)), <i32>physicalOffset)
    store<u64>(journal, bswap<u64>(physicalOffset))
    store<u32>(journal, bswap<u32>(<u32>size), 8)
    store<u32>(journal, bswap<u32>(digest), 12)
    store<u32>(journal, bswap<u32>(mix(mix(ofPosition, size), <i32>digest)), 16)
    journal += JOURNAL_ENTRY_BYTES
    if (transaction != PREPARED && transaction != ROLLBACK) {
      putRow(row, at, topic, tagsCode, physicalOffset, digest)
      row += ROW_BYTES
    }
    newest = storeTime
    secondLast = last
    last = position
    at = next
  }
  linkKeys(indexAt, index)
  tell(DERIVED_STOP, stop)
  tell(DERIVED_END_AT, <i32>at)
  tell(DERIVED_ROWS, <i32>((row - rowsAt) / ROW_BYTES))
  tell(DERIVED_KEYS, <i32>((index - indexAt) / INDEX_ENTRY_BYTES))
  tellNumber(NEWEST_TIME, newest)
  tellNumber(LAST_OFFSET, last)
  tellNumber(SECOND_LAST_OFFSET, secondLast)
  const records = <i32>((journal - journalAt) / JOURNAL_ENTRY_BYTES)
  tell(DERIVED_RECORDS, records)
  return records
}

/** Where the body ends of the record at `at`, if its lengths are those of a record that is whole below `end`; else 0. */
@inline
function bodyEndOf(at: usize, end: usize): usize {
  if (at + FIXED_BYTES_MIN > end || get32(at + 4) != MAGIC_V1) return 0
  const next = at + <usize>get32(at)
  const bodyAt = bodyAtOf(at, get32(at + 36))
  if (next > end || bodyAt >= next) return 0
  const bodyLength = get32(bodyAt - 4)
  return bodyLength >= 0 && <usize>bodyLength + 3 < next - bodyAt ? bodyAt + <usize>bodyLength : 0
}

/**
 * Puts the digests of the next records at `DIGESTS_AT`: how many, four at most, 0 when there is none that is whole. Each step of a digest waits for
 * the one before, so four are made side by side.
 */
function digestNext(a: usize, end: usize): i32 {
  const aEnd = bodyEndOf(a, end)
  if (aEnd == 0) return 0
  const b = a + <usize>get32(a)
  const bEnd = bodyEndOf(b, end)
  const c = bEnd == 0 ? b : b + <usize>get32(b)
  const cEnd = bEnd == 0 ? 0 : bodyEndOf(c, end)
  const d = cEnd == 0 ? c : c + <usize>get32(c)
  const dEnd = cEnd == 0 ? 0 : bodyEndOf(d, end)
  const headBytes = bodyAtOf(a, get32(a + 36)) - a
  if (dEnd == 0 || !hasHead(b, headBytes) || !hasHead(c, headBytes) || !hasHead(d, headBytes)) {
    store<u32>(DIGESTS_AT, digestOfRange(aEnd, b, digestOfRange(a, a + headBytes, SEED)))
    return 1
  }
  const next = d + <usize>get32(d)
  let digests = i32x4.splat(<i32>SEED)
  for (let i: usize = 0; i < headBytes; i += 4) digests = mix4(digests, a + i, b + i, c + i, d + i)
  const bytes = min(min(b - aEnd, c - bEnd), min(d - cEnd, next - dEnd)) & ~3
  for (let i: usize = 0; i < bytes; i += 4) digests = mix4(digests, aEnd + i, bEnd + i, cEnd + i, dEnd + i)
  store<u32>(DIGESTS_AT, digestOfRange(aEnd + bytes, b, i32x4.extract_lane(digests, 0)))
  store<u32>(DIGESTS_AT, digestOfRange(bEnd + bytes, c, i32x4.extract_lane(digests, 1)), 4)
  store<u32>(DIGESTS_AT, digestOfRange(cEnd + bytes, d, i32x4.extract_lane(digests, 2)), 8)
  store<u32>(DIGESTS_AT, digestOfRange(dEnd + bytes, next, i32x4.extract_lane(digests, 3)), 12)
  return 4
}

@inline
function hasHead(at: usize, bytes: usize): bool {
  return bodyAtOf(at, get32(at + 36)) - at == bytes
}

/** `mix` of four digests with the words there. */
@inline
function mix4(digests: v128, a: usize, b: usize, c: usize, d: usize): v128 {
  let words = v128.load32_zero(a)
  words = v128.load32_lane(b, words, 1)
  words = v128.load32_lane(c, words, 2)
  words = v128.load32_lane(d, words, 3)
  words = i8x16.shuffle(words, words, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12)
  digests = i32x4.mul(v128.xor(digests, words), i32x4.splat(<i32>FACTOR))
  return v128.xor(digests, i32x4.shr_u(digests, 15))
}

@inline
function isNamed(topic: usize, nameAt: usize, length: i32): bool {
  return load<i32>(topic) == length && equal(topic + TOPIC_NAME, nameAt, <usize>length)
}

function scanProperties(from: usize, end: usize): void {
  tagsAt = tagsEnd = uniqKeyAt = uniqKeyEnd = keysAt = keysEnd = 0
  let at = from
  while (at < end) {
    // A byte 0 is text, too.
    let nameEnd = skipToSeparator(at, end)
    while (nameEnd < end && load<u8>(nameEnd) == 0) nameEnd = skipToSeparator(nameEnd + 1, end)
    let valueEnd = nameEnd
    while (valueEnd < end && load<u8>(valueEnd) != VALUE_END) valueEnd = skipToSeparator(valueEnd + 1, end)
    if (nameEnd < valueEnd) {
      const length = nameEnd - at
      if (length == 4) {
        const name = load<u32>(at)
        // TAGS, KEYS
        if (name == 0x53474154) {
          tagsAt = nameEnd + 1
          tagsEnd = valueEnd
        } else if (name == 0x5359454b) {
          keysAt = nameEnd + 1
          keysEnd = valueEnd
        }
        // UNIQ_KEY
      } else if (length == 8 && load<u64>(at) == 0x59454b5f51494e55) {
        uniqKeyAt = nameEnd + 1
        uniqKeyEnd = valueEnd
      }
    }
    at = valueEnd + 1
  }
}

/** Puts the hashes of the unique key and of each word of KEYS at `KEY_HASHES_AT`: how many, -1 for too many. */
function hashKeys(seed: i32): i32 {
  let count = 0
  if (uniqKeyEnd > uniqKeyAt) {
    store<i32>(KEY_HASHES_AT, positive(hashOf(uniqKeyAt, uniqKeyEnd, seed)))
    count = 1
  }
  let at = keysAt
  while (at < keysEnd) {
    const wordEnd = skipToSpace(at, keysEnd)
    if (wordEnd > at) {
      if (count == KEYS_MAX) return -1
      store<i32>(KEY_HASHES_AT + (<usize>count << 2), positive(hashOf(at, wordEnd, seed)))
      count++
    }
    at = wordEnd + 1
  }
  return count
}

/** RocketMQ IndexFile#indexKeyHashMethod. */
@inline
function positive(hash: i32): i32 {
  if (hash >= 0) return hash
  return hash == i32.MIN_VALUE ? 0 : -hash
}

// Powers of 31.
const P8: i32 = <i32>2487512833
const POWERS = memory.data<i32>([1, 31, 961, 29791, 923521, 28629151, 887503681, 1742810335])

/** Java's String.hashCode of ASCII bytes, continued from `seed`; eight of them a step. Reads up to seven bytes before `at`. */
@inline
function hashOf(at: usize, end: usize, seed: i32): i32 {
  const length = end - at
  const odd = length & 7
  let hash = seed
  if (odd != 0) {
    // Zeros in front of a text change nothing of its own hash.
    const bytes = load<u64>(at + odd - 8) & (<u64>-1 << (<u64>(8 - odd) << 3))
    hash = hash * load<i32>(POWERS + (odd << 2)) + hashOf8(bytes)
    at += odd
  }
  for (; at < end; at += 8) hash = hash * P8 + hashOf8(load<u64>(at))
  return hash
}

@inline
function hashOf8(bytes: u64): i32 {
  seen |= bytes
  const pairs = i32x4.dot_i16x8_s(i16x8.extend_low_i8x16_u(i64x2.splat(<i64>bytes)), i16x8(31, 1, 31, 1, 31, 1, 31, 1))
  const sums = i32x4.mul(pairs, i32x4(887503681, 923521, 961, 1))
  const halves = i32x4.add(sums, i8x16.shuffle(sums, sums, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7))
  return i32x4.extract_lane(halves, 0) + i32x4.extract_lane(halves, 1)
}

/** A step of the digests: see `digest.ts` of the store. */
@inline
function mix(h: u32, word: i32): u32 {
  h = (h ^ <u32>word) * FACTOR
  return h ^ (h >>> 15)
}

/** Index entries of the hashes at `KEY_HASHES_AT`, but what `linkKeys` puts there. */
@inline
function putKeys(count: i32, index: usize, physicalOffset: u64, time: u64): void {
  for (let i = 0; i < count; i++) {
    store<u32>(index, bswap<u32>(load<u32>(KEY_HASHES_AT + (<usize>i << 2))))
    // 48 bits of each.
    store<u64>(index, bswap<u64>((physicalOffset << 16) | ((time >>> 32) & 0xffff)), 8)
    store<u32>(index, bswap<u32>(<u32>time), 16)
    index += INDEX_ENTRY_BYTES
  }
}

/**
 * Links the entries `[from, to)` to the ones before in their slots, and finishes them. The slots of some are touched before the first is
 * needed: they lie anywhere in megabytes, and memory fetches many at once.
 */
function linkKeys(from: usize, to: usize): void {
  const slotsAt = <usize>given(INDEX_SLOTS_AT)
  const slotCount = <u32>given(INDEX_SLOT_COUNT)
  const placeSeed = given(INDEX_PLACE_SEED)
  let entryCount = given(INDEX_ENTRY_COUNT)
  let touched = 0
  while (from < to) {
    const end = min(to, from + LINKED_AT_ONCE * INDEX_ENTRY_BYTES)
    let place: usize = KEY_HASHES_AT
    for (let index = from; index < end; index += INDEX_ENTRY_BYTES) {
      const slot = slotsAt + (<usize>(<u32>get32(index) % slotCount) << 2)
      touched ^= load<i32>(slot)
      store<u32>(place, <u32>slot)
      place += 4
    }
    place = KEY_HASHES_AT
    for (; from < end; from += INDEX_ENTRY_BYTES) {
      const slot = <usize>load<u32>(place)
      place += 4
      const previous = load<i32>(slot)
      store<i32>(slot, ++entryCount)
      store<u32>(from, bswap<u32>(<u32>previous), 4)
      const ofKey = mix(mix(<u32>(placeSeed + entryCount), get32(from)), previous)
      const check = mix(mix(mix(ofKey, get32(from + 8)), get32(from + 12)), get32(from + 16))
      store<u32>(from, bswap<u32>(check), 20)
    }
  }
  // Else the compiler would see that nobody needs it.
  tell(TOUCHED, touched)
}

/** The row of the record at `at`. */
@inline
function putRow(row: usize, at: usize, topic: usize, tagsCode: i32, physicalOffset: u64, digest: u32): void {
  const size = get32(at)
  const queueId = get32(at + 12)
  const queueOffset = <i64>bswap<u64>(load<u64>(at, 20))
  store<i32>(row, queueId)
  store<i32>(row, load<i32>(topic, TOPIC_SLOT), ROW_TOPIC_SLOT)
  store<i32>(row, tagsCode, ROW_TAGS_CODE)
  store<f64>(row, <f64>queueOffset, ROW_QUEUE_OFFSET)
  store<f64>(row, <f64>(<i64>physicalOffset + <i64>size), ROW_RECORD_END)
  const entry = row + ROW_ENTRY
  store<u64>(entry, bswap<u64>(physicalOffset))
  store<u32>(entry, bswap<u32>(<u32>size), 8)
  store<u64>(entry, bswap<u64>(<u64>(<i64>tagsCode)), 12)
  store<u32>(entry, bswap<u32>(digest), 20)
  const place = <i32>mix(mix(mix(SEED, load<i32>(topic, TOPIC_ID)), queueId), 0) + <i32>queueOffset
  const ofPosition = mix(mix(<u32>place, <i32>(physicalOffset >>> 32)), <i32>physicalOffset)
  const check = mix(mix(mix(mix(ofPosition, size), tagsCode >> 31), tagsCode), <i32>digest)
  store<u32>(entry, bswap<u32>(check), 24)
}
