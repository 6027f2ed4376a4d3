/** What an operator asks of a broker: lists, counters, queue entries, clean-ups, and settings that change while it runs. */
import {
  CleanUnusedTopic,
  DeleteExpiredCommitlog,
  GetBrokerConsumeStats,
  GetBrokerRuntimeInfo,
  GetTopicConfig,
  QueryConsumeQueue,
  QueryConsumeTimeSpan,
  QueryMessage,
  UpdateAndCreateSubscriptiongroup,
  UpdateAndCreateSubscriptiongroupList,
  UpdateAndCreateTopic,
  UpdateAndCreateTopicList,
  UpdateBrokerConfig,
  UpdateConsumerOffset,
  ViewBrokerStatsData,
  decodeKVTable,
  encodeJson,
  parseFastjson,
} from '@skylarkmq/remoting/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { messagesIn, startScene, textOf } from './support.ts'
import type { Scene, TestClient } from './support.ts'

let scene: Scene
let client: TestClient
const saved: ReadonlyMap<string, string>[] = []
beforeEach(async () => {
  saved.length = 0
  scene = await startScene({}, () => ({ saveSettings: (changes) => void saved.push(changes) }))
  client = scene.client('client')
  await client.invoke(UpdateAndCreateTopic, { topic: 'orders', readQueueNums: 2, writeQueueNums: 2, perm: 6 })
})
afterEach(() => scene.close())

const bodyOf = (answer: { readonly body: Uint8Array }) => parseFastjson(Buffer.from(answer.body).toString()) as Record<string, unknown>
const config = (topicName: string) => ({ topicName, readQueueNums: 1, writeQueueNums: 1, perm: 6 })

describe('many topics and groups at once', () => {
  test('all are made', async () => {
    const body = encodeJson({ topicConfigList: [config('one'), config('two')] })
    expect((await client.invoke(UpdateAndCreateTopicList, {}, body)).code).toBe(0)
    for (const topic of ['one', 'two']) expect((await client.invoke(GetTopicConfig, { topic })).code).toBe(0)
    const groups = encodeJson({ groupConfigList: [{ groupName: 'g1' }, { groupName: 'g2' }] })
    expect((await client.invoke(UpdateAndCreateSubscriptiongroupList, {}, groups)).code).toBe(0)
  })

  test.each([
    ['a name that is none', config('a/b'), /a\/b, contains illegal characters/],
    ['a topic of the system', config('TBW102'), /conflict with system topic/],
    ['an attribute that nobody knows', { ...config('x'), attributes: { colour: 'red' } }, /unsupported key: colour/],
    ['no queue', { ...config('x'), readQueueNums: 0 }, /readQueueNums is 0/],
  ])('%s: none is made', async (_what, wrong, remark) => {
    const answer = await client.invoke(UpdateAndCreateTopicList, {}, encodeJson({ topicConfigList: [config('fine'), wrong] }))
    expect(answer.code).not.toBe(0)
    expect(answer.remark).toMatch(remark)
    expect((await client.invoke(GetTopicConfig, { topic: 'fine' })).code).toBe(17)
  })
})

