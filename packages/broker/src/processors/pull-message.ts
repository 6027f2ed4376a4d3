import { PULL_FLAG, ResponseCode, isReadable } from '@skylarkmq/remoting/protocol'
import type { PullMessage, RequestOf, ResponseOf, SubscriptionGroupConfig, TopicConfig } from '@skylarkmq/remoting/protocol'
import type { Reply, RequestContext, ServerConnection } from '@skylarkmq/remoting'
import type { EntryFilter, MessageStore, ReadResult } from '@skylarkmq/store'
import { groupForbidden, groupMissing, plain, refuse, shown, topicMissing } from '../answers.ts'
import type { Refusal } from '../answers.ts'
import type { Settings } from '../config.ts'
import type { DeliveryJournal } from '../explain/delivery-journal.ts'
import type { SqlFilter } from '../filter/sql-filter.ts'
import type { ConsumerGroups } from '../groups/consumer-groups.ts'
import type { ForbiddenTopics } from '../groups/forbidden-topics.ts'
import type { GroupConfigs } from '../groups/group-configs.ts'
import { isTagExpression } from '../groups/subscriptions.ts'
import type { Compensations, FilterCache } from '../groups/subscriptions.ts'
import type { ConsumerOffsets } from '../offsets/consumer-offsets.ts'
import type { StalePositions } from '../offsets/stale-positions.ts'
import type { HeldPull, HeldPulls } from '../pull/held-pulls.ts'
import type { Throughput } from '../throughput.ts'
import type { TopicConfigs } from '../topics/topic-configs.ts'
import { badExpression, refusedExpression } from './expressions.ts'

type PullHeader = RequestOf<typeof PullMessage>
export type PullReply = Reply<ResponseOf<typeof PullMessage>>

export interface PullDeps {
  readonly store: MessageStore
  readonly topics: TopicConfigs
  readonly groupConfigs: GroupConfigs
  readonly forbidden: ForbiddenTopics
  readonly consumers: ConsumerGroups
  readonly compensations: Compensations
  readonly filters: FilterCache
  readonly offsets: ConsumerOffsets
  readonly stalePositions: StalePositions
  readonly heldPulls: HeldPulls
  readonly journal: DeliveryJournal
  readonly throughput: Throughput
  readonly settings: Settings
}

/** A pull that has passed the checks. */
interface AcceptedPull {
  readonly group: SubscriptionGroupConfig
  readonly topic: TopicConfig
  readonly filter: MessageFilter
}

/** By tags, by properties, or neither. */
interface MessageFilter {
  readonly filter?: EntryFilter | undefined
  readonly sql?: SqlFilter | undefined
}

const LITE_PULL = 361

/** PULL_MESSAGE and LITE_PULL_MESSAGE. Undefined means: held; the answer leaves by the connection when there is one. */
export function pullMessage(deps: PullDeps) {
  return (header: PullHeader, context: RequestContext): PullReply | undefined | Promise<PullReply | undefined> => {
    const pull = acceptPull(deps, header, context.frame.code)
    if (isRefused(pull)) return pull
    const { consumerGroup: group, topic, queueId } = header
    deps.offsets.pulled(group, topic, queueId, header.queueOffset)
    if ((header.sysFlag & PULL_FLAG.COMMIT_OFFSET) !== 0 && header.commitOffset >= 0) commit(deps, header, context.connection)
    deps.journal.pulled(group, topic, queueId, context.connection, holdTime(deps.settings, header))
    const reset = deps.offsets.takeReset(group, topic, queueId)
    // A consumer that is already there (it has just started) needs not be sent there.
    if (reset !== undefined) deps.stalePositions.knows(group, topic, queueId)
    if (reset !== undefined && reset !== header.queueOffset) return offsetMoved(deps, header, pull, reset, 'OFFSET_RESET')
    const end = deps.stalePositions.pulled(group, topic, queueId, header.queueOffset, context.connection)
    if (end !== undefined) return offsetMoved(deps, header, pull, end, 'OFFSET_OVERFLOW_BADLY')
    const result = read(deps, header, pull)
    return result instanceof Promise
      ? result.then((found) => holdOrCompose(deps, header, context, pull, found))
      : holdOrCompose(deps, header, context, pull, result)
  }
}

