/**
 * Our broker beside Apache RocketMQ's: same machine, same run, same generator, in turns.
 *
 *   npm run bench                                   all scenarios
 *   npm run bench -- --scenario send-1x64,pull-tail --rounds 3 --seconds 8
 *   npm run bench -- --write                        also docs/performance.md with its plots
 *   npm run bench -- --only ours                    our broker alone, for a quick look
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { alone } from './src/alone.ts'
import type { Sample } from './src/measure.ts'
import { createTopic, fill, measure } from './src/measure.ts'
import type { Outcome } from './src/outcome.ts'
import { ratiosOf } from './src/outcome.ts'
import type { StartUpOutcome } from './src/report.ts'
import { commit, document, HEADINGS, LATENCY_HEADINGS, latencyRow, ratioBars, row } from './src/report.ts'
import type { Scenario } from './src/scenarios.ts'
import { SCENARIOS } from './src/scenarios.ts'
import { table } from './src/sections.ts'
import type { Servers, Side } from './src/servers.ts'
import { residentMib, SIDES, startFloor, startServers } from './src/servers.ts'
import { withWarmPages } from './src/warm-pages.ts'

const { values } = parseArgs({
  options: {
    scenario: { type: 'string', default: '' },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '8' },
    'warm-up': { type: 'string', default: '45' },
    're-warm': { type: 'string', default: '10' },
    only: { type: 'string', default: '' },
    write: { type: 'boolean', default: false },
  },
})
const rounds = Number(values.rounds)
const seconds = Number(values.seconds)
const warmUpSeconds = Number(values['warm-up'])
const GAP_MS = 2000
/** V8 compiles for some five seconds under a new load, on threads of its own that count as the broker's. */
const OUR_WARM_UP_SECONDS = { first: 10, next: 5 }
const IDLE_MS = 5000
const sides = SIDES.filter((side) => values.only === '' || values.only === side)
const names = values.scenario.split(',').filter((name) => name !== '')
const unknown = names.filter((name) => !SCENARIOS.some((scenario) => scenario.name === name || scenario.group === name))
if (unknown.length > 0) throw new Error(`no scenario ${unknown.join(', ')}; there are ${SCENARIOS.map(({ name }) => name).join(', ')}`)
const chosen = SCENARIOS.filter(({ name, group }) => names.length === 0 || names.includes(name) || names.includes(group))

const run =
  `\`npm run bench -- ${process.argv.slice(2).join(' ')}\` at commit ${commit()}: ${rounds} rounds of ${seconds} s, Apache warmed up for ` +
  `${warmUpSeconds} s under the first load of its group, ours for ${OUR_WARM_UP_SECONDS.first} s`

const outcomes: { scenario: Scenario; outcome: Outcome }[] = []
let startUp: StartUpOutcome | undefined
for (const group of new Set(chosen.map((scenario) => scenario.group))) {
  const scenarios = chosen.filter((scenario) => scenario.group === group)
  if (scenarios[0]?.mode === 'start-up') startUp = await compareStartUp()
  else await compareGroup(scenarios)
  // What was measured is kept, whatever ends the run.
  if (values.write) write()
}
if (outcomes.length > 0) {
  const rows = outcomes.map(({ scenario, outcome }) => row(scenario, outcome))
  process.stdout.write(`\n${table(HEADINGS, rows)}\n`)
  const latencies = outcomes.filter(({ scenario }) => scenario.rate > 0).map(({ scenario, outcome }) => latencyRow(scenario, outcome))
  if (latencies.length > 0) process.stdout.write(`\n${table(LATENCY_HEADINGS, latencies)}\n`)
}

async function compareGroup(scenarios: readonly Scenario[]): Promise<void> {
  const servers: Servers[] = []
  const floor = scenarios.some(({ rate, delayLevel }) => rate > 0 && delayLevel === 0) ? await startFloor() : undefined
  try {
    for (const side of sides) servers.push(await startServers(side, scenarios[0]?.config))
    for (const [index, scenario] of scenarios.entries()) {
      const outcome = await compareOne(scenario, servers, floor, index === 0)
      outcomes.push({ scenario, outcome })
    }
  } finally {
    await Promise.all([...servers, floor].map((one) => one?.stop()))
  }
}

function warmUpOf(side: Servers['side'], isFirst: boolean): number {
  if (side === 'ours') return isFirst ? OUR_WARM_UP_SECONDS.first : OUR_WARM_UP_SECONDS.next
  return isFirst ? warmUpSeconds : Number(values['re-warm'])
}

