/** Push consumers that pop (Java 5.x, and ours): the broker shares queues out, messages are taken for a time, failed ones come back by themselves. */
import { expect } from 'vitest'
import { expectSuccess } from '@skylarkmq/remoting'
import { encodeRequestMode, PollingInfo, SetMessageRequestMode } from '@skylarkmq/remoting/protocol'
import { nodeRuntime } from '@skylarkmq/runtime/node'
import type { Cluster } from './clusters.ts'
import { bodies, createTopic, expected, unique, until, withBroker } from './features.ts'
import type { Feature } from './features.ts'
import type { Probe } from './probe.ts'

const pause = (ms: number) => nodeRuntime().clock.sleep(ms)

async function popGroup(cluster: Cluster, topic: string): Promise<string> {
  const consumerGroup = unique('g')
  await withBroker(cluster, topic, async (client, address) => {
    const body = encodeRequestMode({ topic, consumerGroup, mode: 'POP', popShareQueueNum: 0 })
    expectSuccess(await client.invoke(address, SetMessageRequestMode, {}, { timeoutMs: 5000, body }))
  })
  return consumerGroup
}

/** Consumers that wait with a pop: proof that they do not pull. */
async function waitingPops(cluster: Cluster, topic: string, consumerGroup: string, count: number): Promise<void> {
  await withBroker(cluster, topic, async (client, address) => {
    for (let i = 0; i < 300; i++) {
      const answer = await client.invoke(address, PollingInfo, { consumerGroup, topic, queueId: -1 }, { timeoutMs: 5000 })
      if (answer.code === 0 && answer.header().pollingNum >= count) return
      await pause(100)
    }
    throw new Error(`${count} consumers of ${consumerGroup} do not wait with pops`)
  })
}

/** A virtual machine that has just started on a busy computer may not have its first answer in time: no matter of this story. */
async function warmUp(cluster: Cluster, producer: Probe): Promise<void> {
  const topic = await createTopic(cluster)
  for (let i = 1; ; i++) {
    try {
      return await producer.send({ topic, count: 1, prefix: 'warm' })
    } catch (error) {
      if (i === 10) throw error
    }
  }
}

const consume: Feature = {
  name: 'pop: two consumers take all messages of a topic, with tags, each message once',
  async run(cluster, producer, consumer) {
    await warmUp(cluster, producer)
    const topic = await createTopic(cluster)
    const group = await popGroup(cluster, topic)
    const [a, b] = [unique('c'), unique('c')]
    await producer.send({ topic, count: 5, prefix: 'before', tag: 'Red' })
    for (const name of [a, b]) await consumer.subscribe({ consumer: name, group, topic, pop: true, expr: 'Red' })
    await waitingPops(cluster, topic, group, 2)
    for (let round = 0; round < 4; round++) {
      await producer.send({ topic, count: 10, prefix: `r${round}`, tag: 'Red' })
      await producer.send({ topic, count: 2, prefix: 'unwanted', tag: 'Green' })
    }
    const wanted = [...expected('before', 5), ...[0, 1, 2, 3].flatMap((round) => expected(`r${round}`, 10))].sort()
    const got = () => bodies([...consumer.deliveries(a), ...consumer.deliveries(b)])
    await until(`${wanted.length} messages`, () => got().length >= wanted.length, 60)
    await pause(300)
    expect(got().sort()).toEqual(wanted)
    for (const name of [a, b]) await consumer.unsubscribe(name)
  },
}

const fail: Feature = {
  name: 'pop: a message that fails comes back after a delay, with the topic that it was sent to',
  async run(cluster, producer, consumer) {
    await warmUp(cluster, producer)
    const topic = await createTopic(cluster)
    const group = await popGroup(cluster, topic)
    const name = unique('c')
    await consumer.subscribe({ consumer: name, group, topic, pop: true, fail: 1 })
    await waitingPops(cluster, topic, group, 1)
    await producer.send({ topic, count: 3, prefix: 'again', key: 'k' })
    await until('3 messages at the second attempt', () => bodies(consumer.deliveries(name)).length >= 3, 90)
    const got = consumer.deliveries(name)
    expect(bodies(got).sort()).toEqual(expected('again', 3))
    expect(new Set(got.map((d) => d.topic))).toEqual(new Set([topic]))
    expect(got.map((d) => d.reconsumeTimes).sort()).toEqual([0, 0, 0, 1, 1, 1])
    await consumer.unsubscribe(name)
  },
}

/** Two clients pop for one group: both get messages, and when one leaves the other gets what comes. */
export async function sharedPopGroup(cluster: Cluster, producer: Probe, one: Probe, other: Probe): Promise<void> {
  await warmUp(cluster, producer)
  const topic = await createTopic(cluster)
  const group = await popGroup(cluster, topic)
  const [a, b] = [unique('c'), unique('c')]
  await one.subscribe({ consumer: a, group, topic, pop: true })
  await other.subscribe({ consumer: b, group, topic, pop: true })
  await waitingPops(cluster, topic, group, 2)
  const got = () => bodies([...one.deliveries(a), ...other.deliveries(b)])
  let sent = 0
  const send = async () => {
    await producer.send({ topic, count: 10, prefix: `r${++sent}` })
    await until(`${sent * 10} messages`, () => new Set(got()).size >= sent * 10, 60)
  }
  for (;;) {
    await send()
    if (one.deliveries(a).length > 0 && other.deliveries(b).length > 0) break
    if (sent > 60) throw new Error('one of two members gets no messages')
  }
  await other.unsubscribe(b)
  await send()
  expect(got().length, 'none came twice').toBe(sent * 10)
  await one.unsubscribe(a)
}

export const POP_FEATURES: readonly Feature[] = [consume, fail]
