import { getInt64, viewOf } from './bytes.ts'
import type { ClockSteps } from './clock-steps.ts'
import type { CommitLog } from './commit-log/commit-log.ts'
import { AT, SYS_FLAG_BORN_HOST_V6 } from './commit-log/record.ts'
import { checkRecord } from './commit-log/record-check.ts'
import { CHUNK_BYTES } from './consume-queue/chunk-file.ts'
import type { ConsumeQueue } from './consume-queue/consume-queue.ts'
import { digestAt, physicalOffsetAt, sizeAt } from './consume-queue/entry.ts'
import { firstAtOrAfter, firstThat } from './consume-queue/queue-search.ts'
import { recordDigest } from './digest.ts'

const HEAD_BYTES = AT.bornHost + 20 + 8

/**
 * When messages were stored, and which was stored when. The clock of a machine may be set back; between such places of the log the store
 * time only grows, and each stretch is searched for itself.
 */
export class StoreTimes {
  private readonly log: CommitLog
  private readonly clockSteps: ClockSteps
  private readonly entries = new Uint8Array(CHUNK_BYTES)
  private readonly entriesView = viewOf(this.entries)
  private readonly head = new Uint8Array(HEAD_BYTES)
  private readonly headView = viewOf(this.head)
  /** End of the log when it was opened: what this process wrote since is believed as long as it is surely in memory. */
  private readonly openedAt: number

  constructor(log: CommitLog, clockSteps: ClockSteps) {
    this.log = log
    this.clockSteps = clockSteps
    this.openedAt = log.endOffset
  }

  /** Store time of a message, or -1 when it is lost, damaged or not there. */
  of(queue: ConsumeQueue, queueOffset: number): number {
    if (queue.readEntries(queueOffset, 1, this.entries) === 0) return -1
    if (!queue.isSound(this.entriesView, 0, queueOffset) || sizeAt(this.entriesView, 0) === 0) return -1
    return this.timeOf(0) ?? -1
  }

  /** Store time of the oldest message that is there, or -1. */
  earliest(queue: ConsumeQueue): number {
    let time = -1
    firstThat(queue, this.entries, (at) => {
      const found = this.timeOf(at)
      time = found ?? time
      return found === undefined ? undefined : true
    })
    return time
  }

  /** 'lower': the first message with store time ≥ timestamp, or the end; 'upper': the last with ≤, or the first there is. */
  offsetByTime(queue: ConsumeQueue, timestamp: number, boundary: 'lower' | 'upper'): number {
    const passes = (at: number): boolean | undefined => {
      const time = this.timeOf(at)
      return time === undefined ? undefined : boundary === 'lower' ? time >= timestamp : time > timestamp
    }
    const stretches = this.stretches(queue)
    if (boundary === 'upper') stretches.reverse()
    for (const { from, to } of stretches) {
      const first = firstThat(queue, this.entries, passes, from, to)
      if (boundary === 'lower' ? first < to : first > from) return boundary === 'lower' ? first : first - 1
    }
    return boundary === 'lower' ? queue.maxOffset : queue.minOffset
  }

  /** Parts of a queue in which the store time never goes back. */
  private stretches(queue: ConsumeQueue): { from: number; to: number }[] {
    const found: { from: number; to: number }[] = []
    let from = queue.minOffset
    for (const position of this.clockSteps.places) {
      if (from === queue.maxOffset) break
      const to = firstAtOrAfter(queue, position, this.entries)
      if (to <= from) continue
      found.push({ from, to })
      from = to
    }
    if (from < queue.maxOffset) found.push({ from, to: queue.maxOffset })
    return found
  }

  /** Store time of the message whose entry lies at `at` of `entries`. */
  private timeOf(at: number): number | undefined {
    const physicalOffset = physicalOffsetAt(this.entriesView, at)
    if (!this.log.readRecent(this.head, 0, physicalOffset, HEAD_BYTES)) return undefined
    if (getInt64(this.headView, AT.physicalOffset) !== physicalOffset) return undefined
    const time = getInt64(this.headView, AT.bornHost + (this.headView.getInt32(AT.sysFlag) & SYS_FLAG_BORN_HOST_V6 ? 20 : 8))
    // What this process wrote a moment ago cannot have changed on the disk.
    if (physicalOffset >= this.openedAt && this.log.isRecent(physicalOffset)) return time
    const record = Buffer.allocUnsafe(sizeAt(this.entriesView, at))
    if (!this.log.readRecent(record, 0, physicalOffset, record.length)) return undefined
    const view = viewOf(record)
    if (checkRecord(record, view, 0, physicalOffset, true) !== undefined) return undefined
    return recordDigest(view, 0) === digestAt(this.entriesView, at) ? time : undefined
  }
}
