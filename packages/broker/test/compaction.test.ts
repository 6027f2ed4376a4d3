import {
  DeleteTopicInBroker,
  GetMaxOffset,
  GetMinOffset,
  ResponseCode,
  UpdateAndCreateTopic,
  decodeRecords,
} from '@skylarkmq/remoting/protocol'
import { afterEach, expect, test } from 'vitest'
import type { Scene, TestClient } from './support.ts'
import { startScene } from './support.ts'

const INTERVAL_MS = 1_000
const TOPIC = {
  topic: 'prices',
  defaultTopic: 'TBW102',
  readQueueNums: 1,
  writeQueueNums: 1,
  perm: 6,
  topicFilterType: 'SINGLE_TAG',
  topicSysFlag: 0,
  order: false,
  attributes: '+cleanup.policy=COMPACTION',
}

let scene: Scene
afterEach(() => scene.close())

async function start(): Promise<TestClient> {
  scene = await startScene({ compactionScheduleInternal: INTERVAL_MS, compactionTombstoneRetention: 60_000 })
  const client = scene.client('app')
  expect(await client.invoke(UpdateAndCreateTopic, TOPIC)).toMatchObject({ code: 0 })
  return client
}

/** What a consumer gets that pulls from `offset` until there is nothing more. */
async function pullAll(client: TestClient, offset = 0): Promise<string[]> {
  const texts: string[] = []
  let next = offset
  for (let i = 0; i < 100; i++) {
    const answer = await client.pull('prices', { queueOffset: next, suspendTimeoutMillis: 0 })
    if (answer.code === ResponseCode.PULL_NOT_FOUND) return texts
    expect([ResponseCode.SUCCESS, ResponseCode.PULL_RETRY_IMMEDIATELY]).toContain(answer.code)
    for (const record of decodeRecords(answer.body)) {
      texts.push(`${record.queueOffset}: ${record.properties.get('KEYS')}=${Buffer.from(record.body).toString()}`)
    }
    next = answer.header().nextBeginOffset
  }
  throw new Error('the pulls do not come to an end')
}

const put = (client: TestClient, key: string, value: string) => client.send('prices', value, {}, { KEYS: key })

test('a shop keeps its prices in a compacted topic: whoever starts later gets one price for each thing', async () => {
  const client = await start()
  for (let i = 0; i < 50; i++) await put(client, i % 2 === 0 ? 'pear' : 'apple', String(i))
  await put(client, 'plum', '1')
  await scene.world.run(2 * INTERVAL_MS)
  expect(await pullAll(client)).toEqual(['48: pear=48', '49: apple=49', '50: plum=1'])
  expect(await pullAll(client, 20)).toEqual(['48: pear=48', '49: apple=49', '50: plum=1'])
  // What comes now is seen at once, and the queue's offsets are what they were.
  await put(client, 'pear', '50')
  expect(await pullAll(client, 49)).toEqual(['49: apple=49', '50: plum=1', '51: pear=50'])
  expect((await client.invoke(GetMinOffset, { topic: 'prices', queueId: 0 })).header()).toMatchObject({ offset: 0 })
  expect((await client.invoke(GetMaxOffset, { topic: 'prices', queueId: 0 })).header()).toMatchObject({ offset: 52 })
})

test('an empty message deletes its key: seen for a while, then both are gone', async () => {
  const client = await start()
  await put(client, 'pear', '1')
  await put(client, 'apple', '1')
  expect(await put(client, 'pear', '')).toMatchObject({ code: 0 })
  await scene.world.run(2 * INTERVAL_MS)
  expect(await pullAll(client)).toEqual(['1: apple=1', '2: pear='])
  await scene.world.run(65_000)
  expect(await pullAll(client)).toEqual(['1: apple=1'])
  // Elsewhere an empty message is none.
  expect(await client.send('orders', '', {}, { KEYS: 'pear' })).toMatchObject({ code: ResponseCode.MESSAGE_ILLEGAL })
})

test.each([
  ['no keys', {}],
  ['blank keys', { KEYS: '  ' }],
  ['a delay and no keys', { DELAY: '1' }],
  ['a transaction and no keys', { TRAN_MSG: 'true' }],
])('a message with %s is refused, with what to do', async (_what, properties) => {
  const client = await start()
  const answer = await client.send('prices', 'x', {}, properties)
  expect(answer.code).toBe(ResponseCode.MESSAGE_ILLEGAL)
  expect(answer.remark).toMatch(/^Required message key is missing: topic "prices" keeps the last message of each key/)
  expect((await client.invoke(GetMaxOffset, { topic: 'prices', queueId: 0 })).header()).toMatchObject({ offset: 0 })
})

