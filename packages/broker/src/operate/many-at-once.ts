import { checkTopicName, decodeGroupConfigList, decodeTopicConfigList } from '@skylarkmq/remoting/protocol'
import type { SubscriptionGroupConfig, TopicConfig } from '@skylarkmq/remoting/protocol'
import type { Reply, RequestContext } from '@skylarkmq/remoting'
import { SUCCESS, refuse } from '../answers.ts'
import { alterAttributes, isRefusedChange } from '../attributes.ts'
import type { Settings } from '../config.ts'
import type { GroupConfigs } from '../groups/group-configs.ts'
import { changedGroup } from '../processors/group-admin.ts'
import { checkTopicChange } from '../processors/topic-admin.ts'
import { TOPIC_ATTRIBUTES } from '../topics/topic-attributes.ts'
import type { TopicConfigs } from '../topics/topic-configs.ts'

export interface ManyDeps {
  readonly topics: TopicConfigs
  readonly settings: Settings
  readonly groupConfigs: GroupConfigs
}

/** UPDATE_AND_CREATE_TOPIC_LIST: all are looked at before the first is changed. */
export function updateTopics({ topics, settings }: ManyDeps) {
  return (_header: unknown, context: RequestContext): Reply<never> => {
    const configs = decodeTopicConfigList(context.body)
    if (configs.length === 0) return refuse('INVALID_PARAMETER', 'the list topicConfigList is empty; give it at least one topic')
    const changed: TopicConfig[] = []
    for (const config of configs) {
      const wrong = checkTopicName(config.topicName)
      if (wrong !== undefined) return refuse('INVALID_PARAMETER', wrong)
      const refused = checkTopicChange(topics, { ...config, topic: config.topicName })
      if (refused !== undefined) return refused
      const attributes = alterAttributes(
        TOPIC_ATTRIBUTES,
        topics.get(config.topicName)?.attributes,
        Object.entries(config.attributes),
        settings,
      )
      if (isRefusedChange(attributes)) return attributes
      changed.push({ ...config, attributes })
    }
    for (const config of changed) topics.set(config)
    return SUCCESS
  }
}

/** UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST. */
export function updateGroups({ groupConfigs, settings }: ManyDeps) {
  return (_header: unknown, context: RequestContext): Reply<never> => {
    const configs = decodeGroupConfigList(context.body)
    if (configs.length === 0) return refuse('INVALID_PARAMETER', 'the list groupConfigList is empty; give it at least one group')
    const changed: SubscriptionGroupConfig[] = []
    for (const asked of configs) {
      const config = changedGroup({ groupConfigs, settings }, asked)
      if ('remark' in config) return config
      changed.push(config)
    }
    for (const config of changed) groupConfigs.set(config)
    return SUCCESS
  }
}
