import {
  PROPERTY,
  PushReplyMessageToClient,
  RocketError,
  formatProperties,
  hostFromBytes,
  parseProperties,
} from '@skylarkmq/remoting/protocol'
import type { RequestContext } from '@skylarkmq/remoting'
import { plain, refuse } from '../answers.ts'
import type { Refusal } from '../answers.ts'
import type { ProducerGroups } from '../groups/producer-groups.ts'
import { STRIPPED_PROPERTIES, checkSend, isRefusal, resolveTopicForSend } from '../processors/send-checks.ts'
import type { SendHeader } from '../processors/send-checks.ts'
import { answer, messageOf, refusalOf, stampProperties } from '../processors/send-message.ts'
import type { SendDeps, SendReply } from '../processors/send-message.ts'

export interface ReplyDeps extends SendDeps {
  readonly producers: ProducerGroups
}

/** RocketMQ 5.3 `Broker2Client#callClient`. */
const PUSH_TIMEOUT_MS = 10_000

/**
 * SEND_REPLY_MESSAGE and its V2: hands a reply to the client that asked, over the connection of its heartbeat, and keeps a copy in the
 * reply topic unless storeReplyMessageEnable is off (RocketMQ 5.3 `ReplyMessageProcessor`). Whether the client has it decides the code;
 * the copy only adds where it lies.
 */
export function sendReply(deps: ReplyDeps) {
  return async (header: SendHeader, context: RequestContext): Promise<SendReply> => {
    const topic = resolveTopicForSend(header, deps)
    if (isRefusal(topic)) return topic
    const { current } = deps.settings
    const wrong = checkSend(header.topic, context.body.length, Buffer.byteLength(header.properties ?? ''), current.maxMessageSize, true)
    if (wrong !== undefined) return wrong
    const properties = parseProperties(header.properties ?? '')
    for (const name of STRIPPED_PROPERTIES) properties.delete(name)
    const queueId = header.queueId < 0 ? deps.random.integer(Math.max(1, topic.writeQueueNums)) : header.queueId
    const failure = await push(deps, header, context, queueId, properties)
    const code = failure?.code ?? 0
    const pushed: SendReply = {
      code,
      remark: failure?.remark,
      header: { msgId: '0', queueId, queueOffset: 0, transactionId: properties.get(PROPERTY.UNIQ_KEY) },
      ext: { MSG_REGION: current.regionId, TRACE_ON: String(current.traceOn) },
    }
    if (!current.storeReplyMessageEnable || deps.store.refusal !== undefined) return pushed
    stampProperties(deps, properties)
    const message = messageOf(deps, header, context.connection, { topic: topic.topicName, queueId, properties }, context.body)
    const result = await new Promise<Parameters<Parameters<typeof deps.store.append>[2]>[0]>((resolve) =>
      deps.store.append(message, false, resolve),
    )
    if (refusalOf(result) !== undefined) return pushed
    return { ...pushed, header: answer(deps, result, queueId, properties.get(PROPERTY.UNIQ_KEY)).header }
  }
}

async function push(
  { producers, clock, storeHost }: ReplyDeps,
  header: SendHeader,
  { connection, body }: RequestContext,
  queueId: number,
  properties: Map<string, string>,
): Promise<Refusal | undefined> {
  const clientId = properties.get(PROPERTY.REPLY_TO_CLIENT)
  if (clientId === undefined) {
    return refuse('SYSTEM_ERROR', 'reply message properties[REPLY_TO_CLIENT] is null; copy it from the request message')
  }
  const asker = producers.connectionOf(clientId)
  if (asker === undefined) {
    return refuse(
      'SYSTEM_ERROR',
      `push reply message fail, channel of <${plain(clientId)}> not found. Its producer sends this broker no heartbeat`,
    )
  }
  const now = clock.now()
  properties.set(PROPERTY.PUSH_REPLY_TIME, String(now))
  const store = hostFromBytes(storeHost)
  const request = {
    ...header,
    queueId,
    properties: formatProperties(properties),
    bornHost: connection.address,
    storeHost: store.host.includes(':') ? `[${store.host}]:${store.port}` : `${store.host}:${store.port}`,
    storeTimestamp: now,
  }
  try {
    const answered = await asker.invoke(PushReplyMessageToClient, request, { body, timeoutMs: PUSH_TIMEOUT_MS })
    if (answered.code === 0) return undefined
    return refuse(
      'SYSTEM_ERROR',
      `push reply message to ${plain(clientId)}fail. It answered code ${answered.code}: ${answered.remark ?? ''}`,
    )
  } catch (error) {
    if (!(error instanceof RocketError)) throw error
    return refuse('SYSTEM_ERROR', `push reply message to ${plain(clientId)}fail. ${error.message}`)
  }
}
