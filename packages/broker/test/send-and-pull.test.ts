import { PROPERTY, PULL_FLAG, SendBatchMessage, encodeClientBatch, formatProperties, offsetMessageId } from '@skylarkmq/remoting/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { consumer, messagesIn, startScene, subscription, textOf } from './support.ts'
import type { Scene } from './support.ts'

const HOLD = PULL_FLAG.SUBSCRIPTION | PULL_FLAG.SUSPEND

let scene: Scene
beforeEach(async () => {
  scene = await startScene()
})
afterEach(() => scene.close())

describe('a message is sent and pulled', () => {
  test('the first send creates the topic; the message comes back as it was, with what the broker adds', async () => {
    const client = scene.client('client')
    const sent = await client.send('orders', 'hello', { queueId: 1 }, { TAGS: 'a', mine: 'yes' })
    expect(sent.code).toBe(0)
    expect(sent.header()).toMatchObject({ queueId: 1, queueOffset: 0 })
    expect(sent.ext).toMatchObject({ MSG_REGION: 'DefaultRegion', TRACE_ON: 'true' })

    const pulled = await client.pull('orders', { queueId: 1 })
    expect(pulled.code).toBe(0)
    expect(pulled.header()).toMatchObject({ nextBeginOffset: 1, minOffset: 0, maxOffset: 1, suggestWhichBrokerId: 0 })
    const [message] = messagesIn(pulled)
    expect(message).toMatchObject({ topic: 'orders', queueId: 1, queueOffset: 0, storePort: 10911 })
    expect(textOf(message!)).toBe('hello')
    expect(message!.bornHost).toBe(scene.world.node('client').host)
    expect(Object.fromEntries(message!.properties)).toMatchObject({ TAGS: 'a', mine: 'yes', CLUSTER: 'DefaultCluster', TRACE_ON: 'true' })
    expect(sent.header().transactionId).toBe(message!.properties.get(PROPERTY.UNIQ_KEY))
    expect(sent.header().msgId).toBe(offsetMessageId(message!.storeHostBytes, message!.physicalOffset))
  })

  test('a negative queue id leaves the choice to the broker', async () => {
    const client = scene.client('client')
    const queues = new Set<number>()
    for (let i = 0; i < 40; i++) queues.add((await client.send('orders', 'x', { queueId: -1 })).header().queueId)
    expect([...queues].sort()).toEqual([0, 1, 2, 3])
  })

  test('a batch is stored side by side, each message with its own properties and id', async () => {
    const client = scene.client('client')
    const part = (body: string, properties: Record<string, string>) => ({
      flag: 0,
      body: Buffer.from(body),
      properties: Buffer.from(formatProperties(Object.entries(properties))),
    })
    const body = encodeClientBatch([
      part('one', { TAGS: 'a', UNIQ_KEY: 'u1' }),
      part('two', { TAGS: 'b', UNIQ_KEY: 'u2' }),
      part('three', {}),
    ])
    const header = {
      producerGroup: 'pg',
      topic: 'orders',
      queueId: 2,
      sysFlag: 0,
      bornTimestamp: 1,
      flag: 0,
      batch: true,
      defaultTopic: 'TBW102',
    }
    const sent = await client.invoke(SendBatchMessage, header, body)
    expect(sent.code).toBe(0)
    expect(sent.header().queueOffset).toBe(0)
    const messages = messagesIn(await client.pull('orders', { queueId: 2 }))
    expect(messages.map((m) => [textOf(m), m.properties.get('TAGS'), m.queueOffset])).toEqual([
      ['one', 'a', 0],
      ['two', 'b', 1],
      ['three', undefined, 2],
    ])
    expect(messages[2]!.properties.get('UNIQ_KEY')).toHaveLength(32)
    expect(sent.header().msgId).toBe(messages.map((m) => offsetMessageId(m.storeHostBytes, m.physicalOffset)).join(','))
  })

  test('flags and properties that only the broker sets are taken from a producer that forged them', async () => {
    const client = scene.client('client')
    // Prepared, both hosts IPv6, inner batch: each would hide the message or tear its record apart.
    const sent = await client.send(
      'orders',
      'x',
      { sysFlag: 0x4 | 0x10 | 0x20 | 0x40 | 0x80 },
      { POP_CK: '1 2 3', INNER_NUM: '9', CLUSTER: 'forged' },
    )
    expect(sent.code).toBe(0)
    const [message] = messagesIn(await client.pull('orders'))
    expect(message!.sysFlag).toBe(0)
    expect(message!.properties.has('POP_CK')).toBe(false)
    expect(message!.properties.has('INNER_NUM')).toBe(false)
    expect(message!.properties.get('CLUSTER')).toBe('DefaultCluster')
  })

  test('a half message is stored and answered, and no consumer sees it', async () => {
    const client = scene.client('client')
    const sent = await client.send('orders', 'half', { queueId: 3, sysFlag: 4 }, { TRAN_MSG: 'true', PGROUP: 'pg', UNIQ_KEY: 'uk' })
    expect(sent.code).toBe(0)
    expect(sent.header()).toMatchObject({ queueId: 3, queueOffset: 0, transactionId: 'uk' })
    expect((await client.pull('orders', { queueId: 3 })).code).toBe(19)
  })
})