function commit({ offsets, stalePositions, journal }: PullDeps, header: PullHeader, connection: ServerConnection): void {
  const { consumerGroup: group, topic, queueId } = header
  const commitOffset = stalePositions.committable(group, topic, queueId, header.commitOffset, connection)
  if (offsets.commit(group, topic, queueId, commitOffset)) journal.committed(group, topic, queueId, commitOffset, connection.address)
}

/** A held pull's second and last look: whatever it finds is the answer. */
function pullAgain(deps: PullDeps, header: PullHeader, code: number, connection: ServerConnection): PullReply | Promise<PullReply> {
  const pull = acceptPull(deps, header, code)
  if (isRefused(pull)) return pull
  const reset = deps.offsets.takeReset(header.consumerGroup, header.topic, header.queueId)
  if (reset !== undefined) return offsetMoved(deps, header, pull, reset, 'OFFSET_RESET')
  const result = read(deps, header, pull)
  return result instanceof Promise
    ? result.then((found) => compose(deps, header, pull, found, connection))
    : compose(deps, header, pull, result, connection)
}

/** The checks of RocketMQ 5.3 `PullMessageProcessor#processRequest`, in its order. */
function acceptPull(deps: PullDeps, header: PullHeader, code: number): AcceptedPull | Refusal {
  const config = deps.settings.current
  const { consumerGroup, topic: topicName, queueId } = header
  if (!isReadable(config.brokerPermission)) {
    return refuse(
      'NO_PERMISSION',
      `the broker[${config.brokerIP1}] pulling message is forbidden: brokerPermission=${config.brokerPermission}`,
    )
  }
  if (code === LITE_PULL && !config.litePullMessageEnable) {
    return refuse('NO_PERMISSION', `the broker[${config.brokerIP1}] for lite pull consumer is forbidden: litePullMessageEnable=false`)
  }
  const group = deps.groupConfigs.findOrCreate(consumerGroup)
  if (group === undefined) return groupMissing(consumerGroup)
  if (!group.consumeEnable) {
    return refuse('NO_PERMISSION', `subscription group no permission, ${plain(consumerGroup)}: its setting consumeEnable is false`)
  }
  const topic = deps.topics.get(topicName)
  if (topic === undefined) return topicMissing(topicName)
  if (!isReadable(topic.perm)) {
    return refuse('NO_PERMISSION', `the topic[${plain(topicName)}] pulling message is forbidden: its perm is ${topic.perm}`)
  }
  if (queueId < 0 || queueId >= topic.readQueueNums) {
    return refuse(
      'INVALID_PARAMETER',
      `queueId[${queueId}] is illegal, topic:[${plain(topicName)}] has the read queues 0 to ${topic.readQueueNums - 1}`,
    )
  }
  if (!deps.forbidden.isReadable(consumerGroup, topicName)) return groupForbidden(consumerGroup, topicName)
  const subscription = subscriptionOf(deps, header, group)
  return isRefused(subscription) ? subscription : { group, topic, filter: subscription }
}

const isRefused = (value: object): value is Refusal => 'remark' in value

