import { GetMaxOffset, QueryConsumerOffset, UpdateConsumerOffset } from '@skylarkmq/remoting/protocol'
import fc from 'fast-check'
import { afterEach, describe, expect, test } from 'vitest'
import { messagesIn, startScene, textOf } from './support.ts'
import type { Scene, TestClient } from './support.ts'

let scene: Scene
const QUEUE = { consumerGroup: 'cg', topic: 'orders', queueId: 0 }
afterEach(() => scene.close().catch(() => undefined))

async function allOf(client: TestClient, topic: string, queueId: number): Promise<string[]> {
  const got: string[] = []
  for (let queueOffset = 0; ; ) {
    const answer = await client.pull(topic, { queueId, queueOffset })
    if (answer.code !== 0) return got
    got.push(...messagesIn(answer).map(textOf))
    queueOffset = answer.header().nextBeginOffset
  }
}

describe('what was acknowledged is there', () => {
  test('after the power failed, when the broker flushes before it answers', async () => {
    scene = await startScene({ flushDiskType: 'SYNC_FLUSH' })
    const client = scene.client('client')
    const bodies = Array.from({ length: 20 }, (_, i) => `m${i}`)
    for (const body of bodies) expect((await client.send('orders', body)).code).toBe(0)
    // The topic itself is saved within a second.
    await scene.world.run(1500)
    scene.world.crash('broker')
    await scene.revive()
    expect(await allOf(scene.client('client-2'), 'orders', 0)).toEqual(bodies)
  })

  test('after each of many kills, in order and once', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 1, maxLength: 5 }), async (rounds) => {
        scene = await startScene()
        const sent: string[] = []
        for (const [round, count] of rounds.entries()) {
          const client = scene.client(`client-${round}`)
          for (let i = 0; i < count; i++) {
            const body = `r${round}m${i}`
            if ((await client.send('orders', body)).code === 0) sent.push(body)
          }
          scene.world.kill('broker')
          await scene.revive()
        }
        expect(await allOf(scene.client('last'), 'orders', 0)).toEqual(sent)
        await scene.close()
      }),
      { numRuns: 10 },
    )
  })
})

test('a full disk refuses sends with the reason, and takes them again when there is room; pulls go on', async () => {
  scene = await startScene()
  const client = scene.client('client')
  await client.send('orders', 'before')
  const { disk } = scene.world.node('broker')
  disk.failWrites(1, 'ENOSPC', (path) => path.includes('commitlog'))
  const refused = await client.send('orders', 'lost')
  expect(refused).toMatchObject({ code: 14, remark: expect.stringMatching(/the broker does not accept messages: .*full/i) })
  expect(await allOf(client, 'orders', 0)).toEqual(['before'])
})

test('a committed offset behind the end that a loss of power has left passes over no message that comes after', async () => {
  scene = await startScene()
  const client = scene.client('client')
  await client.pull('orders')
  for (const body of ['m0', 'm1', 'm2']) await client.send('orders', body)
  await scene.world.run(2000)
  await client.invoke(UpdateConsumerOffset, { ...QUEUE, commitOffset: 3 })
  await scene.world.until(scene.broker.close())
  // As it was before the last messages came.
  scene.metadata.set('offsets', 'orders@cg', JSON.stringify({ 0: 5, 1: 2 }))
  await scene.revive()
  expect(scene.world.report(20)).toContain('a committed offset was behind the end of its queue')
  const later = scene.client('later')
  const offsetIn = async (queueId: number) => (await later.invoke(QueryConsumerOffset, { ...QUEUE, queueId })).header().offset
  expect(await offsetIn(0)).toBe(3)
  expect(await offsetIn(1)).toBe(0)
  await later.send('orders', 'm3')
  const answer = await later.pull('orders', { queueOffset: await offsetIn(0) })
  expect(messagesIn(answer).map(textOf)).toEqual(['m3'])
  await scene.restart()
  expect((await scene.client('last').invoke(QueryConsumerOffset, QUEUE)).header().offset).toBe(3)
})

test('nor when the broker dies again as soon as the lost places are taken', async () => {
  scene = await startScene()
  const client = scene.client('client')
  await client.pull('orders')
  for (const body of ['m0', 'm1', 'm2']) await client.send('orders', body)
  await scene.world.run(2000)
  await scene.world.until(scene.broker.close())
  // As it was before the last messages came.
  scene.metadata.set('offsets', 'orders@cg', JSON.stringify({ 0: 5 }))
  await scene.revive()
  const producer = scene.client('producer')
  for (const body of ['n3', 'n4', 'n5']) await producer.send('orders', body)
  scene.world.kill('broker')
  await scene.revive()
  expect((await scene.client('last').invoke(QueryConsumerOffset, QUEUE)).header().offset).toBe(3)
})

