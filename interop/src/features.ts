/** What every client must be able to do, as stories over any cluster and any pair of clients. */
import { expect } from 'vitest'
import { createAdmin, createPullConsumer } from '@skylarkmq/client'
import { createRemotingClient, expectSuccess } from '@skylarkmq/remoting'
import { decodeTopicRoute, GetMaxOffset, GetRouteinfoByTopic, UpdateAndCreateTopic } from '@skylarkmq/remoting/protocol'
import { nodeRuntime } from '@skylarkmq/runtime/node'
import type { Cluster } from './clusters.ts'
import type { Delivery, Probe, SendOptions } from './probe.ts'

const runtime = nodeRuntime()
const pause = (ms: number) => runtime.clock.sleep(ms)

/** Short retry delays, the same for both clusters: level 1 = 1 s, level 2 = 3 s, all others 1 s. */
export const SHORT_DELAYS = `1s 3s ${Array.from({ length: 16 }, () => '1s').join(' ')}`

let serial = 0
export const unique = (word: string): string => `${word}-${process.pid}-${++serial}`

export async function until(what: string, condition: () => boolean, seconds = 90): Promise<void> {
  for (let i = 0; i < seconds * 20; i++) {
    if (condition()) return
    await pause(50)
  }
  throw new Error(`not within ${seconds} s: ${what}`)
}

export async function withBroker<T>(
  cluster: Cluster,
  topic: string,
  work: (invoke: ReturnType<typeof createRemotingClient>, address: string) => Promise<T>,
): Promise<T> {
  const client = createRemotingClient({ runtime })
  try {
    const answer = expectSuccess(await client.invoke(cluster.namesrv, GetRouteinfoByTopic, { topic }, { timeoutMs: 30_000 }))
    return await work(client, decodeTopicRoute(answer.body).brokerDatas[0]?.brokerAddrs['0'] as string)
  } finally {
    client.close()
  }
}

/** A topic (with 4 queues) that the NameServer already knows. */
export async function createTopic(cluster: Cluster, { queues = 4, attributes = '' } = {}): Promise<string> {
  const topic = unique('topic')
  await withBroker(cluster, 'TBW102', async (client, address) => {
    const header = {
      topic,
      defaultTopic: 'TBW102',
      readQueueNums: queues,
      writeQueueNums: queues,
      perm: 6,
      topicFilterType: 'SINGLE_TAG',
      topicSysFlag: 0,
      order: false,
      attributes: attributes === '' ? undefined : attributes,
    }
    expectSuccess(await client.invoke(address, UpdateAndCreateTopic, header, { timeoutMs: 30_000 }))
    for (let i = 0; i < 100; i++) {
      if ((await client.invoke(cluster.namesrv, GetRouteinfoByTopic, { topic }, { timeoutMs: 30_000 })).code === 0) return
      await pause(50)
    }
    throw new Error(`the route of ${topic} did not appear`)
  })
  return topic
}

export const bodies = (list: readonly Delivery[]) => list.filter((d) => d.ok).map((d) => d.body)
export const expected = (prefix: string, count: number) => Array.from({ length: count }, (_, i) => `${prefix}-${i}`)

export interface Feature {
  readonly name: string
  readonly run: (cluster: Cluster, producer: Probe, consumer: Probe) => Promise<void>
}

const sendAndConsume = (mode: 'sync' | 'async' | 'oneway' | 'batch', count: number): Feature => ({
  name: `send ${mode}, consume concurrently`,
  async run(cluster, producer, consumer) {
    const topic = await createTopic(cluster)
    const name = unique('c')
    await consumer.subscribe({ consumer: name, group: unique('g'), topic })
    await producer.send({ topic, mode, count, prefix: mode, tag: 'TagA', key: `key-${mode}` })
    await until(`${count} messages`, () => bodies(consumer.deliveries(name)).length >= count)
    await pause(200)
    const got = consumer.deliveries(name)
    expect(bodies(got).sort()).toEqual(expected(mode, count).sort())
    expect(new Set(got.map((d) => d.tag))).toEqual(new Set(['TagA']))
    expect(got[0]?.keys?.trim()).toBe(`key-${mode}`)
    expect(new Set(got.map((d) => d.topic))).toEqual(new Set([topic]))
    await consumer.unsubscribe(name)
  },
})

