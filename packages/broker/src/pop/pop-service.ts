import type { PoppedQueue } from '@skylarkmq/remoting/protocol'
import { groupOfRetryTopic, isRetryTopic } from '@skylarkmq/remoting/protocol'
import type { Timer } from '@skylarkmq/runtime'
import { ApacheCheckpoints } from './apache-checkpoints.ts'
import type { ApacheCheckpointDeps } from './apache-checkpoints.ts'
import { DueHeap } from './due-heap.ts'
import { HeldPops } from './held-pops.ts'
import { InFlightTable } from './in-flight-table.ts'
import type { TableDeps } from './in-flight-table.ts'
import type { PopQueue } from './pop-queue.ts'
import { ReviveService } from './revive-service.ts'
import type { ReviveDeps } from './revive-service.ts'

export type PopServiceDeps = TableDeps & ReviveDeps & ApacheCheckpointDeps

const SAVE_MS = 5000

/**
 * POP: consumers take messages for a time instead of owning queues. What is in flight is in `table`, whose truth is the commit log; what
 * nobody acknowledges in time comes back by `ReviveService`; who finds nothing waits in `held`.
 */
export class PopService {
  readonly table: InFlightTable
  /** Pops. */
  readonly held: HeldPops
  /** Who wants to hear of messages only. */
  readonly notified: HeldPops
  /** What was popped from the broker that had this folder before. */
  readonly apache: ApacheCheckpoints
  readonly #deps: PopServiceDeps
  readonly #revive: ReviveService
  /** Queues whose batch in order becomes visible again at a time. */
  readonly #orders = new DueHeap<PopQueue>()
  #orderTimer: Timer | undefined
  #saveTimer: Timer | undefined

  constructor(deps: PopServiceDeps) {
    this.#deps = deps
    this.table = new InFlightTable(deps)
    this.held = new HeldPops(deps.clock)
    this.notified = new HeldPops(deps.clock)
    this.apache = new ApacheCheckpoints(deps, this.table)
    this.#revive = new ReviveService(deps, this.table, (topic, group) => this.wake(topic, group, -1))
  }

  /** Before requests are taken: until then nobody knows what is in flight. */
  async open(): Promise<void> {
    const { store, log } = this.#deps
    await this.table.open((queue) => this.#wasDeleted(queue))
    store.retainFrom(() => this.table.log.retainFrom)
    if (this.table.state.size > 0) log.info('messages that are in flight were found', { count: this.table.state.size })
  }

  start(): void {
    const { store, clock } = this.#deps
    store.onArrival((topic, queueId) => {
      this.held.arrived(topic, queueId)
      this.notified.arrived(topic, queueId)
    })
    this.#saveTimer = clock.every(SAVE_MS, () => this.#save())
    this.#revive.start()
    this.apache.start()
    for (const queue of this.table.state.queues()) if (queue.order !== undefined) this.#planOrder(queue)
  }

  async close(): Promise<void> {
    await this.apache.close()
    this.held.close()
    this.notified.close()
    this.#revive.close()
    this.#orderTimer?.cancel()
    this.#saveTimer?.cancel()
    this.table.log.flush()
    this.#deps.store.commitTurn()
    this.#save()
  }

  /** There is something for the group: one of its waiters looks again. */
  wake(topic: string, group: string, queueId: number): void {
    this.held.wake(topic, group, queueId)
    this.notified.wake(topic, group, queueId)
  }

  /** What was noted in this turn goes to the store with the messages of the turn. */
  flushTurn(): void {
    this.table.log.flush()
  }

  /** Waiters look again when the last message of a batch becomes visible. */
  planOrderWake(
    { consumerGroup, order }: { readonly consumerGroup: string; readonly order?: boolean | undefined },
    queues: readonly PoppedQueue[],
  ) {
    if (order !== true) return
    for (const { topic, queueId } of queues) {
      const queue = this.table.state.find(consumerGroup, topic, queueId)
      if (queue !== undefined) this.#planOrder(queue)
    }
  }

  #planOrder(queue: PopQueue): void {
    const { clock } = this.#deps
    if (queue.order === undefined) return
    this.#orders.add(clock.monotonic() + Math.max(0, queue.order.freeAt - clock.now()), queue)
    this.#armOrders()
  }

  #armOrders(): void {
    const { clock } = this.#deps
    const next = this.#orders.nextDueAt
    this.#orderTimer?.cancel()
    if (next === undefined) return
    this.#orderTimer = clock.after(Math.max(1, next - clock.monotonic()), () => {
      const now = clock.monotonic()
      for (let due = this.#orders.takeDue(now); due !== undefined; due = this.#orders.takeDue(now)) {
        const { group, topic, queueId, order } = due.value
        if (order?.isBlocked(undefined, clock.now()) !== true) this.wake(topic, group, queueId)
      }
      this.#armOrders()
    })
  }

  #save(): void {
    const { topics, groupConfigs } = this.#deps
    this.table.save(({ group, topic }) => groupConfigs.get(group) === undefined || topics.get(topic) === undefined)
  }

  /**
   * At the start. Settings of groups and topics are saved within a second, messages and what is in flight at once: a crash may have taken
   * those of a group that was made just before. It gets settings again. Topics of messages have theirs back already, unless deleted.
   */
  #wasDeleted({ group, topic }: PopQueue): boolean {
    const { topics, groupConfigs } = this.#deps
    groupConfigs.findOrCreate(group)
    if (topics.get(topic) !== undefined) return false
    if (!isRetryTopic(topic) || groupOfRetryTopic(topic) === group) return true
    topics.ensure(topic, 1)
    return false
  }
}
