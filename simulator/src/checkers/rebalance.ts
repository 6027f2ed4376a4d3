import type { Evidence, Violation } from '../evidence.ts'

/** At rest each queue has exactly one owner in each group. */
export const rebalance = ({ owners, queues, groups }: Pick<Evidence, 'owners' | 'queues' | 'groups'>): Violation[] => {
  const violations: Violation[] = []
  for (const group of groups) {
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
  }
  return violations
}
