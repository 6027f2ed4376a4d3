import {
  ConsumerSendMsgBack,
  DeleteSubscriptiongroup,
  DeleteTopicInBroker,
  InvokeBrokerToResetOffset,
  QueryConsumerOffset,
  UpdateConsumerOffset,
} from '@skylarkmq/remoting/protocol'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { BROKER_CONFIG } from '../../src/index.ts'
import { ConsumerOffsets } from '../../src/offsets/consumer-offsets.ts'
import { DueHeap } from '../../src/pop/due-heap.ts'
import { InFlightTable } from '../../src/pop/in-flight-table.ts'
import { memoryTables, startScene } from '../support.ts'
import type { Scene, TestClient } from '../support.ts'
import { ack, bodiesOf, messagesOf, pop } from './pop-support.ts'

let scene: Scene
let client: TestClient
beforeEach(async () => {
  scene = await startScene()
  client = scene.client('client')
  for (let i = 0; i < 4; i++) await client.send('orders', `m${i}`, { queueId: 0 })
})
afterEach(() => scene.close())

const committed = async () =>
  (await client.invoke(QueryConsumerOffset, { consumerGroup: 'cg', topic: 'orders', queueId: 0, setZeroIfNotFound: false })).ext?.['offset']

test('an operator who sets a group back makes it begin there at once, whatever is in flight', async () => {
  const popped = messagesOf(await pop(client, { maxMsgNums: 3 }))
  await ack(client, popped[0]!)
  const header = { topic: 'orders', group: 'cg', timestamp: 0, offset: 0, queueId: 0, isForce: true }
  expect((await client.invoke(InvokeBrokerToResetOffset, header)).code).toBe(0)
  const again = messagesOf(await pop(client))
  expect(again.map(({ body }) => body)).toEqual(['m0', 'm1', 'm2', 'm3'])
  for (const message of again) await ack(client, message)
  await scene.world.run(60_000)
  expect(bodiesOf(await pop(client))).toEqual([])
})

test('a group that pulls for a while pops on from there', async () => {
  for (const message of messagesOf(await pop(client, { maxMsgNums: 2 }))) await ack(client, message)
  await client.invoke(UpdateConsumerOffset, { consumerGroup: 'cg', topic: 'orders', queueId: 0, commitOffset: 3 })
  expect(bodiesOf(await pop(client))).toEqual(['m3'])
})

test('a group that was deleted and made again begins anew, and nothing of the old one comes back', async () => {
  await pop(client, { maxMsgNums: 2 })
  expect((await client.invoke(DeleteSubscriptiongroup, { groupName: 'cg', cleanOffset: true })).code).toBe(0)
  await scene.world.run(30_000)
  expect(await committed()).toBeUndefined()
  await scene.restart()
  client = scene.client('client-2')
  expect(bodiesOf(await pop(client))).toEqual(['m0', 'm1', 'm2', 'm3'])
})

test('a topic that was deleted takes what is in flight with it', async () => {
  await pop(client, { maxMsgNums: 2, invisibleTime: 5000 })
  expect((await client.invoke(DeleteTopicInBroker, { topic: 'orders' })).code).toBe(0)
  await scene.world.run(30_000)
  expect((await pop(client)).code).toBe(17)
  await client.send('orders', 'new')
  expect(bodiesOf(await pop(client))).toEqual(['new'])
})

test('a consumer that gives up on a popped message sends it to the dead letters itself', async () => {
  const [message] = messagesOf(await pop(client, { maxMsgNums: 1 }))
  const header = { offset: message!.stored.physicalOffset, group: 'cg', delayLevel: -1, originTopic: 'orders' }
  expect((await client.invoke(ConsumerSendMsgBack, header)).code).toBe(0)
  await ack(client, message!)
  expect(bodiesOf(await pop(client, { topic: '%DLQ%cg', consumerGroup: 'tool' }))).toEqual(['m0'])
})

test('what is in flight for hours does not make the next start long: it is noted anew', async () => {
  const { store } = scene.broker
  const { clock, log } = scene.world.node('other')
  const settings = { current: BROKER_CONFIG.defaults }
  const metadata = memoryTables()
  const offsets = new ConsumerOffsets(metadata)
  const deps = { store, settings, clock, log, metadata, offsets, uniqueId: () => 'id', storeHost: new Uint8Array(8) }
  const table = new InFlightTable(deps, 20)
  const queue = table.queueFor('cg', 'orders', 0, () => 0)
  const taken = { popTime: clock.now(), invisibleTimeMs: 20 * 3_600_000 }
  table.take(queue, { start: 0, next: 2, offsets: [0, 1], ...taken }, () => undefined)
  for (let i = 2; i < 60; i++) {
    table.take(queue, { start: i, next: i + 1, offsets: [i], ...taken }, () => undefined)
    await scene.world.settle()
    table.ack(queue.entries.get(i)!, () => undefined)
    if (i === 30) table.ack(queue.entries.get(1)!, () => undefined)
    await scene.world.settle()
    table.save(() => false)
    expect(table.log.end - table.log.replayFrom).toBeLessThan(45)
  }
  await scene.world.settle()
  table.save(() => false)
  const next = new InFlightTable({ ...deps, offsets: new ConsumerOffsets(metadata) })
  await scene.world.until(next.open(() => false))
  const found = next.state.find('cg', 'orders', 0)!
  expect([...found.entries.keys()]).toEqual([0])
  expect([found.position, found.cursor]).toEqual([60, 0])
})

test('what is due comes first, in order of time', () => {
  const heap = new DueHeap<number>()
  const times = [5, 3, 9, 1, 7, 3, 8, 2]
  for (const time of times) heap.add(time, time)
  heap.prune((dueAt) => dueAt !== 9)
  const seen: number[] = []
  for (let due = heap.takeDue(7); due !== undefined; due = heap.takeDue(7)) seen.push(due.value)
  expect(seen).toEqual([1, 2, 3, 3, 5, 7])
  expect(heap.nextDueAt).toBe(8)
})
