import type { Runtime, Timer } from '@skylarkmq/runtime'
import type { CommitLog } from '../commit-log/commit-log.ts'
import { describeError } from '../describe-error.ts'
import type { DiskGuard } from '../disk-guard.ts'
import type { Dispatcher } from '../dispatch/dispatcher.ts'
import type { LastFailure } from '../last-failure.ts'
import { LIMITS } from '../limits.ts'
import type { AppendResult, ArrivalListener, OnStored, PutTimes, StoreOptions } from '../types.ts'
import type { Views } from '../views.ts'
import { GroupCommit } from './group-commit.ts'
import { PutTimesMeter } from './put-times.ts'
import { takeBackOffsets } from './take-back-offsets.ts'
import { Turn } from './turn.ts'

export interface TurnsParts {
  readonly log: CommitLog
  readonly views: Views
  readonly dispatcher: Dispatcher
  readonly disk: DiskGuard
  readonly lastFailure: LastFailure
}

/**
 * What becomes of records in the log's ring: at the end of a turn of the event loop one write puts all of them into the file, the views
 * learn of them, and only then are the senders told.
 */
export class Turns {
  readonly groupCommit: GroupCommit
  /** Store time of the newest message. */
  newestTimestamp: number
  /** Why nothing is acknowledged any more. For good. */
  failure: string | undefined
  isClosing = false
  private readonly runtime: Runtime
  private readonly options: StoreOptions
  private readonly log: CommitLog
  private readonly views: Views
  private readonly dispatcher: Dispatcher
  private readonly disk: DiskGuard
  private readonly lastFailure: LastFailure
  private readonly putMeter: PutTimesMeter
  private readonly flushTimer: Timer
  private readonly listeners: ArrivalListener[] = []
  private turn = new Turn()
  private spare: Turn | undefined
  private isScheduled = false
  private isReadyScheduled = false
  /** Store time of this turn's messages; 0 before the first of them. */
  private timestampMs = 0
  /** The same moment by the clock that never goes back. */
  private beganMs = 0
  /** Position of the log at which the room on its disk is looked at again. */
  private nextLookAt = 0

  constructor(runtime: Runtime, options: StoreOptions, { log, views, dispatcher, disk, lastFailure }: TurnsParts) {
    this.runtime = runtime
    this.options = options
    this.log = log
    this.views = views
    this.dispatcher = dispatcher
    this.disk = disk
    this.lastFailure = lastFailure
    this.newestTimestamp = views.clockSteps.newestTime
    this.putMeter = new PutTimesMeter(runtime.clock.monotonic())
    this.groupCommit = new GroupCommit(runtime.clock, log, this.putMeter, {
      flushed: () => this.onFlushed(),
      failure: (error) => this.fail('fdatasync of the commit log failed', error),
      settle: (onStored, result) => this.settle(onStored, result),
    })
    this.flushTimer = runtime.clock.every(LIMITS.flushIntervalMs, () => this.groupCommit.request())
  }

  /** Why nothing can be appended now. */
  get refusal(): string | undefined {
    if (this.failure !== undefined) return this.failure
    if (this.isClosing) return 'The store is closing.'
    return this.disk.full
  }

  /** Store time of what is appended now: one for all of a turn. */
  get timestamp(): number {
    return this.timestampMs === 0 ? this.begin() : this.timestampMs
  }

  private begin(): number {
    const now = this.runtime.clock.now()
    const newest = this.newestTimestamp
    this.timestampMs = now < newest && now >= newest - LIMITS.clockStandsMs ? newest : now
    this.beganMs = this.runtime.clock.monotonic()
    this.newestTimestamp = this.timestampMs
    return this.timestampMs
  }

