import { viewOf } from '../bytes.ts'
import type { ConsumeQueue } from './consume-queue.ts'
import { ENTRY_BYTES, physicalOffsetAt, sizeAt } from './entry.ts'

/** First offset whose message is at or behind this log position, or `maxOffset` (RocketMQ ConsumeQueue#correctMinOffset). */
export function firstAtOrAfter(queue: ConsumeQueue, physicalOffset: number, scratch: Uint8Array): number {
  const view = viewOf(scratch)
  return firstThat(queue, scratch, (at) => physicalOffsetAt(view, at) >= physicalOffset)
}

/**
 * First offset in `[from, to)` whose entry, given in `scratch`, passes; or `to`. Passing must be monotonous; `undefined`, and places of lost
 * messages, tell nothing: the next one does.
 */
export function firstThat(
  queue: ConsumeQueue,
  scratch: Uint8Array,
  passes: (at: number) => boolean | undefined,
  from = queue.minOffset,
  to = queue.maxOffset,
): number {
  const view = viewOf(scratch)
  let low = from
  let high = to
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    let at = middle
    let verdict: boolean | undefined
    while (at < high && verdict === undefined) {
      const count = queue.readEntries(at, high - at, scratch)
      let i = 0
      for (; i < count && verdict === undefined; i++) {
        if (!queue.isSound(view, i * ENTRY_BYTES, at + i) || sizeAt(view, i * ENTRY_BYTES) === 0) continue
        verdict = passes(i * ENTRY_BYTES)
      }
      at += Math.max(1, i)
    }
    if (verdict === undefined || verdict) high = middle
    else low = at
  }
  return low
}
