import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { startScene } from '../support.ts'
import type { Scene, TestClient } from '../support.ts'
import { ack, bodiesOf, change, messagesOf, pop } from './pop-support.ts'
import type { PoppedMessage } from './pop-support.ts'

const inOrder = { order: true, queueId: 0, maxMsgNums: 1, invisibleTime: 30_000 }
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

describe('a full disk, for a group that pops in order', () => {
  beforeEach(async () => {
    await ack(client, message)
    for (const body of ['first', 'second']) await client.send('orders', body, { queueId: 1 })
    message = messagesOf(await pop(client, { ...inOrder, queueId: 1 }))[0]!
  })
  const next = async () => bodiesOf(await pop(client, { ...inOrder, queueId: 1 }))

  test('refuses an acknowledgement: the next message waits, until it is acknowledged again', async () => {
    await whileFull(async () => {
      expect((await ack(client, message)).code).toBe(14)
      expect((await ack(client, message)).code).toBe(14)
    })
    expect(await next()).toEqual([])
    expect((await ack(client, message)).code).toBe(0)
    expect(await next()).toEqual(['second'])
    scene.world.kill('broker')
    await scene.revive()
    client = scene.client('other')
    await scene.world.run(31_000)
    expect(await next()).toEqual(['second'])
  })

  test('refuses an acknowledgement: the message comes again in its time', async () => {
    await whileFull(async () => {
      expect((await ack(client, message)).code).toBe(14)
    })
    await scene.world.run(16_000)
    expect(await next()).toEqual(['first'])
  })

  test('refuses to keep a message longer: it comes again in its time', async () => {
    await whileFull(async () => {
      expect((await change(client, message, 600_000)).code).toBe(14)
    })
    await scene.world.run(16_000)
    expect(await next()).toEqual(['first'])
  })

  test('refuses a pop: nobody waits for the messages that nobody got', async () => {
    expect((await ack(client, message)).code).toBe(0)
    await whileFull(async () => {
      expect((await pop(client, { ...inOrder, queueId: 1 })).code).toBe(14)
    })
    expect(await next()).toEqual(['second'])
  })

  test('refuses to keep a message longer, and dies: the next start knows that it is in flight', async () => {
    await whileFull(async () => {
      expect((await change(client, message, 20_000)).code).toBe(14)
    })
    await client.send('orders', 'other', { queueId: 0 })
    expect(bodiesOf(await pop(client, { queueId: 0 }))).toEqual(['other'])
    await scene.world.run(8000)
    scene.world.kill('broker')
    await scene.revive()
    client = scene.client('other')
    expect(await next()).toEqual([])
    await scene.world.run(10_000)
    expect(await next()).toEqual(['first'])
  })
})
