import {
  CloneGroupOffset,
  InvokeBrokerToResetOffset,
  PULL_FLAG,
  QueryConsumerOffset,
  UpdateAndCreateSubscriptiongroup,
  UpdateConsumerOffset,
  encodeJson,
} from '@skylarkmq/remoting/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { messagesIn, startScene, textOf } from '../support.ts'
import type { Scene, TestClient } from '../support.ts'

let scene: Scene
let client: TestClient
beforeEach(async () => {
  scene = await startScene()
  client = scene.client('client')
  for (const body of ['m0', 'm1', 'm2', 'm3']) await client.send('orders', body)
  await client.pull('orders')
})
afterEach(() => scene.close())

const queue = { consumerGroup: 'cg', topic: 'orders', queueId: 0 }
const place = async (consumerGroup = 'cg', by = client) =>
  (await by.invoke(QueryConsumerOffset, { ...queue, consumerGroup })).header().offset
const commit = (commitOffset: number, by = client) => by.invoke(UpdateConsumerOffset, { ...queue, commitOffset })
const reset = (offset: number) =>
  client.invoke(InvokeBrokerToResetOffset, { topic: 'orders', group: 'cg', timestamp: -1, isForce: true, queueId: 0, offset })

describe('a reset holds', () => {
  test('also when the broker restarts before the consumer has heard of it: its late commit does not undo it', async () => {
    await commit(4)
    await reset(1)
    await scene.restart()
    const again = scene.client('again')
    expect((await commit(4, again)).remark).toBe('Offset has been previously reset')
    expect(await place('cg', again)).toBe(1)
    const told = await again.pull('orders', { queueOffset: 4 })
    expect([told.code, told.header().nextBeginOffset]).toEqual([21, 1])
    await scene.restart()
    expect((await commit(4, scene.client('third'))).remark).toBeUndefined()
  })

  test('a consumer that starts at the new place gets its messages at once instead of being sent where it is', async () => {
    await commit(4)
    await reset(2)
    const first = await client.pull('orders', { queueOffset: await place() })
    expect([first.code, messagesIn(first).map(textOf)]).toEqual([0, ['m2', 'm3']])
    expect((await commit(4)).remark).toBeUndefined()
  })

  test('forth as well as back; without force only back', async () => {
    await commit(2)
    const forth = { topic: 'orders', group: 'cg', timestamp: -1 }
    await client.invoke(InvokeBrokerToResetOffset, { ...forth, isForce: false })
    expect(await place()).toBe(2)
    await client.invoke(InvokeBrokerToResetOffset, { ...forth, isForce: true })
    expect(await place()).toBe(4)
    await client.invoke(InvokeBrokerToResetOffset, { ...forth, timestamp: 0, isForce: false })
    expect(await place()).toBe(0)
  })
})

describe('a group is set to where another one is', () => {
  const clone = (header: Partial<{ srcGroup: string; destGroup: string; topic: string }> = {}) =>
    client.invoke(CloneGroupOffset, { srcGroup: 'cg', destGroup: 'copy', topic: 'orders', offline: 'true', ...header })
  beforeEach(async () => {
    await client.invoke(UpdateAndCreateSubscriptiongroup, {}, Buffer.from(encodeJson({ groupName: 'copy' })))
  })

  test('its consumer is told, and what it commits before that does not count', async () => {
    await commit(3)
    const held = client.askPull('orders', { consumerGroup: 'copy', queueOffset: 4, sysFlag: PULL_FLAG.SUBSCRIPTION | PULL_FLAG.SUSPEND })
    await scene.world.run(100)
    expect((await clone()).code).toBe(0)
    expect((await scene.world.until(held)).header().nextBeginOffset).toBe(3)
    expect(await place('copy')).toBe(3)
  })

  test('nothing to copy, or groups that are not there, are said', async () => {
    expect(await clone()).toMatchObject({ code: 22, remark: 'group cg has no offset in topic orders: nothing was copied to copy' })
    expect((await clone({ destGroup: 'nobody' })).remark).toContain('subscription group [nobody] does not exist')
    expect((await clone({ topic: 'nowhere' })).code).toBe(17)
  })
})
