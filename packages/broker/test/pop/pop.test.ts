import {
  BatchAckMessage,
  PollingInfo,
  PopMessage,
  QueryConsumerOffset,
  UpdateAndCreateSubscriptiongroup,
  encodeBatchAck,
  encodeJson,
  normalizeGroupConfig,
  parseExtraInfo,
} from '@skylarkmq/remoting/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { startScene } from '../support.ts'
import type { Scene, TestClient } from '../support.ts'
import { ack, bodiesOf, change, messagesOf, pop, popHeader } from './pop-support.ts'

let scene: Scene
let client: TestClient
beforeEach(async () => {
  scene = await startScene()
  client = scene.client('client')
})
afterEach(() => scene.close())

const send = async (...bodies: string[]) => {
  for (const [i, body] of bodies.entries()) await client.send('orders', body, { queueId: i % 4 }, { TAGS: body.slice(0, 1) })
}
const committed = async (queueId = 0) =>
  (await client.invoke(QueryConsumerOffset, { consumerGroup: 'cg', topic: 'orders', queueId })).header().offset

describe('a group that pops', () => {
  test('gets each message once, of all queues', async () => {
    await send('a', 'b', 'c', 'd', 'e')
    const answer = await pop(client)
    expect(bodiesOf(answer)).toEqual(['a', 'b', 'c', 'd', 'e'])
    expect(answer.remark).toBe('FOUND')
    expect(answer.header()).toMatchObject({ invisibleTime: 10_000, reviveQid: 0, restNum: 0 })
    expect((await pop(client)).code).toBe(210)
  })

  test('gets what it did not acknowledge again after the invisible time, and what it did never', async () => {
    await send('kept', 'done')
    const popped = messagesOf(await pop(client))
    expect((await ack(client, popped.find(({ body }) => body === 'done')!)).code).toBe(0)
    await scene.world.run(9_900)
    expect(bodiesOf(await pop(client))).toEqual([])
    await scene.world.run(200)
    const again = messagesOf(await pop(client))
    expect(again.map(({ body }) => body)).toEqual(['kept'])
    expect(again[0]!.stored.reconsumeTimes).toBe(1)
    expect(again[0]!.stored.topic).toBe('orders')
    expect(again[0]!.stored.properties.get('1ST_POP_TIME')).toBe(popped[0]!.handle.split(' ')[1])
    expect(parseExtraInfo(again[0]!.handle)).toMatchObject({ retryFlag: '1', queueId: 0, brokerName: 'broker-a' })
    expect((await ack(client, again[0]!)).code).toBe(0)
    await scene.world.run(60_000)
    expect(bodiesOf(await pop(client))).toEqual([])
  })

  test('keeps its place and what is in flight over kill -9', async () => {
    await send('a', 'b', 'c', 'd')
    const popped = messagesOf(await pop(client, { invisibleTime: 30_000 }))
    for (const message of popped.filter(({ body }) => body !== 'b')) await ack(client, message)
    scene.world.kill('broker')
    await scene.revive()
    client = scene.client('client-2')
    expect(bodiesOf(await pop(client))).toEqual([])
    await scene.world.run(30_100)
    const again = messagesOf(await pop(client))
    expect(again.map(({ body }) => body)).toEqual(['b'])
    await ack(client, again[0]!)
    scene.world.kill('broker')
    await scene.revive()
    client = scene.client('client-3')
    await scene.world.run(60_000)
    expect(bodiesOf(await pop(client))).toEqual([])
  })

  test('knows its place after a kill also when only one old message is still in flight, with a new handle', async () => {
    for (let i = 0; i < 6; i++) await client.send('orders', `m${i}`, { queueId: 0 })
    const popped = messagesOf(await pop(client))
    for (const message of popped.slice(1)) await ack(client, message)
    await change(client, popped[0]!, 60_000)
    // The state is saved meanwhile: what the first pop noted is not read again.
    await scene.world.run(12_000)
    scene.world.kill('broker')
    await scene.revive()
    client = scene.client('client-2')
    expect(bodiesOf(await pop(client))).toEqual([])
    await scene.world.run(60_000)
    expect(bodiesOf(await pop(client))).toEqual(['m0'])
  })

  test('waits for a message as long as it asks, and is answered 210 then', async () => {
    await send('first')
    await ack(client, messagesOf(await pop(client))[0]!)
    const held = client.ask(PopMessage, popHeader({ pollTime: 20_000 }))
    await scene.world.run(1000)
    expect((await client.invoke(PollingInfo, { consumerGroup: 'cg', topic: 'orders', queueId: -1 })).header().pollingNum).toBe(1)
    await client.send('orders', 'later')
    expect(bodiesOf(await scene.world.until(held))).toEqual(['later'])
    const startMs = scene.world.nowMs
    const empty = await pop(client, { pollTime: 5000 })
    expect(empty.code).toBe(210)
    expect(empty.header()).toMatchObject({ popTime: expect.any(Number), invisibleTime: 10_000, reviveQid: 0, restNum: 0 })
    expect(scene.world.nowMs - startMs).toBeGreaterThanOrEqual(5000)
  })

  test('is woken for a message that becomes visible again', async () => {
    await send('slow')
    await pop(client, { invisibleTime: 3000 })
    expect(bodiesOf(await pop(client, { pollTime: 10_000 }))).toEqual(['slow'])
  })

  test('whose consumer needs longer keeps the message; the old handle is void', async () => {
    await send('long')
    const [message] = messagesOf(await pop(client, { invisibleTime: 5000 }))
    const answer = await change(client, message!, 20_000)
    expect(answer.code).toBe(0)
    const { popTime, invisibleTime, reviveQid } = answer.header()
    expect({ invisibleTime, reviveQid }).toEqual({ invisibleTime: 20_000, reviveQid: 0 })
    const parts = message!.handle.split(' ')
    const renewed = { ...message!, handle: [parts[0], popTime, invisibleTime, ...parts.slice(3)].join(' ') }
    // Of no effect: somebody else may have the new one.
    await ack(client, message!)
    expect((await change(client, message!, 1000)).code).toBe(208)
    await scene.world.run(19_000)
    expect(bodiesOf(await pop(client))).toEqual([])
    await scene.world.run(1100)
    expect(bodiesOf(await pop(client))).toEqual(['long'])
    expect((await ack(client, renewed)).code).toBe(0)
  })

  test('commits no offset beyond a message that is in flight: with pulls it would go on there', async () => {
    for (const body of ['a', 'b', 'c']) await client.send('orders', body, { queueId: 0 })
    const popped = messagesOf(await pop(client))
    await ack(client, popped[0]!)
    await ack(client, popped[2]!)
    expect(await committed()).toBe(1)
    await ack(client, popped[1]!)
    expect(await committed()).toBe(3)
  })

  test('ends with a dead letter after the attempts of the group', async () => {
    await client.invoke(UpdateAndCreateSubscriptiongroup, {}, encodeJson(normalizeGroupConfig({ groupName: 'cg', retryMaxTimes: 2 })))
    await send('poison')
    const seen: number[] = []
    for (let i = 0; i < 5; i++) {
      for (const { stored } of messagesOf(await pop(client, { invisibleTime: 1000 }))) seen.push(stored.reconsumeTimes)
      await scene.world.run(1100)
    }
    expect(seen).toEqual([0, 1, 2])
    const dead = messagesOf(await pop(client, { topic: '%DLQ%cg', consumerGroup: 'tool' }))
    expect(dead.map(({ body }) => body)).toEqual(['poison'])
    expect(dead[0]!.stored.properties.get('RETRY_TOPIC')).toBe('orders')
  })

  test('acknowledges many messages with one request', async () => {
    for (let i = 0; i < 10; i++) await client.send('orders', `m${i}`, { queueId: 1 })
    const answer = await pop(client, { queueId: 1 })
    const { popTime, invisibleTime } = answer.header()
    const common = { consumerGroup: 'cg', topic: 'orders', retryFlag: '0', queueId: 1, reviveQueueId: 0, popTime }
    const acks = [{ ...common, startOffset: 0, invisibleTimeMs: invisibleTime, distances: [0, 1, 2, 3, 4, 5, 6, 8, 9] }]
    expect((await client.invoke(BatchAckMessage, {}, encodeBatchAck({ brokerName: 'broker-a', acks }))).code).toBe(0)
    await scene.world.run(10_100)
    expect(bodiesOf(await pop(client))).toEqual(['m7'])
    expect((await client.invoke(BatchAckMessage, {}, encodeBatchAck({ brokerName: 'broker-a', acks: [] }))).code).toBe(208)
  })
})

