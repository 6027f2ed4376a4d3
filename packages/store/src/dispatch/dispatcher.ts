import { assert } from '@skylarkmq/runtime'
import { viewOf } from '../bytes.ts'
import type { CommitLog } from '../commit-log/commit-log.ts'
import { MAGIC_BLANK } from '../commit-log/record.ts'
import type { DispatchTarget } from './dispatch-target.ts'
import type { RecordParser } from './record-parser.ts'
import type { RunDeriver } from './run-deriver.ts'

const FILE_WINDOW_BYTES = 1024 * 1024

/** Follows the log and hands each record to each view. The list is the whole extension point: a new view is one more entry. */
export class Dispatcher {
  /** End of what the views have seen. */
  offset: number
  private readonly log: CommitLog
  private readonly parser: RecordParser
  private readonly targets: readonly DispatchTarget[]
  private readonly runs: RunDeriver | undefined

  /** `runs`: takes what is usual of what lies in the ring. */
  constructor(log: CommitLog, parser: RecordParser, targets: readonly DispatchTarget[], offset: number, runs?: RunDeriver) {
    this.runs = runs
    this.log = log
    this.parser = parser
    this.targets = targets
    this.offset = offset
  }

  /** Brings the views up to `limit`, an end of a record. */
  advance(limit: number): void {
    while (this.offset < limit) {
      const before = this.offset
      const runEnd = this.log.ring.runEnd(this.offset)
      if (runEnd < 0) this.advanceFromFile(limit)
      else {
        const end = Math.min(runEnd, limit)
        const at = this.log.ring.locate(this.offset, end - this.offset)
        this.walk(this.log.ring.bytes, this.log.ring.view, at, end - this.offset)
      }
      // The sentence would be made each time.
      if (this.offset <= before) assert(false, `the log has no record at ${before}, below its own end ${limit}`)
    }
  }

  /** Only when the ring has moved on before the flush returned. */
  private advanceFromFile(limit: number): void {
    const segment = this.log.segments.find(this.offset)
    if (segment === undefined) throw new Error(`the log has no segment at ${this.offset}, which the views still need`)
    const head = new Uint8Array(8)
    segment.readNow(head, 0, 8, this.offset)
    const size = viewOf(head).getInt32(0)
    const length = Math.min(Math.max(size, FILE_WINDOW_BYTES), Math.min(limit, segment.endOffset) - this.offset)
    const window = new Uint8Array(length)
    segment.readNow(window, 0, length, this.offset)
    this.walk(window, viewOf(window), 0, length)
  }

  /** Hands on the whole records in `bytes[start, start + length)`, which begin at `offset`. */
  private walk(bytes: Uint8Array, view: DataView, start: number, length: number): void {
    const end = start + length
    const runs = bytes === this.log.ring.bytes ? this.runs : undefined
    let at = start
    while (at + 8 <= end) {
      if (runs !== undefined) {
        const taken = runs.take(at, end)
        at += taken
        this.offset += taken
        if (at + 8 > end) return
      }
      const size = view.getInt32(at)
      if (view.getInt32(at + 4) === MAGIC_BLANK) {
        const segmentBytes = this.log.segments.segmentBytes
        this.offset += segmentBytes - (this.offset % segmentBytes)
        return
      }
      if (size <= 8 || at + size > end) return
      dispatchRecord(this.parser, this.targets, bytes, view, at, runs?.digestOf(at))
      at += size
      this.offset += size
    }
  }
}

export function dispatchRecord(
  parser: RecordParser,
  targets: readonly DispatchTarget[],
  bytes: Uint8Array,
  view: DataView,
  at: number,
  digest?: number,
): void {
  const record = parser.parse(bytes, view, at, digest)
  if (record === undefined) return
  for (const target of targets) target.dispatch(record)
}
