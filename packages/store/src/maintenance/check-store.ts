import { join } from 'node:path'
import type { Runtime } from '@skylarkmq/runtime'
import { hasApacheQueues } from '../apache-handover.ts'
import { viewOf } from '../bytes.ts'
import { LogScanner } from '../commit-log/log-scanner.ts'
import { entersQueue } from '../commit-log/record.ts'
import { Segments } from '../commit-log/segments.ts'
import { CHUNK_BYTES, CHUNK_ENTRIES } from '../consume-queue/chunk-file.ts'
import type { ConsumeQueue } from '../consume-queue/consume-queue.ts'
import { digestAt, ENTRY_BYTES, physicalOffsetAt, sizeAt } from '../consume-queue/entry.ts'
import { lockDirectory } from '../directory-lock.ts'
import type { DispatchRecord } from '../dispatch/dispatch-target.ts'
import { RecordParser } from '../dispatch/record-parser.ts'
import { forEachKey } from '../index/key-index.ts'
import type { NumberedEntry } from '../index/key-index.ts'
import { LIMITS } from '../limits.ts'
import { Views } from '../views.ts'
import { frozenDisk } from './frozen-disk.ts'

export interface CheckOptions {
  readonly rootDirectory: string
  readonly commitLogDirectory?: string
  /** Told about once in so many bytes of log, and at the end. */
  readonly onProgress?: (doneBytes: number, totalBytes: number) => void
}

export interface FoundDamage {
  readonly offset: number
  readonly bytes: number
  readonly why: string
}

export interface LostMessages {
  readonly topic: string
  readonly queueId: number
  readonly from: number
  readonly to: number
}

/** What a look at a stopped store found. `problems` counts all; the lists end at a limit. */
export interface CheckReport {
  readonly rootDirectory: string
  readonly segments: number
  readonly segmentBytes: number
  readonly logFrom: number
  readonly logTo: number
  readonly records: number
  readonly topics: number
  readonly queues: number
  readonly keys: number
  readonly cleanStop: boolean
  /** Damaged places of the log. */
  readonly damaged: readonly FoundDamage[]
  /** Messages that the queues know and the log no longer has. */
  readonly lost: readonly LostMessages[]
  /** Where consume queues or key index differ from the log; mended by the next start or read. */
  readonly views: readonly string[]
  /** Why the next start derives all views anew; undefined when it takes them over. */
  readonly rebuiltBecause: string | undefined
  /** Bytes behind the log's end that are no record; the next start cuts them. */
  readonly tornEnd: string | undefined
  readonly problems: number
}

const PROGRESS_BYTES = 64 * 1024 * 1024

/** Reads a stopped store from end to end, changes nothing, and says what is wrong. */
export async function checkStore(runtime: Runtime, options: CheckOptions): Promise<CheckReport> {
  const lock = await lockDirectory(runtime.disk, options.rootDirectory)
  try {
    return await new StoreCheck(runtime, options).run()
  } finally {
    lock.release()
  }
}

export function logDirectoryOf(options: CheckOptions): string {
  return options.commitLogDirectory ?? join(options.rootDirectory, 'commitlog')
}

/** The size of the log's files, as they are: a tool is not told the configuration. */
export function segmentBytesOf(runtime: Runtime, options: CheckOptions): number {
  const directory = logDirectoryOf(options)
  const first = runtime.disk.list(directory).find((name) => /^\d{20}$/.test(name))
  const size = first === undefined ? undefined : runtime.disk.stat(join(directory, first))?.sizeBytes
  if (size === undefined) throw new Error(`There is no commit log in ${directory}. Give the folder of a store (storePathRootDir).`)
  return size
}

