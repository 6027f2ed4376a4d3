import type { Clock } from '@skylarkmq/runtime'
import { RocketError } from '@skylarkmq/remoting/protocol'

export const abortedError = (signal: AbortSignal, what: string): RocketError =>
  new RocketError(`${what} was aborted by its signal`, { code: 'ABORTED', cause: signal.reason })

/** The promise, or the abort of `signal`, whichever is first. The work behind the promise goes on for its other waiters. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined, what: string): Promise<T> {
  if (!signal) return promise
  if (signal.aborted) {
    promise.catch(() => {})
    return Promise.reject(abortedError(signal, what))
  }
  return new Promise<T>((resolve, reject) => {
    const onAbort = () => reject(abortedError(signal, what))
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

/** Resolves with the promise's value, or with undefined after `ms` or when it rejects. Never rejects. */
export function settledWithin<T>(clock: Clock, promise: Promise<T>, ms: number): Promise<T | undefined> {
  return new Promise((resolve) => {
    const timer = clock.after(ms, () => resolve(undefined))
    promise.then(
      (value) => {
        timer.cancel()
        resolve(value)
      },
      () => {
        timer.cancel()
        resolve(undefined)
      },
    )
  })
}

/** Runs `task` for each item, at most `limit` at a time. Rejections are the task's business: it must not reject. */
export async function forEachLimited<T>(items: Iterable<T>, limit: number, task: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items]
  let next = 0
  const worker = async () => {
    while (next < queue.length) await task(queue[next++] as T)
  }
  await Promise.all(Array.from({ length: Math.min(limit, queue.length) }, worker))
}
