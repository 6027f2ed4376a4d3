import {
  QueryAssignment,
  SetMessageRequestMode,
  decodeAssignments,
  encodeQueryAssignment,
  encodeRequestMode,
} from '@skylarkmq/remoting/protocol'
import type { QueryAssignmentBody, RequestModeBody } from '@skylarkmq/remoting/protocol'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { consumer, startScene, subscription } from '../support.ts'
import type { Scene, TestClient } from '../support.ts'

let scene: Scene
let client: TestClient
beforeEach(async () => {
  scene = await startScene()
  client = scene.client('client')
  await client.send('orders', 'x')
  for (const name of ['c1', 'c2', 'c3']) await scene.client(name).heartbeat(name, [consumer('cg', subscription('orders'))])
})
afterEach(() => scene.close())

const ask = async (more: Partial<QueryAssignmentBody> = {}) => {
  const body = { topic: 'orders', consumerGroup: 'cg', clientId: 'c1', strategyName: 'AVG', messageModel: 'CLUSTERING' as const, ...more }
  const answer = await client.invoke(QueryAssignment, {}, encodeQueryAssignment(body))
  expect(answer.code).toBe(0)
  return decodeAssignments(answer.body)
}
const queuesOf = async (more: Partial<QueryAssignmentBody> = {}) => (await ask(more))?.map(({ messageQueue }) => messageQueue.queueId)
const setMode = (more: Partial<RequestModeBody> = {}) =>
  client.invoke(
    SetMessageRequestMode,
    {},
    encodeRequestMode({ topic: 'orders', consumerGroup: 'cg', mode: 'POP', popShareQueueNum: 0, ...more }),
  )

test('a group that pulls gets its queues shared out, as clients do it themselves', async () => {
  expect(await queuesOf()).toEqual([0, 1])
  expect(await queuesOf({ clientId: 'c2' })).toEqual([2])
  expect(await queuesOf({ clientId: 'c3' })).toEqual([3])
  expect(await queuesOf({ clientId: 'c1', strategyName: 'AVG_BY_CIRCLE' })).toEqual([0, 3])
  expect(await queuesOf({ clientId: 'stranger' })).toEqual([])
  expect(await queuesOf({ messageModel: 'BROADCASTING' })).toEqual([0, 1, 2, 3])
  expect((await ask())![0]).toEqual({ messageQueue: { topic: 'orders', brokerName: 'broker-a', queueId: 0 }, mode: 'PULL' })
})

test('nothing is said of topics, groups and strategies that are not known: the client keeps what it has', async () => {
  expect(await ask({ topic: 'nowhere' })).toBeUndefined()
  expect(await ask({ consumerGroup: 'nobody' })).toBeUndefined()
  expect(await ask({ strategyName: 'MINE' })).toBeUndefined()
})

test('a group that pops gets all queues of each broker, or shares them with its neighbours; it lasts', async () => {
  expect((await setMode()).code).toBe(0)
  expect(await ask()).toEqual([{ messageQueue: { topic: 'orders', brokerName: 'broker-a', queueId: -1 }, mode: 'POP' }])
  expect((await setMode({ popShareQueueNum: 1 })).code).toBe(0)
  expect(await queuesOf()).toEqual([0, 1, 2])
  expect(await queuesOf({ clientId: 'c3' })).toEqual([3, 0, 1])
  await scene.restart()
  client = scene.client('client-2')
  await client.heartbeat('c9', [consumer('cg', subscription('orders'))])
  expect((await ask({ clientId: 'c9' }))![0]?.mode).toBe('POP')
})

test('a mode that cannot be set is refused', async () => {
  expect((await setMode({ topic: '%RETRY%cg' })).code).toBe(16)
  expect((await setMode({ topic: 'nowhere' })).code).toBe(17)
  expect((await setMode({ consumerGroup: 'bad group' })).code).toBe(26)
})

test('all groups pop by default when the broker is set so; retry topics are pulled all the same', async () => {
  await scene.restart({ defaultMessageRequestMode: 'POP' })
  client = scene.client('client-2')
  await client.heartbeat('c9', [consumer('cg', subscription('orders'))])
  expect((await ask({ clientId: 'c9' }))![0]).toMatchObject({ mode: 'POP', messageQueue: { queueId: -1 } })
  expect((await ask({ clientId: 'c9', topic: '%RETRY%cg' }))![0]?.mode).toBe('PULL')
})
