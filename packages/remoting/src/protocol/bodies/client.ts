import { javaStringHash } from '../fastjson.ts'
import type { Json } from './read.ts'
import {
  asObject,
  asText,
  bigintOf,
  booleanOf,
  encodeJson,
  enumOf,
  listOf,
  numberOf,
  parseBody,
  readMessageQueue,
  tableOf,
  textOf,
  wrong,
} from './read.ts'
import type {
  ClientConnectionInfo,
  ConsumeFromWhere,
  ConsumerConnection,
  ConsumerData,
  ConsumeType,
  HeartbeatData,
  LockBatchBody,
  MessageModel,
  MessageQueue,
  SubscriptionData,
} from './types.ts'
import { CONSUME_FROM_WHERE } from './types.ts'

/** Bodies by which clients and brokers know of each other: heartbeat, locks, member lists, connections. */
export const CONSUME_TYPES = ['CONSUME_ACTIVELY', 'CONSUME_PASSIVELY', 'CONSUME_POP'] as const
export const MESSAGE_MODELS = ['BROADCASTING', 'CLUSTERING'] as const
export const ALL_TAGS = '*'

const tagsOf = (expression: string): string[] => {
  if (expression.trim() === ALL_TAGS) return []
  const tags = expression.split('||').map((tag) => tag.trim())
  return [...new Set(tags.filter((tag) => tag !== ''))]
}

/**
 * What a consumer subscribes with (RocketMQ 5.3 `FilterAPI#buildSubscriptionData`): for tags `a || b` the set of tags with Java's
 * hashes; empty or `*` is all; any other type keeps the expression as it is.
 */
export function buildSubscription(topic: string, expression: string, expressionType = 'TAG', subVersion = 0n): SubscriptionData {
  const isTag = expressionType === 'TAG'
  const tagsSet = isTag ? tagsOf(expression) : []
  if (isTag && tagsSet.length === 0 && expression.trim() !== '' && expression.trim() !== ALL_TAGS) {
    throw wrong(`the subscription ${JSON.stringify(expression)} of topic ${topic} names no tag; write * for all, or tags with || between`)
  }
  return {
    topic,
    subString: isTag && tagsSet.length === 0 ? ALL_TAGS : expression,
    tagsSet,
    codeSet: [...new Set(tagsSet.map(javaStringHash))],
    subVersion,
    expressionType,
    classFilterMode: false,
  }
}

/** Codes are made anew from the tags: Go sends them as text and hashes UTF-8 bytes where Java hashes UTF-16 units. */
export function readSubscription(value: unknown, what: string): SubscriptionData {
  const from = asObject(value, what)
  const subString = textOf(from, 'subString', ALL_TAGS)
  const expressionType = textOf(from, 'expressionType', 'TAG') || 'TAG'
  const given = listOf(from, 'tagsSet', asText)
  const tagsSet = from['tagsSet'] === undefined && expressionType === 'TAG' ? tagsOf(subString) : [...new Set(given)]
  const codes = tagsSet.length > 0 ? tagsSet.map(javaStringHash) : listOf(from, 'codeSet', (code, at) => numberOf({ [at]: code }, at))
  return {
    topic: textOf(from, 'topic'),
    subString,
    tagsSet,
    codeSet: [...new Set(codes)],
    subVersion: bigintOf(from, 'subVersion', 0n),
    expressionType,
    classFilterMode: booleanOf(from, 'classFilterMode', false),
  }
}

const readConsumeType = (from: Json): ConsumeType => enumOf(from, 'consumeType', CONSUME_TYPES, 'CONSUME_PASSIVELY')
const readMessageModel = (from: Json): MessageModel => enumOf(from, 'messageModel', MESSAGE_MODELS, 'CLUSTERING')
const readConsumeFromWhere = (from: Json): ConsumeFromWhere =>
  enumOf(from, 'consumeFromWhere', CONSUME_FROM_WHERE, 'CONSUME_FROM_LAST_OFFSET')

function readConsumerData(value: unknown, what: string): ConsumerData {
  const from = asObject(value, what)
  return {
    groupName: textOf(from, 'groupName'),
    consumeType: readConsumeType(from),
    messageModel: readMessageModel(from),
    consumeFromWhere: readConsumeFromWhere(from),
    subscriptionDataSet: listOf(from, 'subscriptionDataSet', readSubscription),
    unitMode: booleanOf(from, 'unitMode', false),
  }
}

export const encodeHeartbeat = (heartbeat: HeartbeatData): Buffer => encodeJson(heartbeat)

export function decodeHeartbeat(body: Uint8Array): HeartbeatData {
  const from = parseBody(body, 'HeartbeatData')
  return {
    clientID: textOf(from, 'clientID'),
    producerDataSet: listOf(from, 'producerDataSet', (value, what) => ({ groupName: textOf(asObject(value, what), 'groupName') })),
    consumerDataSet: listOf(from, 'consumerDataSet', readConsumerData),
    heartbeatFingerprint: numberOf(from, 'heartbeatFingerprint', 0),
    withoutSub: booleanOf(from, 'withoutSub', false),
  }
}

export const encodeLockBatch = (lock: LockBatchBody): Buffer => encodeJson(lock)

export function decodeLockBatch(body: Uint8Array): LockBatchBody {
  const from = parseBody(body, 'LockBatchRequestBody')
  return {
    consumerGroup: textOf(from, 'consumerGroup'),
    clientId: textOf(from, 'clientId'),
    onlyThisBroker: booleanOf(from, 'onlyThisBroker', false),
    mqSet: listOf(from, 'mqSet', readMessageQueue),
  }
}

/** The queues that this broker granted. */
export const encodeLockResult = (queues: readonly MessageQueue[]): Buffer => encodeJson({ lockOKMQSet: queues })

export const decodeLockResult = (body: Uint8Array): MessageQueue[] =>
  listOf(parseBody(body, 'LockBatchResponseBody'), 'lockOKMQSet', readMessageQueue)

export const encodeConsumerIdList = (clientIds: readonly string[]): Buffer => encodeJson({ consumerIdList: clientIds })

export const decodeConsumerIdList = (body: Uint8Array): string[] =>
  listOf(parseBody(body, 'GetConsumerListByGroupResponseBody'), 'consumerIdList', asText)

const readConnection = (value: unknown, what: string): ClientConnectionInfo => {
  const from = asObject(value, what)
  return {
    clientId: textOf(from, 'clientId', ''),
    clientAddr: textOf(from, 'clientAddr', ''),
    language: textOf(from, 'language', 'OTHER'),
    version: numberOf(from, 'version', 0),
  }
}

export const encodeConsumerConnection = (connection: ConsumerConnection): Buffer => encodeJson(connection)

export function decodeConsumerConnection(body: Uint8Array): ConsumerConnection {
  const from = parseBody(body, 'ConsumerConnection')
  return {
    connectionSet: listOf(from, 'connectionSet', readConnection),
    subscriptionTable: tableOf(from, 'subscriptionTable', readSubscription),
    consumeType: readConsumeType(from),
    messageModel: readMessageModel(from),
    consumeFromWhere: readConsumeFromWhere(from),
  }
}

export const encodeProducerConnection = (connections: readonly ClientConnectionInfo[]): Buffer => encodeJson({ connectionSet: connections })

export const decodeProducerConnection = (body: Uint8Array): ClientConnectionInfo[] =>
  listOf(parseBody(body, 'ProducerConnection'), 'connectionSet', readConnection)
