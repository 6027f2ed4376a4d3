import type { MessageQueue } from '@skylarkmq/remoting/protocol'

/** What a strategy sees: both lists sorted as every member of the group sorts them, so that all members come to the same split. */
export interface AllocationInput {
  readonly group: string
  readonly clientId: string
  /** By topic, broker name, queue id. */
  readonly queues: readonly MessageQueue[]
  /** Lexicographic, binary order. */
  readonly clientIds: readonly string[]
}

/**
 * Which queues of one topic a member of a group takes. Pure: the same input gives the same queues on every member, which is what
 * keeps a queue with one owner. All members of a group, of whatever language, must use the same strategy.
 */
export interface AllocationStrategy {
  /** As Apache names it (`AVG`, `AVG_BY_CIRCLE`, …): shown in running info. */
  readonly name: string
  readonly allocate: (input: AllocationInput) => MessageQueue[]
}
