import { SCHEDULE_TOPIC, decodeRecords, groupOfRetryTopic, PROPERTY } from '@skylarkmq/remoting/protocol'
import type { StoredMessage } from '@skylarkmq/remoting/protocol'
import type { MessageStore } from '@skylarkmq/store'
import type { Cluster, ClusterPlan } from './cluster.ts'
import type { History } from './history.ts'
import { differenceFrom, idIn } from './payload.ts'

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
  readonly plan: Pick<ClusterPlan, 'flush'>
  readonly history: History
  readonly stored: readonly Stored[]
  readonly members: readonly { readonly name: string; readonly group: string }[]
  /** At rest. */
  readonly owners: readonly Ownership[]
  readonly queues: readonly { readonly brokerName: string; readonly topic: string; readonly queueId: number }[]
  readonly groups: readonly string[]
  readonly topics: readonly string[]
  readonly orderlyGroups: readonly string[]
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
      for (const queueId of queueIds) {
        for (const message of await readQueue(cluster, broker.store, topic, queueId)) all.push(storedOf(name, topic, message))
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
  const realTopic = (topic === SCHEDULE_TOPIC ? properties.get(PROPERTY.REAL_TOPIC) : undefined) ?? topic
  const difference =
    id === undefined
      ? 'the body is none that was sent'
      : differenceFrom(id, body, properties.get(PROPERTY.TAGS), properties.get(PROPERTY.KEYS))
  return {
    brokerName,
    topic,
    retryOf: groupOfRetryTopic(realTopic),
    realTopic: realTopic.startsWith('%') ? (original ?? realTopic) : realTopic,
    queueId,
    queueOffset,
    id,
    difference,
  }
}
