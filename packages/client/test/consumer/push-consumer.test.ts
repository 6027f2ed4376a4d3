import { deflateSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import {
  ConsumeMessageDirectly,
  decodeRecord,
  GetConsumerRunningInfo,
  GetConsumerStatusFromClient,
  pairsOf,
  parseFastjson,
  ResetConsumerClientOffset,
} from '@skylarkmq/remoting/protocol'
import { story } from './support/small-broker.ts'

const parse = (body: Uint8Array) => parseFastjson(Buffer.from(body).toString('utf8')) as Record<string, unknown>

describe('joining and leaving', () => {
  it('close while handlers hang: resolves after drainMs, aborts their signals, commits only what is consumed, and says goodbye', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    for (let i = 0; i < 10; i++) broker.put('orders', 0, String(i))
    const aborted: string[] = []
    const consumer = client('one').pushConsumer({
      group: 'g',
      subscriptions: { orders: '*' },
      consumeFrom: 'first',
      handler: (message, { signal }) => {
        if (message.queueOffset < 4) return undefined
        signal.addEventListener('abort', () => aborted.push(message.text))
        return new Promise(() => undefined)
      },
    })
    await world.until(consumer.start())
    await world.run(1000)
    const from = world.nowMs
    await world.until(consumer.close({ drainMs: 2000 }), 60_000)
    expect(world.nowMs - from).toBeGreaterThanOrEqual(2000)
    expect(world.nowMs - from).toBeLessThan(3000)
    expect(aborted).toEqual(['4', '5', '6', '7', '8', '9'])
    expect(broker.offset('g', 'orders', 0)).toBe(4)
    expect(broker.members('g')).toEqual([])
  })

  it('close lets a handler at work finish and commits its message', async () => {
    const { world, sim, broker, client } = await story({ topics: { orders: 1 } })
    broker.put('orders', 0, 'slow')
    const consumer = client('one').pushConsumer({
      group: 'g',
      subscriptions: { orders: '*' },
      consumeFrom: 'first',
      handler: () => sim.clock.sleep(3000),
    })
    await world.until(consumer.start())
    await world.run(500)
    await world.until(consumer.close())
    expect(broker.offset('g', 'orders', 0)).toBe(1)
  })

  it('close resolves with no broker and no NameServer left', async () => {
    const { world, broker, client } = await story({ topics: { orders: 2 } })
    const one = client('one')
    const consumer = one.pushConsumer({ group: 'g', subscriptions: { orders: '*' }, orderly: true, handler: () => undefined })
    await world.until(consumer.start())
    broker.kill()
    world.kill('namesrv')
    await world.run(100)
    const from = world.nowMs
    await world.until(consumer.close({ drainMs: 1000 }), 60_000)
    expect(world.nowMs - from).toBeLessThanOrEqual(2000)
    await world.until(one.close(), 60_000)
  })

  it('close resolves when the brokers are there but silent', async () => {
    const { world, client } = await story({ topics: { orders: 2 } })
    const one = client('one')
    const consumer = one.pushConsumer({ group: 'g', subscriptions: { orders: '*' }, handler: () => undefined })
    await world.until(consumer.start())
    world.partition(['one'], ['broker-a', 'namesrv'])
    const from = world.nowMs
    await world.until(consumer.close({ drainMs: 1000 }), 60_000)
    expect(world.nowMs - from).toBeLessThanOrEqual(2000)
  })

  it('the broker is killed and comes back: consumption goes on, nothing is lost', async () => {
    const { world, broker, client } = await story({ topics: { orders: 2 } })
    const seen = new Set<string>()
    const consumer = client('one').pushConsumer({
      group: 'g',
      subscriptions: { orders: '*' },
      consumeFrom: 'first',
      handler: (message) => void seen.add(message.text),
    })
    await world.until(consumer.start())
    broker.put('orders', 0, 'before')
    await world.when(() => seen.has('before'), 5000)
    broker.kill()
    await world.run(20_000)
    broker.put('orders', 1, 'meanwhile')
    await broker.start()
    broker.put('orders', 0, 'after')
    await world.when(() => seen.has('meanwhile') && seen.has('after'), 40_000)
    expect(broker.members('g')).toHaveLength(1)
    await world.until(consumer.close())
  })

  it('a topic that comes to be after the start is found', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    const seen: string[] = []
    const consumer = client('one').pushConsumer({
      group: 'g',
      subscriptions: { orders: '*', later: '*' },
      consumeFrom: 'first',
      handler: (message) => void seen.push(message.text),
    })
    await world.until(consumer.start())
    await world.run(30_000)
    broker.topics.set('later', 1)
    broker.put('later', 0, 'hello')
    await world.when(() => seen.length === 1, 60_000)
    await world.until(consumer.close())
  })

  it('start rejects when no NameServer can be reached, and names the address', async () => {
    const { world, client } = await story({ topics: { orders: 1 } })
    const consumer = client('one', { namesrvAddr: '10.0.0.200:9876' }).pushConsumer({
      group: 'g',
      subscriptions: { orders: '*' },
      handler: () => undefined,
    })
    const failed = await world.until(consumer.start().catch((error: Error) => error))
    expect((failed as Error).message).toContain('10.0.0.200:9876')
    await world.until(consumer.close())
  })

  it('says what is wrong with its options', async () => {
    const { client } = await story({ topics: { orders: 1 } })
    const one = client('one')
    expect(() => one.pushConsumer({ group: '', subscriptions: { orders: '*' } })).toThrow(/specified group is blank/)
    expect(() => one.pushConsumer({ group: 'g', subscriptions: {} })).toThrow(/at least one topic/)
    expect(() => one.pushConsumer({ group: 'g', subscriptions: { 'a/b': '*' } })).toThrow(/a\/b/)
    expect(() => one.pushConsumer({ group: 'g', subscriptions: { orders: ' || ' } })).toThrow(/names no tag/)
    expect(() => one.pushConsumer({ group: 'g', subscriptions: { orders: '*' }, concurrency: 0 })).toThrow(/concurrency is 0/)
  })

  it('two groups in one client do not disturb each other', async () => {
    const { world, broker, client } = await story({ topics: { orders: 2 } })
    const one = client('one')
    const seen: string[] = []
    const consumers = ['g1', 'g2'].map((group) =>
      one.pushConsumer({
        group,
        subscriptions: { orders: '*' },
        consumeFrom: 'first',
        handler: (message) => void seen.push(`${group} ${message.text}`),
      }),
    )
    for (const consumer of consumers) await world.until(consumer.start())
    broker.put('orders', 1, 'x')
    await world.when(() => seen.length === 2, 5000)
    expect(seen.sort()).toEqual(['g1 x', 'g2 x'])
    await world.until(one.close())
    expect([broker.members('g1'), broker.members('g2')]).toEqual([[], []])
    expect([broker.offset('g1', 'orders', 1), broker.offset('g2', 'orders', 1)]).toEqual([1, 1])
  })
})

