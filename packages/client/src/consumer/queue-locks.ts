import type { MessageQueue } from '@skylarkmq/remoting/protocol'
import type { AssignedQueue } from './assigned-queue.ts'
import { queueKey } from './assigned-queue.ts'
import type { BrokerCalls } from './broker-calls.ts'
import { within } from './wakeup.ts'

export const LOCK_INTERVAL_MS = 20_000
const FIRST_LOCK_MS = 1000
/** Half of what the broker grants: a consumer stops before the broker gives the lock away (RocketMQ `REBALANCE_LOCK_MAX_LIVE_TIME`). */
export const LOCK_VALID_MS = 30_000

export interface LockHooks {
  /** The lock had run out: somebody else may have consumed meanwhile. Rejects when that cannot be known; the queue waits then. */
  readonly regained: (assigned: AssignedQueue) => Promise<void>
  readonly locked: (assigned: AssignedQueue) => void
}

/** The broker-side locks that keep an orderly queue with one consumer even while a group rebalances. */
export class QueueLocks {
  readonly #calls: BrokerCalls
  readonly #queues: () => readonly AssignedQueue[]
  readonly #hooks: LockHooks
  #timer: { cancel(): void } | undefined
  /** Granted before the queue was assigned: until when. */
  #granted = new Map<string, number>()

  constructor(calls: BrokerCalls, queues: () => readonly AssignedQueue[], hooks: LockHooks) {
    this.#calls = calls
    this.#queues = queues
    this.#hooks = hooks
  }

  start(): void {
    const { clock } = this.#calls.core
    this.#timer = clock.after(FIRST_LOCK_MS, () => {
      this.#timer = clock.every(LOCK_INTERVAL_MS, () => this.renew())
      void this.renew()
    })
  }

  stop(): void {
    this.#timer?.cancel()
  }

  /** Locks queues that are about to be taken. A broker that does not answer grants nothing. */
  async acquire(queues: readonly MessageQueue[]): Promise<ReadonlySet<string>> {
    const { clock, log } = this.#calls.core
    const granted = new Set<string>()
    const locking = [...byBroker(queues)].map(async ([brokerName, own]) => {
      // The grant counts from the question: a late answer must not be taken for a fresh lock.
      const until = clock.monotonic() + LOCK_VALID_MS
      try {
        for (const key of await this.#calls.lock(brokerName, own)) {
          granted.add(key)
          this.#granted.set(key, until)
        }
      } catch (error) {
        log.warn('locking queues failed; it is tried again', { brokerName, group: this.#calls.group, error })
      }
    })
    await Promise.all(locking)
    return granted
  }

  /** The queue is ours now: its lock counts from the acquisition. */
  attach(assigned: AssignedQueue): void {
    assigned.lockedUntilMs = this.#granted.get(assigned.key) ?? 0
    assigned.lastLockMs = this.#calls.core.clock.now()
    assigned.lockWasLost = false
    this.#granted.delete(assigned.key)
  }

  isValid(assigned: AssignedQueue): boolean {
    const isValid = this.#calls.core.clock.monotonic() < assigned.lockedUntilMs
    if (!isValid) assigned.lockWasLost = true
    return isValid
  }

  /** Locks again what we own. */
  async renew(only?: readonly AssignedQueue[]): Promise<void> {
    const owned = (only ?? this.#queues()).filter((assigned) => !assigned.isDropped)
    if (owned.length === 0) return
    const granted = await this.acquire(owned.map((assigned) => assigned.queue))
    await Promise.all(owned.filter((assigned) => granted.has(assigned.key)).map((assigned) => this.#regain(assigned)))
  }

  async #regain(assigned: AssignedQueue): Promise<void> {
    const wasValid = this.isValid(assigned)
    try {
      if (assigned.lockWasLost) await this.#hooks.regained(assigned)
    } catch (error) {
      this.#calls.core.log.warn('a queue is locked again but its offset is not known yet', { ...assigned.queue, error })
      return
    }
    if (assigned.isDropped) return
    this.attach(assigned)
    if (!wasValid) assigned.changed.wake()
    this.#hooks.locked(assigned)
  }

  async unlock(queues: readonly MessageQueue[], timeoutMs: number): Promise<void> {
    const unlocking = [...byBroker(queues)].map(([brokerName, own]) => this.#calls.unlock(brokerName, own))
    await within(this.#calls.core.clock, timeoutMs, Promise.allSettled(unlocking))
    for (const queue of queues) this.#granted.delete(queueKey(queue))
  }
}

function byBroker(queues: readonly MessageQueue[]): Map<string, MessageQueue[]> {
  const groups = new Map<string, MessageQueue[]>()
  for (const queue of queues) groups.set(queue.brokerName, [...(groups.get(queue.brokerName) ?? []), queue])
  return groups
}
