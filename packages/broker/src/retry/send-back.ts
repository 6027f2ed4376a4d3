import {
  PERM,
  PROPERTY,
  ResponseCode,
  SCHEDULE_TOPIC,
  decodeRecord,
  dlqTopic,
  formatProperties,
  hostToBytes,
  isWriteable,
  offsetMessageId,
  retryTopic,
} from '@skylarkmq/remoting/protocol'
import type { ConsumerSendMsgBack, RequestOf, StoredMessage, SubscriptionGroupConfig } from '@skylarkmq/remoting/protocol'
import type { Reply, RequestContext } from '@skylarkmq/remoting'
import type { Random } from '@skylarkmq/runtime'
import type { MessageStore, MessageToStore } from '@skylarkmq/store'
import { SUCCESS, groupMissing, plain, refuse } from '../answers.ts'
import type { Settings } from '../config.ts'
import type { GroupConfigs } from '../groups/group-configs.ts'
import { VERSION_WITH_MAX_RECONSUME_TIMES } from '../processors/send-checks.ts'
import { hostFlags, refusalOf } from '../processors/send-message.ts'
import type { TopicConfigs } from '../topics/topic-configs.ts'

type SendBackHeader = RequestOf<typeof ConsumerSendMsgBack>

export interface SendBackDeps {
  readonly store: MessageStore
  readonly topics: TopicConfigs
  readonly groupConfigs: GroupConfigs
  readonly settings: Settings
  readonly random: Random
  readonly storeHost: Uint8Array
  readonly delayLevelsMs: readonly number[]
}

/** The first retry comes after level 3: 10 s. */
const FIRST_RETRY_LEVEL = 3

/**
 * CONSUMER_SEND_MSG_BACK: a consumer failed at a message and wants it again later. It is stored anew, delayed, in the group's retry
 * topic, or in its dead-letter topic after the last attempt (RocketMQ 5.3 `AbstractSendMessageProcessor#consumerSendMsgBack`).
 */
export function consumerSendMsgBack(deps: SendBackDeps) {
  return (header: SendBackHeader, context: RequestContext): Reply<never> | Promise<Reply<never>> => {
    const group = deps.groupConfigs.findOrCreate(header.group)
    if (group === undefined) return groupMissing(header.group)
    const { brokerPermission, brokerIP1 } = deps.settings.current
    if ((brokerPermission & PERM.WRITE) === 0) {
      return refuse('NO_PERMISSION', `the broker[${brokerIP1}] sending message is forbidden: brokerPermission=${brokerPermission}`)
    }
    if (deps.store.refusal !== undefined)
      return refuse('SERVICE_NOT_AVAILABLE', `the broker does not accept messages: ${deps.store.refusal}`)
    if (group.retryQueueNums <= 0) return SUCCESS
    const retry = deps.topics.ensure(retryTopic(header.group), group.retryQueueNums, header.unitMode ? 2 : 0)
    if (!isWriteable(retry.perm))
      return refuse('NO_PERMISSION', `the topic[${plain(retry.topicName)}] sending message is forbidden: its perm is ${retry.perm}`)
    const original = messageAt(deps.store, header.offset)
    if (original === undefined) return refuse('SYSTEM_ERROR', `look message by offset failed, ${header.offset}: no message begins there`)
    const message = retried(deps, header, context.frame.version, group, original)
    return new Promise((resolve) => {
      deps.store.append(message, deps.settings.current.flushDiskType === 'SYNC_FLUSH', (result) => {
        // Stored but not yet on disk is stored: an error would make the consumer send it once more.
        resolve(refusalOf(result) ?? { code: ResponseCode.SUCCESS })
      })
    })
  }
}

function messageAt(store: MessageStore, physicalOffset: number): StoredMessage | undefined {
  const record = physicalOffset >= 0 ? store.readRecordAt(physicalOffset) : undefined
  return record === undefined ? undefined : decodeRecord(record, 0)
}

function retried(
  deps: SendBackDeps,
  header: SendBackHeader,
  version: number,
  group: SubscriptionGroupConfig,
  original: StoredMessage,
): MessageToStore {
  const properties = new Map(original.properties)
  if (!properties.has(PROPERTY.RETRY_TOPIC)) properties.set(PROPERTY.RETRY_TOPIC, original.topic)
  if (!properties.has(PROPERTY.ORIGIN_MESSAGE_ID)) {
    properties.set(PROPERTY.ORIGIN_MESSAGE_ID, offsetMessageId(original.storeHostBytes, original.physicalOffset))
  }
  properties.set(PROPERTY.WAIT, 'false')
  const target = targetOf(deps, header, version, group, original.reconsumeTimes, properties)
  const bornHost = hostToBytes(original.bornHost, original.bornPort)
  return {
    ...target,
    flag: original.flag,
    sysFlag: (original.sysFlag & ~0x30) | hostFlags(bornHost, deps.storeHost),
    bornTimestamp: original.bornTimestamp,
    bornHost,
    storeHost: deps.storeHost,
    reconsumeTimes: original.reconsumeTimes + 1,
    preparedTransactionOffset: 0,
    body: original.body,
    properties: Buffer.from(formatProperties(properties)),
  }
}

/** Chooses topic and queue, and sets the properties that go with them. */
function targetOf(
  deps: SendBackDeps,
  header: SendBackHeader,
  version: number,
  group: SubscriptionGroupConfig,
  reconsumeTimes: number,
  properties: Map<string, string>,
): { topic: string; queueId: number } {
  const isTold = header.maxReconsumeTimes !== undefined && version >= VERSION_WITH_MAX_RECONSUME_TIMES
  const max = isTold ? (header.maxReconsumeTimes as number) : group.retryMaxTimes
  if (reconsumeTimes >= max || header.delayLevel < 0) {
    properties.set(PROPERTY.DELAY, '0')
    return { topic: deps.topics.ensure(dlqTopic(header.group), 1).topicName, queueId: 0 }
  }
  const level = Math.min(header.delayLevel === 0 ? FIRST_RETRY_LEVEL + reconsumeTimes : header.delayLevel, deps.delayLevelsMs.length)
  properties.set(PROPERTY.DELAY, String(level))
  properties.set(PROPERTY.REAL_TOPIC, retryTopic(header.group))
  properties.set(PROPERTY.REAL_QID, String(deps.random.integer(group.retryQueueNums)))
  return { topic: SCHEDULE_TOPIC, queueId: level - 1 }
}
