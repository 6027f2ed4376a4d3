import { viewOf } from '../bytes.ts'
import { LIMITS } from '../limits.ts'
import { checkHead, checkRecord } from './record-check.ts'
import type { Segment, Segments } from './segments.ts'

export interface ScanResult {
  /** First position that holds no record. */
  readonly end: number
  readonly recordsChecked: number
  /** Why the scan ended, when it was not at bytes never written. */
  readonly wrong: string | undefined
}

/**
 * Walks the log from `from` to the first place that holds no whole, undamaged record, and hands each record to `onRecord`.
 * RocketMQ CommitLog#checkMessageAndReturnSize; in addition a record must name its own position, so that stale bytes of a reused
 * file never count.
 */
export async function scanLog(
  segments: Segments,
  from: number,
  onRecord: (bytes: Uint8Array, view: DataView, at: number, physicalOffset: number) => void,
): Promise<ScanResult> {
  let recordsChecked = 0
  let offset = from
  for (;;) {
    const segment = segments.find(offset)
    if (segment === undefined) return { end: offset, recordsChecked, wrong: undefined }
    const walk = await scanSegment(segment, offset, (bytes, view, at, physicalOffset) => {
      recordsChecked++
      onRecord(bytes, view, at, physicalOffset)
    })
    if (!walk.toNext) return { end: walk.end, recordsChecked, wrong: walk.wrong }
    offset = segment.endOffset
  }
}

async function scanSegment(
  segment: Segment,
  from: number,
  onRecord: (bytes: Uint8Array, view: DataView, at: number, physicalOffset: number) => void,
): Promise<{ end: number; toNext: boolean; wrong: string | undefined }> {
  let windowBytes = Math.min(LIMITS.recoveryWindowBytes, segment.endOffset - segment.startOffset)
  let bytes = new Uint8Array(windowBytes)
  let view = viewOf(bytes)
  let windowStart = from
  let filled = 0
  let offset = from
  const fill = async (needed: number): Promise<boolean> => {
    if (offset + needed <= windowStart + filled) return true
    if (needed > windowBytes) {
      windowBytes = needed
      bytes = new Uint8Array(needed)
      view = viewOf(bytes)
    }
    windowStart = offset
    filled = await segment.read(bytes, 0, Math.min(windowBytes, segment.endOffset - offset), offset)
    return filled >= needed
  }
  for (;;) {
    const room = segment.endOffset - offset
    if (room === 0) return { end: offset, toNext: true, wrong: undefined }
    if (room < 8 || !(await fill(8))) return { end: offset, toNext: false, wrong: undefined }
    const head = checkHead(view, offset - windowStart, room)
    if (head === 'end') return { end: offset, toNext: false, wrong: undefined }
    if (head === 'blank') return { end: segment.endOffset, toNext: true, wrong: undefined }
    if (head !== 'record') return { end: offset, toNext: false, wrong: head.wrong }
    const size = view.getInt32(offset - windowStart)
    if (!(await fill(size))) return { end: offset, toNext: false, wrong: 'the file ends within the record' }
    const at = offset - windowStart
    const wrong = checkRecord(bytes, view, at, offset, true)
    if (wrong !== undefined) return { end: offset, toNext: false, wrong }
    onRecord(bytes, view, at, offset)
    offset += size
  }
}

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
