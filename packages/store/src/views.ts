import { dirname, join } from 'node:path'
import type { Derivation } from '@skylarkmq/remoting/protocol'
import type { Clock, Disk, Log } from '@skylarkmq/runtime'
import { viewOf } from './bytes.ts'
import type { ClockPosition } from './clock-steps.ts'
import { ClockSteps } from './clock-steps.ts'
import { AT } from './commit-log/record.ts'
import { plausibleSize } from './commit-log/record-check.ts'
import type { Segments } from './commit-log/segments.ts'
import { journalDirectory, RecordJournal } from './commit-log/record-journal.ts'
import { ConsumeQueues } from './consume-queue/consume-queues.ts'
import { QueueEnds } from './consume-queue/queue-ends.ts'
import { Deletions } from './dispatch/deletions.ts'
import type { DispatchTarget } from './dispatch/dispatch-target.ts'
import { keysInLog } from './dispatch/keys-in-log.ts'
import { RecordParser } from './dispatch/record-parser.ts'
import type { IndexPosition } from './index/key-index.ts'
import { KeyIndex } from './index/key-index.ts'
import { LIMITS } from './limits.ts'
import type { ViewsPosition } from './views-checkpoint.ts'
import { ViewsCheckpoint } from './views-checkpoint.ts'

export interface ViewsRules {
  /** Where the kernel may derive, too. */
  readonly derivation?: Derivation | undefined
  /** Of the first index file. */
  readonly indexSlots?: number | undefined
}

/** Everything that is derived from the log, and how far each of it is known to be on disk. The whole folder may be deleted at any time. */
export class Views {
  readonly queues: ConsumeQueues
  readonly index: KeyIndex
  readonly clockSteps: ClockSteps
  /** Not one of them: it tells of the log what the log itself does not, and is kept when they are made anew. */
  readonly journal: RecordJournal
  readonly parser: RecordParser
  readonly deletions: Deletions
  /** Nor this one. */
  readonly queueEnds: QueueEnds
  /** While the log is written. */
  readonly liveTargets: readonly DispatchTarget[]
  /** Position up to which the views were taken from their files; undefined when they are built from the whole log. */
  readonly trustedTo: number | undefined
  /** Why they are built from the whole log. */
  readonly rebuiltBecause: string | undefined
  /** After it no checkpoint can vouch for the files any more: the last one stays the last of this life. */
  syncFailure: unknown
  private readonly checkpoint: ViewsCheckpoint
  private readonly clock: Clock

  constructor(
    { disk, clock, log }: { readonly disk: Disk; readonly clock: Clock; readonly log: Log },
    rootDirectory: string,
    segments: Segments,
    delayLevelsMs: readonly number[],
    rules: ViewsRules = {},
  ) {
    const directory = join(rootDirectory, 'skylark', 'views')
    this.clock = clock
    this.deletions = new Deletions(disk, join(rootDirectory, 'skylark', 'deleted-topics.json'))
    this.queueEnds = new QueueEnds(disk, join(rootDirectory, 'skylark', 'queue-ends.json'))
    const open = (): ViewFiles => openFiles(disk, directory, segments, log, rules)
    const position = loadPosition(disk, directory, segments)
    const taken = typeof position === 'string' ? position : this.takeOver(open, position)
    const isTaken = typeof taken !== 'string'
    const files = isTaken ? taken : makeAnew(disk, directory, open)
    this.queues = files.queues
    this.index = files.index
    this.clockSteps = files.clockSteps
    this.journal = new RecordJournal(disk, journalDirectory(rootDirectory), segments.segmentBytes, rules.derivation)
    this.checkpoint = files.checkpoint
    this.trustedTo = isTaken ? (position as ViewsPosition).logEnd : undefined
    this.rebuiltBecause = isTaken ? undefined : taken
    this.parser = new RecordParser(this.queues.topics, delayLevelsMs, this.deletions)
    if (typeof position !== 'string' && isTaken) {
      this.parser.lastRecordOffset = position.lastRecordOffset
      this.parser.secondLastRecordOffset = position.secondLastRecordOffset
    }
    this.liveTargets = [this.queues, this.index, this.clockSteps, this.journal]
  }

  /** The files, or in words why they cannot be believed. */
  private takeOver(open: () => ViewFiles, position: ViewsPosition): ViewFiles | string {
    const files = open()
    files.checkpoint.load()
    // A topic that appeared behind the checkpoint is met again in the log, perhaps at another place than before the crash.
    const isDeleted = (name: string, createdAt: number) => this.deletions.covers(name, createdAt) || createdAt > position.logEnd
    const index = { sequence: position.indexSequence, entries: position.indexEntries }
    const wrong =
      files.queues.load(position, isDeleted) ??
      (files.index.load(index) ? undefined : 'a file of the key index is missing or short') ??
      files.clockSteps.load({ steps: position.clockSteps, newestTime: position.newestTime })
    if (wrong === undefined) return files
    files.queues.close()
    files.index.close()
    files.clockSteps.close()
    files.checkpoint.close()
    return wrong
  }

  /** What the views have seen at this moment: for a checkpoint that begins now. */
  lastSeen(): LastSeen {
    const { lastRecordOffset: recordOffset, secondLastRecordOffset: secondRecordOffset } = this.parser
    return { recordOffset, secondRecordOffset, index: this.index.position, clock: this.clockSteps.position }
  }

