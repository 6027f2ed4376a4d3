/**
 * Our broker beside NATS JetStream and Redis Streams at equal promise: file storage, 1 KiB, in one run, in turns, by generators that cost
 * alike. `write`: acknowledged once the server has written it to the file (the message survives the process, not the loss of power). `fsync`:
 * acknowledged after fsync. Build first: npm run build. Some 5 minutes.
 *
 *   node --conditions=source --import tsx benchmarks/peers.ts [--rounds 3] [--seconds 3] [--only ours,redis] [--scenario pull] [--write]
 *
 * nats-server: on the PATH or in NATS_SERVER (`go install github.com/nats-io/nats-server/v2@latest`); redis-server: on the PATH or in
 * REDIS_SERVER (`apt-get install redis-server`). What is not there is left out, and said so.
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { scratch } from '../interop/src/toolchains.ts'
import { freePort } from '../scripts/free-ports.ts'
import { spread } from './src/outcome.ts'
import type { Measured } from './src/run-load.ts'
import { runLoadProcess } from './src/run-load.ts'
import { figure, ratio, report, shown } from './src/sections.ts'
import { startServers } from './src/servers.ts'
import { alone } from './src/alone.ts'
import { withWarmPages } from './src/warm-pages.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '3' },
    only: { type: 'string', default: '' },
    scenario: { type: 'string', default: '' },
    write: { type: 'boolean', default: false },
  },
})
/** As the generators have it. */
const BODY_BYTES = 1024
/** Multiples of the 32 of one read, also in each of four queues. What is old has left the 16 MiB that our broker remembers; the newest are in half of them. */
const PULLED = { Old: 96_000, Newest: 6_400 } as const
type Pulled = keyof typeof PULLED
const PEERS = ['ours', 'nats', 'redis'] as const
type Peer = (typeof PEERS)[number]
type Promised = 'write' | 'fsync'

interface Server {
  readonly addr: string
  readonly pid: number
  stop(): Promise<void>
}

interface Scenario {
  readonly title: string
  readonly promised: Promised
  readonly mode: 'send' | 'pull'
  /** What is pulled: a topic here, a stream there. The newest are sent right before. */
  readonly topic?: Pulled
  readonly connections: number
  readonly depth: number
  readonly peers: readonly Peer[]
  /** Our rate as a multiple of theirs, at least. */
  readonly targets: Partial<Record<Peer, number>>
}

const both = { nats: 1.3, redis: 1.3 }
const PULL = { promised: 'write', mode: 'pull', connections: 1, depth: 8, peers: ['ours', 'redis'], targets: { redis: 1.2 } } as const
const SCENARIOS: readonly Scenario[] = [
  { title: 'send, 1 of 64', promised: 'write', mode: 'send', connections: 1, depth: 64, peers: PEERS, targets: both },
  { title: 'send, 2 of 256', promised: 'write', mode: 'send', connections: 2, depth: 256, peers: PEERS, targets: both },
  { ...PULL, title: 'pull of the newest messages, 32 at a time, 1 of 8', topic: 'Newest' },
  { ...PULL, title: 'pull of old messages (ours from the log, Redis’s from memory), 32 at a time, 1 of 8', topic: 'Old' },
  {
    title: 'send, fsync always, 1 of 64',
    promised: 'fsync',
    mode: 'send',
    connections: 1,
    depth: 64,
    peers: PEERS,
    targets: { nats: 8, redis: 1.3 },
  },
  {
    title: 'send, fsync always, 2 of 256',
    promised: 'fsync',
    mode: 'send',
    connections: 2,
    depth: 256,
    peers: PEERS,
    targets: { nats: 8, redis: 1.3 },
  },
]

const executable = (name: string): string => process.env[name.toUpperCase().replace('-', '_')] ?? name
const versions = new Map<Peer, string>()

function version(peer: Peer): string | undefined {
  if (peer === 'ours') return `SkylarkMQ, Node.js ${process.version}`
  try {
    return execFileSync(executable(`${peer}-server`), ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] }).trim()
  } catch {
    return undefined
  }
}

async function listening(port: number): Promise<void> {
  for (const began = performance.now(); performance.now() - began < 30_000; await sleep(50)) {
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = net.connect(port, '127.0.0.1', () => (socket.destroy(), resolve(true))).on('error', () => resolve(false))
    })
    if (isOpen) return
  }
  throw new Error(`nothing listens at port ${port}`)
}

