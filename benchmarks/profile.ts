/**
 * Where our broker's time goes, scenario by scenario: what explains a target that is missed. The broker runs unbundled under V8's sampling
 * profiler, which costs it some speed; shares are what counts here.
 *
 *   node --conditions=source --import tsx benchmarks/profile.ts --scenario send-1x64,pull-tail --seconds 6 --write
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Profile } from './src/cpu-profile.ts'
import { BUCKETS, sharesOf } from './src/cpu-profile.ts'
import { createTopic, fill, measure } from './src/measure.ts'
import type { Scenario } from './src/scenarios.ts'
import { SCENARIOS } from './src/scenarios.ts'
import { figure, report } from './src/sections.ts'
import { cpuSplit, startServers } from './src/servers.ts'

const { values } = parseArgs({
  options: {
    scenario: { type: 'string', default: 'send-1x64,send-64x1,send-1x1,batch-32,sync-1x64,pull-tail,pull-cold' },
    seconds: { type: 'string', default: '6' },
    write: { type: 'boolean', default: false },
  },
})
const names = values.scenario.split(',')
const chosen = names.map((name) => {
  const found = SCENARIOS.find((scenario) => scenario.name === name)
  if (found === undefined) throw new Error(`no scenario ${name}; there are ${SCENARIOS.map((scenario) => scenario.name).join(', ')}`)
  return found
})

interface Taken {
  readonly shares: ReadonlyMap<string, number>
  /** Of the broker's CPU time. */
  readonly kernelPart: number
  readonly microsecondsPerMessage: number
}

async function profileOf(scenario: Scenario): Promise<Taken> {
  const folder = mkdtempSync(join(tmpdir(), 'skylark-profile-'))
  const servers = await startServers('ours', scenario.config, { profileFolder: folder })
  try {
    await createTopic(servers, scenario)
    if (scenario.fill > 0) await fill(servers, scenario)
    await measure(servers, scenario, 3, 0)
    const before = cpuSplit(servers.brokerPid)
    const sample = await measure(servers, scenario, Number(values.seconds), 0)
    const after = cpuSplit(servers.brokerPid)
    await servers.stop('SIGTERM')
    const file = readdirSync(folder).find((name) => name.endsWith('.cpuprofile'))
    if (file === undefined) throw new Error(`the broker of ${scenario.name} left no profile in ${folder}`)
    const profile = JSON.parse(readFileSync(join(folder, file), 'utf8')) as Profile
    const [user, kernel] = [after.user - before.user, after.kernel - before.kernel]
    return {
      shares: sharesOf(profile, Number(values.seconds)),
      kernelPart: kernel / (user + kernel),
      microsecondsPerMessage: sample.cpuSecondsPerMillion,
    }
  } finally {
    await servers.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

const taken: Taken[] = []
for (const scenario of chosen) {
  process.stderr.write(`${scenario.name} …\n`)
  taken.push(await profileOf(scenario))
}
const percent = (part: number): string => `${figure(part * 100)} %`
report(
  'profile',
  {
    title: "Where our broker's time goes",
    environment: ['SkylarkMQ unbundled under --cpu-prof, one load per fresh broker'],
    text: 'Shares of the main thread while it was busy, by what it did; native functions count for whoever called them. “The kernel” is our WebAssembly (ARCHITECTURE.md). The last lines are of the whole process, from `/proc/PID/stat`: which part of its CPU time the system used (copies to and from sockets and the page cache, wake-ups), and what a message cost under the profiler.',
    headings: ['', ...chosen.map((scenario) => scenario.name)],
    rows: [
      ...BUCKETS.map((bucket) => [bucket, ...taken.map(({ shares }) => percent(shares.get(bucket) ?? 0))]),
      ['the system, of all CPU time', ...taken.map(({ kernelPart }) => percent(kernelPart))],
      ['µs of CPU per message', ...taken.map(({ microsecondsPerMessage }) => figure(microsecondsPerMessage, 1))],
    ],
    samples: taken.map(({ shares, ...rest }, i) => ({ scenario: chosen[i]?.name, ...rest, shares: Object.fromEntries(shares) })),
  },
  values.write,
)
