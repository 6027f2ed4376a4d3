import { HALF_TOPIC } from '@skylarkmq/remoting/protocol'
import { WAITING_TOPICS } from '../evidence.ts'
import type { Checker, Evidence, Violation } from '../evidence.ts'
import { excuseFor } from '../excuses.ts'

/** A transaction's message comes when it was committed, also when the broker had to ask; never when it was rolled back. */
export const transactions: Checker = (evidence) => {
  const { history, stored } = evidence
  const violations: Violation[] = []
  const come = new Set(stored.filter(({ topic }) => !WAITING_TOPICS.has(topic)).map(({ id }) => id))
  for (const { id } of history.consumed) come.add(id)
  const waits = new Set(stored.filter(({ topic }) => WAITING_TOPICS.has(topic)).map(({ id }) => id))
  for (const sent of history.sent.values()) {
    const { id, outcome } = sent
    if (outcome === 'rollback' && come.has(id)) complain(violations, id, `${id} came, and its transaction had been rolled back`)
    if (outcome !== 'commit' || come.has(id) || sent.ack === undefined || isExcused(evidence, id)) continue
    complain(violations, id, `${id} never came, and its transaction had been committed${waits.has(id) ? '; it still waits' : ''}`)
  }
  return violations
}

function isExcused({ history, plan, logs }: Evidence, id: string): boolean {
  const sent = history.sent.get(id)
  if (sent?.ack === undefined || excuseFor(sent, history, plan.flush) !== undefined) return true
  if (sent.ack.position < (logs.get(sent.ack.brokerName)?.from ?? 0)) return true
  // The commit is a message of its own.
  return history
    .lostOf(id)
    .some(({ cause, topic, wasSynced }) => topic !== HALF_TOPIC && (cause === 'bit-flip' || (plan.flush === 'async' && !wasSynced)))
}

const complain = (violations: Violation[], id: string, sentence: string): void => {
  violations.push({ checker: 'transactions', sentence, about: [id] })
}
