import { decodeLockBatch, encodeLockResult } from '@skylarkmq/remoting/protocol'
import type { LockBatchBody } from '@skylarkmq/remoting/protocol'
import type { Reply, RequestContext } from '@skylarkmq/remoting'
import { SUCCESS, refuse } from '../answers.ts'
import type { Refusal } from '../answers.ts'
import { LIMITS } from '../limits.ts'
import type { QueueLocks } from '../groups/queue-locks.ts'
import type { TopicConfigs } from '../topics/topic-configs.ts'

export interface LockDeps {
  readonly locks: QueueLocks
  readonly topics: TopicConfigs
}

/** Locks for consuming in order: the answer has those queues that the client now holds. */
export function lockBatchMq({ locks, topics }: LockDeps) {
  return (_header: unknown, context: RequestContext): Reply<never> => {
    const body = decodeLockBatch(context.body)
    const wrong = checkLock(body)
    if (wrong !== undefined) return wrong
    // Only queues that can be: else a client could fill the table.
    const queues = body.mqSet.filter(({ topic, queueId }) => queueId >= 0 && queueId < (topics.get(topic)?.readQueueNums ?? 0))
    return { code: 0, body: encodeLockResult(locks.lock(body.consumerGroup, body.clientId, queues)) }
  }
}

export function unlockBatchMq({ locks }: LockDeps) {
  return (_header: unknown, context: RequestContext): Reply<never> => {
    const body = decodeLockBatch(context.body)
    const wrong = checkLock(body)
    if (wrong !== undefined) return wrong
    locks.unlock(body.consumerGroup, body.clientId, body.mqSet)
    return SUCCESS
  }
}

function checkLock(body: LockBatchBody): Refusal | undefined {
  if (!body.consumerGroup) return refuse('INVALID_PARAMETER', 'the lock request has no consumerGroup')
  if (!body.clientId) return refuse('INVALID_PARAMETER', 'the lock request has no clientId')
  if (body.mqSet.length <= LIMITS.lockQueues) return undefined
  return refuse('INVALID_PARAMETER', `the lock request names ${body.mqSet.length} queues; at most ${LIMITS.lockQueues} are allowed`)
}
