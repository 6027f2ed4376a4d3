import { SCHEDULE_TOPIC, dlqTopic } from '@skylarkmq/remoting/protocol'
import type { Checker, Evidence, Violation } from '../evidence.ts'
import { excuseForLeavingOut } from '../excuses.ts'

/** Every message that a store holds ends consumed or as a dead letter, in each group. */
export const everyMessageEnds: Checker = (evidence) => {
  const violations: Violation[] = []
  for (const { id, group } of unfinished(evidence)) {
    if (excuseForLeavingOut(evidence, id, group) !== undefined) continue
    violations.push({
      checker: 'every-message-ends',
      sentence: `${id} was neither consumed by ${group} nor is it a dead letter`,
      about: [id],
    })
  }
  return violations
}

/** What groups still have before them. */
export function* unfinished({ history, stored, groups, topics }: Pick<Evidence, 'history' | 'stored' | 'groups' | 'topics'>) {
  const due = new Map<string, { id: string; group: string }>()
  const ended = new Set(history.consumed.map(({ id, group }) => `${group} ${id}`))
  const deadOf = new Map(groups.map((group) => [dlqTopic(group), group]))
  for (const { id, topic, realTopic, retryOf } of stored) {
    if (id === undefined) continue
    const group = deadOf.get(topic)
    if (group !== undefined) ended.add(`${group} ${id}`)
    if (!topics.includes(topic) && !(topic === SCHEDULE_TOPIC && topics.includes(realTopic))) continue
    for (const each of retryOf === undefined ? groups : [retryOf]) due.set(`${each} ${id}`, { id, group: each })
  }
  for (const [key, each] of due) if (!ended.has(key)) yield each
}
