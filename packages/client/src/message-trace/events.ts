/**
 * What happened to a message, in the text form that RocketMQ's clients write to `RMQ_SYS_TRACE_TOPIC` and its tools read (5.3
 * `TraceDataEncoder`): fields end with U+0001, events with U+0002.
 */
const FIELD = '\u0001'
const EVENT = '\u0002'

/** In the order of their numbers on the wire. */
const MESSAGE_TYPES = ['normal', 'half', 'commit', 'delay', 'order'] as const
const RESULTS = ['success', 'timeout', 'exception', 'null', 'failed'] as const
const STATES = { COMMIT_MESSAGE: 'commit', ROLLBACK_MESSAGE: 'rollback', UNKNOW: 'unknown' } as const

export type TracedMessageType = (typeof MESSAGE_TYPES)[number]
export type ConsumeResult = (typeof RESULTS)[number]

interface Common {
  /** Milliseconds since 1970, by the clock of the client that wrote it. */
  readonly time: number
  readonly group: string
  readonly messageId: string
}

interface OfTopic extends Common {
  readonly topic: string
  readonly region: string
}

export interface SentEvent extends OfTopic {
  readonly type: 'sent'
  readonly tags: string
  readonly keys: string
  /** `host:port` of the broker. */
  readonly storeHost: string
  readonly bodyBytes: number
  readonly tookMs: number
  readonly messageType: TracedMessageType
  readonly offsetMessageId: string
  readonly isSuccess: boolean
}

export interface ConsumeBeginEvent extends Common {
  readonly type: 'consumeBegin'
  readonly region: string
  /** The same in the event of the end. */
  readonly requestId: string
  readonly retryTimes: number
  readonly keys: string
}

export interface ConsumeEndEvent extends Common {
  readonly type: 'consumeEnd'
  readonly requestId: string
  readonly tookMs: number
  readonly isSuccess: boolean
  readonly keys: string
  readonly result: ConsumeResult
}

export interface TransactionEndEvent extends OfTopic {
  readonly type: 'transactionEnd'
  readonly tags: string
  readonly keys: string
  readonly storeHost: string
  readonly transactionId: string
  readonly outcome: 'commit' | 'rollback' | 'unknown'
  readonly isFromCheck: boolean
}

export interface RecallEvent extends OfTopic {
  readonly type: 'recalled'
  readonly isSuccess: boolean
}

export type MessageTraceEvent = SentEvent | ConsumeBeginEvent | ConsumeEndEvent | TransactionEndEvent | RecallEvent

export function encodeEvent(event: MessageTraceEvent): string {
  const fields = fieldsOf(event).map((field) => String(field).replaceAll(FIELD, ' ').replaceAll(EVENT, ' '))
  return fields.join(FIELD) + EVENT
}

function fieldsOf(event: MessageTraceEvent): readonly (string | number | boolean)[] {
  const { time, group, messageId } = event
  switch (event.type) {
    case 'sent': {
      const { region, topic, tags, keys, storeHost, bodyBytes, tookMs, messageType, offsetMessageId, isSuccess } = event
      const type = MESSAGE_TYPES.indexOf(messageType)
      return ['Pub', time, region, group, topic, messageId, tags, keys, storeHost, bodyBytes, tookMs, type, offsetMessageId, isSuccess]
    }
    case 'consumeBegin':
      return ['SubBefore', time, event.region, group, event.requestId, messageId, event.retryTimes, event.keys]
    case 'consumeEnd': {
      const { requestId, tookMs, isSuccess, keys, result } = event
      return ['SubAfter', requestId, messageId, tookMs, isSuccess, keys, RESULTS.indexOf(result), time, group]
    }
    case 'transactionEnd': {
      const { region, topic, tags, keys, storeHost, transactionId, outcome, isFromCheck } = event
      const type = outcome === 'commit' ? 'commit' : 'half'
      const state = Object.entries(STATES).find(([, value]) => value === outcome)?.[0] ?? ''
      const number = MESSAGE_TYPES.indexOf(type)
      return ['EndTransaction', time, region, group, topic, messageId, tags, keys, storeHost, number, transactionId, state, isFromCheck]
    }
    case 'recalled':
      return ['Recall', time, event.region, group, event.topic, messageId, event.isSuccess]
  }
}

/** Events of a trace message, ours or another client's. What cannot be read is left out. */
export function decodeEvents(text: string): MessageTraceEvent[] {
  return text.split(EVENT).flatMap((line) => decodeEvent(line.split(FIELD)) ?? [])
}

function decodeEvent(given: readonly string[]): MessageTraceEvent | undefined {
  const fields = given.map((field) => (field === 'null' ? '' : field))
  const at = (index: number): string => fields[index] ?? ''
  const number = (index: number): number => Number(fields[index]) || 0
  const isTrue = (index: number): boolean => at(index) === 'true'
  switch (fields[0]) {
    case 'Pub':
      return {
        type: 'sent',
        ...ofTopic(fields),
        tags: at(6),
        keys: at(7),
        storeHost: at(8),
        bodyBytes: number(9),
        tookMs: number(10),
        messageType: MESSAGE_TYPES[number(11)] ?? 'normal',
        // Old clients name no offset id: the flag comes a place earlier.
        offsetMessageId: fields.length === 13 ? '' : at(12),
        isSuccess: isTrue(fields.length === 13 ? 12 : 13),
      }
    case 'SubBefore':
      return {
        type: 'consumeBegin',
        time: number(1),
        region: at(2),
        group: at(3),
        requestId: at(4),
        messageId: at(5),
        retryTimes: number(6),
        keys: at(7),
      }
    case 'SubAfter':
      return {
        type: 'consumeEnd',
        requestId: at(1),
        messageId: at(2),
        tookMs: number(3),
        isSuccess: isTrue(4),
        keys: at(5),
        result: RESULTS[number(6)] ?? 'success',
        time: number(7),
        group: at(8),
      }
    case 'EndTransaction':
      return {
        type: 'transactionEnd',
        ...ofTopic(fields),
        tags: at(6),
        keys: at(7),
        storeHost: at(8),
        transactionId: at(10),
        outcome: STATES[at(11) as keyof typeof STATES] ?? 'unknown',
        isFromCheck: isTrue(12),
      }
    case 'Recall':
      return { type: 'recalled', ...ofTopic(fields), isSuccess: isTrue(6) }
    default:
      return undefined
  }
}

const ofTopic = (fields: readonly string[]) => ({
  time: Number(fields[1]) || 0,
  region: fields[2] ?? '',
  group: fields[3] ?? '',
  topic: fields[4] ?? '',
  messageId: fields[5] ?? '',
})
