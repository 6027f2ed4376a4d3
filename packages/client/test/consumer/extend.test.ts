/** A film takes an hour to encode; consumeTimeoutMs is fifteen minutes. RocketMQ's answer is to encode it four times at once. */
import { describe, expect, it } from 'vitest'
import { story } from './support/small-broker.ts'

const MINUTE = 60_000
const options = { group: 'g', subscriptions: { films: '*' }, consumeFrom: 'first' } as const

describe('extend()', () => {
  it('keeps a message with its handler for as long as the handler says so', async () => {
    const { world, sim, broker, client } = await story({ topics: { films: 1 } })
    broker.put('films', 0, 'metropolis')
    const log: string[] = []
    const consumer = client('one').pushConsumer({
      ...options,
      handler: async (message) => {
        log.push(`begin ${message.reconsumeTimes}`)
        for (let minute = 0; minute < 60; minute += 10) {
          await sim.clock.sleep(10 * MINUTE)
          await message.extend()
        }
        log.push('end')
      },
    })
    await world.until(consumer.start())
    await world.run(70 * MINUTE)
    expect(log).toEqual(['begin 0', 'end'])
    expect(broker.failed).toEqual([])
    await world.until(consumer.close())
    expect(broker.offset('g', 'films', 0)).toBe(1)
  })

  it('a handler that is silent loses the message, and its extend() says so', async () => {
    const { world, sim, broker, client } = await story({ topics: { films: 1 } })
    broker.put('films', 0, 'metropolis')
    const log: unknown[] = []
    const consumer = client('one').pushConsumer({
      ...options,
      handler: async (message, context) => {
        if (message.reconsumeTimes > 0) return log.push('second delivery')
        const left = (context.deadline as Date).getTime() - sim.clock.now()
        log.push(left)
        await sim.clock.sleep(5 * MINUTE)
        await context.extend(2 * MINUTE)
        // Never earlier than it was.
        log.push((context.deadline as Date).getTime() - sim.clock.now())
        await sim.clock.sleep(20 * MINUTE)
        await context.extend().catch((error: { code: string }) => log.push(error.code, context.signal.aborted))
        return undefined
      },
    })
    await world.until(consumer.start())
    await world.run(40 * MINUTE)
    expect(log).toEqual([15 * MINUTE, 10 * MINUTE, 'second delivery', 'ABORTED', true])
    await world.until(consumer.close())
  })

  it('one message that is extended does not shield the others of its queue', async () => {
    const { world, sim, broker, client } = await story({ topics: { films: 1 } })
    for (const film of ['long', 'stuck']) broker.put('films', 0, film)
    const second: string[] = []
    const consumer = client('one').pushConsumer({
      ...options,
      handler: async (message, context) => {
        if (message.reconsumeTimes > 0) return void second.push(message.text)
        for (let minute = 0; minute < 60; minute += 5) {
          await sim.clock.sleep(5 * MINUTE, context.signal).catch(() => undefined)
          if (message.text === 'long') await context.extend()
        }
      },
    })
    await world.until(consumer.start())
    await world.run(55 * MINUTE)
    expect(second).toEqual(['stuck'])
    await world.until(consumer.close({ drainMs: 10 * MINUTE }), 20 * MINUTE)
  })

  it('an orderly handler has no deadline, and may call it all the same', async () => {
    const { world, broker, client } = await story({ topics: { films: 1 } })
    broker.put('films', 0, 'metropolis')
    const log: unknown[] = []
    const consumer = client('one').pushConsumer({
      ...options,
      orderly: true,
      handler: async (_, { deadline, extend }) => {
        log.push(deadline)
        await extend()
        await extend(-1).catch((error: { code: string }) => log.push(error.code))
      },
    })
    await world.until(consumer.start())
    await world.when(() => log.length === 2, 5000)
    expect(log).toEqual([undefined, 'BAD_ARGUMENT'])
    await world.until(consumer.close())
  })
})