describe('what a pull is answered', () => {
  const send = async (count: number): Promise<void> => {
    const client = scene.client('sender')
    for (let i = 0; i < count; i++) await client.send('orders', `m${i}`, {}, { TAGS: i % 2 === 0 ? 'even' : 'odd' })
  }

  test('only messages with the tags; the next offset passes over the others', async () => {
    await send(5)
    const client = scene.client('client')
    const odd = await client.pull('orders', { subscription: 'odd || other' })
    expect(messagesIn(odd).map(textOf)).toEqual(['m1', 'm3'])
    expect(odd.header().nextBeginOffset).toBe(5)
    const none = await client.pull('orders', { subscription: 'none' })
    expect(none.code).toBe(20)
    expect(none.header()).toMatchObject({ nextBeginOffset: 5, minOffset: 0, maxOffset: 5 })
  })

  test('at the end 19, beyond it 21 with the end, in an empty queue 19 at 0 and 21 elsewhere; the header is always whole', async () => {
    await send(2)
    const client = scene.client('client')
    const at = async (queueId: number, queueOffset: number) => {
      const answer = await client.pull('orders', { queueId, queueOffset })
      return [answer.code, answer.header().nextBeginOffset]
    }
    expect(await at(0, 2)).toEqual([19, 2])
    expect(await at(0, 7)).toEqual([21, 2])
    expect(await at(0, -1)).toEqual([21, 0])
    expect(await at(1, 0)).toEqual([19, 0])
    expect(await at(1, 5)).toEqual([21, 0])
  })

  test('at most 32 messages, and never none because the first is large', async () => {
    const client = scene.client('client')
    for (let i = 0; i < 40; i++) await client.send('orders', 'x')
    expect(messagesIn(await client.pull('orders', { maxMsgNums: 1000 }))).toHaveLength(32)
    await client.send('orders', Buffer.alloc(500_000))
    expect(messagesIn(await client.pull('orders', { queueOffset: 40 }))).toHaveLength(1)
  })

  test('without the subscription in the request it is the heartbeat’s: unknown, older and absent topics are refused', async () => {
    await send(4)
    const client = scene.client('client')
    const pull = (topic: string, subVersion = 5n) => client.pull(topic, { sysFlag: 0, subVersion })
    expect(await pull('orders')).toMatchObject({ code: 24, remark: expect.stringContaining("the consumer's group info not exist") })
    await client.heartbeat('c1', [consumer('cg', subscription('orders', 'odd', 4n))])
    expect(await pull('orders')).toMatchObject({ code: 25, remark: expect.stringContaining("the consumer's subscription not latest") })
    expect(await pull('BenchmarkTest', 1n)).toMatchObject({
      code: 24,
      remark: expect.stringContaining("the consumer's subscription not exist"),
    })
    // Go's version is in nanoseconds: it wins over milliseconds.
    await client.heartbeat('c1', [consumer('cg', subscription('orders', 'odd', 1_700_000_000_000_000_000n))])
    expect(messagesIn(await pull('orders')).map(textOf)).toEqual(['m1', 'm3'])
  })

  test('a filter by properties is refused, never ignored', async () => {
    await send(1)
    const answer = await scene.client('client').pull('orders', { expressionType: 'SQL92', subscription: 'a > 5' })
    expect(answer).toMatchObject({
      code: 1,
      remark: expect.stringContaining('The broker does not support consumer to filter message by SQL92'),
    })
    expect(answer.body).toHaveLength(0)
  })
})

describe('a pull that finds nothing is held', () => {
  test('until a message comes', async () => {
    const client = scene.client('client')
    await client.send('orders', 'one')
    let answered = false
    const pull = client.askPull('orders', { queueOffset: 1, sysFlag: HOLD })
    void pull.then(() => {
      answered = true
    })
    await scene.world.run(5000)
    expect(answered).toBe(false)
    await scene.client('other').send('orders', 'two')
    const answer = await scene.world.until(pull)
    expect(messagesIn(answer).map(textOf)).toEqual(['two'])
  })

  test('for as long as the client asked and no longer', async () => {
    const client = scene.client('client')
    await client.send('orders', 'one')
    const start = scene.world.nowMs
    const answer = await client.pull('orders', { queueOffset: 1, sysFlag: HOLD, suspendTimeoutMillis: 12_345 })
    expect(answer.code).toBe(19)
    expect(answer.header().nextBeginOffset).toBe(1)
    const held = scene.world.nowMs - start
    expect(held).toBeGreaterThanOrEqual(12_345)
    expect(held).toBeLessThan(12_445)
  })

  test('and sleeps on while messages come that its filter refuses', async () => {
    const client = scene.client('client')
    await client.send('orders', 'one', {}, { TAGS: 'b' })
    const pull = client.askPull('orders', { queueOffset: 1, sysFlag: HOLD, subscription: 'a' })
    let answered = false
    void pull.then(() => {
      answered = true
    })
    await scene.client('other').send('orders', 'not this', {}, { TAGS: 'b' })
    await scene.world.run(2000)
    expect(answered).toBe(false)
    await scene.client('other').send('orders', 'this', {}, { TAGS: 'a' })
    expect(messagesIn(await scene.world.until(pull)).map(textOf)).toEqual(['this'])
  })

  test('of a client that went away it is forgotten, and the next one gets the message', async () => {
    const gone = scene.client('gone')
    await gone.send('orders', 'one')
    gone.askPull('orders', { queueOffset: 1, sysFlag: HOLD }).catch(() => undefined)
    await scene.world.run(100)
    scene.world.kill('gone')
    await scene.world.run(100)
    await scene.client('other').send('orders', 'two')
    expect(messagesIn(await scene.client('next').pull('orders', { queueOffset: 1, sysFlag: HOLD })).map(textOf)).toEqual(['two'])
  })

  test('when the broker closes it is answered, so that the client need not wait', async () => {
    const client = scene.client('client')
    await client.send('orders', 'one')
    const pull = client.askPull('orders', { queueOffset: 1, sysFlag: HOLD, suspendTimeoutMillis: 30_000 })
    await scene.world.run(100)
    await scene.restart()
    expect((await scene.world.until(pull)).code).toBe(19)
  })
})
