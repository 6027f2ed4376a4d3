import { join } from 'node:path'
import type { Kernel } from '@skylarkmq/remoting/protocol'
import type { Runtime } from '@skylarkmq/runtime'
import { javaHashOfText } from './bytes.ts'
import type { CommitLog } from './commit-log/commit-log.ts'
import { COMPACTION_DEFAULTS, Compaction } from './compaction/compaction.ts'
import { QueueMender } from './consume-queue/mender.ts'
import type { DirectoryLock } from './directory-lock.ts'
import { DISK_DEFAULTS, DiskGuard } from './disk-guard.ts'
import { Dispatcher } from './dispatch/dispatcher.ts'
import { RunDeriver } from './dispatch/run-deriver.ts'
import type { LastFailure } from './last-failure.ts'
import { StoreReader } from './store-reader.ts'
import { StoreTimes } from './store-times.ts'
import type {
  ArrivalListener,
  MessageStore,
  MessageToStore,
  OnStored,
  PutTimes,
  ReadRequest,
  ReadResult,
  RecoveryReport,
  ScannedBatch,
  SendRun,
  StoreOptions,
} from './types.ts'
import { Upkeep } from './upkeep.ts'
import type { Views } from './views.ts'
import { Appends } from './write/appends.ts'
import { Turns } from './write/turns.ts'

/** The parts of an opened store, in the order in which they were made. */
export interface StoreParts {
  readonly lock: DirectoryLock
  readonly log: CommitLog
  readonly views: Views
  readonly recovery: RecoveryReport
  readonly lastFailure: LastFailure
  readonly kernel: Kernel
}

/** The façade: what is written goes to `write/`, what is read comes from the views and the log. */
export class LogMessageStore implements MessageStore {
  readonly recovery: RecoveryReport
  readonly kernel: Kernel
  private readonly runtime: Runtime
  private readonly options: StoreOptions
  private readonly lock: DirectoryLock
  private readonly log: CommitLog
  private readonly views: Views
  private readonly turns: Turns
  private readonly appends: Appends
  private readonly reader: StoreReader
  private readonly times: StoreTimes
  private readonly upkeep: Upkeep
  private readonly compaction: Compaction
  private closing: Promise<void> | undefined

  constructor(runtime: Runtime, options: StoreOptions, parts: StoreParts) {
    const { kernel, log, views, lastFailure } = parts
    this.runtime = runtime
    this.options = options
    this.lock = parts.lock
    this.log = log
    this.views = views
    this.recovery = parts.recovery
    this.kernel = kernel
    const runs = kernel.derivation && new RunDeriver(kernel, kernel.derivation, views)
    const dispatcher = new Dispatcher(log, views.parser, views.liveTargets, log.endOffset, runs)
    const disk = new DiskGuard(runtime.log, log.segments.directory, options.disk ?? DISK_DEFAULTS)
    this.turns = new Turns(runtime, options, { log, views, dispatcher, disk, lastFailure })
    this.appends = new Appends(kernel, log, views.queues, this.turns, options.maxMessageBytes)
    const mender = new QueueMender(log.segments, options.delayLevelsMs)
    this.reader = new StoreReader(log, views.queues, views.deletions, mender, runtime.log, kernel)
    this.times = new StoreTimes(log, views.clockSteps)
    this.upkeep = new Upkeep(runtime, options, { log, views, dispatcher, disk, turns: this.turns, times: this.times })
    this.compaction = new Compaction(runtime, options.rootDirectory, options.compaction ?? COMPACTION_DEFAULTS, {
      ...{ log, queues: views.queues, reader: this.reader, times: this.times },
      seenTo: () => dispatcher.offset,
      flush: () => this.upkeep.flush(),
    })
    this.upkeep.retainers.push(() => this.compaction.position)
    this.upkeep.start()
  }

  append(message: MessageToStore, waitForFlush: boolean, onStored: OnStored): void {
    this.appends.message(message, waitForFlush, onStored)
  }

  appendSends(run: SendRun, waitForFlush: boolean, onStored: OnStored): number {
    return this.appends.sends(run, waitForFlush, onStored)
  }

  appendBatch(messages: readonly MessageToStore[], waitForFlush: boolean, onStored: OnStored): void {
    this.appends.batch(messages, waitForFlush, onStored)
  }

