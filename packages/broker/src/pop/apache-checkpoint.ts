import { parseFastjson, PROPERTY } from '@skylarkmq/remoting/protocol'
import type { StoredMessage } from '@skylarkmq/remoting/protocol'

/** What Apache's broker notes of a pop: which messages of a queue it gave to a group, and for how long (RocketMQ 5.3 `PopCheckPoint`). */
export interface Checkpoint {
  readonly group: string
  /** The topic that the messages lie in, which may be a retry topic. */
  readonly topic: string
  readonly queueId: number
  readonly brokerName: string
  readonly startOffset: number
  readonly popTime: number
  readonly invisibleTimeMs: number
  /** Those that were not acknowledged when it was written. */
  readonly offsets: readonly number[]
}

type Json = Readonly<Record<string, unknown>>

const MESSAGES_MAX = 1024

/** Undefined for another message of the revive topic, or one that cannot be read. */
export function parseCheckpoint(message: StoredMessage): Checkpoint | undefined {
  if (message.properties.get(PROPERTY.TAGS) !== 'ck') return undefined
  const json = bodyOf(message)
  const [startOffset, popTime, invisibleTimeMs, queueId] = ['so', 'pt', 'it', 'q'].map((name) => wholeOf(json?.[name]))
  const { c: group, t: topic } = json ?? {}
  if (startOffset === undefined || popTime === undefined || invisibleTimeMs === undefined || queueId === undefined) return undefined
  if (typeof group !== 'string' || typeof topic !== 'string') return undefined
  const count = Math.min(MESSAGES_MAX, wholeOf(json?.['n']) ?? 0)
  const distances = Array.isArray(json?.['d']) ? (json?.['d'] as unknown[]) : []
  const acked = wholeOf(json?.['bm']) ?? 0
  const offsets: number[] = []
  for (let i = 0; i < count; i++) {
    // Checkpoints of older brokers name no distances.
    const distance = distances.length > 0 ? wholeOf(distances[i]) : i
    if (distance !== undefined && Math.floor(acked / 2 ** i) % 2 === 0) offsets.push(startOffset + distance)
  }
  return { group, topic, queueId, brokerName: brokerOf(json), startOffset, popTime, invisibleTimeMs, offsets }
}

/** The messages that an acknowledgement names (RocketMQ 5.3 `AckMsg`, `BatchAckMsg`), and the key of their checkpoint. */
export function ackedBy(message: StoredMessage): { readonly key: string; readonly offsets: readonly number[] } | undefined {
  const tag = message.properties.get(PROPERTY.TAGS)
  if (tag !== 'ack' && tag !== 'bAck') return undefined
  const json = bodyOf(message)
  const [startOffset, popTime, queueId] = ['so', 'pt', 'q'].map((name) => wholeOf(json?.[name]))
  const { c: group, t: topic } = json ?? {}
  if (startOffset === undefined || popTime === undefined || queueId === undefined) return undefined
  const named = tag === 'ack' ? [json?.['ao']] : Array.isArray(json?.['aol']) ? (json?.['aol'] as unknown[]) : []
  const offsets = named.map(wholeOf).filter((offset) => offset !== undefined)
  return { key: keyOf({ group: String(group), topic: String(topic), queueId, startOffset, popTime, brokerName: brokerOf(json) }), offsets }
}

export const keyOf = (one: Omit<Checkpoint, 'invisibleTimeMs' | 'offsets'>): string =>
  `${one.topic}\n${one.group}\n${one.queueId}\n${one.startOffset}\n${one.popTime}\n${one.brokerName}`

function bodyOf({ body }: StoredMessage): Json | undefined {
  try {
    const json = parseFastjson(Buffer.from(body).toString('utf8'))
    return typeof json === 'object' && json !== null ? (json as Json) : undefined
  } catch {
    return undefined
  }
}

const brokerOf = (json: Json | undefined): string => (typeof json?.['bn'] === 'string' ? json['bn'] : '')
const wholeOf = (value: unknown): number | undefined => {
  const number = typeof value === 'bigint' ? Number(value) : value
  return typeof number === 'number' && Number.isSafeInteger(number) && number >= 0 ? number : undefined
}
