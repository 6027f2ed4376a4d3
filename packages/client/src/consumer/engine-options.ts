import type { ConsumeType, MessageModel, MessageQueue } from '@skylarkmq/remoting/protocol'
import type { AllocationStrategy } from './allocation/types.ts'
import type { PullLimits } from './pull-loop.ts'
import type { Stall } from './stall-watch.ts'
import type { ConsumeFrom } from './start-offset.ts'
import type { Subscription } from './subscriptions.ts'
import type { Delivery } from './wanted-queues.ts'

export interface EngineOptions {
  readonly group: string
  readonly subscriptions: Readonly<Record<string, Subscription>>
  readonly model: MessageModel
  readonly consumeType: ConsumeType
  readonly isOrderly: boolean
  /** The application names the queues: nothing is shared with the group. */
  readonly isAssignedByHand?: () => boolean
  readonly consumeFrom: ConsumeFrom
  readonly strategy: AllocationStrategy
  readonly limits: PullLimits
  /** Offsets are stored every five seconds and when queues are given away. */
  readonly isAutoCommit: boolean
  /** A queue that has not moved for so long is reported; 0: never. */
  readonly stalledAfterMs: number
  /** Broadcasting: where this member's offsets are kept. */
  readonly offsetFile: string
  /** Default: `pull`. */
  readonly delivery?: Delivery
}

export interface ConsumerEvents {
  /** The queues that this consumer owns have changed. */
  assigned: [queues: readonly MessageQueue[]]
  /** A handler threw, or a schema refused the message. */
  handlerError: [error: unknown, message: unknown]
  /** A queue makes no progress; once per episode. */
  stalled: [stall: Stall]
  /** It moves again. */
  recovered: [queue: MessageQueue]
}