describe('pulling', () => {
  it('filters by tag at the broker, and again here where only the hash was equal', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    // Java's hash of both is 2112.
    for (const tag of ['Aa', 'BB', 'other']) broker.put('orders', 0, tag, { tags: tag })
    broker.put('orders', 0, 'untagged')
    const seen: string[] = []
    const consumer = client('one').pushConsumer({
      group: 'g',
      subscriptions: { orders: 'Aa || x' },
      consumeFrom: 'first',
      handler: (message) => void seen.push(message.text),
    })
    await world.until(consumer.start())
    await world.run(6000)
    expect(seen).toEqual(['Aa'])
    expect(broker.offset('g', 'orders', 0)).toBe(4)
    await world.until(consumer.close())
  })

  it('a compressed body arrives as it was sent', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    const text = 'again and '.repeat(1000)
    broker.put('orders', 0, deflateSync(Buffer.from(text)), { sysFlag: 1 })
    const seen: string[] = []
    const consumer = client('one').pushConsumer({
      group: 'g',
      subscriptions: { orders: '*' },
      consumeFrom: 'first',
      handler: (message) => void seen.push(message.text),
    })
    await world.until(consumer.start())
    await world.when(() => seen.length === 1, 5000)
    expect(seen[0] === text).toBe(true)
    await world.until(consumer.close())
  })

  it('an offset below what the broker still has: goes on from the first that exists', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    for (let i = 0; i < 10; i++) broker.put('orders', 0, String(i))
    broker.minOffsets.set('orders:0', 6)
    const seen: string[] = []
    const consumer = client('one').pushConsumer({
      group: 'g',
      subscriptions: { orders: '*' },
      consumeFrom: 'first',
      handler: (message) => void seen.push(message.text),
    })
    await world.until(consumer.start())
    await world.run(6000)
    expect(seen).toEqual(['6', '7', '8', '9'])
    expect(broker.pulls.filter(({ topic, code }) => topic === 'orders' && code === 21)).toHaveLength(1)
    expect(broker.offset('g', 'orders', 0)).toBe(10)
    await world.until(consumer.close())
  })

  it('a new group begins at the end by default, at a time if asked; a known group where it was', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    const one = client('one')
    for (let i = 0; i < 5; i++) {
      broker.put('orders', 0, String(i))
      await world.run(1000)
    }
    const timestampMs = one.core.clock.now() - 2500
    broker.offsets.set('known@orders:0', 1)
    const seen: Record<string, string[]> = { fresh: [], timed: [], known: [] }
    for (const [group, consumeFrom] of [
      ['fresh', 'last'],
      ['timed', { timestampMs }],
      ['known', 'last'],
    ] as const) {
      await world.until(
        one
          .pushConsumer({ group, subscriptions: { orders: '*' }, consumeFrom, handler: (message) => void seen[group]?.push(message.text) })
          .start(),
      )
    }
    await world.run(1000)
    expect(seen).toEqual({ fresh: [], timed: ['3', '4'], known: ['1', '2', '3', '4'] })
    broker.put('orders', 0, 'new')
    await world.run(1000)
    expect(seen.fresh).toEqual(['new'])
    await world.until(one.close())
  })

  it('stops pulling when too much is in hand, and goes on when there is room', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    for (let i = 0; i < 500; i++) broker.put('orders', 0, String(i))
    const waiting: (() => void)[] = []
    let isOpen = false
    let seen = 0
    const consumer = client('one').pushConsumer({
      group: 'g',
      subscriptions: { orders: '*' },
      consumeFrom: 'first',
      cachedMessagesPerQueue: 100,
      handler: () => {
        seen++
        return isOpen ? undefined : new Promise<void>((resolve) => waiting.push(resolve))
      },
    })
    await world.until(consumer.start())
    await world.run(60_000)
    const pulled = () => Math.max(...broker.pulls.filter(({ topic }) => topic === 'orders').map(({ offset }) => offset))
    expect(pulled()).toBeLessThanOrEqual(128)
    isOpen = true
    for (const resolve of waiting) resolve()
    await world.when(() => seen === 500, 5000)
    await world.until(consumer.close())
  })

  it('an idle queue costs one pull in 15 s, and each carries the offset to commit', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    broker.put('orders', 0, 'x')
    const consumer = client('one').pushConsumer({
      group: 'g',
      subscriptions: { orders: '*' },
      consumeFrom: 'first',
      handler: () => undefined,
    })
    await world.until(consumer.start())
    await world.run(1000)
    const before = broker.pulls.length
    await world.run(60_000)
    const pulls = broker.pulls.slice(before).filter(({ topic }) => topic === 'orders')
    expect(pulls.length).toBeLessThanOrEqual(5)
    expect(pulls.at(-1)?.commit).toBe(1)
    await world.until(consumer.close())
  })

  it('a broker that answers empty pulls at once is not asked a thousand times a second', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    broker.script = (name, header) =>
      name === 'pull'
        ? { code: 19, header: { suggestWhichBrokerId: 0, nextBeginOffset: Number(header.queueOffset), minOffset: 0, maxOffset: 0 } }
        : undefined
    const consumer = client('one').pushConsumer({ group: 'g', subscriptions: { orders: '*' }, handler: () => undefined })
    await world.until(consumer.start())
    await world.run(10_000)
    expect(broker.requests.filter((name) => name === 'pull').length).toBeLessThan(250)
    await world.until(consumer.close())
  })

  it('pause stops handlers and pulls, resume goes on', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    const seen: string[] = []
    const consumer = client('one').pushConsumer({
      group: 'g',
      subscriptions: { orders: '*' },
      handler: (message) => void seen.push(message.text),
    })
    await world.until(consumer.start())
    consumer.pause()
    broker.put('orders', 0, 'x')
    await world.run(60_000)
    expect(seen).toEqual([])
    consumer.resume()
    await world.when(() => seen.length === 1, 5000)
    await world.until(consumer.close())
  })
})

