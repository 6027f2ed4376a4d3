import { isReadable } from '@skylarkmq/remoting/protocol'
import type { SubscriptionGroupConfig, TopicConfig } from '@skylarkmq/remoting/protocol'
import type { Clock } from '@skylarkmq/runtime'
import type { EntryFilter } from '@skylarkmq/store'
import { groupForbidden, groupMissing, plain, refuse, topicMissing } from '../answers.ts'
import type { Refusal } from '../answers.ts'
import type { Settings } from '../config.ts'
import type { SqlFilter } from '../filter/sql-filter.ts'
import type { ConsumerGroups } from '../groups/consumer-groups.ts'
import type { ForbiddenTopics } from '../groups/forbidden-topics.ts'
import type { GroupConfigs } from '../groups/group-configs.ts'
import { isTagExpression } from '../groups/subscriptions.ts'
import type { Compensations, FilterCache } from '../groups/subscriptions.ts'
import { badExpression, refusedExpression } from '../processors/expressions.ts'
import type { TopicConfigs } from '../topics/topic-configs.ts'

export interface PopCheckDeps {
  readonly topics: TopicConfigs
  readonly groupConfigs: GroupConfigs
  readonly forbidden: ForbiddenTopics
  readonly consumers: ConsumerGroups
  readonly compensations: Compensations
  readonly filters: FilterCache
  readonly settings: Settings
  readonly clock: Clock
}

export interface PopTarget {
  readonly group: SubscriptionGroupConfig
  readonly topic: TopicConfig
}

/** By tags, by properties, or neither. */
export interface PopFilter {
  readonly filter?: EntryFilter | undefined
  readonly sql?: SqlFilter | undefined
}

interface Wanted {
  readonly consumerGroup: string
  readonly topic: string
  readonly queueId: number
}

export const isRefusal = (value: object): value is Refusal => 'remark' in value

/** The checks of RocketMQ 5.3 `PopMessageProcessor#processRequest` and its neighbours, in their order. Queue -1 is any queue. */
export function acceptTarget(deps: PopCheckDeps, { consumerGroup, topic: topicName, queueId }: Wanted, verb: string): PopTarget | Refusal {
  const config = deps.settings.current
  if (!isReadable(config.brokerPermission)) {
    return refuse(
      'NO_PERMISSION',
      `the broker[${config.brokerIP1}] ${verb} message is forbidden: brokerPermission=${config.brokerPermission}`,
    )
  }
  const topic = deps.topics.get(topicName)
  if (topic === undefined) return topicMissing(topicName)
  if (!isReadable(topic.perm))
    return refuse('NO_PERMISSION', `the topic[${plain(topicName)}] ${verb} message is forbidden: its perm is ${topic.perm}`)
  if (queueId >= topic.readQueueNums) {
    return refuse(
      'INVALID_PARAMETER',
      `queueId[${queueId}] is illegal, topic:[${plain(topicName)}] topicConfig.readQueueNums:[${topic.readQueueNums}]; -1 pops from all queues`,
    )
  }
  const group = deps.groupConfigs.findOrCreate(consumerGroup)
  if (group === undefined) return groupMissing(consumerGroup)
  if (!group.consumeEnable)
    return refuse('NO_PERMISSION', `subscription group no permission, ${plain(consumerGroup)}: its setting consumeEnable is false`)
  if (!deps.forbidden.isReadable(consumerGroup, topicName)) return groupForbidden(consumerGroup, topicName)
  return { group, topic }
}

/** Pops bring their subscription along; heartbeats are not needed. */
export function acceptFilter(
  deps: PopCheckDeps,
  { consumerGroup, topic, exp, expType }: Wanted & { readonly exp?: string | undefined; readonly expType?: string | undefined },
): PopFilter | Refusal {
  if (deps.consumers.get(consumerGroup) === undefined) deps.compensations.remember(consumerGroup, topic)
  if (exp === undefined || exp === '') return {}
  const refusal = refusedExpression(deps, expType)
  if (refusal !== undefined) return refusal
  if (isTagExpression(expType)) return { filter: deps.filters.tagFilterOf(exp) }
  const made = deps.filters.sqlFilterOf(exp)
  return 'fault' in made ? badExpression(made.fault) : made
}
