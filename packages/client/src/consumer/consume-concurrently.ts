import { RocketError } from '@skylarkmq/remoting/protocol'
import type { ClientCore } from '../core/types.ts'
import type { AssignedQueue } from './assigned-queue.ts'
import type { BrokerCalls } from './broker-calls.ts'
import type { ConsumeService } from './consume-service.ts'
import type { HandlerRunner, Leases } from './handler.ts'
import type { CacheEntry, ProcessQueue } from './process-queue.ts'
import type { ConsumedMessage } from './received-message.ts'
import { Wakeup } from './wakeup.ts'

/** A message that no broker takes back is tried again here (RocketMQ `ConsumeMessageConcurrentlyService#submitConsumeRequestLater`). */
const LOCAL_RETRY_MS = 5000
const EXPIRY_SWEEP_MAX_MS = 15_000
/** RocketMQ `ProcessQueue#cleanExpiredMsg`: so many of one queue in a sweep, with this delay level. */
const EXPIRED_PER_SWEEP = 16
const EXPIRED_DELAY_LEVEL = 3

type Entry = CacheEntry<ConsumedMessage>

export interface ConcurrentOptions {
  readonly core: ClientCore
  readonly calls: BrokerCalls
  readonly runner: HandlerRunner
  /** Handler calls at a time. */
  readonly concurrency: () => number
  /** Messages for one handler call. */
  readonly batchSize: number
  readonly maxReconsumeTimes: number
  /** A handler that has a message for longer loses it: the message is delivered again later. */
  readonly consumeTimeoutMs: number
  /** Broadcast consumers have no retry topic: a failed message is dropped. */
  readonly isBroadcasting: boolean
  readonly queues: () => readonly AssignedQueue[]
  /** Queues of the subscribed topics, without the retry topic's. */
  readonly queueCount: () => number
  /** A handler call has ended. */
  readonly onSlotFree?: () => void
}

/**
 * Hands messages to handlers, several at a time, in no particular order. Queues take turns, and with more than one queue none may hold
 * more than three quarters of the handlers, so a queue of slow messages does not hold up the others.
 */
export class ConcurrentConsumption implements ConsumeService, Leases {
  readonly #options: ConcurrentOptions
  /** Queues that may have messages for handlers, in turn. */
  #line: AssignedQueue[] = []
  #inFlight = 0
  #isPaused = false
  #isClosing = false
  readonly #drained = new Wakeup()
  #sweeper: { cancel(): void } | undefined

  constructor(options: ConcurrentOptions) {
    this.#options = options
    if (!options.isBroadcasting) options.runner.leases = this
  }

  get inFlight(): number {
    return this.#inFlight
  }

  deadline(entry: Entry): number {
    const { clock } = this.#options.core
    return clock.now() + entry.expiresMs - clock.monotonic()
  }

  async extend(entries: readonly Entry[], ms = this.#options.consumeTimeoutMs): Promise<void> {
    const until = this.#options.core.clock.monotonic() + ms
    for (const entry of entries) if (entry.expiresMs < until) entry.expiresMs = until
  }

