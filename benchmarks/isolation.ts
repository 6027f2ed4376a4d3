/**
 * What goes on beside the main path costs it: a consumer that is too slow, a backlog, metrics that are scraped, compaction. Each is measured
 * in turns with the same load without it (A B A B). The main path: a closed loop of 64 sends of 1 KiB for the rate and the CPU per message, and
 * 2,000 messages a second end to end for the latency. Build first: npm run build. Some 6 minutes, and the filling of the backlog (a minute
 * per 10 million messages of 100 bytes; 4 GB of disk).
 *
 *   node --conditions=source --import tsx benchmarks/isolation.ts [--rounds 3] [--seconds 2] [--backlog 10000000] [--only compaction] [--write]
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { freePort } from '../scripts/free-ports.ts'
import type { Companion } from './src/companions.ts'
import { compactedKeys, scraper, slowConsumer } from './src/companions.ts'
import { spread } from './src/outcome.ts'
import { runLoadProcess } from './src/run-load.ts'
import { figure, report, shown } from './src/sections.ts'
import type { Servers } from './src/servers.ts'
import { startServers } from './src/servers.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '2' },
    backlog: { type: 'string', default: '10000000' },
    only: { type: 'string', default: '' },
    write: { type: 'boolean', default: false },
  },
})
const GAP_MS = 1000
/** For consumers to find their queues, and for a first compaction to begin. */
const SETTLE_MS = 3000
const END_TO_END_RATE = 2000
const COMPACTION_EVERY_MS = 2000

interface Sample {
  readonly perSecond: number
  readonly cpuSecondsPerMillion: number
  readonly p50Ms: number
  readonly p99Ms: number
}

interface Guest {
  readonly name: string
  readonly title: string
  readonly config: Readonly<Record<string, string>>
  /** Before the rounds, at the broker that has the guest. */
  readonly prepare?: (servers: Servers) => Promise<void>
  readonly begin?: (servers: Servers) => Promise<Companion>
}

const metricsPort = String(await freePort())
const GUESTS: readonly Guest[] = [
  {
    name: 'nothing',
    title: 'nothing (how far two equal brokers differ here)',
    config: {},
  },
  {
    name: 'slow-consumer',
    title: '100/s to a consumer that takes 5/s',
    config: {},
    begin: ({ namesrv }) => slowConsumer(namesrv, 100),
  },
  {
    name: 'backlog',
    title: `a backlog of ${figure(Number(values.backlog))} messages`,
    config: {},
    prepare: async ({ host, port }) => {
      const load = { mode: 'fill', addr: `${host}:${port}`, topic: 'Backlog', connections: 2, depth: 256, size: 100, count: values.backlog }
      await runLoadProcess('load.ts', load, [])
    },
  },
  {
    name: 'metrics',
    title: 'metrics, scraped every second',
    config: { metricsExporterType: 'PROM', metricsPromExporterPort: metricsPort, adminApi: 'OFF' },
    begin: async () => scraper(Number(metricsPort), 1000),
  },
  {
    name: 'compaction',
    title: `500/s to a compacted topic of 10,000 keys, compacted every ${COMPACTION_EVERY_MS / 1000} s`,
    config: { compactionScheduleInternal: String(COMPACTION_EVERY_MS) },
    begin: ({ namesrv }) => compactedKeys(namesrv, 500),
  },
]

async function measure({ host, port, brokerPid }: Servers, seconds = Number(values.seconds)): Promise<Sample> {
  const load = { addr: `${host}:${port}`, topic: 'Main', warmup: 1, seconds }
  const sends = await runLoadProcess('load.ts', { ...load, depth: 64 }, [brokerPid])
  const latency = await runLoadProcess('load.ts', { ...load, mode: 'end-to-end', topic: 'Latency', rate: END_TO_END_RATE }, [])
  if (sends.refused + latency.refused > 0) throw new Error(`refused: ${sends.firstRefusal ?? latency.firstRefusal}`)
  const cpuSecondsPerMillion = ((sends.cpuSeconds[0] as number) / sends.messages) * 1e6
  return { perSecond: sends.perSecond, cpuSecondsPerMillion, p50Ms: latency.p50Ms, p99Ms: latency.p99Ms }
}

/** Two brokers, one of them with the guest; in turns. */
async function compare({
  name,
  config,
  prepare,
  begin,
}: Guest): Promise<{ readonly alone: Sample[]; readonly beside: Sample[]; readonly facts: object }> {
  const alone: Sample[] = []
  const beside: Sample[] = []
  let facts = {}
  const running: Servers[] = []
  try {
    for (const settings of [{}, config]) running.push(await startServers('ours', settings))
    const [quiet, busy] = running as [Servers, Servers]
    await prepare?.(busy)
    for (const one of running) await measure(one, 1)
    for (let round = 0; round < Number(values.rounds); round++) {
      await sleep(GAP_MS)
      alone.push(await measure(quiet))
      const companion = await begin?.(busy)
      await sleep(begin === undefined ? GAP_MS : SETTLE_MS)
      beside.push(await measure(busy))
      facts = companion?.facts() ?? facts
      await companion?.stop()
      process.stderr.write(
        `${name}: alone ${JSON.stringify(alone.at(-1))}, beside ${JSON.stringify(beside.at(-1))} ${JSON.stringify(facts)}\n`,
      )
    }
  } finally {
    for (const one of running) await one.stop()
  }
  return { alone, beside, facts }
}

const chosen = GUESTS.filter(({ name }) => values.only === '' || values.only.split(',').includes(name))
if (chosen.length === 0) throw new Error(`--only ${values.only}: there are ${GUESTS.map(({ name }) => name).join(', ')}`)
const results = []
for (const guest of chosen) results.push({ guest, ...(await compare(guest)) })

const of = (samples: readonly Sample[], field: keyof Sample) => samples.map((sample) => sample[field])
const change = (field: keyof Sample, { alone, beside }: { alone: Sample[]; beside: Sample[] }) =>
  `x${figure(spread(of(beside, field)).median / spread(of(alone, field)).median, 2)}`
report(
  'isolation',
  {
    title: 'What goes on beside the main path',
    environment: [
      `two brokers with default settings, one of them with the guest; ${values.rounds} rounds of ${values.seconds} s in turns`,
      'the backlog lies there unread; the others are at work while it is measured, by clients in one more process that shares the cores',
    ],
    text:
      `Rate and CPU: 64 sends of 1 KiB outstanding in a closed loop. Latency: ${END_TO_END_RATE} messages a second, from the send to the arrival. The CPU of ` +
      'the broker holds what it does for the guest. Each factor is the median beside the guest to the median without; the first row says what ' +
      'factors chance makes on this machine.',
    headings: [
      'beside',
      'msg/s alone',
      'msg/s beside',
      'factor',
      'broker CPU s per million',
      'factor',
      'p50 ms',
      'factor',
      'p99 ms',
      'factor',
    ],
    rows: results.map((result) => [
      result.guest.title,
      shown(of(result.alone, 'perSecond')),
      shown(of(result.beside, 'perSecond')),
      change('perSecond', result),
      shown(of(result.beside, 'cpuSecondsPerMillion'), 1),
      change('cpuSecondsPerMillion', result),
      shown(of(result.beside, 'p50Ms'), 2),
      change('p50Ms', result),
      shown(of(result.beside, 'p99Ms'), 2),
      change('p99Ms', result),
    ]),
    samples: results.map(({ guest, alone, beside, facts }) => ({ guest: guest.name, alone, beside, facts })),
  },
  values.write,
)
