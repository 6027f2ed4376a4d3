import { dirname, join } from 'node:path'
import type { Runtime, Timer } from '@skylarkmq/runtime'
import type { CommitLog } from '../commit-log/commit-log.ts'
import type { ConsumeQueue } from '../consume-queue/consume-queue.ts'
import type { ConsumeQueues } from '../consume-queue/consume-queues.ts'
import { describeError } from '../describe-error.ts'
import { ExpiredFiles } from '../expired-files.ts'
import { LIMITS } from '../limits.ts'
import type { StoreReader } from '../store-reader.ts'
import type { StoreTimes } from '../store-times.ts'
import type { CompactionRules, ReadRequest, ReadResult } from '../types.ts'
import type { CompactedFile, FileName } from './compacted-file.ts'
import { CompactedQueue } from './compacted-queue.ts'
import { readCompacted } from './compacted-reader.ts'
import { CompactedWriter } from './compacted-writer.ts'
import type { TopicFolder } from './compaction-folders.ts'
import { CompactionFolders } from './compaction-folders.ts'
import { mergeFiles } from './merge.ts'
import { planMerge } from './merge-plan.ts'
import { Pace } from './pace.ts'
import { TailWindow } from './tail-window.ts'
import { WorkingMemory } from './working-memory.ts'

export const COMPACTION_DEFAULTS: CompactionRules = {
  intervalMs: 900_000,
  tombstoneRetentionMs: 86_400_000,
  mapBytes: 100 * 1024 * 1024,
}

const FIRST_RUN_MS = 60_000

interface CompactedTopic {
  readonly folder: TopicFolder
  readonly queues: Map<number, CompactedQueue>
}

export interface CompactionParts {
  readonly log: CommitLog
  readonly queues: ConsumeQueues
  readonly reader: StoreReader
  readonly times: StoreTimes
  /** Log position up to which the queues show everything. */
  readonly seenTo: () => number
  /** Makes everything durable that the queues show now; the log position up to which that is, undefined when it could not be. */
  readonly flush: () => Promise<number | undefined>
}

/** The topic was deleted or the store closes: work is left where it is. */
class Abandoned extends Error {}

/**
 * Compacted topics: of each key the newest message is kept for good. The newest messages of a queue are read from the commit log as ever.
 * From time to time what came since is copied, without the values that were replaced, into a file of its own, and files are merged, by
 * a generation of copies that never touches what readers see: they go from old files to the new one between two turns. What is not
 * copied yet holds the commit log's retention back.
 */
export class Compaction {
  private readonly runtime: Runtime
  private readonly rules: CompactionRules
  private readonly parts: CompactionParts
  private readonly folders: CompactionFolders
  private readonly topics = new Map<string, CompactedTopic>()
  private readonly replaced: ExpiredFiles
  private readonly memory = new WorkingMemory()
  /** Log position before which every message of compacted topics has been copied. */
  private copiedTo = 0
  private readonly timers: readonly Timer[]
  private running: Promise<void> | undefined
  private isStopping = false

  constructor(runtime: Runtime, rootDirectory: string, rules: CompactionRules, parts: CompactionParts) {
    this.runtime = runtime
    this.rules = rules
    this.parts = parts
    this.replaced = new ExpiredFiles(runtime)
    this.folders = new CompactionFolders(runtime.disk, runtime.log, rootDirectory)
    for (const folder of this.folders.load()) this.load(folder)
    // Soon after a start, too: the log waits for what is not copied, however often a store is restarted.
    this.timers = [
      runtime.clock.after(Math.min(rules.intervalMs, FIRST_RUN_MS), () => void this.run()),
      runtime.clock.every(rules.intervalMs, () => this.run()),
    ]
  }

  private load(folder: TopicFolder): void {
    const topic: CompactedTopic = { folder, queues: new Map() }
    this.topics.set(folder.topic, topic)
    const { log, queues } = this.parts
    for (const name of this.runtime.disk.list(folder.path)) {
      if (!/^\d+$/.test(name)) continue
      const queueId = Number(name)
      const compacted = this.makeQueue(topic, queueId)
      const inLog = queues.find(folder.topic, queueId)
      compacted.load(inLog === undefined || inLog.minOffset === inLog.maxOffset ? Number.POSITIVE_INFINITY : inLog.minOffset)
      // Offsets go on behind what is compacted, also when the log has none of the queue's messages left to tell how far it had come.
      if (compacted.to !== undefined) queues.obtain(queues.topics.obtain(folder.topic, log.endOffset), queueId).resume(compacted.to)
    }
  }

