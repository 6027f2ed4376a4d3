import { describe, expect, it } from 'vitest'
import type { PushConsumer } from '../../src/consumer/push-consumer.ts'
import type { SmallBroker } from './support/small-broker.ts'
import { story } from './support/small-broker.ts'

const fill = (broker: SmallBroker, queues: number, perQueue: number) => {
  for (let i = 0; i < perQueue; i++) for (let queueId = 0; queueId < queues; queueId++) broker.put('orders', queueId, `${queueId}-${i}`)
}
const options = { group: 'g', subscriptions: { orders: '*' }, consumeFrom: 'first', orderly: true } as const

describe('orderly consumers', () => {
  it('take one message of a queue after the other, queues beside each other', async () => {
    const { world, sim, broker, client } = await story({ topics: { orders: 3 } })
    fill(broker, 3, 50)
    const seen: Record<string, string[]> = {}
    const atWork = new Map<number, number>()
    let most = 0
    const consumer = client('one').pushConsumer({
      ...options,
      handler: async (message) => {
        const own = (atWork.get(message.queueId) ?? 0) + 1
        expect(own).toBe(1)
        atWork.set(message.queueId, own)
        most = Math.max(
          most,
          [...atWork.values()].reduce((a, b) => a + b),
        )
        await sim.clock.sleep(sim.random.integer(50))
        atWork.set(message.queueId, 0)
        ;(seen[message.queueId] ??= []).push(message.text)
      },
    })
    await world.until(consumer.start())
    await world.when(() => Object.values(seen).flat().length === 150)
    for (let queueId = 0; queueId < 3; queueId++) expect(seen[queueId]).toEqual(Array.from({ length: 50 }, (_, i) => `${queueId}-${i}`))
    expect(most).toBe(3)
    await world.until(consumer.close())
    expect(broker.offset('g', 'orders', 1)).toBe(50)
    expect(broker.lockHolder('g', 'orders', 0)).toBeUndefined()
  })

  it('a failed message stops its queue and is tried again before its successors; then it goes to the dead letters', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    fill(broker, 1, 4)
    const seen: string[] = []
    const times: number[] = []
    const consumer = client('one').pushConsumer({
      ...options,
      maxReconsumeTimes: 2,
      suspendMs: 3000,
      handler: (message) => {
        seen.push(`${message.text} ${message.reconsumeTimes}`)
        times.push(world.nowMs)
        if (message.text === '0-1') throw new Error('never')
      },
    })
    await world.until(consumer.start())
    await world.when(() => seen.length === 6)
    expect(seen).toEqual(['0-0 0', '0-1 0', '0-1 1', '0-1 2', '0-2 0', '0-3 0'])
    expect((times[2] ?? 0) - (times[1] ?? 0)).toBeGreaterThanOrEqual(3000)
    expect(broker.bodies('%DLQ%g')).toEqual(['0-1'])
    await world.until(consumer.close())
    expect(broker.offset('g', 'orders', 0)).toBe(4)
  })

  it('a message that its broker has lost becomes a dead letter all the same, and its queue goes on', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    fill(broker, 1, 4)
    broker.script = (name) => (name === 'send-back' ? { code: 1, remark: 'look message by offset failed, 0' } : undefined)
    const seen: string[] = []
    const consumer = client('one').pushConsumer({
      ...options,
      maxReconsumeTimes: 1,
      suspendMs: 100,
      handler: (message) => {
        seen.push(`${message.text} ${message.reconsumeTimes}`)
        if (message.text === '0-1') throw new Error('never')
        if (message.text === '0-2') return message.deadLetter()
      },
    })
    await world.until(consumer.start())
    await world.when(() => seen.length === 5, 30_000)
    expect(seen).toEqual(['0-0 0', '0-1 0', '0-1 1', '0-2 0', '0-3 0'])
    expect(broker.bodies('%DLQ%g')).toEqual(['0-1', '0-2'])
    expect(broker.bodies('%RETRY%g')).toEqual([])
    await world.until(consumer.close())
    expect(broker.offset('g', 'orders', 0)).toBe(4)
  })

  it('a queue that another consumer holds is not touched until it is free', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    fill(broker, 1, 3)
    broker.stealLock('g', 'orders', 0, 50_000)
    const seen: string[] = []
    const consumer = client('one').pushConsumer({ ...options, handler: (message) => void seen.push(message.text) })
    await world.until(consumer.start())
    await world.run(40_000)
    expect(seen).toEqual([])
    expect(broker.pulls.filter(({ topic }) => topic === 'orders')).toEqual([])
    await world.when(() => seen.length === 3, 60_000)
    await world.until(consumer.close())
  })

  it('a consumer cut off from the broker stops after 30 s, and after the other has gone further it goes on from there', async () => {
    const { world, sim, broker, client } = await story({ topics: { orders: 1 } })
    fill(broker, 1, 100)
    const seen: string[] = []
    const consumer = client('one').pushConsumer({
      ...options,
      handler: async (message) => {
        seen.push(message.text)
        await sim.clock.sleep(1000)
      },
    })
    await world.until(consumer.start())
    await world.run(5000)
    world.partition(['one'], ['broker-a'])
    await world.run(60_000)
    const whenCutOff = seen.length
    expect(whenCutOff).toBeLessThan(45)
    // Somebody else had the queue meanwhile.
    world.cut('one', 'broker-a')
    broker.offsets.set('g@orders:0', 80)
    world.heal()
    await world.when(() => seen.includes('0-99'), 200_000)
    expect(seen.slice(whenCutOff)).toEqual(Array.from({ length: 20 }, (_, i) => `0-${80 + i}`))
    await world.until(consumer.close())
  })

  it('members hand queues over without two of them working on one, and without losing order', async () => {
    const { world, sim, broker, client } = await story({ topics: { orders: 4 } })
    fill(broker, 4, 60)
    const seen: Record<number, number[]> = {}
    const atWork = new Set<number>()
    const open = (name: string): PushConsumer =>
      client(name).pushConsumer({
        ...options,
        handler: async (message) => {
          expect(atWork.has(message.queueId)).toBe(false)
          atWork.add(message.queueId)
          await sim.clock.sleep(200)
          atWork.delete(message.queueId)
          ;(seen[message.queueId] ??= []).push(message.queueOffset)
        },
      })
    const one = open('one')
    await world.until(one.start())
    await world.run(2000)
    const two = open('two')
    await world.until(two.start())
    await world.when(() => two.queues.filter((queue) => queue.topic === 'orders').length === 2, 30_000)
    await world.run(2000)
    await world.until(two.close())
    await world.when(() => Object.values(seen).flat().length >= 240 && one.queues.filter((q) => q.topic === 'orders').length === 4, 120_000)
    await world.until(one.close())
    for (let queueId = 0; queueId < 4; queueId++) {
      expect(seen[queueId]).toEqual(Array.from({ length: 60 }, (_, i) => i))
    }
  })

  it('close while a handler hangs keeps the lock of its queue and gives the others up', async () => {
    const { world, broker, client } = await story({ topics: { orders: 2 } })
    fill(broker, 2, 2)
    const consumer = client('one').pushConsumer({
      ...options,
      handler: (message) => (message.queueId === 0 ? new Promise(() => undefined) : undefined),
    })
    await world.until(consumer.start())
    await world.run(1000)
    await world.until(consumer.close({ drainMs: 500 }))
    expect(broker.lockHolder('g', 'orders', 0)).toContain('@one')
    expect(broker.lockHolder('g', 'orders', 1)).toBeUndefined()
    expect([broker.offset('g', 'orders', 0), broker.offset('g', 'orders', 1)]).toEqual([0, 2])
  })
})
