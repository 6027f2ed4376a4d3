/** Accounts of one bank share a queue. One account's trouble must not hold up the others, and no account may see its events swapped. */
import { describe, expect, it } from 'vitest'
import type { ConsumedMessage } from '../../src/consumer/received-message.ts'
import type { SmallBroker } from './support/small-broker.ts'
import { story } from './support/small-broker.ts'

const accountOf = (message: { text: string }): string => message.text.split(' ')[0] ?? ''
const options = { group: 'g', subscriptions: { orders: '*' }, consumeFrom: 'first', orderBy: accountOf } as const

function fill(broker: SmallBroker, accounts: readonly string[], perAccount: number): void {
  for (let i = 0; i < perAccount; i++) for (const account of accounts) broker.put('orders', 0, `${account} ${i}`)
}
const of = (account: string, seen: readonly string[]): string[] => seen.filter((text) => text.startsWith(`${account} `))
const all = (account: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${account} ${i}`)

describe('order per key', () => {
  it('keys of one queue run beside each other, the messages of a key one after the other', async () => {
    const { world, sim, broker, client } = await story({ topics: { orders: 1 } })
    fill(broker, ['anna', 'ben', 'chris', 'dora'], 10)
    const seen: string[] = []
    const busy = new Set<string>()
    const collisions: string[] = []
    let most = 0
    const consumer = client('one').pushConsumer({
      ...options,
      concurrency: 3,
      handler: async (message) => {
        const account = accountOf(message)
        if (busy.has(account)) collisions.push(account)
        busy.add(account)
        most = Math.max(most, busy.size)
        await sim.clock.sleep(50)
        busy.delete(account)
        seen.push(message.text)
      },
    })
    await world.until(consumer.start())
    await world.when(() => seen.length === 40, 20_000)
    expect(most).toBe(3)
    expect(collisions).toEqual([])
    for (const account of ['anna', 'ben', 'chris', 'dora']) expect(of(account, seen)).toEqual(all(account, 10))
    await world.until(consumer.close())
    expect(broker.offset('g', 'orders', 0)).toBe(40)
  })

  it('a failed message stops its key until it succeeds; the others go on, and nothing after it is committed', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    fill(broker, ['anna', 'ben'], 5)
    const seen: string[] = []
    let isDown = true
    const consumer = client('one').pushConsumer({
      ...options,
      suspendMs: 1000,
      maxReconsumeTimes: 1000,
      handler: (message) => {
        if (message.text === 'anna 1' && isDown) throw new Error('the database of anna is down')
        seen.push(message.text)
      },
    })
    await world.until(consumer.start())
    await world.run(30_000)
    expect(of('ben', seen)).toEqual(all('ben', 5))
    expect(of('anna', seen)).toEqual(['anna 0'])
    expect(broker.offset('g', 'orders', 0)).toBe(2)
    isDown = false
    await world.when(() => seen.length === 10, 5000)
    expect(of('anna', seen)).toEqual(all('anna', 5))
    await world.until(consumer.close())
    expect(broker.offset('g', 'orders', 0)).toBe(10)
  })

  it('after the last attempt a message goes to the dead letters, and its key goes on', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    fill(broker, ['anna', 'ben'], 3)
    const attempts: string[] = []
    const consumer = client('one').pushConsumer({
      ...options,
      suspendMs: 100,
      maxReconsumeTimes: 2,
      handler: (message) => {
        attempts.push(`${message.text} ${message.reconsumeTimes}`)
        if (message.text === 'anna 0') throw new Error('never')
      },
    })
    await world.until(consumer.start())
    await world.when(() => of('anna', attempts).length === 5 && of('ben', attempts).length === 3, 10_000)
    expect(of('anna', attempts)).toEqual(['anna 0 0', 'anna 0 1', 'anna 0 2', 'anna 1 0', 'anna 2 0'])
    expect(broker.bodies('%DLQ%g')).toEqual(['anna 0'])
    await world.until(consumer.close())
    expect(broker.offset('g', 'orders', 0)).toBe(6)
  })

  it('a message whose key cannot be told fails like any other; nothing else waits for it', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    for (const body of ['{"account":"anna"}', 'no JSON', '{"account":"anna"}']) broker.put('orders', 0, body)
    const seen: string[] = []
    const errors: unknown[] = []
    const consumer = client('one').pushConsumer({
      ...options,
      orderBy: (message) => message.json<{ account: string }>().account,
      suspendMs: 100,
      maxReconsumeTimes: 2,
      handler: (message) => void seen.push(message.text),
    })
    consumer.events.on('handlerError', (error) => errors.push(error))
    await world.until(consumer.start())
    await world.when(() => broker.bodies('%DLQ%g').length === 1, 10_000)
    expect(seen).toEqual(['{"account":"anna"}', '{"account":"anna"}'])
    expect(broker.bodies('%DLQ%g')).toEqual(['no JSON'])
    expect(errors).toHaveLength(3)
    await world.until(consumer.close())
    expect(broker.offset('g', 'orders', 0)).toBe(3)
  })

  it('messages without a key wait for nobody', async () => {
    const { world, sim, broker, client } = await story({ topics: { orders: 1 } })
    for (let i = 0; i < 20; i++) broker.put('orders', 0, String(i))
    let most = 0
    let atWork = 0
    let done = 0
    const consumer = client('one').pushConsumer({
      ...options,
      orderBy: 'orderKey',
      concurrency: 20,
      handler: async () => {
        most = Math.max(most, ++atWork)
        await sim.clock.sleep(100)
        atWork--
        done++
      },
    })
    await world.until(consumer.start())
    await world.when(() => done === 20, 5000)
    expect(most).toBe(20)
    await world.until(consumer.close())
  })

  it('two members share the queues by lock: a key is never in two hands, and each event comes in order', async () => {
    const { world, sim, broker, client } = await story({ topics: { orders: 4 }, seed: 11 })
    const accounts = ['anna', 'ben', 'chris', 'dora', 'emil', 'fritz', 'gerd', 'hans']
    const seen: string[] = []
    const busy = new Set<string>()
    const collisions: string[] = []
    const member = (name: string) =>
      client(name).pushConsumer({
        ...options,
        handler: async (message) => {
          const account = accountOf(message)
          if (busy.has(account)) collisions.push(account)
          busy.add(account)
          await sim.clock.sleep(sim.random.integer(200))
          busy.delete(account)
          if (!seen.includes(message.text)) seen.push(message.text)
        },
      })
    const [one, two] = [member('one'), member('two')]
    await world.until(one.start())
    for (let i = 0; i < 30; i++) {
      accounts.forEach((account, j) => broker.put('orders', j % 4, `${account} ${i}`))
      if (i === 10) await world.until(two.start())
      if (i === 20) await world.until(one.close(), 20_000)
      await world.run(1000)
    }
    await world.when(() => seen.length === 240, 120_000)
    expect(collisions).toEqual([])
    for (const account of accounts) expect(of(account, seen)).toEqual(all(account, 30))
    await world.until(two.close())
  })

  it('a lost lock stops all keys of the queue until it is back', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    const seen: string[] = []
    const consumer = client('one').pushConsumer({ ...options, handler: (message) => void seen.push(message.text) })
    await world.until(consumer.start())
    await world.run(2000)
    broker.stealLock('g', 'orders', 0, 100_000)
    await world.run(40_000)
    fill(broker, ['anna', 'ben'], 2)
    await world.run(20_000)
    expect(seen).toEqual([])
    await world.when(() => seen.length === 4, 80_000)
    await world.until(consumer.close())
  })

  it('a loop over messages() gets one message of a key at a time, of several keys at once', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    fill(broker, ['anna', 'ben', 'chris'], 2)
    const consumer = client('one').pushConsumer(options)
    const inHand: ConsumedMessage[] = []
    const seen: string[] = []
    const loop = (async () => {
      for await (const message of consumer.messages({ concurrency: 10, ack: 'explicit' })) {
        inHand.push(message)
        seen.push(message.text)
      }
    })()
    await world.when(() => seen.length === 3, 5000)
    await world.run(5000)
    expect(seen).toEqual(['anna 0', 'ben 0', 'chris 0'])
    inHand[1]?.ack()
    await world.when(() => seen.length === 4, 5000)
    expect(seen[3]).toBe('ben 1')
    for (const message of inHand) message.ack()
    await world.when(() => seen.length === 6, 5000)
    for (const message of inHand) message.ack()
    await world.until(consumer.close())
    await world.until(loop)
    expect(broker.offset('g', 'orders', 0)).toBe(6)
  })

  it('cannot be had together with order per queue', async () => {
    const { client } = await story({ topics: { orders: 1 } })
    expect(() => client('one').pushConsumer({ ...options, orderly: true, handler: () => undefined })).toThrow(/give one of them/)
  })
})
