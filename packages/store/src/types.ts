import type { Kernel, KernelSizes } from '@skylarkmq/remoting/protocol'
import type { DiskRules } from './disk-guard.ts'

/**
 * The store as the broker sees it. It knows nothing of sockets, groups or retries: a log of messages that is the truth, and queues,
 * key index and times derived from it.
 */
export interface MessageToStore {
  readonly topic: string
  readonly queueId: number
  readonly flag: number
  readonly sysFlag: number
  readonly bornTimestamp: number
  /** 8 bytes (IPv4 + int32 port) or 20 (IPv6, with sysFlag 0x10). */
  readonly bornHost: Uint8Array
  /** Likewise, with sysFlag 0x20: the address that consumers can reach. */
  readonly storeHost: Uint8Array
  readonly reconsumeTimes: number
  readonly preparedTransactionOffset: number
  readonly body: Uint8Array
  /** The property text (`name \u0001 value \u0002` …) in UTF-8, complete: UNIQ_KEY, CLUSTER and the rest are in it. */
  readonly properties: Uint8Array
}

/**
 * Frames in the kernel's memory, for `Kernel.calls.takeSends`, whose rules and topic have been set. Bytes count during the call only; what answers
 * need, offsets included, is in the kernel's slots then.
 */
export interface SendRun {
  readonly topic: string
  readonly bornHost: Uint8Array
  readonly storeHost: Uint8Array
  /** Addresses. */
  readonly at: number
  readonly end: number
  /** Address of the first of `slots` free slots. */
  readonly slot: number
  readonly slots: number
  /** The first frame has just been scanned. */
  readonly isScanned: boolean
}

/** A batch whose header the kernel has scanned (`Kernel.calls.scanBatch`); its body lies in the kernel's memory. Both count during the call only. */
export interface ScannedBatch {
  /** At most 127 bytes. */
  readonly topic: string
  readonly sysFlag: number
  readonly bornHost: Uint8Array
  readonly storeHost: Uint8Array
  readonly bodyAt: number
  readonly bodyLength: number
}

export type AppendStatus =
  | 'ok'
  /** Stored, but the synchronous flush did not return in time. */
  | 'flush-timeout'
  | 'message-illegal'
  /** Stopping, disk full, or a write or flush failed for good: `reason` says which, with numbers and path. */
  | 'not-available'

/** Offsets are meaningful for 'ok' and 'flush-timeout'. For a batch they are the first message's; `physicalOffsets` has all. */
export interface AppendResult {
  readonly status: AppendStatus
  readonly physicalOffset: number
  readonly queueOffset: number
  readonly storeTimestamp: number
  readonly physicalOffsets?: readonly number[]
  readonly reason?: string
}

/**
 * Called exactly once, after the write has returned (and the flush, when asked for). Never from inside `append`. Queues and index follow in
 * the same turn, before anything else is read from a socket.
 */
export type OnStored = (result: AppendResult) => void

export type ReadStatus =
  | 'found'
  | 'no-matched-message'
  | 'message-was-removing'
  | 'no-matched-logic-queue'
  | 'no-message-in-queue'
  | 'offset-overflow-one'
  | 'offset-overflow-badly'
  | 'offset-too-small'

/** One entry of a consume queue, for filters. `tagsCode` is Java's hash of the tag (32 bits, signed), or the delivery time in the schedule topic. */
export type EntryFilter = (tagsCode: number) => boolean
/** For filters on properties: sees the whole stored record. */
export type RecordFilter = (record: Uint8Array) => boolean

export interface ReadRequest {
  readonly topic: string
  readonly queueId: number
  readonly offset: number
  readonly maxMessages: number
  readonly maxBytes: number
  readonly entryFilter?: EntryFilter | undefined
  readonly recordFilter?: RecordFilter | undefined
  /** Queue entries to look at, at most; for filters that cost much. At least `maxMessages` are. */
  readonly scanEntries?: number | undefined
  /** The body may lie in memory that is used again after `release` of the result. */
  readonly lendsBody?: boolean | undefined
  /** The body may come as `bodyToPut` of the result. */
  readonly putsBody?: boolean | undefined
}

/** Records that lie where they are kept, to be copied once, to where they are needed; before anything else happens to the store. */
export interface BodyToPut {
  readonly length: number
  putAt(bytes: Buffer, start: number): void
}

