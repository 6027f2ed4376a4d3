import type { Checker, Violation } from '../evidence.ts'

/** Nothing is served or consumed that nobody sent, in a topic that nobody sent it to, or that was deleted with its topic. */
export const noInvented: Checker = ({ history, stored }) => {
  const violations: Violation[] = []
  const complain = (sentence: string, about: readonly string[]): void => {
    violations.push({ checker: 'no-invented', sentence, about })
  }
  for (const { id, brokerName, topic, realTopic, queueId, queueOffset } of stored) {
    const place = `${brokerName} serves at offset ${queueOffset} of queue ${queueId} of ${topic}`
    const sent = id === undefined ? undefined : history.sent.get(id)
    if (sent === undefined) complain(`${place} a message that nobody sent (${id ?? 'no id'})`, [id ?? brokerName])
    else if (sent.topic !== realTopic) complain(`${place} ${id}, which was sent to ${sent.topic}, for ${realTopic}`, [sent.id])
    else {
      const deletion = history.deletions.find(
        ({ topic: gone, brokerNames, beganMs }) =>
          gone === topic && brokerNames.includes(brokerName) && beganMs > (sent.ack?.atMs ?? Number.POSITIVE_INFINITY),
      )
      if (deletion !== undefined)
        complain(`${place} ${id}, whose topic was deleted after it had been acknowledged`, [sent.id, topic, brokerName])
    }
  }
  for (const { id, topic, member } of history.consumed) {
    const sent = history.sent.get(id)
    if (sent === undefined) complain(`${member} consumed ${id}, which nobody sent`, [id])
    else if (sent.topic !== topic) complain(`${member} consumed ${id} of ${topic}; it was sent to ${sent.topic}`, [id])
  }
  return violations
}