async function launch(peer: 'nats' | 'redis', promised: Promised): Promise<Server> {
  const home = scratch(`bench-${peer}`)
  const port = await freePort()
  const file = join(home, 'server.conf')
  mkdirSync(join(home, 'data'))
  const redis = [
    ['bind', '127.0.0.1'],
    ['port', port],
    ['dir', join(home, 'data')],
    ['save', '""'],
    ['appendonly', 'yes'],
    ['appendfsync', promised === 'fsync' ? 'always' : 'no'],
    ['auto-aof-rewrite-percentage', 0],
  ]
  const nats = `listen: "127.0.0.1:${port}"\njetstream { store_dir: "${join(home, 'data')}"${promised === 'fsync' ? ', sync_interval: always' : ''} }\n`
  writeFileSync(file, peer === 'nats' ? nats : `${redis.map((words) => words.join(' ')).join('\n')}\n`)
  const child = spawn(executable(`${peer}-server`), peer === 'nats' ? ['-c', file] : [file], { stdio: 'ignore' })
  const addr = `127.0.0.1:${port}`
  const stop = async () => {
    const closed = once(child, 'close')
    child.kill('SIGKILL')
    await closed
    rmSync(home, { recursive: true, force: true, maxRetries: 3 })
  }
  await listening(port)
  if (peer === 'nats') {
    const stream = { name: 'BENCH', subjects: ['bench.a'], storage: 'file', retention: 'limits', num_replicas: 1 }
    await say(
      port,
      `CONNECT {"verbose":false}\r\nSUB _INBOX.c 1\r\nPUB $JS.API.STREAM.CREATE.BENCH _INBOX.c ${JSON.stringify(stream).length}\r\n${JSON.stringify(stream)}\r\n`,
      /"created"/,
    )
  }
  return { addr, pid: child.pid as number, stop }
}

/** Redis keeps a stream in memory: what a measurement has sent goes before the next. */
async function empty(peer: Peer, server: Server): Promise<void> {
  const port = Number(server.addr.split(':')[1])
  const purge = 'CONNECT {"verbose":false}\r\nSUB _INBOX.c 1\r\nPUB $JS.API.STREAM.PURGE.BENCH _INBOX.c 0\r\n\r\n'
  if (peer === 'redis') await say(port, '*2\r\n$3\r\nDEL\r\n$5\r\nbench\r\n', /:[01]/)
  if (peer === 'nats') await say(port, purge, /"success":\s*true/)
}

async function say(port: number, text: string, expected: RegExp): Promise<void> {
  const socket = net.connect(port, '127.0.0.1')
  let answer = ''
  socket.on('data', (bytes) => (answer += bytes.toString()))
  await once(socket, 'connect')
  socket.write(text)
  for (const began = performance.now(); !expected.test(answer); await sleep(20)) {
    if (performance.now() - began > 30_000) throw new Error(`the answer to ${text.slice(0, 80)} was ${answer.slice(0, 500)}`)
  }
  socket.destroy()
}

async function start(peer: Peer, promised: Promised): Promise<Server> {
  if (peer !== 'ours') return await launch(peer, promised)
  const servers = await startServers('ours', { flushDiskType: promised === 'fsync' ? 'SYNC_FLUSH' : 'ASYNC_FLUSH' })
  const addr = `${servers.host}:${servers.port}`
  return { addr, pid: servers.brokerPid, stop: servers.stop }
}

/** Ours remembers these instead of what came before. */
const BETWEEN = 16_000

/** What is pulled later; the same at each server that has pulls. */
async function fill(servers: ReadonlyMap<Peer, Server>, topic: Pulled): Promise<void> {
  const load = { mode: 'fill', count: PULLED[topic] }
  for (const [peer, { addr }] of servers) {
    if (peer === 'redis') await runLoadProcess('peer-load.ts', { ...load, addr, peer, stream: topic }, [])
    if (peer !== 'ours') continue
    await runLoadProcess('load.ts', { ...load, addr, topic, depth: 64 }, [])
    if (topic === 'Old') await runLoadProcess('load.ts', { ...load, addr, topic: 'Between', count: BETWEEN, depth: 64 }, [])
  }
}

function measure(peer: Peer, server: Server, scenario: Scenario, seconds: number): Promise<Measured> {
  const { mode, connections, depth, topic } = scenario
  const load = { mode, addr: server.addr, connections, depth, seconds, warmup: 1 }
  const pulls = topic === undefined ? {} : { count: PULLED[topic] }
  if (peer !== 'ours') return runLoadProcess('peer-load.ts', { ...load, ...pulls, peer, ...(topic && { stream: topic }) }, [server.pid])
  return runLoadProcess('load.ts', { ...load, topic: topic ?? 'Bench' }, [server.pid])
}

for (const peer of PEERS) {
  if (values.only !== '' && !values.only.split(',').includes(peer)) continue
  const found = version(peer)
  if (found === undefined) console.log(`${peer}-server is not on this machine (PATH or ${peer.toUpperCase()}_SERVER): left out`)
  else versions.set(peer, found)
}

