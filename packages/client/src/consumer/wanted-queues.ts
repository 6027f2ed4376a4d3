import type { MessageQueue } from '@skylarkmq/remoting/protocol'
import { decodeAssignments, encodeQueryAssignment, isRetryTopic, QueryAssignment } from '@skylarkmq/remoting/protocol'
import type { ClientCore } from '../core/types.ts'

/** `pull`: members share the queues. `pop`: they share the messages. `broker`: as the broker says, by topic. */
export type Delivery = 'pull' | 'pop' | 'broker'

/** A queue that this member is to take messages from. Popped, -1 is every queue of the broker. */
export interface WantedQueue {
  readonly queue: MessageQueue
  readonly isPopped: boolean
}

export const pulled = (queues: readonly MessageQueue[]): WantedQueue[] => queues.map((queue) => ({ queue, isPopped: false }))

/** All members pop all brokers: nothing has to be shared out. */
export const poppedOf = (topic: string, queues: readonly MessageQueue[]): WantedQueue[] =>
  [...new Set(queues.map((queue) => queue.brokerName))].map((brokerName) => ({ queue: { topic, brokerName, queueId: -1 }, isPopped: true }))

/** Retry topics are always pulled (RocketMQ 5.3 `QueryAssignmentProcessor`): messages that were pulled and failed lie there. */
export const isPoppedTopic = (delivery: Delivery, topic: string): boolean => delivery === 'pop' && !isRetryTopic(topic)

/**
 * What the broker gives this member. Undefined: it cannot say now, what is owned stays. `none`: it does not share queues out; members do
 * it among themselves, as RocketMQ 5.0's do then.
 */
export async function assignedByBroker(
  core: ClientCore,
  group: string,
  topic: string,
  strategyName: string,
): Promise<WantedQueue[] | undefined | 'none'> {
  const route = await core.route(topic)
  const addresses = route.brokerDatas.flatMap((broker) => Object.values(broker.brokerAddrs))
  if (addresses.length === 0) return undefined
  const asked = { topic, consumerGroup: group, clientId: core.clientId, strategyName, messageModel: 'CLUSTERING' as const }
  const address = core.random.pick(addresses)
  const answer = await core.invoke(address, QueryAssignment, {}, { body: encodeQueryAssignment(asked) })
  if (answer.code !== 0) {
    core.log.debug('the broker does not share queues out', { topic, group, address, code: answer.code, remark: answer.remark })
    return 'none'
  }
  return decodeAssignments(answer.body)?.map(({ messageQueue, mode }) => ({ queue: messageQueue, isPopped: mode === 'POP' }))
}
