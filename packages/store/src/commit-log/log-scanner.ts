import { getInt64, viewOf } from '../bytes.ts'
import { recordDigest } from '../digest.ts'
import { LIMITS } from '../limits.ts'
import { AT, BLANK_MARKER_BYTES, MAGIC_BLANK, MAGIC_V1, MAGIC_V2, SYS_FLAG_BORN_HOST_V6 } from './record.ts'
import { checkHead, checkRecord } from './record-check.ts'
import type { Segment, Segments } from './segments.ts'

/** Bytes of the log that are no whole, undamaged record, between such as are. */
export interface DamagedRange {
  readonly offset: number
  readonly bytes: number
  readonly why: string
}

/** What is known of a record from elsewhere. */
export interface ExpectedRecord {
  readonly sizeBytes: number
  readonly digest: number
}

export interface ScanOptions {
  readonly from: number
  /** Where to stop. Without it the scan looks for the log's end. */
  readonly until?: number
  /** What is known of the record at a position. */
  readonly expected?: (physicalOffset: number) => ExpectedRecord | undefined
  /** End of the last record that is known to have been written: looked for beyond zeros. */
  readonly knownEnd?: () => number
  /**
   * Given when somebody else may have cut the log and written on: the first whole record that is another than was known at its place.
   * From there on nothing may be `expected`.
   */
  readonly onForeign?: ((physicalOffset: number) => Promise<void>) | undefined
  /** Look behind bytes never written for more: after a crash, pages of the middle may be missing. */
  readonly looksBehindZeros?: boolean
  readonly onRecord: (bytes: Uint8Array, view: DataView, at: number, physicalOffset: number) => void
  readonly onDamage: (range: DamagedRange) => void
}

export interface ScanResult {
  /** First position that holds no record, and no record behind it. */
  readonly end: number
  readonly recordsChecked: number
  /** Why the scan ended, when it was not at bytes never written. */
  readonly wrong: string | undefined
}

type Judgement = { readonly next: number; readonly isRecord: boolean } | { readonly wrong: string; readonly isZero: boolean }

/**
 * Walks the log and hands on each whole record. RocketMQ CommitLog#checkMessageAndReturnSize ends the log at the first bad byte and
 * drops all behind it; here a bad place is skipped when something good follows: at the place that its own length names, or that is
 * known from elsewhere, or where a record is found that names its own position. A record must do so anyway, so that stale bytes of a
 * reused file never count.
 */
export class LogScanner {
  private readonly segments: Segments
  private readonly options: ScanOptions
  private bytes = new Uint8Array(0)
  private view = viewOf(this.bytes)
  private windowStart = 0
  private windowEnd = 0
  private lastStoreTime = 0
  private recordsChecked = 0

  constructor(segments: Segments, options: ScanOptions) {
    this.segments = segments
    this.options = options
  }

  async run(): Promise<ScanResult> {
    const { until = Number.MAX_SAFE_INTEGER, onRecord, onDamage } = this.options
    let offset = this.options.from
    // Bad places count only when something good follows; else they are the log's torn end.
    const pending: DamagedRange[] = []
    while (offset < until) {
      const segment = this.segments.find(offset)
      if (segment === undefined) break
      const judged = await this.judge(segment, offset)
      if ('next' in judged) {
        for (const range of pending.splice(0)) onDamage(range)
        if (judged.isRecord) {
          const at = offset - this.windowStart
          this.lastStoreTime = storeTimeAt(this.view, at)
          this.recordsChecked++
          onRecord(this.bytes, this.view, at, offset)
        }
        offset = judged.next
        continue
      }
      const next = await this.resume(segment, offset, judged.isZero)
      if (next === undefined && !judged.isZero) pending.push({ offset, bytes: 0, why: judged.wrong })
      if (next === undefined) break
      pending.push({ offset, bytes: next - offset, why: judged.wrong })
      offset = next
    }
    const torn = pending[0]
    if (until !== Number.MAX_SAFE_INTEGER && torn !== undefined) {
      for (const range of pending) onDamage(range.bytes > 0 ? range : { ...range, bytes: until - range.offset })
      return { end: until, recordsChecked: this.recordsChecked, wrong: undefined }
    }
    return { end: torn?.offset ?? offset, recordsChecked: this.recordsChecked, wrong: torn?.why }
  }

