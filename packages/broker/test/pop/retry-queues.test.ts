import { GetTopicConfig, UpdateAndCreateTopic, decodeTopicConfig } from '@skylarkmq/remoting/protocol'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { startScene } from '../support.ts'
import type { Scene, TestClient } from '../support.ts'
import { messagesOf, pop } from './pop-support.ts'

/** Popped again by priority: the messages of one retry queue would all be as urgent as the first of them. */
let scene: Scene
let client: TestClient
beforeEach(async () => {
  scene = await startScene({ useSeparateRetryQueue: true, popFromRetryProbabilityForPriority: 100 })
  client = scene.client('client')
  await makeTopic(4)
})
afterEach(() => scene.close())

const makeTopic = (queues: number) =>
  client.invoke(UpdateAndCreateTopic, {
    topic: 'urgent',
    defaultTopic: 'TBW102',
    readQueueNums: queues,
    writeQueueNums: queues,
    perm: 6,
    topicFilterType: 'SINGLE_TAG',
    topicSysFlag: 0,
    order: false,
    attributes: '+message.type=PRIORITY',
  })
const send = (priority: number) => client.send('urgent', `p${priority}`, { queueId: 0 }, { _SYS_MSG_PRIORITY_: String(priority) })
const popAll = async (invisibleTime: number) =>
  messagesOf(await pop(client, { topic: 'urgent', invisibleTime })).map(
    ({ body, stored }) => `${body} of ${stored.queueId}@${stored.queueOffset}, ${stored.reconsumeTimes} times before`,
  )

test('what nobody acknowledged comes back by priority, from the queue that it was in', async () => {
  for (const priority of [1, 3, 0, 2]) await send(priority)
  expect(await popAll(1000)).toHaveLength(4)
  await scene.world.run(1500)
  expect(await popAll(1000)).toEqual([3, 2, 1, 0].map((n) => `p${n} of ${n}@0, 1 times before`))
  // Again, without changing queues.
  await scene.world.run(1500)
  expect(await popAll(60_000)).toEqual([3, 2, 1, 0].map((n) => `p${n} of ${n}@1, 2 times before`))
})

test('a topic that grew has more queues for them, too', async () => {
  await send(3)
  await popAll(1000)
  await scene.world.run(1500)
  const retry = decodeTopicConfig((await client.invoke(GetTopicConfig, { topic: '%RETRY%cg_urgent' })).body)
  expect(retry).toMatchObject({ readQueueNums: 4, writeQueueNums: 4 })
  await makeTopic(6)
  await send(5)
  expect(await popAll(1000)).toEqual(['p3 of 3@0, 1 times before', 'p5 of 5@0, 0 times before'])
  await scene.world.run(1500)
  expect(await popAll(1000)).toEqual(['p5 of 5@0, 1 times before', 'p3 of 3@1, 2 times before'])
})
