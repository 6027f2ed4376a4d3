import { describe, expect, it } from 'vitest'
import type { PushConsumer } from '../../src/consumer/push-consumer.ts'
import type { SmallBroker } from './support/small-broker.ts'
import { story } from './support/small-broker.ts'

const fill = (broker: SmallBroker, topic: string, queues: number, perQueue: number) => {
  for (let i = 0; i < perQueue; i++) for (let queueId = 0; queueId < queues; queueId++) broker.put(topic, queueId, `${queueId}-${i}`)
}

describe('a group of concurrent consumers', () => {
  it('gets every message once and commits behind the last', async () => {
    const { world, broker, client } = await story({ topics: { orders: 4 } })
    fill(broker, 'orders', 4, 100)
    const seen: string[] = []
    const consumer = client('one').pushConsumer({
      group: 'g',
      subscriptions: { orders: '*' },
      consumeFrom: 'first',
      handler: (message) => void seen.push(message.text),
    })
    await world.until(consumer.start())
    await world.when(() => seen.length === 400)
    await world.run(6000)
    expect(new Set(seen).size).toBe(400)
    for (let queueId = 0; queueId < 4; queueId++) expect(broker.offset('g', 'orders', queueId)).toBe(100)
    await world.until(consumer.close())
  })

  it('a second member takes half of the queues, and gives them back when it leaves', async () => {
    const { world, broker, client } = await story({ topics: { orders: 4 } })
    const seen: Record<string, string[]> = { one: [], two: [] }
    const consumers: Record<string, PushConsumer> = {}
    for (const name of ['one', 'two']) {
      const consumer = client(name).pushConsumer({
        group: 'g',
        subscriptions: { orders: '*' },
        consumeFrom: 'first',
        handler: (message) => void seen[name]?.push(message.text),
      })
      consumers[name] = consumer
      await world.until(consumer.start())
    }
    const own = (name: string) => consumers[name]?.queues.filter((queue) => queue.topic === 'orders').length
    await world.when(() => own('one') === 2 && own('two') === 2, 5000)
    fill(broker, 'orders', 4, 50)
    await world.when(() => (seen.one?.length ?? 0) + (seen.two?.length ?? 0) === 200)
    expect([seen.one?.length, seen.two?.length]).toEqual([100, 100])

    await world.until((consumers.two as PushConsumer).close())
    await world.when(() => own('one') === 4, 5000)
    fill(broker, 'orders', 4, 25)
    await world.when(() => seen.one?.length === 200)
    expect(seen.two?.length).toBe(100)
    await world.until((consumers.one as PushConsumer).close())
  })

  it('a message whose handler throws comes back through the retry topic, under its own topic and with its attempts counted', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    broker.put('orders', 0, 'hard', { keys: 'k1', tags: 'red' })
    const attempts: unknown[] = []
    const consumer = client('one').pushConsumer({
      group: 'g',
      subscriptions: { orders: 'red' },
      consumeFrom: 'first',
      handler: (message) => {
        attempts.push([message.topic, message.text, message.keys, message.reconsumeTimes])
        if (attempts.length < 3) throw new Error('not yet')
      },
    })
    await world.until(consumer.start())
    await world.when(() => attempts.length === 3, 120_000)
    expect(attempts).toEqual([0, 1, 2].map((times) => ['orders', 'hard', ['k1'], times]))
    await world.run(6000)
    expect([broker.offset('g', 'orders', 0), broker.offset('g', '%RETRY%g', 0)]).toEqual([1, 2])
    await world.until(consumer.close())
  })

  it('goes to the dead letters after maxReconsumeTimes, or when the handler says so', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    broker.put('orders', 0, 'hopeless')
    broker.put('orders', 0, 'poison')
    const consumer = client('one').pushConsumer({
      group: 'g',
      subscriptions: { orders: '*' },
      consumeFrom: 'first',
      maxReconsumeTimes: 2,
      handler: (message) => {
        if (message.text === 'poison') return message.deadLetter()
        message.retry({ delayLevel: 1 })
      },
    })
    await world.until(consumer.start())
    await world.when(() => broker.bodies('%DLQ%g').length === 2, 120_000)
    expect(broker.bodies('%DLQ%g')).toEqual(['poison', 'hopeless'])
    expect(broker.bodies('%RETRY%g')).toEqual(['hopeless', 'hopeless'])
    await world.until(consumer.close())
  })

  it('when the broker does not take a failed message back, it is sent to the retry topic as a new one; if that fails, tried here', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    let sends = 0
    broker.script = (name) => {
      if (name === 'send-back') return { code: 1, remark: 'no' }
      if (name === 'send' && ++sends === 1) return { code: 14, remark: 'not now' }
      return undefined
    }
    broker.put('orders', 0, 'hard')
    const attempts: number[] = []
    const consumer = client('one').pushConsumer({
      group: 'g',
      subscriptions: { orders: '*' },
      consumeFrom: 'first',
      handler: (message) => {
        attempts.push(message.reconsumeTimes)
        if (attempts.length < 3) throw new Error('not yet')
      },
    })
    await world.until(consumer.start())
    await world.run(3000)
    expect(broker.offset('g', 'orders', 0) ?? 0).toBe(0)
    await world.when(() => attempts.length === 3, 120_000)
    expect(attempts).toEqual([0, 1, 2])
    expect(broker.bodies('%RETRY%g')).toEqual(['hard'])
    await world.until(consumer.close())
  })

  it('when its broker has lost a message that failed for good, the client makes a dead letter of it', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    broker.script = (name) => (name === 'send-back' ? { code: 1, remark: 'look message by offset failed, 0' } : undefined)
    broker.put('orders', 0, 'hopeless')
    broker.put('orders', 0, 'poison')
    const attempts: string[] = []
    const consumer = client('one').pushConsumer({
      group: 'g',
      subscriptions: { orders: '*' },
      consumeFrom: 'first',
      maxReconsumeTimes: 1,
      handler: (message) => {
        attempts.push(message.text)
        if (message.text === 'poison') return message.deadLetter()
        message.retry({ delayLevel: 1 })
      },
    })
    await world.until(consumer.start())
    await world.when(() => broker.bodies('%DLQ%g').length === 2, 30_000)
    expect(broker.bodies('%DLQ%g')).toEqual(['poison', 'hopeless'])
    expect(attempts.sort()).toEqual(['hopeless', 'hopeless', 'poison'])
    await world.until(consumer.close())
  })

  it('a queue of slow messages does not hold up the other queues', async () => {
    const { world, sim, broker, client } = await story({ topics: { orders: 4 } })
    fill(broker, 'orders', 4, 200)
    let quick = 0
    const consumer = client('one').pushConsumer({
      group: 'g',
      subscriptions: { orders: '*' },
      consumeFrom: 'first',
      concurrency: 8,
      handler: async (message) => {
        if (message.queueId === 0) await sim.clock.sleep(60_000)
        else quick++
      },
    })
    await world.until(consumer.start())
    await world.when(() => quick === 600, 5000)
    await world.until(consumer.close({ drainMs: 0 }))
  })

  it('never commits past a message that is not consumed, and one killed consumer loses nothing to its successor', async () => {
    const { world, sim, broker, client } = await story({ topics: { orders: 2 } })
    fill(broker, 'orders', 2, 300)
    const done = new Set<string>()
    const handler = async (message: { text: string }) => {
      await sim.clock.sleep(5 + sim.random.integer(400))
      done.add(message.text)
    }
    const options = { group: 'g', subscriptions: { orders: '*' }, consumeFrom: 'first', handler } as const
    const check = () => {
      for (let queueId = 0; queueId < 2; queueId++) {
        const committed = broker.offset('g', 'orders', queueId) ?? 0
        for (let i = 0; i < committed; i++) expect(done.has(`${queueId}-${i}`), `${queueId}-${i} below ${committed}`).toBe(true)
      }
    }
    const first = client('one').pushConsumer({ ...options, maxSpan: 100 })
    await world.until(first.start())
    for (let i = 0; i < 30; i++) {
      await world.run(97)
      check()
    }
    world.kill('one')
    const second = client('two').pushConsumer(options)
    await world.until(second.start())
    for (let i = 0; i < 400 && done.size < 600; i++) {
      await world.run(97)
      check()
    }
    expect(done.size).toBe(600)
    await world.until(second.close())
    check()
  })

  it('a message that takes longer than consumeTimeoutMs is delivered again, its handler learns it, and its place is free', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    broker.put('orders', 0, 'stuck')
    broker.put('orders', 0, 'next')
    const seen: string[] = []
    const reasons: unknown[] = []
    const consumer = client('one').pushConsumer({
      group: 'g',
      subscriptions: { orders: '*' },
      consumeFrom: 'first',
      concurrency: 1,
      consumeTimeoutMs: 30_000,
      handler: (message, { signal }) => {
        seen.push(`${message.text} ${message.reconsumeTimes}`)
        if (message.text !== 'stuck' || message.reconsumeTimes > 0) return undefined
        signal.addEventListener('abort', () => reasons.push(signal.reason.code))
        return new Promise(() => undefined)
      },
    })
    await world.until(consumer.start())
    await world.when(() => seen.length === 3, 120_000)
    expect(seen).toEqual(['stuck 0', 'next 0', 'stuck 1'])
    expect(reasons).toEqual(['TIMEOUT'])
    await world.until(consumer.close())
    expect(broker.offset('g', 'orders', 0)).toBe(2)
  })

  it('batchHandler gets several messages of one queue', async () => {
    const { world, broker, client } = await story({ topics: { orders: 2 } })
    fill(broker, 'orders', 2, 50)
    const batches: string[][] = []
    const consumer = client('one').pushConsumer({
      group: 'g',
      subscriptions: { orders: '*' },
      consumeFrom: 'first',
      batchSize: 10,
      batchHandler: (messages) => void batches.push(messages.map((message) => message.text)),
    })
    await world.until(consumer.start())
    await world.when(() => batches.flat().length === 100)
    expect(Math.max(...batches.map((batch) => batch.length))).toBe(10)
    for (const batch of batches) expect(new Set(batch.map((text) => text[0])).size).toBe(1)
    await world.until(consumer.close())
  })
})
