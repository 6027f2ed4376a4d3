import type { TopicConfigs } from './topic-configs.ts'

/** The queues of a topic whose settings a crash has lost, as a client's send would make it. */
const QUEUES = 4

/**
 * Whether a message that has waited may still go to its topic: not when that was deleted meanwhile. A topic whose settings were lost with
 * a crash, before its first message was in it, gets settings again.
 */
export function canDeliverTo(topics: TopicConfigs, topic: string, queueId: number): boolean {
  if (topics.get(topic) !== undefined) return true
  topics.recover(new Map([[topic, [queueId]]]), QUEUES)
  return topics.get(topic) !== undefined
}
