/** What operators look up or set now and then: who is slowest, who may not read, and transactions that nobody could judge. */
import {
  DeleteSubscriptiongroup,
  GetAllMessageRequestMode,
  GetAllSubscriptiongroupConfig,
  QueryCorrectionOffset,
  QuerySubscriptionByConsumer,
  ResumeCheckHalfMessage,
  SetMessageRequestMode,
  UpdateAndCreateSubscriptiongroup,
  UpdateAndCreateTopic,
  UpdateAndGetGroupForbidden,
  UpdateConsumerOffset,
  encodeJson,
  encodeRequestMode,
  offsetMessageId,
  parseFastjson,
} from '@skylarkmq/remoting/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { consumer, startScene, subscription, textOf } from './support.ts'
import type { Scene, TestClient } from './support.ts'
import { COMMIT, ROLLBACK, allIn, bodiesIn, end, producer, sendHalf } from './transaction-support.ts'
import type { Half } from './transaction-support.ts'

let scene: Scene
let client: TestClient
beforeEach(async () => {
  scene = await startScene({ transactionTimeOut: 6000, transactionCheckInterval: 30_000, transactionCheckMax: 2 })
  client = scene.client('operator')
  await client.invoke(UpdateAndCreateTopic, { topic: 'orders', readQueueNums: 2, writeQueueNums: 2, perm: 6 })
  for (const groupName of ['quick', 'slow']) await client.invoke(UpdateAndCreateSubscriptiongroup, {}, encodeJson({ groupName }))
})
afterEach(() => scene.close())

const bodyOf = (answer: { readonly body: Uint8Array }) => parseFastjson(Buffer.from(answer.body).toString()) as Record<string, unknown>

describe('how far the slowest group is', () => {
  const ask = (more: { compareGroup: string; filterGroups?: string }) =>
    client.invoke(QueryCorrectionOffset, { topic: 'orders', ...more }).then((answer) => Buffer.from(answer.body).toString())

  beforeEach(async () => {
    for (let i = 0; i < 5; i++) await client.send('orders', `m${i}`)
    const commit = (consumerGroup: string, commitOffset: number) =>
      client.invoke(UpdateConsumerOffset, { consumerGroup, topic: 'orders', queueId: 0, commitOffset })
    await commit('quick', 4)
    await commit('slow', 2)
  })

  test('queue by queue', async () => {
    expect(await ask({ compareGroup: 'quick' })).toBe('{"correctionOffsets":{0:2}}')
  })

  test('the group to compare is behind it: nothing is to be corrected', async () => {
    expect(await ask({ compareGroup: 'slow', filterGroups: 'slow' })).toBe('{"correctionOffsets":{0:9223372036854775807}}')
  })

  test('a group that does not count keeps its offsets', async () => {
    expect(await ask({ compareGroup: 'quick', filterGroups: 'slow,other' })).toBe('{"correctionOffsets":{0:4}}')
    expect(await ask({ compareGroup: 'quick' })).toBe('{"correctionOffsets":{0:2}}')
  })

  test('of what is not there', async () => {
    expect((await client.invoke(QueryCorrectionOffset, { topic: 'none', compareGroup: 'slow' })).code).toBe(17)
    expect((await client.invoke(QueryCorrectionOffset, { topic: 'orders', compareGroup: 'none' })).code).toBe(26)
  })
})

describe('a group that may not read a topic', () => {
  const forbidden = (readable?: boolean) =>
    client.invoke(UpdateAndGetGroupForbidden, { group: 'slow', topic: 'orders', ...(readable === undefined ? {} : { readable }) })

  test('is refused at its pulls, over a restart too, until it may read again; others go on', async () => {
    await client.send('orders', 'm')
    expect(bodyOf(await forbidden())).toEqual({ group: 'slow', topic: 'orders', readable: true })
    expect(bodyOf(await forbidden(false))).toMatchObject({ readable: false })
    await scene.restart()
    client = scene.client('operator-2')
    const refused = await client.pull('orders', { consumerGroup: 'slow' })
    expect([refused.code, refused.remark]).toEqual([
      16,
      expect.stringMatching(/^the consumer group\[slow\] is forbidden for topic\[orders\]; .* undoes it/),
    ])
    expect((await client.pull('orders', { consumerGroup: 'quick' })).code).toBe(0)
    expect(bodyOf(await client.invoke(GetAllSubscriptiongroupConfig, {}))['forbiddenTable']).toEqual({ slow: { orders: 4 } })
    expect(bodyOf(await forbidden(true))).toMatchObject({ readable: true })
    expect((await client.pull('orders', { consumerGroup: 'slow' })).code).toBe(0)
  })

  test('is deleted and made anew: it may read', async () => {
    await forbidden(false)
    await client.invoke(DeleteSubscriptiongroup, { groupName: 'slow', cleanOffset: false })
    expect(bodyOf(await forbidden())).toMatchObject({ readable: true })
  })

  test('has to be there, and so has the topic', async () => {
    const of = (group: string, topic: string) => client.invoke(UpdateAndGetGroupForbidden, { group, topic, readable: false })
    expect([(await of('none', 'orders')).code, (await of('slow', 'none')).code]).toEqual([26, 17])
  })
})

