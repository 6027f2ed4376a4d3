import type { SubscriptionData } from '@skylarkmq/remoting/protocol'
import { javaStringHash, RocketError } from '@skylarkmq/remoting/protocol'

/** `*`, `TagA || TagB`, or an SQL92 condition over the message's properties. */
export type Subscription = string | { readonly tags: readonly string[] } | { readonly sql: string }

/** RocketMQ `FilterAPI#buildSubscriptionData`. */
export function subscriptionData(topic: string, subscription: Subscription, subVersion: bigint): SubscriptionData {
  const base = { topic, subVersion, tagsSet: [] as string[], codeSet: [] as number[], classFilterMode: false }
  if (typeof subscription === 'object' && 'sql' in subscription) {
    if (subscription.sql.trim() === '') throw badSubscription(topic, 'the SQL92 condition is empty; write one, or subscribe to *')
    return { ...base, subString: subscription.sql, expressionType: 'SQL92' }
  }
  const text = typeof subscription === 'string' ? subscription : subscription.tags.join('||')
  if (text.trim() === '' || text.trim() === '*') return { ...base, subString: '*', expressionType: 'TAG' }
  const tagsSet = [
    ...new Set(
      text
        .split('||')
        .map((tag) => tag.trim())
        .filter((tag) => tag !== ''),
    ),
  ]
  if (tagsSet.length === 0) throw badSubscription(topic, `the expression ${JSON.stringify(text)} names no tag; use * for all`)
  return { ...base, subString: text, tagsSet, codeSet: tagsSet.map(javaStringHash), expressionType: 'TAG' }
}

const badSubscription = (topic: string, why: string): RocketError =>
  new RocketError(`cannot subscribe to ${topic}: ${why}`, { code: 'BAD_ARGUMENT', topic })

/** What a consumer has subscribed to, by topic. */
export class Subscriptions {
  #table = new Map<string, SubscriptionData>()

  get topics(): string[] {
    return [...this.#table.keys()]
  }

  get all(): SubscriptionData[] {
    return [...this.#table.values()]
  }

  of(topic: string): SubscriptionData | undefined {
    return this.#table.get(topic)
  }

  set(topic: string, subscription: Subscription, now: number): SubscriptionData {
    const data = subscriptionData(topic, subscription, BigInt(now))
    this.#table.set(topic, data)
    return data
  }

  delete(topic: string): boolean {
    return this.#table.delete(topic)
  }

  /** Brokers refuse pulls that name a newer version than the last heartbeat: bump first, then heartbeat (`messageQueueChanged`). */
  bump(topic: string, now: number): void {
    const data = this.#table.get(topic)
    if (!data) return
    const next = BigInt(now)
    this.#table.set(topic, { ...data, subVersion: next > data.subVersion ? next : data.subVersion + 1n })
  }
}

/** The broker filters by hash: the client does it again by name (RocketMQ `PullAPIWrapper#processPullResult`). */
export const matchesTags = (subscription: SubscriptionData | undefined, tag: string | undefined): boolean =>
  !filtersByTag(subscription) || (tag !== undefined && subscription.tagsSet.includes(tag))

/** Without it no message's tag need be looked at. */
export const filtersByTag = (subscription: SubscriptionData | undefined): subscription is SubscriptionData =>
  subscription !== undefined && subscription.tagsSet.length > 0 && !subscription.classFilterMode