describe('a consumer that goes on from before a loss of power', () => {
  const LOG = '/store/commitlog/00000000000000000000'
  const OFFSET_MOVED = 21
  const send = async (client: TestClient, ...bodies: readonly string[]): Promise<void> => {
    for (const body of bodies) await client.send('orders', body)
  }
  const pull = (client: TestClient, queueOffset: number) => client.pull('orders', { consumerGroup: 'cg', queueOffset })
  const commit = (client: TestClient, commitOffset: number) => client.invoke(UpdateConsumerOffset, { ...QUEUE, commitOffset })
  const committed = async (client: TestClient) => (await client.invoke(QueryConsumerOffset, QUEUE)).header().offset

  /** Three messages are safe, two more were read and are gone: the consumer is at 5, the queue ends at 3. */
  async function loseTail(): Promise<void> {
    scene = await startScene()
    const client = scene.client('client')
    await pull(client, 0)
    await send(client, 'm0', 'm1', 'm2')
    await commit(client, 3)
    await scene.world.run(6000)
    const end = scene.broker.store.maxPhysicalOffset
    await send(client, 'm3', 'm4')
    expect(messagesIn(await pull(client, 3)).map(textOf)).toEqual(['m3', 'm4'])
    const lost = new Uint8Array(scene.broker.store.maxPhysicalOffset - end)
    scene.world.kill('broker')
    scene.world.diskOf('broker').open(LOG, { readOnly: false }).write(lost, 0, lost.length, end)
    await scene.revive()
  }

  test('gets what has taken the lost places, though the queue is longer again when it comes back', async () => {
    await loseTail()
    await send(scene.client('producer'), 'n3', 'n4', 'n5')
    const old = scene.client('old')
    const moved = await pull(old, 5)
    expect(moved.code).toBe(OFFSET_MOVED)
    expect(moved.header().nextBeginOffset).toBe(3)
    expect(messagesIn(await pull(old, 3)).map(textOf)).toEqual(['n3', 'n4', 'n5'])
    // From then on it knows.
    await send(scene.client('producer'), 'n6')
    expect(messagesIn(await pull(old, 6)).map(textOf)).toEqual(['n6'])
  })

  test('also when the broker was killed once more, or stopped, before it came back', async () => {
    await loseTail()
    await send(scene.client('producer'), 'n3', 'n4', 'n5')
    scene.world.kill('broker')
    await scene.revive()
    await scene.restart()
    const moved = await pull(scene.client('old'), 5)
    expect([moved.code, moved.header().nextBeginOffset]).toEqual([OFFSET_MOVED, 3])
  })

  test('gets again what it has in hand, for it forgets that when it is sent elsewhere', async () => {
    await loseTail()
    await send(scene.client('producer'), 'n3', 'n4', 'n5')
    await commit(scene.client('tool'), 2)
    expect((await pull(scene.client('old'), 5)).header().nextBeginOffset).toBe(2)
  })

  test('commits nothing of what is gone', async () => {
    await loseTail()
    await send(scene.client('producer'), 'n3', 'n4', 'n5')
    const old = scene.client('old')
    await commit(old, 5)
    expect(await committed(old)).toBe(3)
    expect((await pull(old, 5)).code).toBe(OFFSET_MOVED)
  })

  test('and others are left alone: who asked where the group is, who asked for the end, and tools', async () => {
    await loseTail()
    await send(scene.client('producer'), 'n3', 'n4', 'n5')
    const follower = scene.client('follower')
    expect((await follower.invoke(GetMaxOffset, { topic: 'orders', queueId: 0 })).header().offset).toBe(6)
    await send(scene.client('producer'), 'n6')
    expect(messagesIn(await follower.pull('orders', { consumerGroup: 'other', queueOffset: 6 })).map(textOf)).toEqual(['n6'])
    const tool = scene.client('tool')
    expect((await tool.invoke(GetMaxOffset, { topic: 'orders', queueId: 0 })).header().offset).toBe(7)
    await commit(tool, 5)
    expect(await committed(tool)).toBe(5)
    expect(messagesIn(await pull(tool, 5)).map(textOf)).toEqual(['n5', 'n6'])
  })
})
