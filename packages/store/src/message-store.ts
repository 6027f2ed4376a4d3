import { join } from 'node:path'
import type { Kernel } from '@skylarkmq/remoting/protocol'
import type { Runtime, Timer } from '@skylarkmq/runtime'
import type { Capacity } from './admission.ts'
import { COMPACTION_DEFAULTS, Compaction } from './compaction/compaction.ts'
import { reasonAgainst, reasonAgainstBatch, reasonAgainstTopic } from './admission.ts'
import { javaHashOfText } from './bytes.ts'
import type { CommitLog } from './commit-log/commit-log.ts'
import { GroupCommit } from './commit-log/group-commit.ts'
import { encodeRecord, entersQueue, recordBytes } from './commit-log/record.ts'
import { QueueMender } from './consume-queue/mender.ts'
import type { Topic } from './consume-queue/topic.ts'
import { bodyCrc } from './crc32.ts'
import { describeError } from './describe-error.ts'
import type { DirectoryLock } from './directory-lock.ts'
import { Dispatcher } from './dispatch/dispatcher.ts'
import { RunDeriver } from './dispatch/run-deriver.ts'
import type { LastFailure } from './last-failure.ts'
import { LIMITS } from './limits.ts'
import { PutTimesMeter } from './put-times.ts'
import { RecordHosts } from './record-hosts.ts'
import { ScannedBatches } from './scanned-batches.ts'
import { SendRuns } from './send-runs.ts'
import { StoreReader } from './store-reader.ts'
import { StoreTimes } from './store-times.ts'
import { takeBackOffsets } from './take-back-offsets.ts'
import type {
  AppendResult,
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
import { Turn } from './turn.ts'
import { Upkeep } from './upkeep.ts'
import type { Views } from './views.ts'

/** The parts of an opened store, in the order in which they were made. */
export interface StoreParts {
  readonly lock: DirectoryLock
  readonly log: CommitLog
  readonly views: Views
  readonly recovery: RecoveryReport
  readonly lastFailure: LastFailure
  readonly kernel: Kernel
}

/**
 * The façade. An append is encoded into the log's ring at once; at the turn's end one write puts the turn's records into the file, the
 * views learn of them, and only then are the senders told.
 */
export class LogMessageStore implements MessageStore {
  readonly recovery: RecoveryReport
  readonly kernel: Kernel
  private readonly sendRuns: SendRuns
  private readonly scannedBatches: ScannedBatches
  private readonly runtime: Runtime
  private readonly options: StoreOptions
  private readonly lock: DirectoryLock
  private readonly lastFailure: LastFailure
  private readonly log: CommitLog
  private readonly views: Views
  private readonly dispatcher: Dispatcher
  private readonly reader: StoreReader
  private readonly times: StoreTimes
  private readonly groupCommit: GroupCommit
  private readonly putMeter: PutTimesMeter
  private readonly upkeep: Upkeep
  private readonly compaction: Compaction
  private readonly listeners: ArrivalListener[] = []
  private readonly flushTimer: Timer
  private readonly capacity: Capacity
  private readonly assigned = { sizeBytes: 0, bodyCrc: 0, queueOffset: 0, physicalOffset: 0, storeTimestamp: 0 }
  private turn = new Turn()
  private spareTurn: Turn | undefined
  private turnScheduled = false
  private readyScheduled = false
  private turnTimestamp = 0
  /** The same moment by the clock that never goes back. */
  private turnBeganMs = 0
  private failure: string | undefined
  private closing: Promise<void> | undefined

  constructor(runtime: Runtime, options: StoreOptions, parts: StoreParts) {
    this.runtime = runtime
    this.options = options
    this.lock = parts.lock
    this.lastFailure = parts.lastFailure
    this.log = parts.log
    this.views = parts.views
    this.recovery = parts.recovery
    this.kernel = parts.kernel
    const hosts = new RecordHosts(parts.kernel)
    this.sendRuns = new SendRuns(parts.kernel, hosts, parts.log, parts.views.queues)
    this.scannedBatches = new ScannedBatches(parts.kernel, hosts)
    this.capacity = { maxMessageBytes: options.maxMessageBytes, maxAppendBytes: this.log.maxAppendBytes }
    const { derivation } = parts.kernel
    const runs = derivation && new RunDeriver(parts.kernel, derivation, this.views)
    this.dispatcher = new Dispatcher(this.log, this.views.parser, this.views.liveTargets, this.log.endOffset, runs)
    const mender = new QueueMender(this.log.segments, options.delayLevelsMs)
    this.reader = new StoreReader(this.log, this.views.queues, this.views.deletions, mender, runtime.log, parts.kernel)
    this.times = new StoreTimes(this.log, this.views.clockSteps)
    this.putMeter = new PutTimesMeter(runtime.clock.monotonic())
    this.groupCommit = new GroupCommit(runtime.clock, this.log, this.putMeter, {
      flushed: () => this.onFlushed(),
      failure: (error) => this.fail('fdatasync of the commit log failed', error),
      settle: (onStored, result) => this.settle(onStored, result),
    })
    this.flushTimer = runtime.clock.every(LIMITS.flushIntervalMs, () => this.groupCommit.request())
    this.upkeep = new Upkeep(runtime, options, {
      log: this.log,
      views: this.views,
      dispatcher: this.dispatcher,
      groupCommit: this.groupCommit,
      times: this.times,
    })
    this.compaction = new Compaction(runtime, options.rootDirectory, options.compaction ?? COMPACTION_DEFAULTS, {
      ...{ log: this.log, queues: this.views.queues, reader: this.reader, times: this.times },
      seenTo: () => this.dispatcher.offset,
      flush: () => this.upkeep.flush(),
    })
    this.upkeep.retainers.push(() => this.compaction.position)
    this.upkeep.lastTimestamp = this.views.clockSteps.newestTime
    this.upkeep.start()
  }

  append(message: MessageToStore, waitForFlush: boolean, onStored: OnStored): void {
    if (this.refusal !== undefined) return this.refuse('not-available', this.refusal, onStored)
    const known = this.views.queues.topics.get(message.topic)
    const illegal = (known === undefined ? reasonAgainstTopic(message.topic) : undefined) ?? reasonAgainst(message, this.capacity)
    if (illegal !== undefined) return this.refuse('message-illegal', illegal, onStored)
    try {
      const topic = known ?? this.views.queues.topics.obtain(message.topic, this.log.endOffset)
      const size = recordBytes(message, topic.bytes)
      const at = this.log.reserve(size)
      this.put(message, topic, size, at)
    } catch (error) {
      return this.refuseAfter(error, onStored)
    }
    const { physicalOffset, queueOffset, storeTimestamp } = this.assigned
    this.await({ status: 'ok', physicalOffset, queueOffset, storeTimestamp }, 1, waitForFlush, onStored)
  }

  appendSends(run: SendRun, waitForFlush: boolean, onStored: OnStored): number {
    const topic = this.refusal === undefined ? this.views.queues.topics.get(run.topic) : undefined
    if (topic === undefined) return -1
    const storeTimestamp = this.turnTimestamp === 0 ? this.beginTurn() : this.turnTimestamp
    let count = 0
    try {
      count = this.sendRuns.take(run, topic, storeTimestamp)
    } catch (error) {
      // There was no room yet, so nothing of it was taken.
      this.onWriteError(error)
      count = -1
    }
    // Nothing may come after it in this turn that would end it.
    if (count <= 0 && this.turn.count === 0) this.turnTimestamp = 0
    if (count > 0) this.await({ status: 'ok', physicalOffset: -1, queueOffset: -1, storeTimestamp }, count, waitForFlush, onStored)
    return count
  }

  appendBatch(messages: readonly MessageToStore[], waitForFlush: boolean, onStored: OnStored): void {
    if (this.refusal !== undefined) return this.refuse('not-available', this.refusal, onStored)
    const illegal = reasonAgainstBatch(messages, this.capacity) ?? reasonAgainstTopic((messages[0] as MessageToStore).topic)
    if (illegal !== undefined) return this.refuse('message-illegal', illegal, onStored)
    const first = messages[0] as MessageToStore
    const physicalOffsets: number[] = []
    let queueOffset = -1
    try {
      const topic = this.views.queues.topics.obtain(first.topic, this.log.endOffset)
      let total = 0
      for (const message of messages) total += recordBytes(message, topic.bytes)
      let at = this.log.reserve(total)
      for (const message of messages) {
        const size = recordBytes(message, topic.bytes)
        this.put(message, topic, size, at)
        at += size
        physicalOffsets.push(this.assigned.physicalOffset)
        if (queueOffset < 0) queueOffset = this.assigned.queueOffset
      }
    } catch (error) {
      return this.refuseAfter(error, onStored)
    }
    const storeTimestamp = this.assigned.storeTimestamp
    const physicalOffset = physicalOffsets[0] as number
    this.await({ status: 'ok', physicalOffset, queueOffset, storeTimestamp, physicalOffsets }, messages.length, waitForFlush, onStored)
  }

  appendScannedBatch(batch: ScannedBatch, waitForFlush: boolean, onStored: OnStored): boolean {
    const topic = this.refusal === undefined ? this.views.queues.topics.get(batch.topic) : undefined
    const size = topic === undefined ? -1 : this.scannedBatches.measure(batch, this.capacity)
    if (topic === undefined || size < 0) return false
    try {
      const at = this.log.reserve(size)
      const physicalOffset = this.log.endOffset
      const storeTimestamp = this.turnTimestamp === 0 ? this.beginTurn() : this.turnTimestamp
      const queue = this.views.queues.obtain(topic, this.scannedBatches.queueId)
      const queueOffset = queue.nextOffset
      const physicalOffsets = this.scannedBatches.encode(batch, at, { queueOffset, physicalOffset, storeTimestamp })
      queue.nextOffset += physicalOffsets.length
      this.log.advance(size)
      const result = { status: 'ok', physicalOffset, queueOffset, storeTimestamp, physicalOffsets } as const
      this.await(result, physicalOffsets.length, waitForFlush, onStored)
    } catch (error) {
      this.refuseAfter(error, onStored)
    }
    return true
  }

  private put(message: MessageToStore, topic: Topic, sizeBytes: number, at: number): void {
    const assigned = this.assigned
    assigned.sizeBytes = sizeBytes
    assigned.bodyCrc = bodyCrc(message.body)
    assigned.physicalOffset = this.log.endOffset
    assigned.storeTimestamp = this.turnTimestamp === 0 ? this.beginTurn() : this.turnTimestamp
    if (entersQueue(message.sysFlag)) {
      const queue = topic.queue(message.queueId) ?? this.views.queues.obtain(topic, message.queueId)
      assigned.queueOffset = queue.nextOffset++
    } else assigned.queueOffset = 0
    encodeRecord(this.log.ring.bytes, this.log.ring.view, at, message, topic.bytes, assigned)
    this.log.advance(sizeBytes)
  }

  private beginTurn(): number {
    const now = this.runtime.clock.now()
    const newest = this.upkeep.lastTimestamp
    this.turnTimestamp = now < newest && now >= newest - LIMITS.clockStandsMs ? newest : now
    this.turnBeganMs = this.runtime.clock.monotonic()
    this.upkeep.lastTimestamp = this.turnTimestamp
    return this.turnTimestamp
  }

  private await(result: AppendResult, messages: number, waitForFlush: boolean, onStored: OnStored): void {
    this.turn.add(result, onStored, this.log.endOffset, waitForFlush, messages)
    this.schedule()
    if (this.log.endOffset - this.log.writtenOffset > LIMITS.earlyWriteBytes) this.tryWrite()
  }

  private refuse(status: 'message-illegal' | 'not-available', reason: string, onStored: OnStored): void {
    this.turn.add({ status, physicalOffset: -1, queueOffset: -1, storeTimestamp: 0, reason }, onStored, 0, false, 1)
    this.schedule()
  }

  private refuseAfter(error: unknown, onStored: OnStored): void {
    this.onWriteError(error)
    this.refuse('not-available', this.refusal ?? describeError(error), onStored)
  }

  private schedule(): void {
    if (this.turnScheduled) return
    this.turnScheduled = true
    this.runtime.clock.afterTurn(() => {
      this.turnScheduled = false
      this.commitTurn()
    })
  }

  commitTurn(): void {
    if (this.turn.count > 0) this.tryWrite()
    this.beginCommit()
    this.finishCommit()
  }

  beginCommit(): void {
    this.turnTimestamp = 0
    if (this.turn.count === 0) return
    this.tryWriteLog()
    const turn = this.turn
    // Who is told of a message may end the next turn within this one.
    this.turn = this.spareTurn ?? new Turn()
    this.spareTurn = undefined
    const { callbacks, results, ends, waits, counts } = turn
    const beganMs = this.turnBeganMs
    this.putMeter.recordTurn(turn, this.failure !== undefined, this.turnBeganMs, this.runtime.clock)
    for (let i = 0; i < turn.count; i++) {
      const onStored = callbacks[i] as OnStored
      const result = results[i] as AppendResult
      if (result.status !== 'ok') this.settle(onStored, result)
      else if (this.failure !== undefined) this.settle(onStored, this.notAvailable())
      else if (waits[i] === true) this.groupCommit.wait(ends[i] as number, beganMs, counts[i] as number, result, onStored)
      else this.settle(onStored, result)
    }
    if (this.options.flush === 'sync' || turn.anyWaits) this.groupCommit.request()
    turn.clear()
    this.spareTurn = turn
  }

  finishCommit(): void {
    if (this.dispatcher.offset < this.log.writtenOffset) this.advanceViews()
    this.views.queues.announce(this.listeners, this.onListenerError)
    if (!this.readyScheduled && this.log.wantsReady) this.scheduleReady()
  }

  /** In the next turn, when the answers of this one have left. */
  private scheduleReady(): void {
    this.readyScheduled = true
    this.runtime.clock.afterTurn(() => {
      this.readyScheduled = false
      if (this.refusal === undefined) this.log.makeReady()
    })
  }

  putTimes(): PutTimes {
    return this.putMeter.report(this.runtime.clock.monotonic())
  }

  /** One write for all that waits; then the views. */
  private tryWrite(): void {
    if (this.tryWriteLog()) this.advanceViews()
  }

  private tryWriteLog(): boolean {
    if (this.failure !== undefined) return false
    try {
      this.log.write()
    } catch (error) {
      this.onWriteError(error)
      return false
    }
    if (this.log.writtenOffset - this.log.flushedOffset > LIMITS.flushBytes) this.groupCommit.request()
    return true
  }

  private advanceViews(): void {
    if (this.failure !== undefined) return
    try {
      // Consumers see what is written, in sync mode only what is on disk (RocketMQ DefaultMessageStore#getConfirmOffset).
      this.dispatcher.advance(this.options.flush === 'sync' ? this.log.flushedOffset : this.log.writtenOffset)
      this.views.journal.flush()
    } catch (error) {
      this.fail('writing the consume queues failed', error)
    }
  }

  /**
   * A full disk is no damage: what could not be written is forgotten, its senders are told, and writing goes on when there is room.
   * Everything else is final.
   */
  private onWriteError(error: unknown): void {
    if ((error as { code?: unknown }).code !== 'ENOSPC') return this.fail('writing the commit log failed', error)
    this.upkeep.disk.refuse(`The disk is full: ${describeError(error)}. Writes are accepted again when there is room.`)
    const { results, ends, count } = this.turn
    for (let i = 0; i < count; i++) if ((ends[i] as number) > this.log.writtenOffset) results[i] = this.notAvailable()
    takeBackOffsets(this.log, this.views.queues)
    this.log.dropUnwritten()
  }

  private settle(onStored: OnStored, result: AppendResult): void {
    try {
      onStored(result)
    } catch (error) {
      this.runtime.log.error('the callback of an append threw', { error: String(error) })
    }
  }

  private readonly onListenerError = (error: unknown): void => {
    this.runtime.log.error('a listener for arrivals threw', { error: String(error) })
  }

  private notAvailable(): AppendResult {
    return { status: 'not-available', physicalOffset: -1, queueOffset: -1, storeTimestamp: 0, reason: this.refusal ?? 'the write failed' }
  }

  /** From here on nothing is acknowledged. What was, stays. */
  private fail(what: string, error: unknown): void {
    if (this.failure !== undefined) return
    this.failure = `${what}: ${describeError(error)}. Nothing is acknowledged until the broker is restarted.`
    this.runtime.log.error('the store stops acknowledging for good', { reason: this.failure })
    this.lastFailure.note(this.failure)
    this.groupCommit.stop(this.notAvailable())
    this.upkeep.suspend()
  }

  /** Whoever waited has been told. Their answers leave at the turn's end; then consumers see what is on the disk. */
  private onFlushed(): void {
    if (this.options.flush !== 'sync') return
    this.groupCommit.request()
    this.runtime.clock.afterTurn(() => this.finishCommit())
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

  onArrival(listener: ArrivalListener): void {
    this.listeners.push(listener)
  }

  keepTopicsFor(hoursOf: (topic: string) => number | undefined): void {
    this.upkeep.topicHours = hoursOf
    this.upkeep.expireTopics(hoursOf)
  }

  retainFrom(position: () => number): void {
    this.upkeep.retainers.push(position)
  }

  get refusal(): string | undefined {
    if (this.failure !== undefined) return this.failure
    if (this.closing !== undefined) return 'The store is closing.'
    return this.upkeep.disk.full
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
    this.commitTurn()
    this.closing = this.shutDown()
    return this.closing
  }

  private async shutDown(): Promise<void> {
    this.flushTimer.cancel()
    await this.compaction.stop()
    await this.groupCommit.drain()
    this.finishCommit()
    await this.upkeep.stop(this.failure === undefined)
    this.groupCommit.stop(this.notAvailable())
    this.views.close()
    await this.log.segments.close()
    if (this.failure === undefined) this.runtime.disk.remove(join(this.options.rootDirectory, 'abort'))
    this.lock.release()
  }
}
