import { dlqTopic, SCHEDULE_TOPIC } from '@skylarkmq/remoting/protocol'
import type { ClusterPlan } from './cluster.ts'
import type { Evidence, Stored } from './evidence.ts'
import { handledKey } from './history.ts'
import { MAX_RECONSUMES } from './workload.ts'
import type { Fault, History, LostRecord, Sent } from './history.ts'

type Flush = ClusterPlan['flush']

/** Asynchronous flush promises nothing over a power loss about what was acknowledged so shortly before. */
const ASYNC_FLUSH_MS = 2000
/** The same on a disk that is slow. */
const SLOW_ASYNC_FLUSH_MS = 30_000

/** Why an acknowledged message may be gone; undefined when nothing excuses it. */
export function excuseFor(sent: Sent, history: History, flush: Flush): string | undefined {
  const { ack, id, topic } = sent
  if (ack === undefined) return 'it was never acknowledged'
  if (sent.isShortLived) {
    const deletion = history.deletions.find((each) => each.topic === topic && (each.atMs > sent.atMs || !each.isDone))
    if (deletion !== undefined) return 'its topic was deleted'
  }
  const isIt = (lost: LostRecord): boolean =>
    (lost.atMs >= ack.atMs || wasOnItsWay(history, lost, sent, ack.atMs)) &&
    lost.brokerName === ack.brokerName &&
    (lost.topic === sent.waitsIn || (lost.topic === topic && lost.queueId === ack.queueId && lost.queueOffset === ack.queueOffset))
  return excuseIn(history.lostOf(id).filter(isIt), history, flush, ack.atMs)
}

/** Whether the answer had left when the record was lost, and came after: between the two nobody served at that broker. */
const wasOnItsWay = (history: History, lost: LostRecord, sent: Sent, ackMs: number): boolean =>
  lost.atMs >= sent.atMs && !history.servings.some(({ node, atMs }) => node === lost.brokerName && atMs >= lost.atMs && atMs <= ackMs)

/** Why a disk may have lost one of these records, written at `atMs`. */
function excuseIn(lost: readonly LostRecord[], history: History, flush: Flush, atMs: number): string | undefined {
  if (lost.some(({ cause }) => cause === 'bit-flip')) return 'a bit of its record was flipped'
  if (flush === 'sync') return undefined
  return lost.some((each) => !each.wasSynced && wasTooSoon(history, each, atMs))
    ? 'power was lost before the asynchronous flush'
    : undefined
}

/** Whether the asynchronous flush could not yet have come to what was written at `atMs`. */
function wasTooSoon(history: History, lost: LostRecord, atMs: number): boolean {
  const faults = history.faults.filter(({ node, atMs: faultMs }) => node === lost.brokerName && faultMs <= lost.atMs)
  const wasSlow = faults.some((fault) => fault.kind === 'slow-disk')
  const allowanceMs = wasSlow ? SLOW_ASYNC_FLUSH_MS : ASYNC_FLUSH_MS
  // After a failed sync nothing is flushed until the next start.
  const hasFailed = faults.some(
    (fault) => fault.kind === 'sync-error' && atMs <= fault.atMs + SLOW_ASYNC_FLUSH_MS && atMs >= fault.atMs - allowanceMs,
  )
  return hasFailed || aliveMs(faults, atMs, lost.atMs) < allowanceMs
}

/** How long the process ran between two moments. What it had not flushed when it was killed, nobody flushes before the next start. */
function aliveMs(faults: readonly Fault[], fromMs: number, toMs: number): number {
  let sum = 0
  // The answer may come when its sender has died.
  let isAlive = true
  let sinceMs = fromMs
  for (const { kind, atMs } of faults) {
    if (atMs > toMs) break
    if (kind !== 'start' && kind !== 'kill' && kind !== 'power-loss') continue
    if (isAlive && atMs > fromMs) sum += atMs - sinceMs
    isAlive = kind === 'start'
    sinceMs = Math.max(atMs, fromMs)
  }
  return isAlive ? sum + toMs - sinceMs : sum
}

/** Whether the message at a place of a queue was lost between two moments, so that the place was given to another. */
export const wasLostAt = (
  history: History,
  place: Pick<Stored, 'brokerName' | 'topic' | 'queueId' | 'queueOffset'>,
  fromMs: number,
  toMs: number,
): boolean => history.lostIn(place).some(({ queueOffset, atMs }) => queueOffset === place.queueOffset && atMs >= fromMs && atMs <= toMs)

/** The number of records that rot may have taken from a broker. */
export const bitFlips = (history: History, brokerName: string): number =>
  history.faults.filter(({ node, kind }) => node === brokerName && kind === 'bit-flip').length

/** Why a group may leave out a message that a store holds; undefined when nothing excuses it. */
export function excuseForLeavingOut(
  { history, plan, stored }: Pick<Evidence, 'history' | 'plan' | 'stored'>,
  id: string,
  group: string,
): string | undefined {
  const lost = history.lostOf(id)
  const isOfGroup = ({ retryOf, topic }: LostRecord): boolean => topic === dlqTopic(group) || retryOf === undefined || retryOf === group
  if (lost.some((each) => each.cause === 'bit-flip' && isOfGroup(each))) return 'a bit of a copy of it was flipped'
  if (plan.retentionBytes !== undefined && history.handledMs(group, id).length > MAX_RECONSUMES)
    return 'its dead letter went with the oldest files of the log'
  // Also in sync: a record behind the checkpoint does not keep its place when it was its queue's first and is damaged outside its body, or is
  // damaged in what names the place; the journal of records does not know that.
  if (wasPlaceTaken({ history, stored }, id, group)) return 'the group had consumed another message at its place, which was lost'
  if (plan.flush !== 'async') return undefined
  // A copy that waited for its time and came is another matter: it waits until the copy that came is safe.
  const isCopy = (each: LostRecord): boolean =>
    each.cause === 'power-loss' &&
    !each.wasSynced &&
    (each.topic === dlqTopic(group) || (each.topic === SCHEDULE_TOPIC && each.retryOf === group))
  return lost.some(isCopy) ? 'it was to be tried again, and power was lost before the asynchronous flush of its copy' : undefined
}

/** Whether every place of a message in its topic had been another's, which was lost before, and which the group has consumed there. */
function wasPlaceTaken({ history, stored }: Pick<Evidence, 'history' | 'stored'>, id: string, group: string): boolean {
  const sent = history.sent.get(id)
  const places = stored.filter((each) => each.id === id && each.topic === sent?.topic)
  const wasAnothers = (place: Stored): boolean => {
    const handled = history.handled.get(handledKey({ group, ...place })) ?? []
    return history
      .lostIn(place)
      .filter((lost) => lost.queueOffset === place.queueOffset && lost.atMs <= (sent?.ack?.atMs ?? Number.POSITIVE_INFINITY))
      .some((lost) => lost.id !== undefined && lost.id !== id && handled.some((each) => each.id === lost.id))
  }
  return places.length > 0 && places.every(wasAnothers)
}
