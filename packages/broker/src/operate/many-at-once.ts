import { checkGroupName, checkTopicName, decodeGroupConfigList, decodeTopicConfigList } from '@skylarkmq/remoting/protocol'
import type { Reply, RequestContext } from '@skylarkmq/remoting'
import { SUCCESS, refuse } from '../answers.ts'
import type { GroupConfigs } from '../groups/group-configs.ts'
import { checkTopicChange } from '../processors/topic-admin.ts'
import type { TopicConfigs } from '../topics/topic-configs.ts'

export interface ManyDeps {
  readonly topics: TopicConfigs
  readonly groupConfigs: GroupConfigs
}

/** UPDATE_AND_CREATE_TOPIC_LIST: all are looked at before the first is changed. */
export function updateTopics({ topics }: ManyDeps) {
  return (_header: unknown, context: RequestContext): Reply<never> => {
    const configs = decodeTopicConfigList(context.body)
    if (configs.length === 0) return refuse('INVALID_PARAMETER', 'the list topicConfigList is empty; give it at least one topic')
    for (const config of configs) {
      const wrong = checkTopicName(config.topicName)
      if (wrong !== undefined) return refuse('INVALID_PARAMETER', wrong)
      const refused = checkTopicChange(topics, { ...config, topic: config.topicName })
      if (refused !== undefined) return refused
    }
    for (const config of configs) topics.set(config)
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
