import { SYS_FLAG_BORN_HOST_V6, SYS_FLAG_STORE_HOST_V6 } from '../commit-log/record.ts'
import { LIMITS } from '../limits.ts'
import type { MessageToStore } from '../types.ts'

/** What a store can take. */
export interface Capacity {
  readonly maxMessageBytes: number
  /** Of a record, or of a batch of records: they stay in one segment. */
  readonly maxAppendBytes: number
}

const PRINTABLE_ASCII = /^[\x21-\x7e]+$/

/** More than a record of this message can take. */
function sizeBound(message: MessageToStore): number {
  return 116 + message.body.length + message.topic.length + message.properties.length
}

/** Why the topic's name cannot be stored. Only for topics that are not known yet. */
export function reasonAgainstTopic(topic: string): string | undefined {
  if (topic.length === 0) return 'the topic is empty'
  if (topic.length > LIMITS.topicBytes) return `the topic has ${topic.length} bytes, at most ${LIMITS.topicBytes} are possible`
  return PRINTABLE_ASCII.test(topic) ? undefined : 'the topic has other characters than printable ASCII'
}

/** Why the message cannot be stored, whatever its topic. */
export function reasonAgainst(message: MessageToStore, capacity: Capacity): string | undefined {
  const { queueId, sysFlag, body, properties, bornHost, storeHost } = message
  if (!Number.isInteger(queueId) || queueId < 0 || queueId > 0x7fffffff) return `queueId ${queueId} is not a queue`
  if (body.length > capacity.maxMessageBytes) return `the body has ${body.length} bytes, maxMessageSize is ${capacity.maxMessageBytes}`
  if (properties.length > LIMITS.propertiesBytes) {
    return `the properties have ${properties.length} bytes, at most ${LIMITS.propertiesBytes} are possible`
  }
  if (bornHost.length !== (sysFlag & SYS_FLAG_BORN_HOST_V6 ? 20 : 8)) {
    return `the born host has ${bornHost.length} bytes, which sysFlag ${sysFlag} contradicts`
  }
  if (storeHost.length !== (sysFlag & SYS_FLAG_STORE_HOST_V6 ? 20 : 8)) {
    return `the store host has ${storeHost.length} bytes, which sysFlag ${sysFlag} contradicts`
  }
  const bound = sizeBound(message)
  return bound > capacity.maxAppendBytes ? `the message has ${bound} bytes, a segment takes ${capacity.maxAppendBytes}` : undefined
}

/** Why the messages cannot be stored together. */
export function reasonAgainstBatch(messages: readonly MessageToStore[], capacity: Capacity): string | undefined {
  const first = messages[0]
  if (first === undefined) return 'a batch without messages'
  let total = 0
  for (const message of messages) {
    const reason = reasonAgainst(message, capacity)
    if (reason !== undefined) return reason
    if (message.topic !== first.topic || message.queueId !== first.queueId) {
      return `a batch of two queues: ${first.topic}/${first.queueId} and ${message.topic}/${message.queueId}`
    }
    total += sizeBound(message)
  }
  if (total <= capacity.maxAppendBytes) return undefined
  return `a batch of ${total} bytes; a batch stays in one segment, which takes ${capacity.maxAppendBytes}`
}
