import { DEFAULT_TOPIC, checkTopicName, isDlqTopic, isRetryTopic, isSystemTopic } from '@skylarkmq/remoting/protocol'
import type { Settings } from '../config.ts'
import type { TopicConfigs } from './topic-configs.ts'

/**
 * Makes a topic that a client asks the route of. Go's consumers do not start without one, and early messages spread over all brokers.
 * For development only: whoever asks for a thousand names gets a thousand topics.
 */
export function createOnDemand(topics: TopicConfigs, settings: Settings, topic: string): boolean {
  if (topics.get(topic) !== undefined) return true
  if (!settings.current.autoCreateTopicEnable || checkTopicName(topic) !== undefined) return false
  if (isSystemTopic(topic) || isRetryTopic(topic) || isDlqTopic(topic)) return false
  return topics.createFromDefault(topic, DEFAULT_TOPIC, undefined, 0) !== undefined
}
