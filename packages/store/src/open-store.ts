import { dirname, join } from 'node:path'
import type { Log, Runtime } from '@skylarkmq/runtime'
import { HANDOVER_RECORD, hasApacheQueues } from './apache-handover.ts'
import { CommitLog } from './commit-log/commit-log.ts'
import { cutLog, scanLog, syncLog } from './commit-log/recovery.ts'
import { Segments } from './commit-log/segments.ts'
import { describeError } from './describe-error.ts'
import { lockDirectory } from './directory-lock.ts'
import { dispatchRecord } from './dispatch/dispatcher.ts'
import { LIMITS } from './limits.ts'
import { LogMessageStore } from './message-store.ts'
import type { MessageStore, RecoveryReport, StoreOptions } from './types.ts'
import { Views } from './views.ts'

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
    const views = new Views(disk, clock, options.rootDirectory, segments, options.delayLevelsMs)

    const checkedFrom = views.trustedTo ?? segments.minOffset
    const scan = await scanLog(segments, checkedFrom, (bytes, view, at) => dispatchRecord(views.parser, views.targets, bytes, view, at))
    const cut = cleanStop && scan.wrong === undefined ? 0 : await cutLog(segments, scan.end)
    // What a killed process wrote may still be in memory only; from here on it counts as flushed.
    if (!cleanStop) await syncLog(segments, checkedFrom, scan.end)
    views.deletions.clampTo(scan.end)
    await views.trimBefore(segments.minOffset)
    const commitLog = await CommitLog.open(segments, scan.end, Math.max(LIMITS.ringBytes, 2 * (options.maxMessageBytes + 65_536)))

    const recovery = describeRecovery({
      cleanStop,
      checkedFrom,
      checkedTo: scan.end,
      recordsChecked: scan.recordsChecked,
      cutAt: cut > 0 ? scan.end : undefined,
      cutBytes: cut,
      queuesRebuilt: views.trustedTo === undefined ? countQueues(views) : 0,
      durationMs: Math.round(clock.monotonic() - startedMs),
      wrong: scan.wrong,
    })
    log.info('the store is open', { ...recovery })
    const reportPath = join(options.rootDirectory, 'recovery-report.json')
    unlessFull(log, () => disk.writeTextAtomically(reportPath, `${JSON.stringify(recovery, undefined, 2)}\n`))
    const store = new LogMessageStore(runtime, options, { lock, log: commitLog, views, recovery })
    const weWroteLast = cleanStop && views.trustedTo === scan.end
    if (scan.end > segments.minOffset && !weWroteLast && hasApacheQueues(disk, options.rootDirectory)) {
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

function describeRecovery(found: Omit<RecoveryReport, 'text'> & { readonly wrong: string | undefined }): RecoveryReport {
  const { wrong, ...facts } = found
  const parts = [
    facts.cleanStop ? 'The last stop was clean.' : 'The last stop was not clean.',
    facts.checkedTo === facts.checkedFrom
      ? `The log ends at ${facts.checkedTo}, where the last checkpoint was; nothing behind it had to be checked.`
      : `${facts.recordsChecked} records from log position ${facts.checkedFrom} to ${facts.checkedTo} were checked; all are whole.`,
  ]
  if (facts.cutAt !== undefined)
    parts.push(
      `At ${facts.cutAt} the log was cut: ${facts.cutBytes} bytes behind it were no whole record${wrong === undefined ? '' : ` (${wrong})`}.`,
    )
  if (facts.queuesRebuilt > 0) parts.push(`${facts.queuesRebuilt} consume queues were rebuilt from the log.`)
  parts.push(`That took ${facts.durationMs} ms.`)
  return { ...facts, text: parts.join(' ') }
}
