/** What happens to a message on its way to brokers that refuse, stall or die. NameServers and brokers are scripted, time is virtual. */
import { deflateSync, inflateSync } from 'node:zlib'
import { channel } from 'node:diagnostics_channel'
import { describe, expect, it } from 'vitest'
import type { SendReceipt } from '@skylarkmq/client'
import { route } from '@skylarkmq/remoting'
import { RecallMessage, ResponseCode, SYS_FLAG } from '@skylarkmq/remoting/protocol'
import { LANE, failureOf, fakeCluster, routeOf } from './support/fake-cluster.ts'
import type { FakeClusterOptions } from './support/fake-cluster.ts'

const TOPIC = 'Orders'

async function cluster(options: FakeClusterOptions = {}) {
  const made = await fakeCluster(options)
  made.routes.set(TOPIC, routeOf(Object.values(made.brokers)))
  return made
}

describe('send', () => {
  it('sends header, properties and body as Java clients do, and hands back where the message is', async () => {
    const { sim, client, broker } = await cluster({ brokers: ['a'] })
    const producer = client.producer({ group: 'g' })
    const receipt = await sim.world.until(
      producer.send({ topic: TOPIC, body: 'héllo', tags: 'T', keys: ['k1', 'k2'], properties: { colour: 'red' }, flag: 7, orderKey: 'o' }),
    )
    const [received] = broker('a').received
    expect(received?.body.toString()).toBe('héllo')
    expect(received?.header).toMatchObject({
      producerGroup: 'g',
      topic: TOPIC,
      defaultTopic: 'TBW102',
      defaultTopicQueueNums: 4,
      queueId: receipt.queue.queueId,
      sysFlag: 0,
      flag: 7,
      batch: false,
    })
    expect(Object.fromEntries(received?.properties ?? [])).toEqual({
      colour: 'red',
      TAGS: 'T',
      KEYS: 'k1 k2',
      __SHARDINGKEY: 'o',
      UNIQ_KEY: receipt.messageId,
      WAIT: 'true',
    })
    expect(receipt).toMatchObject({ status: 'OK', offsetMessageId: 'a-0', queueOffset: 0, attempts: 1 })
    expect(receipt.queue).toMatchObject({ topic: TOPIC, brokerName: 'a' })
  })

  it('spreads messages over all queues of all brokers', async () => {
    const { sim, client } = await cluster()
    const producer = client.producer({ group: 'g' })
    const receipts = await sim.world.until(Promise.all(Array.from({ length: 16 }, (_, i) => producer.send({ topic: TOPIC, body: `${i}` }))))
    const perQueue = new Map<string, number>()
    for (const { queue } of receipts) {
      const key = `${queue.brokerName}/${queue.queueId}`
      perQueue.set(key, (perQueue.get(key) ?? 0) + 1)
    }
    expect([...perQueue.values()]).toEqual(Array.from({ length: 8 }, () => 2))
  })

  it.each([1, 2, 14, 16, 17, 204, 205, 1500])('tries the other broker when one answers code %i', async (code) => {
    const { sim, client, broker } = await cluster()
    broker('a').answers = () => ({ code, remark: 'not now' })
    const producer = client.producer({ group: 'g' })
    for (let i = 0; i < 4; i++) {
      const receipt = await sim.world.until(producer.send({ topic: TOPIC, body: 'x' }))
      expect(receipt.queue.brokerName).toBe('b')
    }
  })

  it('does not try again what no broker will take', async () => {
    const { sim, client, brokers } = await cluster()
    for (const broker of Object.values(brokers))
      broker.answers = () => ({ code: ResponseCode.MESSAGE_ILLEGAL, remark: 'the message is illegal' })
    const error = await sim.world.until(failureOf(client.producer({ group: 'g' }).send({ topic: TOPIC, body: 'x' })))
    expect(error).toMatchObject({ code: 'MESSAGE_ILLEGAL', brokerCode: 13, phase: 'answer', topic: TOPIC, retryable: false })
    expect(error.message).toContain('the message is illegal')
    expect(Object.values(brokers).flatMap((broker) => broker.received)).toHaveLength(1)
  })

  it('gives up after three attempts, and the error tells of each', async () => {
    const { sim, client, brokers } = await cluster()
    for (const broker of Object.values(brokers))
      broker.answers = () => ({ code: ResponseCode.SYSTEM_BUSY, remark: `${broker.name} is busy` })
    const error = await sim.world.until(failureOf(client.producer({ group: 'g' }).send({ topic: TOPIC, body: 'x' })))
    expect(error).toMatchObject({ code: 'SYSTEM_BUSY', brokerCode: 2, retryable: true })
    expect(error.message).toContain('in 3 attempts')
    expect(error.message).toContain('a is busy')
    expect(error.message).toContain('b is busy')
    expect(Object.values(brokers).flatMap((broker) => broker.received)).toHaveLength(3)
  })

  it('reaches the living broker when the other was killed, and then leaves the dead one alone', async () => {
    const { sim, client, broker } = await cluster()
    const producer = client.producer({ group: 'g' })
    await sim.world.until(Promise.all(Array.from({ length: 8 }, (_, i) => producer.send({ topic: TOPIC, body: `${i}` }))))
    sim.world.kill('a')
    await sim.world.settle()
    const receipts: SendReceipt[] = []
    for (let i = 0; i < 8; i++) receipts.push(await sim.world.until(producer.send({ topic: TOPIC, body: `after ${i}` })))
    expect(receipts.every((receipt) => receipt.queue.brokerName === 'b')).toBe(true)
    expect(receipts.filter((receipt) => receipt.attempts > 1).length).toBeLessThanOrEqual(1)
    expect(broker('b').bodies.filter((body) => body.startsWith('after'))).toHaveLength(8)
  })

  it('finds the only broker again when it comes back at another address', async () => {
    const { sim, client, routes, broker } = await cluster()
    routes.set(TOPIC, routeOf([broker('a')]))
    const producer = client.producer({ group: 'g' })
    await sim.world.until(producer.send({ topic: TOPIC, body: 'x' }))
    await sim.world.run(2000)
    sim.world.kill('a')
    const moved = routeOf([broker('a')])
    const brokerDatas = moved.brokerDatas.map((data) => ({ ...data, brokerAddrs: { '0': broker('b').address } }))
    routes.set(TOPIC, { ...moved, brokerDatas })
    const receipt = await sim.world.until(producer.send({ topic: TOPIC, body: 'moved' }))
    expect(receipt).toMatchObject({ attempts: 2, offsetMessageId: 'b-0' })
  })

  it('does not send twice what a broker stored but answered badly', async () => {
    const { sim, client, brokers } = await cluster()
    for (const broker of Object.values(brokers)) broker.answers = () => ({ code: 0, ext: { msgId: 'x', queueId: 'three' } })
    const error = await sim.world.until(failureOf(client.producer({ group: 'g' }).send({ topic: TOPIC, body: 'x' })))
    expect(error).toMatchObject({ code: 'BAD_FRAME', phase: 'answer' })
    expect(error.message).toContain('queueId')
    expect(Object.values(brokers).flatMap((broker) => broker.received)).toHaveLength(1)
  })

  it('does not hold it against a broker that it refuses a topic', async () => {
    const { sim, client, routes, brokers, broker } = await cluster()
    routes.set('Fine', routeOf(Object.values(brokers)))
    broker('a').answers = ({ header }) => (header.topic === TOPIC ? { code: ResponseCode.NO_PERMISSION } : undefined)
    const producer = client.producer({ group: 'g' })
    await sim.world.until(producer.send({ topic: TOPIC, body: 'x' }))
    await sim.world.until(producer.send({ topic: TOPIC, body: 'x' }))
    const receipts = await sim.world.until(Promise.all(Array.from({ length: 8 }, () => producer.send({ topic: 'Fine', body: 'x' }))))
    expect(receipts.filter((receipt) => receipt.queue.brokerName === 'a')).toHaveLength(4)
  })

  it('waits a little before it asks the only broker again', async () => {
    const { sim, client, broker } = await cluster({ brokers: ['a'] })
    broker('a').answers = () => (broker('a').received.length < 3 ? { code: ResponseCode.SYSTEM_BUSY } : undefined)
    const receipt = await sim.world.until(client.producer({ group: 'g' }).send({ topic: TOPIC, body: 'x' }))
    expect(receipt.attempts).toBe(3)
    const [first, second, third] = broker('a').received.map((received) => received.at) as [number, number, number]
    expect(second - first).toBeGreaterThanOrEqual(100)
    expect(third - second).toBeGreaterThanOrEqual(500)
  })

  it('keeps to the deadline of the whole call when brokers stay silent', async () => {
    const { sim, client, brokers } = await cluster()
    for (const broker of Object.values(brokers)) broker.answers = () => 'silence'
    const startedAt = sim.world.nowMs
    const error = await sim.world.until(failureOf(client.producer({ group: 'g' }).send({ topic: TOPIC, body: 'x' }, { timeoutMs: 700 })))
    expect(error).toMatchObject({ code: 'TIMEOUT', retryable: true })
    expect(sim.world.nowMs - startedAt).toBeGreaterThanOrEqual(690)
    expect(sim.world.nowMs - startedAt).toBeLessThan(800)
  })

  it('has time for the other broker when attempts have a bound of their own', async () => {
    const { sim, client, broker } = await cluster()
    broker('a').answers = () => 'silence'
    const producer = client.producer({ group: 'g', attemptTimeoutMs: 200 })
    for (let i = 0; i < 3; i++) expect((await sim.world.until(producer.send({ topic: TOPIC, body: 'x' }))).queue.brokerName).toBe('b')
  })

  it('passes on that a message is stored but not yet as safe as it should be', async () => {
    const { sim, client, broker } = await cluster({ brokers: ['a'] })
    const header = { msgId: 'id', queueId: 0, queueOffset: 5 }
    const producer = client.producer({ group: 'g' })
    for (const [code, status] of [
      [10, 'FLUSH_DISK_TIMEOUT'],
      [11, 'SLAVE_NOT_AVAILABLE'],
      [12, 'FLUSH_SLAVE_TIMEOUT'],
    ] as const) {
      broker('a').answers = () => ({ code, header })
      expect(await sim.world.until(producer.send({ topic: TOPIC, body: 'x' }))).toMatchObject({ status, queueOffset: 5 })
    }
  })

  it('stops at once when its signal aborts, and says so', async () => {
    const { sim, client, broker } = await cluster({ brokers: ['a'] })
    broker('a').answers = () => 'silence'
    const abort = new AbortController()
    const producer = client.producer({ group: 'g' })
    const failed = failureOf(producer.send({ topic: TOPIC, body: 'x' }, { signal: abort.signal }))
    await sim.world.run(100)
    expect(broker('a').received).toHaveLength(1)
    abort.abort(new Error('the user left'))
    const error = await sim.world.until(failed)
    expect(error.code).toBe('ABORTED')
    expect((await sim.world.until(failureOf(producer.send({ topic: TOPIC, body: 'y' }, { signal: abort.signal })))).code).toBe('ABORTED')
    expect(broker('a').received).toHaveLength(1)
  })

  it('sends what has one order key to one queue, whatever else is sent', async () => {
    const { sim, client } = await cluster()
    const producer = client.producer({ group: 'g' })
    const other = client.producer({ group: 'other' })
    const queues = new Map<string, Set<string>>()
    for (let i = 0; i < 60; i++) {
      const orderKey = `customer-${i % 12}`
      const { queue } = await sim.world.until((i % 2 ? producer : other).send({ topic: TOPIC, body: 'x', orderKey }))
      const seen = queues.get(orderKey) ?? new Set()
      queues.set(orderKey, seen.add(`${queue.brokerName}/${queue.queueId}`))
    }
    expect([...queues.values()].every((seen) => seen.size === 1)).toBe(true)
    expect(new Set([...queues.values()].map((seen) => [...seen][0])).size).toBeGreaterThan(2)
  })

  it('sends to the queue that the caller picks, and retries nowhere else', async () => {
    const { sim, client, broker } = await cluster()
    const producer = client.producer({ group: 'g' })
    const queue = { topic: TOPIC, brokerName: 'a', queueId: 3 }
    expect((await sim.world.until(producer.send({ topic: TOPIC, body: 'x' }, { queue }))).queue).toEqual(queue)
    const last = await sim.world.until(
      producer.send({ topic: TOPIC, body: 'x' }, { selectQueue: (queues) => queues.at(-1) as typeof queue }),
    )
    expect(last.queue).toMatchObject({ brokerName: 'b', queueId: 3 })
    broker('a').answers = () => ({ code: ResponseCode.SYSTEM_BUSY })
    await sim.world.until(failureOf(producer.send({ topic: TOPIC, body: 'mine' }, { queue })))
    expect(broker('b').bodies).not.toContain('mine')
    await expect(producer.send({ topic: TOPIC, body: 'x' }, { queue: { ...queue, topic: 'Other' } })).rejects.toThrow(
      /queue given is of topic Other/,
    )
  })

  it('says delays as the broker reads them', async () => {
    const { sim, client, broker } = await cluster({ brokers: ['a'] })
    const producer = client.producer({ group: 'g' })
    const at = sim.clock.now() + 60_000
    await sim.world.until(producer.send({ topic: TOPIC, body: 'x', delayLevel: 3 }))
    await sim.world.until(producer.send({ topic: TOPIC, body: 'x', delayMs: 1500 }))
    await sim.world.until(producer.send({ topic: TOPIC, body: 'x', deliverAt: new Date(at) }))
    await sim.world.until(producer.send({ topic: TOPIC, body: 'x', deliverAt: 1000 }))
    const said = broker('a').received.map(({ properties }) => [...properties].filter(([name]) => /DELAY|TIMER/.test(name)))
    expect(said).toEqual([[['DELAY', '3']], [['TIMER_DELAY_MS', '1500']], [['TIMER_DELIVER_MS', String(at)]], []])
  })

  it('compresses large bodies unless that makes them larger', async () => {
    const { sim, client, broker } = await cluster({ brokers: ['a'] })
    const producer = client.producer({ group: 'g' })
    const large = Buffer.from('skylark'.repeat(1000))
    const noise = Buffer.from(sim.random.bytes(8000))
    await sim.world.until(producer.send({ topic: TOPIC, body: large }))
    await sim.world.until(producer.send({ topic: TOPIC, body: noise }))
    await sim.world.until(producer.send({ topic: TOPIC, body: Buffer.alloc(4095, 'x') }))
    const [first, second, third] = broker('a').received
    expect((first?.header.sysFlag ?? 0) & SYS_FLAG.COMPRESSED).toBe(SYS_FLAG.COMPRESSED)
    expect(first?.body).toEqual(deflateSync(large, { level: 5 }))
    expect(inflateSync(first?.body as Buffer)).toEqual(large)
    expect([second?.header.sysFlag, second?.body]).toEqual([0, noise])
    expect([third?.header.sysFlag, third?.body.length]).toEqual([0, 4095])
  })

  it.each([
    [{ body: '' }, /is empty/],
    [{ body: 'x', topic: 'a/b' }, /contains illegal characters/],
    [{ body: 'x', topic: '' }, /blank/],
    [{ body: 'x', topic: 'SCHEDULE_TOPIC_XXXX' }, /forbidden/],
    [{ body: Buffer.alloc(4 * 1024 * 1024 + 1) }, /4194305 bytes; at most 4194304/],
    [{ body: 'x', properties: { UNIQ_KEY: '1' } }, /"UNIQ_KEY" is reserved/],
    [{ body: 'x', properties: { 'a\u0001b': '1' } }, /control character/],
    [{ body: 'x', properties: { long: 'x'.repeat(33_000) } }, /at most 32767/],
    [{ body: 'x', properties: { empty: '' } }, /"empty"/],
    [{ body: 'x', keys: ['a b'] }, /contains a space/],
    [{ body: 'x', delayLevel: 19 }, /from 1 to 18/],
    [{ body: 'x', delayLevel: 1, delayMs: 1 }, /more than one/],
    [{ body: 'x', flag: 2 ** 40 }, /32 bits/],
  ])('refuses what no broker stores, before anything is sent (%#)', async (part, sentence) => {
    const { client, brokers } = await cluster()
    await expect(client.producer({ group: 'g' }).send({ topic: TOPIC, ...part } as never)).rejects.toThrow(sentence)
    expect(Object.values(brokers).flatMap((broker) => broker.received)).toHaveLength(0)
  })

  it('refuses a group name that brokers would not take', async () => {
    const { client } = await cluster()
    expect(() => client.producer({ group: 'my group' })).toThrow(/illegal characters/)
    expect(() => client.producer({ group: 'DEFAULT_PRODUCER' })).toThrow(/placeholder/)
  })
})

