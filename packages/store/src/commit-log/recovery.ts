import { LIMITS } from '../limits.ts'
import type { Segments } from './segments.ts'

/**
 * Makes everything from `end` on zeros, so that no stale byte can ever be read as a record. Returns how many bytes of
 * something were there (counted in the first window of each file only: a torn tail is short). What was only reserved is nothing.
 */
export async function cutLog(segments: Segments, end: number): Promise<number> {
  const window = new Uint8Array(Math.min(LIMITS.recoveryWindowBytes, segments.segmentBytes))
  let something = 0
  for (const segment of segments.all) {
    if (segment.endOffset <= end) continue
    const from = Math.max(end, segment.startOffset)
    const got = await segment.read(window, 0, Math.min(window.length, segment.endOffset - from), from)
    let last = got
    while (last > 0 && window[last - 1] === 0) last--
    something += last
  }
  segments.removeFrom(end)
  const segment = segments.find(end)
  if (segment === undefined) return something
  segment.file.truncate(end - segment.startOffset)
  await segment.file.allocate(segments.segmentBytes).catch(() => segment.file.truncate(segments.segmentBytes))
  await segment.file.sync()
  return something
}

/**
 * Puts the log from `from` to `to` on the disk by writing it again: when the process before saw a sync fail, the platform still shows the
 * bytes that it has dropped, and another sync alone would say "fine" about them.
 */
export async function rewriteLog(segments: Segments, from: number, to: number): Promise<void> {
  const start = Math.max(from, to - LIMITS.rewrittenBytes)
  const window = new Uint8Array(Math.min(LIMITS.recoveryWindowBytes, Math.max(0, to - start)))
  for (const segment of segments.all) {
    if (segment.endOffset <= from || segment.startOffset >= to) continue
    const end = Math.min(to, segment.endOffset)
    for (let at = Math.max(start, segment.startOffset); at < end; ) {
      const length = await segment.read(window, 0, Math.min(window.length, end - at), at)
      if (length === 0) break
      segment.file.write(window, 0, length, at - segment.startOffset)
      at += length
    }
    await segment.file.sync()
  }
}
