import type { Evidence, Violation } from '../evidence.ts'

type AtRest = Pick<Evidence, 'owners' | 'queues' | 'groups' | 'members'>

/** At rest each queue has exactly one owner in each group, and a topic's queues are shared evenly. */
export const rebalance = (evidence: AtRest): Violation[] =>
  evidence.groups.flatMap((group) => [...owned(group, evidence), ...even(group, evidence)])

function owned(group: string, { owners, queues }: AtRest): Violation[] {
  const violations: Violation[] = []
  for (const { brokerName, topic, queueId } of queues) {
    const holders = owners.filter(
      (owner) => owner.group === group && owner.brokerName === brokerName && owner.topic === topic && owner.queueId === queueId,
    )
    if (holders.length === 1) continue
    const who = holders.length === 0 ? 'nobody' : holders.map(({ member }) => member).join(' and ')
    violations.push({
      checker: 'rebalance',
      sentence: `at rest, queue ${queueId} of ${topic} at ${brokerName} belongs to ${who} in ${group}`,
      about: [brokerName, ...holders.map(({ member }) => member)],
    })
  }
  return violations
}

function even(group: string, { owners, queues, members }: AtRest): Violation[] {
  const names = members.filter((member) => member.group === group).map(({ name }) => name)
  const violations: Violation[] = []
  for (const topic of new Set(queues.map((queue) => queue.topic))) {
    const counts = names.map(
      (name) => owners.filter((owner) => owner.group === group && owner.member === name && owner.topic === topic).length,
    )
    if (Math.max(...counts) - Math.min(...counts) <= 1) continue
    violations.push({
      checker: 'rebalance',
      sentence: `at rest, the members of ${group} do not share ${topic} evenly: ${names.map((name, i) => `${name} has ${counts[i]}`).join(', ')}`,
      about: names,
    })
  }
  return violations
}
