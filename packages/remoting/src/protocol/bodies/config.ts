import { asObject, asText, booleanOf, enumOf, listOf, numberOf, parseBody, readDataVersion, tableOf, textOf } from './read.ts'
import type { Json } from './read.ts'
import type { SubscriptionGroupConfig, SubscriptionGroupTable, TopicConfig, TopicConfigTable } from './types.ts'

/** A topic as Apache creates it when nothing is said (RocketMQ 5.3 `TopicConfig`). */
export const normalizeTopicConfig = (config: Partial<TopicConfig> & Pick<TopicConfig, 'topicName'>): TopicConfig => ({
  topicName: config.topicName,
  readQueueNums: config.readQueueNums ?? 16,
  writeQueueNums: config.writeQueueNums ?? 16,
  perm: config.perm ?? 6,
  topicFilterType: config.topicFilterType ?? 'SINGLE_TAG',
  topicSysFlag: config.topicSysFlag ?? 0,
  order: config.order ?? false,
  attributes: config.attributes ?? {},
})

/** A consumer group as Apache creates it when nothing is said (RocketMQ 5.3 `SubscriptionGroupConfig`). */
export const normalizeGroupConfig = (
  config: Partial<SubscriptionGroupConfig> & Pick<SubscriptionGroupConfig, 'groupName'>,
): SubscriptionGroupConfig => ({
  groupName: config.groupName,
  consumeEnable: config.consumeEnable ?? true,
  consumeFromMinEnable: config.consumeFromMinEnable ?? true,
  consumeBroadcastEnable: config.consumeBroadcastEnable ?? true,
  consumeMessageOrderly: config.consumeMessageOrderly ?? false,
  retryQueueNums: config.retryQueueNums ?? 1,
  retryMaxTimes: config.retryMaxTimes ?? 16,
  brokerId: config.brokerId ?? 0,
  whichBrokerWhenConsumeSlowly: config.whichBrokerWhenConsumeSlowly ?? 1,
  notifyConsumerIdsChangedEnable: config.notifyConsumerIdsChangedEnable ?? true,
  groupSysFlag: config.groupSysFlag ?? 0,
  consumeTimeoutMinute: config.consumeTimeoutMinute ?? 15,
  attributes: config.attributes ?? {},
  ...(config.groupRetryPolicy === undefined ? {} : { groupRetryPolicy: config.groupRetryPolicy }),
  ...(config.subscriptionDataSet === undefined ? {} : { subscriptionDataSet: config.subscriptionDataSet }),
})

/** From parsed JSON; `name` is used when the config does not tell its own (it is a table's key then). */
export function readTopicConfig(value: unknown, what: string, name?: string): TopicConfig {
  const from = asObject(value, what)
  const d = normalizeTopicConfig({ topicName: textOf(from, 'topicName', name) })
  return {
    topicName: d.topicName,
    readQueueNums: numberOf(from, 'readQueueNums', d.readQueueNums),
    writeQueueNums: numberOf(from, 'writeQueueNums', d.writeQueueNums),
    perm: numberOf(from, 'perm', d.perm),
    topicFilterType: enumOf(from, 'topicFilterType', ['SINGLE_TAG', 'MULTI_TAG'], d.topicFilterType),
    topicSysFlag: numberOf(from, 'topicSysFlag', d.topicSysFlag),
    order: booleanOf(from, 'order', d.order),
    attributes: tableOf(from, 'attributes', asText),
  }
}

export function readGroupConfig(value: unknown, what: string, name?: string): SubscriptionGroupConfig {
  const from = asObject(value, what)
  const d = normalizeGroupConfig({ groupName: textOf(from, 'groupName', name) })
  return normalizeGroupConfig({
    groupName: d.groupName,
    consumeEnable: booleanOf(from, 'consumeEnable', d.consumeEnable),
    consumeFromMinEnable: booleanOf(from, 'consumeFromMinEnable', d.consumeFromMinEnable),
    consumeBroadcastEnable: booleanOf(from, 'consumeBroadcastEnable', d.consumeBroadcastEnable),
    consumeMessageOrderly: booleanOf(from, 'consumeMessageOrderly', d.consumeMessageOrderly),
    retryQueueNums: numberOf(from, 'retryQueueNums', d.retryQueueNums),
    retryMaxTimes: numberOf(from, 'retryMaxTimes', d.retryMaxTimes),
    brokerId: numberOf(from, 'brokerId', d.brokerId),
    whichBrokerWhenConsumeSlowly: numberOf(from, 'whichBrokerWhenConsumeSlowly', d.whichBrokerWhenConsumeSlowly),
    notifyConsumerIdsChangedEnable: booleanOf(from, 'notifyConsumerIdsChangedEnable', d.notifyConsumerIdsChangedEnable),
    groupSysFlag: numberOf(from, 'groupSysFlag', d.groupSysFlag),
    consumeTimeoutMinute: numberOf(from, 'consumeTimeoutMinute', d.consumeTimeoutMinute),
    attributes: tableOf(from, 'attributes', asText),
    groupRetryPolicy: from['groupRetryPolicy'] ?? undefined,
    subscriptionDataSet: from['subscriptionDataSet'] ?? undefined,
  })
}

export const decodeTopicConfig = (body: Uint8Array): TopicConfig => readTopicConfig(parseBody(body, 'TopicConfig'), 'TopicConfig')

export const decodeGroupConfig = (body: Uint8Array): SubscriptionGroupConfig =>
  readGroupConfig(parseBody(body, 'SubscriptionGroupConfig'), 'SubscriptionGroupConfig')

/** UPDATE_AND_CREATE_TOPIC_LIST. */
export const decodeTopicConfigList = (body: Uint8Array): TopicConfig[] =>
  listOf(parseBody(body, 'CreateTopicListRequestBody'), 'topicConfigList', (value, what) => readTopicConfig(value, what))

/** UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST. */
export const decodeGroupConfigList = (body: Uint8Array): SubscriptionGroupConfig[] =>
  listOf(parseBody(body, 'SubscriptionGroupList'), 'groupConfigList', (value, what) => readGroupConfig(value, what))

export const readTopicConfigTable = (from: Json): TopicConfigTable => ({
  topicConfigTable: tableOf(from, 'topicConfigTable', readTopicConfig),
  dataVersion: readDataVersion(from['dataVersion']),
})

/** Also reads Apache's `config/topics.json`. */
export const decodeTopicConfigTable = (body: Uint8Array): TopicConfigTable =>
  readTopicConfigTable(parseBody(body, 'TopicConfigSerializeWrapper'))

/** Also reads Apache's `config/subscriptionGroup.json`. */
export function decodeGroupConfigTable(body: Uint8Array): SubscriptionGroupTable {
  const from = parseBody(body, 'SubscriptionGroupWrapper')
  return {
    subscriptionGroupTable: tableOf(from, 'subscriptionGroupTable', readGroupConfig),
    forbiddenTable: tableOf(from, 'forbiddenTable', (topics, what) =>
      tableOf({ [what]: topics }, what, (bits, at) => numberOf({ [at]: bits }, at)),
    ),
    dataVersion: readDataVersion(from['dataVersion']),
  }
}