  private makeQueue(topic: CompactedTopic, queueId: number): CompactedQueue {
    const { disk, log } = this.runtime
    const queue = new CompactedQueue(disk, log, join(topic.folder.path, String(queueId)), topic.folder.topic, queueId)
    topic.queues.set(queueId, queue)
    return queue
  }

  // ---- topics ----

  get names(): ReadonlySet<string> {
    return new Set(this.topics.keys())
  }

  /** From now on the topic is compacted, also after a restart. */
  add(topic: string): void {
    if (this.topics.has(topic)) return
    this.topics.set(topic, { folder: this.folders.add(topic), queues: new Map() })
    if (this.parts.queues.topics.get(topic) !== undefined) this.copiedTo = 0
  }

  remove(name: string): void {
    const topic = this.topics.get(name)
    if (topic === undefined) return
    this.topics.delete(name)
    for (const queue of topic.queues.values()) queue.close()
    this.folders.remove(topic.folder)
  }

  /** The commit log is needed from here on: what lies behind is not copied yet. */
  get position(): number {
    return this.topics.size === 0 ? Number.POSITIVE_INFINITY : this.copiedTo
  }

  // ---- reading ----

  private find(topic: string, queueId: number): CompactedQueue | undefined {
    return this.topics.size === 0 ? undefined : this.topics.get(topic)?.queues.get(queueId)
  }

  /** The answer when some of the queue is compacted; else the log alone knows. */
  read(request: ReadRequest): ReadResult | Promise<ReadResult> | undefined {
    const queue = this.find(request.topic, request.queueId)
    const minOffset = queue?.from
    const to = queue?.to
    const inLog = this.parts.queues.find(request.topic, request.queueId)
    if (queue === undefined || minOffset === undefined || to === undefined || inLog === undefined) return undefined
    const { offset } = request
    const nothing = { body: new Uint8Array(0), messageCount: 0, minOffset, maxOffset: inLog.maxOffset }
    if (!Number.isSafeInteger(offset) || offset < minOffset) return { ...nothing, status: 'offset-too-small', nextOffset: minOffset }
    if (offset < to) {
      return readCompacted(queue.files, request, to, this.runtime.log).then((found) => ({
        ...found,
        minOffset,
        maxOffset: inLog.maxOffset,
      }))
    }
    // The log has lost what lies between: it is stepped over as any other gap.
    if (offset < inLog.minOffset) return { ...nothing, status: 'no-matched-message', nextOffset: inLog.minOffset }
    const result = this.parts.reader.read(request)
    return result instanceof Promise ? result.then((found) => ({ ...found, minOffset })) : { ...result, minOffset }
  }

  minOffset(topic: string, queueId: number): number | undefined {
    return this.find(topic, queueId)?.from
  }

  /** Undefined: ask the log. Of an offset whose message is gone the next one's time counts. */
  storeTimestamp(topic: string, queueId: number, queueOffset: number): number | undefined {
    const queue = this.find(topic, queueId)
    if (queue?.from === undefined || queueOffset < queue.from || queueOffset >= (queue.to ?? 0)) return undefined
    return queue.entryAtOrAfter(queueOffset)?.storeTimestamp
  }

  /** As `offsetByTime` of the log, whose answer is `inLog`. */
  offsetByTime(topic: string, queueId: number, timestamp: number, boundary: 'lower' | 'upper', inLog: number): number {
    const queue = this.find(topic, queueId)
    if (queue?.from === undefined || queue.to === undefined) return inLog
    const later = queue.entryByTime(boundary === 'lower' ? timestamp : timestamp + 1)
    if (boundary === 'lower') return later?.queueOffset ?? Math.max(inLog, queue.to)
    if (later !== undefined) return queue.entryBefore(later.queueOffset)?.queueOffset ?? queue.from
    const last = queue.entryBefore(queue.to)?.queueOffset ?? queue.from
    const queueInLog = this.parts.queues.find(topic, queueId)
    const isInLog = inLog >= queue.to && queueInLog !== undefined && this.parts.times.of(queueInLog, inLog) <= timestamp
    return isInLog ? inLog : last
  }

  // ---- compacting ----

  /** Compacts what is to be compacted. One run at a time. */
  run(): Promise<void> {
    this.running ??= this.runAll().finally(() => {
      this.running = undefined
    })
    return this.running
  }