const large: Feature = {
  name: 'a body that the client compresses arrives whole',
  async run(cluster, producer, consumer) {
    const topic = await createTopic(cluster)
    const name = unique('c')
    await consumer.subscribe({ consumer: name, group: unique('g'), topic })
    await producer.send({ topic, count: 2, prefix: 'large', size: 50_000 })
    await until('2 messages', () => bodies(consumer.deliveries(name)).length >= 2)
    expect(bodies(consumer.deliveries(name)).sort()).toEqual(expected('large', 2).map((b) => b.padEnd(50_000, '.')))
    await consumer.unsubscribe(name)
  },
}

const tags: Feature = {
  name: 'only the subscribed tags are delivered',
  async run(cluster, producer, consumer) {
    const topic = await createTopic(cluster)
    const name = unique('c')
    await consumer.subscribe({ consumer: name, group: unique('g'), topic, expr: 'Red || Blue' })
    for (const tag of ['Red', 'Green', 'Blue']) await producer.send({ topic, count: 3, prefix: tag, tag })
    await until('6 messages', () => bodies(consumer.deliveries(name)).length >= 6)
    await pause(300)
    expect(bodies(consumer.deliveries(name)).sort()).toEqual([...expected('Blue', 3), ...expected('Red', 3)])
    await consumer.unsubscribe(name)
  },
}

const sql: Feature = {
  name: 'sql: only messages whose properties fulfil the condition are delivered',
  async run(cluster, producer, consumer) {
    const topic = await createTopic(cluster)
    const name = unique('c')
    const condition = "price BETWEEN 10 AND 100 AND colour IN ('red', 'blue') OR TAGS = 'always' OR note IS NOT NULL AND price <> 7"
    await producer.send({ topic, count: 2, prefix: 'before', properties: 'price:50,colour:red' })
    await consumer.subscribe({ consumer: name, group: unique('g'), topic, sql: condition })
    for (const [prefix, properties, tag] of [
      ['cheap', 'price:5,colour:red', 'T'],
      ['green', 'price:50,colour:green', 'T'],
      ['fits', 'price:100,colour:blue', 'T'],
      ['words', 'price:ten,colour:blue', 'always'],
      ['tagged', 'x:1', 'always'],
      ['seven', 'price:7,note:n', 'T'],
      ['noted', 'price:8,note:n', 'T'],
    ] as const)
      await producer.send({ topic, count: 2, prefix, properties, tag })
    const wanted = ['before', 'fits', 'noted', 'tagged'].flatMap((prefix) => expected(prefix, 2))
    await until(`${wanted.length} messages`, () => bodies(consumer.deliveries(name)).length >= wanted.length)
    await pause(300)
    expect(bodies(consumer.deliveries(name)).sort()).toEqual(wanted)
    await consumer.unsubscribe(name)
  },
}

const ordered: Feature = {
  name: 'send ordered, consume orderly: each key in order',
  async run(cluster, producer, consumer) {
    const topic = await createTopic(cluster)
    const name = unique('c')
    await consumer.subscribe({
      consumer: name,
      group: unique('g'),
      topic,
      mode: 'orderly',
      fail: consumer.name.startsWith('ali-ons') ? 0 : 1,
    })
    await producer.send({ topic, mode: 'ordered', count: 12, keys: 3, prefix: 'o' })
    await until('12 messages', () => bodies(consumer.deliveries(name)).length >= 12)
    const perQueue = new Map<number, number[]>()
    for (const d of consumer.deliveries(name)) {
      if (!d.ok) continue
      const list = perQueue.get(d.queueId) ?? []
      perQueue.set(d.queueId, [...list, Number(d.body.split('-')[1])])
    }
    for (const list of perQueue.values()) expect(list).toEqual([...list].sort((a, b) => a - b))
    expect([...perQueue.values()].flat().sort((a, b) => a - b)).toEqual(Array.from({ length: 12 }, (_, i) => i))
    await consumer.unsubscribe(name)
  },
}

const broadcast: Feature = {
  name: 'broadcast: every consumer gets every message',
  async run(cluster, producer, consumer) {
    const topic = await createTopic(cluster)
    const group = unique('g')
    const names = consumer.name.startsWith('ali-ons') ? [unique('c')] : [unique('c'), unique('c')]
    for (const name of names) await consumer.subscribe({ consumer: name, group, topic, mode: 'broadcast' })
    await producer.send({ topic, count: 8, prefix: 'b' })
    for (const name of names) {
      await until(`8 messages at ${name}`, () => bodies(consumer.deliveries(name)).length >= 8)
      expect(bodies(consumer.deliveries(name)).sort()).toEqual(expected('b', 8))
    }
    for (const name of names) await consumer.unsubscribe(name)
  },
}

