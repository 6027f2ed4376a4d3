import { asObject, encodeJson, enumOf, listOf, numberOf, parseBody, readMessageQueue, textOf, wrong } from './read.ts'
import type { Json } from './read.ts'
import { MESSAGE_MODELS } from './client.ts'
import type { MessageModel, MessageQueue } from './types.ts'

/** Bodies of POP: acknowledgements of many messages, and who pops or pulls which queues. */
export const MESSAGE_REQUEST_MODES = ['PULL', 'POP'] as const
export type MessageRequestMode = (typeof MESSAGE_REQUEST_MODES)[number]

/** Messages of one pop and queue. */
export interface BatchAck {
  readonly consumerGroup: string
  readonly topic: string
  readonly retryFlag: string
  readonly startOffset: number
  readonly queueId: number
  readonly reviveQueueId: number
  readonly popTime: number
  readonly invisibleTimeMs: number
  /** Distances from `startOffset`. */
  readonly distances: readonly number[]
}

export interface BatchAckBody {
  readonly brokerName: string
  readonly acks: readonly BatchAck[]
}

/** A pop brings 32 messages; they may lie far apart when a filter left most out. */
const BITS_MAX_TEXT = 16_384

/** Java's `BitSet#toByteArray`: little-endian, bit 0 first. */
function bitsOf(from: Json, name: string): number[] {
  const value = from[name]
  if (value === undefined || value === null) return []
  if (typeof value !== 'string') throw wrong(`the field ${name} of an acknowledgement must be base64 text`)
  if (value.length > BITS_MAX_TEXT)
    throw wrong(`the field ${name} of an acknowledgement has ${value.length} characters; at most ${BITS_MAX_TEXT} are allowed`)
  const distances: number[] = []
  for (const [i, byte] of Buffer.from(value, 'base64').entries())
    for (let bit = 0; bit < 8; bit++) if ((byte & (1 << bit)) !== 0) distances.push(i * 8 + bit)
  return distances
}

function bitsTo(distances: readonly number[]): string {
  const bytes = Buffer.alloc(Math.floor(Math.max(-1, ...distances) / 8) + 1)
  for (const distance of distances) bytes[distance >> 3] = (bytes[distance >> 3] as number) | (1 << (distance & 7))
  return bytes.toString('base64')
}

/** Java writes short names and reads both. */
function readBatchAck(value: unknown, what: string): BatchAck {
  const from = asObject(value, what)
  const key = (short: string, long: string): string => (from[short] === undefined ? long : short)
  return {
    consumerGroup: textOf(from, key('c', 'consumerGroup')),
    topic: textOf(from, key('t', 'topic')),
    retryFlag: textOf(from, key('r', 'retry'), '0'),
    startOffset: numberOf(from, key('so', 'startOffset'), 0),
    queueId: numberOf(from, key('q', 'queueId'), 0),
    reviveQueueId: numberOf(from, key('rq', 'reviveQueueId'), 0),
    popTime: numberOf(from, key('pt', 'popTime'), 0),
    invisibleTimeMs: numberOf(from, key('it', 'invisibleTime'), 0),
    distances: bitsOf(from, key('b', 'bitSet')),
  }
}

export function decodeBatchAck(body: Uint8Array): BatchAckBody {
  const from = parseBody(body, 'BatchAckMessageRequestBody')
  return { brokerName: textOf(from, 'brokerName', ''), acks: listOf(from, 'acks', readBatchAck) }
}

export const encodeBatchAck = ({ brokerName, acks }: BatchAckBody): Buffer =>
  encodeJson({
    brokerName,
    acks: acks.map((ack) => ({
      b: bitsTo(ack.distances),
      c: ack.consumerGroup,
      it: ack.invisibleTimeMs,
      pt: ack.popTime,
      q: ack.queueId,
      r: ack.retryFlag,
      rq: ack.reviveQueueId,
      so: ack.startOffset,
      t: ack.topic,
    })),
  })

export interface QueryAssignmentBody {
  readonly topic: string
  readonly consumerGroup: string
  readonly clientId: string
  readonly strategyName: string
  readonly messageModel: MessageModel
}

export function decodeQueryAssignment(body: Uint8Array): QueryAssignmentBody {
  const from = parseBody(body, 'QueryAssignmentRequestBody')
  return {
    topic: textOf(from, 'topic'),
    consumerGroup: textOf(from, 'consumerGroup'),
    clientId: textOf(from, 'clientId', ''),
    strategyName: textOf(from, 'strategyName', ''),
    messageModel: enumOf(from, 'messageModel', MESSAGE_MODELS, 'CLUSTERING'),
  }
}

export const encodeQueryAssignment = (body: QueryAssignmentBody): Buffer => encodeJson(body)

export interface QueueAssignment {
  readonly messageQueue: MessageQueue
  readonly mode: MessageRequestMode
}

/** Undefined: nothing can be said, the client keeps what it has. */
export const encodeAssignments = (assignments: readonly QueueAssignment[] | undefined): Buffer =>
  encodeJson({ messageQueueAssignments: assignments?.map(({ messageQueue, mode }) => ({ attachments: {}, messageQueue, mode })) })

export function decodeAssignments(body: Uint8Array): QueueAssignment[] | undefined {
  const from = parseBody(body, 'QueryAssignmentResponseBody')
  if (from['messageQueueAssignments'] === undefined || from['messageQueueAssignments'] === null) return undefined
  return listOf(from, 'messageQueueAssignments', (value, what) => {
    const one = asObject(value, what)
    return {
      messageQueue: readMessageQueue(one['messageQueue'], `${what}.messageQueue`),
      mode: enumOf(one, 'mode', MESSAGE_REQUEST_MODES, 'PULL'),
    }
  })
}

export interface RequestModeBody {
  readonly topic: string
  readonly consumerGroup: string
  readonly mode: MessageRequestMode
  /** How many consumers share each queue; 0 or less, or nearly all: every consumer gets all. */
  readonly popShareQueueNum: number
}

export function decodeRequestMode(body: Uint8Array): RequestModeBody {
  const from = parseBody(body, 'SetMessageRequestModeRequestBody')
  return {
    topic: textOf(from, 'topic'),
    consumerGroup: textOf(from, 'consumerGroup'),
    mode: enumOf(from, 'mode', MESSAGE_REQUEST_MODES, 'PULL'),
    popShareQueueNum: numberOf(from, 'popShareQueueNum', 0),
  }
}

export const encodeRequestMode = (body: RequestModeBody): Buffer => encodeJson(body)
