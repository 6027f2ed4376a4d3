import { dirname, join } from 'node:path'
import type { Log, Runtime } from '@skylarkmq/runtime'
import { HANDOVER_RECORD, hasApacheQueues } from './apache-handover.ts'
import { viewOf } from './bytes.ts'
import { CommitLog } from './commit-log/commit-log.ts'
import { containDamage, damagedInBody } from './commit-log/damage.ts'
import type { DamagedRange } from './commit-log/log-scanner.ts'
import { LogScanner } from './commit-log/log-scanner.ts'
import { cutLog, rewriteLog } from './commit-log/recovery.ts'
import { Segments } from './commit-log/segments.ts'
import { JumpGuard } from './consume-queue/jump-guard.ts'
import { describeError } from './describe-error.ts'
import { lockDirectory } from './directory-lock.ts'
import { dispatchRecord } from './dispatch/dispatcher.ts'
import { LIMITS } from './limits.ts'
import { LogMessageStore } from './message-store.ts'
import type { MessageStore, RecoveryReport, StoreOptions } from './types.ts'
import { Views } from './views.ts'

/** Damaged places that the readable paragraph names one by one; the report's list has all. */
const DAMAGES_IN_TEXT = 20

/** Opens (or makes) the store in a folder, alone: recovers the log, brings the views up to it, reports what was done. */
export async function openMessageStore(runtime: Runtime, options: StoreOptions): Promise<MessageStore> {
  const { disk, clock, log } = runtime
  const startedMs = clock.monotonic()
  disk.makeDirectory(options.rootDirectory)
  const lock = await lockDirectory(disk, options.rootDirectory)
  const segments = new Segments(disk, options.commitLogDirectory ?? join(options.rootDirectory, 'commitlog'), options.segmentBytes)
  try {
    const abortPath = join(options.rootDirectory, 'abort')
    const cleanStop = !disk.exists(abortPath)
    segments.load()
    // The folders' own names must outlive a power cut before anything in them is promised.
    disk.syncDirectory(options.rootDirectory)
    disk.syncDirectory(dirname(options.rootDirectory))
    unlessFull(log, () => disk.writeTextAtomically(abortPath, String(options.processId ?? processIdOf(disk))))
    const views = new Views(runtime, options.rootDirectory, segments, options.delayLevelsMs)
    const found = await recover(runtime, options, { segments, views, cleanStop })
    await views.trimBefore(segments.minOffset)
    const ringBytes = Math.max(options.memoryBytes ?? LIMITS.ringBytes, 2 * (options.maxMessageBytes + 65_536))
    const commitLog = await CommitLog.open(segments, found.checkedTo, ringBytes)

    const recovery = describeRecovery({ ...found, durationMs: Math.round(clock.monotonic() - startedMs) })
    log.info('the store is open', { ...recovery })
    const reportPath = join(options.rootDirectory, 'skylark', 'recovery-report.json')
    unlessFull(log, () => disk.writeTextAtomically(reportPath, `${JSON.stringify(recovery, undefined, 2)}\n`))
    const store = new LogMessageStore(runtime, options, { lock, log: commitLog, views, recovery })
    const weWroteLast = cleanStop && views.trustedTo === found.checkedTo
    if (found.checkedTo > segments.minOffset && !weWroteLast && hasApacheQueues(disk, options.rootDirectory)) {
      store.append(HANDOVER_RECORD, false, () => {})
      store.commitTurn()
    }
    return store
  } catch (error) {
    await segments.close()
    lock.release()
    throw error
  }
}

interface Recovering {
  readonly segments: Segments
  readonly views: Views
  readonly cleanStop: boolean
}