const retryToDlq: Feature = {
  name: 'a failed message is retried, then dead-lettered',
  async run(cluster, producer, consumer) {
    const topic = await createTopic(cluster)
    const group = unique('g')
    const name = unique('c')
    await consumer.subscribe({ consumer: name, group, topic, fail: -1, maxReconsume: 1, retryLevel: 1 })
    await producer.send({ topic, count: 1, prefix: 'bad' })
    const tries = () => consumer.deliveries(name).filter((d) => d.body === 'bad-0')
    await until('a second delivery', () => tries().length >= 2)
    expect(
      tries()
        .map((d) => d.reconsumeTimes)
        .slice(0, 2),
    ).toEqual([0, 1])
    expect(tries()[1]?.topic).toBe(topic)
    let dead = 0
    for (let i = 0; i < 100 && dead === 0; i++) {
      await pause(100)
      dead = await withBroker(cluster, topic, async (client, address) => {
        const answer = await client.invoke(address, GetMaxOffset, { topic: `%DLQ%${group}`, queueId: 0 }, { timeoutMs: 3000 })
        return answer.code === 0 ? answer.header().offset : 0
      })
    }
    expect(dead).toBe(1)
    await consumer.unsubscribe(name)
  },
}

const transactions: Feature = {
  name: 'transactions: committed ones come, also those that the broker had to ask for; rolled back ones never do',
  async run(cluster, producer, consumer) {
    const topic = await createTopic(cluster)
    const name = unique('c')
    await consumer.subscribe({ consumer: name, group: unique('g'), topic })
    await producer.send({ topic, count: 8, prefix: 'tx', mode: 'transaction', group: unique('tx') })
    await until('the committed messages', () => new Set(bodies(consumer.deliveries(name))).size >= 4, 100)
    await pause(1500)
    // Apache's broker, asked to check every second, asks again before it has noted the answer, and delivers twice.
    expect([...new Set(bodies(consumer.deliveries(name)))].sort()).toEqual(['tx-0', 'tx-2', 'tx-4', 'tx-6'])
    await consumer.unsubscribe(name)
  },
}

export const requests: Feature = {
  name: 'request and reply: whoever asks gets the answer to its own question',
  async run(cluster, producer, consumer) {
    const topic = await createTopic(cluster)
    const name = unique('c')
    await consumer.subscribe({ consumer: name, group: unique('g'), topic, reply: true })
    await producer.send({ topic, count: 5, prefix: 'question', mode: 'request' })
    // An answer may be faster than the word of its question.
    await until('the questions', () => new Set(bodies(consumer.deliveries(name))).size >= 5, 60)
    // Who asks before its broker knows it gets no reply at first: the question comes again.
    expect([...new Set(bodies(consumer.deliveries(name)))].sort()).toEqual(expected('question', 5))
    await consumer.unsubscribe(name)
  },
}

const litePull = (mode: 'lite' | 'assign'): Feature => ({
  name: mode === 'lite' ? 'lite pull: subscribe, poll, seek back, poll again' : 'lite pull: assign all queues, poll, seek back, poll again',
  async run(cluster, producer, consumer) {
    const topic = await createTopic(cluster)
    const [name, group] = [unique('c'), unique('g')]
    await producer.send({ topic, count: 12, prefix: 'p' })
    await consumer.subscribe({ consumer: name, group, topic, mode, rewindAfter: 12 })
    await until('each message twice', () => bodies(consumer.deliveries(name)).length >= 24, 60)
    const twice = [...expected('p', 12), ...expected('p', 12)].sort()
    expect(bodies(consumer.deliveries(name)).sort()).toEqual(twice)
    await consumer.unsubscribe(name)
  },
})

