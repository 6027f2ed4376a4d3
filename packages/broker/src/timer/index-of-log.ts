import { decodeRecord } from '@skylarkmq/remoting/protocol'
import type { Log } from '@skylarkmq/runtime'
import type { MessageStore, TimerIndex, TimerIndexState } from '@skylarkmq/store'
import { TIMER_QUEUE, TIMER_TOPIC } from './timer-request.ts'

/**
 * Where the view goes on, at a start. A view that another log was the source of is forgotten: after a loss of power the log may have lost
 * its end and the view not. Everything below `doubtBelow` may have been delivered by a life that ended before it could say so.
 */
export function indexOfLog(deps: { readonly store: MessageStore; readonly timerIndex: TimerIndex; readonly log: Log }): TimerIndexState {
  const { store, timerIndex, log } = deps
  if (timerIndex.state !== undefined && !isOf(store, timerIndex.state)) {
    log.warn('the list of scheduled messages is not of this log; it is derived again', { ...timerIndex.state })
    timerIndex.clear()
  }
  const saved = timerIndex.state
  // Whoever wrote to the log since it was closed, an Apache broker perhaps, may have delivered too.
  const isClean = saved?.cleanAt === store.maxPhysicalOffset
  return {
    indexedTo: Math.max(saved?.indexedTo ?? 0, store.minOffset(TIMER_TOPIC, TIMER_QUEUE)),
    lastPosition: saved?.lastPosition ?? -1,
    lastStoreTimestamp: saved?.lastStoreTimestamp ?? -1,
    doubtBelow: isClean ? saved.doubtBelow : store.maxOffset(TIMER_TOPIC, TIMER_QUEUE),
    cleanAt: -1,
  }
}

function isOf(store: MessageStore, state: TimerIndexState): boolean {
  if (state.indexedTo > store.maxOffset(TIMER_TOPIC, TIMER_QUEUE)) return false
  // Nothing was taken over yet, or it was so long ago that the log has forgotten it.
  if (state.lastPosition < store.minPhysicalOffset) return true
  const record = store.readRecordAt(state.lastPosition)
  const last = record === undefined ? undefined : decodeRecord(record)
  return last?.topic === TIMER_TOPIC && last.storeTimestamp === state.lastStoreTimestamp && last.queueOffset < state.indexedTo
}
