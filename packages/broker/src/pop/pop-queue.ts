import type { OrderBatch } from './order-batch.ts'
import type { EventRecord } from './pop-log.ts'

/** A message that a group has popped and not acknowledged. */
export interface InFlight {
  readonly queue: PopQueue
  readonly offset: number
  /** With the offset the message's handle: a new one makes the old one void. */
  popTime: number
  invisibleTimeMs: number
  /** When it is delivered again, by the monotonic clock. */
  dueAt: number
  /** Who has its last word. */
  record: EventRecord
  /** Acknowledged, or stored in a retry or dead-letter topic: nothing more can happen to it here. */
  isMoved: boolean
}

/** What a group has taken of one queue. */
export class PopQueue {
  readonly group: string
  readonly topic: string
  readonly queueId: number
  readonly entries = new Map<number, InFlight>()
  /** Where the next pop begins. */
  position: number
  /** Everything below is acknowledged or moved: the group's committed offset, with which any consumer can go on. */
  cursor: number
  /** What was committed last. Something else there: somebody else consumes, or an operator has moved the group. */
  committed: number | undefined
  order: OrderBatch | undefined
  /** Who has its last word, of those that are stored. */
  orderRecord: EventRecord | undefined
  /** While changes of the batch are under way: how many, the newest of them, and what is stored, to which a refusal goes back. */
  unstored: { count: number; newest: OrderBatch; stored: OrderBatch | undefined; cursor: number } | undefined
  /** A read off the main thread is under way: other pops leave the queue out. */
  isBusy = false

  constructor(group: string, topic: string, queueId: number, position: number) {
    this.group = group
    this.topic = topic
    this.queueId = queueId
    this.position = position
    this.cursor = position
  }

  /** After messages are done with: each offset is looked at once. */
  advance(): void {
    if (this.entries.size === 0) this.cursor = this.position
    while (this.cursor < this.position && !this.entries.has(this.cursor)) this.cursor++
  }

  /** After a jump. */
  settle(): void {
    this.cursor = this.position
    for (const offset of this.entries.keys()) if (offset < this.cursor) this.cursor = offset
  }
}
