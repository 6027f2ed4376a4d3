/** A topic that holds state over a whole cluster: our admin makes it, our producer updates it, consumers rebuild the state from it. */
import { startBroker } from '@skylarkmq/broker'
import type { Broker } from '@skylarkmq/broker'
import { createClient } from '@skylarkmq/client'
import type { Client } from '@skylarkmq/client'
import { startNamesrv } from '@skylarkmq/namesrv'
import { simRuntime } from '@skylarkmq/runtime/sim'
import { memoryMetadata } from '@skylarkmq/store'
import { expect, test } from 'vitest'

const INTERVAL_MS = 5_000
const RETENTION_MS = 60_000

async function startScene(seed: number) {
  const { world } = simRuntime(seed)
  const ns = world.node('ns')
  const namesrv = await world.until(startNamesrv(ns, { listenPort: 9876, bindAddress: ns.host, kvConfigPath: '/kv.json' }))
  const namesrvAddr = `${ns.host}:9876`
  const metadata = memoryMetadata()
  const open = (): Promise<Broker> => {
    const node = world.node('broker')
    const settings = {
      brokerName: 'a',
      brokerIP1: node.host,
      listenPort: 10911,
      namesrvAddr,
      storePathRootDir: '/a',
      mappedFileSizeCommitLog: 1 << 20,
      compactionScheduleInternal: INTERVAL_MS,
      compactionTombstoneRetention: RETENTION_MS,
    }
    return world.until(startBroker(node, settings, { metadata }))
  }
  const scene = {
    world,
    broker: await open(),
    clients: [] as Client[],
    async client(name: string): Promise<Client> {
      const client = await world.until(createClient({ namesrvAddr, runtime: world.node(name), instanceName: name }))
      scene.clients.push(client)
      return client
    },
    /** The state as one who starts now sees it, until a marker comes. */
    async stateSeenBy(name: string): Promise<{ state: Map<string, string>; count: number }> {
      const state = new Map<string, string>()
      let count = 0
      const client = await scene.client(name)
      const consumer = client.pushConsumer({
        group: `state-of-${name}`,
        subscriptions: { settings: '*' },
        consumeFrom: 'first',
        orderly: true,
        handler: async (message) => {
          count++
          const key = message.keys[0] ?? ''
          if (message.properties.get('TOMBSTONE') === 'true') state.delete(key)
          else state.set(key, message.text)
        },
      })
      await world.until(consumer.start())
      await world.when(() => state.get('marker') === 'end')
      await world.until(consumer.close())
      return { state, count }
    },
    async revive() {
      world.kill('broker')
      scene.broker = await open()
    },
    async close() {
      for (const client of scene.clients) await world.until(client.close({ drainMs: 0 }))
      await world.until(scene.broker.close())
      await world.until(namesrv.close())
    },
  }
  return scene
}

test('services that start later rebuild the settings from one message for each, also after the broker was killed', async () => {
  const scene = await startScene(5)
  const { world } = scene
  const owner = await scene.client('owner')
  const settings = { topic: 'settings', queueNums: 1, attributes: { 'cleanup.policy': 'COMPACTION' } }
  await world.until(owner.admin().topics.update(settings))
  // What a deployment says each time.
  await world.until(owner.admin().topics.update(settings))
  const producer = owner.producer({ group: 'p' })
  const set = (key: string, body: string) => world.until(producer.send({ topic: 'settings', keys: key, body }))
  for (let i = 0; i < 100; i++) await set(`setting-${i % 10}`, `value ${i}`)
  await world.until(producer.send({ topic: 'settings', keys: 'setting-3', body: '-', properties: { TOMBSTONE: 'true' } }))
  await set('marker', 'end')
  await world.run(2 * INTERVAL_MS)

  const expected = new Map<string, string>(Array.from({ length: 10 }, (_, i) => [`setting-${i}`, `value ${90 + i}`] as const))
  expected.delete('setting-3')
  expected.set('marker', 'end')
  // 9 settings, the deletion of one, the marker: of 102 messages.
  expect(await scene.stateSeenBy('early')).toEqual({ state: expected, count: 11 })
  await scene.revive()
  await world.run(RETENTION_MS + 2 * INTERVAL_MS)
  expect(await scene.stateSeenBy('late')).toEqual({ state: expected, count: 10 })

  await expect(world.until(producer.send({ topic: 'settings', body: 'without a key' }))).rejects.toThrow('Required message key is missing')
  await scene.close()
})
