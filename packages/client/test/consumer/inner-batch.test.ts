import { deflateSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { encodeClientBatch, formatProperties } from '@skylarkmq/remoting/protocol'
import { story } from './support/small-broker.ts'

describe('a record that holds a batch', () => {
  const batch = encodeClientBatch(
    ['a', 'b', 'c'].map((text, i) => ({
      flag: i,
      body: Buffer.from(text),
      properties: Buffer.from(formatProperties([['TAGS', text], ['KEYS', `k${i}`]])), // biome-ignore format: pairs
    })),
  )
  for (const [name, body, sysFlag] of [
    ['plain', batch, 0xc0],
    ['compressed', deflateSync(batch), 0xc1],
  ] as const) {
    it(`is taken apart: ${name}`, async () => {
      const { world, broker, client } = await story({ topics: { orders: 1 } })
      broker.put('orders', 0, body, { sysFlag })
      const seen: unknown[] = []
      const consumer = client('one').pullConsumer({ group: 'g', subscriptions: { orders: '*' }, consumeFrom: 'first' })
      for (const message of await world.until(consumer.poll())) {
        seen.push([message.queueOffset, message.text, message.tags, message.keys.join(), message.flag])
      }
      expect(seen).toEqual([
        [0, 'a', 'a', 'k0', 0],
        [1, 'b', 'b', 'k1', 1],
        [2, 'c', 'c', 'k2', 2],
      ])
      await world.until(consumer.close())
    })
  }

  it('that is broken does not stop the queue', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    broker.put('orders', 0, 'no batch', { sysFlag: 0xc0 })
    broker.put('orders', 0, 'next')
    const consumer = client('one').pullConsumer({ group: 'g', subscriptions: { orders: '*' }, consumeFrom: 'first' })
    expect((await world.until(consumer.poll())).map((message) => message.text)).toEqual(['no batch', 'next'])
    await world.until(consumer.close())
  })
})
