import type { Clock } from '@skylarkmq/runtime'
import type { MessageStore } from '@skylarkmq/store'
import type { ConsumerGroups } from '../groups/consumer-groups.ts'
import type { Subscription } from '../groups/subscriptions.ts'
import type { GroupConfigs } from '../groups/group-configs.ts'
import { statsOfGroup } from '../processors/stats-admin.ts'
import type { StatsDeps } from '../processors/stats-admin.ts'

export interface MatchingLagDeps extends StatsDeps {
  readonly groupConfigs: GroupConfigs
  readonly consumers: ConsumerGroups
  readonly clock: Clock
  readonly store: MessageStore
}

/** What one look costs at most, however many groups wait and however long. */
export const MATCHING_LAG = {
  /** Queue entries whose tags are compared. */
  entries: 65_536,
  /** Records that SQL92 expressions are put to. */
  records: 2_048,
  /** Of one queue at least, however many queues share. */
  entriesPerQueue: 256,
  recordsPerQueue: 32,
  /** Looks are this far apart; whoever asks earlier gets the last one. */
  keptMs: 5_000,
  /** A disk that hangs must not keep a monitor from its other figures. */
  waitMs: 2_000,
} as const

/** Entries that lie together: where messages come in turns, single ones would meet the same kind again and again. */
const RUN_ENTRIES = 64
const RUN_RECORDS = 8
const RECORD_BYTES = 1024 * 1024

interface WaitingQueue {
  readonly group: string
  readonly topic: string
  readonly queueId: number
  readonly from: number
  readonly to: number
  readonly subscription: Subscription
}

interface Share {
  waiting: number
  matched: number
  /** Waiting in queues that were not looked at. */
  unseen: number
}

const keyOf = (topic: string, group: string): string => `${topic}@${group}`

/**
 * How many of the waiting messages a group's filter wants: only these will be delivered. Counted where few wait, else estimated from runs
 * that are spread evenly over what waits. Done when a monitor asks, never by a send or a pull.
 */
export class MatchingLag {
  readonly #deps: MatchingLagDeps
  /** What groups subscribed to that have no member now: that is when somebody looks at their lag. */
  readonly #lastKnown = new Map<string, ReadonlyMap<string, Subscription>>()
  #counts = new Map<string, number>()
  #look: Promise<void> | undefined
  #lookedAt = Number.NEGATIVE_INFINITY
  /** Where the next look begins when not all queues can be looked at. */
  #turn = 0

  constructor(deps: MatchingLagDeps) {
    this.#deps = deps
  }

  /** Of `lag` waiting messages those that will be delivered; all of them when the group has no filter, or none that is known. */
  of(group: string, topic: string, lag: number): number {
    const counted = this.#counts.get(keyOf(topic, group))
    return counted === undefined ? lag : Math.min(counted, lag)
  }

