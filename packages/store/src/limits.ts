/** Bounds of the store, each with its reason. */
export const LIMITS = {
  /** The newest bytes of the log, kept in memory and laid out as in the log: pulls at the tail never touch a file. */
  ringBytes: 16 * 1024 * 1024,
  /** A turn that appends more writes early, so that one write stays well under a millisecond. Eight batches of 32 KiB are one write. */
  earlyWriteBytes: 512 * 1024,
  /** Log this close to the end is taken to be in the page cache: read on the main thread. */
  recentLogBytes: 128 * 1024 * 1024,
  /** Two records nearer than this are read by one call. */
  coalesceGapBytes: 256 * 1024,
  /**
   * Old log is kept in blocks of this size, only while somebody reads it: a few, which stay in the processor's caches, up to 16 MiB when they
   * are needed again. Ahead of whoever reads along so many are brought (with one, a pull in eight had to wait), and one when all have their use.
   */
  coldBlockBytes: 512 * 1024,
  coldBlocksMin: 5,
  coldBlocks: 32,
  coldBlocksAhead: 2,
  /** Blocks of old log for which a read waits; then it is put together piece by piece. */
  waitsToPick: 8,
  /** A read shorter than this goes to the file alone: a block would cost more than it saves. */
  directReadBytes: 32 * 1024,
  /** Memory for the bodies of pulls that is used again: 4 MiB of each size. */
  lentBodies: [
    { bytes: 64 * 1024, keep: 64 },
    { bytes: 256 * 1024, keep: 16 },
  ],
  /** Lists of what a read has picked, of 2 KiB or more, that are used again. */
  spareSelections: 64,
  /**
   * How much the kernel derives before it is put away: a full turn of small messages. Journal entries of a turn are one write; index entries are
   * written by the checkpoint, or when so many wait. The slots are those of the largest index file.
   */
  derivation: { entries: 256, journalEntries: 4_096, indexEntries: 1_024, indexSlots: 1_048_576 },
  /** Consume queue entries looked at by one read (RocketMQ DefaultMessageStore: 16,000 bytes of 20-byte entries). */
  scanEntries: 800,
  /** Chunks of consume queues kept in memory for those who read along them: half a megabyte. */
  keptChunks: 64,
  /** Chunks that have become whole and wait for one write: a write of each, and of its header, would cost more than to copy it. */
  waitingChunks: 8,
  /**
   * The log's file is made ready so far ahead of its end, in pieces of this size, which the page cache holds as few large folios. Measured
   * (`benchmarks/log-ahead.ts`): a page then costs half with writes of 12 KB, four fifths with 50 KB, and more than else from 100 KB on.
   */
  readyAheadBytes: 128 * 1024,
  /** Only while writes have fewer bytes than this. */
  readyBelowBytes: 96 * 1024,
  flushIntervalMs: 100,
  flushBytes: 8 * 1024 * 1024,
  /** RocketMQ syncFlushTimeout. */
  flushTimeoutMs: 5_000,
  checkpointIntervalMs: 1_000,
  /**
   * Tails of consume queues that a checkpoint may write for each second until the next: with ten thousand busy queues they would cost a message
   * more than all else that is written of it. A start after a crash reads that much more of the log, so at most so many seconds.
   */
  tailsPerSecond: 1_024,
  checkpointRestSeconds: 9,
  /** Tails of consume queues written in one turn by the checkpoint. */
  tailsPerTurn: 256,
  retentionIntervalMs: 10_000,
  /** A file that is no longer needed shrinks by this much at a time before it is unlinked: freeing 1 GiB at once stalls writers for 100 ms. */
  shrinkStepBytes: 4 * 1024 * 1024,
  /** Between two steps, divided by the number of files that wait. */
  shrinkIntervalMs: 250,
  /** Writes are refused when less than this, or than a twentieth of the file system, is free. */
  diskReserveBytes: 256 * 1024 * 1024,
  /** So far behind a bad place at the log's end recovery looks for more: beyond what can have been under way to the disk. */
  resumeBytes: 64 * 1024 * 1024,
  /** Places of consume queues found again in one walk over the log. */
  mendedEntries: 65_536,
  /** A clock that is set back by no more than this stops for the store; beyond, the store time goes back with it. */
  clockStandsMs: 1_000,
  /** Places remembered at which the clock went back: in older parts of the log a search by time may then be inexact. */
  clockSteps: 65_536,
  /** Damaged places that are told of once each. */
  reportedDamages: 10_000,
  /** Log at its end that a start after a crash writes again: far more than is ever written and not yet synced. */
  rewrittenBytes: 256 * 1024 * 1024,
  recoveryWindowBytes: 4 * 1024 * 1024,
  /** RocketMQ: the properties' length is a signed short. */
  propertiesBytes: 32_767,
  topicBytes: 255,
} as const
