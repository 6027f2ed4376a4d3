/** A handler waits for a lock that nobody will release. Without a word the group just stops; with a word a minute nobody reads them. */
import { describe, expect, it } from 'vitest'
import type { PushConsumer } from '../../src/consumer/push-consumer.ts'
import { story } from './support/small-broker.ts'

const options = { group: 'g', subscriptions: { orders: '*' }, consumeFrom: 'first', stalledAfterMs: 60_000 } as const

function eventsOf(consumer: PushConsumer): string[] {
  const events: string[] = []
  consumer.events.on('stalled', (stall) =>
    events.push(`${stall.queue.topic} stalled by ${stall.reason} at ${stall.offset}, ${stall.cachedMessages} here`),
  )
  consumer.events.on('recovered', (queue) => events.push(`${queue.topic} recovered`))
  return events
}

describe('stalled queues', () => {
  it('are reported once per episode, and once more when they move again', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    const free: (() => void)[] = []
    const consumer = client('one').pushConsumer({
      ...options,
      concurrency: 1,
      handler: () => new Promise<void>((resolve) => free.push(resolve)),
    })
    const events = eventsOf(consumer)
    for (let i = 0; i < 3; i++) broker.put('orders', 0, String(i))
    await world.until(consumer.start())
    await world.run(45_000)
    expect(events).toEqual([])
    await world.run(10 * 60_000)
    expect(events).toEqual(['orders stalled by handler at 0, 3 here'])
    free[0]?.()
    await world.run(30_000)
    expect(events.slice(1)).toEqual(['orders recovered'])
    await world.run(10 * 60_000)
    expect(events.slice(2)).toEqual(['orders stalled by handler at 1, 2 here'])
    free[1]?.()
    await world.run(1000)
    free[2]?.()
    await world.run(10 * 60_000)
    expect(events.slice(3)).toEqual(['orders recovered'])
    await world.until(consumer.close({ drainMs: 0 }))
  })

  it('a queue with nothing to do, a paused consumer and a handler that extends are no stalls', async () => {
    const { world, sim, broker, client } = await story({ topics: { orders: 1 } })
    const consumer = client('one').pushConsumer({
      ...options,
      handler: async (message) => {
        for (let i = 0; i < 20; i++) {
          await sim.clock.sleep(30_000)
          await message.extend()
        }
      },
    })
    const events = eventsOf(consumer)
    await world.until(consumer.start())
    await world.run(10 * 60_000)
    consumer.pause()
    broker.put('orders', 0, 'x')
    await world.run(10 * 60_000)
    consumer.resume()
    await world.run(15 * 60_000)
    expect(events).toEqual([])
    expect(broker.offset('g', 'orders', 0)).toBe(1)
    await world.until(consumer.close())
  })

  it('a broker that answers no pull any more stalls its queues; its return ends it', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    const consumer = client('one').pushConsumer({ ...options, handler: () => undefined })
    const events = eventsOf(consumer)
    await world.until(consumer.start())
    await world.run(5000)
    broker.script = (name) => (name === 'pull' ? { code: 2, remark: 'busy' } : undefined)
    broker.put('orders', 0, 'x')
    await world.run(20 * 60_000)
    const own = () => events.filter((event) => event.startsWith('orders'))
    expect(own()).toEqual(['orders stalled by broker at 1, 0 here'])
    broker.script = () => undefined
    await world.run(60_000)
    expect(own().slice(1)).toEqual(['orders recovered'])
    await world.until(consumer.close())
  })
})
