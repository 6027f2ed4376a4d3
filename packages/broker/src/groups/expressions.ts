import type { SubscriptionData } from '@skylarkmq/remoting/protocol'
import { plain } from '../answers.ts'
import { isTagExpression } from './subscriptions.ts'

/** Topic → expression, in a form that is equal for equal subscriptions. */
export type Expressions = ReadonlyMap<string, string>

/** `TagB||TagA` and `TagA || TagB` are one subscription. */
export function expressionsOf(subscriptions: readonly SubscriptionData[]): Expressions {
  const sorted = [...subscriptions].sort((a, b) => (a.topic < b.topic ? -1 : 1))
  return new Map(sorted.map((one) => [one.topic, expressionOf(one)]))
}

function expressionOf({ expressionType, subString }: SubscriptionData): string {
  if (!isTagExpression(expressionType)) return `${expressionType}: ${subString.trim()}`
  const tags = subString.split('||').map((tag) => tag.trim())
  return tags.filter((tag) => tag !== '').length === 0 ? '*' : [...new Set(tags)].sort().join(' || ')
}

export const sameExpressions = (a: Expressions, b: Expressions): boolean =>
  a.size === b.size && [...a].every(([topic, expression]) => b.get(topic) === expression)

/** How two members differ: `orders: TagA against TagB`. */
export function differences(a: Expressions, b: Expressions): string {
  const topics = [...new Set([...a.keys(), ...b.keys()])].filter((topic) => a.get(topic) !== b.get(topic))
  const shown = topics.slice(0, 5).map((topic) => `${topic}: ${a.get(topic) ?? 'nothing'} against ${b.get(topic) ?? 'nothing'}`)
  return plain(shown.join(', ')) + (topics.length > 5 ? ` and ${topics.length - 5} more` : '')
}
