import { clientHandler } from '@skylarkmq/remoting'
import {
  ConsumeMessageDirectly,
  DeleteSubscriptiongroup,
  DeleteTopicInBroker,
  GetAllSubscriptiongroupConfig,
  GetAllTopicConfig,
  GetBrokerConfig,
  GetBrokerRuntimeInfo,
  GetConsumerConnectionList,
  GetConsumerRunningInfo,
  GetProducerConnectionList,
  GetSubscriptiongroupConfig,
  GetSystemTopicListFromBroker,
  GetTopicConfig,
  GetTopicStatsInfo,
  PULL_FLAG,
  QueryMessage,
  QueryTopicConsumeByWho,
  UpdateAndCreateTopic,
  UpdateBrokerConfig,
  ViewMessageById,
  decodeConsumerConnection,
  decodeGroupConfig,
  decodeGroupConfigTable,
  decodeKVTable,
  decodeProducerConnection,
  decodeTopicConfig,
  decodeTopicConfigTable,
  decodeTopicList,
  decodeTopicStats,
  parseOffsetMessageId,
} from '@skylarkmq/remoting/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { consumer, messagesIn, startScene, subscription, textOf } from './support.ts'
import type { Scene, TestClient } from './support.ts'

let scene: Scene
let client: TestClient
beforeEach(async () => {
  scene = await startScene()
  client = scene.client('client')
})
afterEach(() => scene.close())

const update = { topic: 'orders', readQueueNums: 2, writeQueueNums: 3, perm: 6 }

describe('topics', () => {
  test('are created, changed, listed, and still there after a restart', async () => {
    await client.invoke(UpdateAndCreateTopic, { ...update, attributes: '+message.type=NORMAL,+reserve.time=5' })
    await client.invoke(UpdateAndCreateTopic, { ...update, writeQueueNums: 4, attributes: '-reserve.time' })
    await scene.restart()
    const config = decodeTopicConfig((await client.invoke(GetTopicConfig, { topic: 'orders' })).body)
    expect(config).toMatchObject({
      topicName: 'orders',
      readQueueNums: 2,
      writeQueueNums: 4,
      perm: 6,
      attributes: { 'message.type': 'NORMAL' },
    })
    const all = await client.invoke(GetAllTopicConfig, {})
    expect(decodeTopicConfigTable(all.body).topicConfigTable['orders']).toEqual(config)
    expect((await client.invoke(GetTopicConfig, { topic: 'none' })).code).toBe(17)
  })

  test('are deleted with their queues and offsets; whoever waits for them is told', async () => {
    await client.send('orders', 'x')
    await client.pull('orders', { queueOffset: 1, commitOffset: 1, sysFlag: PULL_FLAG.SUBSCRIPTION | PULL_FLAG.COMMIT_OFFSET })
    const held = client.askPull('orders', { queueOffset: 1, sysFlag: PULL_FLAG.SUBSCRIPTION | PULL_FLAG.SUSPEND })
    await scene.world.run(50)
    expect((await client.invoke(DeleteTopicInBroker, { topic: 'orders' })).code).toBe(0)
    expect((await scene.world.until(held)).code).toBe(17)
    await client.send('orders', 'new')
    const pulled = await client.pull('orders')
    expect(messagesIn(pulled).map(textOf)).toEqual(['new'])
    expect(await client.invoke(DeleteTopicInBroker, { topic: 'TBW102' })).toMatchObject({ code: 29 })
  })

  test('of the system are listed', async () => {
    const { topicList } = decodeTopicList((await client.invoke(GetSystemTopicListFromBroker, {})).body)
    expect(topicList).toEqual(
      expect.arrayContaining(['TBW102', 'SCHEDULE_TOPIC_XXXX', 'DefaultCluster', 'broker-a', 'RMQ_SYS_TRANS_HALF_TOPIC']),
    )
  })

  test('have statistics', async () => {
    await client.send('orders', 'x')
    const { offsetTable } = decodeTopicStats((await client.invoke(GetTopicStatsInfo, { topic: 'orders' })).body)
    expect(offsetTable.map(([queue, offsets]) => [queue.brokerName, queue.queueId, offsets.maxOffset])).toEqual([
      ['broker-a', 0, 1],
      ['broker-a', 1, 0],
      ['broker-a', 2, 0],
      ['broker-a', 3, 0],
    ])
    expect(offsetTable[0]![1].lastUpdateTimestamp).toBeGreaterThan(0)
  })
})