class StoreCheck {
  private readonly options: CheckOptions
  private readonly segments: Segments
  private readonly views: Views
  private readonly cleanStop: boolean
  private readonly mayBeForeign: boolean
  private readonly damaged: FoundDamage[] = []
  private readonly lost: LostMessages[] = []
  private readonly wrongViews: string[] = []
  private problems = 0
  private keys = 0
  private nextProgress = 0
  /** Of each queue: the offset that the next message in the log should have, and a chunk of its entries. */
  private readonly seen = new Map<ConsumeQueue, { next: number; from: number; count: number; readonly entries: Uint8Array }>()
  private readonly indexed: Iterator<NumberedEntry>
  private nextKey: NumberedEntry | undefined

  constructor(runtime: Runtime, options: CheckOptions) {
    const frozen = { ...runtime, disk: frozenDisk(runtime.disk) }
    this.options = options
    this.cleanStop = !runtime.disk.exists(join(options.rootDirectory, 'abort'))
    this.mayBeForeign = hasApacheQueues(runtime.disk, options.rootDirectory)
    this.segments = new Segments(frozen.disk, logDirectoryOf(options), segmentBytesOf(runtime, options))
    this.segments.load()
    this.views = new Views(frozen, options.rootDirectory, this.segments, [])
    this.indexed = this.views.index.numberedEntries()
    this.nextKey = this.takeIndexed(this.segments.minOffset)
  }

  async run(): Promise<CheckReport> {
    const { views, segments } = this
    const { journal } = views
    let knownEnd = journal.knownEnd()
    const topics = views.queues.topics
    const parser = new RecordParser(topics, [], views.deletions)
    const total = (segments.all.at(-1)?.endOffset ?? 0) - segments.minOffset
    const scan = await new LogScanner(segments, {
      from: segments.minOffset,
      expected: (offset) => (offset < knownEnd ? journal.find(offset) : undefined),
      knownEnd: () => Math.max(knownEnd, views.trustedTo ?? 0),
      onForeign: this.mayBeForeign
        ? async (offset) => {
            knownEnd = offset
          }
        : undefined,
      looksBehindZeros: true,
      onRecord: (bytes, view, at, offset) => {
        this.progress(offset - segments.minOffset, total)
        if (views.trustedTo === undefined || offset >= views.trustedTo) return
        const record = parser.parse(bytes, view, at)
        if (record !== undefined) this.compare(record)
      },
      onDamage: (range) => this.note(this.damaged, range),
    }).run()
    this.options.onProgress?.(total, total)
    this.endOfQueues()
    let queues = 0
    let topicCount = 0
    for (const topic of topics.values()) {
      queues += topic.queueCount
      topicCount++
    }
    views.close()
    await segments.close()
    return {
      rootDirectory: this.options.rootDirectory,
      segments: segments.all.length,
      segmentBytes: segments.segmentBytes,
      logFrom: segments.minOffset,
      logTo: scan.end,
      records: scan.recordsChecked,
      topics: topicCount,
      queues,
      keys: this.keys,
      cleanStop: this.cleanStop,
      damaged: this.damaged,
      lost: this.lost,
      views: this.wrongViews,
      rebuiltBecause: views.rebuiltBecause,
      tornEnd: scan.wrong === undefined ? undefined : `at ${scan.end}: ${scan.wrong}`,
      problems: this.problems,
    }
  }

  private progress(done: number, total: number): void {
    if (done < this.nextProgress) return
    this.nextProgress = done + PROGRESS_BYTES
    this.options.onProgress?.(done, total)
  }

  private note<T>(list: T[], problem: T): void {
    this.problems++
    if (list.length < LIMITS.reportedDamages) list.push(problem)
  }

