import { RocketError, javaStringHash } from '@skylarkmq/remoting/protocol'
import type { SubscriptionData } from '@skylarkmq/remoting/protocol'
import type { Clock } from '@skylarkmq/runtime'
import type { EntryFilter } from '@skylarkmq/store'
import { SqlError } from '../filter/sql-error.ts'
import { compileSql } from '../filter/sql-filter.ts'
import type { SqlFilter } from '../filter/sql-filter.ts'
import { shown } from '../answers.ts'
import { LIMITS } from '../limits.ts'

/** What a consumer wants of a topic, ready to filter with. */
export interface Subscription {
  readonly data: SubscriptionData
  /** By tags. Undefined: every message. */
  readonly filter: EntryFilter | undefined
  /** By properties. */
  readonly sql?: SqlFilter | undefined
  /** Why its SQL92 expression cannot be used: nothing is delivered then. */
  readonly fault?: string | undefined
}

export const isTagExpression = (expressionType: string | undefined): boolean =>
  expressionType === undefined || expressionType === '' || expressionType === 'TAG'

export const isSqlExpression = (expressionType: string | undefined): boolean => expressionType === 'SQL92'

const ALL = (expression: string | undefined): boolean => expression === undefined || expression === '' || expression === '*'

/** The tags of `TagA||TagB`; empty for all (RocketMQ 5.3 `FilterAPI#buildSubscriptionData`). */
export function parseTags(expression: string | undefined): string[] {
  if (ALL(expression)) return []
  const tags = (expression as string)
    .split('||')
    .map((tag) => tag.trim())
    .filter((tag) => tag !== '')
  if (tags.length === 0) {
    throw new RocketError(`parse the consumer's subscription failed: ${shown(expression as string)} names no tag; write * or TagA||TagB`, {
      code: 'SUBSCRIPTION_PARSE_FAILED',
      brokerCode: 23,
    })
  }
  return tags
}

/** Tells by the hash in the queue's entry. Different tags with one hash pass; consumers compare the text (RocketMQ 5.3 `ExpressionMessageFilter`). */
export function tagFilter(tags: readonly string[]): EntryFilter | undefined {
  if (tags.length === 0) return undefined
  const codes = new Set(tags.map(javaStringHash))
  if (codes.size > 1) return (tagsCode) => codes.has(tagsCode)
  const only = javaStringHash(tags[0] as string)
  return (tagsCode) => tagsCode === only
}

/** From a heartbeat. Hashes are computed here: Go's differ for tags beyond ASCII. `old` is what the topic had: compiled once is enough. */
export function subscriptionOf(data: SubscriptionData, old?: Subscription): Subscription {
  if (isSqlExpression(data.expressionType)) {
    const isSame = old !== undefined && isSqlExpression(old.data.expressionType) && old.data.subString === data.subString
    return isSame ? { ...old, data } : { data, filter: undefined, ...sqlFilterOf(data.subString) }
  }
  if (!isTagExpression(data.expressionType)) return { data, filter: undefined }
  const tags = data.tagsSet.length > 0 ? data.tagsSet : parseTags(data.subString)
  return { data, filter: ALL(data.subString) ? undefined : tagFilter(tags) }
}

function sqlFilterOf(expression: string): { readonly sql: SqlFilter } | { readonly fault: string } {
  try {
    return { sql: compileSql(expression) }
  } catch (error) {
    if (!(error instanceof SqlError)) throw error
    return { fault: error.message }
  }
}

/** From a pull's header. The last ones are remembered: each pull of a client brings the same text again. */
export class FilterCache {
  readonly #filters = new Map<string, EntryFilter | undefined>()
  readonly #sqlFilters = new Map<string, SqlFilter>()
  #sqlCharacters = 0

  tagFilterOf(expression: string | undefined): EntryFilter | undefined {
    if (ALL(expression)) return undefined
    const key = expression as string
    if (this.#filters.has(key)) return this.#filters.get(key)
    const filter = tagFilter(parseTags(key))
    if (key.length > LIMITS.filterCharacters) return filter
    if (this.#filters.size >= LIMITS.filters) this.#filters.delete(this.#filters.keys().next().value as string)
    this.#filters.set(key, filter)
    return filter
  }

  sqlFilterOf(expression: string): { readonly sql: SqlFilter } | { readonly fault: string } {
    const known = this.#sqlFilters.get(expression)
    if (known !== undefined) return { sql: known }
    const made = sqlFilterOf(expression)
    if ('fault' in made) return made
    this.#sqlFilters.set(expression, made.sql)
    this.#sqlCharacters += expression.length
    for (const [oldest] of this.#sqlFilters) {
      if (this.#sqlCharacters <= LIMITS.sqlCharacters) break
      this.#sqlFilters.delete(oldest)
      this.#sqlCharacters -= oldest.length
    }
    return made
  }
}

/**
 * What consumers that send no heartbeat told with their pulls (RocketMQ 5.3 `ConsumerManager#compensateSubscribeData`): tools show it.
 * In order of last use, so that forgetting starts at the oldest.
 */
export class Compensations {
  readonly #topics = new Map<string, { readonly group: string; readonly topic: string; usedAt: number }>()
  readonly #clock: Clock

  constructor(clock: Clock) {
    this.#clock = clock
  }

  remember(group: string, topic: string): void {
    const key = `${topic}@${group}`
    const entry = this.#topics.get(key) ?? { group, topic, usedAt: 0 }
    entry.usedAt = this.#clock.monotonic()
    this.#topics.delete(key)
    this.#topics.set(key, entry)
    if (this.#topics.size > LIMITS.compensations) this.#topics.delete(this.#topics.keys().next().value as string)
  }

  groupsOf(topic: string): string[] {
    return [...this.#topics.values()].filter((entry) => entry.topic === topic).map((entry) => entry.group)
  }

  sweep(expiryMs: number): void {
    const now = this.#clock.monotonic()
    for (const [key, entry] of this.#topics) {
      if (now - entry.usedAt <= expiryMs) return
      this.#topics.delete(key)
    }
  }
}
