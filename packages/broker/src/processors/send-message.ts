import {
  HALF_TOPIC,
  PROPERTY,
  SCHEDULE_TOPIC,
  formatProperties,
  hostToBytes,
  offsetMessageIds,
  parseProperties,
} from '@skylarkmq/remoting/protocol'
import type { ResponseOf, SendMessage, TopicConfig } from '@skylarkmq/remoting/protocol'
import type { Reply, RequestContext, ServerConnection } from '@skylarkmq/remoting'
import type { Clock, Random } from '@skylarkmq/runtime'
import type { AppendResult, MessageStore, MessageToStore } from '@skylarkmq/store'
import { refuse, shown } from '../answers.ts'
import type { Refusal } from '../answers.ts'
import { delayLevelOf } from '../delay/delay-levels.ts'
import { queueByPriority } from '../pop/priority.ts'
import { recallHandleOf } from '../timer/recall-handle.ts'
import { OUT_PROPERTY_BYTES, ROLL_PROPERTY_BYTES, TIMER_QUEUE, TIMER_REQUESTS, TIMER_TOPIC, scheduleOf } from '../timer/timer-request.ts'
import { isCompacted, refuseWithoutKey } from '../topics/topic-attributes.ts'
import { ALLOWED_SYS_FLAG, STRIPPED_PROPERTIES, checkSend, isRefusal, resolveRetry, resolveTopicForSend } from './send-checks.ts'
import type { RetryDeps, SendHeader, SendTopicDeps } from './send-checks.ts'

export type SendReply = Reply<ResponseOf<typeof SendMessage>>

export interface SendDeps extends SendTopicDeps, RetryDeps {
  readonly store: MessageStore
  readonly clock: Clock
  readonly random: Random
  readonly uniqueId: () => string
  /** The advertised address, as records hold it. */
  readonly storeHost: Uint8Array
  readonly delayLevelsMs: readonly number[]
}

/** What a send becomes: where it is written and with which properties. */
export interface ResolvedSend {
  readonly topic: string
  readonly queueId: number
  readonly properties: Map<string, string>
  /** The queue that the answer names: of a half message the one asked for. */
  readonly answeredQueueId: number
}

/** SEND_MESSAGE and SEND_MESSAGE_V2 of one message. The body is used up before it returns. */
export function sendMessage(deps: SendDeps) {
  return (header: SendHeader, context: RequestContext): SendReply | Promise<SendReply> => {
    const topic = acceptTopic(deps, header, context.frame.version)
    if (isRefusal(topic)) return topic
    const { maxMessageSize } = deps.settings.current
    // An empty message deletes its key.
    const mayBeEmpty = isCompacted(topic)
    const wrong = checkSend(header.topic, context.body.length, byteLength(header.properties), maxMessageSize, mayBeEmpty)
    if (wrong !== undefined) return wrong
    const resolved = resolveSend(deps, header, topic)
    if (isRefusal(resolved)) return resolved
    const { properties } = resolved
    const message = messageOf(deps, header, context.connection, resolved, context.body)
    const propertiesBytes = message.properties.length + timerRoomBytes(resolved)
    const tooLong = checkSend(resolved.topic, context.body.length, propertiesBytes, maxMessageSize, mayBeEmpty)
    if (tooLong !== undefined) return tooLong
    const waits = properties.get(PROPERTY.WAIT) !== 'false'
    return new Promise((resolve) => {
      deps.store.append(message, waits && isSync(deps), (result) =>
        resolve(answer(deps, result, resolved.answeredQueueId, properties.get(PROPERTY.UNIQ_KEY), recallHandleOf(deps, resolved))),
      )
    })
  }
}

export const isSync = (deps: SendTopicDeps): boolean => deps.settings.current.flushDiskType === 'SYNC_FLUSH'

const byteLength = (text: string | undefined): number => (text === undefined ? 0 : Buffer.byteLength(text))

/** The checks that precede everything else: the store accepts, the topic is one to send to. Retries past their limit change topic. */
export function acceptTopic(deps: SendDeps, header: SendHeader, version: number): TopicConfig | Refusal {
  const { refusal } = deps.store
  if (refusal !== undefined) return refuse('SERVICE_NOT_AVAILABLE', `the broker does not accept messages: ${refusal}`)
  const topic = resolveTopicForSend(header, deps)
  if (isRefusal(topic)) return topic
  return resolveRetry(header, version, deps) ?? topic
}

