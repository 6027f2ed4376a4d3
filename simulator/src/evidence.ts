import {
  decodeRecords,
  groupOfRetryTopic,
  HALF_TOPIC,
  OP_HALF_TOPIC,
  popRetryTopicV1,
  popRetryTopicV2,
  PROPERTY,
  SCHEDULE_TOPIC,
  TRANS_CHECK_MAX_TIME_TOPIC,
} from '@skylarkmq/remoting/protocol'
import type { StoredMessage } from '@skylarkmq/remoting/protocol'
import type { MessageStore } from '@skylarkmq/store'
import type { Cluster, ClusterPlan } from './cluster.ts'
import type { History } from './history.ts'
import { differenceFrom, idIn } from './payload.ts'

export const TIMER_TOPIC = 'rmq_sys_wheel_timer'
/** Where messages wait before they come to their own topic. */
export const WAITING_TOPICS: ReadonlySet<string> = new Set([SCHEDULE_TOPIC, TIMER_TOPIC, HALF_TOPIC, TRANS_CHECK_MAX_TIME_TOPIC])
/** What the broker keeps there for itself are no messages. */
const SILENT_TOPICS: ReadonlySet<string> = new Set([OP_HALF_TOPIC, 'rmq_sys_pop_in_flight', 'RMQ_SYS_SKYLARK_HANDOVER'])
/** Taken by whoever comes, for a time. */
export const JOBS = 'jobs'
export const POPPERS = 'poppers'
const POP_RETRY: readonly string[] = [popRetryTopicV1(POPPERS, JOBS), popRetryTopicV2(POPPERS, JOBS)]

/** A record as a store serves it. */
export interface Stored {
  readonly brokerName: string
  /** Of the queue. */
  readonly topic: string
  /** Where it is to be consumed: another one for messages in the schedule topic, and for retries. */
  readonly realTopic: string
  /** The group that is to try it again: it is of no concern to the others. */
  readonly retryOf: string | undefined
  readonly queueId: number
  readonly queueOffset: number
  readonly position: number
  readonly storeTimestamp: number
  /** Log position of the record that it was made from, for one that had waited. */
  readonly origin: number
  readonly id: string | undefined
  /** How it differs from what was sent. */
  readonly difference: string | undefined
}

/** A queue in the hands of a member. */
export interface Ownership {
  readonly group: string
  readonly member: string
  readonly topic: string
  readonly brokerName: string
  readonly queueId: number
}

/** All that checkers judge by. */
export interface Evidence {
  readonly plan: Pick<ClusterPlan, 'flush' | 'retentionBytes' | 'segmentBytes'>
  readonly history: History
  readonly stored: readonly Stored[]
  readonly members: readonly { readonly name: string; readonly group: string }[]
  /** At rest. */
  readonly owners: readonly Ownership[]
  readonly queues: readonly { readonly brokerName: string; readonly topic: string; readonly queueId: number }[]
  readonly groups: readonly string[]
  readonly topics: readonly string[]
  readonly orderlyGroups: readonly string[]
  /** Where each broker's log begins and ends. */
  readonly logs: ReadonlyMap<string, { readonly from: number; readonly to: number }>
  readonly viewDifferences: readonly string[]
  /** Servers that did not come back, calls that never ended. */
  readonly stuck: readonly string[]
}

export interface Violation {
  readonly checker: string
  readonly sentence: string
  /** Message ids and nodes whose story explains it. */
  readonly about: readonly string[]
}

export type Checker = (evidence: Evidence) => Violation[]

/** Every record that the brokers serve now. */
export async function readStores(cluster: Cluster): Promise<Stored[]> {
  const all: Stored[] = []
  for (const { name, broker } of cluster.brokers.values()) {
    if (broker === undefined) continue
    for (const [topic, queueIds] of broker.store.queues()) {
      if (SILENT_TOPICS.has(topic)) continue
      for (const queueId of queueIds) {
        for (const message of await readQueue(cluster, broker.store, topic, queueId)) {
          if (!message.properties.has(PROPERTY.TIMER_DEL_UNIQKEY)) all.push(storedOf(name, topic, message))
        }
      }
    }
  }
  return all
}

export async function readQueue(
  { world }: Pick<Cluster, 'world'>,
  store: MessageStore,
  topic: string,
  queueId: number,
): Promise<StoredMessage[]> {
  const messages: StoredMessage[] = []
  let offset = store.minOffset(topic, queueId)
  while (offset < store.maxOffset(topic, queueId)) {
    const reading = store.read({ topic, queueId, offset, maxMessages: 256, maxBytes: 1024 * 1024 })
    const result = reading instanceof Promise ? await world.until(reading) : reading
    if (result.status === 'found') messages.push(...decodeRecords(Buffer.from(result.body)))
    offset = result.nextOffset > offset ? result.nextOffset : offset + 1
  }
  return messages
}

export function storedOf(brokerName: string, topic: string, message: StoredMessage): Stored {
  const { properties, body, queueId, queueOffset } = message
  const id = idIn(body)
  const original = properties.get(PROPERTY.RETRY_TOPIC)
  const realTopic = (WAITING_TOPICS.has(topic) ? properties.get(PROPERTY.REAL_TOPIC) : undefined) ?? topic
  const isPopRetry = POP_RETRY.includes(realTopic)
  const difference =
    id === undefined
      ? 'the body is none that was sent'
      : differenceFrom(id, body, properties.get(PROPERTY.TAGS), properties.get(PROPERTY.KEYS))
  return {
    brokerName,
    topic,
    retryOf: isPopRetry ? POPPERS : groupOfRetryTopic(realTopic),
    realTopic: isPopRetry ? JOBS : realTopic.startsWith('%') ? (original ?? realTopic) : realTopic,
    queueId,
    queueOffset,
    position: message.physicalOffset,
    storeTimestamp: message.storeTimestamp,
    origin: message.preparedTransactionOffset,
    id,
    difference,
  }
}
