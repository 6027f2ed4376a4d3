import type { MessageQueue } from '@skylarkmq/remoting/protocol'
import type { Clock } from '@skylarkmq/runtime'

/** RocketMQ 5.3 `RebalanceLockManager`: a lock that its holder has not renewed for so long is free. Clients trust theirs for half of it. */
export const LOCK_EXPIRY_MS = 60_000

interface QueueLock {
  clientId: string
  renewedAt: number
}

const keyOf = (queue: MessageQueue): string => `${queue.topic}\0${queue.brokerName}\0${queue.queueId}`

/** Which client of a group consumes a queue in order. */
export class QueueLocks {
  readonly #groups = new Map<string, Map<string, QueueLock>>()
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Locks or renews what is free, expired or held by the same client; returns what it now holds. */
  lock(group: string, clientId: string, queues: readonly MessageQueue[]): MessageQueue[] {
    const now = this.#clock.monotonic()
    let locks = this.#groups.get(group)
    if (locks === undefined && queues.length > 0) this.#groups.set(group, (locks = new Map()))
    return queues.filter((queue) => {
      const key = keyOf(queue)
      const lock = locks?.get(key)
      if (lock === undefined) locks?.set(key, { clientId, renewedAt: now })
      else if (lock.clientId === clientId || isExpired(lock, now)) Object.assign(lock, { clientId, renewedAt: now })
      else return false
      return true
    })
  }

  /** Frees those that this client holds. */
  unlock(group: string, clientId: string, queues: readonly MessageQueue[]): void {
    const locks = this.#groups.get(group)
    if (locks === undefined) return
    for (const queue of queues) {
      const key = keyOf(queue)
      if (locks.get(key)?.clientId === clientId) locks.delete(key)
    }
    if (locks.size === 0) this.#groups.delete(group)
  }

  /** Who holds a queue now. */
  holder(group: string, queue: MessageQueue): { readonly clientId: string; readonly renewedMsAgo: number } | undefined {
    const now = this.#clock.monotonic()
    const lock = this.#groups.get(group)?.get(keyOf(queue))
    if (lock === undefined || isExpired(lock, now)) return undefined
    return { clientId: lock.clientId, renewedMsAgo: Math.round(now - lock.renewedAt) }
  }

  /** Whether the group consumes in order now: any of its locks has not expired. */
  isHeldByAny(group: string): boolean {
    const now = this.#clock.monotonic()
    for (const lock of this.#groups.get(group)?.values() ?? []) if (!isExpired(lock, now)) return true
    return false
  }

  /** Forgets what has expired. */
  sweep(): void {
    const now = this.#clock.monotonic()
    for (const [group, locks] of this.#groups) {
      for (const [key, lock] of locks) if (isExpired(lock, now)) locks.delete(key)
      if (locks.size === 0) this.#groups.delete(group)
    }
  }
}

const isExpired = (lock: QueueLock, now: number): boolean => now - lock.renewedAt > LOCK_EXPIRY_MS
