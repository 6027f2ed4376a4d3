/** Sound frames whose header is wrong, at a real broker: the right code, a remark with the field and its value, and no one else notices. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import {
  allCommands,
  ConsumerSendMsgBack,
  DeleteTopicInBroker,
  EndTransaction,
  GetConsumerListByGroup,
  GetMaxOffset,
  QueryConsumerOffset,
  QueryMessage,
  RecallMessage,
  SendReplyMessage,
  SERIALIZE_JSON,
  SERIALIZE_ROCKETMQ,
  UpdateAndCreateSubscriptiongroup,
  UpdateAndCreateTopic,
  ViewMessageById,
} from '@skylarkmq/remoting/protocol'
import type { AnyCommand, Field } from '@skylarkmq/remoting/protocol'
import { describe, expect, test } from 'vitest'
import {
  home,
  port,
  raw,
  NOT_SUPPORTED,
  FORBIDDEN,
  NO_TOPIC,
  INVALID,
  says,
  sendFields,
  send,
  sendBatch,
  pull,
  askBody,
  batchOf,
} from './mistreated-broker.node.ts'
import type { Ext } from './mistreated-broker.node.ts'

/** A value that each kind of field accepts. */
const soundValue = ({ kind, values }: Field): string =>
  ({ string: 'x', boolean: 'true', enum: values?.[0] ?? 'x', double: '1', int: '1', long: '1', long64: '1' })[kind]

/** Each way of leaving out or spoiling one field of a command: [field, its ext fields, the value that the remark must show]. */
function* spoiled(command: AnyCommand): Generator<readonly [string, Ext, string]> {
  const fields = Object.entries(command.request as Record<string, Field>)
  const sound = Object.fromEntries(fields.map(([name, field]) => [field.wireName ?? name, soundValue(field)]))
  for (const [name, field] of fields) {
    const wireName = field.wireName ?? name
    const { [wireName]: _, ...without } = sound
    if (!field.optional) yield [name, without, 'is missing']
    if (['int', 'long', 'long64', 'double'].includes(field.kind)) yield [name, { ...sound, [wireName]: 'many' }, '"many"']
    if (field.kind === 'int') yield [name, { ...sound, [wireName]: '4294967296' }, '"4294967296"']
  }
}

describe('a header field', () => {
  test.each([
    ['JSON', SERIALIZE_JSON],
    ['binary', SERIALIZE_ROCKETMQ],
  ] as const)('that is missing or no number is named, with its value, by every command (%s)', async (_, serializeType) => {
    let asked = 0
    for (const command of allCommands()) {
      for (const [field, ext, value] of spoiled(command)) {
        const answer = await raw.ask({ code: command.code, ext, serializeType })
        if (answer.code === NOT_SUPPORTED) break
        expect({ command: command.name, field, code: answer.code, remark: answer.remark }).toEqual({
          command: command.name,
          field,
          code: INVALID,
          remark: says(field, value),
        })
        asked++
      }
    }
    expect(asked).toBeGreaterThan(100)
  })

  test('that came with 1,000 others is read; more than 1,024 are not', async () => {
    const others = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`other${i}`, 'v'.repeat(1000)]))
    const answer = await raw.ask({ code: GetMaxOffset.code, ext: { ...others, topic: 'neighbours', queueId: '0' } })
    expect(answer.code).toBe(0)
  })

  test('may be named after what every object of JavaScript has', async () => {
    for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty']) {
      expect((await raw.ask({ code: GetMaxOffset.code, ext: { [name]: 'x', topic: 'neighbours', queueId: '0' } })).code).toBe(0)
      expect(await send(name, 'x', { defaultTopic: 'constructor' })).toMatchObject({ code: NO_TOPIC, remark: says(name) })
      expect(await pull(name)).toMatchObject({ code: NO_TOPIC, remark: says(name) })
    }
  })
})

