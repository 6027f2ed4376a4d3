import { join } from 'node:path'
import type { Runtime } from '@skylarkmq/runtime'
import { hasApacheQueues } from './apache-handover.ts'
import { viewOf } from './bytes.ts'
import type { ClaimedPlace, ContainedDamage } from './commit-log/damage.ts'
import { claimedPlace, containDamage, damagedInBody, keepsPlace } from './commit-log/damage.ts'
import type { DamagedRange } from './commit-log/log-scanner.ts'
import { LogScanner } from './commit-log/log-scanner.ts'
import { cutLog, rewriteLog } from './commit-log/recovery.ts'
import type { Segments } from './commit-log/segments.ts'
import { JumpGuard } from './consume-queue/jump-guard.ts'
import { dispatchRecord } from './dispatch/dispatcher.ts'
import type { Found } from './recovery-report.ts'
import type { StoreOptions } from './types.ts'
import type { Views } from './views.ts'

export interface Recovering {
  readonly segments: Segments
  readonly views: Views
  readonly cleanStop: boolean
}

/** Brings log and views into order: what is damaged is contained, a torn end is cut, the views learn of what came after their checkpoint. */
export async function recover(
  { disk }: Runtime,
  { rootDirectory }: StoreOptions,
  { segments, views, cleanStop }: Recovering,
): Promise<Omit<Found, 'durationMs'>> {
  const { journal, parser } = views
  const checkedFrom = views.trustedTo ?? segments.minOffset
  const notes: string[] = []
  let knownEnd = journal.knownEnd()
  const ranges: DamagedRange[] = []
  const lost = new Map<number, Uint8Array>()
  const doubtful = new Map<number, ClaimedPlace>()
  const guard = new JumpGuard(views.queues)
  const targets = [guard, views.index, views.clockSteps]
  const scan = await new LogScanner(segments, {
    from: checkedFrom,
    expected: (physicalOffset) => (physicalOffset < knownEnd ? journal.find(physicalOffset) : undefined),
    knownEnd: () => knownEnd,
    onForeign: hasApacheQueues(disk, rootDirectory)
      ? async (physicalOffset) => {
          notes.push(
            `From ${physicalOffset} on the log is not what this store wrote: Apache RocketMQ's broker has cut it there and gone on.`,
          )
          await journal.cutTo(physicalOffset)
          knownEnd = physicalOffset
        }
      : undefined,
    looksBehindZeros: !cleanStop || views.trustedTo === undefined,
    onRecord: (bytes, view, at, physicalOffset) => {
      dispatchRecord(parser, targets, bytes, view, at)
      const { record } = parser
      if (physicalOffset >= knownEnd) journal.dispatch(record)
      else journal.mend(record)
      // The place of a message that an earlier start has found damaged.
      if (keepsPlace(view, at)) guard.dispatch({ ...record, sysFlag: 0, sizeBytes: 0 })
    },
    onDamage: (range) => {
      ranges.push(range)
      // The place of a message that is lost stays taken: who has consumed it would leave out another one there.
      const bytes = damagedInBody(segments, range, journal.find(range.offset))
      if (bytes === undefined) {
        const place = claimedPlace(segments, range)
        if (place !== undefined) doubtful.set(range.offset, place)
        return
      }
      lost.set(range.offset, bytes)
      dispatchRecord(parser, [guard], bytes, viewOf(bytes), 0)
    },
  }).run()
  guard.end()
  for (const [offset, place] of doubtful) if (keepsEnd(views, offset, place)) lost.set(offset, place.record)
  ranges.push(...guard.misplaced)
  ranges.sort((a, b) => a.offset - b.offset)
  const place = { folder: join(rootDirectory, 'skylark', 'damaged'), storeTimestamp: parser.record.storeTimestamp }
  const damaged: ContainedDamage[] = []
  for (const range of ranges) {
    damaged.push(containDamage(disk, segments, range, { ...place, lost: lost.get(range.offset) }))
    await journal.forget(range)
  }
  const lacksEnd = knownEnd > scan.end
  const cutBytes = cleanStop && scan.wrong === undefined && !lacksEnd ? 0 : await cutLog(segments, scan.end)
  // What a killed process wrote may still be in memory only, or dropped by a failed sync; from here on it counts as flushed.
  if (!cleanStop || damaged.length > 0) await rewriteLog(segments, checkedFrom, scan.end)
  journal.flush()
  if (lacksEnd) await journal.cutTo(scan.end)
  await journal.endRecovery()
  views.deletions.clampTo(scan.end)
  if (guard.repetitions > 0) notes.push(repetitions(guard))
  return {
    cleanStop,
    checkedFrom,
    checkedTo: scan.end,
    recordsChecked: scan.recordsChecked,
    damaged,
    cutAt: cutBytes > 0 || lacksEnd ? scan.end : undefined,
    cutBytes,
    queuesRebuilt: views.trustedTo === undefined ? countQueues(views) : 0,
    rebuiltBecause: segments.minOffset < scan.end ? views.rebuiltBecause : undefined,
    notes,
    wrong: lacksEnd ? `records up to ${knownEnd} had been written, and are not there` : scan.wrong,
  }
}

/**
 * A record that is damaged outside its body may name a wrong place, and no other may lose its own to it. But when its queue ends just there,
 * nothing contradicts it: the place is taken, for if it is right, and goes to another message, who has consumed the lost one leaves that out.
 */
function keepsEnd({ queues, parser }: Views, offset: number, { topic: name, queueId, queueOffset }: ClaimedPlace): boolean {
  const topic = queues.topics.find(name, 0, name.length)
  if (topic === undefined || offset < topic.createdAt || topic.queue(queueId)?.maxOffset !== queueOffset) return false
  queues.dispatch({ ...parser.record, topic, queueId, queueOffset, physicalOffset: offset, sysFlag: 0, sizeBytes: 0 })
  return true
}

function repetitions({ repetitions, firstRepetition }: JumpGuard): string {
  const many =
    repetitions === 1
      ? '1 record names a place in its queue that an earlier one has'
      : `${repetitions} records name places in their queues that earlier ones have`
  return `${many}, the first at ${firstRepetition}: not served; either damaged, or of a topic that was deleted and made again.`
}

function countQueues(views: Views): number {
  let count = 0
  for (const topic of views.queues.topics.values()) count += topic.queueCount
  return count
}