async function compareOne(
  scenario: Scenario,
  servers: readonly Servers[],
  floorServer: Servers | undefined,
  isFirst: boolean,
): Promise<Outcome> {
  const samples: Record<Side | 'floor', Sample[]> = { ours: [], apache: [], floor: [] }
  const stored: Record<Servers['side'], number> = { ours: 0, apache: 0, floor: 0 }
  for (const one of servers) {
    await createTopic(one, scenario)
    await sleep(500)
    if (scenario.fill > 0) await fill(one, scenario)
    const warmUp = warmUpOf(one.side, isFirst)
    // Apache's producer warms itself up, the broker is for this generator.
    const warmed = await measure(one, scenario.mode === 'java-producer' ? { ...scenario, mode: 'send' } : scenario, warmUp, 0)
    if (scenario.mode !== 'pull') stored[one.side] = warmed.perSecond
  }
  for (let round = 0; round < rounds; round++) {
    for (const one of scenario.rate > 0 && floorServer !== undefined ? [...servers, floorServer] : servers) {
      const others = servers.filter((other) => other !== one).map(({ brokerPid }) => brokerPid)
      const writes = { perSecond: stored[one.side], bodyBytes: scenario.size }
      const sample = await alone(others, () =>
        withWarmPages(writes, seconds, () => measure(one, scenario, seconds, 1 + 2 * scenario.delayLevel)),
      )
      samples[one.side].push(sample)
      process.stderr.write(`${scenario.name} ${one.side}: ${JSON.stringify(sample)}\n`)
    }
  }
  const { floor, ...bySide } = samples
  const taken = { scenario: scenario.name, title: scenario.title, takenAt: new Date().toISOString(), run }
  return { ...taken, samples: bySide, ...(floor.length > 0 ? { floor } : {}) }
}

async function compareStartUp(): Promise<StartUpOutcome> {
  const firstMs: Record<Side, number[]> = { ours: [], apache: [] }
  const idleMib: Record<Side, number[]> = { ours: [], apache: [] }
  for (let round = 0; round < rounds; round++) {
    for (const side of sides) {
      await sleep(GAP_MS)
      const began = performance.now()
      const servers = await startServers(side)
      firstMs[side].push(performance.now() - began)
      await sleep(IDLE_MS)
      idleMib[side].push(residentMib(servers.brokerPid))
      await servers.stop()
    }
  }
  process.stderr.write(`start-up: ${JSON.stringify({ firstMs, idleMib })}\n`)
  return { takenAt: new Date().toISOString(), firstMs, idleMib }
}

/** Results of earlier runs of other scenarios stay; each was taken for both brokers at once. */
function write(): void {
  const docs = join(import.meta.dirname, '../docs')
  const folder = join(docs, 'performance')
  const file = join(folder, 'results.json')
  mkdirSync(folder, { recursive: true })
  const kept = existsSync(file)
    ? (JSON.parse(readFileSync(file, 'utf8')) as { outcomes: Outcome[]; startUp?: StartUpOutcome })
    : { outcomes: [] }
  const all = SCENARIOS.flatMap((scenario) => {
    const outcome =
      outcomes.find((one) => one.scenario === scenario)?.outcome ?? kept.outcomes.find((one) => one.scenario === scenario.name)
    return outcome === undefined ? [] : [{ scenario, outcome }]
  })
  const start = startUp ?? kept.startUp
  writeFileSync(file, `${JSON.stringify({ outcomes: all.map(({ outcome }) => outcome), startUp: start }, null, 1)}\n`)
  const bars = (field: 'rate' | 'perCpuSecond') =>
    all
      .filter(({ scenario }) => scenario.rate === 0)
      .map(({ scenario, outcome }) => ({ label: scenario.title, value: ratiosOf(outcome)[field], target: scenario.target[field] }))
  writeFileSync(join(folder, 'rate.svg'), ratioBars('Messages per second: ours / Apache RocketMQ (tick: target)', bars('rate')))
  const perCpu = 'Messages per CPU-second of the broker: ours / Apache RocketMQ (tick: target)'
  writeFileSync(join(folder, 'per-cpu-second.svg'), ratioBars(perCpu, bars('perCpuSecond')))
  writeFileSync(join(docs, 'performance.md'), document(all, start))
}
