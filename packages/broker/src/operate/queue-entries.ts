import { PROPERTY, decodeRecords, encodeJson, javaStringHash } from '@skylarkmq/remoting/protocol'
import type { QueryConsumeQueue, RequestOf } from '@skylarkmq/remoting/protocol'
import type { Reply } from '@skylarkmq/remoting'
import type { MessageStore } from '@skylarkmq/store'
import { plain, refuse } from '../answers.ts'
import type { ConsumerGroups } from '../groups/consumer-groups.ts'
import type { Subscription } from '../groups/subscriptions.ts'
import type { TopicConfigs } from '../topics/topic-configs.ts'

export interface QueueEntriesDeps {
  readonly store: MessageStore
  readonly topics: TopicConfigs
  readonly consumers: ConsumerGroups
}

const MOST_ENTRIES = 1024
const MOST_BYTES = 8 * 1024 * 1024
const DEFAULT_ENTRIES = 10

/** QUERY_CONSUME_QUEUE: RocketMQ 5.3 `AdminBrokerProcessor#queryConsumeQueue`. */
export function queryConsumeQueue(deps: QueueEntriesDeps) {
  return async (header: RequestOf<typeof QueryConsumeQueue>): Promise<Reply<never>> => {
    const { topic, queueId, index } = header
    const { store } = deps
    const config = deps.topics.get(topic)
    const isThere = config !== undefined && queueId >= 0 && queueId < Math.max(config.readQueueNums, config.writeQueueNums)
    if (!isThere)
      return refuse('SYSTEM_ERROR', `${queueId}@${plain(topic)} is not exist! The queues that there are: mqadmin topicStatus -t NAME`)
    const count = Math.max(1, Math.min(header.count ?? DEFAULT_ENTRIES, MOST_ENTRIES))
    const found = await store.read({ topic, queueId, offset: index, maxMessages: count, maxBytes: MOST_BYTES })
    const subscription = header.consumerGroup ? deps.consumers.subscription(header.consumerGroup, topic) : undefined
    const sizes = sizesOf(found.body)
    const queueData = decodeRecords(found.body).map((message, i) => {
      const tag = message.properties.get(PROPERTY.TAGS)
      const tagsCode = tag ? javaStringHash(tag) : 0
      return { physicOffset: message.physicalOffset, physicSize: sizes[i], tagsCode, ...wanted(subscription, tagsCode) }
    })
    const [minQueueIndex, maxQueueIndex] = [Math.max(0, store.minOffset(topic, queueId)), Math.max(0, store.maxOffset(topic, queueId))]
    const filterData = header.consumerGroup && subscription === undefined ? `${header.consumerGroup} is not online!` : undefined
    const body = { subscriptionData: subscription?.data, filterData, queueData, maxQueueIndex, minQueueIndex }
    return { code: 0, body: encodeJson(body) }
  }
}

/** Each record begins with its own size. */
function sizesOf(records: Uint8Array): number[] {
  const view = new DataView(records.buffer, records.byteOffset, records.length)
  const sizes: number[] = []
  for (let at = 0; at < records.length; at += sizes.at(-1) as number) sizes.push(view.getInt32(at))
  return sizes
}

function wanted(subscription: Subscription | undefined, tagsCode: number): { readonly eval?: boolean; readonly msg?: string } {
  if (subscription === undefined) return {}
  return { eval: subscription.filter === undefined || subscription.filter(tagsCode) }
}