/** Where the message is really written: delayed ones to the schedule topic, half messages to the half topic. */
export function resolveSend(deps: SendDeps, header: SendHeader, topic: TopicConfig): ResolvedSend | Refusal {
  const properties = parseProperties(header.properties ?? '')
  const isDeadLetter = topic.topicName !== header.topic
  const anyQueueId = isDeadLetter || header.queueId < 0 ? deps.random.integer(Math.max(1, topic.writeQueueNums)) : header.queueId
  const queueId = isDeadLetter ? anyQueueId : queueByPriority(properties, anyQueueId, topic.writeQueueNums)
  // One that was delivered at its time and is sent on: not to be delayed again.
  if (properties.has(PROPERTY.TIMER_OUT_MS) || isDeadLetter) for (const name of TIMER_REQUESTS) properties.delete(name)
  for (const name of STRIPPED_PROPERTIES) properties.delete(name)
  const keyless = refuseWithoutKey(topic, properties.get(PROPERTY.KEYS))
  if (keyless !== undefined) return keyless
  stampProperties(deps, properties)
  if (isDeadLetter) properties.set(PROPERTY.DELAY, '-1')
  const level = delayLevelOf(properties.get(PROPERTY.DELAY), deps.delayLevelsMs.length)
  if (level === undefined) {
    return refuse(
      'MESSAGE_ILLEGAL',
      `the message property DELAY is ${shown(properties.get(PROPERTY.DELAY) as string)}; it must be a whole number`,
    )
  }
  if (properties.get(PROPERTY.TRAN_MSG)?.toLowerCase() === 'true' && !isDelayedRetry(header, level)) {
    return toHalfTopic(deps, topic.topicName, queueId, properties)
  }
  if (level === 0) return toTimerTopic(deps, topic.topicName, queueId, properties)
  for (const name of TIMER_REQUESTS) properties.delete(name)
  properties.set(PROPERTY.DELAY, String(level))
  setReal(properties, topic.topicName, queueId)
  return { topic: SCHEDULE_TOPIC, queueId: level - 1, properties, answeredQueueId: queueId }
}

const isDelayedRetry = (header: SendHeader, level: number): boolean => (header.reconsumeTimes ?? 0) > 0 && level > 0

/** RocketMQ 5.3 `SendMessageProcessor#sendMessage`: it is the property that makes a half message, not sysFlag. */
function toHalfTopic(deps: SendDeps, topic: string, queueId: number, properties: Map<string, string>): ResolvedSend | Refusal {
  if (deps.settings.current.rejectTransactionMessage) {
    return refuse(
      'NO_PERMISSION',
      `the broker [${deps.settings.current.brokerIP1}] sending transaction message is forbidden: rejectTransactionMessage=true`,
    )
  }
  // A time of its own counts from the commit; one that is refused then would be too late.
  const schedule = scheduleOf(properties, deps.clock.now(), deps.settings.current)
  if (schedule !== undefined && isRefusal(schedule)) return schedule
  properties.delete(PROPERTY.DELAY)
  setReal(properties, topic, queueId)
  return { topic: HALF_TOPIC, queueId: 0, properties, answeredQueueId: queueId }
}

/** A message that asks for a time of its own waits in the timer topic; one whose time has come does not. */
function toTimerTopic(deps: SendDeps, topic: string, queueId: number, properties: Map<string, string>): ResolvedSend | Refusal {
  const schedule = scheduleOf(properties, deps.clock.now(), deps.settings.current)
  if (schedule === undefined) return { topic, queueId, properties, answeredQueueId: queueId }
  if (isRefusal(schedule)) return schedule
  properties.set(PROPERTY.TIMER_OUT_MS, String(schedule.outMs))
  setReal(properties, topic, queueId)
  return { topic: TIMER_TOPIC, queueId: TIMER_QUEUE, properties, answeredQueueId: queueId }
}

function setReal(properties: Map<string, string>, topic: string, queueId: number): void {
  properties.set(PROPERTY.REAL_TOPIC, topic)
  properties.set(PROPERTY.REAL_QID, String(queueId))
}