function subscriptionOf(deps: PullDeps, header: PullHeader, group: SubscriptionGroupConfig): MessageFilter | Refusal {
  if ((header.sysFlag & PULL_FLAG.SUBSCRIPTION) !== 0) {
    const refusal = refusedExpression(deps, header.expressionType)
    if (refusal !== undefined) return refusal
    const filter = isTagExpression(header.expressionType)
      ? { filter: deps.filters.tagFilterOf(header.subscription) }
      : deps.filters.sqlFilterOf(header.subscription ?? '')
    if ('fault' in filter) return badExpression(filter.fault)
    if (deps.consumers.get(header.consumerGroup) === undefined) deps.compensations.remember(header.consumerGroup, header.topic)
    return filter
  }
  const consumers = deps.consumers.get(header.consumerGroup)
  if (consumers === undefined) {
    return refuse(
      'SUBSCRIPTION_NOT_EXIST',
      `the consumer's group info not exist: no member of ${shown(header.consumerGroup)} has sent a heartbeat yet`,
    )
  }
  if (!group.consumeBroadcastEnable && consumers.messageModel === 'BROADCASTING') {
    return refuse(
      'NO_PERMISSION',
      `the consumer group[${plain(header.consumerGroup)}] can not consume by broadcast way: consumeBroadcastEnable is false`,
    )
  }
  const subscription = consumers.subscriptions.get(header.topic)
  if (subscription === undefined) {
    return refuse(
      'SUBSCRIPTION_NOT_EXIST',
      `the consumer's subscription not exist: group ${shown(header.consumerGroup)} has none for ${shown(header.topic)}`,
    )
  }
  if (subscription.data.subVersion < header.subVersion) {
    return refuse(
      'SUBSCRIPTION_NOT_LATEST',
      `the consumer's subscription not latest: the heartbeat told version ${subscription.data.subVersion}, the pull is of ${header.subVersion}`,
    )
  }
  if (subscription.fault !== undefined && deps.settings.current.enablePropertyFilter) return badExpression(subscription.fault)
  return refusedExpression(deps, subscription.data.expressionType) ?? subscription
}

function read(deps: PullDeps, header: PullHeader, pull: AcceptedPull): ReadResult | Promise<ReadResult> {
  const { maxTransferBytesOnMessageInMemory: maxBytes, maxTransferCountOnMessageInMemory: maxCount } = deps.settings.current
  const { filter, sql } = pull.filter
  return deps.store.read({
    topic: header.topic,
    queueId: header.queueId,
    offset: header.queueOffset,
    maxMessages: Math.max(1, Math.min(header.maxMsgNums, maxCount, sql?.scanEntries ?? maxCount)),
    maxBytes,
    entryFilter: filter,
    recordFilter: sql?.record,
    scanEntries: sql?.scanEntries,
    lendsBody: true,
    putsBody: true,
  })
}

function holdOrCompose(
  deps: PullDeps,
  header: PullHeader,
  context: RequestContext,
  pull: AcceptedPull,
  result: ReadResult,
): PullReply | undefined {
  const reply = compose(deps, header, pull, result, context.connection)
  if (reply.code !== ResponseCode.PULL_NOT_FOUND || context.isOneway) return reply
  const holdMs = holdTime(deps.settings, header)
  // What arrived while a read off the main thread was under way has woken nobody: the client pulls again.
  const isStale = deps.store.maxOffset(header.topic, header.queueId) > header.queueOffset
  if (holdMs <= 0 || isStale) return reply
  if (context.connection.isClosed) return undefined
  if (deps.heldPulls.hold(heldPull(deps, header, context, pull), holdMs)) return undefined
  return refuse(
    'POLLING_FULL',
    `too many pulls wait for messages of queue ${header.queueId} of topic ${shown(header.topic)}; pull again later`,
  )
}

function holdTime(settings: Settings, header: PullHeader): number {
  if ((header.sysFlag & PULL_FLAG.SUSPEND) === 0) return 0
  const { longPollingEnable, shortPollingTimeMills } = settings.current
  return longPollingEnable ? header.suspendTimeoutMillis : Math.min(header.suspendTimeoutMillis, shortPollingTimeMills)
}

function heldPull(deps: PullDeps, header: PullHeader, context: RequestContext, pull: AcceptedPull): HeldPull {
  const { connection, frame } = context
  // Only this much of the request is kept while it waits.
  const request = { opaque: frame.opaque, serializeType: frame.serializeType, code: frame.code, version: frame.version }
  const send = (reply: PullReply): void => connection.reply(request, reply)
  const fail = (error: unknown): void =>
    send(refuse('SYSTEM_ERROR', `the pull failed: ${error instanceof Error ? error.message : String(error)}; pull again`))
  const answer = (): void => {
    try {
      const reply = pullAgain(deps, header, request.code, connection)
      if (reply instanceof Promise) reply.then(send, fail)
      else send(reply)
    } catch (error) {
      fail(error)
    }
  }
  const { topic, queueId, queueOffset: offset } = header
  const { filter, sql } = pull.filter
  const unwantedUpTo = sql === undefined ? undefined : scanner(deps.store, topic, queueId, sql)
  return { topic, queueId, offset, filter, unwantedUpTo, connection, answer }
}

