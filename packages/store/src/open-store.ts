import { dirname, join } from 'node:path'
import { Kernel } from '@skylarkmq/remoting/protocol'
import type { DerivationSizes } from '@skylarkmq/remoting/protocol'
import type { Log, Runtime } from '@skylarkmq/runtime'
import { HANDOVER_RECORD, hasApacheQueues } from './apache-handover.ts'
import { CommitLog } from './commit-log/commit-log.ts'
import { segmentBytesIn, Segments } from './commit-log/segments.ts'
import { describeError } from './describe-error.ts'
import { lockDirectory } from './directory-lock.ts'
import { LastFailure } from './last-failure.ts'
import { LIMITS } from './limits.ts'
import { LogMessageStore } from './message-store.ts'
import { READ_BYTES } from './read/read-memory.ts'
import { recover } from './recover.ts'
import { describeRecovery } from './recovery-report.ts'
import type { MessageStore, StoreOptions } from './types.ts'
import { Views } from './views.ts'

const NO_ROOM = { receiveBytes: 0, outBytes: 0, slots: 0, batchBytes: 0 }

const DAMAGED_ENDS =
  'queue-ends.json was damaged: of queues without a message left, how far they had come is taken from their own files. It is written anew.'

const DAMAGED_DELETIONS =
  'deleted-topics.json was damaged: messages of deleted topics that the log still has may be found again. It is begun anew.'

/** For tests: other sizes, or no kernel that derives. */
export interface DerivingRules {
  readonly derivation?: DerivationSizes | false
  readonly indexSlots?: number
}

/** Opens (or makes) the store in a folder, alone: recovers the log, brings the views up to it, reports what was done. */
export async function openMessageStore(
  runtime: Runtime,
  options: StoreOptions,
  { derivation = LIMITS.derivation, indexSlots }: DerivingRules = {},
): Promise<MessageStore> {
  const { disk, clock, log } = runtime
  const startedMs = clock.monotonic()
  disk.makeDirectory(options.rootDirectory)
  const lock = await lockDirectory(disk, options.rootDirectory)
  const directory = options.commitLogDirectory ?? join(options.rootDirectory, 'commitlog')
  const segmentBytes = segmentBytesIn(disk, directory, options.segmentBytes) ?? options.segmentBytes
  const segments = new Segments(disk, directory, segmentBytes)
  try {
    const abortPath = join(options.rootDirectory, 'abort')
    const cleanStop = !disk.exists(abortPath)
    segments.load()
    // The folders' own names must outlive a power cut before anything in them is promised.
    disk.syncDirectory(options.rootDirectory)
    disk.syncDirectory(dirname(options.rootDirectory))
    const notes: string[] = []
    if (segmentBytes !== options.segmentBytes) {
      notes.push(
        `The log was begun with segments of ${segmentBytes} bytes and keeps them: mappedFileSizeCommitLog=${options.segmentBytes} counts for new ` +
          `folders. Apache RocketMQ's broker opens this one with mappedFileSizeCommitLog=${segmentBytes}.`,
      )
    }
    unlessFull(log, notes, () => disk.writeTextAtomically(abortPath, String(options.processId ?? processIdOf(disk))))
    const lastFailure = new LastFailure(disk, options.rootDirectory)
    const failure = lastFailure.read()
    if (failure !== undefined)
      notes.push(`The last process had stopped acknowledging: ${failure} What it left of the log was written again and synced.`)
    const ringBytes = Math.max(options.memoryBytes ?? LIMITS.ringBytes, 2 * (options.maxMessageBytes + 65_536))
    const kernel = new Kernel({ ringBytes, readBytes: READ_BYTES, ...(options.room ?? NO_ROOM), ...(derivation && { derivation }) })
    const views = new Views(runtime, options.rootDirectory, segments, options.delayLevelsMs, { derivation: kernel.derivation, indexSlots })
    const found = await recover(runtime, options, { segments, views, cleanStop })
    views.queueEnds.resume(views.queues, found.checkedTo)
    if (views.queueEnds.isDamaged) notes.push(DAMAGED_ENDS)
    if (views.deletions.isDamaged) notes.push(DAMAGED_DELETIONS)
    await views.trimBefore(segments.minOffset)
    const commitLog = await CommitLog.open(segments, found.checkedTo, kernel.ring)

    const weWroteLast = cleanStop && views.trustedTo === found.checkedTo
    const isFromApache = found.checkedTo > segments.minOffset && !weWroteLast && hasApacheQueues(disk, options.rootDirectory)
    if (isFromApache)
      notes.push("Apache RocketMQ's broker has used this folder: its queues and index are left alone, ours are derived from the log.")
    const durationMs = Math.round(clock.monotonic() - startedMs)
    const recovery = describeRecovery({ ...found, notes: [...notes, ...found.notes], durationMs })
    log.info('the store is open', { ...recovery })
    const reportPath = join(options.rootDirectory, 'skylark', 'recovery-report.json')
    unlessFull(log, notes, () => disk.writeTextAtomically(reportPath, `${JSON.stringify(recovery, undefined, 2)}\n`))
    lastFailure.clear()
    const store = new LogMessageStore(runtime, options, { lock, log: commitLog, views, recovery, lastFailure, kernel })
    if (isFromApache) {
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
function unlessFull(log: Log, notes: string[], write: () => void): void {
  try {
    write()
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ENOSPC') throw error
    notes.push(`The disk is full: ${describeError(error)}. What is there is served; writes are accepted when there is room.`)
    log.warn('the disk is full: a small file of the store could not be written', { error: describeError(error) })
  }
}

/** For `abort`, which names the process as Apache's does. Linux tells it without help. */
function processIdOf(disk: Runtime['disk']): number {
  const stat = disk.exists('/proc/self/stat') ? disk.readText('/proc/self/stat') : undefined
  return Number.parseInt(stat ?? '0', 10) || 0
}
