import type { MessageQueue } from '@skylarkmq/remoting/protocol'
import { RocketError } from '@skylarkmq/remoting/protocol'
import type { EventEmitter } from 'node:events'
import type { ProducerCore } from '../core/client-core.ts'
import type { CloseOptions } from '../core/types.ts'
import { queueWithNamespace, queueWithoutNamespace, withNamespace } from '../namespace.ts'
import { averagely } from './allocation/simple.ts'
import type { AllocationStrategy } from './allocation/types.ts'
import type { AssignedQueue } from './assigned-queue.ts'
import type { ConsumeService } from './consume-service.ts'
import type { ConsumerEvents } from './engine-options.ts'
import { ConsumerEngine } from './consumer-engine.ts'
import type { CacheEntry, ProcessQueue } from './process-queue.ts'
import { checkSubscriptions, closedError, mapTopics } from './push-consumer.ts'
import type { ConsumedMessage, ReceivedMessage } from './received-message.ts'
import type { ConsumeFrom } from './start-offset.ts'
import type { Subscription } from './subscriptions.ts'
import { Wakeup } from './wakeup.ts'

export interface PullConsumerOptions {
  readonly group: string
  /** Topic → expression: the group's members share the queues. Leave it out to choose queues with `assign`. */
  readonly subscriptions?: Readonly<Record<string, Subscription>>
  /** Where a new group begins. Default `last`. */
  readonly consumeFrom?: ConsumeFrom
  /** What earlier polls gave is committed every five seconds and when queues are given away. Default true. */
  readonly autoCommit?: boolean
  readonly allocation?: AllocationStrategy
  /** Messages asked for at once. Default 32. */
  readonly pullBatchSize?: number
  /** Messages of one queue that are held here. Default 1000. */
  readonly cachedMessagesPerQueue?: number
  /** Default 100 MiB. */
  readonly cachedBytesPerQueue?: number
}

export interface AssignOptions {
  /** Topic → expression, for topics of which not every message is wanted. */
  readonly filters?: Readonly<Record<string, Subscription>>
}

export interface PollOptions {
  /** Default 32. */
  readonly max?: number
  /** How long to wait for the first message. Default 5000. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

interface Polled {
  readonly assigned: AssignedQueue
  readonly cache: ProcessQueue<ConsumedMessage>
  readonly entry: CacheEntry<ConsumedMessage>
}

const DEFAULT_POLL_MS = 5000
const COMMIT_TIMEOUT_MS = 3000

/** Nothing is handed out: messages wait until they are polled. */
class WaitingMessages implements ConsumeService {
  readonly arrived = new Wakeup()

  onMessages(): void {
    this.arrived.wake()
  }

  async release(): Promise<boolean> {
    return true
  }

  pause(): void {}
  resume(): void {}

  async drain(): Promise<boolean> {
    this.arrived.wake()
    return true
  }
}

/**
 * Gives messages when asked. What a poll gave counts as consumed when the next poll begins or `commit` is called, so that a consumer
 * that stops in the middle repeats messages and never loses one.
 */
export class PullConsumer implements AsyncDisposable {
  readonly #engine: ConsumerEngine
  readonly #waiting = new WaitingMessages()
  readonly #ownsCore: boolean
  readonly #forget: () => void
  readonly #group: string
  /** Until something is subscribed to, the application chooses its queues. */
  #isByHand = true
  #polled: Polled[] = []
  /** Which queue is asked first in the next poll. */
  #turn = 0
  #starting: Promise<void> | undefined
  #closing: Promise<void> | undefined