test('the policy outlives restarts and crashes, also one that loses the settings', async () => {
  const client = await start()
  await put(client, 'pear', '1')
  await put(client, 'pear', '2')
  for (const row of ['prices']) scene.metadata.delete('topics', row)
  scene.world.kill('broker')
  await scene.revive()
  const again = scene.client('again')
  expect((await again.send('prices', 'x')).remark).toContain('Required message key is missing')
  await scene.world.run(2 * INTERVAL_MS)
  expect(await pullAll(again)).toEqual(['1: pear=2'])
  await scene.restart()
  expect(await pullAll(scene.client('third'))).toEqual(['1: pear=2'])
})

test('a deleted topic may be made again without the policy', async () => {
  const client = await start()
  await put(client, 'pear', '1')
  await scene.world.run(2 * INTERVAL_MS)
  await client.invoke(DeleteTopicInBroker, { topic: 'prices' })
  const { attributes: _, ...plain } = TOPIC
  expect(await client.invoke(UpdateAndCreateTopic, plain)).toMatchObject({ code: 0 })
  expect(await client.send('prices', 'x')).toMatchObject({ code: 0 })
  expect(await client.send('prices', 'y')).toMatchObject({ code: 0 })
  await scene.world.run(2 * INTERVAL_MS)
  expect(await pullAll(client)).toEqual(['0: undefined=x', '1: undefined=y'])
})

test.each([
  ['cleanup.policy=COMPACTION', /^add\/alter attribute format is wrong: "cleanup.policy=COMPACTION"/],
  ['cleanup.policy', /^delete attribute format is wrong: "cleanup.policy"/],
  ['+cleanup.policy=COMPACT', /^value is not in set: the attribute cleanup.policy is "COMPACT"; it must be DELETE or COMPACTION/],
  ['+cleanup=COMPACTION', /^unsupported key: cleanup; a topic may have queue.type, cleanup.policy/],
  ['+message.type=FIFO,+message.type=NORMAL', /^alter duplication key. key: message.type/],
  ['-message.type', /^only add attribute is supported while creating topic. key: message.type/],
  ['+message.type=OTHER', /message.type is "OTHER"; it must be UNSPECIFIED, NORMAL/],
  ['+message.type=MIXED', /MIXED message type is not supported. Set enableMixedMessageType=true/],
  ['+message.type=LITE', /lite topics are not supported/],
  ['+queue.type=BatchCQ', /queues of batches are not supported; use SimpleCQ/],
  ['+reserve.time=-2', /reserve.time is "-2"; it must be a whole number from -1/],
  ['+reserve.time=soon', /reserve.time is "soon"; it must be a whole number from -1/],
])('updateTopic with %s is refused, and the remark names what is wrong', async (attributes, remark) => {
  const client = await start()
  const answer = await client.invoke(UpdateAndCreateTopic, { ...TOPIC, topic: 'other', attributes })
  expect(answer.code).toBe(ResponseCode.SYSTEM_ERROR)
  expect(answer.remark).toMatch(remark)
})

test('what a topic is made for stays: the policy cannot be changed, only said again', async () => {
  const client = await start()
  const change = (attributes: string) => client.invoke(UpdateAndCreateTopic, { ...TOPIC, attributes })
  for (const attributes of ['+cleanup.policy=DELETE', '-cleanup.policy', '+queue.type=SimpleCQ,-cleanup.policy']) {
    const answer = await change(attributes)
    expect(answer.code).toBe(ResponseCode.SYSTEM_ERROR)
    expect(answer.remark).toMatch(/^attempt to update an unchangeable attribute. key: cleanup.policy; it is "COMPACTION"/)
  }
  expect((await change('-reserve.time')).remark).toMatch(/^attempt to delete a nonexistent key: reserve.time/)
  expect(await change('+cleanup.policy=COMPACTION,+message.type=FIFO,+reserve.time=100')).toMatchObject({ code: 0 })
  expect(await change('-reserve.time')).toMatchObject({ code: 0 })
  // A topic that was made without stays without.
  await client.invoke(UpdateAndCreateTopic, { ...TOPIC, topic: 'orders', attributes: '' })
  const late = await client.invoke(UpdateAndCreateTopic, { ...TOPIC, topic: 'orders' })
  expect(late.remark).toMatch(/^attempt to update an unchangeable attribute. key: cleanup.policy; it is "DELETE"/)
})
