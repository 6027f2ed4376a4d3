import { performance } from 'node:perf_hooks'
import type { Clock, Timer } from '../clock.ts'

/** Node fires a timer with a longer delay at once. */
const LONGEST_DELAY_MS = 2 ** 31 - 1

class NodeTimer implements Timer {
  #handle: NodeJS.Timeout | undefined
  #cancelled = false

  get isCancelled(): boolean {
    return this.#cancelled
  }

  plan(ms: number, task: () => void): void {
    const delayMs = Math.min(ms, LONGEST_DELAY_MS)
    const rest = ms - delayMs
    this.#handle = setTimeout(() => (rest > 0 ? this.plan(rest, task) : task()), delayMs)
    this.#handle.unref()
  }

  cancel(): void {
    this.#cancelled = true
    clearTimeout(this.#handle)
  }
}

const after = (ms: number, task: () => void): Timer => {
  const timer = new NodeTimer()
  timer.plan(ms, task)
  return timer
}

const every = (ms: number, task: () => void | Promise<void>): Timer => {
  const timer = new NodeTimer()
  const run = (): void => {
    const running = task()
    if (running instanceof Promise) {
      // A rejection stays unhandled on purpose: a background task that fails in silence is worse.
      void running.then(planNext)
    } else planNext()
  }
  const planNext = (): void => {
    if (!timer.isCancelled) timer.plan(ms, run)
  }
  planNext()
  return timer
}

const sleep = (ms: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const onAbort = (): void => {
      timer.cancel()
      reject(signal?.reason)
    }
    const timer = after(ms, () => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    })
    signal?.addEventListener('abort', onAbort, { once: true })
  })

/** The machine's clock. Its timers never keep the process alive. */
export const nodeClock = (): Clock => ({
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep,
  after,
  every,
  afterTurn: (task) => {
    setImmediate(task)
  },
})
