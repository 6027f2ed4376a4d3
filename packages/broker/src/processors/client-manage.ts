import {
  ResponseCode,
  RocketError,
  checkGroupName,
  decodeHeartbeat,
  encodeConsumerIdList,
  parseFastjson,
  retryTopic,
  stringifyFastjson,
} from '@skylarkmq/remoting/protocol'
import type {
  ConsumerData,
  GetConsumerListByGroup,
  HeartbeatData,
  RequestOf,
  SubscriptionData,
  SubscriptionGroupConfig,
  UnregisterClient,
} from '@skylarkmq/remoting/protocol'
import type { Reply, RequestContext } from '@skylarkmq/remoting'
import { SUCCESS, plain, refuse } from '../answers.ts'
import type { Refusal } from '../answers.ts'
import type { Settings } from '../config.ts'
import type { ConsumerGroups } from '../groups/consumer-groups.ts'
import type { GroupConfigs } from '../groups/group-configs.ts'
import type { SubscriptionGuard } from '../guard/subscription-guard.ts'
import type { StartPins } from '../offsets/start-pins.ts'
import type { ProducerGroups } from '../groups/producer-groups.ts'
import { isTagExpression, parseTags } from '../groups/subscriptions.ts'
import type { FilterCache } from '../groups/subscriptions.ts'
import type { TopicConfigs } from '../topics/topic-configs.ts'
import { badExpression, refusedExpression } from './expressions.ts'

export interface ClientDeps {
  readonly topics: TopicConfigs
  readonly groupConfigs: GroupConfigs
  readonly consumers: ConsumerGroups
  readonly producers: ProducerGroups
  readonly filters: FilterCache
  readonly settings: Settings
  readonly startPins: StartPins
  readonly subscriptionGuard: SubscriptionGuard
}

/** Java clients of heartbeat V2 then always send their subscriptions in full. */
const HEARTBEAT_EXT = Object.freeze({ IS_SUPPORT_HEART_BEAT_V2: 'true', IS_SUB_CHANGE: 'true' })

const UNIT_SUB = 2

/** RocketMQ 5.3 `ClientManageProcessor#heartBeat`. One group's fault does not keep the others out; the answer names it. */
export function heartBeat(deps: ClientDeps) {
  return (_header: unknown, context: RequestContext): Reply<never> => {
    const heartbeat = decodeHeartbeat(context.body)
    if (heartbeat.clientID === '') return refuse('INVALID_PARAMETER', 'the heartbeat has no clientID; give the client a name')
    let fault: Refusal | undefined
    for (const data of heartbeat.consumerDataSet) {
      const wrong = registerConsumer(deps, heartbeat, data, context)
      fault ??= wrong
    }
    for (const { groupName } of heartbeat.producerDataSet) {
      if (groupName !== '') deps.producers.register(groupName, heartbeat.clientID, context.connection)
    }
    return fault ?? { code: 0, ext: HEARTBEAT_EXT }
  }
}

function registerConsumer(deps: ClientDeps, heartbeat: HeartbeatData, data: ConsumerData, context: RequestContext): Refusal | undefined {
  const wrong = deps.groupConfigs.get(data.groupName) === undefined ? checkGroupName(data.groupName) : undefined
  if (wrong !== undefined) return refuse('INVALID_PARAMETER', wrong)
  const config = deps.groupConfigs.findOrCreate(data.groupName)
  // Apache says nothing either: the pulls of this group are then refused with a reason.
  if (config === undefined) return undefined
  if (heartbeat.withoutSub) {
    deps.consumers.touch(context.connection, data.groupName)
    return undefined
  }
  const conflict = deps.subscriptionGuard.refusal(context.connection, heartbeat.clientID, data)
  if (conflict !== undefined) return conflict
  try {
    deps.consumers.register(context.connection, heartbeat.clientID, data)
  } catch (error) {
    if (!(error instanceof RocketError)) throw error
    return { code: error.brokerCode ?? ResponseCode.SUBSCRIPTION_PARSE_FAILED, remark: error.message }
  }
  ensureRetryTopic(deps, config, data)
  deps.startPins.heartbeat(context.connection, heartbeat.clientID, data)
  return faultOf(deps, data)
}

/** The group is a member all the same: its pulls tell the fault, too. */
function faultOf(deps: ClientDeps, data: ConsumerData): Refusal | undefined {
  if (!deps.settings.current.enablePropertyFilter) return undefined
  for (const { topic } of data.subscriptionDataSet) {
    const fault = deps.consumers.subscription(data.groupName, topic)?.fault
    if (fault !== undefined) return badExpression(fault)
  }
  return undefined
}

function ensureRetryTopic(deps: ClientDeps, config: SubscriptionGroupConfig, data: ConsumerData): void {
  if (config.retryQueueNums <= 0) return
  deps.topics.ensure(retryTopic(data.groupName), config.retryQueueNums, data.unitMode ? UNIT_SUB : 0)
}

/** C++ sends empty texts for groups that it does not mean. */
export function unregisterClient({ consumers, producers }: ClientDeps) {
  return (header: RequestOf<typeof UnregisterClient>, context: RequestContext): Reply<never> => {
    if (header.producerGroup) producers.unregister(header.producerGroup, context.connection)
    if (header.consumerGroup) consumers.unregister(context.connection, header.consumerGroup)
    return SUCCESS
  }
}

/** Java asks at its start whether its filter expressions are understood. */
export function checkClientConfig(deps: ClientDeps) {
  return (_header: unknown, context: RequestContext): Reply<never> => {
    const text = Buffer.from(context.body.buffer, context.body.byteOffset, context.body.length).toString()
    const body = parseFastjson(text) as { readonly subscriptionData?: Partial<SubscriptionData> | null } | null
    const subscription = body?.subscriptionData
    if (subscription === undefined || subscription === null) return SUCCESS
    for (const name of ['expressionType', 'subString'] as const) {
      const value: unknown = subscription[name] ?? ''
      if (typeof value !== 'string')
        return refuse('INVALID_PARAMETER', `the field ${name} of subscriptionData is ${plain(stringifyFastjson(value))}; it must be text`)
    }
    const refusal = refusedExpression(deps, subscription.expressionType)
    if (refusal !== undefined) return refusal
    const subString = subscription.subString ?? ''
    if (isTagExpression(subscription.expressionType)) parseTags(subString)
    else {
      const made = deps.filters.sqlFilterOf(String(subString))
      if ('fault' in made) return badExpression(made.fault)
    }
    return SUCCESS
  }
}

/** Whoever asks is mostly a member, so the list is seldom empty; an error would make Go's clients drop all queues. */
export function getConsumerList({ consumers }: ClientDeps) {
  return ({ consumerGroup }: RequestOf<typeof GetConsumerListByGroup>): Reply<never> => {
    const ids = consumers.clientIds(consumerGroup)
    if (ids.length === 0)
      return refuse(
        'SYSTEM_ERROR',
        `no consumer for this group, ${plain(consumerGroup)}; no member of it has sent this broker a heartbeat lately`,
      )
    return { code: 0, body: encodeConsumerIdList(ids) }
  }
}
