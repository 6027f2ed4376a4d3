import type { MessageStore } from '@skylarkmq/store'
import { COMPACTED, isCompacted } from './topic-attributes.ts'
import type { TopicConfigs } from './topic-configs.ts'

/**
 * Keeps the store's list of compacted topics and the topics' attributes the same. The store writes its list at once, the settings are
 * saved within a second: after a crash the store knows better.
 */
export function followCompaction(topics: TopicConfigs, store: MessageStore): void {
  for (const name of store.compactedTopics) {
    const config = topics.get(name)
    // Deleted, or made a moment before the crash and never written to.
    if (config === undefined) store.deleteTopic(name)
    else if (!isCompacted(config)) topics.set({ ...config, attributes: { ...config.attributes, ...COMPACTED } })
  }
  for (const config of topics.all()) if (isCompacted(config)) store.compactTopic(config.topicName)
  topics.onChange((name, config) => {
    if (isCompacted(config)) store.compactTopic(name)
  })
}
