/**
 * What the store's views hold, of whole runs of records: journal entries (`journal-file.ts` of the store), index entries (`index-file.ts`),
 * and rows for the consume queues (`consume-queue/entry.ts`). Where a record has anything unusual the run ends before it: the code there,
 * which is the definition, does the same one by one.
 */
import { equal, get32, javaHash, turned, turned64 } from './bytes'
import { bodyEndOf, digestNext, mix } from './digests'
import { laneBodyEnd } from './lanes'
import { BORN_HOST_V6, flagsOf, SEED } from './record'
import { hashKeys, hashTags, scanProperties } from './record-properties'
import { beginHashes, wereAscii } from './text-hash'
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
  LAST_KEYED_OFFSET,
  LAST_KEYED_TIME,
  LAST_OFFSET,
  MISSED_TOPIC_AT,
  MISSED_TOPIC_HASH,
  MISSED_TOPIC_LENGTH,
  MISSED_TOPIC_SLOT,
  NEWEST_TIME,
  ROW_BYTES,
  ROW_COUNT,
  ROW_QUEUE_OFFSET,
  ROW_RECORD_END,
  ROW_TAGS_CODE,
  ROW_TOPIC_SLOT,
  ROWS_AT,
  DERIVED_END_AT,
  DERIVED_KEYS,
  DERIVED_RECORDS,
  DERIVED_ROWS,
  DERIVED_STOP,
  SECOND_LAST_OFFSET,
  SEGMENT_END,
  SEGMENT_START,
  DERIVE_STOP_END,
  DERIVE_STOP_ENTRIES_FULL,
  DERIVE_STOP_TOPIC,
  DERIVE_STOP_UNUSUAL,
  DIGESTS_AT,
  ENTRIES_AT,
  ENTRIES_MAX,
  ENTRY_BYTES,
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

const TRANSACTION_MASK = 0xc
const PREPARED = 0x4
const ROLLBACK = 0xc
/** No more than `KEYS_MAX`. */
const LINKED_AT_ONCE: usize = 32

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
  const entriesAt = <usize>given(ENTRIES_AT)
  const entriesEnd = entriesAt + <usize>(given(ENTRIES_MAX) * ENTRY_BYTES)
  const indexAt = <usize>given(INDEX_NEXT_AT)
  const indexEnd = indexAt + <usize>(given(INDEX_ROOM) * INDEX_ENTRY_BYTES)
  const journalAt = <usize>given(JOURNAL_NEXT_AT)
  const journalEnd = journalAt + <usize>(given(JOURNAL_ROOM) * JOURNAL_ENTRY_BYTES)
  // The latest, and behind it.
  let row = rowsAt - ROW_BYTES
  let entry = entriesAt
  let queueSeed: u32 = 0
  let index = indexAt
  let journal = journalAt
  let topic = topicsAt
  let newest = number(NEWEST_TIME)
  let last: f64 = -1
  let secondLast: f64 = -1
  let stop = DERIVE_STOP_UNUSUAL
  // Of the records whose digests are made: how many are left, and the number of the next.
  let ahead = 0
  let lane: usize = 0
  let time: u64 = 0
  let storeTime: f64 = 0
  while (true) {
    if (at + 8 > end) {
      stop = DERIVE_STOP_END
      break
    }
    if (journal == journalEnd) break
    if (entry == entriesEnd) {
      stop = DERIVE_STOP_ENTRIES_FULL
      break
    }
    const nameLengthAt = ahead > 0 ? laneBodyEnd(lane) : bodyEndOf(at, end)
    if (nameLengthAt == 0) break
    // Size, magic, CRC, queue id.
    const head = turned(v128.load(at))
    const size = i32x4.extract_lane(head, 0)
    const queueId = i32x4.extract_lane(head, 3)
    const next = at + <usize>size
    const sysFlag = flagsOf(at)
    const nameAt = nameLengthAt + 1
    const nameLength = <i32>load<u8>(nameLengthAt)
    const propertiesAt = nameAt + <usize>nameLength + 2
    if (propertiesAt > next || nameLength == 0 || nameLength > TOPIC_NAME_MAX) break
    if (propertiesAt + <usize>bswap<u16>(load<u16>(propertiesAt - 2)) != next) break
    const offsets = turned64(v128.load(at, 20))
    const queueOffset = i64x2.extract_lane(offsets, 0)
    const physicalOffset = i64x2.extract_lane(offsets, 1)
    const position = <f64>physicalOffset
    if (position < segmentStart || position >= segmentEnd) break
    const timeAt = at + (sysFlag & BORN_HOST_V6 ? 68 : 56)
    // Mostly that of the record before.
    if (load<u64>(timeAt) != time) {
      time = load<u64>(timeAt)
      storeTime = <f64>(<i64>bswap<u64>(time))
    }
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
    beginHashes()
    const tagsCode = hashTags()
    const transaction = sysFlag & TRANSACTION_MASK
    const keys = transaction == ROLLBACK ? 0 : hashKeys(load<i32>(topic, TOPIC_KEY_SEED))
    if (!wereAscii() || keys < 0 || <usize>(keys * INDEX_ENTRY_BYTES) > indexEnd - index) break

    // From here on the record is taken.
    if (ahead == 0) {
      ahead = digestNext(at, end)
      lane = 0
    }
    if (keys > 0) {
      if (index == indexAt) {
        tellNumber(FIRST_KEYED_OFFSET, position)
        tellNumber(FIRST_KEYED_TIME, storeTime)
      }
      putKeys(keys, index, at, timeAt)
      index += <usize>(keys * INDEX_ENTRY_BYTES)
      tellNumber(LAST_KEYED_OFFSET, position)
      tellNumber(LAST_KEYED_TIME, storeTime)
    }
    const digest = load<u32>(DIGESTS_AT + (lane << 2))
    const storedDigest = bswap<u32>(digest)
    lane++
    ahead--
    const ofPosition = mix(mix(SEED, <i32>(physicalOffset >>> 32)), <i32>physicalOffset)
    // Numbers that the record has go over as they lie there.
    store<u64>(journal, load<u64>(at, 28))
    store<u32>(journal, load<u32>(at), 8)
    store<u32>(journal, storedDigest, 12)
    store<u32>(journal, bswap<u32>(mix(mix(ofPosition, size), <i32>digest)), 16)
    journal += JOURNAL_ENTRY_BYTES
    if (transaction != PREPARED && transaction != ROLLBACK) {
      if (entry == entriesAt || !isNext(row, queueId, topic, queueOffset)) {
        row += ROW_BYTES
        beginRow(row, queueId, topic, queueOffset)
        queueSeed = mix(mix(mix(SEED, load<i32>(topic, TOPIC_ID)), queueId), 0)
      }
      store<i32>(row, load<i32>(row, ROW_COUNT) + 1, ROW_COUNT)
      store<i32>(row, tagsCode, ROW_TAGS_CODE)
      store<f64>(row, position + <f64>size, ROW_RECORD_END)
      const place = <i32>queueSeed + <i32>queueOffset
      const ofPlace = mix(mix(<u32>place, <i32>(physicalOffset >>> 32)), <i32>physicalOffset)
      const check = mix(mix(mix(mix(ofPlace, size), tagsCode >> 31), tagsCode), <i32>digest)
      store<u64>(entry, load<u64>(at, 28))
      store<u32>(entry, load<u32>(at), 8)
      store<i32>(entry, tagsCode >> 31, 12)
      store<u32>(entry, bswap<u32>(<u32>tagsCode), 16)
      store<u32>(entry, storedDigest, 20)
      store<u32>(entry, bswap<u32>(check), 24)
      entry += ENTRY_BYTES
    }
    newest = storeTime
    secondLast = last
    last = position
    at = next
  }
  linkKeys(indexAt, index)
  tell(DERIVED_STOP, stop)
  tell(DERIVED_END_AT, <i32>at)
  tell(DERIVED_ROWS, <i32>((row + ROW_BYTES - rowsAt) / ROW_BYTES))
  tell(DERIVED_KEYS, <i32>((index - indexAt) / INDEX_ENTRY_BYTES))
  tellNumber(NEWEST_TIME, newest)
  tellNumber(LAST_OFFSET, last)
  tellNumber(SECOND_LAST_OFFSET, secondLast)
  const records = <i32>((journal - journalAt) / JOURNAL_ENTRY_BYTES)
  tell(DERIVED_RECORDS, records)
  return records
}

