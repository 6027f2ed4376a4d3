import type { ServerConnection } from '@skylarkmq/remoting'
import type { Clock, Timer } from '@skylarkmq/runtime'
import type { EntryFilter } from '@skylarkmq/store'
import { LIMITS } from '../limits.ts'

/** A pull that found nothing and waits. */
export interface HeldPull {
  readonly topic: string
  readonly queueId: number
  /** The offset that it waits for. */
  readonly offset: number
  readonly filter: EntryFilter | undefined
  /**
   * For filters that need the messages themselves: from an offset on, how far there is nothing wanted. Undefined when something is, or
   * when it cannot be told at once.
   */
  readonly unwantedUpTo?: ((offset: number) => number | undefined) | undefined
  readonly connection: ServerConnection
  /** Runs the pull once more, without holding it again. */
  readonly answer: () => void
}

/** Where a waiter stands in a list, so that it leaves without a search. */
type Place = 'inQueue' | 'ofConnection'

class Waiter {
  readonly pull: HeldPull
  /** Up to here nothing is wanted. */
  seenTo: number
  timer: Timer | undefined
  inQueue = -1
  ofConnection = -1

  constructor(pull: HeldPull) {
    this.pull = pull
    this.seenTo = pull.offset
  }
}

function enter(list: Waiter[], waiter: Waiter, place: Place): void {
  waiter[place] = list.length
  list.push(waiter)
}

function leave(list: Waiter[], waiter: Waiter, place: Place): void {
  const at = waiter[place]
  const last = list.pop() as Waiter
  if (last !== waiter) {
    list[at] = last
    last[place] = at
  }
  waiter[place] = -1
}

/**
 * Pulls that wait for messages (Apache's PullRequestHoldService). Arrivals wake those of their queue; the clock wakes each at its own
 * time, so that none is held longer than its client asked; a closed connection's are dropped. The lists are arrays that stay: each time that
 * V8 makes a larger or smaller table for a Set or a Map, the old one, once it has become old, keeps the new one and all that was in it from
 * being collected early, which made most waiters outlive their pulls by seconds, and collections stop the broker twice as long.
 */
export class HeldPulls {
  readonly #queues = new Map<string, Map<number, Waiter[]>>()
  readonly #ofConnection = new Map<ServerConnection, Waiter[]>()
  readonly #clock: Clock
  #size = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    return this.#size
  }

  /** False when too many wait already. */
  hold(pull: HeldPull, holdMs: number): boolean {
    if (this.#size >= LIMITS.heldPulls) return false
    let topic = this.#queues.get(pull.topic)
    if (topic === undefined) this.#queues.set(pull.topic, (topic = new Map()))
    let queue = topic.get(pull.queueId)
    if (queue === undefined) topic.set(pull.queueId, (queue = []))
    if (queue.length >= LIMITS.heldPullsPerQueue) return false
    const waiter = new Waiter(pull)
    waiter.timer = this.#clock.after(Math.min(holdMs, LIMITS.holdMs), () => this.#wake(waiter))
    enter(queue, waiter, 'inQueue')
    let own = this.#ofConnection.get(pull.connection)
    if (own === undefined) this.#ofConnection.set(pull.connection, (own = []))
    enter(own, waiter, 'ofConnection')
    this.#size++
    return true
  }

  /**
   * New messages up to `maxOffset`. A waiter whose filter refuses the one new message sleeps on; of several messages only the newest
   * tag is known, so it looks. One that filters by properties looks at the messages, each once.
   */
  arrived(topic: string, queueId: number, maxOffset: number, tagsCode: number): void {
    const queue = this.#queues.get(topic)?.get(queueId)
    if (queue === undefined || queue.length === 0) return
    for (const waiter of queue.slice()) {
      if (maxOffset > waiter.pull.offset && !isUnwanted(waiter, maxOffset, tagsCode)) this.#wake(waiter)
    }
  }

  /** Wakes all of a topic: it was deleted or changed. */
  wakeTopic(topic: string): void {
    const queues = this.#queues.get(topic)
    if (queues === undefined) return
    for (const queue of [...queues.values()]) for (const waiter of queue.slice()) this.#wake(waiter)
    // An answer may have led to the next pull.
    if ([...queues.values()].every((queue) => queue.length === 0)) this.#queues.delete(topic)
  }

  /** Wakes one queue's whose offset was reset. */
  wakeQueue(topic: string, queueId: number): void {
    for (const waiter of this.#queues.get(topic)?.get(queueId)?.slice() ?? []) this.#wake(waiter)
  }

  /** The client is gone: nobody would read the answer. */
  drop(connection: ServerConnection): void {
    for (const waiter of this.#ofConnection.get(connection)?.slice() ?? []) this.#remove(waiter)
    this.#ofConnection.delete(connection)
  }

  /** Answers all, so that clients need not wait for a broker that closes. */
  close(): void {
    for (const topic of [...this.#queues.keys()]) this.wakeTopic(topic)
  }

  #wake(waiter: Waiter): void {
    if (this.#remove(waiter)) waiter.pull.answer()
  }

  /** False when it waits no more. */
  #remove(waiter: Waiter): boolean {
    const { topic, queueId, connection } = waiter.pull
    if (waiter.inQueue < 0) return false
    waiter.timer?.cancel()
    leave(this.#queues.get(topic)?.get(queueId) as Waiter[], waiter, 'inQueue')
    leave(this.#ofConnection.get(connection) as Waiter[], waiter, 'ofConnection')
    this.#size--
    return true
  }
}

function isUnwanted(waiter: Waiter, maxOffset: number, tagsCode: number): boolean {
  const { offset, filter, unwantedUpTo } = waiter.pull
  if (unwantedUpTo === undefined) return maxOffset === offset + 1 && filter !== undefined && !filter(tagsCode)
  try {
    const seenTo = unwantedUpTo(waiter.seenTo)
    if (seenTo === undefined || seenTo < maxOffset) return false
    waiter.seenTo = seenTo
    return true
  } catch {
    // Its own pull tells what is wrong; the other waiters are not to suffer.
    return false
  }
}
