import { join } from 'node:path'
import type { Clock, Disk, Log, Runtime } from '@skylarkmq/runtime'
import { ExpiredFiles } from '../expired-files.ts'
import type { Segment, Segments } from './segments.ts'
import { segmentName } from './segments.ts'

const HOUR_MS = 3_600_000
/** RocketMQ deleteFileBatchMax. */
const SEGMENTS_PER_RUN = 10
/** A folder inside the log's: renaming into it stays on one file system, and Apache's broker skips folders there. */
const EXPIRED_FOLDER = 'expired'

export interface RetentionRules {
  readonly fileReservedHours: number
  readonly deleteWhenHours: readonly number[]
  /** Above so many bytes of log the oldest segments go, whatever their age. */
  readonly retentionBytes?: number
}

/** Removes whole segments whose time is over, never the last: they leave the log's folder at once, and the disk little by little. */
export class Retention {
  private readonly disk: Disk
  private readonly clock: Clock
  private readonly log: Log
  private readonly segments: Segments
  private readonly rules: RetentionRules
  private readonly folder: string
  private readonly expired: ExpiredFiles

  constructor(runtime: Pick<Runtime, 'disk' | 'clock' | 'log'>, segments: Segments, rules: RetentionRules) {
    this.disk = runtime.disk
    this.clock = runtime.clock
    this.log = runtime.log
    this.segments = segments
    this.rules = rules
    this.folder = join(segments.directory, EXPIRED_FOLDER)
    // What an earlier run had not finished.
    this.expired = new ExpiredFiles(runtime)
    for (const name of this.disk.list(this.folder)) this.expired.add(join(this.folder, name))
  }

  /** Takes expired segments out of the log. Only what ends before `safeEnd` (flushed and known to the views). Returns how many. */
  expire(safeEnd: number, logEnd: number, inHurry: boolean): number {
    const now = this.clock.now()
    const isHour = inHurry || this.rules.deleteWhenHours.includes(new Date(now).getHours())
    let count = 0
    while (count < SEGMENTS_PER_RUN) {
      const oldest = this.segments.all[0]
      const reason = this.isTooMuch(oldest, safeEnd, logEnd) ? 'size' : isHour && this.isExpired(oldest, safeEnd, now) ? 'age' : undefined
      if (reason === undefined) break
      const segment = this.segments.all[0] as Segment
      const target = join(this.folder, segmentName(segment.startOffset))
      this.disk.makeDirectory(this.folder)
      this.disk.rename(segment.file.path, target)
      this.segments.all.shift()
      segment.close()
      this.expired.add(target)
      count++
      const { fileReservedHours, retentionBytes } = this.rules
      this.log.info('an expired segment of the log is removed', { path: segment.file.path, reason, fileReservedHours, retentionBytes })
    }
    if (count > 0) this.disk.syncDirectory(this.segments.directory)
    return count
  }

  stop(): void {
    this.expired.stop()
  }

  private isTooMuch(segment: Segment | undefined, safeEnd: number, logEnd: number): boolean {
    const { retentionBytes = 0 } = this.rules
    if (retentionBytes <= 0 || segment === undefined || this.segments.all.length < 2 || segment.endOffset > safeEnd) return false
    return logEnd - segment.startOffset > retentionBytes
  }

  private isExpired(segment: Segment | undefined, safeEnd: number, now: number): boolean {
    if (segment === undefined || this.segments.all.length < 2 || segment.endOffset > safeEnd) return false
    const modifiedMs = this.disk.stat(segment.file.path)?.modifiedMs
    return modifiedMs !== undefined && modifiedMs + this.rules.fileReservedHours * HOUR_MS <= now
  }
}
