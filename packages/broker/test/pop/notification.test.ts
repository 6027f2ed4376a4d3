import { Notification, PeekMessage, PopMessage, UpdateAndCreateTopic } from '@skylarkmq/remoting/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { startScene } from '../support.ts'
import type { Scene, TestClient } from '../support.ts'
import { ack, bodiesOf, messagesOf, pop, popHeader } from './pop-support.ts'

let scene: Scene
let client: TestClient
beforeEach(async () => {
  scene = await startScene()
  client = scene.client('client')
})
afterEach(() => scene.close())

const target = { consumerGroup: 'cg', topic: 'orders', queueId: -1 }
const notified = (pollTime = 0) => client.ask(Notification, { ...target, pollTime })

test('who waits for a notification hears of the next message, and of none when its time is up', async () => {
  await client.send('orders', 'a')
  expect((await scene.world.until(notified())).header()).toEqual({ hasMsg: true })
  await ack(client, messagesOf(await pop(client))[0]!)
  expect((await scene.world.until(notified(3000))).header()).toEqual({ hasMsg: false })
  const held = notified(20_000)
  await scene.world.run(1000)
  await client.send('orders', 'b')
  expect((await scene.world.until(held)).header()).toEqual({ hasMsg: true })
})

test('a message that becomes visible again is told, too', async () => {
  await client.send('orders', 'a')
  await pop(client, { invisibleTime: 2000 })
  expect((await scene.world.until(notified(20_000))).header().hasMsg).toBe(true)
  expect(bodiesOf(await pop(client))).toEqual(['a'])
})

test('peeking shows what a pop would bring and takes nothing', async () => {
  for (let i = 0; i < 3; i++) await client.send('orders', `m${i}`, { queueId: 0 })
  const peek = (maxMsgNums: number) => client.invoke(PeekMessage, { ...target, maxMsgNums })
  const answer = await peek(2)
  expect(messagesOf(answer).map(({ body }) => body)).toEqual(['m0', 'm1'])
  expect(answer.header().restNum).toBe(3)
  expect(bodiesOf(await pop(client))).toEqual(['m0', 'm1', 'm2'])
  expect((await peek(2)).code).toBe(19)
})

describe('waiting pops', () => {
  test('of a group share what comes', async () => {
    await client.send('orders', 'warm')
    await pop(client)
    const others = [1, 2, 3].map((n) => scene.client(`waiter-${n}`).ask(PopMessage, popHeader({ pollTime: 30_000, maxMsgNums: 1 })))
    await scene.world.run(500)
    for (const body of ['a', 'b', 'c']) await client.send('orders', body, { queueId: 0 })
    const answers = await scene.world.until(Promise.all(others))
    expect(answers.flatMap(bodiesOf).sort()).toEqual(['a', 'b', 'c'])
  })

  test('of different groups get the message each', async () => {
    await client.send('orders', 'warm')
    for (const consumerGroup of ['g1', 'g2']) await pop(client, { consumerGroup })
    const held = ['g1', 'g2'].map((consumerGroup) => client.ask(PopMessage, popHeader({ consumerGroup, pollTime: 30_000 })))
    await scene.world.run(500)
    await client.send('orders', 'a')
    expect((await scene.world.until(Promise.all(held))).map(bodiesOf)).toEqual([['a'], ['a']])
  })

  test('are refused when too many wait, and forgotten when their client goes', async () => {
    await scene.restart({ popPollingSize: 2 })
    await scene.client('seed').send('orders', 'x')
    const lost = scene.client('lost')
    await lost.invoke(PopMessage, popHeader())
    for (let i = 0; i < 2; i++) lost.ask(PopMessage, popHeader({ pollTime: 60_000 })).catch(() => undefined)
    await scene.world.run(500)
    client = scene.client('client-2')
    expect((await pop(client, { pollTime: 60_000 })).code).toBe(209)
    lost.remoting.close()
    await scene.world.run(500)
    const held = client.ask(PopMessage, popHeader({ pollTime: 60_000 }))
    await scene.world.run(500)
    await client.send('orders', 'y')
    expect(bodiesOf(await scene.world.until(held))).toEqual(['y'])
  })
})

test('with enableRetryTopicV2 what was not acknowledged comes by the other retry topic; older ones are still found', async () => {
  await client.send('orders', 'old')
  await pop(client, { invisibleTime: 1000 })
  await scene.world.run(1100)
  await scene.restart({ enableRetryTopicV2: true })
  client = scene.client('client-2')
  const [old] = messagesOf(await pop(client))
  expect(old!.handle.split(' ')[4]).toBe('1')
  await client.send('orders', 'new')
  await ack(client, old!)
  await pop(client, { invisibleTime: 1000 })
  await scene.world.run(1100)
  const [again] = messagesOf(await pop(client))
  expect([again!.body, again!.handle.split(' ')[4]]).toEqual(['new', '2'])
  expect((await ack(client, again!)).code).toBe(0)
  await scene.world.run(20_000)
  expect(bodiesOf(await pop(client))).toEqual([])
})

test('of a topic for priorities the most urgent queue is popped first', async () => {
  const attributes = '+message.type=PRIORITY'
  const config = { topic: 'urgent', defaultTopic: 'TBW102', readQueueNums: 4, writeQueueNums: 4, perm: 6, topicFilterType: 'SINGLE_TAG' }
  await client.invoke(UpdateAndCreateTopic, { ...config, topicSysFlag: 0, order: false, attributes })
  for (const priority of ['1', '7', '0', '2']) await client.send('urgent', `p${priority}`, { queueId: 0 }, { _SYS_MSG_PRIORITY_: priority })
  const seen: string[] = []
  for (let i = 0; i < 4; i++) seen.push(...bodiesOf(await pop(client, { topic: 'urgent', maxMsgNums: 1 })))
  expect(seen).toEqual(['p7', 'p2', 'p1', 'p0'])
  // In order there are no priorities, and a delayed message has none.
  const ordered = await client.send('urgent', 'later', { queueId: 1 }, { _SYS_MSG_PRIORITY_: '3', __SHARDINGKEY: 'k' })
  expect(ordered.header().queueId).toBe(1)
})
