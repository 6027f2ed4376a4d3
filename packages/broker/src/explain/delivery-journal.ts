/**
 * What was handed out and what was acknowledged, lately: so that somebody can ask where one message stands, and why. One entry per
 * answer to a pull, not per message; what follows within a second by the same client extends the last entry.
 */
import type { ServerConnection } from '@skylarkmq/remoting'
import type { Clock } from '@skylarkmq/runtime'
import type { ConsumerGroups } from '../groups/consumer-groups.ts'
import { LIMITS } from '../limits.ts'

/** Offsets [from, to) went to a client. */
export interface Delivery {
  readonly from: number
  to: number
  readonly atMs: number
  /** Monotonic. */
  readonly at: number
  readonly address: string
  readonly clientId: string
}

/** The group's offset became this: everything before it is acknowledged. */
export interface Commit {
  readonly offset: number
  readonly atMs: number
  readonly address: string
}

export interface QueueJournal {
  readonly group: string
  readonly topic: string
  readonly queueId: number
  /** The journal knows of everything since then. */
  beginMs: number
  /** Monotonic times of the last pull and until which it may be held, and whose it was. */
  pulledAt: number
  pulledUntil: number
  puller: ServerConnection | undefined
  readonly deliveries: Delivery[]
  readonly commits: Commit[]
}

const MERGE_MS = 1000
/** One client may pull a queue several times at once. */
const MERGED_AMONG = 4

export class DeliveryJournal {
  readonly #queues = new Map<string, Map<string, Map<number, QueueJournal>>>()
  /** In order of first use. */
  readonly #order = new Set<QueueJournal>()
  readonly #clock: Clock
  readonly #consumers: ConsumerGroups
  #entries = 0
  /** The one that was asked for last: what is pulled is mostly delivered next. */
  #latest: QueueJournal | undefined

  constructor(clock: Clock, consumers: ConsumerGroups) {
    this.#clock = clock
    this.#consumers = consumers
  }

  get(group: string, topic: string, queueId: number): QueueJournal | undefined {
    return this.#queues.get(group)?.get(topic)?.get(queueId)
  }

  /** A pull has come; its client may wait for the answer for `holdMs`. */
  pulled(group: string, topic: string, queueId: number, connection: ServerConnection, holdMs: number): void {
    const queue = this.#queue(group, topic, queueId)
    const now = this.#clock.monotonic()
    queue.pulledAt = now
    queue.pulledUntil = now + holdMs
    queue.puller = connection
  }

  /** Offsets [from, to) leave with an answer. */
  delivered(group: string, topic: string, queueId: number, from: number, to: number, connection: ServerConnection): void {
    const { deliveries } = this.#queue(group, topic, queueId)
    const at = this.#clock.monotonic()
    for (let i = deliveries.length - 1; i >= Math.max(0, deliveries.length - MERGED_AMONG); i--) {
      const entry = deliveries[i] as Delivery
      if (entry.to !== from || at - entry.at >= MERGE_MS || entry.address !== connection.address) continue
      entry.to = to
      return
    }
    this.#push(deliveries, {
      from,
      to,
      atMs: this.#clock.now(),
      at,
      address: connection.address,
      clientId: this.#consumers.get(group)?.members.get(connection)?.clientId ?? '',
    })
  }

  committed(group: string, topic: string, queueId: number, offset: number, address: string): void {
    const { commits } = this.#queue(group, topic, queueId)
    const atMs = this.#clock.now()
    const last = commits.at(-1)
    if (last?.offset === offset) return
    // Of the commits of one second the first is kept: what it covers was acknowledged then, the last one of it is kept as well.
    const before = commits.at(-2)
    if (last !== undefined && before !== undefined && offset > last.offset && atMs - before.atMs < MERGE_MS && last.address === address) {
      commits[commits.length - 1] = { offset, atMs, address }
      return
    }
    this.#push(commits, { offset, atMs, address })
  }

  /** The queues of a group in which somebody has pulled. */
  *ofGroup(group: string): IterableIterator<QueueJournal> {
    for (const queues of this.#queues.get(group)?.values() ?? []) yield* queues.values()
  }

  #push<T>(entries: T[], entry: T): void {
    entries.push(entry)
    if (entries.length > LIMITS.journalEntriesPerQueue) entries.shift()
    else this.#entries++
    if (this.#entries > LIMITS.journalEntries) this.#forgetOldest()
  }

  #forgetOldest(): void {
    const oldest = this.#order.values().next().value
    if (oldest === undefined) return
    this.#entries -= oldest.deliveries.length + oldest.commits.length
    this.#order.delete(oldest)
    this.#latest = undefined
    const topics = this.#queues.get(oldest.group)
    const queues = topics?.get(oldest.topic)
    queues?.delete(oldest.queueId)
    if (queues?.size === 0) topics?.delete(oldest.topic)
    if (topics?.size === 0) this.#queues.delete(oldest.group)
  }

  #queue(group: string, topic: string, queueId: number): QueueJournal {
    const latest = this.#latest
    if (latest !== undefined && latest.queueId === queueId && latest.topic === topic && latest.group === group) return latest
    return (this.#latest = this.#find(group, topic, queueId))
  }

  #find(group: string, topic: string, queueId: number): QueueJournal {
    let topics = this.#queues.get(group)
    if (topics === undefined) this.#queues.set(group, (topics = new Map()))
    let queues = topics.get(topic)
    if (queues === undefined) topics.set(topic, (queues = new Map()))
    const old = queues.get(queueId)
    if (old !== undefined) return old
    const queue: QueueJournal = {
      group,
      topic,
      queueId,
      beginMs: this.#clock.now(),
      pulledAt: 0,
      pulledUntil: 0,
      puller: undefined,
      deliveries: [],
      commits: [],
    }
    queues.set(queueId, queue)
    this.#order.add(queue)
    if (this.#order.size > LIMITS.journalQueues) this.#forgetOldest()
    return queue
  }
}
