import { PROPERTY, isRetryTopic } from '@skylarkmq/remoting/protocol'
import { refuse } from '../answers.ts'
import type { Refusal } from '../answers.ts'
import type { Settings } from '../config.ts'
import { TIMER_TOPIC } from './timer-request.ts'

/** What a producer gets to take a message back with (RocketMQ 5.3 `RecallMessageHandle.HandleV1`). */
export interface RecallHandle {
  readonly topic: string
  readonly brokerName: string
  /** TIMER_OUT_MS + 1: rounding it down again gives the slot. */
  readonly timeMs: number
  readonly uniqKey: string
}

const HANDLE_MAX_CHARACTERS = 2048

/** What the answer to a send says when the message waits for a time of its own (RocketMQ 5.3 `SendMessageProcessor#attachRecallHandle`). */
export function recallHandleOf(
  { settings }: { readonly settings: Settings },
  { topic, properties }: { readonly topic: string; readonly properties: ReadonlyMap<string, string> },
): string | undefined {
  const realTopic = properties.get(PROPERTY.REAL_TOPIC)
  if (topic !== TIMER_TOPIC || realTopic === undefined || isRetryTopic(realTopic) || properties.has(PROPERTY.TIMER_DEL_UNIQKEY))
    return undefined
  const timeMs = Number(properties.get(PROPERTY.TIMER_OUT_MS)) + 1
  const uniqKey = properties.get(PROPERTY.UNIQ_KEY) ?? ''
  return formatRecallHandle({ topic: realTopic, brokerName: settings.current.brokerName, timeMs, uniqKey })
}

export const formatRecallHandle = (handle: RecallHandle): string =>
  // Java's encoder pads; its decoder, and Node's, take both.
  Buffer.from(`v1 ${handle.topic} ${handle.brokerName} ${handle.timeMs} ${handle.uniqKey}`)
    .toString('base64')
    .replaceAll('+', '-')
    .replaceAll('/', '_')

export function parseRecallHandle(text: string): RecallHandle | Refusal {
  const isBase64 = text.length <= HANDLE_MAX_CHARACTERS && /^[A-Za-z0-9_-]+={0,2}$/.test(text)
  const [version, topic, brokerName, time, uniqKey] = isBase64 ? Buffer.from(text, 'base64url').toString().split(' ') : []
  if (version !== 'v1' || !topic || !brokerName || !uniqKey || time === undefined || !/^\d{1,16}$/.test(time)) {
    return refuse('ILLEGAL_OPERATION', 'recall handle is invalid; pass the recallHandle of the answer to the send unchanged')
  }
  return { topic, brokerName, timeMs: Number(time), uniqKey }
}
