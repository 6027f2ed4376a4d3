/**
 * Does a broker under steady mixed load stay as it was? Sends and pulls, a consumer that is too slow, a backlog that nobody reads, delayed
 * messages; each minute a look at memory, event loop and latency. Says FLAT; or GROWING, or that sends failed,
 * and exits with 1. Build first: npm run build.
 *
 *   npm run soak -- --minutes 60 [--rate 1000] [--backlog 200000] [--write]
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { freePort } from '../scripts/free-ports.ts'
import { delayedMessages, scrape, slowConsumer } from './src/companions.ts'
import type { Companion } from './src/companions.ts'
import { judge } from './src/flatness.ts'
import type { Limit } from './src/flatness.ts'
import { runLoadProcess } from './src/run-load.ts'
import { figure, report } from './src/sections.ts'
import { residentMib, startServers } from './src/servers.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    /** Length of a look, for a quick try. */
    'minute-seconds': { type: 'string', default: '60' },
    rate: { type: 'string', default: '1000' },
    backlog: { type: 'string', default: '200000' },
    write: { type: 'boolean', default: false },
  },
})
const minutes = Number(values.minutes)
const minuteMs = Number(values['minute-seconds']) * 1000
const rate = Number(values.rate)
const WARM_UP_SECONDS = 2
/** For the start of the load and its end. */
const MARGIN_MS = 6000
/** Caches and the compiler settle: these looks do not count. */
const excluded = Math.max(1, Math.ceil(minutes / 5))

const FIGURES = {
  residentMib: { title: 'RSS, MiB', limit: { part: 0.15, least: 16 } },
  heapMib: { title: 'heap used, MiB', limit: { part: 0.5, least: 16 } },
  loopDelayMs: { title: 'event loop late by (p99), ms', limit: { part: 0.5, least: 5 } },
  p50Ms: { title: 'send to arrival p50, ms', limit: { part: 0.5, least: 1 } },
  p99Ms: { title: 'send to arrival p99, ms', limit: { part: 1, least: 5 } },
  delayLateMs: { title: 'delayed messages late by at most, ms', limit: { part: 1, least: 500 } },
} as const satisfies Record<string, { title: string; limit: Limit }>
type Figures = { [Name in keyof typeof FIGURES]: number }
const NAMES = Object.keys(FIGURES) as (keyof Figures)[]

if (minutes - excluded < 3)
  throw new Error(`--minutes ${minutes}: the first ${excluded} do not count, and three more are the least to judge by`)

const metricsPort = await freePort()
const servers = await startServers('ours', { metricsExporterType: 'PROM', metricsPromExporterPort: `${metricsPort}`, adminApi: 'OFF' })
const companions: Companion[] = []
const looks: Figures[] = []
const facts: Record<string, number>[] = []
try {
  const addr = `${servers.host}:${servers.port}`
  await runLoadProcess('load.ts', { mode: 'fill', addr, topic: 'SoakBacklog', count: values.backlog, depth: 256 }, [])
  companions.push(await slowConsumer(servers.namesrv, 100), await delayedMessages(servers.namesrv))
  const load = { mode: 'end-to-end', addr, topic: 'Soak', connections: 2, rate, warmup: WARM_UP_SECONDS }
  console.log(`minute  ${NAMES.map((name) => FIGURES[name].title).join('  |  ')}`)
  for (let minute = 1; minute <= minutes; minute++) {
    const until = performance.now() + minuteMs
    await metric()
    const seconds = Math.max(1, Math.round((minuteMs - MARGIN_MS) / 1000) - WARM_UP_SECONDS)
    const result = await runLoadProcess('load.ts', { ...load, seconds }, [servers.brokerPid])
    const seen = await metric()
    const told = companions.map((one) => one.facts())
    facts.push(Object.assign({ messages: result.messages, refused: result.refused }, ...told))
    looks.push({
      residentMib: residentMib(servers.brokerPid),
      heapMib: seen('nodejs_heap_size_used_bytes') / 2 ** 20,
      loopDelayMs: seen('skylark_event_loop_delay_seconds{quantile="0.99"}') * 1000,
      p50Ms: result.p50Ms,
      p99Ms: result.p99Ms,
      delayLateMs: told[1]?.['latestMs'] ?? Number.NaN,
    })
    const look = looks.at(-1) as Figures
    const refused = result.refused === 0 ? '' : `   ${result.refused} refused: ${result.firstRefusal}`
    console.log(`${String(minute).padStart(6)}  ${NAMES.map((name) => figure(look[name], 2)).join('  |  ')}${refused}`)
    await sleep(Math.max(0, until - performance.now()))
  }
} finally {
  await Promise.all(companions.map((one) => one.stop()))
  await servers.stop()
}

const counted = looks.slice(excluded)
const judgements = NAMES.map((name) => ({
  name,
  ...judge(
    counted.map((look) => look[name]),
    FIGURES[name].limit,
  ),
}))
const lost = facts.reduce((sum, one) => sum + (one['refused'] ?? 0) + (one['failed'] ?? 0), 0)
const growing = judgements.filter(({ isFlat }) => !isFlat)
const verdict = growing.length > 0 ? 'GROWING' : lost > 0 ? 'SENDS FAILED' : 'FLAT'
report(
  'soak',
  {
    title: 'Soak',
    environment: [
      `${rate} messages of 1 KiB a second end to end, 100/s to a consumer that takes 5/s, 10 delayed/s, ${values.backlog} unread`,
    ],
    text:
      `${verdict}: ${minutes} minutes, of which the first ${excluded} do not count. A figure grows when the line of least squares rises by more than the ` +
      `limit over the minutes that count, and by more than twice its standard error. ${lost} sends failed.`,
    headings: ['figure', 'first that counts', 'last', 'growth by the line', 'limit', 'verdict'],
    rows: judgements.map(({ name, growth, standardError, limit, isFlat }) => [
      FIGURES[name].title,
      figure(counted[0]?.[name] ?? Number.NaN, 2),
      figure(counted.at(-1)?.[name] ?? Number.NaN, 2),
      `${figure(growth, 2)} ± ${figure(standardError, 2)}`,
      figure(limit, 2),
      isFlat ? 'flat' : '**growing**',
    ]),
    samples: { looks, facts },
  },
  values.write,
)
console.log(
  `\n${verdict}${growing.length > 0 ? `: ${growing.map(({ name }) => FIGURES[name].title).join('; ')}` : ''}${lost > 0 ? `; ${lost} sends failed` : ''}`,
)
process.exit(verdict === 'FLAT' ? 0 : 1)

/** The broker's metrics now, by name and labels. */
async function metric(): Promise<(name: string) => number> {
  const text = await scrape(metricsPort)
  return (name) =>
    Number(
      text
        .split('\n')
        .find((line) => line.startsWith(`${name} `))
        ?.split(' ')[1],
    )
}
