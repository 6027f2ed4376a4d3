import { SCHEDULE_TOPIC } from '@skylarkmq/remoting/protocol'
import type { Checker, Violation } from '../evidence.ts'
import { excuseFor } from '../excuses.ts'

/** Whatever was acknowledged is where the acknowledgement said. */
export const noAckedLoss: Checker = ({ plan, history, stored }) => {
  const places = new Set<string>()
  for (const { id, brokerName, topic, queueId, queueOffset } of stored) {
    places.add(`${id} ${brokerName} ${topic} ${queueId} ${queueOffset}`)
    // The answer to a delayed message names its real topic, but its place is the schedule topic's.
    if (topic === SCHEDULE_TOPIC) places.add(`${id} ${brokerName}`)
  }
  const violations: Violation[] = []
  for (const sent of history.sent.values()) {
    if (sent.ack === undefined || excuseFor(sent, history, plan.flush) !== undefined) continue
    const { brokerName, queueId, queueOffset } = sent.ack
    const place = sent.isDelayed ? `${sent.id} ${brokerName}` : `${sent.id} ${brokerName} ${sent.topic} ${queueId} ${queueOffset}`
    if (places.has(place)) continue
    violations.push({
      checker: 'no-acked-loss',
      sentence: `${sent.id} was acknowledged by ${brokerName} for queue ${queueId} of ${sent.topic} at offset ${queueOffset}, and is not there`,
      about: [sent.id, brokerName],
    })
  }
  return violations
}