  private async judge(segment: Segment, offset: number): Promise<Judgement> {
    const room = segment.endOffset - offset
    if (room < BLANK_MARKER_BYTES) return { next: segment.endOffset, isRecord: false }
    if (!(await this.fill(segment, offset, 8))) return { wrong: 'the file ends here', isZero: false }
    const at = offset - this.windowStart
    const head = checkHead(this.view, at, room)
    if (head === 'end') return { wrong: 'zeros where a record was expected', isZero: true }
    if (head === 'blank') return { next: segment.endOffset, isRecord: false }
    if (head !== 'record') return { wrong: head.wrong, isZero: false }
    const size = this.view.getInt32(at)
    const expected = this.options.expected?.(offset)
    const hasOtherSize = expected !== undefined && expected.sizeBytes !== size
    if (hasOtherSize && this.options.onForeign === undefined) return otherSize(size, expected)
    if (!(await this.fill(segment, offset, size))) return { wrong: 'the file ends within the record', isZero: false }
    const wrong = checkRecord(this.bytes, this.view, offset - this.windowStart, offset, true)
    if (wrong !== undefined) return { wrong, isZero: false }
    if (expected !== undefined && (hasOtherSize || !this.isAsKnown(offset, expected))) {
      if (!(await this.isForeign(segment, offset, expected))) {
        return hasOtherSize ? otherSize(size, expected) : { wrong: 'fields outside the body differ from what was written', isZero: false }
      }
      await this.options.onForeign?.(offset)
      await this.fill(segment, offset, size)
    }
    return { next: offset + size, isRecord: true }
  }

  private isAsKnown(offset: number, expected: ExpectedRecord): boolean {
    return expected.digest === recordDigest(this.view, offset - this.windowStart)
  }

  /**
   * Of a whole record that is not the known one: did somebody else write it? One that is damaged has its length still (else its parts
   * would contradict each other), and behind it the log goes on as it is known.
   */
  private async isForeign(segment: Segment, offset: number, { sizeBytes }: ExpectedRecord): Promise<boolean> {
    if (this.options.onForeign === undefined) return false
    if (this.view.getInt32(offset - this.windowStart) !== sizeBytes) return true
    const next = offset + sizeBytes
    const room = segment.endOffset - next
    if (room < BLANK_MARKER_BYTES || !(await this.fill(segment, next, 8))) return false
    if (checkHead(this.view, next - this.windowStart, room) !== 'record') return false
    const size = this.view.getInt32(next - this.windowStart)
    if (!(await this.fill(segment, next, size))) return false
    if (checkRecord(this.bytes, this.view, next - this.windowStart, next, true) !== undefined) return false
    const known = this.options.expected?.(next)
    return known === undefined || known.sizeBytes !== size || !this.isAsKnown(next, known)
  }

  /** Where the log goes on behind a bad place, or undefined when it does not. */
  private async resume(segment: Segment, offset: number, isZero: boolean): Promise<number | undefined> {
    const expected = this.options.expected?.(offset)
    if (expected !== undefined) return offset + expected.sizeBytes
    if (!isZero) {
      const claimed = await this.claimedEnd(segment, offset)
      if (claimed !== undefined) return claimed
    } else if (this.options.looksBehindZeros !== true && offset >= (this.options.knownEnd?.() ?? 0)) return undefined
    const following = await this.followingSegment(segment, offset + LIMITS.resumeBytes)
    // In a file that others follow any place may hold the next record; else not far behind what can have been under way.
    const end = following === undefined ? Math.min(segment.endOffset, offset + LIMITS.resumeBytes) : segment.endOffset
    return (await this.search(segment, offset + 1, end)) ?? following?.startOffset
  }

