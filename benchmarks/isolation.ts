/**
 * What goes on beside the main path costs it: a consumer that is too slow, a backlog, a full disk, retention, metrics that are scraped, compaction. Each
 * is measured in turns with the same load without it (A B A B). The main path: a closed loop of 64 sends of 1 KiB for the rate and the CPU per
 * message, and 2,000 messages a second end to end for the latency; beside a full disk, which takes no sends, a closed loop of pulls. Build
 * first: npm run build. A minute each (an odd number of rounds has a median); the backlog takes 4 GB of disk.
 *
 *   node --conditions=source --import tsx benchmarks/isolation.ts [--rounds 3] [--seconds 2] [--backlog 10000000] [--only compaction] [--write]
 */
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { freePort } from '../scripts/free-ports.ts'
import { scratch } from '../interop/src/toolchains.ts'
import type { Companion } from './src/companions.ts'
import { compactedKeys, scraper, slowConsumer } from './src/companions.ts'
import { spread } from './src/outcome.ts'
import { runLoadProcess } from './src/run-load.ts'
import { figure, report, shown } from './src/sections.ts'
import type { Servers } from './src/servers.ts'
import type { SmallDisk } from './src/small-disk.ts'
import { mountSmallDisk } from './src/small-disk.ts'
import { startServers } from './src/servers.ts'
import { withWarmPages } from './src/warm-pages.ts'

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
const MEBI = 2 ** 20
const SMALL_DISK_MEBIBYTES = 256
/** Less than the twentieth below which a broker takes no more; it looks every ten seconds. */
const LEFT_BYTES = 8 * MEBI
const NOTICE_MS = 12_000
const PULLED_MESSAGES = 7000
const TRIED_RATE = 1000

type Facts = Readonly<Record<string, number>>

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
  /** Of both brokers. */
  readonly common?: Readonly<Record<string, string>>
  /** Before the rounds, at the broker that has the guest. */
  readonly prepare?: (servers: Servers) => Promise<void>
  readonly begin?: (servers: Servers) => Promise<Companion>
  /** What `begin` begins is there without the guest, too. */
  readonly isBesideBoth?: boolean
  /** Both brokers keep their stores on small disks; that of the guest is full. */
  readonly hasFullDisk?: boolean
}

const metricsPort = String(await freePort())
const retained = scratch('bench-retained')
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
      const load = {
        mode: 'fill',
        addr: `${host}:${port}`,
        topic: 'Backlog',
        connections: 2,
        depth: 16,
        batch: 32,
        size: 100,
        count: values.backlog,
      }
      await runLoadProcess('load.ts', load, [])
    },
  },
  {
    name: 'full-disk',
    title: 'a full disk: 1,000 sends a second refused (without: accepted), and pulls',
    config: {},
    common: { mappedFileSizeCommitLog: String(16 * MEBI) },
    hasFullDisk: true,
  },
  {
    name: 'retention',
    title: 'retention: of the log, in files of 64 MiB, all but 256 MiB is deleted',
    common: { mappedFileSizeCommitLog: String(64 * MEBI) },
    config: {
      retentionBytes: String(256 * MEBI),
      storePathRootDir: join(retained, 'store'),
    },
    begin: () => Promise.resolve({ facts: () => ({ logBeginsAt: logBegin(retained) }), stop: () => Promise.resolve() }),
  },
  {
    name: 'metrics',
    title: 'metrics, scraped every second',
    config: { metricsExporterType: 'PROM', metricsPromExporterPort: metricsPort, adminApi: 'OFF' },
    begin: async () => scraper(Number(metricsPort), 1000),
  },
  {
    name: 'compaction',
    title: `compaction every ${COMPACTION_EVERY_MS / 1000} s of a topic of 10,000 keys that gets 500/s (without: the same topic, not compacted yet)`,
    config: { compactionScheduleInternal: String(COMPACTION_EVERY_MS) },
    begin: ({ namesrv }) => compactedKeys(namesrv, 500),
    isBesideBoth: true,
  },
]

/** What retention has left begins at this position of the log. */
const logBegin = (folder: string): number =>
  Number(
    readdirSync(join(folder, 'store', 'commitlog'))
      .filter((name) => /^\d+$/.test(name))
      .sort()[0],
  )

/** Of the last closed loop of sends. */
let sentPerSecond = 0

async function measureSends({ host, port, brokerPid }: Servers, seconds = Number(values.seconds)): Promise<Sample> {
  const load = { addr: `${host}:${port}`, topic: 'Main', warmup: 1, seconds }
  const writes = { perSecond: sentPerSecond, bodyBytes: 1024 }
  const sends = await withWarmPages(writes, seconds, () => runLoadProcess('load.ts', { ...load, depth: 64 }, [brokerPid]))
  sentPerSecond = sends.perSecond
  const latency = await runLoadProcess('load.ts', { ...load, mode: 'end-to-end', topic: 'Latency', rate: END_TO_END_RATE }, [])
  if (sends.refused + latency.refused > 0) throw new Error(`refused: ${sends.firstRefusal ?? latency.firstRefusal}`)
  const cpuSecondsPerMillion = ((sends.cpuSeconds[0] as number) / sends.messages) * 1e6
  return { perSecond: sends.perSecond, cpuSecondsPerMillion, p50Ms: latency.p50Ms, p99Ms: latency.p99Ms }
}

function noSmallDisk(): string | undefined {
  const disk = mountSmallDisk(1)
  if ('missing' in disk) return disk.missing
  disk.remove()
  return undefined
}

