/**
 * Where things lie in the kernel's memory. Read by the AssemblyScript compiler and by TypeScript alike, so that each place is named once.
 * Results of a call stay until the next call of the same function.
 */

// int32 results of `scanSend`, by index.
export const OPAQUE = 0
export const REQUEST_FLAG = 1
/** A bit beside those of the request's flag: its header is binary, and so is its answer's. */
export const BINARY = 0x100
export const VERSION = 2
/** Where the topic's name starts: an address in this memory. */
export const TOPIC_AT = 3
export const TOPIC_LENGTH = 4
/** Java's String.hashCode of the name, if it is ASCII. */
export const TOPIC_HASH = 5
export const QUEUE_ID = 6
export const SYS_FLAG = 7
export const FLAG = 8
export const RECONSUME_TIMES = 9
/** Of the property text with JSON's escapes resolved. */
export const PROPERTIES_LENGTH = 10
/** Where the value of UNIQ_KEY starts: an address; and its length. */
export const UNIQ_KEY_AT = 11
export const UNIQ_KEY_LENGTH = 12
/** 0 when the property WAIT says that the sender does not wait for the flush. */
export const WAITS = 13
/** Where the property text begins: an address. */
export const PROPERTIES_TEXT_AT = 14
/** How many there are, rounded up to even. */
export const SCAN_WORDS = 16

/** float64 results begin here, in bytes; by index. */
export const NUMBERS_AT = 256
export const BORN_TIMESTAMP = 0

/** The caller puts hosts here: bytes of an address and its port, as records have them. */
export const BORN_HOST_AT = 320
export const STORE_HOST_AT = 352

// int32 lengths of the texts that the caller puts at `TEXTS_AT`, one after another, by index.
/** What is stored behind the properties of each message. */
export const STAMP_LENGTH = 100
/** Of the answer to a send: with frame head, up to the offset in the message id and what leads to the queue id. */
export const REPLY_HEAD_LENGTH = 101
/** From the queue id to the queue offset. */
export const REPLY_OFFSET_LENGTH = 102
/** From there to the transaction id. */
export const REPLY_TRANSACTION_LENGTH = 103
/** From there to the opaque. */
export const REPLY_OPAQUE_LENGTH = 104
export const REPLY_END_LENGTH = 105
/** Likewise with the binary header, where the values' lengths stand before them: up to the queue id, to the queue offset, to the transaction id, and the rest. */
export const BINARY_HEAD_LENGTH = 106
export const BINARY_OFFSET_LENGTH = 107
export const BINARY_TRANSACTION_LENGTH = 108
export const BINARY_END_LENGTH = 109
/** Of the text between the digits of the message id and the queue id: the end of the head; in JSON, and in the binary header. */
export const REPLY_LABEL_LENGTH = 110
export const BINARY_LABEL_LENGTH = 111

/** Starts and lengths of the names of the properties that were met. */
export const NAMES_MET_AT = 512
export const PROPERTIES_MAX = 24

/** Names of properties that the caller wants to hear of, by length: `NAMES_PER_LENGTH` slots for each. */
export const NAME_LENGTH_MAX = 39
export const NAMES_PER_LENGTH = 8
export const NAME_SLOT_BYTES = 40
export const NAMES_AT = 1024

export const CRC_TABLES_AT = 16384

/** Where the property text goes. */
export const PROPERTIES_AT = 32768
export const PROPERTIES_BYTES_MAX = 32767

export const TEXTS_AT = 65600
export const TEXTS_BYTES = 1984

/** What the caller copies in, when it does not lie in this memory already. */
export const INPUT_AT = 67584
export const INPUT_BYTES_MAX = 63000

/** Headers that were read, for those that are like them: so many, of so many bytes at most. */
export const TEMPLATES_AT = 131072
export const TEMPLATES = 8
export const TEMPLATE_HEADER_BYTES = 768
/** Of one: the header, a mask, the property text, and where what differs lies in them. */
export const TEMPLATE_BYTES = 224 + 3 * TEMPLATE_HEADER_BYTES + 64

