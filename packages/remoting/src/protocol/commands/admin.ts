import { defineCommand } from '../command.ts'
import { boolean, int, long, optional, string } from '../schema.ts'

const topicResource = { topic: 'topic' }

export const QueryMessage = defineCommand({
  code: 12,
  name: 'QUERY_MESSAGE',
  server: 'broker',
  summary: 'Messages by key or unique key (the answer may hold others with the same hash: compare the key).',
  request: {
    topic: string(),
    key: string(),
    maxNum: int(),
    beginTimestamp: long(),
    endTimestamp: long(),
    indexType: optional(string()),
    lastKey: optional(string()),
    _UNIQUE_KEY_QUERY: optional(boolean()),
  },
  response: { indexLastUpdateTimestamp: long(), indexLastUpdatePhyoffset: long() },
  responseBody: 'stored-messages',
  resource: topicResource,
})

export const ViewMessageById = defineCommand({
  code: 33,
  name: 'VIEW_MESSAGE_BY_ID',
  server: 'broker',
  summary: 'The message at a position of the commit log.',
  request: { offset: long(), topic: optional(string()) },
  responseBody: 'stored-messages',
})

export const UpdateAndCreateTopic = defineCommand({
  code: 17,
  name: 'UPDATE_AND_CREATE_TOPIC',
  server: 'broker',
  summary: 'Create a topic or change its settings.',
  request: {
    topic: string(),
    defaultTopic: optional(string()),
    readQueueNums: int(),
    writeQueueNums: int(),
    perm: int(),
    topicFilterType: optional(string()),
    topicSysFlag: optional(int()),
    order: optional(boolean()),
    attributes: optional(string()),
    force: optional(boolean()),
  },
  resource: topicResource,
})

export const GetAllTopicConfig = defineCommand({
  code: 21,
  name: 'GET_ALL_TOPIC_CONFIG',
  server: 'broker',
  summary: 'The settings of all topics.',
  responseBody: 'TopicConfigTable',
})

export const UpdateBrokerConfig = defineCommand({
  code: 25,
  name: 'UPDATE_BROKER_CONFIG',
  server: 'broker',
  summary: 'Change settings of a running broker.',
  requestBody: 'properties',
})

export const GetBrokerConfig = defineCommand({
  code: 26,
  name: 'GET_BROKER_CONFIG',
  server: 'broker',
  summary: 'The settings of a broker.',
  response: { version: optional(string()) },
  responseBody: 'properties',
})

export const GetBrokerRuntimeInfo = defineCommand({
  code: 28,
  name: 'GET_BROKER_RUNTIME_INFO',
  server: 'broker',
  summary: 'Counters and state of a broker.',
  responseBody: 'KVTable',
})

export const GetAllConsumerOffset = defineCommand({
  code: 43,
  name: 'GET_ALL_CONSUMER_OFFSET',
  server: 'broker',
  summary: 'All committed offsets.',
  responseBody: 'ConsumerOffsetTable',
})

export const GetAllDelayOffset = defineCommand({
  code: 45,
  name: 'GET_ALL_DELAY_OFFSET',
  server: 'broker',
  summary: 'How far each delay level has been delivered.',
  responseBody: 'DelayOffsetTable',
})

export const UpdateAndCreateSubscriptiongroup = defineCommand({
  code: 200,
  name: 'UPDATE_AND_CREATE_SUBSCRIPTIONGROUP',
  server: 'broker',
  summary: 'Create a consumer group or change its settings.',
  requestBody: 'SubscriptionGroupConfig',
})

export const GetAllSubscriptiongroupConfig = defineCommand({
  code: 201,
  name: 'GET_ALL_SUBSCRIPTIONGROUP_CONFIG',
  server: 'broker',
  summary: 'The settings of all consumer groups.',
  responseBody: 'SubscriptionGroupTable',
})

export const GetTopicStatsInfo = defineCommand({
  code: 202,
  name: 'GET_TOPIC_STATS_INFO',
  server: 'broker',
  summary: 'Offsets and last store time of each queue of a topic.',
  request: { topic: string() },
  responseBody: 'TopicStatsTable',
  resource: topicResource,
})

