import { hashOf, keysOf } from '../payload.ts'
import type { ExtraParts } from './index.ts'

const PAUSE_MS = 250
export const PRICES = 'prices'

/** Deletes its key. */
export const isTombstone = (id: string): boolean => hashOf(`deletion ${id}`) % 6 === 0

/** State of a few things, in a topic that keeps the last message of each. */
export async function startCompaction({ workload, cluster, random }: ExtraParts): Promise<void> {
  const name = 'pricer'
  const client = await workload.clientOf(name)
  await cluster.world.until(client.admin().topics.update({ topic: PRICES, queueNums: 2, attributes: { 'cleanup.policy': 'COMPACTION' } }))
  const producer = client.producer({ group: 'pricers', retries: 0 })
  const { clock } = cluster.world.node(name)
  const run = async (): Promise<void> => {
    for (let count = 0; ; count++) {
      await clock.sleep(random.integer(2 * PAUSE_MS))
      if (workload.isOver) return
      const id = `price-${count}`
      const properties = isTombstone(id) ? { TOMBSTONE: 'true' } : {}
      const keys = cluster.plan.plants?.oneArticle === true ? { keys: 'article' } : {}
      await workload.send(producer, { id, topic: PRICES, orderKey: keysOf(id), properties, ...keys })
    }
  }
  void run()
}
