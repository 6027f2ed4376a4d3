import { POP_ORDER_REVIVE_QUEUE, ResponseCode, formatMessageOffsets, formatStartOffsets } from '@skylarkmq/remoting/protocol'
import type { PopMessage, RequestOf, ResponseOf } from '@skylarkmq/remoting/protocol'
import type { Reply, RequestContext } from '@skylarkmq/remoting'
import { plain, refuse } from '../answers.ts'
import { LIMITS } from '../limits.ts'
import type { Throughput } from '../throughput.ts'
import { acceptFilter, acceptTarget, isRefusal } from './pop-checks.ts'
import type { PopCheckDeps, PopFilter, PopTarget } from './pop-checks.ts'
import { PopCollector, drive } from './pop-collector.ts'
import type { CollectDeps } from './pop-collector.ts'
import { replier } from './replier.ts'
import type { PopService } from './pop-service.ts'

export interface PopDeps extends PopCheckDeps, CollectDeps {
  readonly throughput: Throughput
  readonly pop: PopService
}

export type PopHeader = RequestOf<typeof PopMessage>
export type PopReply = Reply<ResponseOf<typeof PopMessage>>

const MAX_MESSAGES = 32
/** So much later than it was to be answered, nobody waits for it any more (RocketMQ 5.3 `PopMessageRequestHeader#isTimeoutTooMuch`). */
const TOO_LATE_MS = 500

/** A pop that has passed the checks. */
interface AcceptedPop {
  readonly header: PopHeader
  readonly target: PopTarget
  readonly filter: PopFilter
  readonly context: RequestContext
  /** It waits until then at the longest, by the monotonic clock. */
  readonly until: number
}

type Answer = PopReply | undefined | Promise<PopReply | undefined>

/** POP_MESSAGE. Undefined means: held; the answer leaves by the connection when there is one. */
export function popMessage(deps: PopDeps) {
  return (header: PopHeader, context: RequestContext): Answer => {
    const { clock } = deps
    const lateMs = clock.now() - (header.bornTime || clock.now())
    if (lateMs > header.pollTime + TOO_LATE_MS) {
      const { brokerIP1 } = deps.settings.current
      const refusal = refuse(
        'POLLING_TIMEOUT',
        `the broker[${plain(brokerIP1)}] pop message is timeout too much: it was made ${lateMs} ms ago by the client's clock, for ${header.pollTime} ms`,
      )
      return { ...refusal, header: emptyHeader(header) }
    }
    const wrong = checkNumbers(header)
    if (wrong !== undefined) return wrong
    const target = acceptTarget(deps, header, 'pop')
    if (isRefusal(target)) return target
    const filter = acceptFilter(deps, header)
    if (isRefusal(filter)) return filter
    const until = clock.monotonic() + Math.min(header.pollTime, LIMITS.holdMs)
    return look(deps, { header, target, filter, context, until }, false)
  }
}

function checkNumbers({ maxMsgNums, invisibleTime }: PopHeader) {
  if (maxMsgNums > MAX_MESSAGES)
    return refuse('INVALID_PARAMETER', `the pop message's num is greater than ${MAX_MESSAGES}: maxMsgNums=${maxMsgNums}`)
  if (invisibleTime >= 0 && invisibleTime <= LIMITS.popInvisibleMs) return undefined
  return refuse('INVALID_PARAMETER', `the invisibleTime is ${invisibleTime} ms; it must be from 0 to ${LIMITS.popInvisibleMs}`)
}

function look(deps: PopDeps, pop: AcceptedPop, isLastTime: boolean): Answer {
  const collector = new PopCollector(deps, deps.pop.table, pop.header, pop.target, pop.filter)
  const done = drive(collector.collect())
  return done instanceof Promise ? done.then(() => answer(deps, pop, collector, isLastTime)) : answer(deps, pop, collector, isLastTime)
}

function answer(deps: PopDeps, pop: AcceptedPop, collector: PopCollector, isLastTime: boolean): Answer {
  if (collector.count === 0) return nothing(deps, pop, collector, isLastTime)
  const { topic, consumerGroup, queueId, order } = pop.header
  deps.throughput.gets += collector.count
  deps.pop.planOrderWake(pop.header, collector.queues)
  if (collector.rest > 0 && order !== true) deps.clock.afterTurn(() => deps.pop.held.wake(topic, consumerGroup, queueId))
  return collector.logged().then((refused) => {
    if (refused === undefined) return found(pop.header, collector)
    const refusal = refuse('SERVICE_NOT_AVAILABLE', `the broker cannot note that these messages are in flight: ${refused}; pop again later`)
    return { ...refusal, header: emptyHeader(pop.header) }
  })
}

function found(header: PopHeader, collector: PopCollector): PopReply {
  const { popTime, queues, rest, orderCounts, bodies } = collector
  return {
    code: ResponseCode.SUCCESS,
    remark: 'FOUND',
    header: {
      ...emptyHeader(header, popTime, rest),
      startOffsetInfo: formatStartOffsets(queues),
      msgOffsetInfo: formatMessageOffsets(queues),
      orderCountInfo: header.order === true && orderCounts.length > 0 ? orderCounts.join(';') : undefined,
    },
    body: bodies,
  }
}

function nothing(deps: PopDeps, pop: AcceptedPop, collector: PopCollector, isLastTime: boolean): Answer {
  const { header, context, until } = pop
  const { clock, settings } = deps
  const isOver = isLastTime || context.isOneway || clock.monotonic() >= until
  const isMoreToScan = collector.hasSkipped && collector.rest > 0
  // Apache writes them empty.
  const infos = { startOffsetInfo: '', msgOffsetInfo: '' }
  const empty = { remark: 'NO_MESSAGE_IN_QUEUE', header: { ...emptyHeader(header, collector.popTime, collector.rest), ...infos } }
  if (isOver) return { ...empty, code: ResponseCode.POLLING_TIMEOUT }
  const later = replier(context, 'pop', (isLast) => look(deps, pop, isLast))
  if (isMoreToScan) {
    // A filter left out all that was looked at: go on, but others have their turn.
    clock.afterTurn(() => later(false))
    return undefined
  }
  const { topic, consumerGroup: group, queueId } = header
  const { popPollingSize: perQueue, maxPopPollingSize: all } = settings.current
  const held = { topic, group, queueId: Math.max(-1, queueId), connection: context.connection, until, look: later }
  return deps.pop.held.hold(held, { perQueue, all }) ? undefined : { ...empty, code: ResponseCode.POLLING_FULL }
}

/** Java clients fail without these, whatever the code. */
const emptyHeader = (header: PopHeader, popTime = 0, restNum = 0): ResponseOf<typeof PopMessage> => ({
  popTime,
  invisibleTime: header.invisibleTime,
  reviveQid: header.order === true ? POP_ORDER_REVIVE_QUEUE : 0,
  restNum,
})
