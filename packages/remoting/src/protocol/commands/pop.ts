import { defineCommand } from '../command.ts'
import { boolean, int, long, optional, string } from '../schema.ts'

const resource = { topic: 'topic', group: 'consumerGroup' }

/** Java fails without the first four, whatever the code (RocketMQ 5.3 `PopMessageResponseHeader`). */
const popResponse = {
  popTime: long(),
  invisibleTime: long(),
  reviveQid: int(),
  restNum: long(),
  startOffsetInfo: optional(string()),
  msgOffsetInfo: optional(string()),
  orderCountInfo: optional(string()),
}

export const PopMessage = defineCommand({
  code: 200050,
  name: 'POP_MESSAGE',
  server: 'broker',
  summary: 'Take messages of a topic for invisibleTime: who does not acknowledge them within it gets them again. queueId -1: of any queue.',
  request: {
    consumerGroup: string(),
    topic: string(),
    queueId: int(),
    maxMsgNums: int(),
    invisibleTime: long(),
    pollTime: long(),
    /** Absent or 0: now. */
    bornTime: optional(long()),
    /** 0: a group without offset starts at the first message, 1: at the last. */
    initMode: int(),
    expType: optional(string()),
    exp: optional(string()),
    order: optional(boolean()),
    attemptId: optional(string()),
  },
  response: popResponse,
  responseBody: 'stored-messages',
  resource,
})

export const AckMessage = defineCommand({
  code: 200051,
  name: 'ACK_MESSAGE',
  server: 'broker',
  summary: 'A message that was popped is consumed.',
  request: { consumerGroup: string(), topic: string(), queueId: int(), extraInfo: string(), offset: long() },
  resource,
})

export const PeekMessage = defineCommand({
  code: 200052,
  name: 'PEEK_MESSAGE',
  server: 'broker',
  summary: 'What a pop would bring, without taking it.',
  request: { consumerGroup: string(), topic: string(), queueId: int(), maxMsgNums: int() },
  response: popResponse,
  responseBody: 'stored-messages',
  resource,
})

export const ChangeMessageInvisibletime = defineCommand({
  code: 200053,
  name: 'CHANGE_MESSAGE_INVISIBLETIME',
  server: 'broker',
  summary: 'A message that was popped stays invisible for so long from now; the answer has the parts of its new handle.',
  request: {
    consumerGroup: string(),
    topic: string(),
    queueId: int(),
    extraInfo: string(),
    offset: long(),
    invisibleTime: long(),
  },
  response: { popTime: long(), invisibleTime: long(), reviveQid: int() },
  resource,
})

export const Notification = defineCommand({
  code: 200054,
  name: 'NOTIFICATION',
  server: 'broker',
  summary: 'Wait until a pop would bring messages, for pollTime.',
  request: {
    consumerGroup: string(),
    topic: string(),
    queueId: int(),
    pollTime: long(),
    bornTime: optional(long()),
    order: optional(boolean()),
    attemptId: optional(string()),
  },
  response: { hasMsg: boolean(), pollingFull: optional(boolean()) },
  resource,
})

export const PollingInfo = defineCommand({
  code: 200055,
  name: 'POLLING_INFO',
  server: 'broker',
  summary: 'How many pops of a group wait for messages of a queue.',
  request: { consumerGroup: string(), topic: string(), queueId: int() },
  response: { pollingNum: int() },
  resource,
})

export const BatchAckMessage = defineCommand({
  code: 200151,
  name: 'BATCH_ACK_MESSAGE',
  server: 'broker',
  summary: 'As ACK_MESSAGE, of many messages.',
  requestBody: 'BatchAckMessageRequestBody',
})

export const QueryAssignment = defineCommand({
  code: 400,
  name: 'QUERY_ASSIGNMENT',
  server: 'broker',
  summary: 'Which queues of a topic a consumer of a group gets, and whether it pulls or pops them.',
  requestBody: 'QueryAssignmentRequestBody',
  responseBody: 'QueryAssignmentResponseBody',
})

export const SetMessageRequestMode = defineCommand({
  code: 401,
  name: 'SET_MESSAGE_REQUEST_MODE',
  server: 'broker',
  summary: 'Whether a group pulls or pops a topic.',
  requestBody: 'SetMessageRequestModeRequestBody',
})
