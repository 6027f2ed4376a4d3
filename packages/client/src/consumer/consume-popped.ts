import { PROPERTY, RocketError } from '@skylarkmq/remoting/protocol'
import type { ClientCore } from '../core/types.ts'
import { AssignedQueue, queueKey } from './assigned-queue.ts'
import type { BrokerCalls } from './broker-calls.ts'
import type { HandlerRunner, Leases } from './handler.ts'
import type { PopCalls } from './pop-calls.ts'
import type { PopEntry, PoppedRecord } from './popped.ts'
import type { Settlement } from './received-message.ts'
import type { Subscriptions } from './subscriptions.ts'
import { matchesTags } from './subscriptions.ts'
import { Wakeup } from './wakeup.ts'

/** How long a failed message stays away, by how often it failed (RocketMQ 5.3 `ConsumerConfig#popDelayLevel`, `ConsumeMessagePopConcurrentlyService`). */
const RETRY_DELAYS_S = [10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200]
/** RocketMQ's delay levels, from 1. */
const LEVELS_S = [1, 5, 10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200]
const GIVE_BACK_MS = 1000
const LOOKS_PER_LEASE = 6
const FRESH_SHARE = 0.75
const LOOK_MAX_MS = 5000

export interface PoppedOptions {
  readonly core: ClientCore
  readonly calls: BrokerCalls
  readonly popCalls: PopCalls
  readonly subscriptions: Subscriptions
  readonly runner: HandlerRunner
  /** Handler calls at a time. */
  readonly concurrency: () => number
  readonly batchSize: number
  /** Messages of one source that are here and not settled. */
  readonly cachedMessages: () => number
  readonly maxReconsumeTimes: number
  readonly invisibleMs: number
  /** A handler call has ended. */
  readonly onSlotFree: () => void
}

/** Popped messages of one queue that wait for a handler. `assigned` is the queue as handlers see it: it is with nobody for good. */
interface Lane {
  readonly assigned: AssignedQueue
  readonly waiting: PopEntry[]
}

/**
 * Hands popped messages to handlers. Each message is ours for a time of its own, whatever becomes of queues: it is acknowledged or given
 * another time; what is neither comes again to any member, when its time is up.
 */
export class PoppedConsumption implements Leases {
  readonly #options: PoppedOptions
  readonly #lanes = new Map<string, Lane>()
  /** Lanes with waiting messages, in turn. */
  #line: Lane[] = []
  readonly #inHand = new Set<PopEntry>()
  readonly #sources = new WeakMap<PoppedRecord, AssignedQueue>()
  readonly #goodbyes = new Set<Promise<void>>()
  readonly #drained = new Wakeup()
  #inFlight = 0
  #isPaused = false
  #isClosing = false
  #watch: { cancel(): void } | undefined

  constructor(options: PoppedOptions) {
    this.#options = options
  }

  get inFlight(): number {
    return this.#inFlight
  }

  room(source: AssignedQueue): number {
    return this.#options.cachedMessages() - source.poppedMessages
  }