  appendScannedBatch(batch: ScannedBatch, waitForFlush: boolean, onStored: OnStored): boolean {
    return this.appends.scannedBatch(batch, waitForFlush, onStored)
  }

  commitTurn(): void {
    this.turns.commit()
  }

  beginCommit(): void {
    this.turns.beginCommit()
  }

  finishCommit(): void {
    this.turns.finishCommit()
  }

  putTimes(): PutTimes {
    return this.turns.putTimes()
  }

  onArrival(listener: ArrivalListener): void {
    this.turns.onArrival(listener)
  }

  read(request: ReadRequest): ReadResult | Promise<ReadResult> {
    return this.compaction.read(request) ?? this.reader.read(request)
  }

  readRecordAt(physicalOffset: number): Uint8Array | undefined {
    return this.reader.readRecordAt(physicalOffset)
  }

  maxOffset(topic: string, queueId: number): number {
    return this.views.queues.find(topic, queueId)?.maxOffset ?? 0
  }

  minOffset(topic: string, queueId: number): number {
    return this.compaction.minOffset(topic, queueId) ?? this.views.queues.find(topic, queueId)?.minOffset ?? 0
  }

  storeTimestamp(topic: string, queueId: number, queueOffset: number): number {
    const queue = this.views.queues.find(topic, queueId)
    if (queue === undefined) return -1
    return this.compaction.storeTimestamp(topic, queueId, queueOffset) ?? this.times.of(queue, queueOffset)
  }

  offsetByTime(topic: string, queueId: number, timestamp: number, boundary: 'lower' | 'upper'): number {
    const queue = this.views.queues.find(topic, queueId)
    if (queue === undefined) return 0
    return this.compaction.offsetByTime(topic, queueId, timestamp, boundary, this.times.offsetByTime(queue, timestamp, boundary))
  }

  earliestStoreTime(topic: string, queueId: number): number {
    const time = this.storeTimestamp(topic, queueId, this.minOffset(topic, queueId))
    const queue = time < 0 ? this.views.queues.find(topic, queueId) : undefined
    return queue === undefined ? time : this.times.earliest(queue)
  }

  queryByKey(topic: string, key: string, options: { max: number; beginMs: number; endMs: number }): number[] {
    const known = this.views.queues.topics.get(topic)
    if (known === undefined || options.max <= 0) return []
    const accept = (physicalOffset: number) => physicalOffset >= this.minPhysicalOffset && physicalOffset >= known.createdAt
    return this.views.index.query(javaHashOfText(key, known.keyHashSeed), options.max, options.beginMs, options.endMs, accept)
  }

  queues(): ReadonlyMap<string, readonly number[]> {
    return this.views.queues.idsByTopic()
  }

  compactTopic(topic: string): void {
    this.compaction.add(topic)
  }

  get compactedTopics(): ReadonlySet<string> {
    return this.compaction.names
  }

  deleteTopic(name: string): void {
    this.compaction.remove(name)
    const topic = this.views.queues.topics.get(name)
    if (topic === undefined) return
    this.views.queueEnds.forget(name)
    this.views.deletions.add(name, this.log.endOffset, this.minPhysicalOffset)
    this.views.queues.delete(topic)
  }

  keepTopicsFor(hoursOf: (topic: string) => number | undefined): void {
    this.upkeep.topicHours = hoursOf
    this.upkeep.expireTopics(hoursOf)
  }

  retainFrom(position: () => number): void {
    this.upkeep.retainers.push(position)
  }

  get refusal(): string | undefined {
    return this.turns.refusal
  }

  get minPhysicalOffset(): number {
    return this.log.segments.minOffset
  }

  get maxPhysicalOffset(): number {
    return this.log.writtenOffset
  }

  get flushedOffset(): number {
    return this.log.flushedOffset
  }

  close(): Promise<void> {
    if (this.closing !== undefined) return this.closing
    this.turns.commit()
    this.closing = this.shutDown()
    return this.closing
  }

  private async shutDown(): Promise<void> {
    this.turns.close()
    await this.compaction.stop()
    await this.turns.drain()
    await this.upkeep.stop(this.turns.failure === undefined)
    this.turns.stop()
    this.views.close()
    await this.log.segments.close()
    if (this.turns.failure === undefined) this.runtime.disk.remove(join(this.options.rootDirectory, 'abort'))
    this.lock.release()
  }
}
