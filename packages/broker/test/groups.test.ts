import { clientHandler } from '@skylarkmq/remoting'
import {
  CheckClientConfig,
  GetConsumerListByGroup,
  LockBatchMq,
  NotifyConsumerIdsChanged,
  UnlockBatchMq,
  UnregisterClient,
  decodeConsumerIdList,
  decodeLockResult,
  encodeLockBatch,
} from '@skylarkmq/remoting/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { consumer, startScene, subscription } from './support.ts'
import type { Scene, TestClient } from './support.ts'

let scene: Scene
let told: string[]
beforeEach(async () => {
  scene = await startScene()
  told = []
})
afterEach(() => scene.close())

const member = (name: string): TestClient =>
  scene.client(name, [
    clientHandler(NotifyConsumerIdsChanged, ({ consumerGroup }) => {
      told.push(`${name}:${consumerGroup}`)
      return undefined
    }),
  ])

const membersOf = async (client: TestClient, consumerGroup = 'cg'): Promise<string[]> => {
  const answer = await client.invoke(GetConsumerListByGroup, { consumerGroup })
  return answer.code === 0 ? decodeConsumerIdList(answer.body).sort() : [String(answer.remark)]
}
const news = async (): Promise<string[]> => {
  await scene.world.run(50)
  return told.splice(0).sort()
}

describe('members of a group know of each other', () => {
  test('who joins is told itself, and so is everybody else; a heartbeat that changes nothing is not', async () => {
    const a = member('a')
    const b = member('b')
    await a.heartbeat('client-a', [consumer('cg', subscription('orders'))])
    expect(await news()).toEqual(['a:cg'])
    await b.heartbeat('client-b', [consumer('cg', subscription('orders'))])
    expect(await news()).toEqual(['a:cg', 'b:cg'])
    expect(await membersOf(a)).toEqual(['client-a', 'client-b'])
    await a.heartbeat('client-a', [consumer('cg', subscription('orders', '*', 99n))])
    expect(await news()).toEqual([])
    await a.heartbeat('client-a', [consumer('cg', subscription('orders'), subscription('more'))])
    expect(await news()).toEqual(['a:cg', 'b:cg'])
  })

  test('who leaves, says so or not, is gone at once, and the others are told', async () => {
    const [a, b, c] = [member('a'), member('b'), member('c')]
    for (const [client, id] of [
      [a, 'client-a'],
      [b, 'client-b'],
      [c, 'client-c'],
    ] as const) {
      await client.heartbeat(id, [consumer('cg', subscription('orders'))])
    }
    await news()
    // C++ sends an empty text for the group that it does not mean.
    await b.invoke(UnregisterClient, { clientID: 'client-b', producerGroup: '', consumerGroup: 'cg' })
    expect(await news()).toEqual(['a:cg', 'c:cg'])
    scene.world.kill('c')
    expect(await news()).toEqual(['a:cg'])
    expect(await membersOf(a)).toEqual(['client-a'])
  })

  test('who falls silent is dropped after two minutes', async () => {
    const [a, b] = [member('a'), member('b')]
    await a.heartbeat('client-a', [consumer('cg', subscription('orders'))])
    await b.heartbeat('client-b', [consumer('cg', subscription('orders'))])
    for (let i = 0; i < 5; i++) {
      await scene.world.run(30_000)
      await a.heartbeat('client-a', [consumer('cg', subscription('orders'))])
    }
    expect(await membersOf(a)).toEqual(['client-a'])
  })

  test('nobody is told of a broadcasting group; an empty group is said to be one', async () => {
    const a = member('a')
    await a.heartbeat('client-a', [{ ...consumer('bc', subscription('orders')), messageModel: 'BROADCASTING' }])
    expect(await news()).toEqual([])
    expect(await membersOf(a, 'bc')).toEqual(['client-a'])
    expect(await membersOf(a, 'none')).toEqual([
      'no consumer for this group, none; no member of it has sent this broker a heartbeat lately',
    ])
  })
})

test('a Java consumer that filters by properties is told at its start that it cannot', async () => {
  const client = scene.client('client')
  const check = (expressionType: string, subString: string) =>
    client.invoke(
      CheckClientConfig,
      {},
      Buffer.from(JSON.stringify({ clientId: 'c', group: 'cg', subscriptionData: { topic: 't', expressionType, subString } })),
    )
  expect(await check('SQL92', 'a > 1')).toMatchObject({
    code: 1,
    remark: expect.stringMatching(/^The broker does not support consumer to filter message by SQL92 \(enablePropertyFilter=false\)/),
  })
  expect((await check('TAG', 'a||b')).code).toBe(0)
})

describe('queue locks', () => {
  const queues = [0, 1].map((queueId) => ({ topic: 'orders', brokerName: 'broker-a', queueId }))
  const lock = async (client: TestClient, clientId: string): Promise<number[]> => {
    const body = encodeLockBatch({ consumerGroup: 'cg', clientId, onlyThisBroker: false, mqSet: queues })
    return decodeLockResult((await client.invoke(LockBatchMq, {}, body)).body).map((queue) => queue.queueId)
  }

  test('a queue belongs to one client, until it lets go or is silent for a minute', async () => {
    const client = scene.client('client')
    await client.send('orders', 'x')
    expect(await lock(client, 'a')).toEqual([0, 1])
    expect(await lock(client, 'b')).toEqual([])
    await scene.world.run(50_000)
    expect(await lock(client, 'a')).toEqual([0, 1])
    await scene.world.run(50_000)
    expect(await lock(client, 'b')).toEqual([])
    await scene.world.run(20_000)
    expect(await lock(client, 'b')).toEqual([0, 1])
    await client.invoke(
      UnlockBatchMq,
      {},
      encodeLockBatch({ consumerGroup: 'cg', clientId: 'b', onlyThisBroker: false, mqSet: queues.slice(0, 1) }),
    )
    expect(await lock(client, 'a')).toEqual([0])
  })
})
