/**
 * What makes answers late: each time that our broker's main thread was held up for more than a millisecond in one go, by cause, under the
 * open loops of compare.ts. Build first: npm run build.
 *
 *   node --conditions=source --import tsx benchmarks/stalls.ts [--seconds 8] [--scenario open-20000,e2e-1000] [--write]
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { scratch } from '../interop/src/toolchains.ts'
import type { LoadResult } from './src/load.ts'
import { createTopic, loadArguments } from './src/measure.ts'
import type { Scenario } from './src/scenarios.ts'
import { SCENARIOS } from './src/scenarios.ts'
import { figure, report } from './src/sections.ts'
import { startServers } from './src/servers.ts'

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '8' },
    scenario: { type: 'string', default: 'open-20000,e2e-1000,e2e-10000' },
    write: { type: 'boolean', default: false },
  },
})
const WARM_UP_SECONDS = 3
const STALL_MS = 1
const RECORDER = join(import.meta.dirname, 'src/stall-recorder.cjs')

interface Stall {
  readonly what: string
  readonly beganMs: number
  readonly ms: number
  /** Of it: ready, and not running. */
  readonly waitedMs: number
  readonly parts: Readonly<Record<string, number>>
}

interface Recorded {
  readonly beganMs: number
  readonly endedMs: number
  readonly turns: number
  readonly busyMs: number
  readonly waitedMs: number
  readonly stalls: readonly Stall[]
  /** Begin and length. */
  readonly collections: readonly (readonly [number, number])[]
}

const CAUSES = {
  waiting: 'the cores ran something else: other threads, other processes',
  files: 'writes to files, and reads',
  sockets: 'writes to sockets: the kernel delivers on the way',
  collections: 'collections of garbage',
  rest: 'our code, or the machine under it',
} as const
type Cause = keyof typeof CAUSES

interface Tally {
  count: number
  totalMs: number
  longestMs: number
}

/** By what took most of it. Calls that were interrupted are no cause. */
function causeOf({ ms, waitedMs, parts }: Stall): Cause {
  if (waitedMs > ms / 2) return 'waiting'
  const { files = 0, sockets = 0 } = parts
  const shares: [Cause, number][] = [
    ['files', files],
    ['sockets', sockets],
    ['rest', ms - waitedMs - files - sockets],
  ]
  return shares.reduce((most, one) => (one[1] > most[1] ? one : most))[0]
}

function tally({ stalls, collections }: Recorded): Record<Cause, Tally> {
  const none = (): Tally => ({ count: 0, totalMs: 0, longestMs: 0 })
  const by: Record<Cause, Tally> = { waiting: none(), files: none(), sockets: none(), collections: none(), rest: none() }
  const add = (cause: Cause, ms: number) => {
    const one = by[cause]
    one.count++
    one.totalMs += ms
    one.longestMs = Math.max(one.longestMs, ms)
  }
  // V8 collects within a turn or between two; while it does, the thread waits for its helpers.
  const long = collections.filter(([, ms]) => ms > STALL_MS)
  for (const [, ms] of long) add('collections', ms)
  for (const stall of stalls) {
    const collected = long.some(([at, ms]) => Math.min(at + ms, stall.beganMs + stall.ms) - Math.max(at, stall.beganMs) > stall.ms / 2)
    if (!collected) add(causeOf(stall), stall.ms)
  }
  return by
}

/** Of both cores: what the machine beneath this one took, in milliseconds. */
const stolenMs = (): number => Number(/^cpu +(?:\d+ ){7}(\d+)/.exec(readFileSync('/proc/stat', 'utf8'))?.[1]) * 10

interface Measured {
  readonly recorded: Recorded
  readonly load: LoadResult
  readonly stolen: number
}

