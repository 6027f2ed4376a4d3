import { WAITING_TOPICS } from '../evidence.ts'
import type { Checker, Stored, Violation } from '../evidence.ts'
import type { History, Recall } from '../history.ts'
import { FAR_MS } from '../workloads/timers.ts'

/** What waits comes neither early nor twice, and not at all once it was taken back. */
export const timers: Checker = (evidence) => [...neverEarly(evidence), ...neverTwice(evidence), ...neverRecalled(evidence)]

const arrived = (stored: readonly Stored[]): Stored[] => stored.filter(({ topic, id }) => id !== undefined && !WAITING_TOPICS.has(topic))

const neverEarly: Checker = ({ history, stored }) => {
  const haveJumped = history.faults.some(({ kind, detail }) => kind === 'clock-jump' && detail !== `${FAR_MS} ms`)
  return arrived(stored).flatMap(({ id = '', brokerName, topic, retryOf, storeTimestamp }) => {
    const { dueMs, isDelay = false } = history.sent.get(id) ?? {}
    if (isDelay && haveJumped) return []
    if (dueMs === undefined || retryOf !== undefined || storeTimestamp >= dueMs) return []
    const sentence = `${id} came to ${topic} at ${brokerName} ${dueMs - storeTimestamp} ms before its time`
    return [{ checker: 'timers', sentence, about: [id, brokerName] }]
  })
}

const neverTwice: Checker = ({ stored }) => {
  const violations: Violation[] = []
  const seen = new Set<string>()
  for (const { id = '', brokerName, topic, origin, queueId, queueOffset } of arrived(stored)) {
    if (origin === 0) continue
    const key = `${brokerName} ${topic} ${id} ${origin}`
    if (!seen.has(key)) seen.add(key)
    else {
      const sentence = `${id}, which had waited at log position ${origin} of ${brokerName}, came twice to ${topic}: also at offset ${queueOffset} of queue ${queueId}`
      violations.push({ checker: 'timers', sentence, about: [id, brokerName] })
    }
  }
  return violations
}

const neverRecalled: Checker = ({ history, stored }) => {
  const come = new Set(arrived(stored).map(({ id }) => id))
  for (const { id } of history.consumed) come.add(id)
  return [...history.recalls.values()]
    .filter((recall) => recall.isSure && come.has(recall.id) && !wasLost(recall, history))
    .map(({ id, brokerName }) => ({
      checker: 'timers',
      sentence: `${id} came although ${brokerName} had said that it was taken back`,
      about: [id, brokerName],
    }))
}

/** The recall itself is a record, which the disk may have lost: before it was synced, or by rot. */
const wasLost = ({ brokerName, uniqKey }: Recall, { lost }: History): boolean =>
  lost.some((each) => each.brokerName === brokerName && each.recalls === uniqKey && (each.cause === 'bit-flip' || !each.wasSynced))
