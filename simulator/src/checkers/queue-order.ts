import type { Checker, Violation } from '../evidence.ts'
import { wasLostAt } from '../excuses.ts'
import type { Consumption, LostRecord, Sent } from '../history.ts'

const producerOf = (id: string): string => id.slice(0, id.lastIndexOf('-'))

/**
 * Messages of one producer and key, each sent after the one before was acknowledged, lie in their queue in that order; an orderly group
 * meets a queue's messages for the first time in the order of the queue.
 */
export const queueOrder: Checker = (evidence) => [...storedInOrder(evidence), ...consumedInOrder(evidence)]

const storedInOrder: Checker = ({ history }) => {
  const violations: Violation[] = []
  const last = new Map<string, Sent>()
  for (const sent of history.sent.values()) {
    const { ack, orderKey, topic, id } = sent
    if (ack === undefined || orderKey === undefined) continue
    const lane = `${producerOf(id)} ${topic} ${orderKey} ${ack.brokerName} ${ack.queueId}`
    const before = last.get(lane)
    last.set(lane, sent)
    if (before?.ack === undefined || before.ack.queueOffset < ack.queueOffset) continue
    if (wasLostAt(history, { topic, ...before.ack }, before.ack.atMs, ack.atMs)) continue
    violations.push({
      checker: 'queue-order',
      sentence: `${id} was sent after ${before.id} with the same key, and has offset ${ack.queueOffset} of queue ${ack.queueId} before its ${before.ack.queueOffset}`,
      about: [before.id, id],
    })
  }
  return violations
}

const isAt = (lost: LostRecord, { brokerName, queueTopic, queueId, queueOffset }: Consumption): boolean =>
  lost.brokerName === brokerName && lost.topic === queueTopic && lost.queueId === queueId && lost.queueOffset === queueOffset

const consumedInOrder: Checker = ({ history, orderlyGroups, topics }) => {
  const violations: Violation[] = []
  const queues = new Map<string, { highest: Consumption | undefined; seen: Set<string> }>()
  for (const consumption of history.consumed) {
    const { group, brokerName, queueTopic, queueId, queueOffset, atMs, id } = consumption
    if (!orderlyGroups.includes(group) || !topics.includes(queueTopic)) continue
    const key = `${group} ${brokerName} ${queueTopic} ${queueId}`
    let queue = queues.get(key)
    if (queue === undefined) queues.set(key, (queue = { highest: undefined, seen: new Set() }))
    // Repetition is allowed; what counts is the first time.
    if (queue.seen.has(`${queueOffset} ${id}`)) continue
    queue.seen.add(`${queueOffset} ${id}`)
    const { highest } = queue
    // What was lost together with its queue's end gives its offsets to others.
    const isLater = highest === undefined || queueOffset > highest.queueOffset
    if (isLater || wasLostAt(history, { ...highest, topic: queueTopic }, 0, atMs)) queue.highest = consumption
    // Who had it from before its record was spoilt may still handle it, when the queue's next owner had to go on without it.
    else if (!history.lostOf(id).some((lost) => isAt(lost, consumption) && lost.atMs < highest.atMs)) {
      violations.push({
        checker: 'queue-order',
        sentence: `${group} consumed offset ${queueOffset} of queue ${queueId} of ${queueTopic} at ${brokerName} (${id}) after offset ${highest.queueOffset} (${highest.id})`,
        about: [id, highest.id, brokerName],
      })
    }
  }
  return violations
}
