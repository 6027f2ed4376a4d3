/** What is sent after a consumer’s first heartbeat reaches it, whatever the network does meanwhile; what was sent before does not. */
import { startBroker } from '@skylarkmq/broker'
import { createClient } from '@skylarkmq/client'
import { startNamesrv } from '@skylarkmq/namesrv'
import { simRuntime } from '@skylarkmq/runtime/sim'
import { memoryMetadata } from '@skylarkmq/store'
import { describe, expect, test } from 'vitest'

const KINDS = ['clustering', 'orderly', 'broadcasting'] as const

describe.each(KINDS)('%s consumers that begin at the end', (kind) => {
  test.each([1, 2, 3])('seed %i', async (seed) => {
    const { world } = simRuntime(seed * 31 + KINDS.indexOf(kind))
    const { random } = world.node('dice')
    const ns = world.node('ns')
    const namesrv = await world.until(startNamesrv(ns, { listenPort: 9876, bindAddress: ns.host, kvConfigPath: '/kv.json' }))
    const namesrvAddr = `${ns.host}:9876`
    const metadata = memoryMetadata()
    const settings = { namesrvAddr, storePathRootDir: '/store', mappedFileSizeCommitLog: 1 << 20, startOffsetOfNewGroup: 'asked' } as const
    const open = () => {
      const node = world.node('broker')
      return world.until(startBroker(node, { ...settings, brokerName: 'broker-a', brokerIP1: node.host, listenPort: 10911 }, { metadata }))
    }
    let broker = await open()
    const sender = await world.until(createClient({ namesrvAddr, runtime: world.node('sender') }))
    await world.until(sender.admin().topics.update({ topic: 'orders', queueNums: 4 }))
    const producer = sender.producer({ group: 'p', timeoutMs: 60_000 })
    const send = async (word: string, count: number) => {
      for (let i = 0; i < count; i++) await world.until(producer.send({ topic: 'orders', body: `${word}-${i}` }))
    }
    await send('old', random.integer(10))

    const client = await world.until(createClient({ namesrvAddr, runtime: world.node('consumer') }))
    const seen = new Set<string>()
    const consumer = client.pushConsumer({
      group: 'g',
      subscriptions: { orders: '*' },
      consumeFrom: 'last',
      ...(kind === 'orderly' ? { orderly: true } : {}),
      ...(kind === 'broadcasting' ? { model: 'broadcasting', offsetFolder: '/offsets' } : {}),
      handler: (message) => void seen.add(message.text),
    })
    // Its first heartbeat has come; what it asks after that takes its time.
    const starting = consumer.start()
    const isMember = async () => {
      try {
        return (await sender.admin().groups.connection('g')).connectionSet.length > 0
      } catch {
        return false
      }
    }
    while (!(await world.until(isMember()))) await world.run(0.1)
    world.stall('consumer', 'broker', 50 + random.integer(3000))
    const count = 1 + random.integer(12)
    await send('new', count)
    await world.until(starting)
    // A broadcasting member that has begun keeps its place itself; of a group the broker remembers it.
    if (kind !== 'broadcasting' && random.integer(2) === 0) {
      world.kill('broker')
      broker = await open()
    }
    await world.run(60_000)
    expect([...seen].sort()).toEqual(Array.from({ length: count }, (_, i) => `new-${i}`).sort())
    await world.until(consumer.close())
    await world.until(client.close({ drainMs: 0 }))
    await world.until(sender.close({ drainMs: 0 }))
    await world.until(broker.close())
    await world.until(namesrv.close())
  })
})
