import type { Evidence, Stored } from './evidence.ts'
import { handledKey } from './history.ts'
import type { Fault, History, Sent } from './history.ts'

/** Asynchronous flush promises nothing over a power loss about what was acknowledged so shortly before. */
const ASYNC_FLUSH_MS = 2000
/** The same on a disk that is slow. */
const SLOW_ASYNC_FLUSH_MS = 30_000

/** Why an acknowledged message may be gone; undefined when nothing excuses it. */
export function excuseFor(sent: Sent, history: History, flush: 'sync' | 'async'): string | undefined {
  if (sent.ack === undefined) return 'it was never acknowledged'
  const { brokerName, atMs } = sent.ack
  if (sent.isShortLived) {
    const deletion = history.deletions.find((each) => each.topic === sent.topic && (each.atMs > sent.atMs || !each.isDone))
    if (deletion !== undefined) return 'its topic was deleted'
  }
  if (flush === 'sync') return undefined
  const faults = history.faults.filter(({ node }) => node === brokerName)
  const wasSlow = faults.some((fault) => fault.kind === 'slow-disk' && fault.atMs <= atMs + SLOW_ASYNC_FLUSH_MS)
  const allowanceMs = wasSlow ? SLOW_ASYNC_FLUSH_MS : ASYNC_FLUSH_MS
  if (faults.some(({ kind, atMs: lostMs }) => kind === 'power-loss' && lostMs >= atMs && aliveMs(faults, atMs, lostMs) < allowanceMs))
    return 'power was lost before the asynchronous flush'
  // A failed sync comes some time after it was ordered, and what it covered is gone with the next power loss, however late.
  const failed = faults.find((fault) => fault.kind === 'sync-error' && atMs <= fault.atMs + 20_000 && atMs >= fault.atMs - allowanceMs)
  return failed === undefined ? undefined : 'the asynchronous flush failed'
}

/** How long the process ran between two moments. What it had not flushed when it was killed, nobody flushes before the next start. */
function aliveMs(faults: readonly Fault[], fromMs: number, toMs: number): number {
  let sum = 0
  let sinceMs: number | undefined = fromMs
  for (const { kind, atMs } of faults) {
    if (atMs <= fromMs || atMs > toMs) continue
    if (kind === 'start') sinceMs ??= atMs
    else if (sinceMs !== undefined && (kind === 'kill' || kind === 'power-loss')) {
      sum += atMs - sinceMs
      sinceMs = undefined
    }
  }
  return sinceMs === undefined ? sum : sum + toMs - sinceMs
}

/** Whether the broker's queues may have lost their ends between two moments, so that offsets were given twice. */
export const mayHaveShrunk = (history: History, flush: 'sync' | 'async', brokerName: string, fromMs: number, toMs: number): boolean =>
  flush === 'async' &&
  history.faults.some(({ node, kind, atMs }) => node === brokerName && kind === 'power-loss' && atMs >= fromMs && atMs <= toMs)

/** The number of records that rot may have taken from a broker. */
export const bitFlips = (history: History, brokerName: string): number =>
  history.faults.filter(({ node, kind }) => node === brokerName && kind === 'bit-flip').length

/** Why a group may leave out a message that a store holds; undefined when nothing excuses it. Only asynchronous flush has excuses. */
export function excuseForLeavingOut(
  { history, plan, stored }: Pick<Evidence, 'history' | 'plan' | 'stored'>,
  id: string,
  group: string,
): string | undefined {
  if (plan.flush !== 'async') return undefined
  const handledMs = history.handledMs(group, id)
  const isCopyLost = history.faults.some(
    ({ kind, atMs }) => kind === 'power-loss' && handledMs.some((each) => each < atMs && atMs - each < SLOW_ASYNC_FLUSH_MS),
  )
  if (isCopyLost) return 'it was to be tried again, and power was lost before the asynchronous flush of its copy'
  const topic = history.sent.get(id)?.topic
  const places = stored.filter((each) => each.id === id && each.topic === topic)
  const wasAnothers = (place: Stored): boolean =>
    history.handled.get(handledKey({ group, ...place }))?.some((handled) => handled.id !== id) ?? false
  return places.length > 0 && places.every(wasAnothers)
    ? 'the group had consumed another message at its place, which power loss took'
    : undefined
}