test('what the members of a group subscribe to', async () => {
  await client.heartbeat('c1', [consumer('slow', subscription('orders', 'TagA'))])
  const ask = (topic: string) => client.invoke(QuerySubscriptionByConsumer, { group: 'slow', topic }).then(bodyOf)
  expect(await ask('orders')).toMatchObject({ group: 'slow', topic: 'orders', subscriptionData: { subString: 'TagA' } })
  expect(await ask('other')).toEqual({ group: 'slow', topic: 'other' })
})

test('which groups pop', async () => {
  const mode = { topic: 'orders', consumerGroup: 'slow', mode: 'POP', popShareQueueNum: 0 } as const
  await client.invoke(SetMessageRequestMode, {}, encodeRequestMode(mode))
  expect(bodyOf(await client.invoke(GetAllMessageRequestMode, {}))).toEqual({ messageRequestModeMap: { orders: { slow: mode } } })
})

describe('a transaction that nobody could judge', () => {
  const PARKED = 'TRANS_CHECK_MAX_TIME_TOPIC'
  const idOf = (physicalOffset: number) => offsetMessageId(new Uint8Array([10, 0, 0, 1, 0, 0, 1, 1]), physicalOffset)
  const resume = (physicalOffset: number) => client.invoke(ResumeCheckHalfMessage, { msgId: idOf(physicalOffset) })

  async function parked(): Promise<{ readonly half: Half; readonly at: number }> {
    const half = await sendHalf(client, 'pay')
    await scene.world.run(150_000)
    const [message] = await allIn(client, PARKED)
    return { half, at: message!.physicalOffset }
  }

  test('is asked about again: the producer is back, and its answer counts', async () => {
    const { at } = await parked()
    const { asked } = await producer(scene, 'p1', () => COMMIT)
    await scene.world.run(60_000)
    expect(asked).toEqual([])
    expect((await resume(at)).code).toBe(0)
    await scene.world.run(60_000)
    expect(asked.map(({ message }) => textOf(message))).toEqual(['pay'])
    expect(await bodiesIn(client)).toEqual(['pay'])
  })

  test('resumed twice, and from the half message too, it is delivered once; and once more is refused', async () => {
    const { half, at } = await parked()
    const both = [at, at].map((position) => client.ask(ResumeCheckHalfMessage, { msgId: idOf(position) }))
    expect((await scene.world.until(Promise.all(both))).map(({ code }) => code)).toEqual([0, 0])
    expect((await resume(half.physicalOffset)).code).toBe(0)
    await producer(scene, 'p1', () => COMMIT)
    await scene.world.run(60_000)
    expect(await bodiesIn(client)).toEqual(['pay'])
    expect(await resume(at)).toMatchObject({
      code: 604,
      remark: expect.stringMatching(/^Put message back to RMQ_SYS_TRANS_HALF_TOPIC failed\./),
    })
    expect(await bodiesIn(client)).toEqual(['pay'])
  })

  test('is committed by its sender after it was resumed: delivered once, nobody is asked any more', async () => {
    const { half, at } = await parked()
    await resume(at)
    expect((await end(client, half, COMMIT)).code).toBe(0)
    const { asked } = await producer(scene, 'p1', () => COMMIT)
    await scene.world.run(60_000)
    expect(asked).toEqual([])
    expect(await bodiesIn(client)).toEqual(['pay'])
  })

  test('was committed late: it cannot be resumed', async () => {
    const { half, at } = await parked()
    await end(client, half, COMMIT)
    expect((await resume(at)).code).toBe(604)
    await producer(scene, 'p1', () => COMMIT)
    await scene.world.run(60_000)
    expect(await bodiesIn(client)).toEqual(['pay'])
  })

  test('still waits: its checks begin anew', async () => {
    const half = await sendHalf(client, 'pay')
    const { asked } = await producer(scene, 'p1')
    await scene.world.run(65_000)
    expect(asked).toHaveLength(2)
    expect((await resume(half.physicalOffset)).code).toBe(0)
    await scene.world.run(60_000)
    expect(asked).toHaveLength(4)
    expect(await bodiesIn(client, PARKED)).toEqual([])
  })

  test('was rolled back, or is none: refused', async () => {
    const half = await sendHalf(client, 'pay')
    await end(client, half, ROLLBACK)
    expect((await resume(half.physicalOffset)).code).toBe(604)
    const plainMessage = await client.send('orders', 'plain')
    expect((await client.invoke(ResumeCheckHalfMessage, { msgId: plainMessage.header().msgId })).code).toBe(604)
    for (const msgId of ['x', idOf(9_999_999)]) {
      const remark = expect.stringMatching(/^Exception was thrown when putting message back to RMQ_SYS_TRANS_HALF_TOPIC\. /)
      expect(await client.invoke(ResumeCheckHalfMessage, { msgId })).toMatchObject({ code: 1, remark })
    }
  })
})
