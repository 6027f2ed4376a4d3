import { hostToBytes } from '@skylarkmq/remoting/protocol'
import type { StoredMessage } from '@skylarkmq/remoting/protocol'
import type { MessageToStore } from '@skylarkmq/store'
import { hostFlags } from '../processors/send-message.ts'
import type { TopicConfigs } from './topic-configs.ts'

/** The queues of a topic whose settings a crash has lost, as a client's send would make it. */
const QUEUES = 4

/**
 * Whether a message that has waited may still go to its topic: not when that was deleted meanwhile. A topic whose settings were lost with
 * a crash, before its first message was in it, gets settings again.
 */
export function canDeliverTo(topics: TopicConfigs, topic: string, queueId: number): boolean {
  if (topics.get(topic) !== undefined) return true
  topics.recover(new Map([[topic, [queueId]]]), QUEUES)
  return topics.get(topic) !== undefined
}

/** A stored message as it goes on to another topic. `origin` is the log position that it came from: a start finds by it what was delivered. */
export function copyOf(message: StoredMessage, topic: string, queueId: number, origin: number, properties: Buffer): MessageToStore {
  const bornHost = hostToBytes(message.bornHost, message.bornPort)
  return {
    topic,
    queueId,
    flag: message.flag,
    sysFlag: (message.sysFlag & ~0x30) | hostFlags(bornHost, message.storeHostBytes),
    bornTimestamp: message.bornTimestamp,
    bornHost,
    storeHost: message.storeHostBytes,
    reconsumeTimes: message.reconsumeTimes,
    preparedTransactionOffset: origin,
    body: message.body,
    properties,
  }
}