  onMessages(assigned: AssignedQueue): void {
    if (!assigned.isInLine) {
      assigned.isInLine = true
      this.#line.push(assigned)
    }
    this.pump()
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    for (const assigned of this.#options.queues()) this.onMessages(assigned)
  }

  async release(): Promise<boolean> {
    return true
  }

  async drain(ms: number): Promise<boolean> {
    this.#isClosing = true
    this.#sweeper?.cancel()
    const { clock } = this.#options.core
    const deadline = clock.monotonic() + ms
    while (this.#inFlight > 0) {
      const rest = deadline - clock.monotonic()
      if (rest <= 0) return false
      await this.#drained.wait(clock, rest)
    }
    return true
  }

  #share(): number {
    const concurrency = this.#options.concurrency()
    if (this.#options.queueCount() < 2) return concurrency
    return Math.max(1, concurrency - Math.max(1, Math.floor(concurrency / 4)))
  }

  pump(): void {
    const concurrency = this.#options.concurrency()
    if (this.#isPaused || this.#isClosing || this.#inFlight >= concurrency) return
    const share = this.#share()
    let full = 0
    while (this.#inFlight < concurrency && this.#line.length > full) {
      const assigned = this.#line.shift() as AssignedQueue
      if (assigned.isDropped || !assigned.cache.hasUntaken) {
        assigned.isInLine = false
        continue
      }
      this.#line.push(assigned)
      if (assigned.inFlight >= share) {
        full++
        continue
      }
      full = 0
      const entries = assigned.cache.take(this.#options.batchSize)
      if (entries.length > 0) void this.#consume(assigned, assigned.cache, entries)
    }
  }

  async #consume(assigned: AssignedQueue, cache: ProcessQueue<ConsumedMessage>, entries: Entry[]): Promise<void> {
    const { clock } = this.#options.core
    this.#sweeper ??= clock.every(Math.min(this.#options.consumeTimeoutMs, EXPIRY_SWEEP_MAX_MS), () => this.#sweep())
    this.#inFlight++
    assigned.begin()
    let holdsSlot = true
    const giveUpSlot = () => {
      if (!holdsSlot) return
      holdsSlot = false
      this.#inFlight--
      assigned.end()
      this.#drained.wake()
      this.#options.onSlotFree?.()
      this.pump()
    }
    const takenMs = clock.monotonic()
    for (const entry of entries) {
      entry.takenMs = takenMs
      entry.expiresMs = takenMs + this.#options.consumeTimeoutMs
      entry.onExpired = giveUpSlot
    }
    assigned.lastConsumeMs = clock.now()
    const settlements = await this.#options.runner.run(assigned, entries)
    for (let i = 0; i < entries.length; i++) {
      const entry = entries[i] as Entry
      const settlement = settlements[i]
      // Another member owns the queue now, or the offset was set anew: the message comes again or is not wanted.
      if (settlement === undefined || entry.done || assigned.isDropped || assigned.cache !== cache) continue
      if (settlement.kind === 'ack') cache.complete(entry)
      else if (settlement.kind === 'release') cache.release([entry])
      else await this.#fail(assigned, cache, entry, settlement.delayLevel)
    }
    giveUpSlot()
    if (cache.hasUntaken) this.onMessages(assigned)
  }

  async #fail(assigned: AssignedQueue, cache: ProcessQueue<ConsumedMessage>, entry: Entry, delayLevel: number): Promise<void> {
    const { core, calls, maxReconsumeTimes } = this.#options
    if (this.#options.isBroadcasting) {
      core.log.warn('a broadcast message failed and is dropped', { ...assigned.queue, offset: entry.offset })
      cache.complete(entry)
      return
    }
    if (await calls.passOn(entry.message, delayLevel, maxReconsumeTimes)) {
      cache.complete(entry)
      return
    }
    core.clock.after(LOCAL_RETRY_MS, () => {
      if (assigned.isDropped || assigned.cache !== cache || this.#isClosing) return
      entry.message.reconsumeTimes++
      cache.release([entry])
      this.onMessages(assigned)
    })
  }

  async #sweep(): Promise<void> {
    const { core, calls, consumeTimeoutMs, isBroadcasting, maxReconsumeTimes, queues } = this.#options
    if (isBroadcasting) return
    for (const assigned of queues()) {
      const { cache } = assigned
      const now = core.clock.monotonic()
      const expired: Entry[] = []
      for (const entry of cache.inHand()) {
        if (entry.expiresMs > now) continue
        if (expired.push(entry) === EXPIRED_PER_SWEEP) break
      }
      for (const entry of expired) {
        if (entry.done || !(await calls.passOn(entry.message, EXPIRED_DELAY_LEVEL, maxReconsumeTimes))) break
        if (!cache.complete(entry)) continue
        core.log.warn('a message took longer than consumeTimeoutMs; it is delivered again', { ...assigned.queue, offset: entry.offset })
        const why = `the message was not consumed within ${consumeTimeoutMs} ms and is delivered again`
        entry.controller?.abort(new RocketError(why, { code: 'TIMEOUT', phase: 'consume', topic: entry.message.topic }))
        entry.onExpired?.()
      }
    }
  }
}
