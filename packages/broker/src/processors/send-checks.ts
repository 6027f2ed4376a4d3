import {
  PERM,
  PROPERTIES_MAX_BYTES,
  PROPERTY,
  SYS_FLAG,
  checkGroupName,
  checkTopicName,
  dlqTopic,
  groupOfRetryTopic,
  isSendForbidden,
} from '@skylarkmq/remoting/protocol'
import type { RequestOf, SendMessage, TopicConfig } from '@skylarkmq/remoting/protocol'
import { groupMissing, plain, refuse, shown } from '../answers.ts'
import type { Refusal } from '../answers.ts'
import type { Settings } from '../config.ts'
import type { GroupConfigs } from '../groups/group-configs.ts'
import type { QueueLocks } from '../groups/queue-locks.ts'
import { POP_LOG_TOPIC } from '../pop/pop-topic.ts'
import { TIMER_TOPIC } from '../timer/timer-request.ts'
import type { TopicConfigs } from '../topics/topic-configs.ts'

/** V1 and V2 have the same property names. */
export type SendHeader = RequestOf<typeof SendMessage>

/**
 * Flags that a producer may set: compression, multiple tags. Transaction bits would hide a message from its queue, host bits change the
 * layout of the record, batch bits make consumers unwrap the body: the broker alone sets those.
 */
export const ALLOWED_SYS_FLAG = SYS_FLAG.COMPRESSED | SYS_FLAG.MULTI_TAGS | SYS_FLAG.COMPRESSION_MASK

/** What is set by the broker only: a producer that sends it (mostly by re-sending what it consumed) did not mean it. */
export const STRIPPED_PROPERTIES = [
  PROPERTY.POP_CK,
  PROPERTY.INNER_NUM,
  PROPERTY.INNER_BASE,
  PROPERTY.INNER_MULTI_QUEUE_OFFSET,
  PROPERTY.TRAN_PREPARED_QUEUE_OFFSET,
  PROPERTY.TRANSACTION_CHECK_TIMES,
  PROPERTY.TIMER_OUT_MS,
  PROPERTY.TIMER_ENQUEUE_MS,
  PROPERTY.TIMER_DEQUEUE_MS,
  PROPERTY.TIMER_ROLL_TIMES,
] as const

/** Topics that only the broker writes: Apache's list, and those with state of its own (timers, acknowledgements of POP). */
export const isClosedToSends = (topic: string): boolean =>
  isSendForbidden(topic) || topic === TIMER_TOPIC || topic === POP_LOG_TOPIC || topic.startsWith('rmq_sys_REVIVE_LOG_')

export interface SendTopicDeps {
  readonly topics: TopicConfigs
  readonly settings: Settings
}

/** What the body and properties of a send must hold. Sizes as they travel. */
export function checkSend(
  topic: string,
  bodyBytes: number,
  propertiesBytes: number,
  maxMessageSize: number,
  mayBeEmpty = false,
): Refusal | undefined {
  if (bodyBytes === 0 && !mayBeEmpty)
    return refuse('MESSAGE_ILLEGAL', `the message body of a send to topic ${shown(topic)} is empty; send at least one byte`)
  if (bodyBytes > maxMessageSize) {
    return refuse(
      'MESSAGE_ILLEGAL',
      `the message body has ${bodyBytes} bytes, more than maxMessageSize=${maxMessageSize}; send less or raise it`,
    )
  }
  if (propertiesBytes > PROPERTIES_MAX_BYTES) {
    return refuse('MESSAGE_ILLEGAL', `the message properties have ${propertiesBytes} bytes; at most ${PROPERTIES_MAX_BYTES} are allowed`)
  }
  return undefined
}

/** The topic of a send, in the order of RocketMQ 5.3 `AbstractSendMessageProcessor#msgCheck`; created when missing and permitted. */
export function resolveTopicForSend(header: SendHeader, { topics, settings }: SendTopicDeps): TopicConfig | Refusal {
  const { topic, queueId } = header
  // A topic that is there has a sound name; only the others need the regular expression.
  let config = topics.get(topic)
  if (config === undefined) {
    const wrong = checkTopicName(topic)
    if (wrong !== undefined) return refuse('INVALID_PARAMETER', wrong)
  }
  if (isClosedToSends(topic))
    return refuse(
      'NO_PERMISSION',
      `Sending message to topic[${plain(topic)}] is forbidden. It belongs to the system; send to a topic of your own`,
    )
  const { current } = settings
  if ((current.brokerPermission & PERM.WRITE) === 0 && (config?.order ?? false)) {
    return refuse(
      'NO_PERMISSION',
      `the broker is not writable (brokerPermission=${current.brokerPermission}) and topic ${shown(topic)} is ordered`,
    )
  }
  config ??= createForSend(header, topics, current.autoCreateTopicEnable)
  if (config === undefined) return topicNotCreated(header, current.autoCreateTopicEnable)
  const queues = Math.max(config.writeQueueNums, config.readQueueNums)
  if (queueId >= queues) {
    return refuse('INVALID_PARAMETER', `request queueId[${queueId}] is illegal, topic ${shown(topic)} has the queues 0 to ${queues - 1}`)
  }
  return config
}

function createForSend(header: SendHeader, topics: TopicConfigs, isAutoCreate: boolean): TopicConfig | undefined {
  const sysFlag = header.unitMode ? 1 : 0
  const retryGroup = groupOfRetryTopic(header.topic)
  if (retryGroup !== undefined) return checkGroupName(retryGroup) === undefined ? topics.ensure(header.topic, 1, sysFlag << 1) : undefined
  return isAutoCreate ? topics.createFromDefault(header.topic, header.defaultTopic, header.defaultTopicQueueNums, sysFlag) : undefined
}

function topicNotCreated(header: SendHeader, isAutoCreate: boolean): Refusal {
  const why = isAutoCreate
    ? `the default topic ${shown(header.defaultTopic || 'TBW102')} cannot be copied from`
    : 'autoCreateTopicEnable=false'
  return refuse(
    'TOPIC_NOT_EXIST',
    `topic[${plain(header.topic)}] not exist, apply first please! It is not created by a send (${why}): mqadmin updateTopic -t NAME -c CLUSTER`,
  )
}

export interface RetryDeps {
  readonly topics: TopicConfigs
  readonly groups: GroupConfigs
  readonly locks: QueueLocks
}

/** RocketMQ 5.3 `SendMessageProcessor#handleRetryAndDLQ`; versions before V3_4_9 did not send maxReconsumeTimes. */
export const VERSION_WITH_MAX_RECONSUME_TIMES = 121

/**
 * A consumer sends a message to its retry topic itself: after a failed send-back, and when it consumes in order. Past the group's
 * attempts, or while the group consumes in order (it holds locks), the message goes to the dead-letter topic.
 */
export function resolveRetry(header: SendHeader, version: number, { topics, groups, locks }: RetryDeps): TopicConfig | Refusal | undefined {
  const group = groupOfRetryTopic(header.topic)
  if (group === undefined) return undefined
  const config = groups.findOrCreate(group)
  if (config === undefined) return groupMissing(group)
  const isTold = header.maxReconsumeTimes !== undefined && version >= VERSION_WITH_MAX_RECONSUME_TIMES
  const max = isTold ? (header.maxReconsumeTimes as number) : config.retryMaxTimes
  if ((header.reconsumeTimes ?? 0) <= max && !locks.isHeldByAny(group)) return undefined
  return topics.ensure(dlqTopic(group), 1)
}

export const isRefusal = (value: object): value is Refusal => 'remark' in value
