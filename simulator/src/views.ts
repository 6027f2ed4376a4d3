import { openMessageStore } from '@skylarkmq/store'
import type { MessageStore } from '@skylarkmq/store'
import type { Cluster } from './cluster.ts'
import { STORE_PATH } from './paths.ts'
import { bitFlips } from './excuses.ts'
import { readQueue } from './evidence.ts'
import { hashOf, idIn } from './payload.ts'

/** One in so many. */
const KEYS_LOOKED_UP = 5
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
  // Of a rotten log the views know more than itself: what its records were, and at which places of their queues. They have to say it twice.
  if (bitFlips(cluster.history, name) === 0) cluster.world.node(name).disk.remove(`${STORE_PATH}/skylark/views`)
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
  for (const { topic, key } of keys) {
    // The same ones whatever else is there.
    if (hashOf(key) % KEYS_LOOKED_UP !== 0) continue
    const found = store.queryByKey(topic, key, { max: 64, beginMs: 0, endMs: Number.MAX_SAFE_INTEGER })
    const readable = found.filter((position) => store.readRecordAt(position) !== undefined).sort((a, b) => a - b)
    said.set(`key ${key} of ${topic}`, readable.length === 0 ? 'unknown' : `at ${readable.join(', ')}`)
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
