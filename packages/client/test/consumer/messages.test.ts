import { describe, expect, it } from 'vitest'
import type { ConsumedMessage } from '../../src/consumer/received-message.ts'
import type { SmallBroker } from './support/small-broker.ts'
import { story } from './support/small-broker.ts'

const fill = (broker: SmallBroker, count: number) => {
  for (let i = 0; i < count; i++) broker.put('orders', 0, String(i))
}
const options = { group: 'g', subscriptions: { orders: '*' }, consumeFrom: 'first' } as const

describe('for await over messages()', () => {
  it('acknowledges a message when the loop asks for the next', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    fill(broker, 10)
    const consumer = client('one').pushConsumer(options)
    const seen: string[] = []
    const loop = (async () => {
      for await (const message of consumer.messages()) {
        seen.push(message.text)
        if (seen.length === 10) {
          message.ack()
          break
        }
      }
    })()
    await world.until(loop)
    await world.until(consumer.close())
    expect(seen).toEqual(Array.from({ length: 10 }, (_, i) => String(i)))
    expect(broker.offset('g', 'orders', 0)).toBe(10)
  })

  it('a loop left by an error leaves its last message for another delivery', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    fill(broker, 3)
    const consumer = client('one').pushConsumer(options)
    const seen: string[] = []
    const run = async () => {
      for await (const message of consumer.messages()) {
        seen.push(`${message.text} ${message.reconsumeTimes}`)
        if (seen.length === 2) throw new Error('the loop breaks')
        if (seen.length === 4) break
      }
    }
    await expect(world.until(run())).rejects.toThrow('the loop breaks')
    await world.until(run())
    expect(seen).toEqual(['0 0', '1 0', '2 0', '1 1'])
    await world.until(consumer.close())
  })

  it('concurrency bounds what is unsettled over several loops, and no message waits for another loop', async () => {
    const { world, sim, broker, client } = await story({ topics: { orders: 1 } })
    fill(broker, 40)
    const consumer = client('one').pushConsumer(options)
    let atWork = 0
    let most = 0
    const seen = new Set<string>()
    const messages = consumer.messages({ concurrency: 4 })
    const loop = async () => {
      for await (const message of messages) {
        most = Math.max(most, ++atWork)
        await sim.clock.sleep(100)
        atWork--
        seen.add(message.text)
      }
    }
    const loops = Promise.all([loop(), loop(), loop(), loop()])
    const from = world.nowMs
    await world.when(() => seen.size === 40, 10_000)
    expect(most).toBe(4)
    expect(world.nowMs - from).toBeLessThan(1500)
    await world.until(consumer.close())
    await world.until(loops)
    expect(broker.offset('g', 'orders', 0)).toBe(40)
  })

  it("with ack: 'explicit' only ack, retry and deadLetter settle", async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    fill(broker, 5)
    const consumer = client('one').pushConsumer(options)
    const taken: ConsumedMessage[] = []
    const loop = (async () => {
      for await (const message of consumer.messages({ concurrency: 3, ack: 'explicit' })) taken.push(message)
    })()
    await world.run(5000)
    expect(taken.map((message) => message.text)).toEqual(['0', '1', '2'])
    taken[1]?.ack()
    await world.run(6000)
    expect(taken).toHaveLength(4)
    expect(broker.offset('g', 'orders', 0)).toBe(0)
    taken[0]?.ack()
    taken[2]?.retry({ delayLevel: 1 })
    taken[3]?.deadLetter()
    await world.run(6000)
    expect(taken.slice(4).map((message) => [message.text, message.reconsumeTimes])).toEqual([
      ['4', 0],
      ['2', 1],
    ])
    expect(broker.bodies('%DLQ%g')).toEqual(['3'])
    for (const message of taken.slice(4)) message.ack()
    await world.until(consumer.close())
    await world.until(loop)
    expect(broker.offset('g', 'orders', 0)).toBe(5)
  })

  it('an orderly consumer keeps to the concurrency of its loops, too', async () => {
    const { world, broker, client } = await story({ topics: { orders: 6 } })
    for (let queueId = 0; queueId < 6; queueId++) for (let i = 0; i < 2; i++) broker.put('orders', queueId, `${queueId} ${i}`)
    const consumer = client('one').pushConsumer({ ...options, orderly: true })
    const taken: ConsumedMessage[] = []
    const loop = (async () => {
      for await (const message of consumer.messages({ concurrency: 2, ack: 'explicit' })) taken.push(message)
    })()
    await world.run(5000)
    expect(taken).toHaveLength(2)
    for (let settled = 0; settled < 12; settled++) {
      taken[settled]?.ack()
      await world.run(100)
    }
    expect(taken.map((message) => message.text).sort()).toEqual(Array.from({ length: 12 }, (_, i) => `${i >> 1} ${i % 2}`))
    await world.until(consumer.close())
    await world.until(loop)
  })

  it('a signal ends the loop; what was not handed out stays, and another loop goes on', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    fill(broker, 6)
    const consumer = client('one').pushConsumer(options)
    const stop = new AbortController()
    const seen: string[] = []
    const first = (async () => {
      for await (const message of consumer.messages({ concurrency: 3, signal: stop.signal })) {
        seen.push(message.text)
        if (seen.length === 2) stop.abort()
      }
    })()
    await world.until(first)
    await world.run(20_000)
    expect(seen).toEqual(['0', '1'])
    void (async () => {
      for await (const message of consumer.messages()) seen.push(message.text)
    })()
    await world.when(() => seen.length === 6, 5000)
    expect(seen).toEqual(['0', '1', '2', '3', '4', '5'])
    await world.until(consumer.close())
  })

  it('close ends a waiting loop; await using closes', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    const ended: string[] = []
    const scope = (async () => {
      await using consumer = client('one').pushConsumer(options)
      const loop = (async () => {
        for await (const message of consumer.messages()) ended.push(message.text)
        ended.push('end')
      })()
      await world.node('one').clock.sleep(3000)
      void loop
    })()
    await world.until(scope)
    await world.settle()
    expect(ended).toEqual(['end'])
    expect(broker.members('g')).toEqual([])
  })

  it('start() without a loop holds messages back instead of spinning', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    fill(broker, 3)
    const consumer = client('one').pushConsumer(options)
    await world.until(consumer.start())
    await world.run(30_000)
    expect(broker.pulls).toEqual([])
    await world.until(consumer.close())
  })

  it('a consumer with a handler has no messages()', async () => {
    const { client } = await story({ topics: { orders: 1 } })
    expect(() =>
      client('one')
        .pushConsumer({ ...options, handler: () => undefined })
        .messages(),
    ).toThrow(/without one/)
  })
})
