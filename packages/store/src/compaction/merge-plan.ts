/** What the decision needs of a compacted file. */
export interface FileFacts {
  readonly sizeBytes: number
  readonly createdMs: number
  /** When the oldest tombstone in it began to count; 0 when it has none. */
  readonly oldestTombstoneMs: number
}

/** Up to here all files of a queue become one each time: that costs less than what came. */
const TINY_BYTES = 1024 * 1024
/** Up to here they do so when the oldest has its age: a small topic holds one message per key, however seldom one is replaced. */
const SMALL_BYTES = 16 * 1024 * 1024
const TIDY_MS = 600_000
/** So many of about one size become one. */
const PIECES = 4

/**
 * Which neighbouring files `[from, to)` to make one. A file joins those behind it unless it is more than twice as large; they are merged when
 * they are four, or all. So each byte is copied some six times in its life, and less than half of what is kept is out of date. Tombstones go
 * only with all that is older than they, since an older value would come to life again; for their sake alone a queue is copied every ten
 * minutes at most, a large one twice per retention time.
 */
export function planMerge(
  files: readonly FileFacts[],
  nowMs: number,
  tombstoneRetentionMs: number,
): { from: number; to: number } | undefined {
  let from = files.length - 1
  let bytes = files[from]?.sizeBytes ?? 0
  for (; from > 0; from--) {
    const older = files[from - 1] as FileFacts
    if (older.sizeBytes > 2 * bytes && !isTidied(older, older.sizeBytes + bytes, nowMs)) break
    bytes += older.sizeBytes
  }
  const pieces = files.length - from
  if (pieces >= PIECES || (from === 0 && pieces > 1)) return { from, to: files.length }
  const last = files.findLastIndex((file) => file.oldestTombstoneMs > 0 && file.oldestTombstoneMs + tombstoneRetentionMs <= nowMs)
  if (last < 0) return undefined
  const oldest = files[0] as FileFacts
  const total = files.slice(0, last + 1).reduce((sum, file) => sum + file.sizeBytes, 0)
  const isDue = oldest.createdMs + tombstoneRetentionMs / 2 <= nowMs
  return isDue || isTidied(oldest, total, nowMs) ? { from: 0, to: last + 1 } : undefined
}

/** Is a queue so small that `totalBytes`, of which `oldest` is the first, are made one file for the sake of order alone? */
const isTidied = (oldest: FileFacts, totalBytes: number, nowMs: number): boolean =>
  totalBytes <= TINY_BYTES || (totalBytes <= SMALL_BYTES && oldest.createdMs + TIDY_MS <= nowMs)
