import {
  GetConsumeStats,
  GetMaxOffset,
  GetMinOffset,
  InvokeBrokerToResetOffset,
  PULL_FLAG,
  QueryConsumerOffset,
  SearchOffsetByTimestamp,
  UpdateConsumerOffset,
  decodeConsumeStats,
} from '@skylarkmq/remoting/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { messagesIn, startScene, textOf } from './support.ts'
import type { Scene, TestClient } from './support.ts'

let scene: Scene
let client: TestClient
beforeEach(async () => {
  scene = await startScene()
  client = scene.client('client')
  for (const body of ['m0', 'm1', 'm2']) {
    await client.send('orders', body)
    await scene.world.run(1000)
  }
  // Makes the group known.
  await client.pull('orders')
})
afterEach(() => scene.close())

const queue = { consumerGroup: 'cg', topic: 'orders', queueId: 0 }
const query = async (more = {}): Promise<number | string> => {
  const answer = await client.invoke(QueryConsumerOffset, { ...queue, ...more })
  return answer.code === 0 ? answer.header().offset : `${answer.code} ${answer.remark}`
}
const commit = (commitOffset: number, more = {}) => client.invoke(UpdateConsumerOffset, { ...queue, commitOffset, ...more })

describe('committed offsets', () => {
  test('a new group starts at 0 while the first message is there; else the client decides', async () => {
    expect(await query()).toBe(0)
    expect(await query({ queueId: 1 })).toBe('22 Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first')
    expect(await query({ setZeroIfNotFound: false })).toBe('22 Not found, do not set to zero, maybe this group boot first')
  })

  test('lower ones are accepted, negative ones ignored, those of unknown groups, topics and queues refused', async () => {
    await commit(3)
    expect(await query()).toBe(3)
    await commit(1)
    expect(await query()).toBe(1)
    expect((await commit(-1)).code).toBe(0)
    expect(await query()).toBe(1)
    expect((await commit(1, { consumerGroup: 'nobody' })).code).toBe(26)
    expect((await commit(1, { topic: 'nowhere' })).code).toBe(17)
    expect(await commit(1, { queueId: 2_000_000_000 })).toMatchObject({ code: 29, remark: expect.stringContaining('queueId[2000000000]') })
  })

  test('come with a pull, too, and are there after a restart', async () => {
    await client.pull('orders', { queueOffset: 2, commitOffset: 2, sysFlag: PULL_FLAG.SUBSCRIPTION | PULL_FLAG.COMMIT_OFFSET })
    expect(await query()).toBe(2)
    await scene.restart()
    expect(await query()).toBe(2)
  })

  test('are saved every five seconds: a crash loses no more', async () => {
    await commit(2)
    await scene.world.run(5100)
    await commit(3)
    expect([...scene.metadata.entries('offsets')]).toEqual([['orders@cg', '{"0":2}']])
  })
})

test('the ends of a queue, and places by time', async () => {
  const q = { topic: 'orders', queueId: 0 }
  expect((await client.invoke(GetMaxOffset, q)).header().offset).toBe(3)
  expect((await client.invoke(GetMinOffset, q)).header().offset).toBe(0)
  // Java's latency detector probes queues that do not exist yet.
  expect(await client.invoke(GetMaxOffset, { topic: 'unborn', queueId: 9 })).toMatchObject({ code: 0 })
  const times = messagesIn(await client.pull('orders')).map((message) => message.storeTimestamp)
  const search = async (timestamp: number, boundaryType?: 'lower' | 'UPPER') =>
    (await client.invoke(SearchOffsetByTimestamp, { ...q, timestamp, boundaryType })).header().offset
  expect(await search(times[1]!)).toBe(1)
  expect(await search(times[1]! - 1)).toBe(1)
  expect(await search(times[1]! + 1, 'UPPER')).toBe(1)
})

describe('an operator resets a group', () => {
  const reset = { topic: 'orders', group: 'cg', timestamp: 0, isForce: true }

  test('the next pull is told where to go on, and a late commit does not undo it', async () => {
    await commit(3)
    expect((await client.invoke(InvokeBrokerToResetOffset, { ...reset, queueId: 0, offset: 1 })).code).toBe(0)
    expect(await commit(3)).toMatchObject({ code: 0, remark: 'Offset has been previously reset' })
    expect(await query()).toBe(1)
    const told = await client.pull('orders', { queueOffset: 3 })
    expect(told.code).toBe(21)
    expect(told.header().nextBeginOffset).toBe(1)
    expect(messagesIn(await client.pull('orders', { queueOffset: 1 })).map(textOf)).toEqual(['m1', 'm2'])
    expect((await commit(3)).remark).toBeUndefined()
    expect(await query()).toBe(3)
  })

  test('a pull that waits at the end is told at once', async () => {
    const held = client.askPull('orders', { queueOffset: 3, sysFlag: PULL_FLAG.SUBSCRIPTION | PULL_FLAG.SUSPEND })
    await scene.world.run(100)
    await client.invoke(InvokeBrokerToResetOffset, reset)
    const told = await scene.world.until(held)
    expect([told.code, told.header().nextBeginOffset]).toEqual([21, 0])
  })

  test('outside the queue it is refused', async () => {
    const answer = await client.invoke(InvokeBrokerToResetOffset, { ...reset, queueId: 0, offset: 99 })
    expect(answer).toMatchObject({ code: 1, remark: 'Target offset 99 not in consume queue range [0-3]; choose one in it' })
  })
})

test('a group’s backlog can be seen', async () => {
  await commit(1)
  const stats = decodeConsumeStats((await client.invoke(GetConsumeStats, { consumerGroup: 'cg' })).body)
  const [first] = stats.offsetTable.filter(([q]) => q.queueId === 0)
  expect(stats.offsetTable).toHaveLength(4)
  expect(first![1]).toMatchObject({ brokerOffset: 3, consumerOffset: 1 })
  expect(first![1].lastTimestamp).toBe(messagesIn(await client.pull('orders'))[0]!.storeTimestamp)
})
