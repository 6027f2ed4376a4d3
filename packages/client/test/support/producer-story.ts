/**
 * What a producer and an admin do with a live cluster, ours or Apache's: every step throws if the cluster answers otherwise.
 * By hand: `node --conditions=source --import tsx packages/client/test/support/producer-story.ts 127.0.0.1:9876`.
 */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { RocketError, createAdmin, createClient } from '@skylarkmq/client'
import type { Client, SendReceipt } from '@skylarkmq/client'

type Say = (line: string) => void

async function eventually<T>(what: string, attempt: () => Promise<T | undefined>): Promise<T> {
  let last: unknown
  for (let i = 0; i < 100; i++) {
    try {
      const value = await attempt()
      if (value !== undefined) return value
    } catch (error) {
      last = error
    }
    await sleep(100)
  }
  throw new Error(`${what} did not happen within 10 s`, { cause: last })
}

export interface Features {
  /** Delivery at any time, not only by delay level. */
  readonly timers: boolean
}

export async function producerStory(client: Client, say: Say, features: Features): Promise<void> {
  const admin = client.admin()
  const suffix = client.clientId.replace(/\D/g, '').slice(-9)
  const topic = `Story_${suffix}`
  const group = `story_group_${suffix}`

  const info = await eventually('a broker', async () => {
    const found = await admin.cluster.info()
    return Object.keys(found.clusterAddrTable).length > 0 ? found : undefined
  })
  say(`clusters: ${JSON.stringify(info.clusterAddrTable)}`)
  const cluster = Object.keys(info.clusterAddrTable)[0] as string
  const made = await admin.topics.update({ topic, queueNums: 4 }, { cluster })
  assert.ok(made.length > 0)
  await eventually('the topic in the list', async () => ((await admin.topics.list()).includes(topic) ? true : undefined))
  const route = await eventually('the route', () => admin.topics.route(topic))
  assert.equal(route.queueDatas[0]?.writeQueueNums, 4)

  const producer = client.producer({ group: `${group}_p` })
  const first = await producer.send({ topic, body: 'hello', tags: 'TagA', keys: ['k1', 'k2'], properties: { colour: 'red' } })
  assert.equal(first.status, 'OK')
  assert.match(first.offsetMessageId, /^[0-9A-F]{32}$/)
  say(`sent: ${JSON.stringify(first)}`)

  const viewed = await admin.messages.viewById(first.offsetMessageId, topic)
  assert.equal(viewed.text, 'hello')
  assert.equal(viewed.tags, 'TagA')
  assert.deepEqual(viewed.keys, ['k1', 'k2'])
  assert.equal(viewed.properties.get('colour'), 'red')
  assert.equal(viewed.messageId, first.messageId)
  assert.equal(viewed.queueOffset, first.queueOffset)

  const large = 'skylark '.repeat(20_000)
  const packed = await producer.send({ topic, body: large, keys: 'large' })
  const unpacked = await admin.messages.viewById(packed.offsetMessageId, topic)
  assert.equal(unpacked.text, large)
  assert.ok(unpacked.stored.body.length < large.length / 10, 'a large body travels compressed')

  const ordered: SendReceipt[] = []
  for (let i = 0; i < 20; i++) ordered.push(await producer.send({ topic, body: `order ${i}`, orderKey: `customer-${i % 2}` }))
  for (const customer of [0, 1]) {
    const mine = ordered.filter((_, i) => i % 2 === customer)
    assert.equal(new Set(mine.map((receipt) => receipt.queue.queueId)).size, 1)
    assert.deepEqual(
      mine.map((receipt) => receipt.queueOffset),
      [...mine.map((receipt) => receipt.queueOffset)].sort((a, b) => a - b),
    )
  }

  const spread = await Promise.all(Array.from({ length: 40 }, (_, i) => producer.send({ topic, body: `n ${i}` })))
  assert.equal(new Set(spread.map((receipt) => receipt.queue.queueId)).size, 4)

  const queues = await producer.queues(topic)
  const queue = queues[2] as (typeof queues)[number]
  assert.deepEqual((await producer.send({ topic, body: 'there' }, { queue })).queue, queue)

  const batch = await producer.sendAll(Array.from({ length: 500 }, (_, i) => ({ topic, body: `batch ${i}`, keys: `b${i}` })))
  assert.equal(batch.length, 500)
  assert.equal(new Set(batch.map((receipt) => receipt.offsetMessageId)).size, 500)
  const fromBatch = await admin.messages.viewById((batch[321] as SendReceipt).offsetMessageId, topic)
  assert.equal(fromBatch.text, 'batch 321')
  assert.equal(fromBatch.messageId, (batch[321] as SendReceipt).messageId)
  assert.equal(fromBatch.queueOffset, (batch[321] as SendReceipt).queueOffset)
  say('sync, ordered, explicit queue, compressed and batch sends are stored as sent')

  await producer.sendOneway({ topic, body: 'one-way', keys: 'oneway-key' })
  const oneway = await eventually('the one-way message', async () => (await admin.messages.queryByKey(topic, 'oneway-key'))[0])
  assert.equal(oneway.text, 'one-way')
  const byKey = await eventually('the key', async () => (await admin.messages.queryByKey(topic, 'k2'))[0])
  assert.equal(byKey.messageId, first.messageId)
  const byId = await eventually('the unique key', async () => (await admin.messages.queryByUniqueKey(topic, first.messageId))[0])
  assert.equal(byId.offsetMessageId, first.offsetMessageId)
  assert.deepEqual(await admin.messages.queryByKey(topic, 'no-such-key'), [])
  say('one-way, query by key and by unique key')

  const level = await producer.send({ topic, body: 'later', delayLevel: 1, keys: 'delayed' })
  assert.equal(level.status, 'OK')
  const delivered = await eventually('the delayed message', async () => (await admin.messages.queryByKey(topic, 'delayed'))[0])
  assert.equal(delivered.text, 'later')
  assert.ok(delivered.storeTimestamp - delivered.bornTimestamp >= 900, 'level 1 is a second')
  say('delay level 1')
  if (features.timers) {
    const timed = await producer.send({ topic, body: 'in a while', delayMs: 1500, keys: 'timed' })
    const due = await eventually('the timed message', async () => (await admin.messages.queryByKey(topic, 'timed'))[0])
    assert.ok(due.storeTimestamp - due.bornTimestamp >= 1400, 'delayMs 1500')
    say(`delayMs (recall handle: ${timed.recallHandle ?? 'none'})`)
  }

  const stats = await admin.topics.stats(topic)
  assert.equal(stats.length, 4 * made.length)
  const stored = stats.reduce((sum, queueStats) => sum + queueStats.messages, 0)
  assert.equal(stored, 1 + 1 + 20 + 40 + 1 + 500 + 1 + 1 + (features.timers ? 1 : 0))
  say(`stats: ${stored} messages`)

  const auto = await producer.send({ topic: `${topic}_auto`, body: 'first of its topic' })
  assert.equal(auto.status, 'OK')
  await eventually('the route of the created topic', () => admin.topics.route(`${topic}_auto`))
  say('a topic was created by its first message')

  await assert.rejects(producer.send({ topic: 'SCHEDULE_TOPIC_XXXX', body: 'x' }), /forbidden/)
  await assert.rejects(
    producer.send({ topic, body: 'x' }, { queue: { ...queue, queueId: 99 } }),
    (error: unknown) => error instanceof RocketError && error.queueId === 99,
  )
  await assert.rejects(admin.topics.route('No_Such_Topic'), (error: unknown) => error instanceof RocketError && error.brokerCode === 17)

  await admin.groups.update({ groupName: group, retryMaxTimes: 3 }, { cluster })
  const groups = await admin.groups.list({ cluster })
  assert.equal(groups.find((config) => config.groupName === group)?.retryMaxTimes, 3)
  await assert.rejects(admin.groups.connection(group), (error: unknown) => error instanceof RocketError && error.brokerCode === 206)
  const progress = await admin.groups.progress(group, { topic })
  say(`progress: ${progress.queues.length} queues, diff ${progress.diff}`)
  await admin.groups.delete(group, { cluster, cleanOffsets: true })
  assert.equal(
    (await admin.groups.list({ cluster })).some((config) => config.groupName === group),
    false,
  )
  say('groups: created, listed, deleted')

  const address = made[0]?.address as string
  const runtimeInfo = await admin.cluster.runtimeInfo(address)
  assert.ok(Number(runtimeInfo['commitLogMaxOffset']) > 0)
  const config = await admin.cluster.brokerConfig(address)
  assert.equal(config['brokerClusterName'], cluster)
  await admin.cluster.updateBrokerConfig(address, { shortPollingTimeMills: '900' })
  assert.equal((await admin.cluster.brokerConfig(address))['shortPollingTimeMills'], '900')
  await admin.cluster.updateBrokerConfig(address, { shortPollingTimeMills: config['shortPollingTimeMills'] ?? '1000' })
  say(`broker: ${Object.keys(config).length} settings, ${Object.keys(runtimeInfo).length} counters`)

  await admin.namesrv.putKv('STORY', 'colour', 'blue')
  assert.equal(await admin.namesrv.getKv('STORY', 'colour'), 'blue')
  assert.deepEqual(await admin.namesrv.kvList('STORY'), { colour: 'blue' })
  await admin.namesrv.deleteKv('STORY', 'colour')
  assert.equal(await admin.namesrv.getKv('STORY', 'colour'), undefined)
  const brokerName = made[0]?.brokerName as string
  assert.ok(((await admin.namesrv.wipeWritePerm(brokerName))[0] as number) > 0)
  assert.equal((await admin.topics.route(topic)).queueDatas.find((data) => data.brokerName === brokerName)?.perm, 4)
  assert.ok(((await admin.namesrv.addWritePerm(brokerName))[0] as number) > 0)
  say('NameServer: KV and write permission')

  await admin.topics.delete(topic, { cluster })
  await admin.topics.delete(`${topic}_auto`, { cluster })
  await assert.rejects(admin.topics.route(topic), (error: unknown) => error instanceof RocketError && error.brokerCode === 17)
  await producer.close()
}

if (process.argv[1]?.endsWith('producer-story.ts')) {
  const namesrvAddr = process.argv[2] ?? '127.0.0.1:9876'
  await using client = await createClient({ namesrvAddr })
  await producerStory(client, (line) => console.log(line), { timers: process.argv[3] !== 'no-timers' })
  await using admin = await createAdmin({ namesrvAddr })
  console.log(`done against ${admin.namesrv.addresses.join(', ')}`)
}
