/**
 * Our client beside Apache's Java client, on our broker, in turns: sends of 1 KiB (64 and 512 outstanding), and push consumption of what lies
 * there. Build first: npm run build. Needs a JDK and Maven. Some 5 minutes.
 *
 *   node --conditions=source --import tsx benchmarks/client.ts [--rounds 3] [--seconds 5] [--warm-up 10] [--messages 400000] [--write]
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { compileJava, JAVA_FLAGS, jars, scratch } from '../interop/src/toolchains.ts'
import { runLoadProcess } from './src/run-load.ts'
import { ratio, report, shown } from './src/sections.ts'
import { APACHE_VERSION, startServers } from './src/servers.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '5' },
    /** Of the Java client: its compiler takes that long. */
    'warm-up': { type: 'string', default: '10' },
    messages: { type: 'string', default: '400000' },
    write: { type: 'boolean', default: false },
  },
})
const GAP_MS = 1500
const OUR_WARM_UP_SECONDS = '3'
const SIZE = '1024'
const OURS = join(import.meta.dirname, 'src/client-load.ts')

interface Sample {
  readonly messages: number
  readonly failed: number
  readonly perSecond: number
  /** Of the client. */
  readonly cpuSecondsPerMillion: number
}
type Side = 'ours' | 'java'

const found = jars(APACHE_VERSION, 'servers')
if ('missing' in found) {
  console.log(`the Java client is not here: ${found.missing}`)
  process.exit(0)
}
const { folder } = found
const [classes, home] = [scratch('bench-classes'), scratch('bench-java')]
compileJava(folder, join(import.meta.dirname, 'java/ClientLoad.java'), classes)
const servers = await startServers('ours')

async function run(side: Side, args: readonly string[]): Promise<Sample> {
  const java = ['-Xms1g', '-Xmx1g', `-Duser.home=${home}`, '-Drocketmq.client.logUseSlf4j=true']
  const child =
    side === 'ours'
      ? // The built client, as it is installed: tsx gives each closure of a source its name when it is made, and that would be measured.
        spawn(process.execPath, ['--import', 'tsx', OURS, servers.namesrv, ...args], {
          stdio: ['ignore', 'pipe', 'inherit'],
        })
      : spawn('java', [...JAVA_FLAGS, ...java, '-cp', `${classes}:${folder}/*`, 'ClientLoad', servers.namesrv, ...args], {
          stdio: ['ignore', 'pipe', 'ignore'],
        })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  await once(child, 'close')
  const line = output.split('\n').find((text) => text.startsWith('{"messages"'))
  if (line === undefined) throw new Error(`the ${side} client said no result: ${output.slice(-500)}`)
  if (line.includes('"messages":0,')) throw new Error(`the ${side} client did nothing in ${values.seconds} s; give it more --warm-up`)
  return JSON.parse(line) as Sample
}

const send = (outstanding: number) => (side: Side) =>
  run(side, ['Sent', 'send', String(outstanding), SIZE, side === 'ours' ? OUR_WARM_UP_SECONDS : values['warm-up'], values.seconds])
const SCENARIOS = [
  { title: 'send, 64 outstanding', measure: send(64) },
  { title: 'send, 512 outstanding', measure: send(512) },
  { title: 'push consumption', measure: (side: Side) => run(side, ['Stored', 'consume', values.messages]) },
]

const samples: Record<string, Record<Side, Sample[]>> = {}
try {
  const addr = `${servers.host}:${servers.port}`
  await runLoadProcess('load.ts', { mode: 'fill', addr, topic: 'Stored', count: values.messages, depth: 64 }, [])
  for (const { title, measure } of SCENARIOS) {
    const taken: Record<Side, Sample[]> = { ours: [], java: [] }
    samples[title] = taken
    for (let round = 0; round < Number(values.rounds); round++) {
      for (const side of ['ours', 'java'] as const) {
        await sleep(GAP_MS)
        const sample = await measure(side)
        taken[side].push(sample)
        process.stderr.write(`${title} ${side}: ${JSON.stringify(sample)}\n`)
      }
    }
  }
} finally {
  await servers.stop()
  for (const folder of [classes, home]) rmSync(folder, { recursive: true, force: true })
}
const of = (taken: readonly Sample[], field: keyof Sample) => taken.map((sample) => sample[field])
report(
  'client',
  {
    title: 'Our client beside the Java client',
    environment: [
      `Java client ${APACHE_VERSION}, -Xmx1g, asynchronous sends, warmed up for ${values['warm-up']} s; push consumer of 20 threads, one message a call`,
      `ours: Node.js ${process.version}, one thread; \`send\` awaited by as many loops as are outstanding; push consumer, concurrency 20`,
      `consumption: ${values.messages} stored messages, the second time they are read by the same process`,
    ],
    text:
      'Both against the same SkylarkMQ broker, in turns; broker and client share the cores. 1 KiB bodies. CPU is that of the client: user and ' +
      'system time of all its threads. Java has threads for further cores; ours has one.',
    headings: [
      'scenario',
      'ours msg/s',
      'Java msg/s',
      'rate',
      'ours CPU s per million',
      'Java CPU s per million',
      'per CPU-second',
      'failed, ours / Java',
    ],
    rows: Object.entries(samples).map(([title, { ours, java }]) => [
      title,
      shown(of(ours, 'perSecond')),
      shown(of(java, 'perSecond')),
      ratio(of(ours, 'perSecond'), of(java, 'perSecond')),
      shown(of(ours, 'cpuSecondsPerMillion'), 1),
      shown(of(java, 'cpuSecondsPerMillion'), 1),
      ratio(of(java, 'cpuSecondsPerMillion'), of(ours, 'cpuSecondsPerMillion')),
      `${of(ours, 'failed').reduce((a, b) => a + b, 0)} / ${of(java, 'failed').reduce((a, b) => a + b, 0)}`,
    ]),
    samples,
  },
  values.write,
)
