/** Sound frames whose content is wrong, at a real broker: the right code, a remark with the field and its value, and no one else notices. */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import {
  allCommands,
  CheckClientConfig,
  ConsumerSendMsgBack,
  decodeRecords,
  DeleteTopicInBroker,
  EndTransaction,
  GetConsumerListByGroup,
  GetMaxOffset,
  HeartBeat,
  LockBatchMq,
  PROPERTY,
  PULL_FLAG,
  PullMessage,
  QueryConsumerOffset,
  QueryMessage,
  RecallMessage,
  SendBatchMessage,
  SendMessage,
  SendMessageV2,
  SendReplyMessage,
  SERIALIZE_JSON,
  SERIALIZE_ROCKETMQ,
  UnlockBatchMq,
  UpdateAndCreateSubscriptiongroup,
  UpdateAndCreateTopic,
  UpdateBrokerConfig,
  UpdateConsumerOffset,
  ViewMessageById,
} from '@skylarkmq/remoting/protocol'
import type { AnyCommand, Field, Frame, StoredMessage } from '@skylarkmq/remoting/protocol'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { Neighbour } from './neighbour.node.ts'
import { freePort, Home } from './processes.node.ts'
import type { Server } from './processes.node.ts'
import { RawSocket } from './raw-socket.node.ts'

const RESIDENT_BYTES_MAX = 500 * 1024 * 1024
const NOT_SUPPORTED = 3
const ILLEGAL = 13
const FORBIDDEN = 16
const NO_TOPIC = 17
const INVALID = 29

let home: Home
let broker: Server
let port: number
let neighbour: Neighbour
let raw: RawSocket
beforeAll(async () => {
  home = new Home()
  port = await freePort()
  broker = home.start('mqbroker', ['-c', home.brokerConf(port, '', { mappedFileSizeCommitLog: 64 * 1024 * 1024 })])
  await broker.up()
  neighbour = Neighbour.ofBroker(`127.0.0.1:${port}`)
})
beforeEach(async () => {
  raw = await RawSocket.to(port)
})
afterEach(async () => {
  raw.destroy()
  await neighbour.noticesNothing()
  expect(broker.isRunning).toBe(true)
  expect(broker.logs().filter(({ level }) => level === 'error')).toEqual([])
  expect(broker.residentBytes ?? 0).toBeLessThan(RESIDENT_BYTES_MAX)
})
afterAll(async () => {
  await neighbour.stop()
  await home.dispose()
})

