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

interface Waiter extends HeldPull {
  /** Up to here nothing is wanted. */
  seenTo: number
  timer: Timer | undefined
}

/**
 * Pulls that wait for messages (Apache's PullRequestHoldService). Arrivals wake those of their queue; the clock wakes each at its own
 * time, so that none is held longer than its client asked; a closed connection's are dropped.
 */
export class HeldPulls {
  readonly #queues = new Map<string, Map<number, Set<Waiter>>>()
  readonly #ofConnection = new Map<ServerConnection, Set<Waiter>>()
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
    if (queue === undefined) topic.set(pull.queueId, (queue = new Set()))
    if (queue.size >= LIMITS.heldPullsPerQueue) return false
    const waiter: Waiter = { ...pull, seenTo: pull.offset, timer: undefined }
    waiter.timer = this.#clock.after(Math.min(holdMs, LIMITS.holdMs), () => {
      this.#remove(waiter)
      waiter.answer()
    })
    queue.add(waiter)
    let own = this.#ofConnection.get(pull.connection)
    if (own === undefined) this.#ofConnection.set(pull.connection, (own = new Set()))
    own.add(waiter)
    this.#size++
    return true
  }

  /**
   * New messages up to `maxOffset`. A waiter whose filter refuses the one new message sleeps on; of several messages only the newest
   * tag is known, so it looks. One that filters by properties looks at the messages, each once.
   */
  arrived(topic: string, queueId: number, maxOffset: number, tagsCode: number): void {
    const queue = this.#queues.get(topic)?.get(queueId)
    if (queue === undefined) return
    for (const waiter of [...queue]) {
      if (maxOffset <= waiter.offset) continue
      if (isUnwanted(waiter, maxOffset, tagsCode)) continue
      this.#remove(waiter)
      waiter.answer()
    }
  }

  /** Wakes all of a topic: it was deleted or changed. */
  wakeTopic(topic: string): void {
    for (const queue of [...(this.#queues.get(topic)?.values() ?? [])]) {
      for (const waiter of [...queue]) {
        this.#remove(waiter)
        waiter.answer()
      }
    }
  }

  /** Wakes one queue's whose offset was reset. */
  wakeQueue(topic: string, queueId: number): void {
    for (const waiter of [...(this.#queues.get(topic)?.get(queueId) ?? [])]) {
      this.#remove(waiter)
      waiter.answer()
    }
  }

  /** The client is gone: nobody would read the answer. */
  drop(connection: ServerConnection): void {
    for (const waiter of [...(this.#ofConnection.get(connection) ?? [])]) this.#remove(waiter)
  }

  /** Answers all, so that clients need not wait for a broker that closes. */
  close(): void {
    for (const topic of [...this.#queues.keys()]) this.wakeTopic(topic)
  }

  #remove(waiter: Waiter): void {
    waiter.timer?.cancel()
    const topic = this.#queues.get(waiter.topic)
    const queue = topic?.get(waiter.queueId)
    if (!queue?.delete(waiter)) return
    this.#size--
    if (queue.size === 0) topic?.delete(waiter.queueId)
    if (topic?.size === 0) this.#queues.delete(waiter.topic)
    const own = this.#ofConnection.get(waiter.connection)
    if (own?.delete(waiter) && own.size === 0) this.#ofConnection.delete(waiter.connection)
  }
}

function isUnwanted(waiter: Waiter, maxOffset: number, tagsCode: number): boolean {
  if (waiter.unwantedUpTo === undefined) return maxOffset === waiter.offset + 1 && waiter.filter !== undefined && !waiter.filter(tagsCode)
  try {
    const seenTo = waiter.unwantedUpTo(waiter.seenTo)
    if (seenTo === undefined || seenTo < maxOffset) return false
    waiter.seenTo = seenTo
    return true
  } catch {
    // Its own pull tells what is wrong; the other waiters are not to suffer.
    return false
  }
}
