import type { Clock, Timer } from '../clock.ts'
import type { Scheduler } from './scheduler.ts'

/** 2026-01-01T00:00:00Z: worlds begin here, whatever the day is outside. */
const EPOCH_MS = 1_767_225_600_000

/** One node's view of the shared virtual time: its wall clock may be wrong and may jump; its monotonic clock never does. */
export class SimClock implements Clock {
  readonly #scheduler: Scheduler
  readonly #turn: (() => void)[] = []
  #skewMs = 0
  #stopped = false

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler
  }

  now(): number {
    return EPOCH_MS + Math.floor(this.#scheduler.nowMs + this.#skewMs)
  }

  monotonic(): number {
    return this.#scheduler.nowMs
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const onAbort = (): void => {
        timer.cancel()
        reject(signal?.reason)
      }
      const timer = this.after(ms, () => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      })
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  after(ms: number, task: () => void): Timer {
    return this.#scheduler.schedule(ms, 'timer', () => {
      if (!this.#stopped) task()
    })
  }

  every(ms: number, task: () => void | Promise<void>): Timer {
    let cancelled = false
    let planned: Timer | undefined
    const run = (): void => {
      const running = task()
      if (running instanceof Promise) void running.then(plan)
      else plan()
    }
    const plan = (): void => {
      if (!cancelled) planned = this.after(ms, run)
    }
    plan()
    return {
      cancel: () => {
        cancelled = true
        planned?.cancel()
      },
    }
  }

  afterTurn(task: () => void): void {
    this.#turn.push(task)
    if (this.#turn.length === 1) this.#planTurn()
  }

  /** Sets the wall clock forward or back. */
  jump(ms: number): void {
    this.#skewMs += ms
  }

  /** The node is dead: nothing that it has planned happens. */
  stop(): void {
    this.#stopped = true
  }

  /** One event per task, in order: as Node, promises that a task wakes run before the next task. */
  #planTurn(): void {
    this.#scheduler.schedule(0, 'work', () => {
      const task = this.#turn.shift()
      if (this.#turn.length > 0) this.#planTurn()
      if (!this.#stopped) task?.()
    })
  }
}