describe('how far groups are', () => {
  beforeEach(async () => {
    for (let i = 0; i < 4; i++) await client.send('orders', `m${i}`, { queueId: i % 2 }, { TAGS: i < 2 ? 'A' : 'B' })
    await client.invoke(UpdateAndCreateSubscriptiongroup, {}, encodeJson({ groupName: 'slow' }))
    await client.invoke(UpdateConsumerOffset, { consumerGroup: 'slow', topic: 'orders', queueId: 0, commitOffset: 1 })
  })

  test('the lag of every group in one answer', async () => {
    const answer = bodyOf(await client.invoke(GetBrokerConsumeStats, { isOrder: false }))
    expect(answer['totalDiff']).toBe(3)
    expect(Object.keys((answer['consumeStatsList'] as object[])[0] as object)).toEqual(['slow'])
    expect(bodyOf(await client.invoke(GetBrokerConsumeStats, { isOrder: true }))['consumeStatsList']).toEqual([])
  })

  test('a monitor reads the lag and the age of what waits', async () => {
    await scene.world.run(60_000)
    const figures = [...(await scene.world.until(scene.broker.figures()))]
    const of = (name: string) => figures.filter((f) => f.name === name && f.labels?.['consumer_group'] === 'slow').map(({ value }) => value)
    expect(of('rocketmq_consumer_lag_messages')).toEqual([3])
    expect(of('rocketmq_consumer_inflight_messages')).toEqual([0])
    expect(of('rocketmq_consumer_lag_latency')[0]).toBeGreaterThanOrEqual(60_000)
    const incoming = figures.find((f) => f.name === 'rocketmq_messages_in_total' && f.labels?.['topic'] === 'orders')
    expect(incoming).toMatchObject({ kind: 'counter', value: 4, labels: { cluster: 'DefaultCluster', node_id: 'broker-a' } })
  })

  test('how old what waits is', async () => {
    await scene.world.run(60_000)
    const spans = bodyOf(await client.invoke(QueryConsumeTimeSpan, { topic: 'orders', group: 'slow' }))['consumeTimeSpanSet'] as {
      readonly delayTime: number
    }[]
    expect(spans.map(({ delayTime }) => delayTime >= 60_000)).toEqual([true, true])
    expect((await client.invoke(QueryConsumeTimeSpan, { topic: 'none', group: 'slow' })).code).toBe(17)
  })

  test('the entries of a queue, with what a subscription makes of them', async () => {
    const answer = bodyOf(await client.invoke(QueryConsumeQueue, { topic: 'orders', queueId: 1, index: 0, count: 10 }))
    expect(answer).toMatchObject({ minQueueIndex: 0, maxQueueIndex: 2, queueData: [{ tagsCode: 65 }, { tagsCode: 66 }] })
    const absent = await client.invoke(QueryConsumeQueue, { topic: 'orders', queueId: 9, index: 0 })
    expect([absent.code, absent.remark]).toEqual([1, '9@orders is not exist! The queues that there are: mqadmin topicStatus -t NAME'])
  })

  test('messages are found by tag', async () => {
    const query = { topic: 'orders', maxNum: 32, beginTimestamp: 0, endTimestamp: Number.MAX_SAFE_INTEGER, indexType: 'T' }
    expect(messagesIn(await client.invoke(QueryMessage, { ...query, key: 'B' })).map(textOf)).toEqual(['m2', 'm3'])
    expect((await client.invoke(QueryMessage, { ...query, key: 'C' })).code).toBe(22)
  })

  test('the broker says how long stores took, and how its scheduled messages are', async () => {
    const info = async () => decodeKVTable((await client.invoke(GetBrokerRuntimeInfo, {})).body).table as Record<string, string>
    const before = await info()
    expect(before['putMessageDistributeTime']).toMatch(/^\[<=0ms\]:\d+ \[0~10ms\]:\d+ .*\[10s~\]:0 $/)
    const storesIn = (table: Record<string, string>) =>
      [...(table['putMessageDistributeTime'] as string).matchAll(/:(\d+)/g)].reduce((sum, [, n]) => sum + Number(n), 0)
    expect(storesIn(before)).toBeGreaterThanOrEqual(4)
    for (let i = 0; i < 3; i++) await client.send('orders', `later${i}`, {}, { TIMER_DELAY_SEC: '3600' })
    await scene.world.run(30_000)
    expect(await info()).toMatchObject({ timerCongestNum: '3', timerOffsetBehind: '0', timerReadBehind: '0', timerDequeueTps: '0.0' })
    expect(Number((await info())['timerEnqueueTps'])).toBeGreaterThan(0)
    await scene.world.run(3_580_000)
    expect(await info()).toMatchObject({ timerCongestNum: '0', timerReadBehind: '0' })
    expect(Number((await info())['timerDequeueTps'])).toBeGreaterThan(0)
  })

  test('a query by key brings no more than the broker allows, whatever it asks for', async () => {
    for (let i = 0; i < 70; i++) await client.send('orders', `k${i}`, {}, { KEYS: 'one' })
    const query = { topic: 'orders', key: 'one', maxNum: 500, beginTimestamp: 0, endTimestamp: Number.MAX_SAFE_INTEGER }
    expect(messagesIn(await client.invoke(QueryMessage, query))).toHaveLength(64)
    expect(messagesIn(await client.invoke(QueryMessage, { ...query, maxNum: 3 }))).toHaveLength(3)
  })

  test('counters: what has traffic since the start, an error for what has none, and what the day brought', async () => {
    const view = (statsName: string, statsKey: string) => client.invoke(ViewBrokerStatsData, { statsName, statsKey })
    expect(bodyOf(await view('TOPIC_PUT_NUMS', 'orders'))).toMatchObject({ statsMinute: { sum: 4 }, statsDay: { sum: 4 } })
    expect(bodyOf(await view('GROUP_GET_NUMS', 'orders@slow'))).toMatchObject({ statsMinute: { sum: 1 } })
    const none = await view('TOPIC_PUT_NUMS', 'TBW102')
    expect([none.code, none.remark]).toEqual([
      1,
      'The stats <TOPIC_PUT_NUMS> <TBW102> not exist; nothing was counted of it since the broker started',
    ])

    const info = async () => decodeKVTable((await client.invoke(GetBrokerRuntimeInfo, {})).body).table
    expect(await info()).toMatchObject({ msgPutTotalTodayMorning: '0', msgPutTotalTodayNow: '4' })
    await scene.world.run(26.5 * 3_600_000)
    expect(bodyOf(await view('TOPIC_PUT_NUMS', 'orders'))).toMatchObject({ statsMinute: { sum: 0 }, statsDay: { sum: 0 } })
    await client.send('orders', 'tomorrow')
    expect(await info()).toMatchObject({ msgPutTotalYesterdayMorning: '0', msgPutTotalTodayMorning: '4', msgPutTotalTodayNow: '5' })
  })
})

