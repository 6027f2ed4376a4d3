import {
  GetConsumerListByGroup,
  GetMaxOffset,
  LockBatchMq,
  SendBatchMessage,
  SendMessageV2,
  UpdateAndCreateTopic,
  defineCommand,
} from '@skylarkmq/remoting/protocol'
import { int, string } from '@skylarkmq/remoting/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { consumer, startScene, subscription } from './support.ts'
import type { Scene, TestClient } from './support.ts'

let scene: Scene
let client: TestClient
beforeEach(async () => {
  scene = await startScene({ maxMessageSize: 100_000 })
  client = scene.client('client')
})
afterEach(() => scene.close())

const says = (...parts: string[]) =>
  expect.stringMatching(new RegExp(parts.map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.*'), 's'))

describe('bad input gets the right code and a remark that names the field and the value', () => {
  test.each([
    ['../../etc/passwd', 29, ['topic', '../../etc/passwd']],
    ['a\u0000b', 29, ['topic', 'a\\u0000b']],
    ['', 29, ['topic', 'blank']],
    ['x'.repeat(128), 29, ['topic', '127', '128']],
    ['SCHEDULE_TOPIC_XXXX', 16, ['Sending message to topic[SCHEDULE_TOPIC_XXXX] is forbidden']],
    ['rmq_sys_wheel_timer', 16, ['Sending message to topic[rmq_sys_wheel_timer] is forbidden']],
    ['RMQ_SYS_TRANS_HALF_TOPIC', 16, ['Sending message to topic[RMQ_SYS_TRANS_HALF_TOPIC] is forbidden']],
  ])('a send to topic %j: %i', async (topic, code, parts) => {
    expect(await client.send(topic, 'x')).toMatchObject({ code, remark: says(...parts) })
  })

  test('a send to a topic that is not created by sends', async () => {
    expect(await client.send('orders', 'x', { defaultTopic: 'no-such' })).toMatchObject({
      code: 17,
      remark: says('topic[orders] not exist', 'no-such'),
    })
  })

  test('a queue that the topic does not have', async () => {
    expect(await client.send('orders', 'x', { queueId: 4 })).toMatchObject({
      code: 29,
      remark: says('request queueId[4] is illegal', '0 to 3'),
    })
    await client.send('orders', 'x')
    expect(await client.pull('orders', { queueId: 4 })).toMatchObject({ code: 29, remark: says('queueId[4] is illegal', '0 to 3') })
    expect(await client.pull('orders', { queueId: -1 })).toMatchObject({ code: 29, remark: says('queueId[-1] is illegal') })
  })

  test('an empty and an oversized body, oversized properties', async () => {
    expect(await client.send('orders', '')).toMatchObject({ code: 13, remark: says('body', 'empty') })
    expect(await client.send('orders', Buffer.alloc(100_001))).toMatchObject({ code: 13, remark: says('100001', 'maxMessageSize=100000') })
    expect(await client.send('orders', 'x', {}, { big: 'v'.repeat(32_768) })).toMatchObject({
      code: 13,
      remark: says('properties', '32767'),
    })
  })

  test('a delay level and a delivery time that are no numbers', async () => {
    expect(await client.send('orders', 'x', {}, { DELAY: 'soon' })).toMatchObject({ code: 13, remark: says('DELAY', 'soon') })
    expect(await client.send('orders', 'x', {}, { TIMER_DELAY_SEC: 'soon' })).toMatchObject({
      code: 13,
      remark: says('TIMER_DELAY_SEC=soon'),
    })
  })

  test('a pull of an unknown topic, and a subscription without a tag', async () => {
    expect(await client.pull('nowhere')).toMatchObject({ code: 17, remark: says('topic[nowhere] not exist') })
    await client.send('orders', 'x')
    expect(await client.pull('orders', { subscription: '|| ||' })).toMatchObject({
      code: 23,
      remark: says("parse the consumer's subscription failed"),
    })
  })

  test('an unknown group where groups are not created by consumers', async () => {
    await scene.restart({ autoCreateSubscriptionGroup: false })
    await client.send('orders', 'x')
    expect(await client.pull('orders', { consumerGroup: 'unknown' })).toMatchObject({
      code: 26,
      remark: says('subscription group [unknown] does not exist'),
    })
  })

  test('a heartbeat with a group name that cannot be, or an expression without a tag: named, and its sound groups count', async () => {
    const members = async (consumerGroup: string) => (await client.invoke(GetConsumerListByGroup, { consumerGroup })).code
    const answer = await client.heartbeat('c1', [
      consumer('bad/name', subscription('orders')),
      consumer('no-tag', { ...subscription('orders'), subString: '||', tagsSet: [] }),
      consumer('good', subscription('orders')),
    ])
    expect(answer).toMatchObject({ code: 29, remark: says('group', 'bad/name') })
    expect([await members('no-tag'), await members('good')]).toEqual([1, 0])
  })

  test('more sends at a time than the broker takes: the next is told to slow down, the others are stored', async () => {
    await scene.restart({ sendThreadPoolQueueCapacity: 2 })
    await client.send('orders', 'x')
    const header = { producerGroup: 'pg', topic: 'orders', queueId: 0, sysFlag: 0, bornTimestamp: 1, flag: 0 }
    const sends = Array.from({ length: 200 }, () => client.ask(SendMessageV2, header, Buffer.from('y')))
    const answers = await scene.world.until(Promise.all(sends))
    const [stored, busy] = [0, 2].map((code) => answers.filter((each) => each.code === code))
    expect(stored!.length + busy!.length).toBe(200)
    expect(busy![0]?.remark).toMatch(/^\[OVERLOAD\]system busy, start flow control for a while/)
    expect(scene.broker.store.maxOffset('orders', 0)).toBe(1 + stored!.length)
    expect((await client.send('orders', 'z')).code).toBe(0)
  })

  test('a batch that lies about its lengths, that is empty, that goes to a retry topic, that has a delay', async () => {
    const header = {
      producerGroup: 'pg',
      topic: 'orders',
      queueId: 0,
      sysFlag: 0,
      bornTimestamp: 1,
      flag: 0,
      batch: true,
      defaultTopic: 'TBW102',
    }
    const lying = Buffer.alloc(40)
    lying.writeInt32BE(1_000_000, 0)
    expect(await client.invoke(SendBatchMessage, header, lying)).toMatchObject({ code: 13, remark: says('1000000') })
    expect(await client.invoke(SendBatchMessage, header, Buffer.alloc(0))).toMatchObject({ code: 13 })
    expect(await client.invoke(SendBatchMessage, { ...header, topic: '%RETRY%cg' }, lying)).toMatchObject({
      code: 13,
      remark: says('%RETRY%cg'),
    })
  })

  test('a header field that is missing, and one that is no number', async () => {
    const Bare = defineCommand({ code: SendMessageV2.code, name: 'BARE', server: 'broker', summary: '', request: { b: string() } })
    expect(await client.invoke(Bare, { b: 'orders' }, Buffer.from('x'))).toMatchObject({
      code: 29,
      remark: says('producerGroup', 'missing'),
    })
    const Wordy = defineCommand({
      code: GetMaxOffset.code,
      name: 'WORDY',
      server: 'broker',
      summary: '',
      request: { topic: string(), queueId: string() },
    })
    expect(await client.invoke(Wordy, { topic: 'orders', queueId: 'many' })).toMatchObject({ code: 29, remark: says('queueId', 'many') })
  })

  test('an unknown request code, and a command that comes in a later version', async () => {
    const Unknown = defineCommand({ code: 31_999, name: 'UNKNOWN', server: 'broker', summary: '', request: { a: int() } })
    expect(await client.invoke(Unknown, { a: 1 })).toMatchObject({ code: 3, remark: says(' request type 31999 not supported') })
  })

  test('bodies that are no JSON', async () => {
    const answer = await client.invoke(LockBatchMq, {}, Buffer.from('{"consumerGroup":'))
    expect(answer.code).toBe(29)
    expect(answer.remark).not.toMatch(/Error|Exception/)
  })

  test('a topic with no queues, too many, or a permission that cannot be', async () => {
    const update = { topic: 'orders', readQueueNums: 4, writeQueueNums: 4, perm: 6 }
    expect(await client.invoke(UpdateAndCreateTopic, { ...update, readQueueNums: 0 })).toMatchObject({
      code: 29,
      remark: says('readQueueNums is 0'),
    })
    expect(await client.invoke(UpdateAndCreateTopic, { ...update, writeQueueNums: 99_999_999 })).toMatchObject({
      code: 29,
      remark: says('writeQueueNums is 99999999'),
    })
    expect(await client.invoke(UpdateAndCreateTopic, { ...update, perm: 64 })).toMatchObject({ code: 29, remark: says('perm is 64') })
    expect(await client.invoke(UpdateAndCreateTopic, { ...update, topic: 'TBW102' })).toMatchObject({
      code: 29,
      remark: says('conflict with system topic'),
    })
  })

  test('and after all of it the broker still does its work', async () => {
    await client.send('a\u0000b', 'x')
    await client.send('orders', '')
    expect((await client.send('orders', 'x')).code).toBe(0)
  })
})