  /** Resolves when the counts are fresh enough, or cannot be had in time. */
  async refresh(): Promise<void> {
    const { clock } = this.#deps
    if (this.#look === undefined) {
      if (clock.monotonic() - this.#lookedAt < MATCHING_LAG.keptMs) return
      this.#look = this.#count().finally(() => {
        this.#look = undefined
        this.#lookedAt = clock.monotonic()
      })
    }
    const look = this.#look
    await new Promise<void>((resolve) => {
      const timer = clock.after(MATCHING_LAG.waitMs, resolve)
      // What fails leaves the former counts.
      void look
        .catch(() => {})
        .then(() => {
          timer.cancel()
          resolve()
        })
    })
  }

  async #count(): Promise<void> {
    const queues = this.#waitingQueues()
    const shares = new Map<string, Share>()
    await this.#lookAt(
      queues.filter(({ subscription }) => subscription.sql === undefined),
      shares,
      MATCHING_LAG.entries,
      MATCHING_LAG.entriesPerQueue,
    )
    await this.#lookAt(
      queues.filter(({ subscription }) => subscription.sql !== undefined),
      shares,
      MATCHING_LAG.records,
      MATCHING_LAG.recordsPerQueue,
    )
    this.#counts = new Map([...shares].map(([key, share]) => [key, countOf(share)]))
  }

  /** Those behind which a filter stands. */
  #waitingQueues(): WaitingQueue[] {
    const { groupConfigs, offsets, store } = this.#deps
    const waiting: WaitingQueue[] = []
    for (const { groupName: group } of groupConfigs.all()) {
      const subscriptions = this.#subscriptionsOf(group)
      const topics = offsets.topicsOf(group).filter((topic) => isFiltered(subscriptions?.get(topic)))
      for (const [{ topic, queueId }, stats] of statsOfGroup(this.#deps, group, topics)) {
        const subscription = subscriptions?.get(topic) as Subscription
        const from = Math.max(stats.consumerOffset, store.minOffset(topic, queueId))
        waiting.push({ group, topic, queueId, from, to: Math.max(from, stats.brokerOffset), subscription })
      }
    }
    for (const group of this.#lastKnown.keys()) if (groupConfigs.get(group) === undefined) this.#lastKnown.delete(group)
    return waiting
  }

  #subscriptionsOf(group: string): ReadonlyMap<string, Subscription> | undefined {
    const online = this.#deps.consumers.get(group)?.subscriptions
    if (online !== undefined && online.size > 0) this.#lastKnown.set(group, new Map(online))
    return this.#lastKnown.get(group)
  }

  async #lookAt(queues: readonly WaitingQueue[], shares: Map<string, Share>, budget: number, leastPerQueue: number): Promise<void> {
    const perQueue = Math.max(leastPerQueue, Math.floor(budget / Math.max(1, queues.length)))
    let left = budget
    const first = this.#turn % Math.max(1, queues.length)
    for (let i = 0; i < queues.length; i++) {
      const queue = queues[(first + i) % queues.length] as WaitingQueue
      const share = shareOf(shares, keyOf(queue.topic, queue.group))
      const waits = queue.to - queue.from
      if (waits === 0 || queue.subscription.fault !== undefined) continue
      if (left <= 0) {
        share.unseen += waits
        continue
      }
      const { looked, matched } = await this.#lookAtQueue(queue, Math.min(perQueue, left))
      left -= looked
      share.waiting += waits
      // Queues differ: each counts by its own share.
      share.matched += looked === 0 ? waits : (Math.min(matched, looked) / looked) * waits
      this.#turn = first + i + 1
    }
  }

  async #lookAtQueue(
    { topic, queueId, from, to, subscription }: WaitingQueue,
    budget: number,
  ): Promise<{ looked: number; matched: number }> {
    const { clock, store } = this.#deps
    const { filter, sql } = subscription
    const counter = { matched: 0 }
    const entryFilter = (tagsCode: number): boolean => {
      if (filter?.(tagsCode)) counter.matched++
      return false
    }
    const recordFilter = (record: Uint8Array): boolean => {
      if (sql?.record(record)) counter.matched++
      return false
    }
    const run = sql === undefined ? RUN_ENTRIES : RUN_RECORDS
    let looked = 0
    for (const [offset, count] of runsOf(from, to, budget, run)) {
      const request = { topic, queueId, offset, maxMessages: sql === undefined ? 1 : count, maxBytes: RECORD_BYTES, scanEntries: count }
      const found = await store.read(sql === undefined ? { ...request, entryFilter } : { ...request, recordFilter })
      looked += Math.max(0, Math.min(found.nextOffset, offset + count) - offset)
      // Others have their turn.
      await new Promise<void>((resolve) => clock.afterTurn(resolve))
    }
    return { looked, matched: counter.matched }
  }
}

const isFiltered = (subscription: Subscription | undefined): boolean =>
  subscription !== undefined && (subscription.filter !== undefined || subscription.sql !== undefined || subscription.fault !== undefined)

/** All of `[from, to)` when the budget allows, else runs spread evenly over it. */
export function* runsOf(from: number, to: number, budget: number, run: number): Generator<readonly [offset: number, count: number]> {
  const waits = to - from
  if (waits <= budget) {
    const step = run * 8
    for (let offset = from; offset < to; offset += step) yield [offset, Math.min(step, to - offset)]
    return
  }
  const runs = Math.max(2, Math.floor(budget / run))
  const length = Math.max(1, Math.floor(budget / runs))
  for (let i = 0; i < runs; i++) yield [from + Math.floor((i * (waits - length)) / (runs - 1)), length]
}

function shareOf(shares: Map<string, Share>, key: string): Share {
  let share = shares.get(key)
  if (share === undefined) shares.set(key, (share = { waiting: 0, matched: 0, unseen: 0 }))
  return share
}

/** Queues that were not looked at are taken to be like those that were. */
function countOf({ waiting, matched, unseen }: Share): number {
  return Math.round(matched + (waiting === 0 ? unseen : (matched / waiting) * unseen))
}