/** Property texts that were read, for those of the same shape: of a batch that is judged, and of records that are derived. */
export const BATCH_SHAPE_AT = TEMPLATES_AT + TEMPLATES * TEMPLATE_BYTES
export const SHAPE_TEXT_BYTES = 512
export const SHAPE_BYTES = 16 + 3 * SHAPE_TEXT_BYTES
export const RECORD_SHAPE_AT = BATCH_SHAPE_AT + SHAPE_BYTES

/** Here begins what the caller lays out: buffers of sockets, the ring of the log. */
export const FREE_AT = RECORD_SHAPE_AT + SHAPE_BYTES

// A send under way: what its answer needs. int32 opaque, queue id, length of UNIQ_KEY, request flag; float64 queue offset, physical offset;
// int32 address of the record, version; then UNIQ_KEY.
export const SLOT_BYTES = 168
export const SLOT_QUEUE_ID = 4
export const SLOT_KEY_LENGTH = 8
export const SLOT_REQUEST_FLAG = 12
export const SLOT_QUEUE_OFFSET = 16
export const SLOT_PHYSICAL_OFFSET = 24
export const SLOT_RECORD_AT = 32
export const SLOT_VERSION = 36
export const SLOT_KEY = 40
export const SLOT_KEY_BYTES = 128
/** Digits of the numbers in an answer. */
export const REPLY_DIGITS = 10 + 16 + 10

// What a name of a property means to `scanSend`.
export const USUAL = 0
/** Only the declared route knows what to do with it. */
export const UNUSUAL = 1
export const UNIQ_KEY = 2
export const WAIT = 3

/** int32 result of `measureBatch`, by index: the messages of the batch. */
export const BATCH_COUNT = 32
export const BATCH_MESSAGES_MAX = 65536

// What the caller says of a run of sends, by index of int32.
export const RUN_BODY_BYTES_MAX = 40
/** Queue ids of the topic are below this. */
export const RUN_QUEUES = 42
export const RUN_TOPIC_LENGTH = 43
/** Bits of the record's sysFlag: those that the hosts ask for, and those that the sender may set. */
export const RUN_HOST_FLAGS = 44
export const RUN_FLAGS_ALLOWED = 45
/** Not 0 when a send that does not wait for the flush is unusual. */
export const RUN_MUST_WAIT = 46

// int32 results of `takeSends`, by index.
/** Where the frame begins that was not taken. */
export const RUN_NEXT_AT = 47
/** Of all records together. */
export const RUN_BYTES = 48
/** Of all UNIQ_KEYs together. */
export const RUN_KEY_BYTES = 49
/** Why the run ended: 0 when there is no further whole frame, or no slot for it. */
export const RUN_STOP = 50
/** Of the record for which there was no room. */
export const RUN_NEEDED_BYTES = 51

export const STOP_UNUSUAL = 1
/** It is for another topic. `scanSend` has its results. */
export const STOP_TOPIC = 2
/** Likewise, and it is usual. */
export const STOP_ROOM = 3

/** int32 result of `pickRecords`, by index: the bytes of all records of the answer. */
export const PICKED_BYTES = 52
/** A record that was picked: int32 address, length. */
export const PICKS_BYTES = 8
/** Of a consume queue: see `consume-queue/entry.ts` of the store. */
export const ENTRY_BYTES = 28

/** Name of the topic of a run. */
export const RUN_TOPIC_AT = 130600
export const RUN_TOPIC_BYTES_MAX = 255

