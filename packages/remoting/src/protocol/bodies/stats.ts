import { pairsOf } from '../fastjson.ts'
import type { Json } from './read.ts'
import { asObject, doubleOf, encodeJson, numberOf, parseBody, readMessageQueue } from './read.ts'
import type { ConsumeStats, MessageQueue, OffsetWrapper, TopicOffset, TopicStatsTable } from './types.ts'

/**
 * Tables by message queue. fastjson writes the queue as an object in place of the key, and Apache's tools read nothing else:
 * `{{"brokerName":"b","queueId":0,"topic":"t"}:{…}}`.
 */
const queueKey = (q: MessageQueue): unknown => ({ brokerName: q.brokerName, queueId: q.queueId, topic: q.topic })

/** For JSON bodies: a Map that `encodeJson` writes with objects as keys. */
export const byQueue = <T>(pairs: Iterable<readonly [MessageQueue, T]>): Map<unknown, T> =>
  new Map([...pairs].map(([queue, value]) => [queueKey(queue), value] as const))

export const readByQueue = <T>(value: unknown, item: (from: Json) => T): (readonly [MessageQueue, T])[] =>
  pairsOf(value).map(([queue, v]) => [readMessageQueue(queue), item(asObject(v, 'a queue’s value'))] as const)

export const encodeTopicStats = (stats: TopicStatsTable): Buffer => encodeJson({ offsetTable: byQueue(stats.offsetTable) })

export const decodeTopicStats = (body: Uint8Array): TopicStatsTable => ({
  offsetTable: readByQueue(
    parseBody(body, 'TopicStatsTable')['offsetTable'],
    (from): TopicOffset => ({
      minOffset: numberOf(from, 'minOffset', 0),
      maxOffset: numberOf(from, 'maxOffset', 0),
      lastUpdateTimestamp: numberOf(from, 'lastUpdateTimestamp', 0),
    }),
  ),
})

export const encodeConsumeStats = (stats: ConsumeStats): Buffer =>
  encodeJson({ consumeTps: stats.consumeTps, offsetTable: byQueue(stats.offsetTable) })

export function decodeConsumeStats(body: Uint8Array): ConsumeStats {
  const from = parseBody(body, 'ConsumeStats')
  return {
    offsetTable: readByQueue(
      from['offsetTable'],
      (v): OffsetWrapper => ({
        brokerOffset: numberOf(v, 'brokerOffset', 0),
        consumerOffset: numberOf(v, 'consumerOffset', 0),
        pullOffset: numberOf(v, 'pullOffset', 0),
        lastTimestamp: numberOf(v, 'lastTimestamp', 0),
      }),
    ),
    consumeTps: doubleOf(from, 'consumeTps', 0),
  }
}