@inline
function isNamed(topic: usize, nameAt: usize, length: i32): bool {
  return load<i32>(topic) == length && equal(topic + TOPIC_NAME, nameAt, <usize>length)
}

/** Index entries of the hashes at `KEY_HASHES_AT`, for the record at `at` with its store time at `timeAt`; but what `linkKeys` puts there. */
@inline
function putKeys(count: i32, index: usize, at: usize, timeAt: usize): void {
  for (let i = 0; i < count; i++) {
    store<u32>(index, bswap<u32>(load<u32>(KEY_HASHES_AT + (<usize>i << 2))))
    // The last six bytes of its position, then of its time.
    store<u64>(index, load<u64>(at, 30), 8)
    store<u32>(index, load<u32>(timeAt, 2), 14)
    store<u16>(index, load<u16>(timeAt, 6), 18)
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
      const words = turned(v128.load(from))
      const ofKey = mix(mix(<u32>(placeSeed + entryCount), i32x4.extract_lane(words, 0)), previous)
      const check = mix(mix(mix(ofKey, i32x4.extract_lane(words, 2)), i32x4.extract_lane(words, 3)), get32(from + 16))
      store<u32>(from, bswap<u32>(check), 20)
    }
  }
  // Else the compiler would see that nobody needs it.
  tell(TOUCHED, touched)
}

/** That message `queueOffset` of that queue follows those of the row. */
@inline
function isNext(row: usize, queueId: i32, topic: usize, queueOffset: i64): bool {
  if (load<i32>(row) != queueId || load<i32>(row, ROW_TOPIC_SLOT) != load<i32>(topic, TOPIC_SLOT)) return false
  return load<f64>(row, ROW_QUEUE_OFFSET) + <f64>load<i32>(row, ROW_COUNT) == <f64>queueOffset
}

@inline
function beginRow(row: usize, queueId: i32, topic: usize, queueOffset: i64): void {
  store<i32>(row, queueId)
  store<i32>(row, load<i32>(topic, TOPIC_SLOT), ROW_TOPIC_SLOT)
  store<i32>(row, 0, ROW_COUNT)
  store<f64>(row, <f64>queueOffset, ROW_QUEUE_OFFSET)
}