const rows: string[][] = []
/** Only what was accepted counts as a message. */
const refusals: string[] = []
const firstLine = (text: string): string => text.trim().split('\n')[0]?.slice(0, 120) ?? ''
const samples: Record<string, Partial<Record<Peer, Measured[]>>> = {}
for (const promised of ['write', 'fsync'] as const) {
  const servers = new Map<Peer, Server>()
  const scenarios = SCENARIOS.filter((one) => one.promised === promised && one.title.startsWith(values.scenario))
  if (scenarios.length === 0) continue
  try {
    for (const peer of versions.keys()) servers.set(peer, await start(peer, promised))
    if (scenarios.some(({ topic }) => topic === 'Old')) await fill(servers, 'Old')
    for (const scenario of scenarios) {
      if (scenario.topic === 'Newest') await fill(servers, 'Newest')
      const taken: Partial<Record<Peer, Measured[]>> = {}
      samples[scenario.title] = taken
      const stored = new Map<Peer, number>()
      for (let round = 0; round <= Number(values.rounds); round++) {
        for (const [peer, server] of servers) {
          if (!scenario.peers.includes(peer)) continue
          // The first round warms up, and tells how much is written.
          const seconds = round === 0 ? 1 : Number(values.seconds)
          const writes = { perSecond: stored.get(peer) ?? 0, bodyBytes: BODY_BYTES }
          const others = [...servers.values()].filter((other) => other !== server).map(({ pid }) => pid)
          const sample = await alone(others, () => withWarmPages(writes, seconds, () => measure(peer, server, scenario, seconds)))
          if (scenario.mode === 'send') stored.set(peer, sample.perSecond)
          if (sample.refused > 0)
            refusals.push(
              `${peer} refused ${sample.refused} beside ${sample.messages} in “${scenario.title}”, round ${round}: ${firstLine(sample.firstRefusal ?? '')}`,
            )
          if (scenario.mode === 'send') await empty(peer, server)
          if (round === 0) continue
          ;(taken[peer] ??= []).push(sample)
          process.stderr.write(
            `${scenario.title} ${peer}: ${sample.perSecond}/s, CPU ${((sample.cpuSeconds[0] as number) / sample.messages) * 1e6} s per million\n`,
          )
        }
      }
      rows.push(...rowsOf(scenario, taken))
    }
  } finally {
    for (const server of servers.values()) await server.stop()
  }
}

function rowsOf({ title, targets }: Scenario, taken: Partial<Record<Peer, Measured[]>>): string[][] {
  const rates = (peer: Peer) => (taken[peer] ?? []).map((one) => one.perSecond)
  const cpu = (peer: Peer) => (taken[peer] ?? []).map((one) => ((one.cpuSeconds[0] as number) / one.messages) * 1e6)
  return PEERS.filter((peer) => taken[peer] !== undefined).map((peer) => {
    const target = targets[peer]
    const isMet = spread(rates('ours')).median / spread(rates(peer)).median >= (target ?? 0)
    const verdict = target === undefined || !taken.ours ? '' : `${target}: ${isMet ? 'met' : '**missed**'}`
    const ours = peer === 'ours' || !taken.ours
    return [
      title,
      peer,
      shown(rates(peer)),
      ours ? '' : ratio(rates('ours'), rates(peer)),
      shown(cpu(peer), 2),
      ours ? '' : ratio(cpu(peer), cpu('ours')),
      verdict,
    ]
  })
}

report(
  'peers',
  {
    title: 'Beside NATS JetStream and Redis Streams',
    environment: [
      ...[...versions].map(([peer, found]) => `${peer}: ${found}`),
      ...PEERS.filter((peer) => !versions.has(peer)).map((peer) => `${peer} was not measured: there is no ${peer}-server here`),
      'ours: flushDiskType=ASYNC_FLUSH, with fsync SYNC_FLUSH; all else default',
      'nats: JetStream, one stream, storage file, one replica; with fsync sync_interval=always; publishers wait for the PubAck of each message',
      'redis: appendonly yes, appendfsync no, with fsync always; XADD; XREADGROUP COUNT 32 NOACK; emptied after each measurement',
      ...refusals,
      `${values.rounds} rounds of ${values.seconds} s in turns after one that warms up`,
    ],
    text:
      'File storage at equal promise: acknowledged after the server has written the message to its file, or after fsync. 1 KiB bodies. The ' +
      'generators share the cores with the servers and cost alike: raw sockets, requests made beforehand, one write for as many requests as there ' +
      'were answers. In a turn the other servers stand still (SIGSTOP). Ratios are ours to theirs: of the rate, and of messages per CPU-second of the ' +
      'server. Ours is one thread; NATS has threads for all cores, and with two connections it uses nearly two. Pulls read the same messages again and ' +
      `again. The newest, ${figure(PULLED.Newest)}, are what consumers that keep up pull: both servers have them in memory. The old, ${figure(PULLED.Old)}, have left ` +
      'the memory of our broker: they come from the log and are checked (pull-cold in “Where our broker’s time goes”), those of Redis from its memory.',
    headings: ['scenario', 'server', 'msg/s', 'ours to it', 'CPU s per million', 'ours to it, per CPU-second', 'target'],
    rows,
    samples,
  },
  values.write,
)