describe('sendOneway', () => {
  it('hands the message over once, and resolves without an answer', async () => {
    const { sim, client, broker } = await cluster({ brokers: ['a'] })
    broker('a').answers = () => 'silence'
    await sim.world.until(client.producer({ group: 'g' }).sendOneway({ topic: TOPIC, body: 'x' }))
    await sim.world.settle()
    expect(broker('a').received.map((received) => received.isOneway)).toEqual([true])
  })
})

describe('recall', () => {
  const handle = (text: string) => Buffer.from(text).toString('base64url')

  it('asks the broker that the handle names', async () => {
    const asked: unknown[] = []
    const made = await cluster({
      brokerRoutes: (name) => [
        route(RecallMessage, LANE, (header) => {
          asked.push([name, header])
          return { code: 0, header: { msgId: 'taken back' } }
        }),
      ],
    })
    const producer = made.client.producer({ group: 'g' })
    const recallHandle = handle(`v1 ${TOPIC} b 1767225600001 ID`)
    expect(await made.sim.world.until(producer.recall(TOPIC, recallHandle))).toBe('taken back')
    expect(asked).toEqual([['b', { producerGroup: 'g', topic: TOPIC, recallHandle }]])
    await expect(producer.recall(TOPIC, handle('v2 nonsense'))).rejects.toThrow(/not one; pass receipt.recallHandle/)
  })

  it('takes the receipt of a scheduled message; that of another says that it cannot be taken back', async () => {
    const asked: unknown[] = []
    const made = await cluster({
      brokerRoutes: () => [
        route(RecallMessage, LANE, (header) => {
          asked.push(header.recallHandle)
          return { code: 0, header: { msgId: 'taken back' } }
        }),
      ],
    })
    const producer = made.client.producer({ group: 'g' })
    const receipt = await made.sim.world.until(producer.send({ topic: TOPIC, body: 'x' }))
    await expect(producer.recall(receipt)).rejects.toThrow(`the receipt of message ${receipt.messageId} has no recallHandle`)
    const recallHandle = handle(`v1 ${TOPIC} ${receipt.queue.brokerName} 1767225600001 ID`)
    expect(await made.sim.world.until(producer.recall({ ...receipt, recallHandle }))).toBe('taken back')
    expect(asked).toEqual([recallHandle])
  })
})

describe('tracing', () => {
  it('publishes each send on skylarkmq:send, with its result', async () => {
    const { sim, client } = await cluster({ brokers: ['a'] })
    const seen: unknown[] = []
    const note = (context: unknown) => seen.push(context)
    channel('tracing:skylarkmq:send:asyncEnd').subscribe(note)
    try {
      const receipt = await sim.world.until(client.producer({ group: 'g' }).send({ topic: TOPIC, body: 'x' }))
      expect(seen).toMatchObject([{ topic: TOPIC, group: 'g', clientId: client.clientId, result: receipt }])
    } finally {
      channel('tracing:skylarkmq:send:asyncEnd').unsubscribe(note)
    }
  })
})
