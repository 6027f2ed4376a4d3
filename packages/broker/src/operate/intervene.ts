import { HALF_TOPIC, decodeRecord, encodeJson, parseOffsetMessageId } from '@skylarkmq/remoting/protocol'
import type {
  QueryCorrectionOffset,
  QuerySubscriptionByConsumer,
  RequestOf,
  ResumeCheckHalfMessage,
  UpdateAndGetGroupForbidden,
} from '@skylarkmq/remoting/protocol'
import type { Reply } from '@skylarkmq/remoting'
import type { MessageStore, MetadataStore } from '@skylarkmq/store'
import { groupMissing, plain, refuse, topicMissing } from '../answers.ts'
import type { ConsumerGroups } from '../groups/consumer-groups.ts'
import type { ForbiddenTopics } from '../groups/forbidden-topics.ts'
import type { GroupConfigs } from '../groups/group-configs.ts'
import type { ConsumerOffsets } from '../offsets/consumer-offsets.ts'
import { requestModes } from '../pop/query-assignment.ts'
import type { TopicConfigs } from '../topics/topic-configs.ts'
import type { TransactionService } from '../transaction/transaction-service.ts'

export interface InterveneDeps {
  readonly store: MessageStore
  readonly metadata: MetadataStore
  readonly topics: TopicConfigs
  readonly groupConfigs: GroupConfigs
  readonly forbidden: ForbiddenTopics
  readonly consumers: ConsumerGroups
  readonly offsets: ConsumerOffsets
  readonly transactions: TransactionService
}

/** Java's Long.MAX_VALUE: nothing is to be corrected. */
const NOTHING_TO_CORRECT = 9_223_372_036_854_775_807n

/**
 * QUERY_CORRECTION_OFFSET (RocketMQ 5.3 `AdminBrokerProcessor#queryCorrectionOffset`). Apache's broker forgets the offsets of the groups
 * in `filterGroups`; here they only do not count.
 */
export function queryCorrectionOffset({ topics, groupConfigs, offsets, store }: InterveneDeps) {
  return ({ topic, compareGroup, filterGroups }: RequestOf<typeof QueryCorrectionOffset>): Reply<never> => {
    const config = topics.get(topic)
    if (config === undefined) return topicMissing(topic)
    if (groupConfigs.get(compareGroup) === undefined) return groupMissing(compareGroup)
    const leftOut = new Set((filterGroups ?? '').split(','))
    const groups = offsets.groupsOf(topic).filter((group) => !leftOut.has(group))
    const correctionOffsets = new Map<number, number | bigint>()
    for (let queueId = 0; queueId < Math.max(config.readQueueNums, config.writeQueueNums); queueId++) {
      const min = store.minOffset(topic, queueId)
      const committed = groups.flatMap((group) => offsets.get(group, topic, queueId) ?? []).filter((offset) => offset >= min)
      if (committed.length === 0) continue
      const slowest = Math.min(...committed)
      const compared = offsets.get(compareGroup, topic, queueId)
      correctionOffsets.set(queueId, compared !== undefined && slowest > compared ? NOTHING_TO_CORRECT : slowest)
    }
    return { code: 0, body: encodeJson({ correctionOffsets }) }
  }
}

/** UPDATE_AND_GET_GROUP_FORBIDDEN. */
export function groupForbiddenFor({ topics, groupConfigs, forbidden }: InterveneDeps) {
  return ({ group, topic, readable }: RequestOf<typeof UpdateAndGetGroupForbidden>): Reply<never> => {
    if (readable !== undefined) {
      if (groupConfigs.get(group) === undefined) return groupMissing(group)
      if (topics.get(topic) === undefined) return topicMissing(topic)
      forbidden.setReadable(group, topic, readable)
    }
    return { code: 0, remark: '', body: encodeJson({ group, topic, readable: forbidden.isReadable(group, topic) }) }
  }
}

/** QUERY_SUBSCRIPTION_BY_CONSUMER: of the members that are there. */
export function querySubscription({ consumers }: InterveneDeps) {
  return ({ group, topic }: RequestOf<typeof QuerySubscriptionByConsumer>): Reply<never> => {
    const subscriptionData = consumers.subscription(group, topic)?.data
    return { code: 0, body: encodeJson({ group, topic, subscriptionData }) }
  }
}

/** GET_ALL_MESSAGE_REQUEST_MODE: what Apache's `messageRequestMode.json` holds. */
export function getRequestModes({ metadata }: InterveneDeps) {
  return (): Reply<never> => {
    const messageRequestModeMap: Record<string, Record<string, object>> = {}
    for (const mode of requestModes(metadata)) (messageRequestModeMap[mode.topic] ??= {})[mode.consumerGroup] = mode
    return { code: 0, body: encodeJson({ messageRequestModeMap }) }
  }
}

/** RESUME_CHECK_HALF_MESSAGE. */
export function resumeHalfMessage({ store, transactions }: InterveneDeps) {
  return async ({ msgId }: RequestOf<typeof ResumeCheckHalfMessage>): Promise<Reply<never>> => {
    const at = parseOffsetMessageId(msgId)?.physicalOffset
    const record = at === undefined ? undefined : store.readRecordAt(at)
    const message = record === undefined ? undefined : decodeRecord(record)
    if (message !== undefined) return transactions.resume(message)
    const why =
      at === undefined ? 'is no offset message id (32 hexadecimal digits, as queryMsgById prints it)' : 'names no message that is held'
    return refuse('SYSTEM_ERROR', `Exception was thrown when putting message back to ${HALF_TOPIC}. ${plain(msgId)} ${why}`)
  }
}
