import type { ConsumerData, MessageQueue } from '@skylarkmq/remoting/protocol'
import { NotifyConsumerIdsChanged, retryTopic } from '@skylarkmq/remoting/protocol'
import { EventEmitter } from 'node:events'
import type { ClientCore, GroupMember } from '../core/types.ts'
import { queueWithoutNamespace } from '../namespace.ts'
import { abortAll, AssignedQueue, Assignment, queueKey } from './assigned-queue.ts'
import { BrokerCalls } from './broker-calls.ts'
import type { ConsumeService } from './consume-service.ts'
import type { ConsumerEvents, EngineOptions } from './engine-options.ts'
import { checkExpression } from './expression-check.ts'
import type { OffsetStore, QueueOffset } from './offset-store.ts'
import { localOffsetStore, remoteOffsetStore } from './offset-store.ts'
import { QueueLocks } from './queue-locks.ts'
import type { PopHooks } from './queue-loops.ts'
import { QueueLoops } from './queue-loops.ts'
import { Rebalancer } from './rebalance.ts'
import { reportStalls } from './stall-report.ts'
import { consumeFromWhere, firstOffset } from './start-offset.ts'
import type { Subscription } from './subscriptions.ts'
import { subscriptionData, Subscriptions } from './subscriptions.ts'
import { within } from './wakeup.ts'

const PERSIST_INTERVAL_MS = 5000
/** What talking to brokers may take when a consumer closes; with none left it takes nothing. */
const GOODBYE_MS = 1000

/**
 * What push and pull consumers share: membership, rebalancing, a pull loop per queue, offsets, the way to the end. What happens to
 * cached messages is the service's part.
 */
export class ConsumerEngine {
  readonly core: ClientCore
  readonly options: EngineOptions
  readonly calls: BrokerCalls
  readonly subscriptions = new Subscriptions()
  readonly assignment = new Assignment()
  readonly offsets: OffsetStore
  readonly locks: QueueLocks | undefined
  readonly events = new EventEmitter<ConsumerEvents>()
  readonly startedMs: number
  /** Set by the owner before `start`. */
  service!: ConsumeService
  /** With a `delivery` other than `pull`: set by the owner before `start`. */
  popHooks: PopHooks | undefined
  isPaused = false
  readonly #rebalancer: Rebalancer
  readonly #member: GroupMember
  readonly #loops: QueueLoops
  readonly #undo: (() => void)[] = []
  #isClosing = false
  /** Queues are shared with the group, by rebalancing. */
  #isSharing = false

