import { dlqTopic } from '@skylarkmq/remoting/protocol'
import { WAITING_TOPICS } from '../evidence.ts'
import type { Checker, Evidence, Stored, Violation } from '../evidence.ts'
import type { History } from '../history.ts'
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
  for (const each of stored) {
    const { id, topic, realTopic, retryOf } = each
    if (id === undefined) continue
    const group = deadOf.get(topic)
    if (group !== undefined) ended.add(`${group} ${id}`)
    if (!topics.includes(topic) && !(WAITING_TOPICS.has(topic) && topics.includes(realTopic) && isToCome(each, history))) continue
    for (const whose of retryOf === undefined ? groups : [retryOf]) due.set(`${whose} ${id}`, { id, group: whose })
  }
  for (const [key, each] of due) if (!ended.has(key)) yield each
}

/** Not when somebody may have taken it back, or its transaction was rolled back. */
const isToCome = ({ id = '', retryOf }: Stored, { recalls, sent }: History): boolean =>
  retryOf !== undefined || (!recalls.has(id) && sent.get(id)?.outcome !== 'rollback')