/** Brings log and views into order: what is damaged is contained, a torn end is cut, the views learn of what came after their checkpoint. */
async function recover({ disk }: Runtime, options: StoreOptions, { segments, views, cleanStop }: Recovering): Promise<Found> {
  const checkedFrom = views.trustedTo ?? segments.minOffset
  const known = views.journal.load(checkedFrom)
  let knownEnd = 0
  for (const [offset, { sizeBytes }] of known) knownEnd = Math.max(knownEnd, offset + sizeBytes)
  const ranges: DamagedRange[] = []
  const guard = new JumpGuard(views.queues)
  const targets = [guard, views.index]
  const scan = await new LogScanner(segments, {
    from: checkedFrom,
    expected: (physicalOffset) => known.get(physicalOffset),
    knownEnd,
    looksBehindZeros: !cleanStop || views.trustedTo === undefined,
    onRecord: (bytes, view, at) => dispatchRecord(views.parser, targets, bytes, view, at),
    onDamage: (range) => {
      ranges.push(range)
      // The place of a message that is lost stays taken: who has consumed it would leave out another one there.
      const bytes = damagedInBody(segments, range, known.get(range.offset))
      if (bytes !== undefined) dispatchRecord(views.parser, [guard], bytes, viewOf(bytes), 0)
    },
  }).run()
  guard.end()
  ranges.push(...guard.misplaced)
  ranges.sort((a, b) => a.offset - b.offset)
  const place = { folder: join(options.rootDirectory, 'skylark', 'damaged'), storeTimestamp: views.parser.record.storeTimestamp }
  const damaged = ranges.map((range) => containDamage(disk, segments, range, place))
  const cutBytes = cleanStop && scan.wrong === undefined && knownEnd <= scan.end ? 0 : await cutLog(segments, scan.end)
  // What a killed process wrote may still be in memory only, or dropped by a failed sync; from here on it counts as flushed.
  if (!cleanStop || damaged.length > 0) await rewriteLog(segments, checkedFrom, scan.end)
  for (const offset of known.keys()) {
    if (offset >= scan.end || damaged.some((range) => offset >= range.offset && offset < range.offset + range.bytes)) known.delete(offset)
  }
  views.journal.restart(known)
  views.deletions.clampTo(scan.end)
  return {
    cleanStop,
    checkedFrom,
    checkedTo: scan.end,
    recordsChecked: scan.recordsChecked,
    damaged,
    cutAt: cutBytes > 0 || knownEnd > scan.end ? scan.end : undefined,
    cutBytes,
    queuesRebuilt: views.trustedTo === undefined ? countQueues(views) : 0,
    rebuiltBecause: segments.minOffset < scan.end ? views.rebuiltBecause : undefined,
    wrong: scan.wrong ?? (knownEnd > scan.end ? `records up to ${knownEnd} had been written, and are not there` : undefined),
  }
}

/** A full disk keeps nobody from opening a store and reading it. */
function unlessFull(log: Log, write: () => void): void {
  try {
    write()
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ENOSPC') throw error
    log.warn('the disk is full: a small file of the store could not be written', { error: describeError(error) })
  }
}

function countQueues(views: Views): number {
  let count = 0
  for (const topic of views.queues.topics.values()) count += topic.queues.size
  return count
}

/** For `abort`, which names the process as Apache's does. Linux tells it without help. */
function processIdOf(disk: Runtime['disk']): number {
  const stat = disk.exists('/proc/self/stat') ? disk.readText('/proc/self/stat') : undefined
  return Number.parseInt(stat ?? '0', 10) || 0
}

type Found = Omit<RecoveryReport, 'text' | 'durationMs'> & { readonly wrong: string | undefined }

function describeRecovery(found: Found & { readonly durationMs: number }): RecoveryReport {
  const { wrong, ...facts } = found
  const parts = [
    facts.cleanStop ? 'The last stop was clean.' : 'The last stop was not clean.',
    facts.checkedTo === facts.checkedFrom
      ? `The log ends at ${facts.checkedTo}, where the last checkpoint was; nothing behind it had to be checked.`
      : `From log position ${facts.checkedFrom} to ${facts.checkedTo} ${facts.recordsChecked} whole records were found.`,
  ]
  for (const { offset, bytes, why, savedTo } of facts.damaged.slice(0, DAMAGES_IN_TEXT)) {
    const saved = savedTo === undefined ? 'there was no room to keep them' : `they are kept in ${savedTo}`
    parts.push(`At ${offset} ${bytes} bytes are damaged (${why}): ${saved}, and the log goes on behind them.`)
  }
  if (facts.damaged.length > DAMAGES_IN_TEXT) parts.push(`${facts.damaged.length - DAMAGES_IN_TEXT} more places are damaged.`)
  if (facts.cutAt !== undefined)
    parts.push(
      `At ${facts.cutAt} the log was cut: ${facts.cutBytes} bytes behind it were no whole record${wrong === undefined ? '' : ` (${wrong})`}.`,
    )
  if (facts.rebuiltBecause !== undefined)
    parts.push(`${facts.queuesRebuilt} consume queues and the key index were derived anew from the log: ${facts.rebuiltBecause}.`)
  parts.push(`That took ${facts.durationMs} ms.`)
  return { ...facts, text: parts.join(' ') }
}
