import type { Checker, Violation } from '../evidence.ts'
import { WAITING_TOPICS } from '../evidence.ts'
import { PRICES } from '../workloads/compaction.ts'
import { excuseFor } from '../excuses.ts'

/** Whatever was acknowledged is where the acknowledgement said. */
export const noAckedLoss: Checker = ({ plan, history, stored, logs }) => {
  const places = new Set<string>()
  for (const { id, brokerName, topic, queueId, queueOffset } of stored) {
    places.add(`${id} ${brokerName} ${topic} ${queueId} ${queueOffset}`)
    // The answer to a message that waits names its real topic, but its place is where it waits.
    if (WAITING_TOPICS.has(topic)) places.add(`${id} ${brokerName}`)
  }
  const violations: Violation[] = []
  for (const sent of history.sent.values()) {
    if (sent.ack === undefined || excuseFor(sent, history, plan.flush) !== undefined) continue
    const { brokerName, queueId, queueOffset } = sent.ack
    const hasWaited = sent.waitsIn !== undefined && places.has(`${sent.id} ${brokerName}`)
    // A time that has passed when the broker hears of it means now.
    if (hasWaited || places.has(`${sent.id} ${brokerName} ${sent.topic} ${queueId} ${queueOffset}`)) continue
    // It went with the log's oldest files, or with what replaced it: another checker has an eye on that.
    if (sent.topic === PRICES || sent.ack.position < (logs.get(brokerName)?.from ?? 0)) continue
    violations.push({
      checker: 'no-acked-loss',
      sentence: `${sent.id} was acknowledged by ${brokerName} for queue ${queueId} of ${sent.topic} at offset ${queueOffset}, and is not there`,
      about: [sent.id, brokerName],
    })
  }
  return violations
}
