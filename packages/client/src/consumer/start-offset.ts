import type { ConsumeFromWhere, MessageQueue } from '@skylarkmq/remoting/protocol'
import { RETRY_PREFIX } from '@skylarkmq/remoting/protocol'
import type { BrokerCalls } from './broker-calls.ts'

/** Where a group begins in a queue for which it has no offset yet. */
export type ConsumeFrom = 'last' | 'first' | { readonly timestampMs: number }

export const consumeFromWhere = (from: ConsumeFrom): ConsumeFromWhere =>
  from === 'first' ? 'CONSUME_FROM_FIRST_OFFSET' : from === 'last' ? 'CONSUME_FROM_LAST_OFFSET' : 'CONSUME_FROM_TIMESTAMP'

/** RocketMQ `RebalancePushImpl#computePullFromWhereWithException`, for a queue without a stored offset. */
export async function firstOffset(calls: BrokerCalls, queue: MessageQueue, from: ConsumeFrom): Promise<number> {
  const isRetry = queue.topic.startsWith(RETRY_PREFIX)
  if (from === 'first') return 0
  if (from === 'last') return isRetry ? 0 : calls.maxOffset(queue)
  return isRetry ? calls.maxOffset(queue) : calls.offsetByTime(queue, from.timestampMs)
}
