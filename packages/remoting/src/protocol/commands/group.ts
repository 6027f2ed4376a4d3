import { defineCommand } from '../command.ts'
import { boolean, int, long, optional, string } from '../schema.ts'

export const HeartBeat = defineCommand({
  code: 34,
  name: 'HEART_BEAT',
  server: 'broker',
  summary: 'A client announces its producers, consumers and subscriptions.',
  requestBody: 'HeartbeatData',
})

export const UnregisterClient = defineCommand({
  code: 35,
  name: 'UNREGISTER_CLIENT',
  server: 'broker',
  summary: 'A client leaves its groups.',
  request: { clientID: string(), producerGroup: optional(string()), consumerGroup: optional(string()) },
})

export const GetConsumerListByGroup = defineCommand({
  code: 38,
  name: 'GET_CONSUMER_LIST_BY_GROUP',
  server: 'broker',
  summary: 'The client ids of the members of a group.',
  request: { consumerGroup: string() },
  responseBody: 'consumerIdList',
  resource: { group: 'consumerGroup' },
})

export const NotifyConsumerIdsChanged = defineCommand({
  code: 40,
  name: 'NOTIFY_CONSUMER_IDS_CHANGED',
  server: 'client',
  summary: 'Members of a group came or went (one-way).',
  request: { consumerGroup: string() },
})

export const CheckClientConfig = defineCommand({
  code: 46,
  name: 'CHECK_CLIENT_CONFIG',
  server: 'broker',
  summary: 'Is this subscription expression understood?',
  requestBody: 'CheckClientRequestBody',
})

export const ResetConsumerClientOffset = defineCommand({
  code: 220,
  name: 'RESET_CONSUMER_CLIENT_OFFSET',
  server: 'client',
  summary: 'The broker tells a consumer to continue from other offsets (one-way).',
  request: { topic: string(), group: string(), timestamp: long(), isForce: optional(boolean()), queueId: optional(int()) },
  requestBody: 'ResetOffsetBody',
})

export const GetConsumerStatusFromClient = defineCommand({
  code: 221,
  name: 'GET_CONSUMER_STATUS_FROM_CLIENT',
  server: 'client',
  summary: 'The offsets that a consumer holds.',
  request: { topic: string(), group: string(), clientAddr: optional(string()) },
  responseBody: 'GetConsumerStatusBody',
})

export const GetConsumerRunningInfo = defineCommand({
  code: 307,
  name: 'GET_CONSUMER_RUNNING_INFO',
  server: ['broker', 'client'],
  summary: 'What a consumer is doing: properties, subscriptions, queues; relayed by the broker.',
  request: { consumerGroup: string(), clientId: string(), jstackEnable: optional(boolean()) },
  responseBody: 'ConsumerRunningInfo',
})

export const ConsumeMessageDirectly = defineCommand({
  code: 309,
  name: 'CONSUME_MESSAGE_DIRECTLY',
  server: ['broker', 'client'],
  summary: 'Let one consumer consume one message now; relayed by the broker.',
  request: {
    consumerGroup: string(),
    clientId: optional(string()),
    msgId: optional(string()),
    brokerName: optional(string()),
    topic: optional(string()),
    topicSysFlag: optional(int()),
    groupSysFlag: optional(int()),
  },
  requestBody: 'stored-messages',
  responseBody: 'ConsumeMessageDirectlyResult',
})