export const GetConsumerConnectionList = defineCommand({
  code: 203,
  name: 'GET_CONSUMER_CONNECTION_LIST',
  server: 'broker',
  summary: 'The connections and subscriptions of a consumer group.',
  request: { consumerGroup: string() },
  responseBody: 'ConsumerConnection',
  resource: { group: 'consumerGroup' },
})

export const GetProducerConnectionList = defineCommand({
  code: 204,
  name: 'GET_PRODUCER_CONNECTION_LIST',
  server: 'broker',
  summary: 'The connections of a producer group.',
  request: { producerGroup: string() },
  responseBody: 'ProducerConnection',
  resource: { group: 'producerGroup' },
})

export const DeleteSubscriptiongroup = defineCommand({
  code: 207,
  name: 'DELETE_SUBSCRIPTIONGROUP',
  server: 'broker',
  summary: 'Delete a consumer group, and its offsets when cleanOffset is true.',
  request: { groupName: string(), cleanOffset: optional(boolean()) },
  resource: { group: 'groupName' },
})

export const GetConsumeStats = defineCommand({
  code: 208,
  name: 'GET_CONSUME_STATS',
  server: 'broker',
  summary: 'Committed offsets of a group beside the queues’ ends.',
  request: { consumerGroup: string(), topic: optional(string()), topicList: optional(string()) },
  responseBody: 'ConsumeStats',
  resource: { topic: 'topic', group: 'consumerGroup' },
})

export const DeleteTopicInBroker = defineCommand({
  code: 215,
  name: 'DELETE_TOPIC_IN_BROKER',
  server: 'broker',
  summary: 'Delete a topic and its queues.',
  request: { topic: string() },
  resource: topicResource,
})

export const InvokeBrokerToResetOffset = defineCommand({
  code: 222,
  name: 'INVOKE_BROKER_TO_RESET_OFFSET',
  server: 'broker',
  summary: 'Set a group back or forth to a time, or to an offset of one queue.',
  request: {
    topic: string(),
    group: string(),
    timestamp: long(),
    isForce: optional(boolean()),
    offset: optional(long()),
    queueId: optional(int()),
  },
  responseBody: 'ResetOffsetBody',
  resource: { topic: 'topic', group: 'group' },
})

export const InvokeBrokerToGetConsumerStatus = defineCommand({
  code: 223,
  name: 'INVOKE_BROKER_TO_GET_CONSUMER_STATUS',
  server: 'broker',
  summary: 'The offsets that the members of a group hold; asked of each member.',
  request: { topic: string(), group: string(), clientAddr: optional(string()) },
  responseBody: 'GetConsumerStatusBody',
  resource: { topic: 'topic', group: 'group' },
})

export const QueryTopicConsumeByWho = defineCommand({
  code: 300,
  name: 'QUERY_TOPIC_CONSUME_BY_WHO',
  server: 'broker',
  summary: 'The groups that consume a topic.',
  request: { topic: string() },
  responseBody: 'GroupList',
  resource: topicResource,
})

export const QueryTopicsByConsumer = defineCommand({
  code: 343,
  name: 'QUERY_TOPICS_BY_CONSUMER',
  server: 'broker',
  summary: 'The topics for which a group has offsets.',
  request: { group: string() },
  responseBody: 'TopicList',
  resource: { group: 'group' },
})

export const GetSystemTopicListFromBroker = defineCommand({
  code: 305,
  name: 'GET_SYSTEM_TOPIC_LIST_FROM_BROKER',
  server: 'broker',
  summary: 'The topics that the broker made for itself.',
  responseBody: 'TopicList',
})

export const GetAllProducerInfo = defineCommand({
  code: 328,
  name: 'GET_ALL_PRODUCER_INFO',
  server: 'broker',
  summary: 'All producer groups and their connections.',
  responseBody: 'ProducerTableInfo',
})

export const GetTopicConfig = defineCommand({
  code: 351,
  name: 'GET_TOPIC_CONFIG',
  server: 'broker',
  summary: 'The settings of one topic.',
  request: { topic: string() },
  responseBody: 'TopicConfigAndQueueMapping',
  resource: topicResource,
})

export const GetSubscriptiongroupConfig = defineCommand({
  code: 352,
  name: 'GET_SUBSCRIPTIONGROUP_CONFIG',
  server: 'broker',
  summary: 'The settings of one consumer group.',
  request: { group: string() },
  responseBody: 'SubscriptionGroupConfig',
  resource: { group: 'group' },
})
