import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { startScene } from '../support.ts'
import type { Scene, TestClient } from '../support.ts'
import { ack, bodiesOf, change, messagesOf, pop } from './pop-support.ts'
import type { PoppedMessage } from './pop-support.ts'

let scene: Scene
let client: TestClient
let message: PoppedMessage
beforeEach(async () => {
  scene = await startScene()
  client = scene.client('client')
  await client.send('orders', 'job', { queueId: 0 })
  message = messagesOf(await pop(client, { invisibleTime: 30_000 }))[0]!
})
afterEach(() => scene.close())

/** The disk has no room for what is written meanwhile. */
async function whileFull(task: () => Promise<void>): Promise<void> {
  scene.world.node('broker').disk.failWrites(1, 'ENOSPC', (path) => path.includes('/commitlog/'))
  await task()
  await scene.world.run(15_000)
}

describe('a full disk, on which the broker can note nothing', () => {
  test('refuses to keep a message longer, and the old handle goes on to count', async () => {
    await whileFull(async () => {
      expect((await change(client, message, 60_000)).code).toBe(14)
    })
    expect((await ack(client, message)).code).toBe(0)
    await scene.world.run(60_000)
    expect(bodiesOf(await pop(client))).toEqual([])
  })

  test('refuses an acknowledgement, and takes the next one, which lasts', async () => {
    await whileFull(async () => {
      expect((await ack(client, message)).code).toBe(14)
    })
    expect((await ack(client, message)).code).toBe(0)
    scene.world.kill('broker')
    await scene.revive()
    client = scene.client('other')
    await scene.world.run(60_000)
    expect(bodiesOf(await pop(client))).toEqual([])
  })

  test('a message whose acknowledgement was refused comes again in its time', async () => {
    await whileFull(async () => {
      expect((await ack(client, message)).code).toBe(14)
    })
    await scene.world.run(20_000)
    expect(bodiesOf(await pop(client))).toEqual(['job'])
  })

  test('refuses to keep a message longer, and dies: the next start knows that it is in flight', async () => {
    await whileFull(async () => {
      expect((await change(client, message, 60_000)).code).toBe(14)
    })
    await client.send('orders', 'next', { queueId: 0 })
    expect(bodiesOf(await pop(client))).toEqual(['next'])
    await scene.world.run(8000)
    scene.world.kill('broker')
    await scene.revive()
    client = scene.client('other')
    await scene.world.run(60_000)
    expect(bodiesOf(await pop(client))).toContain('job')
  })
})
