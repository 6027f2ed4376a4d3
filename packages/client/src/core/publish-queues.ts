import type { MessageQueue, TopicRouteData } from '@skylarkmq/remoting/protocol'

const PERM_WRITE = 2
const PERM_READ = 4

const queuesOf = (topic: string, brokerName: string, count: number): MessageQueue[] =>
  Array.from({ length: count }, (_, queueId) => ({ topic, brokerName, queueId }))

const byBroker = <T extends { readonly brokerName: string }>(items: readonly T[]): T[] =>
  [...items].sort((a, b) => (a.brokerName < b.brokerName ? -1 : a.brokerName > b.brokerName ? 1 : 0))

/** RocketMQ 5.3 `MQClientInstance#topicRouteData2TopicPublishInfo`: writable queues of brokers that have a master. */
export function publishQueuesOf(topic: string, route: TopicRouteData): readonly MessageQueue[] {
  if (route.orderTopicConf) {
    return route.orderTopicConf.split(';').flatMap((part) => {
      const [brokerName, count] = part.split(':')
      return brokerName && Number(count) > 0 ? queuesOf(topic, brokerName, Number(count)) : []
    })
  }
  const masters = new Set(route.brokerDatas.filter((broker) => broker.brokerAddrs['0'] !== undefined).map((broker) => broker.brokerName))
  return byBroker(route.queueDatas).flatMap((data) =>
    (data.perm & PERM_WRITE) !== 0 && masters.has(data.brokerName) ? queuesOf(topic, data.brokerName, data.writeQueueNums) : [],
  )
}

/** RocketMQ 5.3 `MQClientInstance#topicRouteData2TopicSubscribeInfo`: readable queues, with or without a master. */
export function subscribeQueuesOf(topic: string, route: TopicRouteData): readonly MessageQueue[] {
  return byBroker(route.queueDatas).flatMap((data) =>
    (data.perm & PERM_READ) !== 0 ? queuesOf(topic, data.brokerName, data.readQueueNums) : [],
  )
}

/** The route of the default topic as that of a topic which the broker is still to create (RocketMQ: at most 4 queues per broker). */
export function capQueues(route: TopicRouteData, queueNums: number): TopicRouteData {
  return {
    ...route,
    queueDatas: route.queueDatas.map((data) => {
      const nums = Math.min(queueNums, data.readQueueNums)
      return { ...data, readQueueNums: nums, writeQueueNums: nums }
    }),
  }
}

/** Equal for equal routes, whatever the order in which a NameServer lists them. */
export function routeFingerprint(route: TopicRouteData): string {
  return JSON.stringify([
    route.orderTopicConf ?? '',
    byBroker(route.queueDatas).map((q) => [q.brokerName, q.readQueueNums, q.writeQueueNums, q.perm, q.topicSysFlag]),
    byBroker(route.brokerDatas).map((b) => [b.brokerName, b.cluster, Object.entries(b.brokerAddrs).sort()]),
  ])
}