const says = (...parts: readonly (string | number)[]) =>
  expect.stringMatching(new RegExp(parts.map((part) => String(part).replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.*'), 's'))

const sendFields = {
  producerGroup: 'p',
  defaultTopic: 'TBW102',
  defaultTopicQueueNums: '4',
  queueId: '0',
  sysFlag: '0',
  bornTimestamp: '1',
  flag: '0',
}
type Ext = Readonly<Record<string, string>>
const send = (topic: string, body: Uint8Array | string = 'x', further: Ext = {}): Promise<Frame> =>
  raw.ask({ code: SendMessage.code, ext: { ...sendFields, topic, ...further }, body: Buffer.from(body) })
const sendBatch = (topic: string, body: Uint8Array): Promise<Frame> =>
  raw.ask({ code: SendBatchMessage.code, ext: { a: 'p', b: topic, c: 'TBW102', d: '4', e: '0', f: '0', g: '1', h: '0', m: 'true' }, body })
const pull = (topic: string, further: Ext = {}): Promise<Frame> => {
  const place = { consumerGroup: 'cg', topic, queueId: '0', queueOffset: '0', maxMsgNums: '32', sysFlag: String(PULL_FLAG.SUBSCRIPTION) }
  const rest = { commitOffset: '0', suspendTimeoutMillis: '0', subVersion: '0', subscription: '*' }
  return raw.ask({ code: PullMessage.code, ext: { ...place, ...rest, ...further } })
}
const askBody = (command: AnyCommand, body: string | Uint8Array, ext: Ext = {}): Promise<Frame> =>
  raw.ask({ code: command.code, ext, body: Buffer.from(body) })
async function stored(topic: string): Promise<StoredMessage[]> {
  const answer = await pull(topic)
  return answer.code === 0 ? decodeRecords(answer.body) : []
}
const property = (...pairs: readonly (readonly [string, string])[]): string =>
  pairs.map(([name, value]) => `${name}\u0001${value}\u0002`).join('')

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
  ] as const)('that comes with a later version says so: $name', async (command, ext) => {
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
    ['', 'empty'],
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

interface Part {
  readonly body: string
  readonly properties?: string
}
function batchOf(parts: readonly Part[]): Buffer {
  return Buffer.concat(
    parts.map(({ body, properties = '' }) => {
      const bytes = Buffer.alloc(22 + body.length + Buffer.byteLength(properties))
      bytes.writeInt32BE(bytes.length, 0)
      bytes.writeInt32BE(body.length, 16)
      bytes.write(body, 20)
      bytes.writeInt16BE(Buffer.byteLength(properties), 20 + body.length)
      bytes.write(properties, 22 + body.length)
      return bytes
    }),
  )
}
const lyingBatch = (position: number, value: number): Buffer => {
  const batch = batchOf([{ body: 'one' }, { body: 'two' }])
  if (position === 23) batch.writeInt16BE(value, position)
  else batch.writeInt32BE(value, position)
  return batch
}

describe('a batch', () => {
  test.each([
    ['a size of 0', lyingBatch(0, 0), ['message 1', 'size is 0']],
    ['a negative size', lyingBatch(0, -1), ['message 1', 'size is -1']],
    ['a size beyond its end', lyingBatch(25, 2_000_000_000), ['message 2', 'size is 2000000000']],
    ['a negative body length', lyingBatch(16, -5), ['message 1', 'body length is -5']],
    ['a body length beyond its message', lyingBatch(16, 1_000_000), ['message 1', 'body length is 1000000']],
    ['a negative properties length', lyingBatch(23, -1), ['message 1', 'properties length is -1']],
    ['a properties length beyond its message', lyingBatch(23, 32_000), ['message 1', 'properties length is 32000']],
    ['an end in the middle', batchOf([{ body: 'one' }, { body: 'two' }]).subarray(0, 30), ['message 2', '5 bytes']],
    ['no message', Buffer.alloc(0), ['body', 'empty']],
    ['an empty message', batchOf([{ body: 'one' }, { body: '' }]), ['message 2', 'empty']],
    ['a delayed message', batchOf([{ body: 'one', properties: property(['DELAY', '3']) }]), ['message 1', 'DELAY']],
    ['a half message', batchOf([{ body: 'one', properties: property(['TRAN_MSG', 'true']) }]), ['message 1', 'TRAN_MSG']],
    ['more than 65,536 messages', batchOf(Array.from({ length: 65_537 }, () => ({ body: 'x' }))), [65_537, 65_536]],
  ])('with %s is refused as a whole', async (_, body, parts) => {
    expect(await sendBatch('batches', body)).toMatchObject({ code: ILLEGAL, remark: says(...parts) })
    expect(await stored('batches')).toEqual([])
  })

  test('of 60,000 messages is stored in the time of one', async () => {
    const answer = await sendBatch('many', batchOf(Array.from({ length: 60_000 }, (_, i) => ({ body: `m${i}` }))))
    expect(answer).toMatchObject({ code: 0, ext: { queueOffset: '0' } })
    const end = await raw.ask({ code: GetMaxOffset.code, ext: { topic: 'many', queueId: '0' } })
    expect(end.ext).toMatchObject({ offset: '60000' })
  })

  test('that is told as a single message is one', async () => {
    const body = batchOf([{ body: 'one' }, { body: 'two' }])
    expect((await send('told-as-one', body)).code).toBe(0)
    expect((await stored('told-as-one')).map((message) => Buffer.from(message.body))).toEqual([body])
  })
})

describe('a message that lies about itself', () => {
  test.each([
    ['prepared', 0x4],
    ['commit', 0x8],
    ['rollback', 0xc],
    ['an IPv6 sender', 0x10],
    ['an IPv6 store', 0x20],
    ['an inner batch', 0x80],
    ['all bits', -1],
  ])('with the flag of %s is an ordinary message all the same', async (what, sysFlag) => {
    const topic = `flags-${what.replace(/\W/g, '-')}`
    expect((await send(topic, 'plain', { sysFlag: String(sysFlag) })).code).toBe(0)
    const [message] = await stored(topic)
    expect(message).toMatchObject({ topic, queueOffset: 0, bornHost: '127.0.0.1', storeHost: '127.0.0.1' })
    expect((message?.sysFlag ?? -1) & (0xc | 0x10 | 0x20 | 0x80)).toBe(0)
    expect(Buffer.from(message?.body ?? []).toString()).toBe('plain')
  })

  test('with properties that are the broker’s own: they are gone, the others stay', async () => {
    const own = [PROPERTY.POP_CK, PROPERTY.INNER_NUM, PROPERTY.INNER_BASE, PROPERTY.TRAN_PREPARED_QUEUE_OFFSET, PROPERTY.TIMER_OUT_MS]
    const properties = property(['mine', '1'], ...own.map((name) => [name, '0 9 60000 0 0 broker-a 0 0'] as const), [
      PROPERTY.CLUSTER,
      'not-ours',
    ])
    expect((await send('reserved', 'x', { properties })).code).toBe(0)
    const [message] = await stored('reserved')
    for (const name of own) expect(message?.properties.has(name), name).toBe(false)
    expect(message?.properties.get('mine')).toBe('1')
    expect(message?.properties.get(PROPERTY.CLUSTER)).toBe('DefaultCluster')
  })

  test.each([
    ['no separators', 'a text without any separator'],
    ['separators only', '\u0001\u0002\u0001\u0002'],
    ['a name without a value', 'name\u0001'],
    ['a value without a name', '\u0001value\u0002'],
    ['three parts', 'a\u0001b\u0001c\u0002'],
    ['JavaScript’s names', property(['__proto__', 'x'], ['constructor', 'y'])],
    ['half a character', 'k\u0001\ud800\u0002'],
    ['10,000 pairs', property(...Array.from({ length: 5000 }, (_, i) => [`${i % 10}`, ''] as const))],
  ])('with property text of %s is stored, and consumers can read it', async (what, properties) => {
    const topic = `properties-${what.replace(/\W/g, '-')}`
    expect((await send(topic, 'x', { properties })).code).toBe(0)
    const [message] = await stored(topic)
    expect(Buffer.from(message?.body ?? []).toString()).toBe('x')
    expect(message?.properties.get(PROPERTY.CLUSTER)).toBe('DefaultCluster')
  })

  test('with 40 kB of properties, or an empty or oversized body: the size and the limit', async () => {
    expect(await send('sizes', 'x', { properties: property(['big', 'v'.repeat(40_000)]) })).toMatchObject({
      code: ILLEGAL,
      remark: says('properties', 40_005, 32_767),
    })
    expect(await send('sizes', '')).toMatchObject({ code: ILLEGAL, remark: says('body', 'empty') })
    expect(await send('sizes', Buffer.alloc(4 * 1024 * 1024 + 1))).toMatchObject({
      code: ILLEGAL,
      remark: says(4_194_305, 'maxMessageSize=4194304'),
    })
    expect(await stored('sizes')).toEqual([])
  })

  test('with a body that is not compressed as it says: stored as it came, for consumers to judge', async () => {
    for (const sysFlag of [0x1, 0x1 | 0x100, 0x1 | 0x200, 0x1 | 0x300, 0x1 | 0x700]) {
      expect((await send('garbage', Buffer.from('this is not zlib'), { sysFlag: String(sysFlag) })).code).toBe(0)
    }
    expect((await stored('garbage')).map((message) => Buffer.from(message.body).toString())).toEqual(Array(5).fill('this is not zlib'))
  })

  test.each([
    ['soon', ['DELAY', 'soon']],
    ['1e3', ['DELAY', '1e3']],
    ['99999999999999999999', ['DELAY']],
  ])('with the delay level %j', async (level, parts) => {
    const answer = await send('delays', 'x', { properties: property(['DELAY', level]) })
    // A level beyond the last is the last one, as with Apache.
    if (answer.code !== 0) expect(answer).toMatchObject({ code: ILLEGAL, remark: says(...parts) })
    expect(await stored('delays')).toEqual([])
  })

  test('with numbers at the edge of what they can be', async () => {
    const edges = {
      queueId: '-2147483648',
      bornTimestamp: '-9007199254740991',
      flag: '-2147483648',
      reconsumeTimes: '2147483647',
      maxReconsumeTimes: '-1',
    }
    expect((await send('edges', 'x', edges)).code).toBe(0)
    expect(await send('edges', 'x', { queueId: '2147483647' })).toMatchObject({ code: INVALID, remark: says('queueId', 2_147_483_647) })
    const ext = {
      a: 'p',
      b: 'edges',
      c: 'TBW102',
      d: '2147483647',
      e: '0',
      f: '0',
      g: '1',
      h: '0',
      i: '',
      j: '-1',
      k: 'maybe',
      l: '0',
      m: 'no',
    }
    expect((await raw.ask({ code: SendMessageV2.code, ext, body: Buffer.from('x') })).code).toBe(0)
  })
})

const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth)
const notJson: readonly (readonly [string, string | Buffer])[] = [
  ['nothing', ''],
  ['half of it', '{"clientID":"c","consumerDataSet":[{'],
  ['bytes', Buffer.from([0, 255, 254, 128, 1, 2, 3])],
  ['a number', '5'],
  ['null', 'null'],
  ['a list', '[1,2,3]'],
  ['text', '"clientID"'],
  ['100,000 brackets', nested(100_000)],
  ['1,000,000 open brackets', '['.repeat(1_000_000)],
]
const wrongKinds: readonly (readonly [AnyCommand, string])[] = [
  [HeartBeat, '{"clientID":5,"consumerDataSet":7,"producerDataSet":"x"}'],
  [HeartBeat, '{"clientID":"c","consumerDataSet":[null,5,{"groupName":{}},{"groupName":"g","subscriptionDataSet":[null,7,{"topic":[]}]}]}'],
  [HeartBeat, '{"clientID":"c","consumerDataSet":{"__proto__":{"x":1}},"producerDataSet":[[[]]]}'],
  [LockBatchMq, '{"consumerGroup":"g","clientId":"c","mqSet":[null,5,{"topic":{},"queueId":"x"}]}'],
  [LockBatchMq, '{"consumerGroup":{},"clientId":[],"mqSet":7}'],
  [UnlockBatchMq, '{"consumerGroup":"g","clientId":"c","mqSet":{"a":1}}'],
  [CheckClientConfig, '{"subscriptionData":{"expressionType":5,"subString":{"a":1}}}'],
  [CheckClientConfig, '{"subscriptionData":[1]}'],
  [UpdateAndCreateSubscriptiongroup, '{"groupName":["x"],"retryMaxTimes":"often"}'],
]

describe('a body', () => {
  const commands = [HeartBeat, LockBatchMq, UnlockBatchMq, CheckClientConfig, UpdateAndCreateSubscriptiongroup]
  test.each(commands.flatMap((command) => notJson.map(([what, body]) => [command.name, what, command, body] as const)))(
    'of %s that is %s is answered',
    async (_, __, command, body) => {
      const answer = await askBody(command, body)
      if (answer.code !== 0) expect(answer).toMatchObject({ code: INVALID, remark: expect.stringMatching(/\S/) })
      else expect(command).toBe(CheckClientConfig)
    },
  )

  test.each(wrongKinds.map(([command, body]) => [command.name, body, command] as const))(
    'of %s with values of other kinds: %s',
    async (_, body, command) => {
      const answer = await askBody(command, body)
      if (answer.code !== 0) expect(answer.remark).toMatch(/\S/)
      expect(answer.code).not.toBe(1)
    },
  )

  test('of a heartbeat with 20,000 subscriptions is read whole', async () => {
    const subscriptionDataSet = Array.from({ length: 20_000 }, (_, i) => ({ topic: `t${i}`, subString: '*', subVersion: i }))
    const consumerData = {
      groupName: 'huge',
      consumeType: 'CONSUME_PASSIVELY',
      messageModel: 'CLUSTERING',
      consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
    }
    const body = JSON.stringify({ clientID: 'huge', consumerDataSet: [{ ...consumerData, subscriptionDataSet }], producerDataSet: [] })
    const answer = await askBody(HeartBeat, body)
    if (answer.code !== 0) expect(answer).toMatchObject({ code: INVALID, remark: says(20_000) })
  })

  test('of a lock request with 100,000 queues is over the limit', async () => {
    const mqSet = Array.from({ length: 100_000 }, (_, queueId) => ({ topic: 'neighbours', brokerName: 'broker-a', queueId }))
    const answer = await askBody(LockBatchMq, JSON.stringify({ consumerGroup: 'g', clientId: 'c', mqSet }))
    expect(answer).toMatchObject({ code: INVALID, remark: says(100_000, 65_536) })
  })

  test.each([
    ['no property', 'garbage'],
    ['an unknown key', 'noSuchKey=1\n'],
    ['a bad value', 'maxTransferCountOnMessageInMemory=many\n'],
    ['a fixed key', 'listenPort=1\n'],
    ['bytes', Buffer.from([255, 0, 10, 61])],
  ])('of a new configuration with %s is refused, or changes nothing', async (_, body) => {
    const answer = await askBody(UpdateBrokerConfig, body)
    if (answer.code !== 0) expect(answer.remark).toMatch(/\S/)
    expect((await send('neighbours')).code).toBe(0)
  })
})

describe('a subscription', () => {
  test.each([
    ['only separators', '|| || ||', 23],
    ['50,000 tags', Array.from({ length: 50_000 }, (_, i) => `tag${i}`).join('||'), 20],
  ])('of %s', async (_, subscription, code) => {
    await send('subscribed', 'x', { properties: property(['TAGS', 'other']) })
    expect((await pull('subscribed', { subscription })).code).toBe(code)
  })

  test('by an expression that the broker does not know', async () => {
    const answer = await pull('neighbours', { subscription: `a = ${'('.repeat(100_000)}`, expressionType: 'SQL92' })
    expect(answer).toMatchObject({ code: 1, remark: says('SQL92') })
  })

  test('offsets from elsewhere are answered with where the queue is', async () => {
    await send('offsets')
    for (const queueOffset of ['-1', '5', '9007199254740991']) {
      const answer = await pull('offsets', { queueOffset })
      expect(answer).toMatchObject({ code: 21, ext: { minOffset: '0', maxOffset: '1' } })
    }
    expect((await pull('offsets', { maxMsgNums: '-5' })).code).toBe(0)
    const commit = { consumerGroup: 'cg', topic: 'offsets', queueId: '0', commitOffset: '-7' }
    const answer = await raw.ask({ code: UpdateConsumerOffset.code, ext: commit })
    expect(answer.code === 0 || /\S/.test(answer.remark ?? '')).toBe(true)
  })
})