async function measure(scenario: Scenario): Promise<Measured> {
  const folder = scratch('stalls')
  const file = join(folder, 'stalls.json')
  Object.assign(process.env, { BENCH_STALLS: file, NODE_OPTIONS: `--require ${RECORDER}` })
  const servers = await startServers('ours', scenario.config)
  delete process.env['NODE_OPTIONS']
  try {
    await createTopic(servers, scenario)
    const child = fork(
      join(import.meta.dirname, 'src/load.ts'),
      loadArguments(servers, scenario, { seconds: values.seconds, warmup: WARM_UP_SECONDS }),
      { execArgv: ['--conditions=source', '--import', 'tsx'], stdio: ['ignore', 'pipe', 'inherit', 'ipc'] },
    )
    let output = ''
    let stolen = 0
    child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.on('message', (what) => {
      process.kill(servers.brokerPid, 'SIGUSR2')
      stolen = what === 'counting' ? stolenMs() : stolenMs() - stolen
    })
    await once(child, 'close')
    await sleep(500)
    return { recorded: JSON.parse(readFileSync(file, 'utf8')) as Recorded, load: JSON.parse(output) as LoadResult, stolen }
  } finally {
    await servers.stop()
    rmSync(folder, { recursive: true })
  }
}

const names = values.scenario.split(',')
const results: (Measured & { readonly scenario: Scenario; readonly by: Record<Cause, Tally> })[] = []
for (const scenario of SCENARIOS.filter(({ name }) => names.includes(name))) {
  const { recorded, load, stolen } = await measure(scenario)
  const by = tally(recorded)
  process.stderr.write(`${scenario.name}: ${JSON.stringify({ load, by, turns: recorded.turns, stolen })}\n`)
  results.push({ scenario, recorded, load, stolen, by })
}
if (results.length === 0) throw new Error(`no scenario ${values.scenario}`)

const secondsOf = ({ beganMs, endedMs }: Recorded): number => (endedMs - beganMs) / 1000
report(
  'stalls',
  {
    title: 'What makes answers late',
    environment: [
      `a fresh broker for each load, ${WARM_UP_SECONDS} s warm-up, ${values.seconds} s counted; the recorder itself costs some 10 µs a turn`,
    ],
    text:
      'Each time that our broker’s main thread was held up for more than a millisecond in one go, by what took most of it: times a second, ' +
      'milliseconds of each second, and the longest.',
    headings: ['cause', ...results.map(({ scenario }) => scenario.title)],
    rows: [
      ...(Object.keys(CAUSES) as Cause[]).map((cause) => [
        CAUSES[cause],
        ...results.map(({ recorded, by }) => {
          const { count, totalMs, longestMs } = by[cause]
          const seconds = secondsOf(recorded)
          return `${figure(count / seconds, 1)}/s, ${figure(totalMs / seconds, 1)} ms/s, longest ${figure(longestMs, 1)} ms`
        }),
      ]),
      ['main thread busy', ...results.map(({ recorded }) => `${figure(recorded.busyMs / secondsOf(recorded) / 10, 1)} %`)],
      [
        'collections of garbage, all',
        ...results.map(({ recorded: { collections, ...rest } }) => {
          const all = collections.map(([, ms]) => ms)
          const total = all.reduce((sum, ms) => sum + ms, 0)
          return `${figure(all.length / secondsOf({ collections, ...rest }), 1)}/s of ${figure(total / all.length, 2)} ms, longest ${figure(Math.max(...all), 2)} ms`
        }),
      ],
      [
        'taken by the machine under this one, of a core',
        ...results.map(({ recorded, stolen }) => `${figure(stolen / secondsOf(recorded) / 10, 1)} %`),
      ],
      [
        'latency p50 / p99 / p999, ms',
        ...results.map(({ load }) => [load.p50Ms, load.p99Ms, load.p999Ms].map((ms) => figure(ms, 2)).join(' / ')),
      ],
      ['the generator sent late by (p99), ms', ...results.map(({ load }) => figure(load.lateP99Ms ?? Number.NaN, 2))],
    ],
    samples: results.map(({ scenario, load, by, stolen }) => ({ scenario: scenario.name, load, by, stolenMs: stolen })),
  },
  values.write,
)
