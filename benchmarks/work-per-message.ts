/**
 * What a message costs the broker's one thread, without sockets, other processes, or their noise: a whole broker on a real disk, whose
 * network is this process. Each turn brings the requests of a full socket. User and system CPU per message: the
 * least of the rounds, since whatever else the machine does only adds.
 *
 *   node --conditions=source --import tsx benchmarks/work-per-message.ts [send,batch,pull] [rounds]
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startBroker } from '@skylarkmq/broker'
import type { Connection, ConnectionHandler, Runtime } from '@skylarkmq/runtime'
import { nodeRuntime } from '@skylarkmq/runtime/node'
import { GROUP, heartbeatFrame, SUB_VERSION } from './src/pullers.ts'
import { batchTemplate, pullFrame, putNumbers, sendTemplate } from './src/requests.ts'
import type { Template } from './src/requests.ts'

const [which = 'send-1024,send-100,send-4096,batch-32,pull-32', rounds = '5'] = process.argv.slice(2)
const MESSAGES_PER_ROUND = 200_000
const QUEUES = 4

/** The broker's side of a connection whose peer is this script. */
class Feed implements Connection {
  readonly remoteHost = '127.0.0.1'
  readonly remotePort = 40_000
  readonly localHost = '127.0.0.1'
  readonly localPort = 10_911
  readonly unsentBytes = 0
  readonly isClosed = false
  readonly isEncrypted = false
  /** Bytes of answers. */
  received = 0
  handler: ConnectionHandler | undefined
  onAnswer: (() => void) | undefined
  first: Uint8Array | undefined

  start(handler: ConnectionHandler): void {
    this.handler = handler
  }
  write(bytes: Uint8Array, onWritten?: () => void): void {
    this.received += bytes.length
    this.first ??= Buffer.from(bytes)
    onWritten?.()
    this.onAnswer?.()
  }
  cork(): void {}
  uncork(): void {}
  pause(): void {}
  resume(): void {}
  end(): void {
    this.handler?.onClose(undefined)
  }
  destroy(): void {
    this.end()
  }
}

const RECEIVE_BYTES = 256 * 1024
let receive: Buffer = Buffer.alloc(0)
const folder = mkdtempSync(join(tmpdir(), 'skylark-work-'))
const feed = new Feed()
const node = nodeRuntime()
const runtime: Runtime = {
  ...node,
  network: {
    listen: (options) => {
      receive = Buffer.from(
        options.receive?.buffer ?? new ArrayBuffer(RECEIVE_BYTES),
        options.receive?.byteOffset,
        options.receive?.byteLength,
      )
      options.onConnection(feed)
      return Promise.resolve({ host: '127.0.0.1', port: 10_911, close: () => Promise.resolve() })
    },
    connect: (options) => node.network.connect(options),
  },
}
const broker = await startBroker(runtime, {
  brokerIP1: '127.0.0.1',
  storePathRootDir: join(folder, 'store'),
  defaultTopicQueueNums: QUEUES,
  autoCreateTopicEnable: true,
})
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const answered = (): Promise<void> =>
  new Promise((resolve) => {
    feed.onAnswer = () => {
      feed.onAnswer = undefined
      resolve()
    }
  })

let opaque = 0
function stored(): number {
  let sum = 0
  for (let queueId = 0; queueId < QUEUES; queueId++) sum += broker.store.maxOffset('Work', queueId)
  return sum
}

interface Cost {
  readonly user: number
  readonly system: number
}

/** As many turns as it takes; each turn's requests are one of the chunks, in turns. */
async function measure(chunks: readonly Uint8Array[], turns: number, messages: number): Promise<Cost> {
  const before = process.cpuUsage()
  for (let i = 0; i < turns; i++) {
    const answer = answered()
    // As a socket's bytes come: into the memory that the broker gave for it.
    const chunk = chunks[i % chunks.length] as Uint8Array
    for (let at = 0; at < chunk.length; at += receive.length) {
      const piece = chunk.subarray(at, at + receive.length)
      receive.set(piece)
      feed.handler?.onBytes(receive.subarray(0, piece.length))
    }
    await answer
    await turn()
  }
  const { user, system } = process.cpuUsage(before)
  return { user: user / messages, system: system / messages }
}

async function sends(template: Template, perRequest: number, perTurn: number): Promise<Cost> {
  const storedBefore = stored()
  const chunks = Array.from({ length: 16 }, () => {
    const chunk = Buffer.alloc(template.frame.length * perTurn)
    for (let k = 0; k < perTurn; k++, opaque++) {
      const at = template.frame.copy(chunk, k * template.frame.length) * k
      putNumbers(chunk, at, template, opaque, opaque % QUEUES)
    }
    return chunk
  })
  const turns = Math.ceil(MESSAGES_PER_ROUND / perRequest / perTurn)
  const messages = turns * perTurn * perRequest
  const cost = await measure(chunks, turns, messages)
  if (stored() - storedBefore !== messages) throw new Error(`${messages} messages were sent, ${stored() - storedBefore} are stored`)
  return cost
}

/** 32 messages at a time of the newest, as by a consumer that keeps up. */
async function pulls(perTurn: number): Promise<Cost> {
  if (stored() === 0) await sends(sendTemplate('Work', '7', 1024), 1, 64)
  const one = pullFrame({ topic: 'Work', maxMessages: 32, follows: false }, GROUP, SUB_VERSION)
  feed.handler?.onBytes(heartbeatFrame('Work'))
  await turn()
  await turn()
  const end = broker.store.maxOffset('Work', 0)
  const chunks = Array.from({ length: 16 }, (_, i) => {
    const chunk = Buffer.alloc(16 * 1024)
    let length = 0
    for (let k = 0; k < perTurn; k++) length = one(chunk, length, k, k % QUEUES, end - 32 * (i + 1))
    return chunk.subarray(0, length)
  })
  const turns = Math.ceil((3 * MESSAGES_PER_ROUND) / 32 / perTurn)
  const receivedBefore = feed.received
  const cost = await measure(chunks, turns, turns * perTurn * 32)
  if (feed.received - receivedBefore < turns * perTurn * 32 * 100) throw new Error('the pulls brought no messages')
  return cost
}

for (const name of which.split(',')) {
  const [kind, size = '1024'] = name.split('-')
  const run = (): Promise<Cost> => {
    if (kind === 'send') return sends(sendTemplate('Work', '7', Number(size)), 1, 64)
    if (kind === 'batch') return sends(batchTemplate('Work', '7', 1024, Number(size)), Number(size), 8)
    return pulls(8)
  }
  await run()
  const costs: Cost[] = []
  for (let i = 0; i < Number(rounds); i++) costs.push(await run())
  // The sum is exact; how it is split is guessed from samples.
  const { user, system } = costs.reduce((a, b) => (a.user + a.system <= b.user + b.system ? a : b))
  console.log(`${name.padEnd(10)} user ${user.toFixed(2)} + system ${system.toFixed(2)} = ${(user + system).toFixed(2)} us per message`)
}
try {
  await broker.close()
} finally {
  rmSync(folder, { recursive: true, force: true })
}
