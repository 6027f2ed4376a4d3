import { PROPERTY, encodeJson, offsetMessageId } from '@skylarkmq/remoting/protocol'
import type { ListScheduledMessages, RequestOf } from '@skylarkmq/remoting/protocol'
import type { Reply } from '@skylarkmq/remoting'
import type { Clock } from '@skylarkmq/runtime'
import { refuse } from '../answers.ts'
import { LIMITS } from '../limits.ts'
import type { TopicConfigs } from '../topics/topic-configs.ts'
import type { TimerService } from '../timer/timer-service.ts'

export interface TimerAdminDeps {
  readonly timers: TimerService
  readonly topics: TopicConfigs
  readonly clock: Clock
}

/** The 56 bytes of RocketMQ 5.3 `TimerCheckpoint`: what it asks of files that are not here is 0. */
export function getTimerCheckPoint({ timers, topics, clock }: TimerAdminDeps) {
  return (): Reply<never> => {
    const { stateVersion, timestamp, counter } = topics.version
    const body = Buffer.alloc(56)
    const longs = [clock.now(), 0, timers.indexedTo, timers.indexedTo, Number(stateVersion), Number(timestamp), Number(counter)]
    for (const [index, value] of longs.entries()) body.writeBigInt64BE(BigInt(value), index * 8)
    return { code: 0, body }
  }
}

/** RocketMQ 5.3 `TimerMetrics.TimerMetricsSerializeWrapper`. */
export function getTimerMetrics({ timers, topics, clock }: TimerAdminDeps) {
  return (): Reply<never> => {
    const timeStamp = clock.now()
    const timingCount = Object.fromEntries([...timers.counts()].map(([topic, count]) => [topic, { count, timeStamp }]))
    return { code: 0, body: encodeJson({ dataVersion: topics.version, timingCount }) }
  }
}

const LIST_DEFAULT = 32

/** What waits, next first: unlike Apache's, it can be looked at one by one. `next` continues where the page ends. */
export function listScheduledMessages({ timers }: TimerAdminDeps) {
  return (header: RequestOf<typeof ListScheduledMessages>): Reply<never> => {
    const max = header.max ?? LIST_DEFAULT
    if (max < 1 || max > LIMITS.scheduledList) {
      return refuse('INVALID_PARAMETER', `max=${max} is outside 1 to ${LIMITS.scheduledList}, the messages that one answer lists`)
    }
    const messages: object[] = []
    let last: { dueMs: number; origin: number } | undefined
    const looked = timers.list(header.afterMs ?? Number.NEGATIVE_INFINITY, header.afterOrigin ?? -1, LIMITS.scheduledList)
    for (const entry of looked) {
      if (messages.length === max) break
      last = entry
      if (header.topic !== undefined && header.topic !== '' && entry.topic !== header.topic) continue
      const message = timers.messageOf(entry)
      messages.push({
        topic: entry.topic,
        deliverAtMs: entry.dueMs,
        messageId: message?.properties.get(PROPERTY.UNIQ_KEY),
        offsetMessageId: message === undefined ? undefined : offsetMessageId(message.storeHostBytes, entry.position),
        keys: message?.properties.get(PROPERTY.KEYS),
        tags: message?.properties.get(PROPERTY.TAGS),
        storedAtMs: message?.storeTimestamp,
      })
    }
    const isEnd = last === undefined || (last === looked[looked.length - 1] && looked.length < LIMITS.scheduledList)
    const next = isEnd || last === undefined ? undefined : { afterMs: last.dueMs, afterOrigin: last.origin }
    return { code: 0, body: encodeJson({ messages, next }) }
  }
}
