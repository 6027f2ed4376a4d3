import {
  encodeConsumeStats,
  encodeConsumerConnection,
  encodeJson,
  encodeProducerConnection,
  encodeTopicList,
  encodeTopicStats,
  isSystemGroup,
} from '@skylarkmq/remoting/protocol'
import type {
  ClientConnectionInfo,
  GetConsumeStats,
  GetConsumerConnectionList,
  GetProducerConnectionList,
  GetTopicStatsInfo,
  MessageQueue,
  OffsetWrapper,
  QueryTopicConsumeByWho,
  QueryTopicsByConsumer,
  RequestOf,
} from '@skylarkmq/remoting/protocol'
import type { Reply, ServerConnection } from '@skylarkmq/remoting'
import type { Clock } from '@skylarkmq/runtime'
import type { MessageStore } from '@skylarkmq/store'
import { plain, refuse, topicMissing } from '../answers.ts'
import type { ConsumerGroups } from '../groups/consumer-groups.ts'
import type { ProducerGroups } from '../groups/producer-groups.ts'
import type { Compensations } from '../groups/subscriptions.ts'
import type { ConsumerOffsets } from '../offsets/consumer-offsets.ts'
import type { Counters } from '../operate/counters.ts'
import type { TopicConfigs } from '../topics/topic-configs.ts'

export interface StatsDeps {
  readonly store: MessageStore
  readonly topics: TopicConfigs
  readonly offsets: ConsumerOffsets
  readonly consumers: ConsumerGroups
  readonly producers: ProducerGroups
  readonly compensations: Compensations
  readonly brokerName: string
  readonly clock: Clock
  readonly counters: Counters
}

export function getTopicStats({ store, topics, brokerName }: StatsDeps) {
  return ({ topic }: RequestOf<typeof GetTopicStatsInfo>): Reply<never> => {
    const config = topics.get(topic)
    if (config === undefined) return topicMissing(topic)
    const queues = Math.max(config.readQueueNums, config.writeQueueNums)
    const offsetTable = Array.from({ length: queues }, (_, queueId) => {
      const [minOffset, maxOffset] = [Math.max(0, store.minOffset(topic, queueId)), Math.max(0, store.maxOffset(topic, queueId))]
      const lastUpdateTimestamp = maxOffset > 0 ? Math.max(0, store.storeTimestamp(topic, queueId, maxOffset - 1)) : 0
      return [
        { topic, brokerName, queueId },
        { minOffset, maxOffset, lastUpdateTimestamp },
      ] as const
    })
    return { code: 0, body: encodeTopicStats({ offsetTable }) }
  }
}

export function getConsumeStats(deps: StatsDeps) {
  return ({ consumerGroup, topic, topicList }: RequestOf<typeof GetConsumeStats>): Reply<never> => {
    const asked = topic ? [topic] : topicList ? topicList.split(';').filter((name) => name !== '') : deps.offsets.topicsOf(consumerGroup)
    const offsetTable = statsOfGroup(deps, consumerGroup, asked)
    return { code: 0, body: encodeConsumeStats({ offsetTable, consumeTps: deps.counters.consumeTps(consumerGroup, asked) }) }
  }
}

export function statsOfGroup(deps: StatsDeps, group: string, topics: readonly string[]): (readonly [MessageQueue, OffsetWrapper])[] {
  const subscriptions = deps.consumers.get(group)?.subscriptions
  const offsetTable: (readonly [MessageQueue, OffsetWrapper])[] = []
  for (const name of topics) {
    const config = deps.topics.get(name)
    // An offset that was left behind by a former subscription is no backlog.
    if (config === undefined || (subscriptions !== undefined && subscriptions.size > 0 && !subscriptions.has(name))) continue
    for (let queueId = 0; queueId < config.readQueueNums; queueId++) {
      offsetTable.push([{ topic: name, brokerName: deps.brokerName, queueId }, offsetsOf(deps, group, name, queueId)])
    }
  }
  return offsetTable
}

function offsetsOf({ store, offsets }: StatsDeps, group: string, topic: string, queueId: number): OffsetWrapper {
  const brokerOffset = Math.max(0, store.maxOffset(topic, queueId))
  const consumerOffset = offsets.get(group, topic, queueId) ?? 0
  const pullOffset = Math.max(consumerOffset, offsets.lastPulled(group, topic, queueId) ?? 0)
  const lastTimestamp = consumerOffset > 0 ? Math.max(0, store.storeTimestamp(topic, queueId, consumerOffset - 1)) : 0
  return { brokerOffset, consumerOffset, pullOffset, lastTimestamp }
}

const infoOf = (connection: ServerConnection, clientId: string): ClientConnectionInfo => ({
  clientId,
  clientAddr: connection.address,
  language: connection.language,
  version: connection.version,
})

export function getConsumerConnections({ consumers }: StatsDeps) {
  return ({ consumerGroup }: RequestOf<typeof GetConsumerConnectionList>): Reply<never> => {
    const group = consumers.get(consumerGroup)
    if (group === undefined) return refuse('CONSUMER_NOT_ONLINE', `the consumer group[${plain(consumerGroup)}] not online`)
    return {
      code: 0,
      body: encodeConsumerConnection({
        connectionSet: [...group.members.values()].map((member) => infoOf(member.connection, member.clientId)),
        subscriptionTable: Object.fromEntries([...group.subscriptions].map(([topic, subscription]) => [topic, subscription.data])),
        consumeType: group.consumeType,
        messageModel: group.messageModel,
        consumeFromWhere: group.consumeFromWhere,
      }),
    }
  }
}

export function getProducerConnections({ producers }: StatsDeps) {
  return ({ producerGroup }: RequestOf<typeof GetProducerConnectionList>): Reply<never> => {
    const members = producers.members(producerGroup)
    if (members.length === 0)
      return refuse(
        'SYSTEM_ERROR',
        `the producer group[${plain(producerGroup)}] not exist; no producer of it has sent this broker a heartbeat lately`,
      )
    return { code: 0, body: encodeProducerConnection(members.map((member) => infoOf(member.connection, member.clientId))) }
  }
}

export function getAllProducers({ producers, clock }: StatsDeps) {
  return (): Reply<never> => {
    const started = clock.now() - clock.monotonic()
    const data = Object.fromEntries(
      [...producers.entries()].map(([group, members]) => [
        group,
        [...members.values()].map(({ connection, clientId, seenAt }) => ({
          clientId,
          language: connection.language,
          remoteIP: `/${connection.address}`,
          version: connection.version,
          lastUpdateTimestamp: Math.round(started + seenAt),
        })),
      ]),
    )
    return { code: 0, body: encodeJson({ data }) }
  }
}

export function getGroupsOfTopic({ consumers, offsets, compensations }: StatsDeps) {
  return ({ topic }: RequestOf<typeof QueryTopicConsumeByWho>): Reply<never> => {
    // Who only looked with a tool does not consume the topic.
    const pulling = compensations.groupsOf(topic).filter((group) => !isSystemGroup(group))
    const groupList = [...new Set([...consumers.groupsOf(topic), ...offsets.groupsOf(topic), ...pulling])]
    return { code: 0, body: encodeJson({ groupList }) }
  }
}

export function getTopicsOfGroup({ offsets, consumers }: StatsDeps) {
  return ({ group }: RequestOf<typeof QueryTopicsByConsumer>): Reply<never> => {
    const subscribed = consumers.get(group)?.subscriptions.keys() ?? []
    return { code: 0, body: encodeTopicList({ topicList: [...new Set([...offsets.topicsOf(group), ...subscribed])] }) }
  }
}