export interface ReadResult {
  readonly status: ReadStatus
  /** Stored records, one after another, as they go on the wire. A copy that lasts (with `release`: until then). Empty unless 'found'. */
  readonly body: Uint8Array
  /** Instead of `body`, which is empty then. */
  readonly bodyToPut?: BodyToPut | undefined
  /** Gives the body's memory back. Whoever forgets it costs the collector some work, and nothing else. */
  readonly release?: (() => void) | undefined
  readonly messageCount: number
  readonly nextOffset: number
  readonly minOffset: number
  readonly maxOffset: number
}

/** A queue has new messages up to `maxOffset` (first free). `tagsCode` is the newest one's. */
export type ArrivalListener = (topic: string, queueId: number, maxOffset: number, tagsCode: number) => void

export interface MessageStore {
  /**
   * Takes a message. Offsets are assigned now; the record is written at the turn's end; then `onStored` is called.
   * `waitForFlush` asks for fdatasync first (sync flush).
   */
  append(message: MessageToStore, waitForFlush: boolean, onStored: OnStored): void
  /**
   * As `append`, for as many of the frames as the kernel takes: how many, or -1 when there is something to say to each. One `onStored` for all, if there are any; its result has no offsets: the
   * kernel's slots have them. They are stored, or not, together.
   */
  appendSends(run: SendRun, waitForFlush: boolean, onStored: OnStored): number
  /** Messages of one topic and queue, consecutive in the log and never split over two files. */
  appendBatch(messages: readonly MessageToStore[], waitForFlush: boolean, onStored: OnStored): void
  /** As `appendBatch`, where all is usual. False: nothing was done; the messages are to be taken apart and checked one by one. */
  appendScannedBatch(batch: ScannedBatch, waitForFlush: boolean, onStored: OnStored): boolean
  /** Writes now what was appended in this turn and calls `onStored` of what needs no flush. Runs by itself at the turn's end at the latest. */
  commitTurn(): void
  /**
   * `commitTurn` in two steps, for who sends answers between them: after the first they may leave; the second lets queues and index, and
   * whoever listens to them, follow. Nothing else is to be asked of the store in between.
   */
  beginCommit(): void
  finishCommit(): void
  /** Resolves at once for recent messages; old ones are read off the main thread. */
  read(request: ReadRequest): ReadResult | Promise<ReadResult>
  /** The record that starts at a position of the log, or undefined when none does (checked by magic, size and its own offset). */
  readRecordAt(physicalOffset: number): Uint8Array | undefined
  /** First free offset; 0 for a queue that does not exist. */
  maxOffset(topic: string, queueId: number): number
  minOffset(topic: string, queueId: number): number
  /** Store timestamp of a message, or -1. */
  storeTimestamp(topic: string, queueId: number, queueOffset: number): number
  /** 'lower': first message with store time ≥ timestamp; 'upper': last with ≤. Clamped into [min, max]. */
  offsetByTime(topic: string, queueId: number, timestamp: number, boundary: 'lower' | 'upper'): number
  earliestStoreTime(topic: string, queueId: number): number
  /** Positions of records whose KEYS or UNIQ_KEY may be `key` (hash equal: compare the real key), newest first. */
  queryByKey(topic: string, key: string, options: { max: number; beginMs: number; endMs: number }): number[]
  /** Topics with queues, and their queue ids. */
  queues(): ReadonlyMap<string, readonly number[]>
  deleteTopic(topic: string): void
  /** From now on only the newest message of each key of this topic is kept, whatever its age. Until the topic is deleted. */
  compactTopic(topic: string): void
  readonly compactedTopics: ReadonlySet<string>
  onArrival(listener: ArrivalListener): void
  /** Asked before expired messages are removed: the log is kept from this position on. For messages that somebody still has to deliver. */
  retainFrom(position: () => number): void
  /**
   * Asked now and then for the hours that a topic's messages are kept, undefined for as long as the log has them. What is older is no
   * longer in its queues; the log itself goes by segments.
   */
  keepTopicsFor(hoursOf: (topic: string) => number | undefined): void
  /** Its memory holds the newest part of the log. */
  readonly kernel: Kernel
  /** How long stores took lately. */
  putTimes(): PutTimes
  /** Undefined while writes are accepted; else the reason in words. */
  readonly refusal: string | undefined
  /** Positions of the log: first byte held, end of what is written, end of what is on disk. */
  readonly minPhysicalOffset: number
  readonly maxPhysicalOffset: number
  readonly flushedOffset: number
  readonly recovery: RecoveryReport
  /** Writes and syncs everything, removes `abort`, releases the lock. */
  close(): Promise<void>
}