test('groups are listed and deleted; the system’s stay', async () => {
  await client.send('orders', 'x')
  await client.pull('orders')
  const table = decodeGroupConfigTable((await client.invoke(GetAllSubscriptiongroupConfig, {})).body).subscriptionGroupTable
  expect(Object.keys(table)).toEqual(expect.arrayContaining(['cg', 'TOOLS_CONSUMER']))
  expect(decodeGroupConfig((await client.invoke(GetSubscriptiongroupConfig, { group: 'cg' })).body).retryMaxTimes).toBe(16)
  expect((await client.invoke(DeleteSubscriptiongroup, { groupName: 'cg', cleanOffset: true })).code).toBe(0)
  expect((await client.invoke(GetSubscriptiongroupConfig, { group: 'cg' })).code).toBe(26)
  expect((await client.invoke(DeleteSubscriptiongroup, { groupName: 'TOOLS_CONSUMER' })).code).toBe(29)
})

describe('messages are found', () => {
  test('by their offset id', async () => {
    const sent = await client.send('orders', 'x')
    const { physicalOffset } = parseOffsetMessageId(sent.header().msgId)!
    expect(messagesIn(await client.invoke(ViewMessageById, { offset: physicalOffset })).map(textOf)).toEqual(['x'])
    expect(await client.invoke(ViewMessageById, { offset: physicalOffset + 4 })).toMatchObject({
      code: 1,
      remark: expect.stringMatching(/^can not find message by the offset, \d+/),
    })
  })

  test('by key and by unique key, exactly', async () => {
    await client.send('orders', 'one', {}, { KEYS: 'k1 k2', UNIQ_KEY: 'u1' })
    await client.send('orders', 'two', {}, { KEYS: 'k2', UNIQ_KEY: 'u2' })
    await client.send('other', 'three', {}, { KEYS: 'k2' })
    const query = (key: string, more = {}) =>
      client.invoke(QueryMessage, { topic: 'orders', key, maxNum: 10, beginTimestamp: 0, endTimestamp: Number.MAX_SAFE_INTEGER, ...more })
    expect(
      messagesIn(await query('k2'))
        .map(textOf)
        .sort(),
    ).toEqual(['one', 'two'])
    expect(messagesIn(await query('k1')).map(textOf)).toEqual(['one'])
    expect(messagesIn(await query('u2', { _UNIQUE_KEY_QUERY: true })).map(textOf)).toEqual(['two'])
    expect(await query('k9')).toMatchObject({ code: 22, remark: expect.stringContaining('can not find message') })
  })
})

