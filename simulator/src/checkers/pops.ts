import { dlqTopic } from '@skylarkmq/remoting/protocol'
import { JOBS, POPPERS } from '../evidence.ts'
import type { Checker, Evidence, Violation } from '../evidence.ts'
import type { FaultKind, History, Pop } from '../history.ts'

/** A popped message is its holder's for the time that it asked for, comes again when it was not acknowledged, and never after it was. */
export const pops: Checker = (evidence) => [...neverShared(evidence), ...neverLost(evidence)]

const neverShared: Checker = ({ history, plan }) => {
  const violations: Violation[] = []
  const known = new Map<string, Pop[]>()
  // Whatever was answered last counts, not what was asked first.
  for (const pop of [...history.pops].sort((a, b) => a.gotMs - b.gotMs)) {
    const before = known.get(pop.id) ?? []
    for (const earlier of before) {
      // One that comes late changes nothing, and is no error.
      const isAcked = earlier.ackedMs !== undefined && earlier.ackedMs < pop.askedMs && earlier.ackedMs < earlier.holdsUntilMs
      const isHeld = earlier.holdsUntilMs > pop.gotMs && earlier.gotMs < pop.askedMs
      if ((!isAcked && !isHeld) || mayForget(history, plan.flush, earlier, pop, isAcked)) continue
      const why = isAcked
        ? `${earlier.member} had acknowledged it`
        : `it was ${earlier.member}'s until ${earlier.holdsUntilMs.toFixed(0)} ms`
      const sentence = `${pop.member} got ${pop.id} from ${pop.brokerName} at ${pop.gotMs.toFixed(0)} ms, and ${why}`
      violations.push({ checker: 'pops', sentence, about: [pop.id, pop.brokerName] })
    }
    known.set(pop.id, [...before, pop])
  }
  return violations
}

const TROUBLES: ReadonlySet<FaultKind> = new Set(['kill', 'power-loss', 'full-disk', 'sync-error'])

/**
 * Power took, or a bit spoilt, what the broker had noted about it; a wall clock that jumped (back too, at a start) shortens what was to last
 * over a start; a write that ended in the middle has left a copy for the next try, and not the note that says so.
 */
function mayForget({ faults, lost }: History, flush: 'sync' | 'async', earlier: Pop, later: Pop, isAcked: boolean): boolean {
  const { brokerName } = earlier
  const isBetween = (atMs: number): boolean => atMs >= earlier.askedMs && atMs <= later.gotMs
  const wasNoted = lost.some(
    (each) =>
      each.brokerName === brokerName &&
      isBetween(each.atMs) &&
      (each.cause === 'bit-flip' || (!each.wasSynced && (flush === 'async' || !isAcked))),
  )
  const had = (isIt: (kind: FaultKind) => boolean): boolean =>
    faults.some(({ kind, node, atMs }) => node === brokerName && atMs > 0 && atMs <= later.gotMs && isIt(kind))
  if (wasNoted || (!isAcked && had((kind) => kind === 'clock-jump'))) return true
  return earlier.place !== later.place && had((kind) => TROUBLES.has(kind))
}

const neverLost: Checker = (evidence) =>
  [...unfinishedJobs(evidence)].map((id) => ({
    checker: 'pops',
    sentence: `${id} was never acknowledged by any of ${POPPERS}, nor is it a dead letter`,
    about: [id],
  }))

/** Jobs in the stores that nobody has done. */
export function* unfinishedJobs({ history, stored }: Pick<Evidence, 'history' | 'stored'>): Generator<string> {
  const done = new Set(history.pops.filter(({ ackedMs }) => ackedMs !== undefined).map(({ id }) => id))
  for (const { id, topic } of stored) if (id !== undefined && topic === dlqTopic(POPPERS)) done.add(id)
  const jobs = new Set(stored.filter(({ topic }) => topic === JOBS).map(({ id }) => id))
  for (const id of jobs) {
    // An acknowledgement that was carried out, though its answer was lost, and a copy that the disk lost.
    if (id === undefined || done.has(id) || history.lostOf(id).length > 0 || history.doneUnsaid.has(id)) continue
    yield id
  }
}