  /** The log's ring has `messages` more, up to its end: their sender is told of `result` when they are stored. */
  add(result: AppendResult, messages: number, waitForFlush: boolean, onStored: OnStored): void {
    this.turn.add(result, onStored, this.log.endOffset, waitForFlush, messages)
    this.schedule()
    if (this.log.endOffset - this.log.writtenOffset > LIMITS.earlyWriteBytes) this.tryWrite()
  }

  /** Nothing came of what asked for the timestamp. Nothing may come after it in this turn that would end it. */
  addNothing(): void {
    if (this.turn.count === 0) this.timestampMs = 0
  }

  refuse(status: 'message-illegal' | 'not-available', reason: string, onStored: OnStored): void {
    this.turn.add({ status, physicalOffset: -1, queueOffset: -1, storeTimestamp: 0, reason }, onStored, 0, false, 1)
    this.schedule()
  }

  refuseAfter(error: unknown, onStored: OnStored): void {
    this.onWriteError(error)
    this.refuse('not-available', this.refusal ?? describeError(error), onStored)
  }

  private schedule(): void {
    if (this.isScheduled) return
    this.isScheduled = true
    this.runtime.clock.afterTurn(() => {
      this.isScheduled = false
      this.commit()
    })
  }

  commit(): void {
    if (this.turn.count > 0) this.tryWrite()
    this.beginCommit()
    this.finishCommit()
  }

  beginCommit(): void {
    this.timestampMs = 0
    if (this.turn.count === 0) return
    this.tryWriteLog()
    const turn = this.turn
    // Who is told of a message may end the next turn within this one.
    this.turn = this.spare ?? new Turn()
    this.spare = undefined
    const { callbacks, results, ends, waits, counts } = turn
    const beganMs = this.beganMs
    this.putMeter.recordTurn(turn, this.failure !== undefined, beganMs, this.runtime.clock)
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
    this.spare = turn
  }

  finishCommit(): void {
    if (this.dispatcher.offset < this.log.writtenOffset) this.advanceViews()
    this.views.queues.announce(this.listeners, this.onListenerError)
    if (!this.isReadyScheduled && this.log.wantsReady) this.scheduleReady()
  }

  /** In the next turn, when the answers of this one have left. */
  private scheduleReady(): void {
    this.isReadyScheduled = true
    this.runtime.clock.afterTurn(() => {
      this.isReadyScheduled = false
      if (this.refusal === undefined) this.log.makeReady()
    })
  }

  onArrival(listener: ArrivalListener): void {
    this.listeners.push(listener)
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
      if (this.log.writtenOffset >= this.nextLookAt) this.lookAtSpace()
    } catch (error) {
      this.onWriteError(error)
      return false
    }
    if (this.log.writtenOffset - this.log.flushedOffset > LIMITS.flushBytes) this.groupCommit.request()
    return true
  }

  private lookAtSpace(): void {
    // Who refuses writes begins again at its own time.
    if (this.disk.full !== undefined) return
    this.nextLookAt = this.log.writtenOffset + this.disk.check(this.log.space(this.runtime.disk))
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
  onWriteError(error: unknown): void {
    if ((error as { code?: unknown }).code !== 'ENOSPC') return this.fail('writing the commit log failed', error)
    this.disk.refuse(`The disk is full: ${describeError(error)}. Writes are accepted again when there is room.`)
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
  }

  /** Whoever waited has been told. Their answers leave at the turn's end; then consumers see what is on the disk. */
  private onFlushed(): void {
    if (this.options.flush !== 'sync') return
    this.groupCommit.request()
    this.runtime.clock.afterTurn(() => this.finishCommit())
  }

  /** Nothing is appended any more: what was, goes to the disk. */
  async drain(): Promise<void> {
    await this.groupCommit.drain()
    this.finishCommit()
  }

  /** Before anything else ends: no flush begins by itself any more. */
  close(): void {
    this.isClosing = true
    this.flushTimer.cancel()
  }

  /** Who still waits is told that the store has ended. */
  stop(): void {
    this.groupCommit.stop(this.notAvailable())
  }
}