describe('what brokers ask of a member', () => {
  const running = async () => {
    const set = await story({ topics: { orders: 2 } })
    for (let i = 0; i < 5; i++) set.broker.put('orders', 0, String(i))
    const seen: string[] = []
    const consumer = set.client('one').pushConsumer({
      group: 'g',
      subscriptions: { orders: '*' },
      consumeFrom: 'first',
      handler: (message) => {
        seen.push(message.text)
        if (message.text === 'bad') throw new Error('I cannot')
      },
    })
    await set.world.until(consumer.start())
    await set.world.when(() => seen.length === 5, 5000)
    const [connection] = set.broker.connections
    if (!connection) throw new Error('nobody is connected')
    return { ...set, seen, consumer, connection }
  }

  it('220 sets offsets anew: in the form of Java clients and in the form for C++', async () => {
    const { world, broker, consumer, connection, seen } = await running()
    const header = { topic: 'orders', group: 'g', timestamp: 0, isForce: false, queueId: -1 }
    const java = '{"offsetTable":{{"brokerName":"broker-a","queueId":0,"topic":"orders"}:3}}'
    connection.notify(ResetConsumerClientOffset, header, Buffer.from(java))
    await world.when(() => seen.length === 7, 5000)
    expect(seen.slice(5)).toEqual(['3', '4'])
    const cpp = '{"offsetTable":[{"topic":"orders","brokerName":"broker-a","queueId":0,"offset":4}]}'
    connection.notify(ResetConsumerClientOffset, header, Buffer.from(cpp))
    await world.when(() => seen.length === 8, 5000)
    expect(broker.commits.map(({ offset }) => offset)).toContain(3)
    await world.until(consumer.close())
    expect(broker.offset('g', 'orders', 0)).toBe(5)
  })

  it('221 and 307 tell offsets and state, keyed by queue as Java reads them', async () => {
    const { world, consumer, connection } = await running()
    const status = await world.until(connection.invoke(GetConsumerStatusFromClient, { topic: 'orders', group: 'g' }, { timeoutMs: 1000 }))
    const table = pairsOf(parse(status.body).messageQueueTable).map(([queue, offset]) => [(queue as { queueId: number }).queueId, offset])
    expect(table.sort()).toEqual([
      [0, 5],
      [1, 0],
    ])
    const info = await world.until(
      connection.invoke(GetConsumerRunningInfo, { consumerGroup: 'g', clientId: 'x', jstackEnable: false }, { timeoutMs: 1000 }),
    )
    const told = parse(info.body)
    expect(told.properties).toMatchObject({ PROP_CONSUME_TYPE: 'CONSUME_PASSIVELY', PROP_CONSUMEORDERLY: 'false' })
    expect(pairsOf(told.mqTable)).toHaveLength(3)
    expect((told.subscriptionSet as { topic: string }[]).map(({ topic }) => topic)).toEqual(['orders', '%RETRY%g'])
    await world.until(consumer.close())
  })

  it('309 consumes one message now and tells how it went', async () => {
    const { world, broker, consumer, connection, seen } = await running()
    const ask = async (body: string) => {
      const offset = broker.put('elsewhere', 0, body)
      const record = broker.queues.get('elsewhere:0')?.[offset] as Buffer
      expect(decodeRecord(record, 0)?.topic).toBe('elsewhere')
      const answer = await world.until(
        connection.invoke(
          ConsumeMessageDirectly,
          { consumerGroup: 'g', clientId: 'x', brokerName: 'broker-a' },
          { body: record, timeoutMs: 1000 },
        ),
      )
      return parse(answer.body)
    }
    expect(await ask('good')).toMatchObject({ consumeResult: 'CR_SUCCESS', order: false })
    expect(await ask('bad')).toMatchObject({ consumeResult: 'CR_THROW_EXCEPTION', remark: 'Error: I cannot' })
    expect(seen.slice(5)).toEqual(['good', 'bad'])
    await world.until(consumer.close())
  })
})
