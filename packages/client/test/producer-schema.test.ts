/** The consumer's schema says what went wrong an hour later, at somebody else's desk. The producer's says it where the mistake is made. */
import { describe, expect, it } from 'vitest'
import type { InvalidMessageError, Message, ProducerOptions, StandardSchema } from '@skylarkmq/client'
import { failureOf, fakeCluster, routeOf } from './support/fake-cluster.ts'

const Order: StandardSchema<unknown, { id: string }> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: async (value) =>
      typeof (value as { id?: unknown } | null)?.id === 'string'
        ? { value: value as { id: string } }
        : { issues: [{ message: 'must be text', path: ['id'] }] },
  },
}

const good = { topic: 'orders', body: '{"id":"a"}' }
const bad = { topic: 'orders', body: Buffer.from('{"id":7}') }

async function scene(options: Partial<ProducerOptions> = {}) {
  const made = await fakeCluster({ brokers: ['a'] })
  for (const topic of ['orders', 'notes']) made.routes.set(topic, routeOf(Object.values(made.brokers)))
  const producer = made.client.producer({ group: 'g', schemas: { orders: Order }, onCheck: () => 'commit', ...options })
  return { ...made, producer, world: made.sim.world, bodies: () => made.broker('a').bodies }
}

describe("a producer's schemas", () => {
  it('keep what they refuse from being sent, by whatever call; other topics are no concern of theirs', async () => {
    const { world, producer, bodies } = await scene()
    const calls: ((message: Message) => Promise<unknown>)[] = [
      (message) => producer.send(message),
      (message) => producer.sendOneway(message),
      (message) => producer.sendAll([good, message]),
      (message) => producer.sendInTransaction(message, () => 'commit'),
      (message) => producer.request(message),
    ]
    for (const call of calls) {
      const error = (await world.until(failureOf(call(bad)))) as InvalidMessageError
      expect(error.message).toBe('the message to orders is not what the schema wants: id: must be text')
      expect([error.code, error.phase, error.topic, error.retryable]).toEqual(['MESSAGE_ILLEGAL', 'send', 'orders', false])
      expect(error.issues).toHaveLength(1)
    }
    expect((await world.until(failureOf(producer.send({ topic: 'orders', body: 'no JSON' })))).message).toMatch(
      /the body cannot be read: .*JSON/,
    )
    expect(bodies()).toEqual([])
    await world.until(producer.send({ topic: 'notes', body: 'no JSON' }))
    await world.until(producer.send(good))
    expect(bodies()).toEqual(['no JSON', '{"id":"a"}'])
  })

  it('may be a warning only: onInvalid says what becomes of each', async () => {
    const seen: string[] = []
    const onInvalid = (message: Message, error: InvalidMessageError) => {
      seen.push(`${error.issues[0]?.message}`)
      return message.tags === 'old' ? 'send' : 'reject'
    }
    const { world, producer, bodies } = await scene({ onInvalid })
    await world.until(producer.send({ ...bad, tags: 'old' }))
    await world.until(failureOf(producer.send(bad)))
    expect(bodies()).toEqual(['{"id":7}'])
    expect(seen).toEqual(['must be text', 'must be text'])
  })

  it('see what decode makes of the body', async () => {
    const { world, producer, bodies } = await scene({ decode: ({ body }) => ({ id: String(body) }) })
    await world.until(producer.send({ topic: 'orders', body: 'no JSON' }))
    expect(bodies()).toEqual(['no JSON'])
  })
})
