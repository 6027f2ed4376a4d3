import { describe, expect, it } from 'vitest'
import { NotifyConsumerIdsChanged, pairsOf, parseFastjson } from '@skylarkmq/remoting/protocol'
import { story } from './support/small-broker.ts'

describe('broadcasting', () => {
  it('each member gets every message, keeps its own place over a restart, and asks the broker for no offsets', async () => {
    const { world, broker, client } = await story({ topics: { orders: 2 } })
    const seen: Record<string, string[]> = { one: [], two: [] }
    const open = (name: string) =>
      client(name).pushConsumer({
        group: 'g',
        subscriptions: { orders: '*' },
        model: 'broadcasting',
        consumeFrom: 'first',
        offsetFolder: '/offsets',
        handler: (message) => {
          seen[name]?.push(message.text)
          if (message.text === 'bad') throw new Error('dropped')
        },
      })
    const consumers = ['one', 'two'].map(open)
    for (const consumer of consumers) await world.until(consumer.start())
    for (const text of ['a', 'bad', 'c']) broker.put('orders', text === 'c' ? 1 : 0, text)
    await world.when(() => seen.one?.length === 3 && seen.two?.length === 3, 5000)
    for (const consumer of consumers) await world.until(consumer.close())

    broker.put('orders', 0, 'd')
    const again = open('one')
    await world.until(again.start())
    await world.when(() => seen.one?.length === 4, 5000)
    await world.run(10_000)
    expect(seen.one?.slice(3)).toEqual(['d'])
    await world.until(again.close())
    expect(broker.requests.filter((name) => ['query-offset', 'commit', 'members', 'send-back'].includes(name))).toEqual([])
    const disk = world.node('one').disk
    const text = disk.readText('/offsets/10.0.0.4@one/g/offsets.json') ?? disk.list('/offsets').join()
    const table = pairsOf((parseFastjson(text) as { offsetTable: unknown }).offsetTable)
    expect(table.map(([queue, offset]) => [(queue as { queueId: number }).queueId, offset]).sort()).toEqual([
      [0, 3],
      [1, 1],
    ])
  })
})

describe('rebalancing', () => {
  it('a storm of notices leads to one round a second', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    const consumer = client('one').pushConsumer({ group: 'g', subscriptions: { orders: '*' }, handler: () => undefined })
    await world.until(consumer.start())
    await world.run(30_000)
    const before = broker.requests.filter((name) => name === 'members').length
    for (let i = 0; i < 100; i++) {
      for (const connection of broker.connections) connection.notify(NotifyConsumerIdsChanged, { consumerGroup: 'g' })
      await world.run(50)
    }
    const rounds = (broker.requests.filter((name) => name === 'members').length - before) / 2
    expect(rounds).toBeGreaterThan(3)
    expect(rounds).toBeLessThanOrEqual(6)
    await world.until(consumer.close())
  })

  it('with one of two brokers gone the queues of the other go on, and leaving takes no longer', async () => {
    const { world, brokers, client } = await story({ topics: { orders: 2 }, brokers: ['broker-a', 'broker-b'] })
    const [a, b] = brokers
    if (!a || !b) throw new Error('there are two')
    const seen: string[] = []
    const consumer = client('one').pushConsumer({
      group: 'g',
      subscriptions: { orders: '*' },
      handler: (message) => void seen.push(`${message.brokerName} ${message.text}`),
    })
    await world.until(consumer.start())
    expect(consumer.queues.filter((queue) => queue.topic === 'orders')).toHaveLength(4)
    a.put('orders', 0, 'x')
    b.put('orders', 1, 'y')
    await world.when(() => seen.length === 2, 5000)
    a.kill()
    await world.run(40_000)
    b.put('orders', 0, 'z')
    await world.when(() => seen.length === 3, 5000)
    expect(seen.sort()).toEqual(['broker-a x', 'broker-b y', 'broker-b z'])
    const from = world.nowMs
    await world.until(consumer.close())
    expect(world.nowMs - from).toBeLessThanOrEqual(1000)
    expect([b.offset('g', 'orders', 0), b.offset('g', 'orders', 1)]).toEqual([1, 1])
  })

  it('topics come and go while the consumer runs', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1, bills: 1 } })
    const seen: string[] = []
    const consumer = client('one').pushConsumer({
      group: 'g',
      subscriptions: { orders: '*' },
      consumeFrom: 'first',
      handler: (message) => void seen.push(message.text),
    })
    await world.until(consumer.start())
    broker.put('bills', 0, 'bill')
    await world.until(consumer.subscribe('bills', '*'))
    await world.when(() => seen.length === 1, 5000)
    await world.until(consumer.unsubscribe('orders'))
    await world.run(3000)
    broker.put('orders', 0, 'order')
    broker.put('bills', 0, 'bill 2')
    await world.run(10_000)
    expect(seen).toEqual(['bill', 'bill 2'])
    expect(broker.offset('g', 'bills', 0)).toBe(2)
    await world.until(consumer.close())
  })

  it('close while start is still on its way leaves nothing behind', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    const one = client('one')
    const consumer = one.pushConsumer({ group: 'g', subscriptions: { orders: '*' }, handler: () => undefined })
    const starting = consumer.start()
    await world.run(1)
    await world.until(consumer.close())
    await world.until(starting)
    await world.run(60_000)
    expect([broker.members('g'), consumer.queues, broker.pulls]).toEqual([[], [], []])
    await expect(consumer.start()).rejects.toMatchObject({ code: 'CLOSED' })
    await world.until(one.close())
  })
})

describe('the log', () => {
  it('says once that a broker with many queues is away, and once that it is back', async () => {
    const { world, broker, client } = await story({ topics: { orders: 16 } })
    const consumer = client('one').pushConsumer({ group: 'g', subscriptions: { orders: '*' }, handler: () => undefined })
    await world.until(consumer.start())
    await world.run(5000)
    broker.kill()
    await world.run(60_000)
    await broker.start()
    await world.run(30_000)
    const count = (text: string) => world.lines.filter((line) => line.sentence.includes(text)).length
    expect([count('pulls from a broker fail'), count('committing offsets at a broker fails'), count('work again')]).toEqual([1, 1, 1])
    await world.until(consumer.close())
  })
})