describe('a pop', () => {
  test('with a filter brings what fits and passes over the rest', async () => {
    await send('a1', 'b1', 'a2', 'b2')
    expect(bodiesOf(await pop(client, { exp: 'a', expType: 'TAG' }))).toEqual(['a1', 'a2'])
    expect(bodiesOf(await pop(client, { exp: '*' }))).toEqual([])
    expect((await pop(client, { exp: 'x >', expType: 'SQL92' })).code).toBe(1)
  })

  test('that filters by properties is held until something fits', async () => {
    await scene.restart({ enablePropertyFilter: true })
    client = scene.client('client-2')
    await client.send('orders', 'cheap', {}, { price: '1' })
    const held = client.ask(PopMessage, popHeader({ pollTime: 20_000, exp: 'price > 10', expType: 'SQL92' }))
    await scene.world.run(500)
    await client.send('orders', 'cheap too', {}, { price: '2' })
    await client.send('orders', 'dear', {}, { price: '20' })
    expect(bodiesOf(await scene.world.until(held))).toEqual(['dear'])
    expect((await pop(client, { exp: 'price >', expType: 'SQL92' })).code).toBe(23)
  })

  test('of a new group begins at the first message or at the last', async () => {
    for (let i = 0; i < 3; i++) await client.send('orders', `m${i}`, { queueId: 0 })
    expect(bodiesOf(await pop(client, { consumerGroup: 'early', initMode: 0 }))).toEqual(['m0', 'm1', 'm2'])
    // As for pulls: the first message is still there, so the topic is as new as the group.
    expect(bodiesOf(await pop(client, { consumerGroup: 'late', initMode: 1 }))).toEqual(['m0', 'm1', 'm2'])
  })

  test('is refused with the reason', async () => {
    await send('a')
    expect((await pop(client, { maxMsgNums: 33 })).code).toBe(29)
    expect((await pop(client, { topic: 'nowhere' })).code).toBe(17)
    expect((await pop(client, { queueId: 99 })).code).toBe(29)
    expect((await pop(client, { consumerGroup: 'bad group' })).code).toBe(26)
    expect((await pop(client, { invisibleTime: -1 })).code).toBe(29)
    expect((await pop(client, { bornTime: 1, pollTime: 100 })).code).toBe(210)
    const [message] = messagesOf(await pop(client))
    const wrong = (more: object) => ack(client, { ...message!, ...more })
    expect((await wrong({ offset: 99 })).code).toBe(208)
    expect((await wrong({ handle: '0 1 2 0 0 broker-a 77 0' })).code).toBe(13)
    expect((await ack(client, message!, 'nowhere')).code).toBe(17)
  })
})
