import { assert } from '@skylarkmq/runtime'
import * as layout from './layout.ts'

/** How much of the views the kernel may derive before the caller puts it away. */
export interface DerivationSizes {
  /** Of consume queues, in one run. */
  readonly entries: number
  readonly journalEntries: number
  readonly indexEntries: number
  /** Of the largest index file. */
  readonly indexSlots: number
}

/** Where in `words` and `numbers` of a `Derivation` things are. A literal: the engine knows its values. */
export const DERIVED = {
  journalNextAt: layout.JOURNAL_NEXT_AT,
  journalRoom: layout.JOURNAL_ROOM,
  indexSlotCount: layout.INDEX_SLOT_COUNT,
  indexNextAt: layout.INDEX_NEXT_AT,
  indexRoom: layout.INDEX_ROOM,
  indexEntryCount: layout.INDEX_ENTRY_COUNT,
  indexPlaceSeed: layout.INDEX_PLACE_SEED,
  records: layout.DERIVED_RECORDS,
  stop: layout.DERIVED_STOP,
  endAt: layout.DERIVED_END_AT,
  rows: layout.DERIVED_ROWS,
  keys: layout.DERIVED_KEYS,
  missedTopicAt: layout.MISSED_TOPIC_AT,
  missedTopicLength: layout.MISSED_TOPIC_LENGTH,
  missedTopicHash: layout.MISSED_TOPIC_HASH,
  missedTopicSlot: layout.MISSED_TOPIC_SLOT,
  segmentStart: layout.SEGMENT_START,
  segmentEnd: layout.SEGMENT_END,
  newestTime: layout.NEWEST_TIME,
  lastOffset: layout.LAST_OFFSET,
  secondLastOffset: layout.SECOND_LAST_OFFSET,
  firstKeyedOffset: layout.FIRST_KEYED_OFFSET,
  firstKeyedTime: layout.FIRST_KEYED_TIME,
  lastKeyedOffset: layout.LAST_KEYED_OFFSET,
  lastKeyedTime: layout.LAST_KEYED_TIME,
} as const

/** Why a run ended. */
export const DERIVED_STOP = { entriesFull: layout.DERIVE_STOP_ENTRIES_FULL, topic: layout.DERIVE_STOP_TOPIC } as const

/** Of a row, as int32 and as float64: see `Derivation.rows`; and what an entry takes. */
export const ROW = {
  words: layout.ROW_BYTES / 4,
  queueId: layout.ROW_QUEUE_ID / 4,
  topicSlot: layout.ROW_TOPIC_SLOT / 4,
  count: layout.ROW_COUNT / 4,
  tagsCode: layout.ROW_TAGS_CODE / 4,
  entryWords: layout.ENTRY_BYTES / 4,
  numbers: layout.ROW_BYTES / 8,
  queueOffset: layout.ROW_QUEUE_OFFSET / 8,
  recordEnd: layout.ROW_RECORD_END / 8,
} as const

/** What of a topic stands in the views. */
export interface DerivedTopic {
  readonly bytes: Uint8Array
  readonly id: number
  readonly createdAt: number
  readonly keyHashSeed: number
}

/** Of rows, entries, journal entries, index slots and entries, topics; each a whole number of float64. */
function bytesOf(sizes: DerivationSizes): readonly [number, number, number, number, number, number] {
  const whole = (bytes: number): number => Math.ceil(bytes / 8) * 8
  return [
    sizes.entries * layout.ROW_BYTES,
    whole(sizes.entries * layout.ENTRY_BYTES),
    whole(sizes.journalEntries * layout.JOURNAL_ENTRY_BYTES),
    whole(sizes.indexSlots * 4),
    sizes.indexEntries * layout.INDEX_ENTRY_BYTES,
    layout.TOPIC_SLOTS * layout.TOPIC_SLOT_BYTES,
  ]
}

export function derivationBytes(sizes: DerivationSizes): number {
  return bytesOf(sizes).reduce((sum, bytes) => sum + bytes)
}

/** The part of the kernel's memory in which `deriveRun` and the store's views meet. */
export class Derivation {
  readonly words: Int32Array
  readonly numbers: Float64Array
  /** What consume queues get of a run, `ROW.words` each. */
  readonly rows: Int32Array
  readonly rowNumbers: Float64Array
  /** Of all rows, one after another, `ROW.entryWords` each. */
  readonly entries: Int32Array
  readonly journal: Uint8Array
  readonly indexSlots: Int32Array
  readonly indexEntries: Uint8Array
  private readonly topics: DataView
  private readonly topicBytes: Uint8Array

  /** `at`: where `derivationBytes(sizes)` of the memory are free. */
  constructor(memory: ArrayBuffer, sizes: DerivationSizes, at: number) {
    const [rowBytes, entryBytes, journalBytes, slotBytes, indexBytes, topicBytes] = bytesOf(sizes)
    const rowsAt = at
    const entriesAt = rowsAt + rowBytes
    const journalAt = entriesAt + entryBytes
    const slotsAt = journalAt + journalBytes
    const indexAt = slotsAt + slotBytes
    const topicsAt = indexAt + indexBytes
    this.words = new Int32Array(memory, layout.DERIVE_AT, layout.DERIVE_WORDS)
    this.numbers = new Float64Array(memory, layout.DERIVE_NUMBERS_AT, layout.DERIVE_NUMBERS)
    this.rows = new Int32Array(memory, rowsAt, sizes.entries * ROW.words)
    this.rowNumbers = new Float64Array(memory, rowsAt, sizes.entries * ROW.numbers)
    this.entries = new Int32Array(memory, entriesAt, sizes.entries * ROW.entryWords)
    this.journal = new Uint8Array(memory, journalAt, sizes.journalEntries * layout.JOURNAL_ENTRY_BYTES)
    this.indexSlots = new Int32Array(memory, slotsAt, sizes.indexSlots)
    this.indexEntries = new Uint8Array(memory, indexAt, sizes.indexEntries * layout.INDEX_ENTRY_BYTES)
    this.topicBytes = new Uint8Array(memory, topicsAt, topicBytes)
    this.topics = new DataView(memory, topicsAt, topicBytes)
    this.words[layout.ROWS_AT] = rowsAt
    this.words[layout.ENTRIES_AT] = entriesAt
    this.words[layout.ENTRIES_MAX] = sizes.entries
    this.words[layout.INDEX_SLOTS_AT] = slotsAt
    this.words[layout.TOPICS_AT] = topicsAt
  }

  /** From now on runs take records of this topic, too. False: its name is too long. Takes the place of the one that was in the slot. */
  setTopic(slot: number, { bytes, id, createdAt, keyHashSeed }: DerivedTopic): boolean {
    assert(slot >= 0 && slot < layout.TOPIC_SLOTS, `there is no topic slot ${slot}`)
    if (bytes.length > layout.TOPIC_NAME_MAX) return false
    const { topics } = this
    const at = slot * layout.TOPIC_SLOT_BYTES
    topics.setInt32(at, bytes.length, true)
    topics.setInt32(at + layout.TOPIC_ID, id, true)
    topics.setInt32(at + layout.TOPIC_KEY_SEED, keyHashSeed, true)
    topics.setInt32(at + layout.TOPIC_SLOT, slot, true)
    topics.setFloat64(at + layout.TOPIC_CREATED_AT, createdAt, true)
    this.topicBytes.set(bytes, at + layout.TOPIC_NAME)
    return true
  }

  forgetTopics(): void {
    this.topicBytes.fill(0)
  }
}
