import {
  DeleteSubscriptiongroup,
  GetMaxOffset,
  QueryConsumerOffset,
  UpdateConsumerOffset,
  UpdateAndCreateTopic,
} from '@skylarkmq/remoting/protocol'
import type { ConsumerData } from '@skylarkmq/remoting/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { consumer, startScene, subscription } from '../support.ts'
import type { Scene, TestClient } from '../support.ts'

let scene: Scene
let producer: TestClient
let client: TestClient
beforeEach(async () => {
  scene = await startScene({ startOffsetOfNewGroup: 'asked' })
  producer = scene.client('producer')
  client = scene.client('client')
  for (const body of ['old-0', 'old-1', 'old-2']) await producer.send('orders', body)
})
afterEach(() => scene.close())

const member = (more: Partial<ConsumerData> = {}): ConsumerData => ({ ...consumer('cg', subscription('orders')), ...more })
const place = async (topic = 'orders', queueId = 0, by = client): Promise<number | string> => {
  const answer = await by.invoke(QueryConsumerOffset, { consumerGroup: 'cg', topic, queueId })
  return answer.code === 0 ? answer.header().offset : `${answer.code}`
}

describe('a new group begins where its first heartbeat found the end, however late its clients ask', () => {
  test('what is sent between start and rebalance is not skipped (apache/rocketmq#10955)', async () => {
    await client.heartbeat('c1', [member()])
    await producer.send('orders', 'sent right after the start')
    expect(await place()).toBe(3)
    // An empty queue, too: "not found" would make the client ask for the end, which has moved on meanwhile.
    expect(await place('orders', 1)).toBe(0)
  })

  test('a second member, a later heartbeat and a restart of the broker change nothing, until something is committed', async () => {
    await client.heartbeat('c1', [member()])
    await producer.send('orders', 'new')
    await scene.client('second').heartbeat('c2', [member({ consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET' })])
    expect(await place()).toBe(3)
    await scene.restart()
    const again = scene.client('again')
    await producer.send('orders', 'newer').catch(() => {})
    await again.heartbeat('c1', [member()])
    expect(await place('orders', 0, again)).toBe(3)
    await again.invoke(UpdateConsumerOffset, { consumerGroup: 'cg', topic: 'orders', queueId: 0, commitOffset: 5 })
    expect(await place('orders', 0, again)).toBe(5)
  })

  test('behind the end that a loss of power has left, it begins at that end: what comes after is not passed over', async () => {
    await client.heartbeat('c1', [member()])
    await scene.world.until(scene.broker.close())
    // As it was when two more messages had come, that were not flushed yet.
    scene.metadata.set('kv', 'startOffsets/orders@cg', JSON.stringify({ 0: 5, 1: 0 }))
    await scene.revive()
    expect(scene.world.report(20)).toContain('a new group was to begin behind the end of a queue')
    const again = scene.client('again')
    for (const body of ['new-0', 'new-1', 'new-2']) await scene.client('sender').send('orders', body)
    expect(await place('orders', 0, again)).toBe(3)
    expect(await place('orders', 1, again)).toBe(0)
    await scene.restart()
    expect(await place('orders', 0, scene.client('last'))).toBe(3)
  })

  test('queues that come later are read from their beginning: all that is in them was sent after the start', async () => {
    await client.heartbeat('c1', [consumer('cg', subscription('orders'), subscription('unborn'))])
    const header = { topic: 'orders', defaultTopic: 'TBW102', readQueueNums: 8, writeQueueNums: 8, perm: 6, topicFilterType: 'SINGLE_TAG' }
    await producer.invoke(UpdateAndCreateTopic, { ...header, order: false })
    await producer.send('orders', 'to a new queue', { queueId: 7 })
    await producer.send('unborn', 'to a new topic')
    expect(await place('orders', 7)).toBe(0)
    expect(await place('unborn', 0)).toBe(0)
  })

  test('from the first offset means the beginning, from a time stays with the client, and its retry topic begins at 0', async () => {
    await client.heartbeat('c1', [member({ consumeFromWhere: 'CONSUME_FROM_TIMESTAMP' })])
    expect(await place('orders', 1)).toBe('22')
    await client.heartbeat('c2', [
      { ...member({ consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET' }), groupName: 'other', subscriptionDataSet: [subscription('orders')] },
    ])
    const answer = await client.invoke(QueryConsumerOffset, { consumerGroup: 'other', topic: 'orders', queueId: 0 })
    expect(answer.header().offset).toBe(0)
  })

  test('a group that is deleted and comes back is new', async () => {
    await client.heartbeat('c1', [member()])
    await producer.send('orders', 'new')
    await client.invoke(DeleteSubscriptiongroup, { groupName: 'cg', cleanOffset: true })
    await client.heartbeat('c1', [member()])
    expect(await place()).toBe(4)
  })
})

describe('Apache’s rule for young queues', () => {
  test('stays the default: a queue whose first message is still there is read from it', async () => {
    await scene.restart({ startOffsetOfNewGroup: 'apache' })
    const again = scene.client('again')
    await again.heartbeat('c1', [member()])
    expect(await place('orders', 0, again)).toBe(0)
    expect(await place('orders', 1, again)).toBe(0)
  })

  test('whoever never sent a heartbeat decides for itself', async () => {
    expect(await place('orders', 1)).toBe('22')
  })
})

describe('a broadcasting member keeps its offsets itself and asks for the end', () => {
  const end = async (queueId = 0) => (await client.invoke(GetMaxOffset, { topic: 'orders', queueId })).header().offset

  test('it is told the end as it was at its first heartbeat, once', async () => {
    await client.heartbeat('b1', [member({ messageModel: 'BROADCASTING' })])
    await producer.send('orders', 'sent right after the start')
    expect([await end(), await end()]).toEqual([3, 4])
    // Others are told the truth.
    const other = scene.client('other')
    expect((await other.invoke(GetMaxOffset, { topic: 'orders', queueId: 0 })).header().offset).toBe(4)
  })

  test('a minute later such a question is not about its start any more', async () => {
    await client.heartbeat('b1', [member({ messageModel: 'BROADCASTING' })])
    await producer.send('orders', 'new')
    await scene.world.run(61_000)
    expect(await end()).toBe(4)
  })
})