  onPopped(source: AssignedQueue, entries: readonly PopEntry[]): void {
    const { subscriptions, maxReconsumeTimes } = this.#options
    if (this.#isClosing) return this.giveBack(entries)
    this.#watch ??= this.#startWatch()
    const subscription = subscriptions.of(source.queue.topic)
    for (const entry of entries) {
      const { message, record } = entry
      if (!matchesTags(subscription, message.properties.get(PROPERTY.TAGS))) {
        this.#acknowledge(record)
        continue
      }
      this.#sources.set(record, source)
      source.poppedMessages++
      // Whoever had it last never said what became of it.
      if (maxReconsumeTimes >= 0 && message.reconsumeTimes > maxReconsumeTimes) void this.#giveUp(entry)
      else this.#wait(entry)
    }
    this.pump()
  }

  /** Nobody has worked on them: they may be delivered again at once. */
  giveBack(entries: readonly PopEntry[]): void {
    const { popCalls, core } = this.#options
    for (const entry of entries) {
      this.#forget(entry)
      if (entry.record.hasFailed) continue
      entry.record.hasFailed = true
      const goodbye = popCalls.change(entry.record, GIVE_BACK_MS).then(
        () => undefined,
        (error) => core.log.debug('a message could not be given back; it comes again when its time is up', { error }),
      )
      this.#goodbyes.add(goodbye)
      void goodbye.then(() => this.#goodbyes.delete(goodbye))
    }
  }

  pause(): void {
    this.#isPaused = true
  }

  resume(): void {
    this.#isPaused = false
    this.pump()
  }

  /** Resolves with whether all handlers ended in time. */
  async drain(ms: number): Promise<boolean> {
    const { clock } = this.#options.core
    this.#isClosing = true
    for (const lane of this.#line.splice(0)) this.giveBack(lane.waiting.splice(0))
    const deadline = clock.monotonic() + ms
    while (this.#inFlight > 0) {
      const rest = deadline - clock.monotonic()
      if (rest <= 0) break
      await this.#drained.wait(clock, rest)
    }
    this.#watch?.cancel()
    for (const entry of this.#inHand) {
      this.#forget(entry)
      entry.controller?.abort(new RocketError('the consumer is closing', { code: 'ABORTED', phase: 'consume' }))
    }
    return this.#inFlight === 0
  }

  /** Resolves when brokers know what was settled. */
  async farewell(): Promise<void> {
    await Promise.all([this.#options.popCalls.settled(), ...this.#goodbyes])
  }

  deadline(entry: PopEntry): number {
    const { clock } = this.#options.core
    return clock.now() + entry.expiresMs - clock.monotonic()
  }

  async extend(entries: readonly PopEntry[], ms = this.#options.invisibleMs): Promise<void> {
    await Promise.all(entries.map((entry) => this.#extend(entry, ms)))
  }

  async #extend(entry: PopEntry, ms: number): Promise<void> {
    const { core, popCalls } = this.#options
    const until = core.clock.monotonic() + ms
    if (entry.done || entry.expiresMs >= until) return
    if (await popCalls.change(entry.record, ms)) {
      entry.expiresMs = Math.max(entry.expiresMs, until)
      return
    }
    const { messageId, topic } = entry.message
    throw new RocketError(`message ${messageId} is not this consumer's any more: its time is up, and it is delivered to another one`, {
      code: 'ABORTED',
      phase: 'consume',
      topic,
    })
  }

  pump(): void {
    const { concurrency, batchSize } = this.#options
    while (!this.#isPaused && !this.#isClosing && this.#line.length > 0 && this.#inFlight < concurrency()) {
      const lane = this.#line.shift() as Lane
      const entries = lane.waiting.splice(0, batchSize)
      if (lane.waiting.length > 0) this.#line.push(lane)
      if (entries.length > 0) void this.#consume(lane.assigned, entries)
    }
  }

  #wait(entry: PopEntry): void {
    const { record } = entry
    const queue = { topic: record.originTopic, brokerName: record.brokerName, queueId: record.queueId }
    const key = queueKey(queue)
    let lane = this.#lanes.get(key)
    if (!lane) this.#lanes.set(key, (lane = { assigned: new AssignedQueue(queue, 0), waiting: [] }))
    if (lane.waiting.length === 0) this.#line.push(lane)
    lane.waiting.push(entry)
  }

  async #consume(assigned: AssignedQueue, entries: readonly PopEntry[]): Promise<void> {
    const { core, runner, onSlotFree } = this.#options
    this.#inFlight++
    let holdsSlot = true
    const giveUpSlot = () => {
      if (!holdsSlot) return
      holdsSlot = false
      this.#inFlight--
      this.#drained.wake()
      // Pulled messages and popped ones take turns.
      onSlotFree()
      this.pump()
    }
    for (const entry of entries) {
      this.#inHand.add(entry)
      entry.taken = true
      entry.takenMs = core.clock.monotonic()
      entry.onExpired = giveUpSlot
    }
    const source = this.#sources.get((entries[0] as PopEntry).record)
    if (source) source.lastConsumeMs = core.clock.now()
    const ours = await this.#refresh(entries)
    const settlements = ours.length === 0 ? [] : await runner.run(assigned, ours)
    await Promise.all(ours.map((entry, i) => this.#settle(entry, settlements[i] as Settlement)))
    giveUpSlot()
  }

  /** A handler gets a message with nearly all of its time. Those that are still ours. */
  async #refresh(entries: readonly PopEntry[]): Promise<readonly PopEntry[]> {
    const { core, invisibleMs } = this.#options
    const enough = core.clock.monotonic() + FRESH_SHARE * invisibleMs
    if (entries.every((entry) => entry.expiresMs >= enough)) return entries
    const outcomes = await Promise.allSettled(
      entries.map((entry) => (entry.expiresMs >= enough ? undefined : this.#extend(entry, invisibleMs))),
    )
    return entries.filter((entry, i) => {
      if (outcomes[i]?.status === 'fulfilled' && !entry.done) return true
      this.#inHand.delete(entry)
      this.#forget(entry)
      return false
    })
  }

  async #settle(entry: PopEntry, settlement: Settlement): Promise<void> {
    const { maxReconsumeTimes } = this.#options
    this.#inHand.delete(entry)
    // Its time is up, and the handler was told so: a handler that ends for that reason has not consumed it.
    if (entry.done) return
    if (settlement.kind === 'ack') {
      this.#acknowledge(entry.record)
      this.#forget(entry)
    } else if (settlement.kind === 'release') {
      entry.taken = false
      if (this.#isClosing) this.giveBack([entry])
      else this.#wait(entry)
    } else {
      const { reconsumeTimes } = entry.message
      const isOver = settlement.delayLevel < 0 || (maxReconsumeTimes >= 0 && reconsumeTimes >= maxReconsumeTimes)
      await (isOver ? this.#giveUp(entry) : this.#retry(entry, settlement.delayLevel))
    }
  }

  /** An acknowledgement ends the whole record: it waits for all messages of it, and does not come when one failed. */
  #acknowledge(record: PoppedRecord): void {
    if (--record.open <= 0 && !record.hasFailed) this.#options.popCalls.ack(record)
  }

  async #retry(entry: PopEntry, delayLevel: number): Promise<void> {
    const { core, popCalls } = this.#options
    const { reconsumeTimes } = entry.message
    const seconds =
      delayLevel > 0
        ? LEVELS_S[Math.min(delayLevel, LEVELS_S.length) - 1]
        : RETRY_DELAYS_S[Math.min(reconsumeTimes, RETRY_DELAYS_S.length - 1)]
    entry.record.hasFailed = true
    try {
      await popCalls.change(entry.record, (seconds as number) * 1000)
    } catch (error) {
      const fields = { topic: entry.message.topic, messageId: entry.message.messageId, error }
      core.log.warn('a failed message could not be put off; it comes again when its time is up', fields)
    }
    this.#forget(entry)
  }

  /** To the dead letters. A broker does not do that by itself with what is popped. */
  async #giveUp(entry: PopEntry): Promise<void> {
    if (await this.#options.calls.passOn(entry.message, -1, this.#options.maxReconsumeTimes)) {
      this.#acknowledge(entry.record)
      this.#forget(entry)
    } else await this.#retry(entry, 0)
  }

  /** It counts no more in what may be here. */
  #forget(entry: PopEntry): void {
    if (entry.done) return
    entry.done = true
    const source = this.#sources.get(entry.record)
    if (source === undefined) return
    source.poppedMessages--
    source.changed.wake()
  }

  #startWatch(): { cancel(): void } {
    const { core, invisibleMs } = this.#options
    return core.clock.every(Math.min(LOOK_MAX_MS, Math.ceil(invisibleMs / LOOKS_PER_LEASE)), () => this.#look())
  }

  /** Messages that wait get more time while handlers are busy; a handler that had its message for all of its time loses it. */
  #look(): void {
    const { core, calls, invisibleMs } = this.#options
    const now = core.clock.monotonic()
    const expired: string[] = []
    for (const entry of this.#inHand) {
      if (entry.expiresMs > now || entry.done) continue
      this.#forget(entry)
      this.#inHand.delete(entry)
      const { topic, messageId } = entry.message
      expired.push(messageId)
      const why = `the message was not consumed within ${invisibleMs} ms and is delivered again`
      entry.controller?.abort(new RocketError(why, { code: 'TIMEOUT', phase: 'consume', topic }))
      entry.onExpired?.()
    }
    if (expired.length > 0) {
      const fields = { group: calls.group, messages: expired.length, messageId: expired[0], invisibleMs }
      core.log.warn('handlers took longer than invisibleMs; their messages are delivered again', fields)
    }
    for (const lane of this.#line) {
      for (const entry of lane.waiting.filter(({ expiresMs }) => expiresMs <= now)) {
        lane.waiting.splice(lane.waiting.indexOf(entry), 1)
        this.#forget(entry)
      }
      if (this.#isPaused) continue
      for (const entry of lane.waiting) {
        if (entry.expiresMs - now > invisibleMs / 2) continue
        this.#extend(entry, invisibleMs).catch((error) => core.log.debug('a waiting message got no more time', { error }))
      }
    }
  }
}
