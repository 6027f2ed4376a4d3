import type { Clock } from '@skylarkmq/runtime'

/** A place to wait until somebody wakes all who wait, the time is up, or the signal aborts. Waiting never rejects. */
export class Wakeup {
  #waiters = new Set<() => void>()

  wake(): void {
    // Nearly always: it is called for each message.
    if (this.#waiters.size === 0) return
    const waiters = [...this.#waiters]
    this.#waiters.clear()
    for (const waiter of waiters) waiter()
  }

  wait(clock: Clock, ms?: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const done = () => {
        this.#waiters.delete(done)
        timer?.cancel()
        signal?.removeEventListener('abort', done)
        resolve()
      }
      const timer = ms === undefined ? undefined : clock.after(ms, done)
      signal?.addEventListener('abort', done, { once: true })
      this.#waiters.add(done)
    })
  }
}

/** Sleeps, or returns early when the signal aborts. */
export const pause = (clock: Clock, ms: number, signal?: AbortSignal): Promise<void> => clock.sleep(ms, signal).catch(() => undefined)

/** Waits for the work, but no longer than `ms`. A failure counts as done. Resolves with whether the work ended in time. */
export async function within(clock: Clock, ms: number, work: Promise<unknown>): Promise<boolean> {
  let timer: { cancel(): void } | undefined
  const late = new Promise<boolean>((resolve) => {
    timer = clock.after(ms, () => resolve(false))
  })
  const ended = work.then(
    () => true,
    () => true,
  )
  const result = await Promise.race([ended, late])
  timer?.cancel()
  return result
}
