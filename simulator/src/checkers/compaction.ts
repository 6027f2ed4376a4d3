import { TOMBSTONES_MS } from '../cluster.ts'
import type { Checker, Stored, Violation } from '../evidence.ts'
import { excuseFor } from '../excuses.ts'
import type { History, Sent } from '../history.ts'
import { keysOf } from '../payload.ts'
import { isTombstone, PRICES } from '../workloads/compaction.ts'

interface Last {
  readonly sent: Sent
  readonly queueOffset: number
}

/** Of each key the last message stays, at its offset; a deletion for its time, and then nothing older than it. */
export const compaction: Checker = ({ history, stored, plan }) => {
  const violations: Violation[] = []
  const present = new Map<string, Stored[]>()
  for (const each of stored) {
    if (each.topic !== PRICES || each.id === undefined) continue
    const key = laneOf(each, each.id)
    present.set(key, [...(present.get(key) ?? []), each])
  }
  const last = new Map<string, Last>()
  for (const sent of history.sent.values()) {
    if (sent.topic !== PRICES || sent.ack === undefined || excuseFor(sent, history, plan.flush) !== undefined) continue
    const lane = laneOf(sent.ack, sent.id)
    if ((last.get(lane)?.queueOffset ?? -1) < sent.ack.queueOffset) last.set(lane, { sent, queueOffset: sent.ack.queueOffset })
  }
  for (const [lane, { sent, queueOffset }] of last) {
    const here = present.get(lane) ?? []
    if (here.some((each) => each.queueOffset > queueOffset || (each.queueOffset === queueOffset && each.id === sent.id))) continue
    if (here.length === 0 && wasDeleted(sent, history)) continue
    const older = here.map(({ id }) => id).join(', ')
    const what = older === '' ? 'nothing of its key is there' : `only what it replaced is there: ${older}`
    const sentence = `${sent.id} was the last message of ${lane} (offset ${queueOffset}), and ${what}`
    violations.push({ checker: 'compaction', sentence, about: [sent.id] })
  }
  for (const here of present.values()) {
    for (const { id = '', queueOffset, brokerName } of here) {
      const { ack } = history.sent.get(id) ?? {}
      if (ack === undefined || ack.queueOffset === queueOffset || ack.brokerName !== brokerName) continue
      const sentence = `${id} is at offset ${queueOffset}, and was acknowledged for offset ${ack.queueOffset}`
      violations.push({ checker: 'compaction', sentence, about: [id, brokerName] })
    }
  }
  return violations
}

/** By itself, or by one after it that was stored though nobody said so; the deletion has had its time, by the wall clock of its broker. */
function wasDeleted(last: Sent, { nowMs, faults, sent }: History): boolean {
  const haveJumped = faults.some(({ kind, node }) => kind === 'clock-jump' && node === last.ack?.brokerName)
  const isOld = ({ atMs }: Sent): boolean => haveJumped || nowMs - atMs > TOMBSTONES_MS
  const unsaid = [...sent.values()].filter(
    (each) => each.topic === PRICES && each.ack === undefined && each.atMs > last.atMs && keysOf(each.id) === keysOf(last.id),
  )
  return [last, ...unsaid].some((each) => isTombstone(each.id) && isOld(each))
}

const laneOf = ({ brokerName, queueId }: Pick<Stored, 'brokerName' | 'queueId'>, id: string): string =>
  `${keysOf(id)} in queue ${queueId} at ${brokerName}`