  private compare(record: DispatchRecord): void {
    forEachKey(record, (hash) => this.compareKey(record, hash))
    if (!entersQueue(record.sysFlag)) return
    const { queueId, queueOffset, physicalOffset, sizeBytes, topic } = record
    const where = `message ${queueOffset} of ${topic.name}/${queueId}`
    const queue = topic.queue(queueId)
    if (queue === undefined || queueOffset >= queue.maxOffset) return this.note(this.wrongViews, `${where} is not in its queue`)
    if (queueOffset < queue.minOffset) return
    const place = this.placeOf(queue, queueOffset)
    if (place === undefined) return this.note(this.wrongViews, `the queue entry of ${where} is damaged`)
    if (physicalOffsetAt(place, 0) !== physicalOffset) {
      this.note(this.wrongViews, `the queue entry of ${where} points at ${physicalOffsetAt(place, 0)}, the log has it at ${physicalOffset}`)
    } else if (digestAt(place, 0) !== record.digest) {
      this.note(this.damaged, {
        offset: physicalOffset,
        bytes: sizeBytes,
        why: `fields outside the body of ${where} differ from what was written`,
      })
    }
    const seen = this.seen.get(queue)
    if (seen === undefined) return
    if (queueOffset > seen.next) this.lose(queue, seen.next, queueOffset)
    seen.next = Math.max(seen.next, queueOffset + 1)
  }

  /** The entry, at 0 of the view; undefined when it is damaged. */
  private placeOf(queue: ConsumeQueue, queueOffset: number): DataView | undefined {
    let seen = this.seen.get(queue)
    if (seen === undefined) {
      seen = { next: queue.minOffset, from: 0, count: 0, entries: new Uint8Array(CHUNK_BYTES) }
      this.seen.set(queue, seen)
    }
    if (queueOffset < seen.from || queueOffset >= seen.from + seen.count) {
      seen.from = queueOffset
      seen.count = queue.readEntries(queueOffset, CHUNK_ENTRIES, seen.entries)
    }
    const at = (queueOffset - seen.from) * ENTRY_BYTES
    const view = viewOf(seen.entries.subarray(at, at + ENTRY_BYTES))
    return seen.count > 0 && queue.isSound(view, 0, queueOffset) ? view : undefined
  }

  /** Messages that did not come by: where they should be, nothing is, or a record that says it is another. */
  private lose(queue: ConsumeQueue, from: number, to: number): void {
    this.note(this.lost, { topic: queue.topic.name, queueId: queue.queueId, from, to })
    for (let queueOffset = from; queueOffset < Math.min(to, from + LIMITS.reportedDamages); queueOffset++) {
      const entry = new Uint8Array(ENTRY_BYTES)
      const view = viewOf(entry)
      if (queue.readEntries(queueOffset, 1, entry) === 0 || !queue.isSound(view, 0, queueOffset) || sizeAt(view, 0) === 0) continue
      const offset = physicalOffsetAt(view, 0)
      const isKnown = this.damaged.some((range) => offset >= range.offset && offset < range.offset + range.bytes)
      if (isKnown || offset < this.segments.minOffset || offset >= (this.views.trustedTo ?? 0)) continue
      const why = `what is here is not message ${queueOffset} of ${queue.topic.name}/${queue.queueId}, which was written here`
      this.note(this.damaged, { offset, bytes: sizeAt(view, 0), why })
    }
  }

  private endOfQueues(): void {
    for (const [queue, { next }] of this.seen) {
      if (next < queue.maxOffset) this.lose(queue, next, queue.maxOffset)
    }
  }

  private compareKey({ physicalOffset }: DispatchRecord, hash: number): void {
    this.keys++
    this.nextKey = this.takeIndexed(physicalOffset)
    const entry = this.nextKey?.entry
    if (entry?.physicalOffset === physicalOffset && entry.hash === hash) this.nextKey = undefined
    else this.note(this.wrongViews, `the key index has not the key ${hash} of the message at ${physicalOffset}`)
  }

  /** The first indexed key of a message at or behind a position. */
  private takeIndexed(physicalOffset: number): NumberedEntry | undefined {
    let next = this.nextKey
    for (;;) {
      if (next === undefined) {
        const step = this.indexed.next()
        if (step.done === true) return undefined
        next = step.value
      }
      if (next.entry === undefined) {
        this.note(this.wrongViews, `entry ${next.number} of ${next.path} is damaged`)
        next = undefined
      } else if (next.entry.physicalOffset < physicalOffset) next = undefined
      else return next
    }
  }
}
