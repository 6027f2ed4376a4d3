import { LIMITS } from '../limits.ts'
import type { Segments } from './segments.ts'

/**
 * Makes everything from `end` on zeros, so that no stale byte can ever be read as a record. Returns how many bytes of
 * something were there (counted in the first window only: a torn tail is short).
 */
export async function cutLog(segments: Segments, end: number): Promise<number> {
  const removed = segments.removeFrom(end)
  const segment = segments.find(end)
  if (segment === undefined) return removed * segments.segmentBytes
  const length = Math.min(LIMITS.recoveryWindowBytes, segment.endOffset - end)
  const window = new Uint8Array(length)
  await segment.read(window, 0, length, end)
  let last = length
  while (last > 0 && window[last - 1] === 0) last--
  segment.file.truncate(end - segment.startOffset)
  await segment.file.allocate(segments.segmentBytes).catch(() => segment.file.truncate(segments.segmentBytes))
  await segment.file.sync()
  return last
}

export async function syncLog(segments: Segments, from: number, to: number): Promise<void> {
  for (const segment of segments.all) if (segment.endOffset > from && segment.startOffset < to) await segment.file.sync()
}
