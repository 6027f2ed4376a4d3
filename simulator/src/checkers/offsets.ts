import type { Checker, Evidence, Stored, Violation } from '../evidence.ts'
import { wasLostAt } from '../excuses.ts'
import type { FaultKind, History, SavedOffset } from '../history.ts'
import { handledKey } from '../history.ts'

/** A committed offset does not go back, and never passes a message that no handler of the group has had. */
export const offsets: Checker = (evidence) => [...neverBack(evidence), ...neverAhead(evidence)]

const HANDOVER_MS = 60_000
const MOVES_QUEUES: ReadonlySet<FaultKind> = new Set(['client-started', 'client-killed', 'partition', 'heal', 'stall', 'cut'])
const STOPS: ReadonlySet<FaultKind> = new Set(['kill', 'power-loss', 'start', 'slow-disk'])

const queueOf = ({ brokerName, group, topic, queueId }: SavedOffset): string => `${brokerName} ${group} ${topic} ${queueId}`

const neverBack: Checker = ({ history }) => {
  const violations: Violation[] = []
  const last = new Map<string, SavedOffset>()
  for (const saved of history.savedOffsets) {
    const key = queueOf(saved)
    const before = last.get(key)
    last.set(key, saved)
    // A new life begins with what the last one had made durable, which may be nothing.
    if (before === undefined || before.life !== saved.life || saved.offset >= before.offset) continue
    if (hasShrunkTo(history, saved) || mayHaveChangedHands(history, saved)) continue
    violations.push({
      checker: 'offsets',
      sentence: `the offset of ${saved.group} in queue ${saved.queueId} of ${saved.topic} at ${saved.brokerName} went back from ${before.offset} to ${saved.offset} at ${saved.atMs.toFixed(1)} ms`,
      about: [saved.brokerName],
    })
  }
  return violations
}

/** Power took the queue's end: there is nothing behind the first message that it took. */
const hasShrunkTo = (history: History, saved: SavedOffset): boolean =>
  history.lostIn(saved).some(({ queueOffset, atMs, cause }) => cause === 'power-loss' && atMs <= saved.atMs && queueOffset <= saved.offset)

/**
 * A member that loses a queue says its own progress once more, whatever the next one has done since; one that was cut off says so when
 * it is back. That repeats messages and loses none. Where nobody came, went or was cut off, or one member has
 * had the queue all the time, no offset goes back.
 */
const mayHaveChangedHands = (history: History, { atMs, brokerName, ...queue }: SavedOffset): boolean =>
  history.membersAt({ brokerName, ...queue }) > 1 &&
  history.faults.some(
    ({ kind, node, atMs: faultMs }) =>
      faultMs <= atMs && faultMs >= atMs - HANDOVER_MS && (MOVES_QUEUES.has(kind) || (node === brokerName && STOPS.has(kind))),
  )

const neverAhead: Checker = (evidence) => {
  const { history, topics } = evidence
  const violations: Violation[] = []
  const queues = byQueue(evidence)
  const checkedTo = new Map<string, number>()
  for (const saved of history.savedOffsets) {
    if (!topics.includes(saved.topic)) continue
    const stored = queues.get(`${saved.brokerName} ${saved.topic} ${saved.queueId}`) ?? []
    const key = queueOf(saved)
    let at = checkedTo.get(key) ?? 0
    for (; at < stored.length; at++) {
      const { id, queueOffset } = stored[at] as Stored
      if (queueOffset >= saved.offset) break
      const handled = history.handled.get(handledKey({ ...saved, queueOffset }))?.find((each) => each.id === id)
      if (handled !== undefined && handled.atMs <= saved.atMs) continue
      // The place had been another's.
      if (wasLostAt(history, { ...saved, queueOffset }, 0, Number.POSITIVE_INFINITY)) continue
      violations.push({
        checker: 'offsets',
        sentence: `${saved.group} had committed offset ${saved.offset} of queue ${saved.queueId} of ${saved.topic} at ${saved.brokerName} (at ${saved.atMs.toFixed(1)} ms) before any handler had ${id} at offset ${queueOffset}`,
        about: [id ?? saved.brokerName, saved.brokerName],
      })
    }
    checkedTo.set(key, at)
  }
  return violations
}

function byQueue({ stored }: Evidence): Map<string, Stored[]> {
  const queues = new Map<string, Stored[]>()
  for (const each of stored) {
    const key = `${each.brokerName} ${each.topic} ${each.queueId}`
    const queue = queues.get(key)
    if (queue === undefined) queues.set(key, [each])
    else queue.push(each)
  }
  return queues
}