/** What the broker may have to add to the properties of a message that asks for a time of its own. */
function timerRoomBytes({ topic, properties }: ResolvedSend): number {
  if (topic === TIMER_TOPIC) return ROLL_PROPERTY_BYTES
  return topic === HALF_TOPIC && TIMER_REQUESTS.some((name) => properties.has(name)) ? ROLL_PROPERTY_BYTES + OUT_PROPERTY_BYTES : 0
}

/** What the broker says of every message (RocketMQ 5.3 `SendMessageProcessor#preSend`): replies need CLUSTER, tracing the rest. */
export function stampProperties(deps: Pick<SendDeps, 'settings' | 'uniqueId'>, properties: Map<string, string>): void {
  const config = deps.settings.current
  if (!properties.has(PROPERTY.UNIQ_KEY)) properties.set(PROPERTY.UNIQ_KEY, deps.uniqueId())
  properties.set(PROPERTY.CLUSTER, config.brokerClusterName)
  properties.set(PROPERTY.MSG_REGION, config.regionId)
  properties.set(PROPERTY.TRACE_ON, String(config.traceOn))
}

export function messageOf(
  deps: SendDeps,
  header: SendHeader,
  connection: ServerConnection,
  target: Pick<ResolvedSend, 'topic' | 'queueId' | 'properties'>,
  body: Uint8Array,
): MessageToStore {
  const bornHost = bornHostOf(connection)
  return {
    topic: target.topic,
    queueId: target.queueId,
    flag: header.flag,
    sysFlag: (header.sysFlag & ALLOWED_SYS_FLAG) | hostFlags(bornHost, deps.storeHost),
    bornTimestamp: header.bornTimestamp,
    bornHost,
    storeHost: deps.storeHost,
    reconsumeTimes: Math.max(0, header.reconsumeTimes ?? 0),
    preparedTransactionOffset: 0,
    body,
    properties: Buffer.from(formatProperties(target.properties)),
  }
}

/** Bits 0x10 and 0x20 say that a host has 20 bytes (IPv6). */
export const hostFlags = (bornHost: Uint8Array, storeHost: Uint8Array): number =>
  (bornHost.length === 20 ? 0x10 : 0) | (storeHost.length === 20 ? 0x20 : 0)

const bornHosts = new WeakMap<ServerConnection, Uint8Array>()

/** The connection's address, whatever the producer says of itself. */
export function bornHostOf(connection: ServerConnection): Uint8Array {
  let bytes = bornHosts.get(connection)
  if (bytes === undefined) bornHosts.set(connection, (bytes = hostToBytes(connection.remoteHost, connection.remotePort)))
  return bytes
}

/** RocketMQ 5.3 `SendMessageProcessor#handlePutMessageResult`. */
export function answer(
  deps: SendDeps,
  result: AppendResult,
  queueId: number,
  transactionId: string | undefined,
  recallHandle?: string | undefined,
): SendReply {
  const refusal = refusalOf(result)
  if (refusal !== undefined) return refusal
  const offsets = result.physicalOffsets ?? [result.physicalOffset]
  const config = deps.settings.current
  return {
    code: result.status === 'ok' ? 0 : 10,
    header: {
      msgId: offsetMessageIds(deps.storeHost, offsets),
      queueId,
      queueOffset: result.queueOffset,
      transactionId,
      recallHandle,
    },
    ext: { MSG_REGION: config.regionId, TRACE_ON: String(config.traceOn) },
    ...(result.status === 'ok'
      ? {}
      : { remark: `stored, but not on disk within the time for a synchronous flush: ${result.reason ?? 'timeout'}` }),
  }
}

/** The answer to a message that was not stored. */
export function refusalOf(result: AppendResult): Refusal | undefined {
  if (result.status === 'message-illegal')
    return refuse('MESSAGE_ILLEGAL', `the message cannot be stored: ${result.reason ?? 'it breaks a limit'}`)
  if (result.status === 'not-available') {
    return refuse(
      'SERVICE_NOT_AVAILABLE',
      `the broker does not accept messages: ${result.reason ?? 'the store refused'}; try another broker`,
    )
  }
  return undefined
}
