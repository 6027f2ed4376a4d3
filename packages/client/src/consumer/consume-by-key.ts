import type { AssignedQueue } from './assigned-queue.ts'
import type { ConsumeService } from './consume-service.ts'
import type { OrderlyOptions } from './consume-orderly.ts'
import { isGivenUp, RELOCK_PAUSE_MS, RELEASE_WAIT_MS, suspension } from './consume-orderly.ts'
import type { CacheEntry, ProcessQueue } from './process-queue.ts'
import type { ConsumedMessage } from './received-message.ts'
import { pause, Wakeup } from './wakeup.ts'

type Entry = CacheEntry<ConsumedMessage>

export interface ByKeyOptions extends Omit<OrderlyOptions, 'concurrency' | 'batchSize'> {
  /** Handler calls at a time, over all queues and keys. */
  readonly concurrency: () => number
  /** Messages of one key wait for each other; undefined: for nobody. */
  readonly keyOf: (message: ConsumedMessage) => string | undefined
}

/** The messages of one key, in order; the first is at work or the next to be. */
interface Lane {
  readonly assigned: AssignedQueue
  readonly cache: ProcessQueue<ConsumedMessage>
  readonly key: string | undefined
  readonly entries: Entry[]
  /** The application could not say what the key is: the message fails. */
  readonly error?: unknown
}

/**
 * Order per key instead of per queue: messages of one key run one after the other and a failed one is tried again before its successors,
 * while other keys of the same queue go on. Queues are locked as for orderly consumers, so one member has them at a time.
 */
export class ByKeyConsumption implements ConsumeService {
  readonly #options: ByKeyOptions
  readonly #lanes = new WeakMap<ProcessQueue<ConsumedMessage>, Map<string, Lane>>()
  /** Lanes that may run, in the order in which they became ready. */
  #ready: Lane[] = []
  #inFlight = 0
  #isPaused = false
  readonly #closing = new AbortController()
  readonly #drained = new Wakeup()
  #relocking = new Map<AssignedQueue, Lane[]>()

  constructor(options: ByKeyOptions) {
    this.#options = options
  }

  onMessages(assigned: AssignedQueue): void {
    if (this.#isPaused || this.#closing.signal.aborted || assigned.isDropped) return
    const { cache } = assigned
    let lanes = this.#lanes.get(cache)
    if (!lanes) this.#lanes.set(cache, (lanes = new Map()))
    for (const entry of cache.take(Number.POSITIVE_INFINITY)) this.#enter(assigned, cache, lanes, entry)
    this.#pump()
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    for (const assigned of this.#options.queues()) this.onMessages(assigned)
    this.#pump()
  }

  async release(assigned: AssignedQueue): Promise<boolean> {
    if (assigned.inFlight > 0) await assigned.idle.wait(this.#options.core.clock, RELEASE_WAIT_MS)
    return assigned.inFlight === 0
  }

  async drain(ms: number): Promise<boolean> {
    this.#closing.abort()
    const { clock } = this.#options.core
    const deadline = clock.monotonic() + ms
    while (this.#inFlight > 0) {
      const rest = deadline - clock.monotonic()
      if (rest <= 0) return false
      await this.#drained.wait(clock, rest)
    }
    return true
  }

  #enter(assigned: AssignedQueue, cache: Lane['cache'], lanes: Map<string, Lane>, entry: Entry): void {
    let key: string | undefined
    try {
      key = this.#options.keyOf(entry.message)
    } catch (error) {
      this.#ready.push({ assigned, cache, key, entries: [entry], error })
      return
    }
    const lane = key === undefined ? undefined : lanes.get(key)
    if (lane) {
      lane.entries.push(entry)
      return
    }
    const fresh = { assigned, cache, key, entries: [entry] }
    if (key !== undefined) lanes.set(key, fresh)
    this.#ready.push(fresh)
  }

  #pump(): void {
    const { locks, concurrency } = this.#options
    while (this.#ready.length > 0 && this.#inFlight < concurrency() && !this.#isPaused && !this.#closing.signal.aborted) {
      const lane = this.#ready.shift() as Lane
      if (lane.assigned.isDropped || lane.assigned.cache !== lane.cache) continue
      if (locks && !locks.isValid(lane.assigned)) this.#awaitLock(lane)
      else void this.#consume(lane)
    }
  }

  #awaitLock(lane: Lane): void {
    const waiting = this.#relocking.get(lane.assigned)
    if (waiting) waiting.push(lane)
    else {
      this.#relocking.set(lane.assigned, [lane])
      void this.#relock(lane.assigned)
    }
  }

  async #relock(assigned: AssignedQueue): Promise<void> {
    const { locks, core } = this.#options
    while (!assigned.isDropped && !this.#closing.signal.aborted) {
      await locks?.renew([assigned])
      if (!locks || locks.isValid(assigned)) break
      await pause(core.clock, RELOCK_PAUSE_MS, AbortSignal.any([assigned.lifetime.signal, this.#closing.signal]))
    }
    const waiting = this.#relocking.get(assigned) ?? []
    this.#relocking.delete(assigned)
    this.#ready.push(...waiting)
    this.#pump()
  }

  async #consume(lane: Lane): Promise<void> {
    const { core, runner } = this.#options
    const { assigned } = lane
    const entry = lane.entries[0] as Entry
    this.#inFlight++
    assigned.begin()
    assigned.lastConsumeMs = core.clock.now()
    entry.takenMs = core.clock.monotonic()
    let restMs = 0
    try {
      const [settlement] = 'error' in lane ? [runner.refuse(entry.message, lane.error)] : await runner.run(assigned, [entry])
      restMs = await this.#settle(lane, entry, settlement)
    } finally {
      this.#inFlight--
      assigned.end()
      this.#drained.wake()
    }
    if (restMs > 0) await pause(core.clock, restMs, AbortSignal.any([assigned.lifetime.signal, this.#closing.signal]))
    if (lane.entries.length > 0) this.#ready.push(lane)
    else if (lane.key !== undefined) this.#lanes.get(lane.cache)?.delete(lane.key)
    this.#pump()
  }

  /** How long the key must rest. */
  async #settle(
    lane: Lane,
    entry: Entry,
    settlement: Awaited<ReturnType<OrderlyOptions['runner']['run']>>[number] | undefined,
  ): Promise<number> {
    const { assigned, cache } = lane
    if (assigned.cache !== cache) return 0
    const isOver =
      settlement?.kind === 'ack' ||
      (settlement?.kind === 'retry' && !assigned.isDropped && (await isGivenUp(this.#options, entry.message, settlement.delayLevel)))
    if (isOver) {
      cache.complete(entry)
      lane.entries.shift()
      return 0
    }
    if (settlement?.kind !== 'retry') return 0
    entry.message.reconsumeTimes++
    return suspension(settlement.suspendMs ?? this.#options.suspendMs)
  }
}