  private async runAll(): Promise<void> {
    const { queues, flush, seenTo } = this.parts
    const jobs: { readonly topic: CompactedTopic; readonly inLog: ConsumeQueue; readonly end: number }[] = []
    for (const [name, topic] of this.topics) {
      for (const inLog of queues.topics.get(name)?.queues ?? []) jobs.push({ topic, inLog, end: inLog.maxOffset })
    }
    const isNew = jobs.some(({ topic, inLog, end }) => (topic.queues.get(inLog.queueId)?.to ?? inLog.minOffset) < end)
    // What is not durable may yet be lost, and its offsets given to others.
    const logEnd = isNew ? await flush() : seenTo()
    if (logEnd === undefined) return
    const pace = new Pace(this.runtime.clock)
    let isComplete = true
    for (const { topic, inLog, end } of jobs) {
      try {
        await this.compact(topic, inLog, end, pace)
      } catch (error) {
        if (error instanceof Abandoned || this.isGone(topic)) continue
        isComplete = false
        const fields = { topic: topic.folder.topic, queueId: inLog.queueId, error: describeError(error) }
        this.runtime.log.warn('a queue could not be compacted; it is tried again, and the commit log is kept till then', fields)
      }
    }
    if (isComplete && !this.isStopping) this.copiedTo = logEnd
  }

  private isGone(topic: CompactedTopic): boolean {
    return this.isStopping || this.topics.get(topic.folder.topic) !== topic
  }

  private async compact(topic: CompactedTopic, inLog: ConsumeQueue, end: number, pace: Pace): Promise<void> {
    const check = (): void => {
      if (this.isGone(topic)) throw new Abandoned()
    }
    check()
    const queue = topic.queues.get(inLog.queueId) ?? this.makeQueue(topic, inLog.queueId)
    let from = queue.to ?? inLog.minOffset
    while (from < end) {
      const window = new TailWindow(from, this.memory, pace, check)
      await window.gather(this.parts.reader, queue, end, this.runtime.clock.now())
      await this.write(queue, queue.nextName(from, window.to), pace, check, (writer) => window.write(writer))
      from = window.to
      await this.merge(queue, pace, check)
    }
    await this.merge(queue, pace, check)
  }

  private async merge(queue: CompactedQueue, pace: Pace, check: () => void): Promise<void> {
    const { clock, log } = this.runtime
    const { mapBytes, tombstoneRetentionMs } = this.rules
    for (;;) {
      check()
      const plan = planMerge(queue.files, clock.now(), tombstoneRetentionMs)
      if (plan === undefined) return
      const files = queue.files.slice(plan.from, plan.to)
      if (!this.hasRoom(files)) return
      const first = files[0] as CompactedFile
      const last = files.at(-1) as CompactedFile
      const dropTombstonesUpTo = plan.from === 0 ? clock.now() - tombstoneRetentionMs : undefined
      await this.write(queue, queue.nextName(first.from, last.to), pace, check, (writer) =>
        mergeFiles(files, writer, { pace, log, mapBytes, memory: this.memory, dropTombstonesUpTo, check }),
      )
    }
  }

  private hasRoom(files: readonly CompactedFile[]): boolean {
    const { totalBytes, freeBytes } = this.parts.log.space(this.runtime.disk)
    const needed = files.reduce((sum, file) => sum + file.sizeBytes, 0)
    return freeBytes - needed > Math.min(LIMITS.diskReserveBytes, totalBytes / 20)
  }

  /** Writes a file, and when it is durable lets it take the place of what it covers. */
  private async write(
    queue: CompactedQueue,
    name: FileName,
    pace: Pace,
    check: () => void,
    fill: (writer: CompactedWriter) => Promise<void>,
  ): Promise<void> {
    const { disk, clock } = this.runtime
    const path = queue.pathOf(name)
    const writer = new CompactedWriter(disk, path, name, clock.now(), this.memory, pace)
    try {
      await fill(writer)
      await writer.finish()
      await disk.settleDirectory(queue.directory)
      if (queue.files.length === 0) await disk.settleDirectory(dirname(queue.directory))
      check()
    } catch (error) {
      writer.abandon()
      if (!this.isStopping) disk.remove(path)
      throw error
    }
    for (const old of queue.adopt(name)) old.close(() => this.replaced.add(old.path))
  }

  async stop(): Promise<void> {
    this.isStopping = true
    for (const timer of this.timers) timer.cancel()
    this.replaced.stop()
    await this.running
    for (const topic of this.topics.values()) for (const queue of topic.queues.values()) queue.close()
  }
}
