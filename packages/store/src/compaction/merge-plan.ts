/** What the decision needs of a compacted file. */
export interface FileFacts {
  readonly sizeBytes: number
  readonly createdMs: number
  /** When the oldest tombstone in it began to count; 0 when it has none. */
  readonly oldestTombstoneMs: number
}

/** Below this all files of a queue become one each time: a small topic holds one message per key, whatever came when. */
const SMALL_BYTES = 16 * 1024 * 1024

/**
 * Which neighbouring files `[from, to)` to make one. A file joins those behind it unless it is more than twice as large: so each byte is
 * copied some ten times in its life, and less than half of what is kept is out of date. Tombstones go only with all that is older than
 * they, since an older value would come to life again; for their sake alone a large queue is copied twice per retention time at most.
 */
export function planMerge(
  files: readonly FileFacts[],
  nowMs: number,
  tombstoneRetentionMs: number,
): { from: number; to: number } | undefined {
  let from = files.length - 1
  let bytes = files[from]?.sizeBytes ?? 0
  for (; from > 0; from--) {
    const older = (files[from - 1] as FileFacts).sizeBytes
    if (older > 2 * bytes && older + bytes > SMALL_BYTES) break
    bytes += older
  }
  if (from < files.length - 1) return { from, to: files.length }
  const last = files.findLastIndex((file) => file.oldestTombstoneMs > 0 && file.oldestTombstoneMs + tombstoneRetentionMs <= nowMs)
  if (last < 0) return undefined
  const total = files.slice(0, last + 1).reduce((sum, file) => sum + file.sizeBytes, 0)
  const isDue = (files[0] as FileFacts).createdMs + tombstoneRetentionMs / 2 <= nowMs
  return total <= SMALL_BYTES || isDue ? { from: 0, to: last + 1 } : undefined
}