  constructor(core: ProducerCore, ownsCore: boolean, options: PullConsumerOptions) {
    const subscriptions = options.subscriptions ?? {}
    checkSubscriptions(options.group, subscriptions)
    checkSubscriptions(withNamespace(core.namespace, options.group), mapTopics(core.namespace, subscriptions))
    this.#ownsCore = ownsCore
    this.#group = options.group
    const { namespace } = core
    this.#engine = new ConsumerEngine(core, {
      group: withNamespace(namespace, options.group),
      subscriptions: mapTopics(namespace, subscriptions),
      model: 'CLUSTERING',
      consumeType: 'CONSUME_ACTIVELY',
      isOrderly: false,
      isAssignedByHand: () => this.#isByHand,
      consumeFrom: options.consumeFrom ?? 'last',
      strategy: options.allocation ?? averagely,
      isAutoCommit: options.autoCommit ?? true,
      limits: {
        batchSize: options.pullBatchSize ?? 32,
        suspendMs: 20_000,
        cachedMessages: options.cachedMessagesPerQueue ?? 1000,
        cachedBytes: options.cachedBytesPerQueue ?? 100 * 1024 * 1024,
        span: Number.POSITIVE_INFINITY,
      },
      // The application decides how fast it polls.
      stalledAfterMs: 0,
      offsetFile: '',
    })
    this.#isByHand = Object.keys(subscriptions).length === 0
    this.#engine.service = this.#waiting
    this.#forget = core.onClose((closeOptions) => this.close(closeOptions))
  }

  get group(): string {
    return this.#group
  }

  get queues(): readonly MessageQueue[] {
    return this.#engine.queues
  }

  get events(): EventEmitter<ConsumerEvents> {
    return this.#engine.events
  }

  /** Joins the group. `poll` and `assign` do it when it was not done. */
  start(): Promise<void> {
    if (this.#closing) return Promise.reject(closedError(this.group))
    this.#starting ??= this.#engine.start().catch((error) => {
      this.#starting = undefined
      throw error
    })
    return this.#starting
  }

  /** Takes a topic in, or changes its expression: its queues are shared with the group. Not together with `assign`. */
  async subscribe(topic: string, subscription: Subscription): Promise<void> {
    checkSubscriptions(this.#group, { [topic]: subscription })
    if (this.#isByHand && this.#engine.assignment.size > 0) throw this.#either('it has assigned queues; a subscription would share others')
    this.#isByHand = false
    await this.start()
    await this.#engine.subscribe(this.#named(topic), subscription)
  }

  async unsubscribe(topic: string): Promise<void> {
    await this.#engine.unsubscribe(this.#named(topic))
  }

  /** All readable queues of a topic: what `assign` chooses from. */
  async topicQueues(topic: string): Promise<readonly MessageQueue[]> {
    const { core } = this.#engine
    return (await core.subscribeQueues(this.#named(topic))).map((queue) => queueWithoutNamespace(core.namespace, queue))
  }

  /** Calls back when the queues of a topic have changed, for those who assign by hand. Returns what ends it. */
  onQueuesChanged(topic: string, listener: (queues: readonly MessageQueue[]) => void): () => void {
    const { core } = this.#engine
    const named = this.#named(topic)
    const onRoute = (changed: string) => {
      if (changed === named) void this.topicQueues(topic).then(listener, () => undefined)
    }
    core.events.on('routeChanged', onRoute)
    return () => core.events.off('routeChanged', onRoute)
  }

  /** Reads exactly these queues from now on, without sharing them with the group. */
  async assign(queues: readonly MessageQueue[], options: AssignOptions = {}): Promise<void> {
    if (!this.#isByHand) throw this.#either('it has subscriptions and shares their queues with its group')
    await this.start()
    await this.#engine.assign(
      queues.map((queue) => this.#namedQueue(queue)),
      mapTopics(this.#engine.core.namespace, options.filters ?? {}),
    )
  }

  /** Up to `max` messages; none when `timeoutMs` pass without any. What the poll before gave counts as consumed now. */
  async poll(options: PollOptions = {}): Promise<ReceivedMessage[]> {
    await this.start()
    this.#completePolled()
    return (await this.#take(options)).map(({ entry }) => entry.message)
  }

  /**
   * Everything that was polled is consumed: stores it, and resolves when the brokers have it. With `offsets`, exactly these are stored:
   * where the group goes on in each queue.
   */
  async commit(offsets?: readonly (readonly [queue: MessageQueue, offset: number])[]): Promise<void> {
    if (offsets) {
      const named = offsets.map(([queue, offset]) => [this.#namedQueue(queue), offset] as const)
      await this.#engine.offsets.persist(named, COMMIT_TIMEOUT_MS)
      return
    }
    this.#completePolled()
    await this.#engine.persist(COMMIT_TIMEOUT_MS)
  }

  /** The next poll reads this queue from `offset`. */
  seek(queue: MessageQueue, offset: number): void {
    if (!Number.isSafeInteger(offset) || offset < 0) {
      throw new RocketError(`seek to ${offset}: an offset is a whole number from 0 on`, { code: 'BAD_ARGUMENT', topic: queue.topic })
    }
    this.#assigned(queue).reset(offset)
  }

  async seekToBegin(queue: MessageQueue): Promise<void> {
    this.seek(queue, await this.minOffset(queue))
  }

  /** After all that is stored now. */
  async seekToEnd(queue: MessageQueue): Promise<void> {
    this.seek(queue, await this.maxOffset(queue))
  }

  /** To the first message stored at or after a time. */
  async seekToTime(queue: MessageQueue, time: Date | number): Promise<void> {
    this.seek(queue, await this.offsetByTime(queue, time))
  }

  /** The first offset that the broker still has. */
  minOffset(queue: MessageQueue): Promise<number> {
    return this.#engine.calls.minOffset(this.#namedQueue(queue))
  }

  /** The offset that the next message will get. */
  maxOffset(queue: MessageQueue): Promise<number> {
    return this.#engine.calls.maxOffset(this.#namedQueue(queue))
  }

  /** The first offset stored at or after a time. */
  offsetByTime(queue: MessageQueue, time: Date | number): Promise<number> {
    return this.#engine.calls.offsetByTime(this.#namedQueue(queue), Number(time))
  }

  /** What the group has committed; undefined when nothing. */
  committedOffset(queue: MessageQueue): Promise<number | undefined> {
    return this.#engine.offsets.read(this.#namedQueue(queue))
  }

  /** Polls give nothing of these queues, or of none at all, until `resume`; what was fetched stays here. */
  pause(queues?: readonly MessageQueue[]): void {
    if (queues) for (const queue of queues) this.#assigned(queue).isPaused = true
    else this.#engine.pause()
  }

  resume(queues?: readonly MessageQueue[]): void {
    if (!queues) this.#engine.resume()
    for (const assigned of queues ? queues.map((queue) => this.#assigned(queue)) : this.#engine.assignment.all) {
      assigned.isPaused = false
      assigned.changed.wake()
    }
    this.#waiting.arrived.wake()
  }

  /** Message after message, for ever; each counts as consumed when the loop asks for the next. `close` ends the loop. */
  async *[Symbol.asyncIterator](): AsyncGenerator<ReceivedMessage, void, void> {
    await this.start()
    while (!this.#closing) {
      this.#completePolled()
      for (const { entry } of await this.#take({ max: 1 })) yield entry.message
    }
  }

  /** Commits what earlier polls gave (with `autoCommit`) and leaves the group. Always resolves. */
  close(_options: CloseOptions = {}): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    this.#forget()
    await this.#engine.close(0)
    if (this.#ownsCore) await this.#engine.core.close({ drainMs: 0 })
  }

  #named(topic: string): string {
    return withNamespace(this.#engine.core.namespace, topic)
  }

  #namedQueue(queue: MessageQueue): MessageQueue {
    return queueWithNamespace(this.#engine.core.namespace, queue)
  }

  #assigned(queue: MessageQueue): AssignedQueue {
    const assigned = this.#engine.assignment.get(this.#namedQueue(queue))
    if (assigned) return assigned
    throw new RocketError(`queue ${queue.queueId} of ${queue.topic} on ${queue.brokerName} is not this consumer's; it cannot be set`, {
      code: 'BAD_ARGUMENT',
      topic: queue.topic,
      queueId: queue.queueId,
    })
  }

  #either(why: string): RocketError {
    return new RocketError(`this consumer cannot both subscribe and assign: ${why}; create another one for it`, {
      code: 'BAD_ARGUMENT',
      group: this.#group,
    })
  }

  #completePolled(): void {
    for (const { assigned, cache, entry } of this.#polled.splice(0)) {
      if (cache.complete(entry)) assigned.changed.wake()
    }
  }

  async #take(options: PollOptions): Promise<Polled[]> {
    const { clock } = this.#engine.core
    const { max = 32, timeoutMs = DEFAULT_POLL_MS, signal } = options
    const deadline = clock.monotonic() + timeoutMs
    for (;;) {
      if (signal?.aborted) throw new RocketError('poll was aborted by its signal', { code: 'ABORTED', cause: signal.reason })
      const taken = this.#takeNow(max)
      const restMs = deadline - clock.monotonic()
      if (taken.length > 0 || restMs <= 0 || this.#closing) return taken
      await this.#waiting.arrived.wait(clock, restMs, signal)
    }
  }

  /** Queues take turns at being first, so that a busy one does not starve the others. */
  #takeNow(max: number): Polled[] {
    const queues = this.#engine.assignment.all
    const taken: Polled[] = []
    if (this.#engine.isPaused || this.#closing) return taken
    const first = this.#turn++
    for (let i = 0; i < queues.length && taken.length < max; i++) {
      const assigned = queues[(first + i) % queues.length] as AssignedQueue
      if (assigned.isDropped || assigned.isPaused) continue
      const { cache } = assigned
      for (const entry of cache.take(max - taken.length)) taken.push({ assigned, cache, entry })
    }
    this.#polled.push(...taken)
    return taken
  }
}