/** From append to `onStored`, flush included where it was asked for; of the last one to two minutes. */
export interface PutTimes {
  readonly count: number
  /** Since the opening: what could not be stored. */
  readonly failed: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
  /** Since the opening. */
  readonly maxMs: number
  /** By Apache's classes: below 1, 10, 50, 100, 200, 500 ms, 1, 2, 3, 4, 5, 10 s, and more. */
  readonly distribution: readonly number[]
}

/** A damaged place of the log. What follows it is kept. */
export interface DamagedPlace {
  readonly offset: number
  readonly bytes: number
  readonly why: string
  /** Where the damaged bytes are kept; undefined when the disk had no room. */
  readonly savedTo: string | undefined
}

/** What a start found and did. */
export interface RecoveryReport {
  readonly cleanStop: boolean
  readonly checkedFrom: number
  readonly checkedTo: number
  readonly recordsChecked: number
  /** Places that hold no whole record, between such as do. */
  readonly damaged: readonly DamagedPlace[]
  readonly cutAt: number | undefined
  readonly cutBytes: number
  readonly queuesRebuilt: number
  /** Why the consume queues and the key index were derived anew from the whole log; undefined when they were taken over. */
  readonly rebuiltBecause: string | undefined
  /** What else there is to say, in sentences. */
  readonly notes: readonly string[]
  readonly durationMs: number
  /** One readable paragraph. */
  readonly text: string
}

export interface StoreOptions {
  readonly rootDirectory: string
  readonly commitLogDirectory?: string
  readonly segmentBytes: number
  readonly flush: 'async' | 'sync'
  readonly maxMessageBytes: number
  /** Delay in ms of level 1, 2, … : gives the delivery time that the schedule topic's queue entries carry. */
  readonly delayLevelsMs: readonly number[]
  readonly fileReservedHours: number
  /** Hours of the day (local time) at which expired files are deleted. */
  readonly deleteWhenHours: readonly number[]
  /** Bytes of log above which the oldest segments go, whatever their age. Without it, or at 0, only age counts. */
  readonly retentionBytes?: number
  readonly disk?: DiskRules
  readonly compaction?: CompactionRules
  /** Room in the kernel's memory for who brings messages: see `KernelSizes`. */
  readonly room?: Pick<KernelSizes, 'receiveBytes' | 'outBytes' | 'largeOutBytes' | 'slots' | 'batchBytes'>
  /** The newest bytes of the log that are kept in memory; 16 MiB unless told. */
  readonly memoryBytes?: number
  /** What `abort` names, for whoever finds the store locked. Found by itself on Linux. */
  readonly processId?: number
}

/** How topics are compacted. */
export interface CompactionRules {
  readonly intervalMs: number
  /** How long a deletion stays visible after it was first compacted: slower consumers may miss it. */
  readonly tombstoneRetentionMs: number
  /** Memory for the keys of one merge, at most; with more keys it looks at the files several times. */
  readonly mapBytes: number
}

/** Small state that changes in place: topics, groups, offsets. Rows are text under (table, key). Writes are batched into one transaction. */
export interface MetadataStore {
  entries(table: MetadataTable): Iterable<readonly [key: string, value: string]>
  get(table: MetadataTable, key: string): string | undefined
  set(table: MetadataTable, key: string, value: string): void
  delete(table: MetadataTable, key: string): void
  /** Puts everything set so far into the file: safe against the death of the process, and soon on the disk. Runs by itself every second. */
  flush(): void
  /** As `flush`; resolves when all of it is on the disk, safe against the loss of power. Rejects with what the disk said. */
  sync(): Promise<void>
  close(): void
}

export type MetadataTable = 'topics' | 'groups' | 'offsets' | 'delay' | 'kv'