const messageTrace: Feature = {
  name: 'message trace: sent and consumed, read by our admin client',
  async run(cluster, producer, consumer) {
    const topic = await createTopic(cluster)
    const [name, group, key] = [unique('c'), unique('g'), unique('key')]
    await consumer.subscribe({ consumer: name, group, topic, trace: true })
    await producer.send({ topic, count: 1, prefix: 't', key, tag: 'TagA', trace: true })
    await until('the message', () => bodies(consumer.deliveries(name)).length === 1)
    await using admin = await createAdmin({ namesrvAddr: cluster.namesrv })
    let types: string[] = []
    for (let i = 0; i < 150 && types.length < 3; i++) {
      await pause(200)
      const [message] = await admin.messages.queryByKey(topic, key)
      const events = message ? await admin.messages.trace(message.messageId).catch(() => []) : []
      types = events.map((event) => event.type).sort()
      // Each side writes its traces when it has time.
      const [sent, begin, end] = (['sent', 'consumeBegin', 'consumeEnd'] as const).map((type) =>
        events.find((event) => event.type === type),
      )
      if (sent?.type !== 'sent' || begin?.type !== 'consumeBegin' || end?.type !== 'consumeEnd') continue
      expect(sent).toMatchObject({ topic, tags: 'TagA', isSuccess: true, bodyBytes: 3, offsetMessageId: message?.offsetMessageId })
      expect(sent.keys).toBe(key)
      expect(begin).toMatchObject({ group, retryTimes: 0 })
      expect(end).toMatchObject({ requestId: begin.requestId, isSuccess: true, result: 'success' })
    }
    expect(types).toEqual(['consumeBegin', 'consumeEnd', 'sent'])
    await consumer.unsubscribe(name)
  },
}

const namespaces: Feature = {
  name: 'namespace: plain names for the application, NS%topic for everybody else',
  async run(cluster, producer, consumer) {
    const [namespace, topic, name] = [unique('NS'), unique('topic'), unique('c')]
    await producer.send({ topic, count: 4, prefix: 'n', namespace })
    await consumer.subscribe({ consumer: name, group: unique('g'), topic, namespace })
    await until('4 messages', () => bodies(consumer.deliveries(name)).length >= 4, 60)
    const got = consumer.deliveries(name)
    expect(bodies(got).sort()).toEqual(expected('n', 4))
    // Go's client shows its application the namespace.
    const shown = consumer.name.startsWith('go') ? `${namespace}%${topic}` : topic
    expect(new Set(got.map((d) => d.topic))).toEqual(new Set([shown]))
    await consumer.unsubscribe(name)
    await using reader = await createPullConsumer({ namesrvAddr: cluster.namesrv }, { group: unique('g'), consumeFrom: 'first' })
    await reader.assign(await reader.topicQueues(`${namespace}%${topic}`))
    const physical: string[] = []
    for (let i = 0; i < 20 && physical.length < 4; i++) physical.push(...(await reader.poll({ timeoutMs: 2000 })).map(({ text }) => text))
    expect(physical.sort()).toEqual(expected('n', 4))
  },
}

const comesAtItsTime = (name: string, time: Pick<SendOptions, 'delayLevel' | 'delayMs' | 'deliverInMs'>, atLeastMs: number): Feature => ({
  name,
  async run(cluster, producer, consumer) {
    const topic = await createTopic(cluster)
    const name = unique('c')
    await consumer.subscribe({ consumer: name, group: unique('g'), topic })
    await producer.send({ topic, count: 1, prefix: 'now' })
    await until('the message without delay', () => consumer.deliveries(name).length >= 1)
    const sentAt = runtime.clock.monotonic()
    await producer.send({ topic, count: 1, prefix: 'later', ...time })
    await until('the message with a time of its own', () => consumer.deliveries(name).length >= 2)
    expect(runtime.clock.monotonic() - sentAt).toBeGreaterThanOrEqual(atLeastMs)
    expect(bodies(consumer.deliveries(name))).toEqual(['now-0', 'later-0'])
    await consumer.unsubscribe(name)
  },
})

const timed = (kind: 'a delay' | 'a moment'): Feature =>
  comesAtItsTime(
    `timer: a message with ${kind} of its own comes at its time`,
    kind === 'a delay' ? { delayMs: 3400 } : { deliverInMs: 3400 },
    3300,
  )
const delayed = comesAtItsTime('a delayed message comes when due, not before', { delayLevel: 2 }, 2900)

const recalled: Feature = {
  name: 'recall: a scheduled message that is taken back does not come',
  async run(cluster, producer, consumer) {
    const topic = await createTopic(cluster)
    const name = unique('c')
    await consumer.subscribe({ consumer: name, group: unique('g'), topic })
    await producer.send({ topic, count: 3, prefix: 'taken-back', deliverInMs: 15_000, recall: true })
    await producer.send({ topic, count: 3, prefix: 'stays', deliverInMs: 15_500 })
    await until('the messages that stay', () => consumer.deliveries(name).length >= 3)
    await pause(1500)
    expect(bodies(consumer.deliveries(name)).sort()).toEqual(expected('stays', 3))
    await consumer.unsubscribe(name)
  },
}

