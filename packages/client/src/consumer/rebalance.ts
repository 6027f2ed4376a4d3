import type { MessageModel, MessageQueue } from '@skylarkmq/remoting/protocol'
import type { ClientCore } from '../core/types.ts'
import type { AllocationStrategy } from './allocation/types.ts'
import type { Assignment } from './assigned-queue.ts'
import { AssignedQueue, compareQueues, queueKey } from './assigned-queue.ts'
import type { BrokerCalls } from './broker-calls.ts'
import type { Subscriptions } from './subscriptions.ts'
import type { Delivery, WantedQueue } from './wanted-queues.ts'
import { assignedByBroker, isPoppedTopic, poppedOf, pulled } from './wanted-queues.ts'
import { pause, Wakeup } from './wakeup.ts'

export const REBALANCE_INTERVAL_MS = 20_000
/** A storm of notices leads to one round a second (RocketMQ 5.2 `rocketmq.client.rebalance.minInterval`). */
export const REBALANCE_SPACING_MS = 1000

export interface RebalanceHooks {
  /** Orderly consumers lock: the keys of the queues that may be taken. */
  readonly lock?: (queues: readonly MessageQueue[]) => Promise<ReadonlySet<string>>
  /** Rejects when the place to begin cannot be known now: the queue waits for the next round. */
  readonly startOffset: (queue: MessageQueue) => Promise<number>
  readonly assigned: (queue: AssignedQueue) => void
  /** Gives a dropped queue away: persists, unlocks. False while a handler still works on it: tried again in the next round. */
  readonly release: (queue: AssignedQueue) => Promise<boolean>
  /** The queues of these topics have changed; subscriptions have their new version: brokers must hear of it. */
  readonly changed: (topics: readonly string[]) => Promise<void>
}

export interface RebalancerOptions {
  readonly core: ClientCore
  readonly calls: BrokerCalls
  readonly subscriptions: Subscriptions
  readonly assignment: Assignment
  readonly model: MessageModel
  readonly strategy: AllocationStrategy
  readonly delivery: Delivery
  readonly hooks: RebalanceHooks
}

/**
 * Decides which queues this member owns. There is no coordinator: every member computes the same split from the same two lists
 * (RocketMQ `RebalanceImpl`), so two members may own one queue for moments, never for long.
 */
export class Rebalancer {
  readonly #options: RebalancerOptions
  readonly #wakeup = new Wakeup()
  readonly #stop = new AbortController()
  #isWanted = false
  #running: Promise<void> | undefined
  /** Failed rounds in a row: the pause grows from a second to the usual interval. */
  #unbalanced = 0

  constructor(options: RebalancerOptions) {
    this.#options = options
  }

  /** The first round runs now; resolves when it is done. */
  async start(): Promise<void> {
    const first = this.#round()
    this.#running = first.then((wait) => this.#loop(wait))
    await first
  }

  /** A round as soon as the spacing allows. */
  wake(): void {
    this.#isWanted = true
    this.#wakeup.wake()
  }

  async stop(): Promise<void> {
    this.#stop.abort()
    this.#wakeup.wake()
    await this.#running
  }

