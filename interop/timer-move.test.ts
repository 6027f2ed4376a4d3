/** Messages that wait for their time move with the store folder from Apache's broker to ours. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { createClient } from '@skylarkmq/client'
import { expect, test, vi } from 'vitest'
import { apacheCluster, ourCluster } from './src/clusters.ts'
import type { Cluster } from './src/clusters.ts'
import { jars, scratch } from './src/toolchains.ts'

const found = jars('5.5.0', 'servers')
const PATIENCE = { timeout: 90_000, interval: 50 }

test.skipIf('missing' in found)(
  'what Apache delivered does not come again, what was taken back does not come, what waited comes once, at its time',
  async () => {
    const folder = scratch('timer-move')
    const store = { storePathRootDir: folder, storePathCommitLog: join(folder, 'commitlog') }
    const seen: { readonly text: string; readonly at: number }[] = []
    const texts = () => seen.map(({ text }) => text).sort()
    // A group of its own on each: what Apache's has saved of offsets moves with the folder, or not.
    const consume = async (cluster: Cluster, group: string) => {
      const client = await createClient({ namesrvAddr: cluster.namesrv })
      const handler = (message: { readonly text: string }) => void seen.push({ text: message.text, at: Date.now() })
      const consumer = client.pushConsumer({ group, subscriptions: { moving: '*' }, consumeFrom: 'first', handler })
      await consumer.start()
      return client
    }
    let laterAt = 0
    const apache = await apacheCluster('5.5.0', { ...store, recallMessageEnable: 'true' })
    try {
      await using client = await consume(apache, 'there')
      const producer = client.producer({ group: 'p', timeoutMs: 10_000 })
      await producer.send({ topic: 'moving', body: 'soon', delayMs: 2_500 })
      laterAt = Date.now() + 25_000
      await producer.send({ topic: 'moving', body: 'later', deliverAt: laterAt })
      await producer.recall(await producer.send({ topic: 'moving', body: 'gone', deliverAt: laterAt }))
      await vi.waitFor(() => expect(texts()).toEqual(['soon']), PATIENCE)
    } finally {
      await apache.stop()
    }
    const ours = await ourCluster(store)
    try {
      await using client = await consume(ours, 'here')
      const producer = client.producer({ group: 'p', timeoutMs: 10_000 })
      await vi.waitFor(() => expect(texts()).toContain('later'), PATIENCE)
      await producer.send({ topic: 'moving', body: 'last', delayMs: 1_500 })
      await vi.waitFor(() => expect(texts()).toContain('last'), PATIENCE)
      // What Apache's broker delivered is new to this group, and in the topic once.
      expect(texts()).toEqual(['last', 'later', 'soon', 'soon'])
      expect(seen.find(({ text }) => text === 'later')?.at).toBeGreaterThanOrEqual(laterAt)
    } finally {
      await ours.stop()
      rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
    }
  },
  300_000,
)
