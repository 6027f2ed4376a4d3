import { PROPERTY } from '@skylarkmq/remoting/protocol'

/** What makes a message of another kind, which has no priority (RocketMQ 5.4 `TopicMessageType#parseFromMessageProperty`). */
const OTHER_KINDS = [
  PROPERTY.DELAY,
  PROPERTY.TIMER_DELIVER_MS,
  PROPERTY.TIMER_DELAY_SEC,
  PROPERTY.TIMER_DELAY_MS,
  PROPERTY.SHARDING_KEY,
] as const

/**
 * The queue of a message that says how urgent it is: 0 is the least, the topic's last queue takes the most urgent ones. Pops look there
 * first (RocketMQ 5.4 `SendMessageProcessor#sendMessage`). Of messages that cannot have a priority it is removed.
 */
export function queueByPriority(properties: Map<string, string>, queueId: number, writeQueueNums: number): number {
  const text = properties.get(PROPERTY.PRIORITY)
  if (text === undefined) return queueId
  const priority = /^\d{1,9}$/.test(text) ? Number(text) : -1
  if (priority < 0) return queueId
  if (properties.get(PROPERTY.TRAN_MSG)?.toLowerCase() === 'true' || OTHER_KINDS.some((name) => properties.has(name))) {
    properties.delete(PROPERTY.PRIORITY)
    return queueId
  }
  return Math.max(0, Math.min(priority, writeQueueNums - 1))
}