function smallDisks(): SmallDisk[] {
  return [1, 2].map(() => {
    const disk = mountSmallDisk(SMALL_DISK_MEBIBYTES)
    if ('missing' in disk) throw new Error(disk.missing)
    return disk
  })
}

/** Consumers, while producers send at a low rate: all of it is taken, or none. */
async function measurePulls({ host, port, brokerPid }: Servers, isFull: boolean, seconds = Number(values.seconds)): Promise<Sample> {
  const load = { addr: `${host}:${port}`, warmup: 1, seconds }
  const [pulls, sends] = await Promise.all([
    runLoadProcess('load.ts', { ...load, topic: 'Main', mode: 'pull', depth: 8 }, [brokerPid]),
    runLoadProcess('load.ts', { ...load, topic: 'Tried', rate: TRIED_RATE }, []),
  ])
  const unexpected = isFull ? sends.messages : sends.refused
  if (unexpected > 0)
    throw new Error(`of ${TRIED_RATE} sends a second ${unexpected} were ${isFull ? 'accepted' : 'refused'} ${sends.firstRefusal}`)
  if (pulls.refused > 0) throw new Error(`pulls were refused: ${pulls.firstRefusal}`)
  const cpuSecondsPerMillion = ((pulls.cpuSeconds[0] as number) / pulls.messages) * 1e6
  return { perSecond: pulls.perSecond, cpuSecondsPerMillion, p50Ms: pulls.p50Ms, p99Ms: pulls.p99Ms }
}

async function withCompanion(companion: Companion | undefined, measure: () => Promise<Sample>): Promise<Sample> {
  await sleep(companion === undefined ? GAP_MS : SETTLE_MS)
  const sample = await measure()
  await companion?.stop()
  return sample
}

/** Two brokers, one of them with the guest; in turns. */
async function compare(guest: Guest): Promise<{ readonly alone: Sample[]; readonly beside: Sample[]; readonly facts: Facts }> {
  const { name, config, common, prepare, begin, isBesideBoth = false, hasFullDisk = false } = guest
  const alone: Sample[] = []
  const beside: Sample[] = []
  let facts: Facts = {}
  const running: Servers[] = []
  const disks = hasFullDisk ? smallDisks() : []
  try {
    const place = (disk: SmallDisk | undefined) => (disk === undefined ? {} : { storePathRootDir: join(disk.path, 'store') })
    for (const [i, settings] of [{}, config].entries()) {
      running.push(await startServers('ours', { ...common, ...settings, ...place(disks[i]) }))
    }
    const [quiet, busy] = running as [Servers, Servers]
    await prepare?.(busy)
    if (hasFullDisk) {
      for (const { host, port } of running) {
        const load = { mode: 'fill', addr: `${host}:${port}`, topic: 'Main', count: PULLED_MESSAGES }
        await runLoadProcess('load.ts', load, [])
      }
      disks[1]?.fill(LEFT_BYTES)
      await sleep(NOTICE_MS)
    }
    const measure = (one: Servers, seconds?: number) =>
      hasFullDisk ? measurePulls(one, one === busy, seconds) : measureSends(one, seconds)
    await Promise.all(running.map((one) => measure(one, 1)))
    for (let round = 0; round < Number(values.rounds); round++) {
      alone.push(await withCompanion(isBesideBoth ? await begin?.(quiet) : undefined, () => measure(quiet)))
      const companion = await begin?.(busy)
      beside.push(await withCompanion(companion, () => measure(busy)))
      facts = companion?.facts() ?? facts
      process.stderr.write(
        `${name}: alone ${JSON.stringify(alone.at(-1))}, beside ${JSON.stringify(beside.at(-1))} ${JSON.stringify(facts)}\n`,
      )
    }
  } finally {
    for (const one of running) await one.stop()
    for (const disk of disks) disk.remove()
  }
  return { alone, beside, facts }
}

const chosen = GUESTS.filter(({ name }) => values.only === '' || values.only.split(',').includes(name))
if (chosen.length === 0) throw new Error(`--only ${values.only}: there are ${GUESTS.map(({ name }) => name).join(', ')}`)
const results = []
for (const guest of chosen) {
  const missing = guest.hasFullDisk ? noSmallDisk() : undefined
  if (missing === undefined) results.push({ guest, ...(await compare(guest)) })
  else process.stderr.write(`${guest.name} is left out: ${missing}\n`)
}

rmSync(retained, { recursive: true, force: true })
const logBegins = results.flatMap(({ facts }) => facts['logBeginsAt'] ?? [])
const of = (samples: readonly Sample[], field: keyof Sample) => samples.map((sample) => sample[field])
const change = (field: keyof Sample, { alone, beside }: { alone: Sample[]; beside: Sample[] }) =>
  `x${figure(spread(of(beside, field)).median / spread(of(alone, field)).median, 2)}`
report(
  'isolation',
  {
    title: 'What goes on beside the main path',
    environment: [
      `two brokers with default settings, one of them with the guest; ${values.rounds} rounds of ${values.seconds} s in turns`,
      ...logBegins.map((at) => `the log of the broker beside retention began at ${figure(at)} at the end`),
      'the backlog lies there unread; the others are at work while it is measured, by clients in one more process that shares the cores',
    ],
    text:
      `Rate and CPU: 64 sends of 1 KiB outstanding in a closed loop. Latency: ${END_TO_END_RATE} messages a second, from the send to the arrival. Beside the full disk both are of pulls, 8 outstanding, 32 messages at a time. The CPU of ` +
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