describe('clean-ups', () => {
  test('a sound broker has nothing to clean: the topic and its messages stay', async () => {
    await client.send('orders', 'kept')
    expect((await client.invoke(CleanUnusedTopic, {})).code).toBe(0)
    expect((await client.invoke(DeleteExpiredCommitlog, {})).code).toBe(0)
    await scene.world.run(120_000)
    expect(messagesIn(await client.pull('orders')).map(textOf)).toEqual(['kept'])
  })
})

test('a broker is ready when somebody can find it: with a NameServer that is away it is not, and says so', async () => {
  expect(scene.broker.unready()).toEqual([])
  await scene.restart({ namesrvAddr: 'nowhere:9876' })
  expect(scene.broker.unready()).toEqual(['the NameServer nowhere:9876 does not know of this broker'])
})

describe('settings', () => {
  const change = (text: string) => client.invoke(UpdateBrokerConfig, {}, Buffer.from(text))

  test('a change is kept in the file', async () => {
    expect((await change('fileReservedTime=71')).code).toBe(0)
    expect(saved).toEqual([new Map([['fileReservedTime', '71']])])
  })

  test.each([
    ['brokerConfigPath=/elsewhere', 16, 'Can not update config in black list. brokerConfigPath'],
    ['rocketmqHome=$(reboot)', 16, 'Can not update config in black list. rocketmqHome'],
    ['storePathRootDir=/elsewhere', 16, 'Can not update config in black list. storePathRootDir'],
    ['fileReservedTime=71\nlistenPort=1', 16, 'Can not update config in black list. listenPort'],
    ['fileReservedTime=never', 29, 'fileReservedTime=never: it must be a whole number'],
    ['fileReservdTime=71', 29, 'did you mean fileReservedTime?'],
    ['', 29, 'the request body is empty'],
  ])('%j is refused, and nothing is kept', async (text, code, remark) => {
    const answer = await change(text)
    expect([answer.code, answer.remark]).toEqual([code, expect.stringContaining(remark)])
    expect(saved).toEqual([])
  })
})
