/**
 * What storing a message costs the one thread: CPU per message for 64 records of 1 KiB a turn, all views on (consume queues and key
 * index), then for 10,000 queues; what reading 32 of them costs; and how long a store of 10,000 queues takes to open again.
 *
 *   node --conditions=source --import tsx benchmarks/append.ts [messages]
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nodeRuntime } from '@skylarkmq/runtime/node'
import { openMessageStore } from '@skylarkmq/store'
import type { MessageStore, MessageToStore, StoreOptions } from '@skylarkmq/store'

const [messages = 200_000] = process.argv.slice(2).map(Number)
const PER_TURN = 64
const RUNS = 5
const runtime = nodeRuntime()
const folder = mkdtempSync(join(tmpdir(), 'skylark-append-'))
const body = Buffer.alloc(1024, 'x')
const host = new Uint8Array([127, 0, 0, 1, 0, 0, 0x2a, 0x9f])

const options = (name: string): StoreOptions => ({
  rootDirectory: join(folder, name),
  segmentBytes: 1024 * 1024 * 1024,
  flush: 'async',
  maxMessageBytes: 4 * 1024 * 1024,
  delayLevelsMs: [1_000],
  fileReservedHours: 72,
  deleteWhenHours: [4],
})

let sequence = 0
function message(topic: string, queueId: number): MessageToStore {
  const id = (sequence++).toString(16).padStart(32, '0')
  return {
    topic,
    queueId,
    flag: 0,
    sysFlag: 0,
    bornTimestamp: 1_700_000_000_000,
    bornHost: host,
    storeHost: host,
    reconsumeTimes: 0,
    preparedTransactionOffset: 0,
    body,
    properties: Buffer.from(
      `UNIQ_KEY\u0001${id}\u0002KEYS\u0001order-${sequence}\u0002TAGS\u0001TagA\u0002CLUSTER\u0001DefaultCluster\u0002`,
    ),
  }
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** CPU microseconds per message of appending, by turns; making the messages is not counted. */
async function fill(store: MessageStore, count: number, queues: number): Promise<number> {
  let cpuUs = 0
  let done = 0
  const onStored = (): void => {
    done++
  }
  for (let sent = 0; sent < count; sent += PER_TURN) {
    const batch: MessageToStore[] = []
    for (let i = 0; i < PER_TURN; i++)
      batch.push(message(`topic-${(sent + i) % Math.min(queues, 1000)}`, Math.floor((sent + i) / 1000) % Math.ceil(queues / 1000)))
    const before = process.cpuUsage()
    for (const each of batch) store.append(each, false, onStored)
    store.commitTurn()
    const used = process.cpuUsage(before)
    cpuUs += used.user + used.system
    await turn()
  }
  if (done < count) throw new Error(`${done} of ${count} were stored`)
  return cpuUs / count
}

function median(values: number[]): string {
  const sorted = values.toSorted((a, b) => a - b)
  return `${(sorted[Math.floor(sorted.length / 2)] ?? 0).toFixed(2)} (${(sorted[0] ?? 0).toFixed(2)}-${(sorted.at(-1) ?? 0).toFixed(2)})`
}

async function run(name: string, queues: number): Promise<void> {
  const store = await openMessageStore(runtime, options(name))
  await fill(store, 20_000, queues)
  const costs: number[] = []
  for (let i = 0; i < RUNS; i++) costs.push(await fill(store, messages / RUNS, queues))
  console.log(`${name}: ${median(costs)} us CPU per message, RSS ${(process.memoryUsage().rss / 1048576).toFixed(0)} MiB`)

  const reads: number[] = []
  for (let i = 0; i < RUNS; i++) {
    const max = store.maxOffset('topic-0', 0)
    const count = 5_000
    const before = process.cpuUsage()
    for (let k = 0; k < count; k++) {
      const offset = Math.max(0, max - 32 - (k % 4))
      await store.read({ topic: 'topic-0', queueId: 0, offset, maxMessages: 32, maxBytes: 262_144 })
    }
    const used = process.cpuUsage(before)
    reads.push((used.user + used.system) / count)
  }
  const sample = await store.read({
    topic: 'topic-0',
    queueId: 0,
    offset: Math.max(0, store.maxOffset('topic-0', 0) - 32),
    maxMessages: 32,
    maxBytes: 262_144,
  })
  console.log(`${name}: ${median(reads)} us CPU per read of the newest ${sample.messageCount}`)

  let started = performance.now()
  await store.close()
  const closed = performance.now() - started
  started = performance.now()
  const again = await openMessageStore(runtime, options(name))
  console.log(
    `${name}: close ${closed.toFixed(0)} ms, open again ${(performance.now() - started).toFixed(0)} ms (${again.recovery.recordsChecked} records read)`,
  )
  await again.close()
}

try {
  await run('4 queues', 4)
  await run('10000 queues', 10_000)
} finally {
  rmSync(folder, { recursive: true })
}
