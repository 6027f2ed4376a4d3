import type { ClientCore } from '../core/types.ts'
import type { AssignedQueue } from './assigned-queue.ts'
import type { BrokerCalls } from './broker-calls.ts'
import type { ConsumeService } from './consume-service.ts'
import type { HandlerRunner } from './handler.ts'
import type { CacheEntry, ProcessQueue } from './process-queue.ts'
import type { QueueLocks } from './queue-locks.ts'
import type { ConsumedMessage, Settlement } from './received-message.ts'
import { pause, Wakeup } from './wakeup.ts'

/** RocketMQ `ConsumeMessageOrderlyService#submitConsumeRequestLater`. */
const SUSPEND_MIN_MS = 10
const SUSPEND_MAX_MS = 30_000
export const RELOCK_PAUSE_MS = 3000
/** How long a dropped queue waits for the handler at work before it stays for another round (`tryLock(1000)`). */
export const RELEASE_WAIT_MS = 1000

export interface OrderlyOptions {
  readonly core: ClientCore
  readonly calls: BrokerCalls
  readonly runner: HandlerRunner
  /** Queues worked on at a time. */
  readonly concurrency: () => number
  readonly batchSize: number
  /** Attempts after the first; -1 for no end. */
  readonly maxReconsumeTimes: number
  readonly suspendMs: number
  /** Absent for broadcast consumers: nobody else consumes for them. */
  readonly locks: QueueLocks | undefined
  readonly queues: () => readonly AssignedQueue[]
}

/**
 * One message of a queue after the other. A failed message stops its queue for a moment and is tried again, so that nothing overtakes
 * it; queues run beside each other.
 */
export class OrderlyConsumption implements ConsumeService {
  readonly #options: OrderlyOptions
  #running = new Set<AssignedQueue>()
  #atWork = 0
  readonly #slots = new Wakeup()
  #isPaused = false
  readonly #closing = new AbortController()

  constructor(options: OrderlyOptions) {
    this.#options = options
  }

  onMessages(assigned: AssignedQueue): void {
    if (!this.#running.has(assigned) && this.#mayGoOn(assigned)) void this.#consumeQueue(assigned)
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    for (const assigned of this.#options.queues()) this.onMessages(assigned)
  }

  async release(assigned: AssignedQueue): Promise<boolean> {
    if (assigned.inFlight > 0) await assigned.idle.wait(this.#options.core.clock, RELEASE_WAIT_MS)
    return assigned.inFlight === 0
  }

  async drain(ms: number): Promise<boolean> {
    this.#closing.abort()
    this.#slots.wake()
    const { clock } = this.#options.core
    const deadline = clock.monotonic() + ms
    for (const assigned of this.#running) {
      while (assigned.inFlight > 0) {
        const rest = deadline - clock.monotonic()
        if (rest <= 0) return false
        await assigned.idle.wait(clock, rest)
      }
    }
    return true
  }

  #mayGoOn(assigned: AssignedQueue): boolean {
    return !assigned.isDropped && !this.#isPaused && !this.#closing.signal.aborted && assigned.cache.hasUntaken
  }

  /** Until the queue has nothing more, or is not ours to work on. */
  async #consumeQueue(assigned: AssignedQueue): Promise<void> {
    this.#running.add(assigned)
    const { core, locks } = this.#options
    try {
      while (this.#mayGoOn(assigned)) {
        if (locks && !locks.isValid(assigned)) {
          await locks.renew([assigned])
          if (!locks.isValid(assigned)) await this.#rest(assigned, RELOCK_PAUSE_MS)
          continue
        }
        if (this.#atWork >= this.#options.concurrency()) {
          await this.#slots.wait(core.clock)
          continue
        }
        const suspendMs = await this.#consumeBatch(assigned)
        if (suspendMs > 0) await this.#rest(assigned, suspendMs)
      }
    } finally {
      this.#running.delete(assigned)
    }
  }

  /** One handler call. Resolves with how long the queue must rest. */
  async #consumeBatch(assigned: AssignedQueue): Promise<number> {
    const { core, batchSize } = this.#options
    const { cache } = assigned
    const entries = cache.take(batchSize)
    if (entries.length === 0) return 0
    this.#atWork++
    assigned.begin()
    assigned.lastConsumeMs = core.clock.now()
    const takenMs = core.clock.monotonic()
    for (const entry of entries) entry.takenMs = takenMs
    try {
      return await this.#settle(assigned, cache, entries, await this.#runInOrder(assigned, entries))
    } finally {
      this.#atWork--
      assigned.end()
      this.#slots.wake()
    }
  }

  /** A batch for a one-by-one handler stops at the first failure: what follows must not overtake it. */
  async #runInOrder(assigned: AssignedQueue, entries: readonly CacheEntry<ConsumedMessage>[]): Promise<Settlement[]> {
    if (this.#options.runner.isBatch) return this.#options.runner.run(assigned, entries)
    const settlements: Settlement[] = []
    for (const entry of entries) {
      const [settlement] = await this.#options.runner.run(assigned, [entry])
      if (settlement === undefined) break
      settlements.push(settlement)
      if (settlement.kind !== 'ack') break
    }
    return settlements
  }

  async #settle(
    assigned: AssignedQueue,
    cache: ProcessQueue<ConsumedMessage>,
    entries: readonly CacheEntry<ConsumedMessage>[],
    settlements: readonly Settlement[],
  ): Promise<number> {
    // A dropped queue keeps its lock until this handler has ended: what it did counts.
    if (assigned.cache !== cache) return 0
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i] as CacheEntry<ConsumedMessage>
      const settlement = settlements[i]
      if (settlement?.kind === 'ack') {
        cache.complete(entry)
        continue
      }
      if (settlement?.kind === 'retry' && !assigned.isDropped && (await isGivenUp(this.#options, entry.message, settlement.delayLevel))) {
        cache.complete(entry)
        continue
      }
      cache.release(entries.slice(i))
      if (settlement?.kind !== 'retry') return 0
      entry.message.reconsumeTimes++
      return suspension(settlement.suspendMs ?? this.#options.suspendMs)
    }
    return 0
  }

  async #rest(assigned: AssignedQueue, ms: number): Promise<void> {
    const signal = AbortSignal.any([assigned.lifetime.signal, this.#closing.signal])
    await pause(this.#options.core.clock, ms, signal)
  }
}

export const suspension = (ms: number): number => Math.min(SUSPEND_MAX_MS, Math.max(SUSPEND_MIN_MS, ms))

type GivingUp = Pick<OrderlyOptions, 'calls' | 'core' | 'maxReconsumeTimes' | 'locks'>

/** After the last attempt, or when the handler says so: to the dead letters, and the queue goes on. */
export async function isGivenUp(options: GivingUp, message: ConsumedMessage, delayLevel: number): Promise<boolean> {
  const { calls, core, maxReconsumeTimes, locks } = options
  const isLast = maxReconsumeTimes >= 0 && message.reconsumeTimes >= maxReconsumeTimes
  if (!isLast && delayLevel >= 0) return false
  if (!locks) {
    core.log.warn('a broadcast message failed and is dropped', { topic: message.topic, messageId: message.messageId })
    return true
  }
  return calls.passOn(message, -1, Math.max(0, maxReconsumeTimes))
}
