/** Two teams share a cluster, each with a topic `orders` and a group `readers`. Neither may see the other's, and their code names neither team. */
import { describe, expect, it } from 'vitest'
import { withNamespace, withoutNamespace } from '../src/namespace.ts'
import { story } from './consumer/support/small-broker.ts'

describe('namespaces', () => {
  it('are written before the names, as RocketMQ does, and taken off again', () => {
    const cases = [
      ['orders', 'NS%orders'],
      ['%RETRY%readers', '%RETRY%NS%readers'],
      ['%DLQ%readers', '%DLQ%NS%readers'],
      ['NS%orders', 'NS%orders'],
      ['%RETRY%NS%readers', '%RETRY%NS%readers'],
      ['RMQ_SYS_TRACE_TOPIC', 'RMQ_SYS_TRACE_TOPIC'],
      ['rmq_sys_anything', 'rmq_sys_anything'],
      ['CID_RMQ_SYS_x', 'CID_RMQ_SYS_x'],
      ['', ''],
    ] as const
    for (const [plain, named] of cases) expect(withNamespace('NS', plain), plain).toBe(named)
    expect(withoutNamespace('NS', '%RETRY%NS%readers')).toBe('%RETRY%readers')
    expect(withoutNamespace('NS', 'NS%orders')).toBe('orders')
    expect(withoutNamespace('NS', 'OTHER%orders')).toBe('OTHER%orders')
    expect(withNamespace(undefined, 'orders')).toBe('orders')
  })

  it('keep teams apart; each sees its own plain names', async () => {
    const { world, broker, client } = await story({ topics: { 'red%orders': 2, 'blue%orders': 2 } })
    const seen: Record<string, string[]> = { red: [], blue: [] }
    for (const namespace of ['red', 'blue']) {
      const own = client(namespace, { namespace })
      const consumer = own.pushConsumer({
        group: 'readers',
        subscriptions: { orders: '*' },
        consumeFrom: 'first',
        handler: (message, { queue }) => {
          seen[namespace]?.push(`${message.text} from ${message.topic} by ${queue.topic}, ${message.reconsumeTimes}`)
          if (message.reconsumeTimes === 0) message.retry({ delayLevel: 1 })
        },
      })
      await world.until(consumer.start())
      expect(consumer.queues.filter(({ topic }) => topic === 'orders')).toHaveLength(2)
      const producer = own.producer({ group: 'writers' })
      const [queue] = await world.until(producer.queues('orders'))
      expect(queue?.topic).toBe('orders')
      const receipt = await world.until(producer.send({ topic: 'orders', body: namespace }, queue ? { queue } : {}))
      expect(receipt.queue).toEqual(queue)
    }
    await world.when(() => Object.values(seen).every((list) => list.length === 2), 20_000)
    for (const team of ['red', 'blue']) {
      expect(seen[team]).toEqual([`${team} from orders by orders, 0`, `${team} from orders by %RETRY%readers, 1`])
    }
    expect(broker.members('red%readers')).toHaveLength(1)
    expect(broker.members('readers')).toEqual([])
    expect(broker.bodies('%RETRY%red%readers')).toEqual(['red'])
  })

  it('hold for pull consumers: assign, seek, commit, all with plain names', async () => {
    const { world, broker, client } = await story({ topics: { 'red%orders': 1 } })
    for (let i = 0; i < 5; i++) broker.put('red%orders', 0, String(i))
    const consumer = client('one', { namespace: 'red' }).pullConsumer({ group: 'readers', consumeFrom: 'first' })
    const queues = await world.until(consumer.topicQueues('orders'))
    const queue = queues[0]
    if (!queue) throw new Error('there is one')
    expect(queue.topic).toBe('orders')
    await world.until(consumer.assign(queues))
    consumer.seek(queue, 3)
    expect((await world.until(consumer.poll())).map(({ text, topic }) => `${topic} ${text}`)).toEqual(['orders 3', 'orders 4'])
    await world.until(consumer.commit())
    expect(broker.offset('red%readers', 'red%orders', 0)).toBe(5)
    expect(await world.until(consumer.committedOffset(queue))).toBe(5)
    await world.until(consumer.close())
  })

  it('a namespace that brokers would refuse is refused first', async () => {
    const { client } = await story({ topics: {} })
    const long = client('two', { namespace: 'n'.repeat(100) })
    expect(() => long.producer({ group: 'g'.repeat(50) })).toThrow(/120.*has 151 characters/)
    expect(() => long.pushConsumer({ group: 'g', subscriptions: { ['t'.repeat(50)]: '*' } })).toThrow(/127.*has 151 characters/)
    expect(() => client('one', { namespace: 'a b' })).toThrow(/the namespace cannot be: .*illegal characters/)
  })
})
