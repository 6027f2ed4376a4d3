/** Messages in order over a whole cluster: order settings that outlive a broker, and queues that have one owner at rest. */
import { startBroker } from '@skylarkmq/broker'
import type { Broker } from '@skylarkmq/broker'
import { createClient } from '@skylarkmq/client'
import type { Client, PushConsumer } from '@skylarkmq/client'
import { startNamesrv } from '@skylarkmq/namesrv'
import type { Namesrv } from '@skylarkmq/namesrv'
import { simRuntime } from '@skylarkmq/runtime/sim'
import type { World } from '@skylarkmq/runtime/sim'
import { memoryMetadata } from '@skylarkmq/store'
import { describe, expect, test } from 'vitest'

interface Scene {
  readonly world: World
  readonly namesrvAddr: string
  broker(name: string): Promise<Broker>
  client(name: string): Promise<Client>
  close(): Promise<void>
}

async function startScene(seed: number): Promise<Scene> {
  const { world } = simRuntime(seed)
  const ns = world.node('ns')
  const config = { listenPort: 9876, bindAddress: ns.host, kvConfigPath: '/kv.json', orderMessageEnable: true }
  const namesrv: Namesrv = await world.until(startNamesrv(ns, config))
  const namesrvAddr = `${ns.host}:9876`
  const brokers: Broker[] = []
  const clients: Client[] = []
  return {
    world,
    namesrvAddr,
    async broker(name) {
      const node = world.node(name)
      const settings = {
        brokerName: name,
        brokerIP1: node.host,
        namesrvAddr,
        storePathRootDir: `/${name}`,
        mappedFileSizeCommitLog: 1 << 20,
      }
      const broker = await world.until(startBroker(node, { ...settings, listenPort: 10911 }, { metadata: memoryMetadata() }))
      brokers.push(broker)
      return broker
    },
    async client(name) {
      const client = await world.until(createClient({ namesrvAddr, runtime: world.node(name), instanceName: name }))
      clients.push(client)
      return client
    },
    async close() {
      for (const client of clients) await world.until(client.close({ drainMs: 0 }))
      for (const broker of brokers) await world.until(broker.close())
      await world.until(namesrv.close())
    },
  }
}

describe('an ordered topic', () => {
  test('keeps its queues while a broker is away: a key never moves to another queue, its sends fail instead', async () => {
    const scene = await startScene(3)
    const { world } = scene
    await scene.broker('a')
    const b = await scene.broker('b')
    const admin = (await scene.client('admin')).admin()
    await world.until(admin.topics.update({ topic: 'orders', queueNums: 2, order: true }))
    await world.until(admin.namesrv.putKv('ORDER_TOPIC_CONFIG', 'orders', 'a:2;b:2'))
    const client = await scene.client('producer')
    const queues = async () =>
      (await world.until(client.core.publishQueues('orders', { refresh: true }))).map((queue) => `${queue.brokerName}/${queue.queueId}`)
    const all = ['a/0', 'a/1', 'b/0', 'b/1']
    expect(await queues()).toEqual(all)
    await world.until(b.close())
    expect(await queues()).toEqual(all)
    const producer = client.producer({ group: 'p' })
    const queue = (brokerName: string) => ({ topic: 'orders', brokerName, queueId: 0 })
    expect((await world.until(producer.send({ topic: 'orders', body: 'x' }, { queue: queue('a') }))).status).toBe('OK')
    await expect(world.until(producer.send({ topic: 'orders', body: 'x' }, { queue: queue('b') }))).rejects.toThrow(world.node('b').host)
    // Without the setting the topic shrinks to the brokers that are there.
    await world.until(admin.namesrv.deleteKv('ORDER_TOPIC_CONFIG', 'orders'))
    expect(await queues()).toEqual(['a/0', 'a/1'])
    await scene.close()
  })
})

describe.each([11, 12, 13])('orderly consumers come and go, seed %i', (seed) => {
  test('no queue is consumed by two at a time, each key stays in order, and at rest each queue has one owner', async () => {
    const scene = await startScene(seed)
    const { world } = scene
    await scene.broker('a')
    const random = world.node('dice').random
    const sender = await scene.client('sender')
    await world.until(sender.admin().topics.update({ topic: 'orders', queueNums: 6 }))
    const producer = sender.producer({ group: 'p' })

    const busy = new Map<string, string>()
    const seen = new Map<string, number[]>()
    const clashes: string[] = []
    const join = async (name: string): Promise<PushConsumer> => {
      const { clock } = world.node(name)
      const client = await scene.client(name)
      const consumer = client.pushConsumer({
        group: 'g',
        subscriptions: { orders: '*' },
        consumeFrom: 'first',
        orderly: true,
        handler: async (message) => {
          const queue = `${message.brokerName}/${message.queueId}`
          const other = busy.get(queue)
          if (other !== undefined) clashes.push(`${queue}: ${other} and ${name}`)
          busy.set(queue, name)
          await clock.sleep(1 + random.integer(50))
          busy.delete(queue)
          const [key, number] = message.text.split(':') as [string, string]
          seen.set(key, [...(seen.get(key) ?? []), Number(number)])
        },
      })
      await world.until(consumer.start())
      return consumer
    }

    let number = 0
    const send = async (count: number) => {
      for (let i = 0; i < count; i++, number++) {
        const queueId = number % 6
        await world.until(
          producer.send({ topic: 'orders', body: `k${queueId}:${number}` }, { queue: { topic: 'orders', brokerName: 'a', queueId } }),
        )
      }
    }

    const consumers = [await join('c1')]
    await send(30)
    consumers.push(await join('c2'))
    await send(30)
    await world.run(2000 + random.integer(20_000))
    consumers.push(await join('c3'))
    await send(30)
    await world.until((consumers.shift() as PushConsumer).close())
    await send(30)
    await world.run(150_000)

    expect(clashes).toEqual([])
    for (const [key, numbers] of seen) {
      const first = [...new Set(numbers)]
      expect([key, first]).toEqual([key, [...first].sort((x, y) => x - y)])
    }
    expect([...seen.values()].reduce((sum, numbers) => sum + new Set(numbers).size, 0)).toBe(number)
    const owned = consumers.flatMap((consumer) => consumer.queues.filter(({ topic }) => topic === 'orders').map(({ queueId }) => queueId))
    expect(owned.sort()).toEqual([0, 1, 2, 3, 4, 5])
    await scene.close()
  })
})
