import { defineCommand } from '../command.ts'
import { boolean, enumOf, int, long, long64, optional, string } from '../schema.ts'

/** RocketMQ 5.3 `PullMessageRequestHeader`. */
const pullFields = {
  consumerGroup: string(),
  topic: string(),
  queueId: int(),
  queueOffset: long(),
  maxMsgNums: int(),
  sysFlag: int(),
  commitOffset: long(),
  suspendTimeoutMillis: long(),
  subscription: optional(string()),
  subVersion: long64(),
  expressionType: optional(string()),
  maxMsgBytes: optional(int()),
}

/** The first four are mandatory for Java clients on codes 0, 19, 20 and 21. */
const pullResponse = {
  suggestWhichBrokerId: long(),
  nextBeginOffset: long(),
  minOffset: long(),
  maxOffset: long(),
  offsetDelta: optional(long()),
  topicSysFlag: optional(int()),
  groupSysFlag: optional(int()),
  forbiddenType: optional(int()),
}

const resource = { topic: 'topic', group: 'consumerGroup' }

export const PullMessage = defineCommand({
  code: 11,
  name: 'PULL_MESSAGE',
  server: 'broker',
  summary: 'Read a batch from one queue; an empty queue may hold the request for suspendTimeoutMillis.',
  request: pullFields,
  response: pullResponse,
  responseBody: 'stored-messages',
  resource,
})

export const LitePullMessage = defineCommand({
  code: 361,
  name: 'LITE_PULL_MESSAGE',
  server: 'broker',
  summary: 'As PULL_MESSAGE, from a lite pull consumer.',
  request: pullFields,
  response: pullResponse,
  responseBody: 'stored-messages',
  resource,
})

export const QueryConsumerOffset = defineCommand({
  code: 14,
  name: 'QUERY_CONSUMER_OFFSET',
  server: 'broker',
  summary: 'The committed offset of a group in a queue.',
  request: { consumerGroup: string(), topic: string(), queueId: int(), setZeroIfNotFound: optional(boolean()) },
  response: { offset: long() },
  resource,
})

export const UpdateConsumerOffset = defineCommand({
  code: 15,
  name: 'UPDATE_CONSUMER_OFFSET',
  server: 'broker',
  summary: 'Commit an offset (usually one-way).',
  request: { consumerGroup: string(), topic: string(), queueId: int(), commitOffset: long() },
  resource,
})

export const SearchOffsetByTimestamp = defineCommand({
  code: 29,
  name: 'SEARCH_OFFSET_BY_TIMESTAMP',
  server: 'broker',
  summary: 'The first offset stored at or after a time (lower), or the last at or before it (upper).',
  request: {
    topic: string(),
    queueId: int(),
    timestamp: long(),
    boundaryType: optional(enumOf('lower', 'upper', 'LOWER', 'UPPER')),
  },
  response: { offset: long() },
  resource: { topic: 'topic' },
})

export const GetMaxOffset = defineCommand({
  code: 30,
  name: 'GET_MAX_OFFSET',
  server: 'broker',
  summary: 'The first free offset of a queue; 0 when the queue does not exist.',
  request: { topic: string(), queueId: int(), committed: optional(boolean()) },
  response: { offset: long() },
  resource: { topic: 'topic' },
})

export const GetMinOffset = defineCommand({
  code: 31,
  name: 'GET_MIN_OFFSET',
  server: 'broker',
  summary: 'The first offset that is still held.',
  request: { topic: string(), queueId: int() },
  response: { offset: long() },
  resource: { topic: 'topic' },
})

export const GetEarliestMsgStoretime = defineCommand({
  code: 32,
  name: 'GET_EARLIEST_MSG_STORETIME',
  server: 'broker',
  summary: 'When the oldest message of a queue was stored; -1 if there is none.',
  request: { topic: string(), queueId: int() },
  response: { timestamp: long() },
  resource: { topic: 'topic' },
})

export const LockBatchMq = defineCommand({
  code: 41,
  name: 'LOCK_BATCH_MQ',
  server: 'broker',
  summary: 'Lock queues for an orderly consumer (60 s, renewed by asking again).',
  requestBody: 'LockBatchBody',
  responseBody: 'lockOKMQSet',
})

export const UnlockBatchMq = defineCommand({
  code: 42,
  name: 'UNLOCK_BATCH_MQ',
  server: 'broker',
  summary: 'Release queue locks.',
  requestBody: 'LockBatchBody',
})
