import type { Kernel } from '@skylarkmq/remoting/protocol'
import type { Log } from '@skylarkmq/runtime'
import { getInt64 } from '../bytes.ts'
import type { CommitLog } from '../commit-log/commit-log.ts'
import { AT } from '../commit-log/record.ts'
import { checkRecord, plausibleSize } from '../commit-log/record-check.ts'
import { recordDigest } from '../digest.ts'
import { LIMITS } from '../limits.ts'
import type { ReadRequest } from '../types.ts'
import type { Body } from './body-pool.ts'
import type { Selection } from './selection.ts'

export interface Kept {
  readonly bytes: number
  readonly count: number
  readonly lost: number
}

/** Sees to it that what readers get is what was once written. */
export class RecordJudge {
  private readonly log: CommitLog
  private readonly logger: Log
  /** End of the log when it was opened: what this process wrote since is believed as long as it is surely in memory. */
  private readonly openedAt: number
  private readonly kernel: Kernel
  private readonly reported = new Set<number>()

  constructor(log: CommitLog, logger: Log, kernel: Kernel) {
    this.log = log
    this.kernel = kernel
    this.logger = logger
    this.openedAt = log.endOffset
  }

  /** What this process wrote a moment ago cannot have changed on the disk. */
  isBelieved(physicalOffset: number): boolean {
    return physicalOffset >= this.believedFrom
  }

  /** All of the log from here on is believed. */
  get believedFrom(): number {
    return Math.max(this.openedAt, this.log.recentOffset)
  }

  /** Drops from `body` what is not the record that the queue meant, and what the filter does not want. */
  keep(body: Body, selection: Selection, request: ReadRequest): Kept {
    const { bytes, view } = body
    const { offsets, sizes, queueOffsets, digests } = selection
    const { queueId, recordFilter } = request
    let lost = 0
    let count = 0
    let from = 0
    let to = 0
    for (let i = 0; i < selection.count; i++) {
      const size = sizes[i] as number
      const physicalOffset = offsets[i] as number
      const good =
        plausibleSize(view, from, size) === size &&
        getInt64(view, from + AT.physicalOffset) === physicalOffset &&
        getInt64(view, from + AT.queueOffset) === queueOffsets[i] &&
        view.getInt32(from + AT.queueId) === queueId &&
        (this.isBelieved(physicalOffset) || this.isAsWritten(body, from, physicalOffset, digests[i] as number))
      if (!good) {
        lost++
        this.report(physicalOffset, { topic: request.topic, queueId, queueOffset: queueOffsets[i], sizeBytes: size })
      } else if (recordFilter === undefined || recordFilter(bytes.subarray(from, from + size))) {
        if (to !== from) bytes.copyWithin(to, from, from + size)
        to += size
        count++
      }
      from += size
    }
    return { bytes: to, count, lost }
  }

  private isAsWritten({ bytes, view, address }: Body, at: number, physicalOffset: number, digest: number): boolean {
    if (address < 0) return checkRecord(bytes, view, at, physicalOffset, true) === undefined && recordDigest(view, at) === digest
    // What has the digest that the queue knows has the fields that were checked when it was written.
    return this.kernel.calls.isAsWritten(address + at, view.getInt32(at), digest) !== 0
  }

  private report(physicalOffset: number, place: Record<string, unknown>): void {
    if (this.reported.has(physicalOffset) || this.reported.size >= LIMITS.reportedDamages) return
    this.reported.add(physicalOffset)
    const hint = 'stop the broker and run `skylark store salvage` to put the damaged bytes aside'
    this.logger.error('a record of the log is damaged: it is not served', { physicalOffset, ...place, hint })
  }
}
