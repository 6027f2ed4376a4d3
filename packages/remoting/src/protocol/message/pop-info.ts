import { RETRY_PREFIX } from '../topic-names.ts'

/**
 * The texts by which a client names messages that it popped (RocketMQ 5.3 `ExtraInfoUtil`, `KeyBuilder`), and the topics that messages
 * go to when nobody acknowledged them.
 */
export const RETRY_FLAG = Object.freeze({ NORMAL: '0', RETRY_V1: '1', RETRY_V2: '2' })
/** In place of a revive queue: the message was popped in order. */
export const POP_ORDER_REVIVE_QUEUE = 999

export const popRetryTopicV1 = (group: string, topic: string): string => `${RETRY_PREFIX}${group}_${topic}`
export const popRetryTopicV2 = (group: string, topic: string): string => `${RETRY_PREFIX}${group}+${topic}`

/** The topic that a retry topic of this group was made for; the topic itself when it is none. */
export function originOfPopRetryTopic(topic: string, group: string): string {
  const prefix = RETRY_PREFIX + group
  const separator = topic.charAt(prefix.length)
  return topic.startsWith(prefix) && (separator === '_' || separator === '+') ? topic.slice(prefix.length + 1) : topic
}

export function retryFlagOf(topic: string): string {
  if (!topic.startsWith(RETRY_PREFIX)) return RETRY_FLAG.NORMAL
  return topic.includes('+') ? RETRY_FLAG.RETRY_V2 : RETRY_FLAG.RETRY_V1
}

/** The topic that a message really lies in. Undefined for a flag that is none. */
export function realTopicOf(topic: string, group: string, retryFlag: string): string | undefined {
  if (retryFlag === RETRY_FLAG.NORMAL) return topic
  if (retryFlag === RETRY_FLAG.RETRY_V1) return popRetryTopicV1(group, topic)
  return retryFlag === RETRY_FLAG.RETRY_V2 ? popRetryTopicV2(group, topic) : undefined
}

/** The handle of a message (property POP_CK). */
export interface PopExtraInfo {
  /** Where the pop began that brought it. */
  readonly startOffset: number
  readonly popTime: number
  readonly invisibleTimeMs: number
  readonly reviveQueueId: number
  readonly retryFlag: string
  readonly brokerName: string
  readonly queueId: number
  readonly queueOffset?: number | undefined
}

export function formatExtraInfo(info: PopExtraInfo): string {
  const { startOffset, popTime, invisibleTimeMs, reviveQueueId, retryFlag, brokerName, queueId, queueOffset } = info
  const text = `${startOffset} ${popTime} ${invisibleTimeMs} ${reviveQueueId} ${retryFlag} ${brokerName} ${queueId}`
  return queueOffset === undefined ? text : `${text} ${queueOffset}`
}

const whole = (text: string | undefined): number => (text !== undefined && /^-?\d{1,16}$/.test(text) ? Number(text) : Number.NaN)

/** Undefined for what is no handle. Apache's acks need the first four parts only. */
export function parseExtraInfo(text: string): PopExtraInfo | undefined {
  const parts = text.split(' ')
  const [startOffset, popTime, invisibleTimeMs, reviveQueueId] = parts.slice(0, 4).map(whole) as [number, number, number, number]
  if (parts.length < 4 || ![startOffset, popTime, invisibleTimeMs, reviveQueueId].every(Number.isSafeInteger)) return undefined
  const queueOffset = parts.length > 7 ? whole(parts[7]) : undefined
  return {
    startOffset,
    popTime,
    invisibleTimeMs,
    reviveQueueId,
    retryFlag: parts[4] ?? RETRY_FLAG.NORMAL,
    brokerName: parts[5] ?? '',
    queueId: parts.length > 6 ? whole(parts[6]) : -1,
    queueOffset,
  }
}

/** What a pop brought of one queue. */
export interface PoppedQueue {
  readonly topic: string
  readonly queueId: number
  readonly startOffset: number
  readonly offsets: readonly number[]
}

export const formatStartOffsets = (queues: readonly PoppedQueue[]): string =>
  queues.map(({ topic, queueId, startOffset }) => `${retryFlagOf(topic)} ${queueId} ${startOffset}`).join(';')

export const formatMessageOffsets = (queues: readonly PoppedQueue[]): string =>
  queues.map(({ topic, queueId, offsets }) => `${retryFlagOf(topic)} ${queueId} ${offsets.join(',')}`).join(';')

/** `retryFlag@queueId` to where its pop began. */
export function parseStartOffsets(text: string | undefined): Map<string, number> {
  const found = new Map<string, number>()
  for (const entry of (text ?? '').split(';')) {
    const [flag, queueId, start] = entry.split(' ')
    if (start !== undefined) found.set(`${flag}@${queueId}`, Number(start))
  }
  return found
}

/** `retryFlag@queueId` to its offsets. */
export function parseMessageOffsets(text: string | undefined): Map<string, number[]> {
  const found = new Map<string, number[]>()
  for (const entry of (text ?? '').split(';')) {
    const [flag, queueId, offsets] = entry.split(' ')
    if (offsets !== undefined) found.set(`${flag}@${queueId}`, offsets.split(',').map(Number))
  }
  return found
}
