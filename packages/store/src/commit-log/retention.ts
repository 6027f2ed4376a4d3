import { join } from 'node:path'
import type { Clock, Disk, Log } from '@skylarkmq/runtime'
import { LIMITS } from '../limits.ts'
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

/**
 * Removes whole segments whose time is over, never the last. Freeing a gigabyte at once stalls every writer of the file system, so an
 * expired segment first leaves the log's folder, is shrunk a little every second, and only then unlinked.
 */
export class Retention {
  private readonly disk: Disk
  private readonly clock: Clock
  private readonly log: Log
  private readonly segments: Segments
  private readonly rules: RetentionRules
  private readonly folder: string
  private readonly shrinking: string[]

  constructor(runtime: { readonly disk: Disk; readonly clock: Clock; readonly log: Log }, segments: Segments, rules: RetentionRules) {
    this.disk = runtime.disk
    this.clock = runtime.clock
    this.log = runtime.log
    this.segments = segments
    this.rules = rules
    this.folder = join(segments.directory, EXPIRED_FOLDER)
    // What an earlier run had not finished.
    this.shrinking = this.disk.list(this.folder).map((name) => join(this.folder, name))
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
      this.shrinking.push(target)
      count++
      const { fileReservedHours, retentionBytes } = this.rules
      this.log.info('an expired segment of the log is removed', { path: segment.file.path, reason, fileReservedHours, retentionBytes })
    }
    if (count > 0) this.disk.syncDirectory(this.segments.directory)
    return count
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

  /** One step of giving back the room of what has expired. */
  shrink(): void {
    const path = this.shrinking[0]
    if (path === undefined) return
    try {
      const size = this.disk.stat(path)?.sizeBytes ?? 0
      if (size > LIMITS.shrinkStepBytes) {
        const file = this.disk.open(path)
        try {
          file.truncate(size - LIMITS.shrinkStepBytes)
        } finally {
          file.close()
        }
        return
      }
      this.disk.remove(path)
    } catch (error) {
      this.log.warn('an expired segment could not be removed; the next start tries again', { path, error: String(error) })
    }
    this.shrinking.shift()
  }
}