  /**
   * Puts on file what the views have learned, a few tails a turn so that no turn is long, then vouches for log positions before `logEnd`
   * (which the views have seen and which is on disk). How many tails there were.
   */
  async writeCheckpoint(logEnd: number, last: LastSeen, segments: Segments): Promise<number> {
    const dirty = this.queues.takeDirty()
    try {
      for (let i = 0; i < dirty.length; i++) {
        if (i > 0 && i % LIMITS.tailsPerTurn === 0) await this.nextTurn()
        dirty[i]?.writeTail()
      }
      this.queues.writeWaiting()
      this.index.write()
    } catch (error) {
      // What there was no room for is still to be written.
      for (const queue of dirty) this.queues.touch(queue)
      throw error
    }
    const { chunkCount } = this.queues
    try {
      await this.queues.sync()
      await this.index.sync()
      await this.clockSteps.sync()
    } catch (error) {
      // The platform may have dropped what it could not sync, and would say "fine" the next time.
      this.syncFailure = error
      throw error
    }
    const { topicsEnd } = this.queues
    await this.checkpoint.write({
      logEnd,
      lastRecordOffset: last.recordOffset,
      lastRecordCrc: fingerprint(segments, last.recordOffset),
      secondLastRecordOffset: last.secondRecordOffset,
      secondLastRecordCrc: fingerprint(segments, last.secondRecordOffset),
      indexSequence: last.index.sequence,
      indexEntries: last.index.entries,
      topicsEnd,
      slots: chunkCount,
      clockSteps: last.clock.steps,
      newestTime: last.clock.newestTime,
    })
    await this.journal.sync(false)
    return dirty.length
  }

  /** The log now begins at this position. */
  async trimBefore(minPhysicalOffset: number): Promise<void> {
    await this.queues.trimBefore(minPhysicalOffset, () => this.nextTurn())
    await this.index.expireBefore(minPhysicalOffset)
    this.clockSteps.expireBefore(minPhysicalOffset)
    await this.journal.expireBefore(minPhysicalOffset)
  }

  private nextTurn(): Promise<void> {
    return new Promise((resolve) => this.clock.afterTurn(resolve))
  }

  close(): void {
    this.queues.close()
    this.index.close()
    this.clockSteps.close()
    this.journal.close()
    this.checkpoint.close()
  }
}

export interface LastSeen {
  readonly recordOffset: number
  readonly secondRecordOffset: number
  readonly index: IndexPosition
  readonly clock: ClockPosition
}

interface ViewFiles {
  readonly queues: ConsumeQueues
  readonly index: KeyIndex
  readonly clockSteps: ClockSteps
  readonly checkpoint: ViewsCheckpoint
}

function openFiles(disk: Disk, directory: string, segments: Segments, log: Log, { derivation, indexSlots }: ViewsRules): ViewFiles {
  const onDamage = (where: string) => log.error('the key index is damaged; the key is looked for in the log', { where })
  return {
    queues: new ConsumeQueues(disk, directory),
    index: new KeyIndex(disk, join(directory, 'index'), (offset) => keysInLog(segments, offset), onDamage, derivation, indexSlots),
    clockSteps: new ClockSteps(disk, directory),
    checkpoint: new ViewsCheckpoint(disk, directory),
  }
}

function makeAnew(disk: Disk, directory: string, open: () => ViewFiles): ViewFiles {
  disk.remove(directory)
  disk.makeDirectory(directory)
  const files = open()
  files.index.load(undefined)
  for (const path of [directory, dirname(directory), dirname(dirname(directory))]) disk.syncDirectory(path)
  return files
}

/** The checkpoint's word, if the log is still the one that it was about; else in words why not. */
function loadPosition(disk: Disk, directory: string, segments: Segments): ViewsPosition | string {
  for (const needed of ['checkpoint', 'topics', 'chunks.data', 'chunks.headers']) {
    if (!disk.exists(join(directory, needed))) return `${needed} is missing`
  }
  if (disk.stat(join(directory, 'checkpoint'))?.sizeBytes === 0) return 'there was no checkpoint yet'
  const checkpoint = new ViewsCheckpoint(disk, directory)
  try {
    const position = checkpoint.load()
    if (position === undefined) return 'the checkpoint is damaged, or of another version'
    const { logEnd } = position
    if (segments.all.length === 0 || logEnd < segments.minOffset || logEnd > (segments.all.at(-1)?.endOffset ?? 0)) {
      return `the checkpoint speaks of log position ${logEnd}, which the log does not have`
    }
    const anchors = [
      { offset: position.lastRecordOffset, crc: position.lastRecordCrc },
      { offset: position.secondLastRecordOffset, crc: position.secondLastRecordCrc },
    ].filter(({ offset }) => offset >= segments.minOffset)
    // One that differs may be a damaged record, which the scan or a read will find; both: another log.
    const isSame = anchors.length === 0 || anchors.some(({ offset, crc }) => fingerprint(segments, offset) === crc)
    return isSame ? position : `the log has other records before position ${logEnd} than the checkpoint says`
  } finally {
    checkpoint.close()
  }
}

/** Something that differs when another record stands at this place: its body CRC, mixed with the low bits of its store time and size. */
function fingerprint(segments: Segments, physicalOffset: number): number {
  const segment = physicalOffset < 0 ? undefined : segments.find(physicalOffset)
  if (segment === undefined) return 0
  const head = new Uint8Array(64)
  segment.readNow(head, 0, 64, physicalOffset)
  const view = viewOf(head)
  if (plausibleSize(view, 0, segment.endOffset - physicalOffset) === 0) return 0
  return (view.getInt32(AT.bodyCrc) ^ Math.imul(view.getInt32(0), 31) ^ view.getInt32(60)) >>> 0
}
