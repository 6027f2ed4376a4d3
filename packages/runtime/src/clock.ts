/** A scheduled task. `cancel` is idempotent; after it returns the task does not start again. */
export interface Timer {
  cancel(): void
}

/**
 * Time, handed in. Nothing outside `runtime/src/node` reads the machine's clock or sets its timers.
 * Timers never keep a process alive on their own: sockets and files do.
 */
export interface Clock {
  /** Wall time in milliseconds since the epoch. May jump. Only for what is stored or shown. */
  now(): number
  /** Milliseconds (with fraction) from a fixed point; never goes back. For durations and deadlines. */
  monotonic(): number
  /** Resolves after `ms`; rejects with the signal's reason when it aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
  /** Runs `task` once after `ms`. */
  after(ms: number, task: () => void): Timer
  /** Runs `task` every `ms`, first after `ms`. A run that returns a promise is awaited before the next is planned. */
  every(ms: number, task: () => void | Promise<void>): Timer
  /** Runs `task` when the input events of the present turn have been handled (Node: setImmediate). Cheap; not cancellable. */
  afterTurn(task: () => void): void
}
