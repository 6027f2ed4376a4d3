import { ResponseCode, formatMessageOffsets, formatStartOffsets, popRetryTopicV1, popRetryTopicV2 } from '@skylarkmq/remoting/protocol'
import type { Notification, PeekMessage, PollingInfo, RequestOf, ResponseOf } from '@skylarkmq/remoting/protocol'
import type { PoppedQueue } from '@skylarkmq/remoting/protocol'
import type { Reply, RequestContext } from '@skylarkmq/remoting'
import { refuse } from '../answers.ts'
import { LIMITS } from '../limits.ts'
import { acceptTarget, isRefusal } from './pop-checks.ts'
import type { PopDeps } from './pop-message.ts'
import { replier } from './replier.ts'
import { queueOffsetsIn } from './retry-records.ts'

type NotificationHeader = RequestOf<typeof Notification>
type NotificationReply = Reply<ResponseOf<typeof Notification>>
type PeekReply = Reply<ResponseOf<typeof PeekMessage>>
type Wanted = Pick<NotificationHeader, 'consumerGroup' | 'topic' | 'queueId' | 'order' | 'attemptId'>

const MAX_MESSAGES = 32

/** NOTIFICATION: waits until a pop would find something (filters do not count). Undefined means: held. */
export function notification(deps: PopDeps) {
  return (header: NotificationHeader, context: RequestContext): NotificationReply | undefined => {
    const target = acceptTarget(deps, header, 'peeking')
    if (isRefusal(target)) return target
    const until = deps.clock.monotonic() + Math.min(header.pollTime, LIMITS.holdMs)
    return lookForAny(deps, header, context, until, false)
  }
}

function lookForAny(
  deps: PopDeps,
  header: NotificationHeader,
  context: RequestContext,
  until: number,
  isLastTime: boolean,
): NotificationReply | undefined {
  const hasMsg = queuesOf(deps, header).some((place) => isWaiting(deps, header, place))
  if (hasMsg || isLastTime || context.isOneway || deps.clock.monotonic() >= until) return { code: ResponseCode.SUCCESS, header: { hasMsg } }
  const { topic, consumerGroup: group, queueId } = header
  const { popPollingSize: perQueue, maxPopPollingSize: all } = deps.settings.current
  const look = replier(context, 'notification', (isLast) => lookForAny(deps, header, context, until, isLast))
  const held = { topic, group, queueId: Math.max(-1, queueId), connection: context.connection, until, look }
  if (deps.pop.notified.hold(held, { perQueue, all })) return undefined
  return { code: ResponseCode.SUCCESS, header: { hasMsg, pollingFull: true } }
}

interface Place {
  readonly topic: string
  readonly queueId: number
}

/** Where a pop would look: the topic's queues, and those of messages for another attempt. */
function queuesOf({ topics, settings }: PopDeps, { consumerGroup, topic, queueId, order }: Wanted): Place[] {
  const all = (name: string): Place[] =>
    Array.from({ length: topics.get(name)?.readQueueNums ?? 0 }, (_, id) => ({ topic: name, queueId: id }))
  const own = queueId >= 0 ? [{ topic, queueId }] : all(topic)
  if (order === true) return own
  const { enableRetryTopicV2, retrieveMessageFromPopRetryTopicV1 } = settings.current
  const v2 = enableRetryTopicV2 ? all(popRetryTopicV2(consumerGroup, topic)) : []
  const v1 = !enableRetryTopicV2 || retrieveMessageFromPopRetryTopicV1 ? all(popRetryTopicV1(consumerGroup, topic)) : []
  return [...own, ...v2, ...v1]
}

function positionOf({ pop, offsets, store }: PopDeps, { consumerGroup, order }: Wanted, { topic, queueId }: Place): number {
  const queue = pop.table.state.find(consumerGroup, topic, queueId)
  const committed = offsets.get(consumerGroup, topic, queueId)
  if (queue !== undefined && committed === queue.committed) return order === true ? queue.cursor : queue.position
  return committed ?? Math.max(0, store.minOffset(topic, queueId))
}

function isWaiting(deps: PopDeps, wanted: Wanted, place: Place): boolean {
  const batch = wanted.order === true ? deps.pop.table.state.find(wanted.consumerGroup, place.topic, place.queueId)?.order : undefined
  if (batch?.isBlocked(wanted.attemptId, deps.clock.now())) return false
  return deps.store.maxOffset(place.topic, place.queueId) > positionOf(deps, wanted, place)
}

/** PEEK_MESSAGE: what a pop would find, filters aside. Nothing changes. */
export function peekMessage(deps: PopDeps) {
  return async (header: RequestOf<typeof PeekMessage>): Promise<PeekReply> => {
    const target = acceptTarget(deps, header, 'peeking')
    if (isRefusal(target)) return target
    const { store, settings } = deps
    const maxBytes = settings.current.maxTransferBytesOnMessageInMemory
    const queues: PoppedQueue[] = []
    const bodies: Uint8Array[] = []
    let left = Math.max(1, Math.min(header.maxMsgNums, MAX_MESSAGES))
    let restNum = 0
    for (const place of queuesOf(deps, header)) {
      const offset = positionOf(deps, header, place)
      const max = store.maxOffset(place.topic, place.queueId)
      const result = left > 0 && offset < max ? await store.read({ ...place, offset, maxMessages: left, maxBytes }) : undefined
      if (result?.status === 'found') {
        queues.push({ ...place, startOffset: offset, offsets: queueOffsetsIn(result.body) })
        bodies.push(result.body)
        left -= result.messageCount
      }
      restNum += Math.max(0, max - offset)
    }
    const common = { popTime: 0, invisibleTime: 0, reviveQid: 0, restNum }
    // RocketMQ 5.3 `PeekMessageProcessor` answers nothing found with PULL_NOT_FOUND.
    if (bodies.length === 0) return { ...refuse('PULL_NOT_FOUND', 'NO_MESSAGE_IN_QUEUE'), header: common }
    return {
      code: ResponseCode.SUCCESS,
      remark: 'FOUND',
      header: { ...common, startOffsetInfo: formatStartOffsets(queues), msgOffsetInfo: formatMessageOffsets(queues) },
      body: bodies,
    }
  }
}

/** POLLING_INFO: for tools. */
export function pollingInfo(deps: PopDeps) {
  return (header: RequestOf<typeof PollingInfo>): Reply<ResponseOf<typeof PollingInfo>> => {
    const target = acceptTarget(deps, header, 'peeking')
    if (isRefusal(target)) return target
    const pollingNum = deps.pop.held.count(header.topic, header.consumerGroup, Math.max(-1, header.queueId))
    return { code: ResponseCode.SUCCESS, header: { pollingNum } }
  }
}
