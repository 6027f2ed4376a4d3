import { openMessageStore } from '@skylarkmq/store'
import type { MessageStore } from '@skylarkmq/store'
import type { Cluster } from './cluster.ts'
import { STORE_PATH } from './cluster.ts'
import { readQueue } from './evidence.ts'
import { idIn } from './payload.ts'

const KEYS_LOOKED_UP = 40
const DIFFERENCES_MAX = 20

/** What a store's queues and key index say, line by line. */
type Statement = ReadonlyMap<string, string>

/**
 * Stops a broker and compares what its views say, taken from their files, with what they say when they are made anew from the log. It
 * stays stopped.
 */
export async function compareViews(cluster: Cluster, name: string): Promise<string[]> {
  await cluster.closeBroker(name)
  const kept = await look(cluster, name)
  cluster.world.node(name).disk.remove(`${STORE_PATH}/skylark/views`)
  const anew = await look(cluster, name)
  return differences(name, kept, anew)
}

async function look(cluster: Cluster, name: string): Promise<Statement> {
  const { world } = cluster
  const store = await world.until(openMessageStore(world.node(name), cluster.storeOptions))
  const statement = await describe(cluster, store)
  await world.until(store.close())
  return statement
}

async function describe(cluster: Cluster, store: MessageStore): Promise<Statement> {
  const said = new Map<string, string>([['the log', `from ${store.minPhysicalOffset} to ${store.maxPhysicalOffset}`]])
  const keys: { topic: string; key: string }[] = []
  for (const [topic, queueIds] of store.queues()) {
    for (const queueId of queueIds) {
      const queue = `queue ${queueId} of ${topic}`
      said.set(queue, `offsets ${store.minOffset(topic, queueId)} to ${store.maxOffset(topic, queueId)}`)
      for (const message of await readQueue(cluster, store, topic, queueId)) {
        const key = idIn(message.body)
        if (key !== undefined) keys.push({ topic, key })
        said.set(`offset ${message.queueOffset} of ${queue}`, `${key ?? 'a message'} at ${message.physicalOffset}`)
      }
    }
  }
  const step = Math.max(1, Math.floor(keys.length / KEYS_LOOKED_UP))
  for (let i = 0; i < keys.length; i += step) {
    const { topic, key } = keys[i] as { topic: string; key: string }
    const found = store.queryByKey(topic, key, { max: 64, beginMs: 0, endMs: Number.MAX_SAFE_INTEGER })
    said.set(`key ${key} of ${topic}`, found.length === 0 ? 'unknown' : `at ${[...found].sort((a, b) => a - b).join(', ')}`)
  }
  return said
}

function differences(name: string, kept: Statement, anew: Statement): string[] {
  const all: string[] = []
  for (const what of new Set([...kept.keys(), ...anew.keys()])) {
    const [before, after] = [kept.get(what) ?? 'nothing', anew.get(what) ?? 'nothing']
    if (before !== after) all.push(`${name} says of ${what}: ${before}; made anew from the log: ${after}`)
  }
  return all.length <= DIFFERENCES_MAX
    ? all
    : [...all.slice(0, DIFFERENCES_MAX), `${name} says ${all.length - DIFFERENCES_MAX} more such things`]
}
