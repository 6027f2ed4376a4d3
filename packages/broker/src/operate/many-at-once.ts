import { checkGroupName, checkTopicName, decodeGroupConfigList, decodeTopicConfigList } from '@skylarkmq/remoting/protocol'
import type { TopicConfig } from '@skylarkmq/remoting/protocol'
import type { Reply, RequestContext } from '@skylarkmq/remoting'
import { SUCCESS, refuse } from '../answers.ts'
import type { Settings } from '../config.ts'
import type { GroupConfigs } from '../groups/group-configs.ts'
import { checkTopicChange, isRefused } from '../processors/topic-admin.ts'
import { alterAttributes } from '../topics/topic-attributes.ts'
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
      const attributes = alterAttributes(topics.get(config.topicName)?.attributes, Object.entries(config.attributes), settings)
      if (isRefused(attributes)) return attributes
      changed.push({ ...config, attributes })
    }
    for (const config of changed) topics.set(config)
    return SUCCESS
  }
}

/** UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST. */
export function updateGroups({ groupConfigs }: ManyDeps) {
  return (_header: unknown, context: RequestContext): Reply<never> => {
    const configs = decodeGroupConfigList(context.body)
    if (configs.length === 0) return refuse('INVALID_PARAMETER', 'the list groupConfigList is empty; give it at least one group')
    const wrong = configs.map(({ groupName }) => checkGroupName(groupName)).find((sentence) => sentence !== undefined)
    if (wrong !== undefined) return refuse('INVALID_PARAMETER', wrong)
    for (const config of configs) groupConfigs.set(config)
    return SUCCESS
  }
}
