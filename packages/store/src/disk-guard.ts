import type { Log } from '@skylarkmq/runtime'
import { LIMITS } from './limits.ts'

const MEBI = 1_048_576

export interface DiskRules {
  /** RocketMQ diskMaxUsedSpaceRatio: above so many percent used, expired segments go at once, and a person is warned. */
  readonly warnAboveUsedPercent: number
  /** Below so many free bytes (or a twentieth of a small disk) the store is read-only. */
  readonly reserveBytes: number
}

export const DISK_DEFAULTS: DiskRules = { warnAboveUsedPercent: 75, reserveBytes: LIMITS.diskReserveBytes }

/** So far below the mark a disk must come before it is warned of anew. */
const CALM_PERCENT = 3

const LOOKS_PER_RESERVE = 8

export interface Space {
  readonly totalBytes: number
  readonly freeBytes: number
}

const usedPercent = ({ totalBytes, freeBytes }: Space): number => (totalBytes > 0 ? ((totalBytes - freeBytes) * 100) / totalBytes : 0)

/**
 * Watches the room on the log's disk: first a warning, then writes are refused while there is still room for what the store itself must
 * write, and accepted again when there is more. Nothing that is unexpired is removed for want of room (Apache's broker does, from 85 %).
 */
export class DiskGuard {
  /** Why writes are refused for want of room. Comes and goes. */
  full: string | undefined
  private readonly log: Log
  private readonly path: string
  private readonly rules: DiskRules
  private isWarned = false

  constructor(log: Log, path: string, rules: DiskRules) {
    this.log = log
    this.path = path
    this.rules = rules
  }

  /** Is so much used that expired segments should go now, not at their hour? */
  isTight({ totalBytes, freeBytes }: Space): boolean {
    return usedPercent({ totalBytes, freeBytes }) > this.rules.warnAboveUsedPercent
  }

  /** Returns by how much the log may grow before the next look: one that is fast would else pass the reserve between two. */
  check(space: Space): number {
    const { totalBytes, freeBytes } = space
    const reserve = Math.min(this.rules.reserveBytes, totalBytes / 20)
    if (freeBytes < reserve) {
      this.refuse(
        `The disk is full: ${Math.floor(freeBytes / MEBI)} MiB of ${Math.floor(totalBytes / MEBI)} MiB are free for ` +
          `${this.path}, and ${Math.ceil(reserve / MEBI)} MiB are kept in reserve. Writes are accepted again when there is more.`,
      )
    } else if (this.full !== undefined) {
      this.log.info('the disk has room again: writes are accepted', { path: this.path, freeBytes })
      this.full = undefined
    }
    this.warn(space)
    return reserve / LOOKS_PER_RESERVE
  }

  refuse(reason: string): void {
    if (this.full === undefined) this.log.error('the disk is full: writes are refused', { reason })
    this.full = reason
  }

  private warn(space: Space): void {
    const isTight = this.isTight(space)
    if (isTight && !this.isWarned) {
      this.log.warn('the disk fills up: expired segments go at once; below the reserve writes are refused', {
        path: this.path,
        ...space,
        warnAboveUsedPercent: this.rules.warnAboveUsedPercent,
        reserveBytes: this.rules.reserveBytes,
      })
    }
    // A disk that is just as full as that would else be warned of again and again.
    this.isWarned = isTight || (this.isWarned && usedPercent(space) > this.rules.warnAboveUsedPercent - CALM_PERCENT)
  }
}
