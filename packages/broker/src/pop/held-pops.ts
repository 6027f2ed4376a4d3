import type { ServerConnection } from '@skylarkmq/remoting'
import type { Clock, Timer } from '@skylarkmq/runtime'

/** A pop or a notification that found nothing and waits. */
export interface HeldPop {
  readonly group: string
  readonly topic: string
  /** -1: any queue of the topic. */
  readonly queueId: number
  readonly connection: ServerConnection
  /** When it is answered at the latest, by the monotonic clock. */
  readonly until: number
  /** Looks again. Whoever finds nothing is held anew. */
  readonly look: (isLastTime: boolean) => void
}

interface Waiter extends HeldPop {
  timer: Timer | undefined
}

/** By the queue id that they asked for. */
type GroupWaiters = Map<number, Set<Waiter>>

/**
 * Pops that wait for messages (RocketMQ 5.3 `PopLongPollingService`). A message wakes one waiter of each group: it takes what there is,
 * and wakes the next one when more is left.
 */
export class HeldPops {
  readonly #topics = new Map<string, Map<string, GroupWaiters>>()
  readonly #ofConnection = new Map<ServerConnection, Set<Waiter>>()
  readonly #known = new WeakSet<ServerConnection>()
  readonly #clock: Clock
  #size = 0
  #isClosed = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    return this.#size
  }

  count(topic: string, group: string, queueId: number): number {
    return this.#topics.get(topic)?.get(group)?.get(queueId)?.size ?? 0
  }

  /** False when too many wait already. */
  hold(pop: HeldPop, bounds: { readonly perQueue: number; readonly all: number }): boolean {
    const { group, topic, queueId, connection } = pop
    if (this.#isClosed || this.#size >= bounds.all || this.count(topic, group, queueId) >= bounds.perQueue) return false
    if (connection.isClosed) return true
    let groups = this.#topics.get(topic)
    if (groups === undefined) this.#topics.set(topic, (groups = new Map()))
    let queues = groups.get(group)
    if (queues === undefined) groups.set(group, (queues = new Map()))
    let waiters = queues.get(queueId)
    if (waiters === undefined) queues.set(queueId, (waiters = new Set()))
    const waiter: Waiter = { ...pop, timer: undefined }
    waiter.timer = this.#clock.after(Math.max(0, pop.until - this.#clock.monotonic()), () => {
      this.#remove(waiter)
      waiter.look(true)
    })
    waiters.add(waiter)
    this.#own(waiter)
    this.#size++
    return true
  }

  /** A queue of the topic has new messages. Called for every topic: most have no waiters. */
  arrived(topic: string, queueId: number): void {
    const groups = this.#topics.get(topic)
    if (groups === undefined) return
    // Who finds nothing comes back: the copy is needed.
    for (const group of Array.from(groups.keys())) this.wake(topic, group, queueId)
  }

  /** One waiter of the group looks again: first those that take any queue. */
  wake(topic: string, group: string, queueId: number): void {
    const queues = this.#topics.get(topic)?.get(group)
    if (queues === undefined) return
    const waiters = queues.get(-1) ?? (queueId < 0 ? queues.values().next().value : queues.get(queueId))
    const waiter = waiters?.values().next().value
    if (waiter === undefined) return
    this.#remove(waiter)
    waiter.look(false)
  }

  /** Answers all: the broker closes. */
  close(): void {
    this.#isClosed = true
    for (const groups of this.#topics.values())
      for (const queues of groups.values())
        for (const waiters of queues.values())
          for (const waiter of waiters) {
            this.#remove(waiter)
            waiter.look(true)
          }
  }

  #own(waiter: Waiter): void {
    const { connection } = waiter
    let own = this.#ofConnection.get(connection)
    if (own === undefined) this.#ofConnection.set(connection, (own = new Set()))
    own.add(waiter)
    if (this.#known.has(connection)) return
    this.#known.add(connection)
    connection.onClose(() => {
      for (const one of this.#ofConnection.get(connection) ?? []) this.#remove(one)
    })
  }

  #remove(waiter: Waiter): void {
    waiter.timer?.cancel()
    const { topic, group, queueId, connection } = waiter
    const groups = this.#topics.get(topic)
    const queues = groups?.get(group)
    const waiters = queues?.get(queueId)
    if (!waiters?.delete(waiter)) return
    this.#size--
    if (waiters.size === 0) queues?.delete(queueId)
    if (queues?.size === 0) groups?.delete(group)
    if (groups?.size === 0) this.#topics.delete(topic)
    const own = this.#ofConnection.get(connection)
    if (own?.delete(waiter) && own.size === 0) this.#ofConnection.delete(connection)
  }
}