  constructor(core: ClientCore, options: EngineOptions) {
    this.core = core
    this.options = options
    this.startedMs = core.clock.now()
    this.calls = new BrokerCalls(core, options.group)
    const isClustering = options.model === 'CLUSTERING'
    this.offsets = isClustering
      ? remoteOffsetStore(this.calls, core.clock, core.log)
      : localOffsetStore(core.runtime.disk, options.offsetFile, core.log)
    for (const [topic, subscription] of Object.entries(options.subscriptions)) this.subscriptions.set(topic, subscription, core.clock.now())
    if (isClustering && options.consumeType === 'CONSUME_PASSIVELY') {
      this.subscriptions.set(retryTopic(options.group), '*', core.clock.now())
    }
    this.locks =
      isClustering && options.isOrderly
        ? new QueueLocks(this.calls, () => this.assignment.all, {
            regained: (assigned) => this.#catchUp(assigned),
            locked: (assigned) => this.service.onMessages(assigned),
          })
        : undefined
    this.#rebalancer = new Rebalancer({
      core,
      calls: this.calls,
      subscriptions: this.subscriptions,
      assignment: this.assignment,
      model: options.model,
      strategy: options.strategy,
      delivery: options.delivery ?? 'pull',
      hooks: {
        ...(this.locks ? { lock: (queues: readonly MessageQueue[]) => (this.locks as QueueLocks).acquire(queues) } : {}),
        startOffset: (queue) => this.startOffset(queue),
        assigned: (assigned) => this.adopt(assigned),
        release: (assigned) => this.#release(assigned),
        changed: () => this.#changed(),
      },
    })
    this.#loops = new QueueLoops({
      popHooks: () => this.popHooks,
      popsFromFirst: options.consumeFrom === 'first',
      pull: {
        core,
        calls: this.calls,
        subscriptions: this.subscriptions,
        limits: options.limits,
        isClustering,
        isLite: options.consumeType === 'CONSUME_ACTIVELY',
        troubled: new Set(),
        isPaused: () => this.isPaused || this.#isClosing,
        mayPull: async (assigned) => this.locks === undefined || this.locks.isValid(assigned),
        onMessages: (assigned) => this.service.onMessages(assigned),
        onOffsetMoved: (assigned, offset) => void this.offsets.persist([[assigned.queue, offset]]),
      },
    })
    this.#member = {
      kind: 'consumer',
      group: options.group,
      consumerData: () => this.#consumerData(),
      topics: () => new Set([...this.subscriptions.topics, ...this.assignment.all.map((assigned) => assigned.queue.topic)]),
    }
  }

  get isClosing(): boolean {
    return this.#isClosing
  }

  /**
   * Joins the group; resolves when the first share of queues is taken. Rejects when no NameServer can be reached, or a broker refuses
   * an expression. A topic that does not exist yet is waited for.
   */
  async start(): Promise<void> {
    const { core, options } = this
    core.registerGroup(this.#member)
    this.#undo.push(
      core.onNotification(NotifyConsumerIdsChanged, (request) => {
        if (request.consumerGroup === options.group) this.#rebalancer.wake()
        return undefined
      }),
    )
    const onRoute = (topic: string) => {
      if (this.subscriptions.of(topic)) this.#rebalancer.wake()
    }
    core.events.on('routeChanged', onRoute)
    this.#undo.push(() => core.events.off('routeChanged', onRoute))
    try {
      for (const topic of Object.keys(options.subscriptions)) {
        const queues = await core.subscribeQueues(topic)
        if (queues.length === 0) core.log.warn('a subscribed topic does not exist yet; it is waited for', { topic, group: options.group })
      }
      for (const subscription of this.subscriptions.all) await checkExpression(core, options.group, subscription)
    } catch (error) {
      for (const undo of this.#undo.splice(0)) undo()
      await core.unregisterGroup(this.#member)
      throw error
    }
    await core.heartbeatNow()
    if (!options.isAssignedByHand?.()) await this.#startSharing()
    if (this.#isClosing) return
    const persisting = core.clock.every(PERSIST_INTERVAL_MS, () => (options.isAutoCommit ? this.persist() : undefined))
    this.#undo.push(() => persisting.cancel())
    this.#reportStalls()
    this.locks?.start()
    core.log.info('consumer started', { group: options.group, topics: this.subscriptions.topics, queues: this.assignment.size })
  }

  #reportStalls(): void {
    const { core, options, locks, events } = this
    const { stalledAfterMs, group } = options
    if (!(stalledAfterMs > 0)) return
    const stop = reportStalls({
      core,
      group,
      events,
      stalledAfterMs,
      queues: () => this.assignment.all,
      isPaused: () => this.isPaused,
      mayConsume: (assigned) => !locks || locks.isValid(assigned),
    })
    this.#undo.push(stop)
  }

  async subscribe(topic: string, subscription: Subscription): Promise<void> {
    // Refused, it leaves things as they were.
    await checkExpression(this.core, this.options.group, subscriptionData(topic, subscription, 0n))
    this.subscriptions.set(topic, subscription, this.core.clock.now())
    await this.core.subscribeQueues(topic)
    await this.core.heartbeatNow()
    if (this.#isSharing) this.#rebalancer.wake()
    else await this.#startSharing()
  }

  async #startSharing(): Promise<void> {
    this.#isSharing = true
    await this.#rebalancer.start()
  }

  async unsubscribe(topic: string): Promise<void> {
    if (!this.subscriptions.delete(topic)) return
    await this.core.heartbeatNow()
    this.#rebalancer.wake()
  }

  /** By hand: exactly these queues from now on. Rejects when it cannot be known where to begin in one of them. */
  async assign(queues: readonly MessageQueue[], filters: Readonly<Record<string, Subscription>>): Promise<void> {
    const filtered = Object.entries(filters)
    for (const [topic, subscription] of filtered) this.subscriptions.set(topic, subscription, this.core.clock.now())
    if (filtered.length > 0) await this.core.heartbeatNow()
    for (const topic of new Set(queues.map((queue) => queue.topic))) await this.core.subscribeQueues(topic)
    const keys = new Set(queues.map(queueKey))
    for (const assigned of this.assignment.all.filter(({ key }) => !keys.has(key))) {
      assigned.drop()
      await this.#release(assigned)
      this.assignment.delete(assigned)
    }
    const fresh = queues.filter((queue) => this.assignment.get(queue) === undefined)
    const added = await Promise.all(fresh.map(async (queue) => new AssignedQueue(queue, await this.startOffset(queue))))
    for (const assigned of added) {
      this.assignment.add(assigned)
      this.adopt(assigned)
    }
    this.#emitAssigned()
  }

  async startOffset(queue: MessageQueue): Promise<number> {
    return (await this.offsets.read(queue)) ?? (await firstOffset(this.calls, queue, this.options.consumeFrom))
  }

  /** Starts pulling a queue that is ours now. */
  adopt(assigned: AssignedQueue): void {
    this.locks?.attach(assigned)
    assigned.lastAnswerMs = this.core.clock.monotonic()
    this.#loops.start(assigned)
  }

  pause(): void {
    this.isPaused = true
    this.service.pause()
  }

  resume(): void {
    this.isPaused = false
    this.service.resume()
    for (const assigned of this.assignment.all) assigned.changed.wake()
  }

  /** Stores what is consumed. With a time, waits for the store's answer that long. */
  persist(timeoutMs?: number, queues: readonly AssignedQueue[] = this.assignment.all): Promise<void> {
    const offsets: QueueOffset[] = []
    for (const assigned of queues) {
      const offset = assigned.cache.committableOffset
      // Without a valid lock the queue may be with somebody who is further.
      if (offset === undefined || assigned.isPopped || (this.locks && !this.locks.isValid(assigned))) continue
      offsets.push([assigned.queue, offset])
    }
    return this.offsets.persist(offsets, timeoutMs)
  }

  /** Continue from other offsets, and let the store know at once. */
  async reset(offsets: readonly QueueOffset[]): Promise<void> {
    for (const [queue, offset] of offsets) this.assignment.get(queue)?.reset(offset)
    await this.offsets.persist(offsets, GOODBYE_MS)
  }

  /**
   * Leaves the group. Handlers at work get `drainMs`, then their signals abort. Progress is stored, locks are released, brokers are
   * told. Always resolves, at most a second after `drainMs`.
   */
  async close(drainMs: number): Promise<void> {
    if (this.#isClosing) return
    this.#isClosing = true
    const { core, options } = this
    for (const undo of this.#undo.splice(0)) undo()
    this.locks?.stop()
    const stopping = this.#rebalancer.stop()
    for (const assigned of this.assignment.all) assigned.pullAbort?.abort()
    const isDrained = await this.service.drain(drainMs)
    const queues = this.assignment.all
    if (!isDrained) {
      core.log.warn('handlers did not end in time; their messages are delivered again', { group: options.group, drainMs })
      for (const assigned of queues) abortAll(assigned.cache, `the consumer of group ${options.group} is closing`)
    }
    const goodbye = async () => {
      const settled = this.service.farewell?.()
      if (options.isAutoCommit) await this.persist(GOODBYE_MS, queues)
      // A queue whose handler still runs keeps its lock until the broker lets it expire.
      const idle = queues.filter((assigned) => assigned.inFlight === 0).map((assigned) => assigned.queue)
      if (idle.length > 0) await this.locks?.unlock(idle, GOODBYE_MS)
      await settled
    }
    await within(core.clock, GOODBYE_MS / 2, goodbye())
    for (const assigned of queues) assigned.drop()
    await within(
      core.clock,
      GOODBYE_MS / 2,
      Promise.all([core.unregisterGroup(this.#member, GOODBYE_MS / 2), stopping, this.#loops.ended()]),
    )
    core.log.info('consumer closed', { group: options.group })
  }

  /** After a lost lock: somebody else may have gone further. */
  async #catchUp(assigned: AssignedQueue): Promise<void> {
    const stored = await this.offsets.read(assigned.queue)
    if (stored !== undefined && stored > (assigned.cache.committableOffset ?? -1)) assigned.reset(stored)
  }

  async #release(assigned: AssignedQueue): Promise<boolean> {
    if (!(await this.service.release(assigned))) return false
    if (this.options.isAutoCommit) await this.persist(GOODBYE_MS, [assigned])
    await this.locks?.unlock([assigned.queue], GOODBYE_MS)
    return true
  }

  async #changed(): Promise<void> {
    await this.core.heartbeatNow()
    this.#emitAssigned()
  }

  /** The queues of this member, as the application knows them. */
  get queues(): readonly MessageQueue[] {
    return this.assignment.all.map((assigned) => queueWithoutNamespace(this.core.namespace, assigned.queue))
  }

  #emitAssigned(): void {
    this.events.emit('assigned', this.queues)
  }

  #consumerData(): ConsumerData {
    const { group, consumeType, model, consumeFrom } = this.options
    return {
      groupName: group,
      consumeType,
      messageModel: model,
      consumeFromWhere: consumeFromWhere(consumeFrom),
      subscriptionDataSet: this.subscriptions.all,
      unitMode: false,
    }
  }
}
