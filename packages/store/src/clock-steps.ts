import { join } from 'node:path'
import { DERIVED } from '@skylarkmq/remoting/protocol'
import type { Derivation } from '@skylarkmq/remoting/protocol'
import type { Disk, DiskFile } from '@skylarkmq/runtime'
import { getInt64, setInt64, viewOf } from './bytes.ts'
import { digestOfRange } from './digest.ts'
import type { DispatchRecord, RunTarget } from './dispatch/dispatch-target.ts'
import { LIMITS } from './limits.ts'

/** int64 log position · int32 check */
const ENTRY_BYTES = 12

/** How much of it a checkpoint vouches for. */
export interface ClockPosition {
  readonly steps: number
  /** Store time of the newest record. */
  readonly newestTime: number
}

/**
 * Where in the log the store time goes back, because the machine's clock was set back. Between two such places it never does: that is
 * what a search by time goes by.
 */
export class ClockSteps implements RunTarget {
  newestTime = 0
  private readonly file: DiskFile
  private positions: number[] = []
  /** Steps that are no longer in `positions`: too old, or too many. */
  private dropped = 0
  private written = 0

  constructor(disk: Disk, directory: string) {
    this.file = disk.open(join(directory, 'clock-steps'), { create: true })
  }

  /** Takes over what the checkpoint vouches for; tells in words why it cannot be believed. */
  load({ steps, newestTime }: ClockPosition): string | undefined {
    const bytes = new Uint8Array(steps * ENTRY_BYTES)
    const view = viewOf(bytes)
    const got = this.file.readNow(bytes, 0, bytes.length, 0)
    for (let at = 0; at < bytes.length; at += ENTRY_BYTES) {
      const isSound = at + ENTRY_BYTES <= got && view.getInt32(at + 8) === digestOfRange(view, at, at + 8)
      if (!isSound) return `entry ${at / ENTRY_BYTES} in clock-steps is damaged`
      this.positions.push(getInt64(view, at))
    }
    this.written = steps
    this.newestTime = newestTime
    this.dropOldest()
    return undefined
  }

  dispatch(record: DispatchRecord): void {
    const { storeTimestamp } = record
    if (storeTimestamp < this.newestTime) this.positions.push(record.physicalOffset)
    this.newestTime = storeTimestamp
  }

  /** A run ends before a step back. */
  beginRun({ numbers }: Derivation): void {
    numbers[DERIVED.newestTime] = this.newestTime
  }

  endRun({ numbers }: Derivation): void {
    this.newestTime = numbers[DERIVED.newestTime] as number
  }

  /** Positions at which a stretch of the log without a step back begins, but for the first; ascending. */
  get places(): readonly number[] {
    return this.positions
  }

  get position(): ClockPosition {
    return { steps: this.dropped + this.positions.length, newestTime: this.newestTime }
  }

  /** Puts what is new on file, and on the disk. */
  async sync(): Promise<void> {
    const fresh = this.positions.slice(Math.max(0, this.written - this.dropped))
    if (fresh.length === 0) return
    const bytes = new Uint8Array(fresh.length * ENTRY_BYTES)
    const view = viewOf(bytes)
    for (const [i, position] of fresh.entries()) {
      setInt64(view, i * ENTRY_BYTES, position)
      view.setInt32(i * ENTRY_BYTES + 8, digestOfRange(view, i * ENTRY_BYTES, i * ENTRY_BYTES + 8))
    }
    this.file.write(bytes, 0, bytes.length, this.written * ENTRY_BYTES)
    this.written += fresh.length
    this.dropOldest()
    await this.file.sync()
  }

  /** The log now begins at this position. */
  expireBefore(minPhysicalOffset: number): void {
    while (this.dropped < this.written && (this.positions[0] ?? Number.MAX_SAFE_INTEGER) <= minPhysicalOffset) this.drop(1)
  }

  private dropOldest(): void {
    this.drop(Math.max(0, this.positions.length - LIMITS.clockSteps))
  }

  private drop(count: number): void {
    this.positions.splice(0, count)
    this.dropped += count
  }

  close(): void {
    this.file.close()
  }
}