  private async claimedEnd(segment: Segment, offset: number): Promise<number | undefined> {
    await this.fill(segment, offset, 8)
    const at = offset - this.windowStart
    const magic = this.view.getInt32(at + AT.magic)
    const next = offset + this.view.getInt32(at)
    if ((magic !== MAGIC_V1 && magic !== MAGIC_V2) || next <= offset || next > segment.endOffset) return undefined
    return next < segment.endOffset && 'next' in (await this.judge(segment, next)) ? next : undefined
  }

  /** The next segment that holds something good: at its beginning, or, as far as `to`, anywhere. */
  private async followingSegment(segment: Segment, to: number): Promise<Segment | undefined> {
    for (let next = this.segments.find(segment.endOffset); next !== undefined; next = this.segments.find(next.endOffset)) {
      if ('next' in (await this.judge(next, next.startOffset))) return next
      // The end of one file and the beginning of the next go together when power is lost as the log rolls.
      if ((await this.search(next, next.startOffset + 1, Math.min(next.endOffset, to))) !== undefined) return next
      if (next.endOffset > (this.options.until ?? next.startOffset + LIMITS.resumeBytes)) return undefined
    }
    return undefined
  }

  /** The first record, or end-of-file marker, in `[from, to)` that says itself that it belongs there. */
  private async search(segment: Segment, from: number, to: number): Promise<number | undefined> {
    if (from >= to) return undefined
    const step = LIMITS.recoveryWindowBytes
    const piece = Buffer.alloc(Math.min(step + 8, segment.endOffset - from))
    for (let start = from; start < to; start += step) {
      const got = await segment.read(piece, 0, Math.min(piece.length, segment.endOffset - start), start)
      for (const at of candidates(piece, got)) {
        const offset = start + at
        if (offset >= to) break
        const judged = await this.judge(segment, offset)
        if (!('next' in judged)) continue
        if (judged.isRecord && storeTimeAt(this.view, offset - this.windowStart) < this.lastStoreTime) continue
        return offset
      }
    }
    return undefined
  }

  /** Has the window `[offset, offset + needed)` of this segment? */
  private async fill(segment: Segment, offset: number, needed: number): Promise<boolean> {
    if (offset >= this.windowStart && offset + needed <= this.windowEnd) return true
    const length = Math.min(Math.max(needed, LIMITS.recoveryWindowBytes), segment.endOffset - offset)
    if (this.bytes.length < length) {
      this.bytes = new Uint8Array(length)
      this.view = viewOf(this.bytes)
    }
    this.windowStart = offset
    this.windowEnd = offset + (await segment.read(this.bytes, 0, length, offset))
    return this.windowEnd - offset >= needed
  }
}

function otherSize(size: number, { sizeBytes }: ExpectedRecord): Judgement {
  return { wrong: `record size ${size} where ${sizeBytes} bytes were written`, isZero: false }
}

/** Places where a record or end-of-file marker may begin: 4 bytes before a magic code. In order. */
function* candidates(bytes: Buffer, end: number): Generator<number> {
  let record = bytes.indexOf(RECORD_MAGIC, 4)
  let blank = bytes.indexOf(BLANK_MAGIC, 4)
  while (record >= 0 || blank >= 0) {
    const isRecord = blank < 0 || (record >= 0 && record < blank)
    const at = isRecord ? record : blank
    if (at + 4 > end) return
    yield at - 4
    if (isRecord) record = bytes.indexOf(RECORD_MAGIC, record + 1)
    else blank = bytes.indexOf(BLANK_MAGIC, blank + 1)
  }
}

/** What both kinds of records have in common. */
const RECORD_MAGIC = Buffer.from([0xda, 0xa3, 0x20])
const BLANK_MAGIC = Buffer.alloc(4)
BLANK_MAGIC.writeInt32BE(MAGIC_BLANK)

function storeTimeAt(view: DataView, at: number): number {
  return getInt64(view, at + AT.bornHost + (view.getInt32(at + AT.sysFlag) & SYS_FLAG_BORN_HOST_V6 ? 20 : 8))
}
