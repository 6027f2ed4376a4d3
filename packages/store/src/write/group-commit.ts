import type { Clock, Timer } from '@skylarkmq/runtime'
import { LIMITS } from '../limits.ts'
import type { PutTimesMeter } from './put-times.ts'
import type { AppendResult, OnStored } from '../types.ts'

interface Waiter {
  readonly endOffset: number
  readonly beganMs: number
  readonly messages: number
  readonly result: AppendResult
  readonly onStored: OnStored
}

export interface FlushTarget {
  readonly writtenOffset: number
  readonly flushedOffset: number
  flush(): Promise<number>
}

/**
 * One fdatasync at a time. What arrives while it runs is covered by the next one, so that under load a single sync answers
 * hundreds of senders. A failure is final: the kernel may have dropped the dirty pages, and a second fdatasync would say "fine".
 */
export class GroupCommit {
  private readonly clock: Clock
  private readonly target: FlushTarget
  private readonly putTimes: PutTimesMeter
  private readonly onFlushed: () => void
  private readonly onFailure: (error: unknown) => void
  private readonly settle: (onStored: OnStored, result: AppendResult) => void
  private waiters: Waiter[] = []
  private running: Promise<void> | undefined
  private timer: Timer | undefined
  private stopped = false

  constructor(
    clock: Clock,
    target: FlushTarget,
    putTimes: PutTimesMeter,
    on: { flushed: () => void; failure: (error: unknown) => void; settle: (onStored: OnStored, result: AppendResult) => void },
  ) {
    this.clock = clock
    this.target = target
    this.putTimes = putTimes
    this.onFlushed = on.flushed
    this.onFailure = on.failure
    this.settle = on.settle
  }

  /** Calls `onStored` when everything up to `endOffset` is on the disk. `beganMs`: when it was appended, for the time limit. */
  wait(endOffset: number, beganMs: number, messages: number, result: AppendResult, onStored: OnStored): void {
    this.waiters.push({ endOffset, beganMs, messages, result, onStored })
    this.timer ??= this.clock.after(LIMITS.flushTimeoutMs, () => this.expire())
  }

  /** Starts a flush unless one runs or nothing is unflushed. */
  request(): void {
    if (this.stopped || this.running !== undefined || this.target.flushedOffset >= this.target.writtenOffset) return
    this.running = this.target.flush().then(
      () => {
        this.running = undefined
        // The disk works again while senders are told.
        if ((this.waiters.at(-1)?.endOffset ?? 0) > this.target.flushedOffset) this.request()
        this.release()
        this.onFlushed()
      },
      (error: unknown) => {
        this.running = undefined
        this.onFailure(error)
      },
    )
  }

  /** Flushes until nothing is unflushed. Rejects never: a failure goes to `onFailure`. */
  async drain(): Promise<void> {
    while (!this.stopped && (this.running !== undefined || this.target.flushedOffset < this.target.writtenOffset)) {
      this.request()
      await this.running
    }
  }

  /** Flushes until `offset` is on the disk. */
  async reach(offset: number): Promise<void> {
    while (!this.stopped && this.target.flushedOffset < offset) {
      this.request()
      await this.running
    }
  }

  /** No more flushes; those who wait get `result`. */
  stop(result: AppendResult | undefined): void {
    this.stopped = true
    this.timer?.cancel()
    this.timer = undefined
    const waiters = this.waiters
    this.waiters = []
    if (result !== undefined) for (const waiter of waiters) this.settle(waiter.onStored, result)
  }

  private release(): void {
    const flushed = this.target.flushedOffset
    let count = 0
    while (count < this.waiters.length && (this.waiters[count] as Waiter).endOffset <= flushed) count++
    if (count === 0) return
    const done = this.waiters
    this.waiters = done.slice(count)
    const now = this.clock.monotonic()
    for (let i = 0; i < count; i++) {
      const waiter = done[i] as Waiter
      this.putTimes.record(waiter.messages, now - waiter.beganMs, now)
      this.settle(waiter.onStored, waiter.result)
    }
  }

  /** RocketMQ CommitLog FlushDiskWatcher: stored, not known to be on the disk. */
  private expire(): void {
    this.timer = undefined
    const now = this.clock.monotonic()
    let count = 0
    while (count < this.waiters.length && (this.waiters[count] as Waiter).beganMs + LIMITS.flushTimeoutMs <= now) count++
    const late = this.waiters.slice(0, count)
    this.waiters = this.waiters.slice(count)
    const oldest = this.waiters[0]
    if (oldest !== undefined) this.timer = this.clock.after(Math.max(1, oldest.beganMs + LIMITS.flushTimeoutMs - now), () => this.expire())
    for (const waiter of late) {
      this.putTimes.record(waiter.messages, now - waiter.beganMs, now)
      this.settle(waiter.onStored, { ...waiter.result, status: 'flush-timeout' })
    }
  }
}