const compaction: Feature = {
  name: 'compaction: whoever comes later gets the last value of each key',
  async run(cluster, producer, consumer) {
    const topic = await createTopic(cluster, { queues: 1, attributes: '+cleanup.policy=COMPACTION' })
    for (const key of ['pear', 'apple', 'pear', 'plum']) await producer.send({ topic, count: 5, prefix: key, key })
    const last = ['apple-4', 'pear-4', 'plum-4']
    const isOurs = cluster.name === 'skylarkmq'
    // Apache's broker never compacts the newest of its files (RocketMQ 5.5 CompactionLog), which is the only one here.
    for (let i = 0, texts: string[] = []; isOurs && texts.join() !== last.join(); i++) {
      if (i === 60) throw new Error(`not compacted: ${texts.join()}`)
      await pause(500)
      await using reader = await createPullConsumer({ namesrvAddr: cluster.namesrv }, { group: unique('g'), consumeFrom: 'first' })
      await reader.assign(await reader.topicQueues(topic))
      texts = (await reader.poll({ timeoutMs: 2000 })).map(({ text }) => text).sort()
    }
    const name = unique('c')
    await consumer.subscribe({ consumer: name, group: unique('g'), topic })
    await until('a value of each key', () => new Set(bodies(consumer.deliveries(name))).size >= (isOurs ? 3 : 15))
    // What comes now is delivered behind the gap that compaction has left.
    await producer.send({ topic, count: 1, prefix: 'fig', key: 'fig' })
    await until('the new value', () => bodies(consumer.deliveries(name)).includes('fig-0'))
    const got = consumer.deliveries(name).filter((d) => d.ok)
    const offsets = new Map(got.map((d) => [d.queueOffset, d.body]))
    if (isOurs) expect([...offsets].sort(([a], [b]) => a - b).map(([, body]) => body)).toEqual(['apple-4', 'pear-4', 'plum-4', 'fig-0'])
    for (const [offset, body] of [
      [9, 'apple-4'],
      [14, 'pear-4'],
      [19, 'plum-4'],
      [20, 'fig-0'],
    ] as const)
      expect(offsets.get(offset)).toBe(body)
    await consumer.unsubscribe(name)
  },
}

/** The features of one client on its own: it produces and it consumes. */
export const FEATURES: readonly Feature[] = [
  sendAndConsume('sync', 10),
  sendAndConsume('async', 40),
  sendAndConsume('oneway', 10),
  sendAndConsume('batch', 20),
  large,
  tags,
  sql,
  ordered,
  broadcast,
  retryToDlq,
  delayed,
  timed('a delay'),
  timed('a moment'),
  recalled,
  transactions,
  requests,
  litePull('lite'),
  litePull('assign'),
  messageTrace,
  namespaces,
  compaction,
]

/** Two clients of different kinds in one group share the queues; when one leaves, the other takes all. */
export async function sharedGroup(cluster: Cluster, producer: Probe, one: Probe, other: Probe): Promise<void> {
  const topic = await createTopic(cluster)
  const group = unique('g')
  const [a, b] = [unique('c'), unique('c')]
  await one.subscribe({ consumer: a, group, topic })
  await other.subscribe({ consumer: b, group, topic })
  const all = () => [...one.deliveries(a), ...other.deliveries(b)]
  let sent = 0
  const spread = async () => {
    await producer.send({ topic, mode: 'ordered', count: 8, keys: 4, prefix: `r${++sent}` })
    await until('all sent are consumed', () => new Set(bodies(all())).size >= sent * 8)
  }
  const queuesOf = (list: readonly Delivery[], round: number) =>
    new Set(list.filter((d) => d.body.startsWith(`r${round}-`)).map((d) => d.queueId))
  for (let round = 1; round <= 30; round++) {
    await spread()
    const [mine, theirs] = [queuesOf(one.deliveries(a), round), queuesOf(other.deliveries(b), round)]
    if (mine.size === 2 && theirs.size === 2) break
    if (round === 30) throw new Error(`no even share after 30 rounds: ${[...mine]} and ${[...theirs]}`)
    await pause(1000)
  }
  await other.unsubscribe(b)
  for (let round = sent + 1; ; round++) {
    await spread()
    if (queuesOf(one.deliveries(a), sent).size === 4) break
    if (round > 60) throw new Error('the remaining consumer did not take over all queues')
    await pause(1000)
  }
  await one.unsubscribe(a)
}