describe('clients', () => {
  test('and what they consume can be seen', async () => {
    await client.heartbeat('c1', [consumer('cg', subscription('orders', 'a||b'))], ['pg'])
    const group = decodeConsumerConnection((await client.invoke(GetConsumerConnectionList, { consumerGroup: 'cg' })).body)
    expect(group.connectionSet).toEqual([expect.objectContaining({ clientId: 'c1' })])
    expect(group.subscriptionTable['orders']).toMatchObject({ subString: 'a||b' })
    const producers = decodeProducerConnection((await client.invoke(GetProducerConnectionList, { producerGroup: 'pg' })).body)
    expect(producers.map((producer) => producer.clientId)).toEqual(['c1'])
    expect((await client.invoke(GetConsumerConnectionList, { consumerGroup: 'none' })).code).toBe(206)
    const who = await client.invoke(QueryTopicConsumeByWho, { topic: 'orders' })
    expect(JSON.parse(Buffer.from(who.body).toString())).toEqual({ groupList: ['cg'] })
  })

  test('are asked for their state; what they answer is handed on, and silence is said to be silence', async () => {
    const asked: string[] = []
    const member = scene.client('member', [
      clientHandler(GetConsumerRunningInfo, ({ clientId }) => ({ code: 0, body: Buffer.from(`{"of":"${clientId}"}`) })),
      clientHandler(ConsumeMessageDirectly, (_header, { body }) => {
        asked.push(...messagesIn({ body }).map(textOf))
        return { code: 0, body: Buffer.from('{"consumeResult":"CR_SUCCESS"}') }
      }),
    ])
    await member.heartbeat('m1', [consumer('cg', subscription('orders'))])
    const info = await client.invoke(GetConsumerRunningInfo, { consumerGroup: 'cg', clientId: 'm1' })
    expect(Buffer.from(info.body).toString()).toBe('{"of":"m1"}')
    const { msgId } = (await client.send('orders', 'now')).header()
    const result = await client.invoke(ConsumeMessageDirectly, { consumerGroup: 'cg', clientId: 'm1', msgId })
    expect(Buffer.from(result.body).toString()).toBe('{"consumeResult":"CR_SUCCESS"}')
    expect(asked).toEqual(['now'])
    expect(await client.invoke(GetConsumerRunningInfo, { consumerGroup: 'cg', clientId: 'm2' })).toMatchObject({
      code: 1,
      remark: 'The Consumer <cg> <m2> not online; who is: mqadmin consumerConnection -g NAME',
    })
  })
})

describe('the configuration', () => {
  const change = (text: string) => client.invoke(UpdateBrokerConfig, {}, Buffer.from(text))

  test('can be read, and changed where a change acts at once', async () => {
    expect((await change('autoCreateTopicEnable=false\n')).code).toBe(0)
    expect((await client.send('orders', 'x')).code).toBe(17)
    const text = Buffer.from((await client.invoke(GetBrokerConfig, {})).body).toString()
    expect(text).toContain('autoCreateTopicEnable=false\n')
    expect(text).toContain('brokerName=broker-a\n')
  })

  test('is not changed where it would not act, nor by a misspelt key, nor by half', async () => {
    expect(await change('listenPort=1\n')).toMatchObject({ code: 16, remark: expect.stringContaining('listenPort') })
    expect(await change('autoCreateTopicEnabel=false')).toMatchObject({
      code: 29,
      remark: expect.stringContaining('did you mean autoCreateTopicEnable'),
    })
    expect(await change('autoCreateTopicEnable=false\nbrokerPermission=99')).toMatchObject({
      code: 29,
      remark: expect.stringContaining('brokerPermission=99'),
    })
    expect((await client.send('orders', 'x')).code).toBe(0)
  })

  test('and the state of the broker can be seen', async () => {
    await client.send('orders', 'x')
    const { table } = decodeKVTable((await client.invoke(GetBrokerRuntimeInfo, {})).body)
    expect(Number(table['commitLogMaxOffset'])).toBeGreaterThan(0)
    expect(table['scheduleMessageOffset_1']).toBe('0,0')
  })
})

test('a delayed message survives that its broker is killed', async () => {
  await client.send('orders', 'x', {}, { DELAY: '2' })
  await scene.world.run(2_000)
  scene.world.kill('broker')
  await scene.revive()
  client = scene.client('client-2')
  await scene.world.run(4_000)
  expect(messagesIn(await client.pull('orders')).map(textOf)).toEqual(['x'])
})

test('a crash that loses the settings of a new topic does not lose its messages; a deleted topic stays away', async () => {
  await client.send('deleted', 'x')
  await client.invoke(DeleteTopicInBroker, { topic: 'deleted' })
  await client.send('orders', 'x', { queueId: 2 })
  scene.metadata.delete('topics', 'orders')
  scene.world.kill('broker')
  await scene.revive()
  client = scene.client('client-2')
  expect(messagesIn(await client.pull('orders', { queueId: 2 })).map(textOf)).toEqual(['x'])
  expect((await client.pull('deleted')).code).toBe(17)
})
