import { QueryConsumerOffset, UpdateConsumerOffset } from '@skylarkmq/remoting/protocol'
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
