import { PopMessage } from '@skylarkmq/remoting/protocol'
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

const inOrder = { order: true, queueId: 0, invisibleTime: 10_000 }
const send = async (...bodies: string[]) => {
  for (const body of bodies) await client.send('orders', body, { queueId: 0 })
}

describe('a group that pops in order', () => {
  test('gets nothing else of a queue until all that it has are acknowledged', async () => {
    await send('a', 'b', 'c')
    const answer = await pop(client, { ...inOrder, maxMsgNums: 2 })
    const [a, b] = messagesOf(answer)
    expect(answer.header()).toMatchObject({ reviveQid: 999, orderCountInfo: '0 0 0' })
    expect(bodiesOf(await pop(client, inOrder))).toEqual([])
    await ack(client, b!)
    expect(bodiesOf(await pop(client, inOrder))).toEqual([])
    await ack(client, a!)
    expect(bodiesOf(await pop(client, inOrder))).toEqual(['c'])
  })

  test('whose consumer dies gets the first again, before the others, and how often', async () => {
    await send('a', 'b')
    const [a] = messagesOf(await pop(client, inOrder))
    await ack(client, a!)
    await scene.world.run(10_100)
    const answer = await pop(client, inOrder)
    expect(bodiesOf(answer)).toEqual(['b'])
    expect(answer.header().orderCountInfo).toBe('0 qo0%1 1;0 0 1')
    await scene.world.run(10_100)
    await send('c')
    const third = await pop(client, inOrder)
    expect(bodiesOf(third)).toEqual(['b', 'c'])
    expect(third.header().orderCountInfo).toBe('0 qo0%1 2;0 0 0')
  })

  test('gets the same messages for the same attempt: the answer may have been lost', async () => {
    await send('a')
    expect(bodiesOf(await pop(client, { ...inOrder, attemptId: 'one' }))).toEqual(['a'])
    expect(bodiesOf(await pop(client, { ...inOrder, attemptId: 'two' }))).toEqual([])
    const again = await pop(client, { ...inOrder, attemptId: 'one' })
    expect(bodiesOf(again)).toEqual(['a'])
    expect(again.header().orderCountInfo).toBe('0 0 0')
  })

  test('is blocked after a kill as before, and knows what was acknowledged', async () => {
    await send('a', 'b', 'c')
    const [, b] = messagesOf(await pop(client, inOrder))
    await ack(client, b!)
    scene.world.kill('broker')
    await scene.revive()
    client = scene.client('client-2')
    expect(bodiesOf(await pop(client, inOrder))).toEqual([])
    await scene.world.run(10_100)
    // In order: from the first that is not acknowledged.
    const answer = await pop(client, inOrder)
    expect(messagesOf(answer).map(({ body }) => body)).toEqual(['a', 'b', 'c'])
    for (const message of messagesOf(answer)) await ack(client, message)
    scene.world.kill('broker')
    await scene.revive()
    client = scene.client('client-3')
    await scene.world.run(20_000)
    expect(bodiesOf(await pop(client, inOrder))).toEqual([])
  })

  test('that waits is woken by the last acknowledgement, and when the time is up', async () => {
    await send('a', 'b')
    const [a] = messagesOf(await pop(client, { ...inOrder, maxMsgNums: 1 }))
    const held = client.ask(PopMessage, popHeader({ ...inOrder, maxMsgNums: 1, pollTime: 60_000 }))
    await scene.world.run(1000)
    await ack(client, a!)
    expect(bodiesOf(await scene.world.until(held))).toEqual(['b'])
    const startMs = scene.world.nowMs
    expect(bodiesOf(await pop(client, { ...inOrder, pollTime: 60_000 }))).toEqual(['b'])
    expect(Math.round((scene.world.nowMs - startMs) / 1000)).toBe(10)
  })

  test('may have a message back sooner or later', async () => {
    await send('a', 'b')
    const [a] = messagesOf(await pop(client, { ...inOrder, maxMsgNums: 1 }))
    const answer = await change(client, a!, 2000)
    expect(answer.header()).toMatchObject({ popTime: Number(a!.handle.split(' ')[1]), reviveQid: 999 })
    await scene.world.run(2100)
    const again = messagesOf(await pop(client, { ...inOrder, maxMsgNums: 1 }))
    expect(again.map(({ body }) => body)).toEqual(['a'])
    // The handle of the first pop is void.
    await ack(client, a!)
    expect(bodiesOf(await pop(client, inOrder))).toEqual([])
    expect((await change(client, a!, 2000)).code).toBe(208)
    await ack(client, again[0]!)
    expect(bodiesOf(await pop(client, inOrder))).toEqual(['b'])
  })

  test('that has one of several back later waits for it, and goes on from there with those behind it', async () => {
    await send('a', 'b', 'c', 'd')
    const [a, b, c] = messagesOf(await pop(client, { ...inOrder, queueId: -1, maxMsgNums: 3, invisibleTime: 5000 }))
    await ack(client, a!)
    await change(client, b!, 3000)
    await ack(client, c!)
    const startMs = scene.world.nowMs
    const again = await pop(client, { ...inOrder, queueId: -1, maxMsgNums: 3, pollTime: 30_000 })
    expect(bodiesOf(again)).toEqual(['b', 'c', 'd'])
    expect(Math.round((scene.world.nowMs - startMs) / 1000)).toBe(3)
  })
})
