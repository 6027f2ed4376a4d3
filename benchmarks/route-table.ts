/**
 * A NameServer's table of 10,000 topics on 100 brokers: what a route query costs with the encoded answer at hand and without, what a
 * broker's registration costs, and what all of it weighs.
 *
 *   node --conditions=source --import tsx benchmarks/route-table.ts [topics] [brokers]
 */
import { encodeTopicRoute } from '@skylarkmq/remoting/protocol'
import type { TopicConfig } from '@skylarkmq/remoting/protocol'
import { RouteCache, RouteTable } from '@skylarkmq/namesrv'

const [topicCount = 10_000, brokerCount = 100] = process.argv.slice(2).map(Number)
const topicNames = Array.from({ length: topicCount }, (_, i) => `topic-${i}`)
const configs = (writeQueueNums: number): Record<string, TopicConfig> =>
  Object.fromEntries(topicNames.map((topicName) => [topicName, { ...TOPIC, topicName, writeQueueNums }]))
const TOPIC: TopicConfig = {
  topicName: '',
  readQueueNums: 8,
  writeQueueNums: 8,
  perm: 6,
  topicFilterType: 'SINGLE_TAG',
  topicSysFlag: 0,
  order: false,
  attributes: {},
}

const cache = new RouteCache()
const options = { deleteTopicWithBrokerRegistration: false, supportActingMaster: false }
const table = new RouteTable<number>(
  () => options,
  (topics) => {
    for (const topic of topics) cache.delete(topic)
  },
)

const register = (broker: number, counter: number, topics: Readonly<Record<string, TopicConfig>>): unknown =>
  table.register(
    {
      clusterName: 'cluster',
      brokerName: `broker-${broker}`,
      brokerAddr: `10.0.${broker >> 8}.${broker & 255}:10911`,
      brokerId: 0,
      dataVersion: { stateVersion: 0, timestamp: 0, counter },
      filterServers: [],
      topics,
    },
    broker,
    0,
  )

function query(topic: string): number {
  const cached = cache.get(topic, 'quoted')
  if (cached !== undefined) return cached.length
  const route = table.route(topic)
  if (route === undefined) throw new Error(`${topic} is missing`)
  const bytes = encodeTopicRoute(route, true)
  cache.set(topic, 'quoted', bytes)
  return bytes.length
}

function measure(name: string, count: number, operation: (i: number) => unknown): void {
  const times = new Float64Array(count)
  for (let i = 0; i < count; i++) {
    const began = performance.now()
    operation(i)
    times[i] = performance.now() - began
  }
  times.sort()
  const at = (share: number) => `${(times[Math.min(count - 1, Math.floor(count * share))] as number).toFixed(4)} ms`
  console.log(`${name.padEnd(56)} median ${at(0.5)}   99 % ${at(0.99)}   worst ${at(1)}`)
}

console.log(`${topicCount} topics on ${brokerCount} brokers, Node ${process.version}`)
const first = configs(8)
measure('first registration of a broker', brokerCount, (i) => register(i, 1, first))
measure('renewed registration, nothing changed', brokerCount, (i) => register(i, 1, first))
console.log(`${'answer'.padEnd(56)} ${query('topic-0')} bytes`)
const random = Array.from({ length: topicCount }, (_, i) => topicNames[(i * 7919) % topicCount] as string)
measure('route query, encoded for the first time', 2_000, (i) => query(random[i % topicCount] as string))
measure('route query, encoded answer at hand', 200_000, (i) => query(random[i % 1_000] as string))
measure('registration of a broker that changed every topic', Math.min(brokerCount, 20), (i) => register(i, 2, configs(9)))
measure('a broker leaves', Math.min(brokerCount, 20), (i) => table.channelClosed(i))
globalThis.gc?.()
console.log(
  `${'heap in use / RSS'.padEnd(56)} ${Math.round(process.memoryUsage().heapUsed / 1e6)} MB / ${Math.round(process.memoryUsage().rss / 1e6)} MB`,
)
console.log(`${'of these, encoded answers (bounded)'.padEnd(56)} ${Math.round(cache.sizeBytes / 1e6)} MB`)
