import { PERM, PROPERTY, formatProperties } from '@skylarkmq/remoting/protocol'
import type { RecallMessage, RequestOf, ResponseOf } from '@skylarkmq/remoting/protocol'
import type { Reply, RequestContext } from '@skylarkmq/remoting'
import type { AppendResult, MessageToStore } from '@skylarkmq/store'
import { plain, refuse, shown } from '../answers.ts'
import type { Refusal } from '../answers.ts'
import { hasMessage } from '../delay/find-delivery.ts'
import { parseRecallHandle } from '../timer/recall-handle.ts'
import type { RecallHandle } from '../timer/recall-handle.ts'
import { TIMER_QUEUE, TIMER_TOPIC, slotEnd, slotOf } from '../timer/timer-request.ts'
import type { TimerService } from '../timer/timer-service.ts'
import { isRefusal } from './send-checks.ts'
import { bornHostOf, hostFlags, isSync, refusalOf, stampProperties } from './send-message.ts'
import type { SendDeps } from './send-message.ts'

type RecallReply = Reply<ResponseOf<typeof RecallMessage>>

export interface RecallDeps extends SendDeps {
  readonly timers: TimerService
}

/** RocketMQ 5.3 `RecallMessageProcessor`. */
const RECALL_TAG = '_RECALL_TAG_'

/**
 * RECALL_MESSAGE: a message that waits for its time is not delivered. The recall is stored as Apache stores it, so that it lasts, and
 * takes effect before the answer leaves: unlike Apache's, success means that the message will not come.
 */
export function recallMessage(deps: RecallDeps) {
  return async (header: RequestOf<typeof RecallMessage>, context: RequestContext): Promise<RecallReply> => {
    const reply = await recall(deps, header, context)
    // Java clients trace recalls only when the answer names the region (RocketMQ 5.4 `RecallMessageProcessor`).
    return { ...reply, ext: { MSG_REGION: deps.settings.current.regionId } }
  }
}

async function recall(deps: RecallDeps, header: RequestOf<typeof RecallMessage>, context: RequestContext): Promise<RecallReply> {
  const handle = accept(deps, header)
  if (isRefusal(handle)) return handle
  const outMs = slotOf(handle.timeMs)
  const tooLate = refuse(
    'ILLEGAL_OPERATION',
    `recall failed, timestamp invalid: the time of message ${shown(handle.uniqKey)}, ${new Date(outMs).toISOString()}, has come; it is delivered or was recalled before`,
  )
  if (deps.clock.now() >= slotEnd(outMs)) return tooLate
  const { result, recalled } = await store(deps, recordOf(deps, context, handle, outMs))
  const refusal = refusalOf(result)
  if (refusal !== undefined) return refusal
  const count = await recalled
  if (count === undefined) {
    return refuse(
      'SYSTEM_ERROR',
      `recall failed, execute error: the recall of ${shown(handle.uniqKey)} is stored and takes effect unless its time comes first, but whether it did cannot be said; ask again`,
    )
  }
  // Nothing waits under this handle, and nothing came: it was recalled before, perhaps by a client that missed the answer.
  if (count === 0 && isDelivered(deps, handle, outMs)) return tooLate
  return { code: 0, header: { msgId: handle.uniqKey } }
}

/** The checks and remarks of RocketMQ 5.3, in its order. */
function accept(deps: RecallDeps, header: RequestOf<typeof RecallMessage>): RecallHandle | Refusal {
  const { settings, topics } = deps
  const config = settings.current
  if (!config.recallMessageEnable) {
    return refuse('NO_PERMISSION', 'recall failed, operation is forbidden: recallMessageEnable=false; an operator can set it')
  }
  const { refusal } = deps.store
  if (refusal !== undefined) return refuse('SERVICE_NOT_AVAILABLE', `recall failed, broker service not available: ${refusal}`)
  if ((config.brokerPermission & PERM.WRITE) === 0) {
    return refuse(
      'SERVICE_NOT_AVAILABLE',
      `recall failed, broker service not available: brokerPermission=${config.brokerPermission}; an operator can give it back`,
    )
  }
  if (topics.get(header.topic) === undefined)
    return refuse(
      'TOPIC_NOT_EXIST',
      `recall failed, the topic[${plain(header.topic)}] not exist; name the one that the message was sent to`,
    )
  const handle = parseRecallHandle(header.recallHandle)
  if (isRefusal(handle)) return handle
  if (handle.topic !== header.topic) {
    return refuse(
      'ILLEGAL_OPERATION',
      `recall failed, topic not match: the handle is of topic ${shown(handle.topic)}, the request of ${shown(header.topic)}`,
    )
  }
  if (handle.brokerName !== config.brokerName) {
    return refuse(
      'ILLEGAL_OPERATION',
      `recall failed, broker service not available: the handle is of broker ${shown(handle.brokerName)}, this is ${shown(config.brokerName)}`,
    )
  }
  return handle
}

function recordOf(deps: RecallDeps, context: RequestContext, handle: RecallHandle, outMs: number): MessageToStore {
  const bornHost = bornHostOf(context.connection)
  const properties = new Map([
    [PROPERTY.TAGS, RECALL_TAG],
    [PROPERTY.TIMER_DEL_UNIQKEY, handle.uniqKey],
    [PROPERTY.UNIQ_KEY, handle.uniqKey],
    [PROPERTY.TIMER_DELIVER_MS, String(handle.timeMs)],
    [PROPERTY.TIMER_OUT_MS, String(outMs)],
    [PROPERTY.REAL_TOPIC, handle.topic],
    [PROPERTY.REAL_QID, '0'],
  ] as [string, string][])
  stampProperties(deps, properties)
  return {
    topic: TIMER_TOPIC,
    queueId: TIMER_QUEUE,
    flag: 0,
    sysFlag: hostFlags(bornHost, deps.storeHost),
    bornTimestamp: deps.clock.now(),
    bornHost,
    storeHost: deps.storeHost,
    reconsumeTimes: 0,
    preparedTransactionOffset: 0,
    body: Buffer.from('0'),
    properties: Buffer.from(formatProperties(properties)),
  }
}

const isDelivered = ({ store }: RecallDeps, { topic, uniqKey }: RecallHandle, outMs: number): boolean =>
  hasMessage(store, topic, uniqKey, ({ properties }) => properties.get(PROPERTY.TIMER_OUT_MS) === String(outMs))

/** The wait for its effect begins in the moment when it is stored. */
function store(deps: RecallDeps, message: MessageToStore): Promise<{ result: AppendResult; recalled: Promise<number | undefined> }> {
  return new Promise((resolve) => {
    deps.store.append(message, isSync(deps), (result) => {
      const isStored = refusalOf(result) === undefined
      resolve({ result, recalled: isStored ? deps.timers.recalled(result.queueOffset) : Promise.resolve(undefined) })
    })
  })
}
