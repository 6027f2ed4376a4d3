/** Somebody deploys a producer that writes `total` as text. What the consumers make of it is for them to choose, before their handlers run. */
import { describe, expect, it } from 'vitest'
import type { ConsumedMessage, InvalidMessageError, PushConsumerOptions, StandardSchema } from '@skylarkmq/client'
import type { SmallBroker } from './support/small-broker.ts'
import { story } from './support/small-broker.ts'

interface Order {
  readonly id: string
  readonly total: number
}

/** As a library's validator looks from outside, asynchronous as some are; it makes `total` from cents. */
const Order: StandardSchema<{ id: string; cents: number }, Order> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: async (value) => {
      const given = value as { id?: unknown; cents?: unknown } | null
      const issues = []
      if (typeof given?.id !== 'string') issues.push({ message: 'must be text', path: ['id'] })
      if (typeof given?.cents !== 'number')
        issues.push({ message: `must be a number, found ${typeof given?.cents}`, path: [{ key: 'cents' }] })
      return issues.length > 0 ? { issues } : { value: { id: given?.id as string, total: (given?.cents as number) / 100 } }
    },
  },
}

const base = { group: 'g', subscriptions: { orders: '*' }, consumeFrom: 'first', schema: Order } as const

function fill(broker: SmallBroker): void {
  for (const body of ['{"id":"a","cents":100}', '{"id":"b","cents":"200"}', 'no JSON', '{"id":"c","cents":300}'])
    broker.put('orders', 0, body)
}

async function consumed(more: Partial<PushConsumerOptions<Order>>, wanted = 2) {
  const { world, broker, client } = await story({ topics: { orders: 1 } })
  fill(broker)
  const orders: Order[] = []
  const errors: InvalidMessageError[] = []
  const consumer = client('one').pushConsumer({ ...base, ...more, handler: ({ value }) => void orders.push(value) })
  consumer.events.on('handlerError', (error) => errors.push(error as InvalidMessageError))
  await world.until(consumer.start())
  await world.when(() => orders.length === wanted, 10_000)
  await world.run(3000)
  await world.until(consumer.close())
  return { broker, orders, errors }
}

describe('a schema', () => {
  it('gives handlers typed values; what it refuses goes to the dead letters, with the reason in an event', async () => {
    const { broker, orders, errors } = await consumed({})
    expect(orders).toEqual([
      { id: 'a', total: 1 },
      { id: 'c', total: 3 },
    ])
    expect(broker.bodies('%DLQ%g').sort()).toEqual(['no JSON', '{"id":"b","cents":"200"}'])
    expect(errors.map(({ message }) => message).sort()).toEqual([
      expect.stringMatching(/of orders is not what the schema wants: cents: must be a number, found string$/),
      expect.stringMatching(/the body cannot be read: .*JSON/),
    ])
    expect(errors.every(({ code }) => code === 'MESSAGE_ILLEGAL')).toBe(true)
    expect(broker.offset('g', 'orders', 0)).toBe(4)
  })

  it("onInvalid: 'skip' leaves them out; 'retry' asks for another delivery; a function decides for each", async () => {
    const skipped = await consumed({ onInvalid: 'skip' })
    expect(skipped.broker.failed).toEqual([])
    expect(skipped.broker.offset('g', 'orders', 0)).toBe(4)
    const retried = await consumed({ onInvalid: 'retry' })
    expect(retried.broker.failed).toHaveLength(2)
    expect(retried.broker.bodies('%DLQ%g')).toEqual([])
    const chosen = await consumed({
      onInvalid: (message, error) => (error.issues.length === 1 && message.text === 'no JSON' ? 'skip' : 'deadLetter'),
    })
    expect(chosen.broker.bodies('%DLQ%g')).toEqual(['{"id":"b","cents":"200"}'])
  })

  it('decode replaces JSON', async () => {
    const { orders } = await consumed({ decode: (message) => ({ id: message.text, cents: 5 }) }, 4)
    expect(orders.map(({ id }) => id)).toContain('no JSON')
  })

  it('a batch gets only what is valid, a loop over messages() too', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    fill(broker)
    const batches: string[][] = []
    const consumer = client('one').pushConsumer({
      ...base,
      batchSize: 10,
      batchHandler: (messages) => void batches.push(messages.map(({ value }) => value.id)),
    })
    await world.until(consumer.start())
    await world.when(() => batches.flat().length === 2, 5000)
    expect(batches.flat()).toEqual(['a', 'c'])
    await world.until(consumer.close())

    const looping = client('two').pushConsumer({ ...base, group: 'h' })
    const totals: number[] = []
    const loop = (async () => {
      for await (const { value } of looping.messages()) if (totals.push(value.total) === 2) break
    })()
    await world.until(loop, 20_000)
    expect(totals).toEqual([1, 3])
    await world.until(looping.close())
  })

  it('a validator that breaks is a failure of the handler, not of the message', async () => {
    const broken: StandardSchema<unknown, Order> = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: () => {
          throw new Error('out of order')
        },
      },
    }
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    broker.put('orders', 0, '{}')
    const consumer = client('one').pushConsumer({ ...base, schema: broken, handler: () => undefined })
    await world.until(consumer.start())
    await world.when(() => broker.failed.length === 1, 5000)
    expect(broker.bodies('%DLQ%g')).toEqual([])
    await world.until(consumer.close())
  })

  it('parse() does the same for messages of any origin', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    fill(broker)
    const consumer = client('one').pullConsumer({ group: 'g', subscriptions: { orders: '*' }, consumeFrom: 'first' })
    const messages = await world.until(consumer.poll())
    const order: Order | undefined = await messages[0]?.parse(Order)
    expect(order).toEqual({ id: 'a', total: 1 })
    await expect(messages[1]?.parse(Order)).rejects.toMatchObject({ issues: [{ path: [{ key: 'cents' }] }] })
    await world.until(consumer.close())
  })

  it('has the types of its schema', () => {
    type Handler = NonNullable<PushConsumerOptions<Order>['handler']>
    const handler: Handler = (message: ConsumedMessage<Order>) => {
      const total: number = message.value.total
      // @ts-expect-error: the schema's output has no such field
      return [total, message.value.cents]
    }
    expect(handler).toBeTypeOf('function')
  })
})
