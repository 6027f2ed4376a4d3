/**
 * Messages that wait for their time, as a view of the log: what to deliver next, without the messages themselves. It may be deleted at
 * any time and is then derived again from the timer topic's queue.
 */
export interface PendingTimer {
  /** Log position of the message as it was first stored: its identity, also after it was stored anew. */
  readonly origin: number
  /** Wall time in ms; it is delivered then, not before. */
  readonly dueMs: number
  /** Where its newest record is: offset in the timer topic's queue, and log position. */
  readonly queueOffset: number
  readonly position: number
  /** Of topic and unique key, for recalls. */
  readonly keyHash: number
  /** Where it goes. */
  readonly topic: string
}

/** How far the view has been derived. It changes together with the entries or not at all. */
export interface TimerIndexState {
  /** First offset of the timer topic's queue that is not in the view. */
  readonly indexedTo: number
  /** Store time and log position of the entry before it: whether the log is still the one that the view was derived from. */
  readonly lastPosition: number
  readonly lastStoreTimestamp: number
  /** Entries below may have been delivered by a life that could not say so: look in the log first. */
  readonly doubtBelow: number
  /** End of the log when the view was closed in order, with every delivery in it; -1 while it is in use. */
  readonly cleanAt: number
}

export interface TimerIndexChange {
  /** An origin that is there already keeps its time and takes the new place. */
  readonly add?: readonly PendingTimer[]
  /** By origin. Missing ones are fine. */
  readonly remove?: readonly number[]
  readonly state?: TimerIndexState
}

export interface TimerIndex {
  readonly state: TimerIndexState | undefined
  readonly size: number
  /** Pending entries of each topic that has any. */
  counts(): ReadonlyMap<string, number>
  /** One transaction. */
  apply(change: TimerIndexChange): void
  /** Entries after (`afterDueMs`, `afterOrigin`) and due at `toDueMs` or before, in that order. */
  range(afterDueMs: number, afterOrigin: number, toDueMs: number, limit: number): PendingTimer[]
  /** The first time at which an entry after (`afterDueMs`, `afterOrigin`) is due. */
  nextDueMs(afterDueMs: number, afterOrigin: number): number | undefined
  /** Entries with this key that are due in [fromDueMs, toDueMs]. */
  find(fromDueMs: number, toDueMs: number, keyHash: number): PendingTimer[]
  /** The entry whose record lies first in the log. */
  oldest(): PendingTimer | undefined
  /** Entries with a record between these queue offsets (the first inclusive), oldest record first. */
  storedBetween(fromQueueOffset: number, toQueueOffset: number, limit: number): PendingTimer[]
  /** Forgets everything: the view is derived anew. */
  clear(): void
  close(): void
}
