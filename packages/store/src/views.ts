import { dirname, join } from 'node:path'
import type { Clock, Disk } from '@skylarkmq/runtime'
import { viewOf } from './bytes.ts'
import { AT } from './commit-log/record.ts'
import { plausibleSize } from './commit-log/record-check.ts'
import type { Segments } from './commit-log/segments.ts'
import { ConsumeQueues } from './consume-queue/consume-queues.ts'
import { Deletions } from './dispatch/deletions.ts'
import type { DispatchTarget } from './dispatch/dispatch-target.ts'
import { RecordParser } from './dispatch/record-parser.ts'
import type { IndexPosition } from './index/key-index.ts'
import { KeyIndex } from './index/key-index.ts'
import { LIMITS } from './limits.ts'
import type { ViewsPosition } from './views-checkpoint.ts'
import { ViewsCheckpoint } from './views-checkpoint.ts'

/** Everything that is derived from the log, and how far each of it is known to be on disk. The whole folder may be deleted at any time. */
export class Views {
  readonly queues: ConsumeQueues
  readonly index: KeyIndex
  readonly parser: RecordParser
  readonly deletions: Deletions
  readonly targets: readonly DispatchTarget[]
  /** Position up to which the views were taken from their files; undefined when they are built from the whole log. */
  readonly trustedTo: number | undefined
  private readonly checkpoint: ViewsCheckpoint
  private readonly clock: Clock

  constructor(disk: Disk, clock: Clock, rootDirectory: string, segments: Segments, delayLevelsMs: readonly number[]) {
    const directory = join(rootDirectory, 'skylark', 'views')
    this.clock = clock
    this.deletions = new Deletions(disk, join(rootDirectory, 'skylark', 'deleted-topics.json'))
    const position = loadPosition(disk, directory, segments)
    const files = (position && this.takeOver(disk, directory, position)) ?? makeAnew(disk, directory)
    this.queues = files.queues
    this.index = files.index
    this.checkpoint = files.checkpoint
    this.trustedTo = files.trustedTo
    this.parser = new RecordParser(this.queues.topics, delayLevelsMs, this.deletions)
    if (files.trustedTo !== undefined) this.parser.lastRecordOffset = position?.lastRecordOffset ?? -1
    this.targets = [this.queues, this.index]
  }

  private takeOver(disk: Disk, directory: string, position: ViewsPosition): ViewFiles | undefined {
    const files = openFiles(disk, directory, position.logEnd)
    files.checkpoint.load()
    // A topic that appeared behind the checkpoint is met again in the log, perhaps at another place than before the crash.
    files.queues.load(position.logEnd, (name, createdAt) => this.deletions.covers(name, createdAt) || createdAt > position.logEnd)
    if (files.index.load({ sequence: position.indexSequence, entries: position.indexEntries })) return files
    files.queues.close()
    files.index.close()
    files.checkpoint.close()
    return undefined
  }

  get indexPosition(): IndexPosition {
    return this.index.position
  }

  /**
   * Puts on file what the views have learned, a few tails a turn so that no turn is long, then vouches for log positions before `logEnd`
   * (which the views have seen and which is on disk).
   */
  async writeCheckpoint(logEnd: number, indexPosition: IndexPosition, segments: Segments, lastRecordOffset: number): Promise<void> {
    const dirty = this.queues.takeDirty()
    for (let i = 0; i < dirty.length; i++) {
      if (i > 0 && i % LIMITS.tailsPerTurn === 0) await this.nextTurn()
      dirty[i]?.writeTail()
    }
    this.index.write()
    await this.queues.sync()
    await this.index.sync()
    const lastRecordCrc = fingerprint(segments, lastRecordOffset)
    const { sequence, entries } = indexPosition
    await this.checkpoint.write({ logEnd, lastRecordOffset, lastRecordCrc, indexSequence: sequence, indexEntries: entries })
  }

  /** The log now begins at this position. */
  async trimBefore(minPhysicalOffset: number): Promise<void> {
    await this.queues.trimBefore(minPhysicalOffset, () => this.nextTurn())
    this.index.expireBefore(minPhysicalOffset)
  }

  private nextTurn(): Promise<void> {
    return new Promise((resolve) => this.clock.afterTurn(resolve))
  }

  close(): void {
    this.queues.close()
    this.index.close()
    this.checkpoint.close()
  }
}

interface ViewFiles {
  readonly queues: ConsumeQueues
  readonly index: KeyIndex
  readonly checkpoint: ViewsCheckpoint
  readonly trustedTo: number | undefined
}

function openFiles(disk: Disk, directory: string, trustedTo: number | undefined): ViewFiles {
  const queues = new ConsumeQueues(disk, directory)
  const index = new KeyIndex(disk, join(directory, 'index'))
  return { queues, index, checkpoint: new ViewsCheckpoint(disk, directory), trustedTo }
}

function makeAnew(disk: Disk, directory: string): ViewFiles {
  disk.remove(directory)
  disk.makeDirectory(directory)
  const files = openFiles(disk, directory, undefined)
  files.index.load(undefined)
  for (const path of [directory, dirname(directory), dirname(dirname(directory))]) disk.syncDirectory(path)
  return files
}

/** The checkpoint's word, if the log is still the one that it was about. */
function loadPosition(disk: Disk, directory: string, segments: Segments): ViewsPosition | undefined {
  for (const needed of ['checkpoint', 'topics', 'chunks.data', 'chunks.headers']) {
    if (!disk.exists(join(directory, needed))) return undefined
  }
  const checkpoint = new ViewsCheckpoint(disk, directory)
  try {
    const position = checkpoint.load()
    if (position === undefined) return undefined
    const { lastRecordOffset, lastRecordCrc, logEnd } = position
    if (segments.all.length === 0 || logEnd < segments.minOffset || logEnd > (segments.all.at(-1)?.endOffset ?? 0)) return undefined
    if (lastRecordOffset >= segments.minOffset && fingerprint(segments, lastRecordOffset) !== lastRecordCrc) return undefined
    return position
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
