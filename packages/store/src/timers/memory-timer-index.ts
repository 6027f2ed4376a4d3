import type { PendingTimer, TimerIndex, TimerIndexChange, TimerIndexState } from './timer-index.ts'

/** For simulations and tests: nothing of it outlives the process. Held equal to the SQLite one by a shared suite. */
export function memoryTimerIndex(): TimerIndex {
  const byOrigin = new Map<number, PendingTimer>()
  /** In order of time and origin. */
  let sorted: PendingTimer[] = []
  const counts = new Map<string, number>()
  let state: TimerIndexState | undefined

  /** Index of the first entry after (dueMs, origin). */
  function after(dueMs: number, origin: number): number {
    let [low, high] = [0, sorted.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      const entry = sorted[middle] as PendingTimer
      if (entry.dueMs < dueMs || (entry.dueMs === dueMs && entry.origin <= origin)) low = middle + 1
      else high = middle
    }
    return low
  }

  function remove(origin: number): void {
    const entry = byOrigin.get(origin)
    if (entry === undefined) return
    byOrigin.delete(origin)
    sorted.splice(after(entry.dueMs, entry.origin) - 1, 1)
    const left = (counts.get(entry.topic) ?? 0) - 1
    if (left > 0) counts.set(entry.topic, left)
    else counts.delete(entry.topic)
  }

  function add(entry: PendingTimer): void {
    const known = byOrigin.get(entry.origin)
    if (known !== undefined) {
      const moved = { ...known, queueOffset: entry.queueOffset, position: entry.position }
      byOrigin.set(entry.origin, moved)
      sorted[after(known.dueMs, known.origin) - 1] = moved
      return
    }
    byOrigin.set(entry.origin, entry)
    sorted.splice(after(entry.dueMs, entry.origin), 0, entry)
    counts.set(entry.topic, (counts.get(entry.topic) ?? 0) + 1)
  }

  const byPlace = (): PendingTimer[] => [...sorted].sort((a, b) => a.queueOffset - b.queueOffset)

  return {
    get state() {
      return state
    },
    get size() {
      return byOrigin.size
    },
    counts: () => counts,
    apply(change: TimerIndexChange) {
      for (const entry of change.add ?? []) add(entry)
      for (const origin of change.remove ?? []) remove(origin)
      if (change.state !== undefined) state = change.state
    },
    range(afterDueMs, afterOrigin, toDueMs, limit) {
      const found: PendingTimer[] = []
      for (let i = after(afterDueMs, afterOrigin); i < sorted.length && found.length < limit; i++) {
        const entry = sorted[i] as PendingTimer
        if (entry.dueMs > toDueMs) break
        found.push(entry)
      }
      return found
    },
    nextDueMs: (afterDueMs, afterOrigin) => sorted[after(afterDueMs, afterOrigin)]?.dueMs,
    find: (fromDueMs, toDueMs, keyHash) =>
      sorted.filter((entry) => entry.dueMs >= fromDueMs && entry.dueMs <= toDueMs && entry.keyHash === keyHash),
    oldest: () => byPlace()[0],
    storedBetween: (from, to, limit) =>
      byPlace()
        .filter((entry) => entry.queueOffset >= from && entry.queueOffset < to)
        .slice(0, limit),
    clear() {
      byOrigin.clear()
      sorted = []
      counts.clear()
      state = undefined
    },
    close() {},
  }
}
