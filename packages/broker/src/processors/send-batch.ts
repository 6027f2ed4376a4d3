import {
  PROPERTY,
  SYS_FLAG,
  decodeClientBatch,
  formatProperties,
  isDlqTopic,
  isRetryTopic,
  parseProperties,
} from '@skylarkmq/remoting/protocol'
import type { RequestContext } from '@skylarkmq/remoting'
import type { MessageToStore } from '@skylarkmq/store'
import { refuse, shown } from '../answers.ts'
import type { Refusal } from '../answers.ts'
import { LIMITS } from '../limits.ts'
import { PlainProperties, stampText } from './plain-properties.ts'
import { isCompacted, refuseWithoutKey } from '../topics/topic-attributes.ts'
import { ALLOWED_SYS_FLAG, STRIPPED_PROPERTIES, checkSend, isRefusal } from './send-checks.ts'
import type { SendHeader } from './send-checks.ts'
import { acceptTopic, answer, bornHostOf, hostFlags, isSync, sendMessage, stampProperties } from './send-message.ts'
import type { SendDeps, SendReply } from './send-message.ts'
import { TIMER_REQUESTS } from '../timer/timer-request.ts'

const plain = new PlainProperties()
const TOPIC_MAX_LENGTH = 127
const NOT_IN_A_BATCH = [PROPERTY.DELAY, PROPERTY.TRAN_MSG, ...TIMER_REQUESTS]

/** Any send: the header's `batch` decides what the body holds, not the request code (RocketMQ 5.3 `SendMessageProcessor#processRequest`). */
export function sendAny(deps: SendDeps) {
  const single = sendMessage(deps)
  const batch = sendBatch(deps)
  return (header: SendHeader, context: RequestContext): SendReply | Promise<SendReply> =>
    header.batch ? batch(header, context) : single(header, context)
}

/** SEND_BATCH_MESSAGE: messages of one queue, stored side by side or not at all. */
export function sendBatch(deps: SendDeps) {
  return (header: SendHeader, context: RequestContext): SendReply | Promise<SendReply> => {
    const refused = checkBatch(header)
    if (refused !== undefined) return refused
    const topic = acceptTopic(deps, header, context.frame.version)
    if (isRefusal(topic)) return topic
    const wrong = checkSend(header.topic, context.body.length, 0, deps.settings.current.maxMessageSize)
    if (wrong !== undefined) return wrong
    const queueId = header.queueId < 0 ? deps.random.integer(Math.max(1, topic.writeQueueNums)) : header.queueId
    const messages = messagesOf(deps, header, context, topic.topicName, queueId)
    if (isRefusal(messages)) return messages
    const outer = parseProperties(header.properties ?? '')
    const waits = outer.get(PROPERTY.WAIT) !== 'false'
    return new Promise((resolve) => {
      deps.store.appendBatch(messages, waits && isSync(deps), (result) =>
        resolve(answer(deps, result, queueId, outer.get(PROPERTY.UNIQ_KEY))),
      )
    })
  }
}

function checkBatch(header: SendHeader): Refusal | undefined {
  if (header.topic.length > TOPIC_MAX_LENGTH) {
    return refuse(
      'MESSAGE_ILLEGAL',
      `message topic length too long: ${header.topic.length} characters; a batch may have ${TOPIC_MAX_LENGTH}`,
    )
  }
  if (isRetryTopic(header.topic) || isDlqTopic(header.topic)) {
    return refuse('MESSAGE_ILLEGAL', `batch request does not support retry group ${shown(header.topic)}; send its messages one by one`)
  }
  return undefined
}

function messagesOf(
  deps: SendDeps,
  header: SendHeader,
  context: RequestContext,
  topic: string,
  queueId: number,
): MessageToStore[] | Refusal {
  const bornHost = bornHostOf(context.connection)
  const sysFlag =
    (header.sysFlag & ALLOWED_SYS_FLAG & ~(SYS_FLAG.COMPRESSED | SYS_FLAG.COMPRESSION_MASK)) | hostFlags(bornHost, deps.storeHost)
  const messages: MessageToStore[] = []
  const parts = decodeClientBatch(context.body)
  if (parts.length > LIMITS.batchMessages) {
    return refuse('MESSAGE_ILLEGAL', `the batch has ${parts.length} messages; at most ${LIMITS.batchMessages} are allowed`)
  }
  const config = deps.settings.current
  const known = deps.topics.get(topic)
  const compacted = isCompacted(known) ? known : undefined
  const stamp = Buffer.from(stampText(config))
  for (let index = 0; index < parts.length; index++) {
    const part = parts[index] as (typeof parts)[number]
    const bytes = plain.stamped(part.properties, stamp) ?? declaredProperties(deps, part.properties, index)
    if ('code' in bytes) return bytes
    const wrong =
      checkSend(topic, part.body.length, bytes.length, config.maxMessageSize, compacted !== undefined) ??
      (compacted && refuseWithoutKey(compacted, parseProperties(bytes.toString()).get(PROPERTY.KEYS)))
    if (wrong !== undefined) return { ...wrong, remark: `message ${index + 1} of the batch: ${wrong.remark}` }
    messages.push({
      topic,
      queueId,
      flag: part.flag,
      sysFlag,
      bornTimestamp: header.bornTimestamp,
      bornHost,
      storeHost: deps.storeHost,
      reconsumeTimes: Math.max(0, header.reconsumeTimes ?? 0),
      preparedTransactionOffset: 0,
      body: part.body,
      properties: bytes,
    })
  }
  return messages
}

/** The properties that are stored of a message in a batch, by the rules; `PlainProperties` is a short cut to the same. */
export function declaredProperties(deps: Pick<SendDeps, 'settings' | 'uniqueId'>, text: Uint8Array, index: number): Buffer | Refusal {
  const properties = parseProperties(Buffer.from(text.buffer, text.byteOffset, text.length).toString())
  const forbidden = NOT_IN_A_BATCH.find((name) => isSet(properties.get(name)))
  if (forbidden !== undefined) {
    return refuse(
      'MESSAGE_ILLEGAL',
      `message ${index + 1} of the batch has the property ${forbidden}; delayed and transactional messages are sent alone`,
    )
  }
  for (const name of STRIPPED_PROPERTIES) properties.delete(name)
  stampProperties(deps, properties)
  return Buffer.from(formatProperties(properties))
}

const isSet = (value: string | undefined): boolean => value !== undefined && value !== '0' && value !== 'false'
