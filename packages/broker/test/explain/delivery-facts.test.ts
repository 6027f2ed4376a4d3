import {
  GetDeliveryFacts,
  InvokeBrokerToResetOffset,
  LockBatchMq,
  PopMessage,
  UpdateConsumerOffset,
  encodeLockBatch,
} from '@skylarkmq/remoting/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { DeliveryFacts } from '../../src/explain/delivery-facts.ts'
import { consumer, messagesIn, startScene, subscription } from '../support.ts'
import type { Scene, TestClient } from '../support.ts'

let scene: Scene
let client: TestClient
beforeEach(async () => {
  scene = await startScene({ startOffsetOfNewGroup: 'asked' })
  client = scene.client('client')
})
afterEach(() => scene.close())

const at = { group: 'cg', topic: 'orders', queueId: 0 }
const facts = async (queueOffset: number, more: { physicalOffset?: number; group?: string } = {}): Promise<DeliveryFacts> =>
  JSON.parse(Buffer.from((await client.invoke(GetDeliveryFacts, { ...at, queueOffset, ...more })).body).toString()) as DeliveryFacts
const commit = (commitOffset: number) =>
  client.invoke(UpdateConsumerOffset, { consumerGroup: 'cg', topic: 'orders', queueId: 0, commitOffset })

describe('what the broker knows of a message and a group', () => {
  test('when it was delivered to whom, how often, and since when it is acknowledged', async () => {
    for (const body of ['m0', 'm1', 'm2']) await client.send('orders', body)
    await client.heartbeat('client-1', [{ ...consumer('cg', subscription('orders')), consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET' }])
    expect(await facts(1)).toMatchObject({ deliveries: [], pinnedStart: 0, members: [{ clientId: 'client-1' }], queue: { maxOffset: 3 } })
    await client.pull('orders', { queueOffset: 0 })
    await scene.world.run(5000)
    await client.pull('orders', { queueOffset: 1 })
    expect((await facts(0)).deliveries).toHaveLength(1)
    const { deliveries, lastPull } = await facts(1)
    expect(deliveries.map(({ clientId }) => clientId)).toEqual(['client-1', 'client-1'])
    expect((deliveries[1]?.atMs ?? 0) - (deliveries[0]?.atMs ?? 0)).toBeGreaterThanOrEqual(5000)
    expect(lastPull).toMatchObject({ clientId: 'client-1' })
    await commit(2)
    const first = (await facts(1)).acknowledged
    await scene.world.run(60_000)
    await commit(3)
    expect((await facts(1)).acknowledged).toEqual(first)
    expect((await facts(2)).acknowledged?.atMs).toBeGreaterThan(first?.atMs ?? 0)
    // Set back, it is not acknowledged any more; forth by an operator, nobody acknowledged it.
    await commit(1)
    expect((await facts(1)).acknowledged).toBeUndefined()
    await client.invoke(InvokeBrokerToResetOffset, { topic: 'orders', group: 'cg', timestamp: -1, isForce: true })
    expect(await facts(1)).toMatchObject({ acknowledged: { address: '' }, pendingReset: 3, committed: 3 })
  })

  test('which answers had it, when one client pulls a queue twice at once', async () => {
    for (const body of ['m0', 'm1', 'm2']) await client.send('orders', body)
    await client.heartbeat('client-1', [{ ...consumer('cg', subscription('orders')), consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET' }])
    for (const queueOffset of [0, 0, 1, 1, 2]) await client.pull('orders', { queueOffset, maxMsgNums: 1 })
    const counts: number[] = []
    for (const offset of [0, 1, 2]) counts.push((await facts(offset)).deliveries.length)
    expect(counts).toEqual([2, 2, 1])
  })

  test('whether the group wants it, by tag and by properties', async () => {
    await scene.restart({ enablePropertyFilter: true })
    client = scene.client('again')
    await client.send('orders', 'a', {}, { TAGS: 'TagA', color: 'red' })
    await client.send('orders', 'b', {}, { TAGS: 'TagB', color: 'blue' })
    const [a, b] = messagesIn(await client.pull('orders', { consumerGroup: 'looks' })).map(({ physicalOffset }) => ({ physicalOffset }))
    await client.heartbeat('c', [consumer('cg', subscription('orders', 'TagA || TagC'))])
    expect((await facts(0, a)).subscription).toEqual({ type: 'TAG', expression: 'TagA || TagC', wantsIt: true })
    expect((await facts(1, b)).subscription?.wantsIt).toBe(false)
    // One answer covers both; the second was left out of it.
    await client.pull('orders', { sysFlag: 0, subVersion: 1n })
    expect([(await facts(0, a)).deliveries.length, (await facts(1, b)).deliveries.length]).toEqual([1, 0])
    const sql = { ...subscription('orders', "color = 'blue'", 2n), expressionType: 'SQL92', tagsSet: [] }
    await client.heartbeat('c', [consumer('cg', sql)])
    expect((await facts(0, a)).subscription).toMatchObject({ type: 'SQL92', wantsIt: false })
    expect((await facts(1, b)).subscription?.wantsIt).toBe(true)
  })

  test('where the group began, who holds the queue, and that a group is not there', async () => {
    await client.send('orders', 'old')
    await client.heartbeat('client-1', [consumer('cg', subscription('orders'))])
    const queue = { topic: 'orders', brokerName: 'broker-a', queueId: 0 }
    const body = encodeLockBatch({ consumerGroup: 'cg', clientId: 'client-1', onlyThisBroker: false, mqSet: [queue] })
    await client.invoke(LockBatchMq, {}, body)
    await scene.world.run(4000)
    const known = await facts(0)
    expect(known).toMatchObject({ pinnedStart: 1, lock: { clientId: 'client-1' } })
    expect(known.lock?.renewedMsAgo).toBeGreaterThanOrEqual(4000)
    await scene.world.run(60_000)
    expect((await facts(0)).lock).toBeUndefined()
    expect((await facts(0, { group: 'nobody' })).group.exists).toBe(false)
  })

  test('a popped message: until when nobody sees it', async () => {
    await client.send('orders', 'm0')
    await client.heartbeat('popper', [consumer('cg', subscription('orders'))])
    const pop = { maxMsgNums: 8, pollTime: 0, bornTime: scene.world.node('client').clock.now(), initMode: 0, order: false }
    const popped = await client.invoke(PopMessage, { consumerGroup: 'cg', topic: 'orders', queueId: 0, invisibleTime: 60_000, ...pop })
    expect(popped.code).toBe(0)
    const inFlight = (await facts(0)).pop?.inFlight
    expect(inFlight?.visibleInMs).toBeGreaterThan(50_000)
    // Nobody acknowledges it in time: it comes back as a retry.
    await scene.world.run(70_000)
    expect((await facts(0)).pop).toMatchObject({ cursor: 1, position: 1 })
    expect((await facts(0)).pop?.inFlight).toBeUndefined()
  })
})
