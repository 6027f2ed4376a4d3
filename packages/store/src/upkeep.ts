import { join } from 'node:path'
import type { DiskFile, Runtime, Timer } from '@skylarkmq/runtime'
import { writeApacheCheckpoint } from './commit-log/apache-checkpoint.ts'
import type { CommitLog } from './commit-log/commit-log.ts'
import { Retention } from './commit-log/retention.ts'
import type { ConsumeQueue } from './consume-queue/consume-queue.ts'
import { describeError } from './describe-error.ts'
import type { Dispatcher } from './dispatch/dispatcher.ts'
import type { DiskGuard } from './disk-guard.ts'
import { LIMITS } from './limits.ts'
import type { StoreTimes } from './store-times.ts'
import type { StoreOptions } from './types.ts'
import type { Views } from './views.ts'
import type { Turns } from './write/turns.ts'

const HOUR_MS = 3_600_000

export interface UpkeepParts {
  readonly log: CommitLog
  readonly views: Views
  readonly dispatcher: Dispatcher
  readonly disk: DiskGuard
  readonly turns: Turns
  readonly times: StoreTimes
}

/** What a store does beside serving: checkpoints every second (with thousands of busy queues less often), a look at the room on the disk and at what has expired every ten. */
export class Upkeep {
  /** Hours that a topic's messages are kept, when fewer than all others'. */
  topicHours: ((topic: string) => number | undefined) | undefined
  /** Positions from which on somebody still needs the log, whatever its age. */
  readonly retainers: (() => number)[] = []
  private readonly runtime: Runtime
  private readonly log: CommitLog
  private readonly views: Views
  private readonly dispatcher: Dispatcher
  private readonly disk: DiskGuard
  private readonly turns: Turns
  private readonly retention: Retention
  private readonly checkpointFile: DiskFile
  private readonly timers: Timer[] = []
  private checkpointing: Promise<void> | undefined
  private expiring: Promise<void> | undefined
  private checkpointEnd = -1
  /** Seconds without a checkpoint that the last one has earned. */
  private restSeconds = 0
  /** The last checkpoint found the disk full. */
  private hadNoRoom = false
  private readonly offsetByTime: (queue: ConsumeQueue, timestamp: number) => number

  constructor(runtime: Runtime, options: StoreOptions, { log, views, dispatcher, disk, turns, times }: UpkeepParts) {
    this.offsetByTime = (queue, timestamp) => times.offsetByTime(queue, timestamp, 'lower')
    this.runtime = runtime
    this.log = log
    this.views = views
    this.dispatcher = dispatcher
    this.disk = disk
    this.turns = turns
    this.retention = new Retention(runtime, log.segments, options)
    this.checkpointFile = runtime.disk.open(join(options.rootDirectory, 'checkpoint'), { create: true })
  }

  start(): void {
    const { clock } = this.runtime
    this.timers.push(
      clock.every(LIMITS.checkpointIntervalMs, () => {
        this.checkpointing = this.isSuspended || this.restSeconds-- > 0 ? undefined : this.checkpoint()
        return this.checkpointing
      }),
      clock.every(LIMITS.retentionIntervalMs, () => {
        this.checkSpace()
        this.expiring = this.isSuspended ? undefined : this.expire()
        return this.expiring
      }),
    )
    this.checkSpace()
  }

  /** Makes what the views show now durable; the log position up to which that is, undefined when it cannot be. */
  async flush(): Promise<number | undefined> {
    const end = this.dispatcher.offset
    await this.turns.groupCommit.reach(end)
    return this.log.flushedOffset >= end ? end : undefined
  }

  /** The store has failed: its files are left as they are. */
  private get isSuspended(): boolean {
    return this.turns.failure !== undefined
  }

  /** Ends what runs; with `withCheckpoint` the views then vouch for the whole log. */
  async stop(withCheckpoint: boolean): Promise<void> {
    for (const timer of this.timers) timer.cancel()
    this.retention.stop()
    await this.checkpointing
    await this.expiring
    if (withCheckpoint) {
      await this.views.index.finish()
      this.saveQueueEnds()
      this.checkpointEnd = -1
      await this.checkpoint()
    }
    this.checkpointFile.close()
  }

  private async checkpoint(): Promise<void> {
    this.restSeconds = 0
    const end = this.dispatcher.offset
    if (end === this.checkpointEnd || this.views.syncFailure !== undefined) return
    try {
      const last = this.views.lastSeen()
      await this.turns.groupCommit.reach(end)
      if (this.log.flushedOffset < end) return
      const tails = await this.views.writeCheckpoint(end, last, this.log.segments)
      this.restSeconds = Math.min(LIMITS.checkpointRestSeconds, Math.floor(tails / LIMITS.tailsPerSecond))
      writeApacheCheckpoint(this.checkpointFile, this.turns.newestTimestamp, this.log.flushedOffset)
      this.checkpointEnd = end
      if (this.hadNoRoom) this.checkSpace()
      this.hadNoRoom = false
    } catch (error) {
      this.hadNoRoom = (error as { code?: unknown }).code === 'ENOSPC'
      if (this.hadNoRoom) this.disk.refuse(`The disk is full: ${describeError(error)}. Writes are accepted again when there is room.`)
      this.runtime.log.warn('the checkpoint could not be written; a restart will read more of the log', { error: describeError(error) })
    }
  }

  private async expire(): Promise<void> {
    try {
      const safeEnd = Math.min(this.checkpointEnd, this.log.flushedOffset, ...this.retainers.map((position) => position()))
      const inHurry = this.disk.isTight(this.log.space(this.runtime.disk))
      if (this.retention.expire(safeEnd, this.log.writtenOffset, inHurry) > 0) await this.views.trimBefore(this.log.segments.minOffset)
      this.saveQueueEnds()
      if (this.topicHours !== undefined) this.expireTopics(this.topicHours)
    } catch (error) {
      this.runtime.log.warn('removing expired segments failed; it is tried again', { error: describeError(error) })
    }
  }

  private saveQueueEnds(): void {
    try {
      this.views.queueEnds.save(this.views.queues, this.log.segments.minOffset)
    } catch (error) {
      this.runtime.log.warn('how far queues without messages had come could not be written; it is tried again', {
        error: describeError(error),
      })
    }
  }

  /** Topics with less time than the log: what is older can no longer be pulled, though the log still has it. */
  expireTopics(hoursOf: (topic: string) => number | undefined): void {
    const now = this.runtime.clock.now()
    for (const topic of this.views.queues.topics.values()) {
      const hours = hoursOf(topic.name)
      if (hours === undefined) continue
      for (const queue of topic.queues) {
        const first = this.offsetByTime(queue, now - hours * HOUR_MS)
        if (first > queue.minOffset) queue.trimBefore(first)
      }
    }
  }

  private checkSpace(): void {
    try {
      // Were a message appended before the shortened deletions are on file, the next start would take it for one of a deleted topic.
      this.views.deletions.save()
    } catch (error) {
      return this.disk.refuse(
        `The disk is full, or broken: deleted-topics.json cannot be written: ${describeError(error)}. Writes are accepted again when it can.`,
      )
    }
    this.disk.check(this.log.space(this.runtime.disk))
  }
}
