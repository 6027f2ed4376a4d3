import {
  ConsumerSendMsgBack,
  LockBatchMq,
  UpdateAndCreateSubscriptiongroup,
  encodeJson,
  encodeLockBatch,
  normalizeGroupConfig,
  offsetMessageId,
} from '@skylarkmq/remoting/protocol'
import type { StoredMessage } from '@skylarkmq/remoting/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { consumer, messagesIn, startScene, subscription, textOf } from './support.ts'
import type { Scene, TestClient } from './support.ts'

let scene: Scene
let client: TestClient
let original: StoredMessage
beforeEach(async () => {
  scene = await startScene()
  client = scene.client('client')
  await client.send('orders', 'job', {}, { TAGS: 'a', KEYS: 'k1' })
  await client.heartbeat('c1', [consumer('cg', subscription('orders'))])
  original = messagesIn(await client.pull('orders'))[0]!
})
afterEach(() => scene.close())

const sendBack = (message: StoredMessage, more = {}) =>
  client.invoke(ConsumerSendMsgBack, { offset: message.physicalOffset, group: 'cg', delayLevel: 0, ...more })
const retried = async (): Promise<StoredMessage[]> => messagesIn(await client.pull('%RETRY%cg'))
const dead = async (): Promise<StoredMessage[]> => {
  const answer = await client.pull('%DLQ%cg')
  return answer.code === 17 ? [] : messagesIn(answer)
}

describe('a message that a consumer failed at', () => {
  test('comes back on the retry topic after level 3, with its way told', async () => {
    expect((await sendBack(original)).code).toBe(0)
    await scene.world.run(9_500)
    expect(await retried()).toEqual([])
    await scene.world.run(1_000)
    const [message] = await retried()
    expect(textOf(message!)).toBe('job')
    expect(message!.reconsumeTimes).toBe(1)
    expect(message!.bornTimestamp).toBe(original.bornTimestamp)
    expect(Object.fromEntries(message!.properties)).toMatchObject({
      TAGS: 'a',
      KEYS: 'k1',
      UNIQ_KEY: original.properties.get('UNIQ_KEY'),
      RETRY_TOPIC: 'orders',
      ORIGIN_MESSAGE_ID: offsetMessageId(original.storeHostBytes, original.physicalOffset),
      DELAY: '3',
      REAL_TOPIC: '%RETRY%cg',
    })
  })

  test('keeps its origin over many retries, and ends as a dead letter after the group’s attempts', async () => {
    await client.invoke(UpdateAndCreateSubscriptiongroup, {}, encodeJson(normalizeGroupConfig({ groupName: 'cg', retryMaxTimes: 2 })))
    await sendBack(original)
    await scene.world.run(11_000)
    const first = (await retried())[0]!
    await sendBack(first)
    await scene.world.run(11_000)
    const second = (await retried())[1]!
    expect(second.reconsumeTimes).toBe(2)
    expect(second.properties.get('ORIGIN_MESSAGE_ID')).toBe(first.properties.get('ORIGIN_MESSAGE_ID'))
    await sendBack(second)
    const [letter] = await dead()
    expect(textOf(letter!)).toBe('job')
    expect(letter!.properties.get('RETRY_TOPIC')).toBe('orders')
  })

  test('is a dead letter at once when the client says so', async () => {
    await sendBack(original, { delayLevel: -1 })
    expect((await dead()).map(textOf)).toEqual(['job'])
  })

  test('that is not there is refused; a group without a retry queue drops it', async () => {
    expect(await sendBack(original, { offset: original.physicalOffset + 1 })).toMatchObject({
      code: 1,
      remark: expect.stringMatching(/^look message by offset failed, \d+/),
    })
    await client.invoke(UpdateAndCreateSubscriptiongroup, {}, encodeJson(normalizeGroupConfig({ groupName: 'drops', retryQueueNums: 0 })))
    expect((await sendBack(original, { group: 'drops' })).code).toBe(0)
  })
})

describe('a consumer that sends to its retry topic itself', () => {
  test('is served until its attempts are over', async () => {
    expect((await client.send('%RETRY%cg', 'again', { reconsumeTimes: 16 })).code).toBe(0)
    expect((await retried()).map(textOf)).toEqual(['again'])
    await client.send('%RETRY%cg', 'too often', { reconsumeTimes: 17 })
    await client.send('%RETRY%cg', 'too often for itself', { reconsumeTimes: 3, maxReconsumeTimes: 2 })
    expect((await dead()).map((message) => [textOf(message), message.properties.get('DELAY')])).toEqual([
      ['too often', '-1'],
      ['too often for itself', '-1'],
    ])
  })

  test('while it consumes in order, every such message is a dead letter', async () => {
    const mqSet = [{ topic: 'orders', brokerName: 'broker-a', queueId: 0 }]
    await client.invoke(LockBatchMq, {}, encodeLockBatch({ consumerGroup: 'cg', clientId: 'c1', onlyThisBroker: false, mqSet }))
    await client.send('%RETRY%cg', 'ordered', { reconsumeTimes: 1 }, { DELAY: '3' })
    expect((await dead()).map(textOf)).toEqual(['ordered'])
  })
})