/** Looks at what has just arrived: it is in memory. */
function scanner(store: MessageStore, topic: string, queueId: number, sql: SqlFilter): (offset: number) => number | undefined {
  return (offset) => {
    const { record: recordFilter, scanEntries } = sql
    const found = store.read({ topic, queueId, offset, maxMessages: 1, maxBytes: 1, recordFilter, scanEntries })
    return !(found instanceof Promise) && found.status === 'no-matched-message' ? found.nextOffset : undefined
  }
}

/** The answer's header is complete whatever the code: Java clients fail without it. */
function compose(deps: PullDeps, header: PullHeader, pull: AcceptedPull, result: ReadResult, connection: ServerConnection): PullReply {
  deps.throughput.gets += result.messageCount
  const { consumerGroup, topic, queueId, queueOffset } = header
  const isEmptyQueue = result.status === 'no-matched-logic-queue' || result.status === 'no-message-in-queue'
  const answer = headerOf(pull, isEmptyQueue ? 0 : result.nextOffset, result.minOffset, result.maxOffset)
  const remark = REMARKS[result.status]
  if (result.status !== 'found') return { code: codeOf(result, header.queueOffset), remark, header: answer }
  deps.journal.delivered(consumerGroup, topic, queueId, queueOffset, result.nextOffset, connection)
  return { code: ResponseCode.SUCCESS, remark, header: answer, body: result.bodyToPut ?? result.body, release: result.release }
}

/** RocketMQ 5.3 `PullMessageProcessor#composeResponseHeader`. */
function codeOf({ status }: ReadResult, requestedOffset: number): number {
  switch (status) {
    case 'found':
      return ResponseCode.SUCCESS
    case 'no-matched-message':
    case 'message-was-removing':
      return ResponseCode.PULL_RETRY_IMMEDIATELY
    case 'no-matched-logic-queue':
    case 'no-message-in-queue':
      return requestedOffset === 0 ? ResponseCode.PULL_NOT_FOUND : ResponseCode.PULL_OFFSET_MOVED
    case 'offset-overflow-one':
      return ResponseCode.PULL_NOT_FOUND
    case 'offset-overflow-badly':
    case 'offset-too-small':
      return ResponseCode.PULL_OFFSET_MOVED
  }
}

/** The names of RocketMQ's `GetMessageStatus`: people look for them in logs. */
const REMARKS = {
  found: 'FOUND',
  'no-matched-message': 'NO_MATCHED_MESSAGE',
  'message-was-removing': 'MESSAGE_WAS_REMOVING',
  'no-matched-logic-queue': 'NO_MATCHED_LOGIC_QUEUE',
  'no-message-in-queue': 'NO_MESSAGE_IN_QUEUE',
  'offset-overflow-one': 'OFFSET_OVERFLOW_ONE',
  'offset-overflow-badly': 'OFFSET_OVERFLOW_BADLY',
  'offset-too-small': 'OFFSET_TOO_SMALL',
} as const satisfies Record<ReadResult['status'], string>

/** An operator has set the group's offset, or a crash has taken what the consumer had: it goes on from there. */
function offsetMoved(deps: PullDeps, header: PullHeader, pull: AcceptedPull, offset: number, remark: string): PullReply {
  const { topic, queueId } = header
  return {
    code: ResponseCode.PULL_OFFSET_MOVED,
    remark,
    header: headerOf(pull, offset, deps.store.minOffset(topic, queueId), deps.store.maxOffset(topic, queueId)),
  }
}

const headerOf = ({ group, topic }: AcceptedPull, nextBeginOffset: number, minOffset: number, maxOffset: number) => ({
  suggestWhichBrokerId: group.brokerId,
  nextBeginOffset,
  minOffset,
  maxOffset,
  topicSysFlag: topic.topicSysFlag,
  groupSysFlag: group.groupSysFlag,
})