// `deriveRun`, in a block of its own. int32 by index, from `DERIVE_AT` on; float64 by index, from `DERIVE_NUMBERS_AT` on.
export const DERIVE_AT = 14336
export const DERIVE_WORDS = 32
/** Given once: where rows, entries and topics lie, and for how many messages there is room. */
export const ROWS_AT = 0
export const ENTRIES_MAX = 1
export const TOPICS_AT = 2
/** Given for each run: where the next journal entry goes, and how many there is room for. */
export const JOURNAL_NEXT_AT = 3
export const JOURNAL_ROOM = 4
/** Of the growing index file: its slots, where its next entry goes, for how many there is room, how many it has, and what its checks begin with. */
export const INDEX_SLOTS_AT = 5
export const INDEX_SLOT_COUNT = 6
export const INDEX_NEXT_AT = 7
export const INDEX_ROOM = 8
export const INDEX_ENTRY_COUNT = 9
export const INDEX_PLACE_SEED = 10
/** Found: how many records, why the run ended, the address behind its last record, its rows, and its index entries. */
export const DERIVED_RECORDS = 11
export const DERIVED_STOP = 12
export const DERIVED_END_AT = 13
export const DERIVED_ROWS = 14
export const DERIVED_KEYS = 15
/** Where the topic lies that is not among those that were set, and the slot for it. */
export const MISSED_TOPIC_AT = 16
export const MISSED_TOPIC_LENGTH = 17
export const MISSED_TOPIC_HASH = 18
export const MISSED_TOPIC_SLOT = 19

export const ENTRIES_AT = 20

/** Of no meaning. */
export const TOUCHED = 31

export const DERIVE_NUMBERS_AT = 14464
export const DERIVE_NUMBERS = 16
/** Given: the segment that the journal is at. */
export const SEGMENT_START = 0
export const SEGMENT_END = 1
/** Given and found: the store time of the newest record. */
export const NEWEST_TIME = 2
/** Found: positions of the last record and the one before it (-1: the run had but one). */
export const LAST_OFFSET = 3
export const SECOND_LAST_OFFSET = 4
/** Of the first and of the last record with keys: position and store time. */
export const FIRST_KEYED_OFFSET = 5
export const FIRST_KEYED_TIME = 6
export const LAST_KEYED_OFFSET = 7
export const LAST_KEYED_TIME = 8

/** Records whose digests are made side by side, so many at most: three int32 addresses of each (see `lanes.ts`), and the digests. */
export const LANES = 8
export const LANES_AT = 14848
export const DIGESTS_AT = 14944

/** Hashes of one record's keys. */
export const KEY_HASHES_AT = 14592
export const KEYS_MAX = 64

// Why a run ended.
export const DERIVE_STOP_END = 0
export const DERIVE_STOP_ENTRIES_FULL = 1
export const DERIVE_STOP_TOPIC = 2
/** Something that only the code in TypeScript knows how to do. */
export const DERIVE_STOP_UNUSUAL = 3

/**
 * What a consume queue gets of messages that follow one another in the log and in it: int32 queue id, topic slot, number of messages, tags code of
 * the last; float64 queue offset of the first, end of the last one's record. Their entries lie one after another, in the order of the rows.
 */
export const ROW_BYTES = 32
export const ROW_QUEUE_ID = 0
export const ROW_TOPIC_SLOT = 4
export const ROW_COUNT = 8
export const ROW_TAGS_CODE = 12
export const ROW_QUEUE_OFFSET = 16
export const ROW_RECORD_END = 24

/** A topic that was set: int32 length of its name (0: none), id, hash with which those of its keys begin, its slot; float64 created-at; its name. */
export const TOPIC_SLOTS = 256
export const TOPIC_SLOT_BYTES = 160
export const TOPIC_ID = 4
export const TOPIC_KEY_SEED = 8
export const TOPIC_SLOT = 12
export const TOPIC_CREATED_AT = 16
export const TOPIC_NAME = 24
/** A record with a longer one is of another layout. */
export const TOPIC_NAME_MAX = 127

export const JOURNAL_ENTRY_BYTES = 20
export const INDEX_ENTRY_BYTES = 24
