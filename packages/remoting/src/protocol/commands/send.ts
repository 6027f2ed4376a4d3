import { defineCommand } from '../command.ts'
import { boolean, int, long, optional, string, wire } from '../schema.ts'

/** RocketMQ 5.3 `SendMessageRequestHeader`. */
const sendFields = {
  producerGroup: string(),
  topic: string(),
  defaultTopic: optional(string()),
  defaultTopicQueueNums: optional(int()),
  queueId: int(),
  sysFlag: int(),
  bornTimestamp: long(),
  flag: int(),
  properties: optional(string()),
  reconsumeTimes: optional(int()),
  unitMode: optional(boolean()),
  maxReconsumeTimes: optional(int()),
  batch: optional(boolean()),
}

/** RocketMQ 5.3 `SendMessageRequestHeaderV2`: the same values under one-letter keys. */
const sendFieldsV2 = {
  producerGroup: wire('a', string()),
  topic: wire('b', string()),
  defaultTopic: wire('c', optional(string())),
  defaultTopicQueueNums: wire('d', optional(int())),
  queueId: wire('e', int()),
  sysFlag: wire('f', int()),
  bornTimestamp: wire('g', long()),
  flag: wire('h', int()),
  properties: wire('i', optional(string())),
  reconsumeTimes: wire('j', optional(int())),
  unitMode: wire('k', optional(boolean())),
  maxReconsumeTimes: wire('l', optional(int())),
  batch: wire('m', optional(boolean())),
}

const sendResponse = {
  msgId: string(),
  queueId: int(),
  queueOffset: long(),
  transactionId: optional(string()),
  batchUniqId: optional(string()),
  recallHandle: optional(string()),
}

const resource = { topic: 'topic', group: 'producerGroup' }

export const SendMessage = defineCommand({
  code: 10,
  name: 'SEND_MESSAGE',
  server: 'broker',
  summary: 'Store a message (long field names: Go, old clients).',
  request: sendFields,
  response: sendResponse,
  requestBody: 'message',
  resource,
})

export const SendMessageV2 = defineCommand({
  code: 310,
  name: 'SEND_MESSAGE_V2',
  server: 'broker',
  summary: 'Store a message (one-letter field names: Java, C++, JavaScript).',
  request: sendFieldsV2,
  response: sendResponse,
  requestBody: 'message',
  resource,
})

export const SendBatchMessage = defineCommand({
  code: 320,
  name: 'SEND_BATCH_MESSAGE',
  server: 'broker',
  summary: 'Store several messages of one topic and queue; they get consecutive offsets.',
  request: sendFieldsV2,
  response: sendResponse,
  requestBody: 'client-batch',
  resource,
})

export const SendReplyMessage = defineCommand({
  code: 324,
  name: 'SEND_REPLY_MESSAGE',
  server: 'broker',
  summary: 'Answer a request message (long field names).',
  request: sendFields,
  response: sendResponse,
  requestBody: 'message',
  resource,
})

export const SendReplyMessageV2 = defineCommand({
  code: 325,
  name: 'SEND_REPLY_MESSAGE_V2',
  server: 'broker',
  summary: 'Answer a request message (one-letter field names).',
  request: sendFieldsV2,
  response: sendResponse,
  requestBody: 'message',
  resource,
})

export const PushReplyMessageToClient = defineCommand({
  code: 326,
  name: 'PUSH_REPLY_MESSAGE_TO_CLIENT',
  server: 'client',
  summary: 'The broker hands a reply to the client that asked.',
  request: { ...sendFields, bornHost: string(), storeHost: string(), storeTimestamp: long() },
  requestBody: 'message',
  resource,
})

export const ConsumerSendMsgBack = defineCommand({
  code: 36,
  name: 'CONSUMER_SEND_MSG_BACK',
  server: 'broker',
  summary: 'A consumer failed at a message: deliver it again later (retry topic) or give up (DLQ).',
  request: {
    offset: long(),
    group: string(),
    delayLevel: int(),
    originMsgId: optional(string()),
    originTopic: optional(string()),
    unitMode: optional(boolean()),
    maxReconsumeTimes: optional(int()),
  },
  resource: { topic: 'originTopic', group: 'group' },
})

export const EndTransaction = defineCommand({
  code: 37,
  name: 'END_TRANSACTION',
  server: 'broker',
  summary: 'Commit or roll back a half message.',
  request: {
    producerGroup: string(),
    tranStateTableOffset: long(),
    commitLogOffset: long(),
    commitOrRollback: int(),
    fromTransactionCheck: optional(boolean()),
    msgId: optional(string()),
    transactionId: optional(string()),
    topic: optional(string()),
  },
  resource: { topic: 'topic', group: 'producerGroup' },
})

export const CheckTransactionState = defineCommand({
  code: 39,
  name: 'CHECK_TRANSACTION_STATE',
  server: 'client',
  summary: 'The broker asks a producer of the group how a half message ended.',
  request: {
    tranStateTableOffset: long(),
    commitLogOffset: long(),
    msgId: optional(string()),
    transactionId: optional(string()),
    offsetMsgId: optional(string()),
    topic: optional(string()),
  },
  requestBody: 'stored-messages',
})

export const RecallMessage = defineCommand({
  code: 370,
  name: 'RECALL_MESSAGE',
  server: 'broker',
  summary: 'Take back a delayed message that is not due yet.',
  request: { producerGroup: optional(string()), topic: string(), recallHandle: string() },
  response: { msgId: string() },
  resource,
})
