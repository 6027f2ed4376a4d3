import { describe, expect, it } from 'vitest'
import type { Client } from '../../src/client.ts'
import type { PushConsumer } from '../../src/consumer/push-consumer.ts'
import { seededRandom } from '@skylarkmq/runtime/sim'
import { story } from './support/small-broker.ts'

/**
 * Members of a group come, go, die and are cut off; brokers die and come back. Whatever happened: no message is lost, no offset is
 * committed past a message that nobody has consumed, and in the end each queue has one owner.
 */
const SEEDS = Array.from({ length: 12 }, (_, i) => i + 1)
const QUEUES = 3
const keyOf = (message: { text: string }): string => String(Number(message.text.slice(1)) % 5)
const NAMES = ['broker-a', 'broker-b']

describe('a group in trouble loses nothing', () => {
  for (const seed of SEEDS) {
    const isOrderly = seed % 3 === 0
    const isByKey = seed % 3 === 1
    it(`seed ${seed}${isOrderly ? ', orderly' : isByKey ? ', by key' : ''}`, async () => {
      const random = seededRandom(seed)
      const { world, brokers, client } = await story({ topics: { orders: QUEUES }, brokers: NAMES, seed })
      const done = new Set<string>()
      const collisions: string[] = []
      const members = new Map<string, { client: Client; consumer: PushConsumer }>()
      const starts: Promise<unknown>[] = []
      let born = 0
      let sent = 0

      const join = () => {
        const name = `member-${++born}`
        const node = world.node(name)
        const one = client(name)
        const busy = new Set<string>()
        const consumer = one.pushConsumer({
          group: 'g',
          subscriptions: { orders: '*' },
          consumeFrom: 'first',
          orderly: isOrderly,
          ...(isByKey ? { orderBy: keyOf } : {}),
          suspendMs: 200,
          concurrency: 4,
          handler: async (message) => {
            const key = `${message.brokerName} ${message.queueId} ${keyOf(message)}`
            if (isByKey && busy.has(key)) collisions.push(key)
            busy.add(key)
            await node.clock.sleep(random.integer(80))
            busy.delete(key)
            if (random.integer(20) === 0) throw new Error('by chance')
            done.add(message.text)
          },
        })
        starts.push(consumer.start().catch(() => undefined))
        members.set(name, { client: one, consumer })
      }
      const produce = () => {
        for (const broker of brokers) for (let i = 0; i < 4; i++) broker.put('orders', random.integer(QUEUES), `m${sent++}`)
      }
      const check = () => {
        for (const broker of brokers) {
          for (let queueId = 0; queueId < QUEUES; queueId++) {
            const committed = broker.offset('g', 'orders', queueId) ?? 0
            const unconsumed = broker
              .bodies('orders', queueId)
              .slice(0, committed)
              .filter((text) => !done.has(text))
            const waiting = new Set(broker.failed)
            expect(unconsumed.filter((text) => !waiting.has(text))).toEqual([])
          }
        }
      }

      join()
      join()
      const down = new Set<string>()
      for (let step = 0; step < 40; step++) {
        produce()
        const [name, member] = random.pick([...members])
        switch (random.integer(8)) {
          case 0:
            if (members.size < 4) join()
            break
          case 1:
            if (members.size > 1) {
              members.delete(name)
              await world.until(member.consumer.close({ drainMs: 300 }))
              await world.until(member.client.close({ drainMs: 0 }))
            }
            break
          case 2:
            if (members.size > 1) {
              members.delete(name)
              world.kill(name)
            }
            break
          case 3:
            world.cut(name, random.pick(NAMES))
            break
          case 4:
            world.stall(name, random.pick(NAMES), 200 + random.integer(5000))
            break
          case 5: {
            const broker = random.pick(brokers)
            if (down.delete(broker.name)) await broker.start()
            else {
              down.add(broker.name)
              broker.kill()
            }
            break
          }
          default:
        }
        await world.run(random.integer(3000))
        check()
      }
      for (const broker of brokers) if (down.has(broker.name)) await broker.start()
      if (members.size === 0) join()
      await world.when(() => done.size === sent, 900_000)
      await world.run(120_000)
      check()
      const owners = [...members.values()].flatMap(({ consumer }) =>
        consumer.queues.filter(({ topic }) => topic === 'orders').map(({ brokerName, queueId }) => `${brokerName}:${queueId}`),
      )
      expect(collisions).toEqual([])
      expect(owners.sort()).toEqual(NAMES.flatMap((name) => Array.from({ length: QUEUES }, (_, i) => `${name}:${i}`)))
      for (const { client: one } of members.values()) await world.until(one.close())
    })
  }
})
