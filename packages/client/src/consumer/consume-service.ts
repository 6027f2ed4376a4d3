import type { AssignedQueue } from './assigned-queue.ts'

/** What stands between cached messages and handlers. */
export interface ConsumeService {
  /** The queue may have messages for handlers. */
  onMessages(assigned: AssignedQueue): void
  /** A dropped queue is about to be given away: false while it must not be. */
  release(assigned: AssignedQueue): Promise<boolean>
  /** No new handler calls. */
  pause(): void
  resume(): void
  /** For good: starts no handler any more and waits for those at work. Resolves with whether all ended in time. */
  drain(ms: number): Promise<boolean>
  /** After `drain`: resolves when brokers know what was settled one by one. */
  farewell?(): Promise<void>
}
