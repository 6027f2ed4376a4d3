import { checkTopicName, encodeJson, encodeTopicList, isSystemTopic } from '@skylarkmq/remoting/protocol'
import type { DeleteTopicInBroker, GetTopicConfig, RequestOf, UpdateAndCreateTopic } from '@skylarkmq/remoting/protocol'
import type { Reply } from '@skylarkmq/remoting'
import type { MessageStore } from '@skylarkmq/store'
import { SUCCESS, plain, refuse, topicMissing } from '../answers.ts'
import type { Refusal } from '../answers.ts'
import { alterAttributes, isRefusedChange, parseAttributeChanges } from '../attributes.ts'
import type { Settings } from '../config.ts'
import { LIMITS } from '../limits.ts'
import type { ConsumerOffsets } from '../offsets/consumer-offsets.ts'
import type { HeldPulls } from '../pull/held-pulls.ts'
import type { TopicConfigs } from '../topics/topic-configs.ts'
import { TOPIC_ATTRIBUTES } from '../topics/topic-attributes.ts'

export interface TopicAdminDeps {
  readonly topics: TopicConfigs
  readonly settings: Settings
  readonly store: MessageStore
  readonly offsets: ConsumerOffsets
  readonly heldPulls: HeldPulls
  /** The advertised address of this broker. */
  readonly brokerAddr: () => string
}

type UpdateHeader = RequestOf<typeof UpdateAndCreateTopic>

export function updateTopic({ topics, settings }: TopicAdminDeps) {
  return (header: UpdateHeader): Reply<never> => {
    const wrong = checkTopicName(header.topic)
    if (wrong !== undefined) return refuse('INVALID_PARAMETER', wrong)
    const refused = checkTopicChange(topics, header)
    if (refused !== undefined) return refused
    const changes = parseAttributeChanges(header.attributes)
    if ('remark' in changes) return changes
    const attributes = alterAttributes(TOPIC_ATTRIBUTES, topics.get(header.topic)?.attributes, changes, settings)
    if (isRefusedChange(attributes)) return attributes
    topics.set({
      topicName: header.topic,
      readQueueNums: header.readQueueNums,
      writeQueueNums: header.writeQueueNums,
      perm: header.perm,
      topicFilterType: header.topicFilterType === 'MULTI_TAG' ? 'MULTI_TAG' : 'SINGLE_TAG',
      topicSysFlag: header.topicSysFlag ?? 0,
      order: header.order ?? false,
      attributes,
    })
    return SUCCESS
  }
}

export interface TopicChangeAsked {
  readonly topic: string
  readonly readQueueNums: number
  readonly writeQueueNums: number
  readonly perm: number
}

/** Why a topic may not become what is asked. */
export function checkTopicChange(topics: TopicConfigs, asked: TopicChangeAsked): Refusal | undefined {
  if (isSystemTopic(asked.topic) || topics.systemTopics.has(asked.topic))
    return refuse(
      'INVALID_PARAMETER',
      `The topic[${plain(asked.topic)}] is conflict with system topic. It stays as it is; choose another name`,
    )
  return checkNumbers(asked)
}

function checkNumbers({ readQueueNums, writeQueueNums, perm }: TopicChangeAsked): Refusal | undefined {
  for (const [name, count] of [
    ['readQueueNums', readQueueNums],
    ['writeQueueNums', writeQueueNums],
  ] as const) {
    if (count < 1 || count > LIMITS.topicQueues) {
      return refuse('INVALID_PARAMETER', `the header field ${name} is ${count}; it must be from 1 to ${LIMITS.topicQueues}`)
    }
  }
  if (perm < 0 || perm > 7)
    return refuse('INVALID_PARAMETER', `the header field perm is ${perm}; it must be from 0 to 7 (4 read, 2 write, 1 inherit)`)
  return undefined
}

/** The messages stay in the log until it expires; the topic, its queues and all groups' offsets in it are gone. */
export function deleteTopic({ topics, store, offsets, heldPulls }: TopicAdminDeps) {
  return ({ topic }: RequestOf<typeof DeleteTopicInBroker>): Reply<never> => {
    if (topic === '')
      return refuse('INVALID_PARAMETER', 'The specified topic is blank. Give the name of one: mqadmin topicList shows what there is')
    if (isSystemTopic(topic) || topics.systemTopics.has(topic)) {
      return refuse('INVALID_PARAMETER', `The topic[${plain(topic)}] is conflict with system topic. It stays as it is; choose another name`)
    }
    topics.delete(topic)
    store.deleteTopic(topic)
    offsets.deleteTopic(topic)
    heldPulls.wakeTopic(topic)
    return SUCCESS
  }
}

export function getAllTopicConfig({ topics }: TopicAdminDeps) {
  return (): Reply<never> => {
    const table = Object.fromEntries([...topics.all()].map((config) => [config.topicName, config]))
    return {
      code: 0,
      ext: { totalTopicNum: String(topics.size) },
      body: encodeJson({ dataVersion: topics.version, topicConfigTable: table }),
    }
  }
}

export function getTopicConfig({ topics }: TopicAdminDeps) {
  return ({ topic }: RequestOf<typeof GetTopicConfig>): Reply<never> => {
    const config = topics.get(topic)
    return config === undefined ? topicMissing(topic) : { code: 0, body: encodeJson(config) }
  }
}

export function getSystemTopics({ topics, brokerAddr }: TopicAdminDeps) {
  return (): Reply<never> => ({ code: 0, body: encodeTopicList({ topicList: [...topics.systemTopics], brokerAddr: brokerAddr() }) })
}
