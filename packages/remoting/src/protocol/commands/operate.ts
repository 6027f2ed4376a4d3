import { defineCommand } from '../command.ts'
import { boolean, int, optional, string } from '../schema.ts'

/** What operators' tools ask beside the usual administration. */
export const UpdateAndCreateTopicList = defineCommand({
  code: 18,
  name: 'UPDATE_AND_CREATE_TOPIC_LIST',
  server: 'broker',
  summary: 'Create or change many topics: all of them or, when one is wrong, none.',
  requestBody: 'CreateTopicListRequestBody',
})

export const UpdateAndCreateSubscriptiongroupList = defineCommand({
  code: 225,
  name: 'UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST',
  server: 'broker',
  summary: 'Create or change many consumer groups: all of them or, when one is wrong, none.',
  requestBody: 'SubscriptionGroupList',
})

export const QueryConsumeTimeSpan = defineCommand({
  code: 303,
  name: 'QUERY_CONSUME_TIME_SPAN',
  server: 'broker',
  summary: 'For each queue: when its first and last message were stored, and when the last one that the group has consumed.',
  request: { topic: string(), group: string() },
  responseBody: 'QueryConsumeTimeSpanBody',
  resource: { topic: 'topic', group: 'group' },
})

export const CleanExpiredConsumequeue = defineCommand({
  code: 306,
  name: 'CLEAN_EXPIRED_CONSUMEQUEUE',
  server: 'broker',
  summary: 'Drop queue entries whose messages have expired (they go with the log by themselves).',
})

export const ViewBrokerStatsData = defineCommand({
  code: 315,
  name: 'VIEW_BROKER_STATS_DATA',
  server: 'broker',
  summary: 'One counter of the broker over the last minute, hour and day.',
  request: { statsName: string(), statsKey: string() },
  responseBody: 'BrokerStatsData',
})

export const CleanUnusedTopic = defineCommand({
  code: 316,
  name: 'CLEAN_UNUSED_TOPIC',
  server: 'broker',
  summary: 'Drop the queues of topics that are no longer there.',
})

export const GetBrokerConsumeStats = defineCommand({
  code: 317,
  name: 'GET_BROKER_CONSUME_STATS',
  server: 'broker',
  summary: 'The lag of every group in every queue of the broker.',
  request: { isOrder: optional(boolean()) },
  responseBody: 'ConsumeStatsList',
})

export const QueryConsumeQueue = defineCommand({
  code: 321,
  name: 'QUERY_CONSUME_QUEUE',
  server: 'broker',
  summary: 'Entries of one queue, and what a group’s subscription makes of them.',
  request: {
    topic: string(),
    queueId: int(),
    index: int(),
    count: optional(int()),
    consumerGroup: optional(string()),
  },
  responseBody: 'QueryConsumeQueueResponseBody',
  resource: { topic: 'topic', group: 'consumerGroup' },
})

export const DeleteExpiredCommitlog = defineCommand({
  code: 329,
  name: 'DELETE_EXPIRED_COMMITLOG',
  server: 'broker',
  summary: 'Remove expired files of the log now, whatever deleteWhen says.',
})