describe('a request', () => {
  test.each([31_999, 0, -1, 32_767, -32_768])('of the unknown code %i is not supported', async (code) => {
    expect(await raw.ask({ code })).toMatchObject({ code: NOT_SUPPORTED, remark: says(`request type ${code} not supported`) })
  })

  test.each([
    [EndTransaction, { producerGroup: 'p', tranStateTableOffset: '0', commitLogOffset: '0', commitOrRollback: '8', topic: 'orders' }],
    [SendReplyMessage, { ...sendFields, topic: 'orders' }],
    [RecallMessage, { producerGroup: 'p', topic: 'orders', recallHandle: 'x' }],
  ] as const)('that refers to nothing says so: $name', async (command, ext) => {
    const answer = await raw.ask({ code: command.code, ext })
    expect(answer.code).not.toBe(0)
    expect(answer.remark).toMatch(/\S/)
  })

  test('for another kind of server says so', async () => {
    const answer = await raw.ask({ code: 105, ext: { topic: 'orders' } })
    expect(answer).toMatchObject({ code: NOT_SUPPORTED, remark: says('request type 105 not supported', 'GET_ROUTEINFO_BY_TOPIC') })
  })

  test('of an unknown topic, queue or group', async () => {
    expect(await pull('nowhere')).toMatchObject({ code: NO_TOPIC, remark: says('topic[nowhere] not exist') })
    expect(await pull('neighbours', { queueId: '70000' })).toMatchObject({ code: INVALID, remark: says('70000') })
    expect(await pull('neighbours', { queueId: '-1' })).toMatchObject({ code: INVALID, remark: says('-1') })
    expect(await send('neighbours', 'x', { queueId: '70000' })).toMatchObject({ code: INVALID, remark: says('queueId', 70_000) })
    expect(await send('neighbours', 'x', { defaultTopic: 'nobody', topic: 'nowhere' })).toMatchObject({
      code: NO_TOPIC,
      remark: says('nowhere'),
    })
    const nobody = await raw.ask({ code: GetConsumerListByGroup.code, ext: { consumerGroup: 'nobody' } })
    expect(nobody).toMatchObject({ code: 1, remark: says('no consumer for this group', 'nobody') })
    const ext = { consumerGroup: 'nobody', topic: 'nowhere', queueId: '5' }
    expect((await raw.ask({ code: QueryConsumerOffset.code, ext: { ...ext, setZeroIfNotFound: 'false' } })).remark).toMatch(/\S/)
    expect(await raw.ask({ code: ViewMessageById.code, ext: { offset: '123456789' } })).toMatchObject({
      code: 1,
      remark: says(123_456_789),
    })
    expect(await raw.ask({ code: ViewMessageById.code, ext: { offset: '-5' } })).toMatchObject({ remark: says('-5') })
    const query = { topic: 'nowhere', key: 'k', maxNum: '2000000000', beginTimestamp: '0', endTimestamp: '9007199254740991' }
    expect((await raw.ask({ code: QueryMessage.code, ext: query })).remark).toMatch(/\S/)
    const back = { offset: '77', group: 'cg', delayLevel: '99999', originTopic: 'nowhere', maxReconsumeTimes: '3', unitMode: 'false' }
    expect(await raw.ask({ code: ConsumerSendMsgBack.code, ext: back })).toMatchObject({ code: expect.any(Number), remark: says(77) })
  })
})

describe('a name', () => {
  const names: readonly (readonly [string, string])[] = [
    ['../../etc/passwd', '../../etc/passwd'],
    ['..\\..\\windows', 'windows'],
    ['/etc/cron.d/x', '/etc/cron.d/x'],
    ['a\u0000b', 'a\\u0000b'],
    ['a\nb', 'a\\nb'],
    ['', 'blank'],
    ['..', '..'],
    ['x'.repeat(128), '128'],
    ['%RETRY%../../x', '../../x'],
    ['%DLQ%../../x', '../../x'],
    ['größe', 'größe'],
    ['x'.repeat(100_000), '100000'],
  ]
  test.each(names)('that no topic can have, %j, is refused wherever it comes from, and makes no file', async (name, shown) => {
    const folders = [join(home.path), join(home.path, `store-${port}`)]
    const before = folders.map((folder) => readdirSync(folder))
    expect(await send(name)).toMatchObject({ code: INVALID, remark: says('topic', shown) })
    const create = {
      topic: name,
      defaultTopic: 'TBW102',
      readQueueNums: '4',
      writeQueueNums: '4',
      perm: '6',
      topicFilterType: 'SINGLE_TAG',
      order: 'false',
    }
    expect(await raw.ask({ code: UpdateAndCreateTopic.code, ext: create })).toMatchObject({ code: INVALID, remark: says('topic', shown) })
    expect((await pull(name)).code).toBe(NO_TOPIC)
    await raw.ask({ code: DeleteTopicInBroker.code, ext: { topic: name } })
    await raw.ask({ code: GetMaxOffset.code, ext: { topic: name, queueId: '0' } })
    expect(folders.map((folder) => readdirSync(folder))).toEqual(before)
  })

  test.each(['../x', 'a\u0000b', 'x'.repeat(300), ''])('that no group can have, %j', async (name) => {
    expect((await pull('neighbours', { consumerGroup: name })).code).not.toBe(0)
    const body = JSON.stringify({ groupName: name, consumeEnable: true })
    expect(await askBody(UpdateAndCreateSubscriptiongroup, body)).toMatchObject({ code: INVALID, remark: says('group') })
  })

  test.each([
    'SCHEDULE_TOPIC_XXXX',
    'RMQ_SYS_TRANS_HALF_TOPIC',
    'RMQ_SYS_TRANS_OP_HALF_TOPIC',
    'TRANS_CHECK_MAX_TIME_TOPIC',
    'OFFSET_MOVED_EVENT',
    'SELF_TEST_TOPIC',
    'rmq_sys_wheel_timer',
    'rmq_sys_REVIVE_LOG_DefaultCluster',
  ])('of a topic in which the broker keeps its own state, %s, is not for sending', async (topic) => {
    const refused = { code: FORBIDDEN, remark: says(`Sending message to topic[${topic}] is forbidden`) }
    expect(await send(topic)).toMatchObject(refused)
    expect(await sendBatch(topic, batchOf([{ body: 'x' }]))).toMatchObject(refused)
    expect(await raw.ask({ code: DeleteTopicInBroker.code, ext: { topic } })).toMatchObject({ code: INVALID, remark: says(topic) })
  })
})
