import { join } from 'node:path'
import type { DiskFile, Runtime, Timer } from '@skylarkmq/runtime'
import { writeApacheCheckpoint } from './commit-log/apache-checkpoint.ts'
import type { CommitLog } from './commit-log/commit-log.ts'
import type { GroupCommit } from './commit-log/group-commit.ts'
import { Retention } from './commit-log/retention.ts'
import { describeError } from './describe-error.ts'
import type { Dispatcher } from './dispatch/dispatcher.ts'
import { LIMITS } from './limits.ts'
import type { StoreOptions } from './types.ts'
import type { Views } from './views.ts'

const MEBI = 1_048_576

/** What a store does beside serving: checkpoints every second, a look at the room on the disk and at what has expired every ten. */
export class Upkeep {
  /** Why writes are refused for want of room. Comes and goes. */
  diskFull: string | undefined
  /** Store time of the newest message, for Apache's checkpoint. */
  lastTimestamp = 0
  /** Positions from which on somebody still needs the log, whatever its age. */
  readonly retainers: (() => number)[] = []
  private readonly runtime: Runtime
  private readonly log: CommitLog
  private readonly views: Views
  private readonly dispatcher: Dispatcher
  private readonly groupCommit: GroupCommit
  private readonly retention: Retention
  private readonly checkpointFile: DiskFile
  private readonly timers: Timer[] = []
  private checkpointing: Promise<void> | undefined
  private expiring: Promise<void> | undefined
  private checkpointEnd = -1
  private suspended = false

  constructor(runtime: Runtime, options: StoreOptions, log: CommitLog, views: Views, dispatcher: Dispatcher, groupCommit: GroupCommit) {
    this.runtime = runtime
    this.log = log
    this.views = views
    this.dispatcher = dispatcher
    this.groupCommit = groupCommit
    this.retention = new Retention(runtime, log.segments, options)
    this.checkpointFile = runtime.disk.open(join(options.rootDirectory, 'checkpoint'), { create: true })
  }

  start(): void {
    const { clock } = this.runtime
    this.timers.push(
      clock.every(LIMITS.checkpointIntervalMs, () => {
        this.checkpointing = this.suspended ? undefined : this.checkpoint()
        return this.checkpointing
      }),
      clock.every(LIMITS.retentionIntervalMs, () => {
        this.checkSpace()
        this.expiring = this.suspended ? undefined : this.expire()
        return this.expiring
      }),
      clock.every(LIMITS.shrinkIntervalMs, () => this.retention.shrink()),
    )
    this.checkSpace()
  }

  /** Makes what the views show now durable; the log position up to which that is, undefined when it cannot be. */
  async flush(): Promise<number | undefined> {
    const end = this.dispatcher.offset
    await this.groupCommit.reach(end)
    return this.log.flushedOffset >= end ? end : undefined
  }

  /** The store has failed: its files are left as they are. */
  suspend(): void {
    this.suspended = true
  }

  /** Ends what runs; with `withCheckpoint` the views then vouch for the whole log. */
  async stop(withCheckpoint: boolean): Promise<void> {
    for (const timer of this.timers) timer.cancel()
    await this.checkpointing
    await this.expiring
    if (withCheckpoint) {
      await this.views.index.finish()
      this.checkpointEnd = -1
      await this.checkpoint()
    }
    this.checkpointFile.close()
  }

  private async checkpoint(): Promise<void> {
    const end = this.dispatcher.offset
    if (end === this.checkpointEnd || this.views.syncFailure !== undefined) return
    try {
      const last = this.views.lastSeen()
      await this.groupCommit.reach(end)
      if (this.log.flushedOffset < end) return
      await this.views.writeCheckpoint(end, last, this.log.segments)
      writeApacheCheckpoint(this.checkpointFile, this.lastTimestamp, this.log.flushedOffset)
      this.checkpointEnd = end
    } catch (error) {
      this.runtime.log.warn('the checkpoint could not be written; a restart will read more of the log', { error: describeError(error) })
    }
  }

  private async expire(): Promise<void> {
    try {
      const safeEnd = Math.min(this.checkpointEnd, this.log.flushedOffset, ...this.retainers.map((position) => position()))
      if (this.retention.expire(safeEnd, this.log.space(this.runtime.disk)) > 0) await this.views.trimBefore(this.log.segments.minOffset)
    } catch (error) {
      this.runtime.log.warn('removing expired segments failed; it is tried again', { error: describeError(error) })
    }
  }

  diskIsFull(reason: string): void {
    if (this.diskFull === undefined) this.runtime.log.error('the disk is full: writes are refused', { reason })
    this.diskFull = reason
  }

  private checkSpace(): void {
    const { totalBytes, freeBytes } = this.log.space(this.runtime.disk)
    const reserve = Math.min(LIMITS.diskReserveBytes, totalBytes / 20)
    if (freeBytes < reserve) {
      this.diskIsFull(
        `The disk is full: ${Math.floor(freeBytes / MEBI)} MiB of ${Math.floor(totalBytes / MEBI)} MiB are free for ` +
          `${this.log.segments.directory}, and ${Math.ceil(reserve / MEBI)} MiB are kept in reserve. Writes are accepted again when there is more.`,
      )
    } else if (this.diskFull !== undefined) {
      this.runtime.log.info('the disk has room again: writes are accepted', { freeBytes })
      this.diskFull = undefined
    }
  }
}