  async #loop(firstWait: number): Promise<void> {
    const { clock } = this.#options.core
    const { signal } = this.#stop
    let wait = firstWait
    let started = clock.monotonic()
    while (!signal.aborted) {
      if (!this.#isWanted) await this.#wakeup.wait(clock, wait, signal)
      const early = started + REBALANCE_SPACING_MS - clock.monotonic()
      if (early > 0) await pause(clock, early, signal)
      if (signal.aborted) return
      started = clock.monotonic()
      wait = await this.#round().catch((error) => {
        this.#options.core.log.error('a round of rebalancing ended by an error of its own', { error })
        return REBALANCE_INTERVAL_MS
      })
    }
  }

  /** One round over all topics. Resolves with how long the next may wait. */
  async #round(): Promise<number> {
    this.#isWanted = false
    const { subscriptions, assignment, core, hooks } = this.#options
    let isBalanced = true
    const changed: string[] = []
    for (const topic of subscriptions.topics) {
      try {
        const outcome = await this.#balanceTopic(topic)
        if (outcome.isChanged) changed.push(topic)
        if (!outcome.isBalanced) isBalanced = false
      } catch (error) {
        isBalanced = false
        if (!this.#stop.signal.aborted)
          core.log.warn('rebalancing failed; it is tried again', { topic, group: this.#options.calls.group, error })
      }
      if (this.#stop.signal.aborted) return 0
    }
    for (const orphan of assignment.all.filter((assigned) => subscriptions.of(assigned.queue.topic) === undefined)) {
      if (!(await this.#release(orphan))) isBalanced = false
    }
    if (changed.length > 0) {
      for (const topic of changed) subscriptions.bump(topic, core.clock.now())
      await hooks.changed(changed)
    }
    this.#unbalanced = isBalanced ? 0 : this.#unbalanced + 1
    return isBalanced ? REBALANCE_INTERVAL_MS : Math.min(REBALANCE_INTERVAL_MS, 1000 * 2 ** (this.#unbalanced - 1))
  }

  async #balanceTopic(topic: string): Promise<{ isBalanced: boolean; isChanged: boolean }> {
    const wanted = await this.#wantedQueues(topic)
    // What is owned stays; a retry topic comes to be with the first heartbeat, hence a quick second look.
    if (wanted === undefined) return { isBalanced: false, isChanged: false }
    const { assignment } = this.#options
    const kinds = new Map(wanted.map(({ queue, isPopped }) => [queueKey(queue), isPopped]))
    let isBalanced = true
    let isChanged = false
    for (const assigned of assignment.of(topic)) {
      if (kinds.get(assigned.key) === assigned.isPopped && !assigned.isDropped) continue
      if (await this.#release(assigned)) isChanged = true
      else isBalanced = false
    }
    const fresh = wanted.filter(({ queue }) => assignment.get(queue) === undefined)
    const taken = fresh.length === 0 ? 0 : await this.#take(fresh)
    if (taken > 0) isChanged = true
    if (taken < fresh.length) isBalanced = false
    return { isBalanced, isChanged }
  }

  /** The queues that are ours; undefined while the topic has none, or no broker tells who the members are. */
  async #wantedQueues(topic: string): Promise<WantedQueue[] | undefined> {
    const { core, calls, model, strategy, delivery } = this.#options
    const queues = [...(await core.subscribeQueues(topic))].sort(compareQueues)
    if (queues.length === 0) return undefined
    if (model === 'BROADCASTING') return pulled(queues)
    if (isPoppedTopic(delivery, topic)) return poppedOf(topic, queues)
    if (delivery === 'broker') {
      const given = await assignedByBroker(core, calls.group, topic, strategy.name)
      if (given !== 'none') return given
    }
    let clientIds = await calls.memberIds(topic)
    if (clientIds !== undefined && !clientIds.includes(core.clientId)) {
      // A broker that restarted has forgotten its members.
      await core.heartbeatNow()
      clientIds = await calls.memberIds(topic)
    }
    if (clientIds === undefined) return undefined
    if (!clientIds.includes(core.clientId)) {
      // The others share the queues without us.
      for (const assigned of this.#options.assignment.of(topic)) await this.#release(assigned)
      return undefined
    }
    return pulled(strategy.allocate({ group: calls.group, clientId: core.clientId, queues, clientIds }))
  }

  async #release(assigned: AssignedQueue): Promise<boolean> {
    assigned.drop()
    if (!(await this.#options.hooks.release(assigned))) return false
    this.#options.assignment.delete(assigned)
    return true
  }

  async #take(fresh: readonly WantedQueue[]): Promise<number> {
    const { hooks, assignment, core } = this.#options
    const granted = hooks.lock ? await hooks.lock(fresh.map(({ queue }) => queue)) : undefined
    const takers = fresh.map(async ({ queue, isPopped }) => {
      if (granted && !granted.has(queueKey(queue))) return false
      try {
        const assigned = new AssignedQueue(queue, isPopped ? 0 : await hooks.startOffset(queue), isPopped)
        if (this.#stop.signal.aborted) return false
        assignment.add(assigned)
        hooks.assigned(assigned)
        return true
      } catch (error) {
        core.log.warn('where to begin in a queue is not known yet', { ...queue, group: this.#options.calls.group, error })
        return false
      }
    })
    return (await Promise.all(takers)).filter(Boolean).length
  }
}
