/** Apache's own benchmark producer (rocketmq-example), which prints a line each second: another judge of both brokers than our generator. */
import { spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { JAVA_FLAGS, jars, scratch } from '../../interop/src/toolchains.ts'
import type { Sample } from './measure.ts'
import type { Scenario } from './scenarios.ts'
import type { Servers } from './servers.ts'
import { APACHE_VERSION, cpuSeconds, residentMib } from './servers.ts'

const MAIN = 'org.apache.rocketmq.example.benchmark.Producer'
const REPORT_MS = 1000
/** For the producer's own compiler: a fresh JVM sends a third of what it sends later. */
const WARM_UP_SECONDS = 10
const GIVE_UP_SECONDS = 60

interface Report {
  readonly perSecond: number
  readonly averageMs: number
  /** Since its start. */
  readonly failed: number
  readonly cpuSeconds: number
  readonly atMs: number
}

export async function measureJavaProducer(servers: Servers, scenario: Scenario, topic: string, seconds: number): Promise<Sample> {
  const found = jars(APACHE_VERSION, 'examples')
  if ('missing' in found) throw new Error(found.missing)
  const home = scratch('bench-producer')
  const flags = ['-Xmx1g', `-Duser.home=${home}`, '-cp', `${found.folder}/*`]
  const options = ['-n', servers.namesrv, '-t', topic, '-w', String(scenario.depth), '-s', String(scenario.size), '-ri', String(REPORT_MS)]
  const child = spawn('java', [...JAVA_FLAGS, ...flags, MAIN, ...options], { cwd: home, stdio: ['ignore', 'pipe', 'pipe'] })
  const reports: Report[] = []
  let printed = ''
  let line = ''
  const read = (chunk: Buffer) => {
    printed = `${printed}${chunk.toString()}`.slice(-1000)
    const lines = `${line}${chunk.toString()}`.split('\n')
    line = lines.pop() ?? ''
    for (const one of lines) {
      const report = reportOf(one)
      if (report !== undefined) reports.push({ ...report, cpuSeconds: cpuSeconds(servers.brokerPid), atMs: performance.now() })
    }
  }
  child.stdout.on('data', read)
  child.stderr.on('data', read)
  const wanted = WARM_UP_SECONDS + seconds + 1
  const deadline = performance.now() + (wanted + GIVE_UP_SECONDS) * 1000
  while (reports.length < wanted && performance.now() < deadline && child.exitCode === null) await sleep(20)
  const memory = residentMib(servers.brokerPid)
  child.kill('SIGKILL')
  rmSync(home, { recursive: true, force: true, maxRetries: 3 })
  if (reports.length < wanted) {
    throw new Error(
      `Apache's producer printed ${reports.length} of ${wanted} reports${child.exitCode === null ? '' : ` and ended with exit code ${child.exitCode}`}; at last it printed: ${printed}`,
    )
  }
  const before = reports[WARM_UP_SECONDS] as Report
  const counted = reports.slice(WARM_UP_SECONDS + 1)
  const last = counted.at(-1) as Report
  const perSecond = counted.reduce((sum, one) => sum + one.perSecond, 0) / counted.length
  const messages = (perSecond * (last.atMs - before.atMs)) / 1000
  const refused = last.failed - before.failed
  return {
    perSecond: Math.round(perSecond),
    refusedPart: refused / (messages + refused),
    averageMs: counted.reduce((sum, one) => sum + one.averageMs, 0) / counted.length,
    p50Ms: Number.NaN,
    p99Ms: Number.NaN,
    p999Ms: Number.NaN,
    cpuSecondsPerMillion: ((last.cpuSeconds - before.cpuSeconds) / messages) * 1e6,
    residentMib: memory,
  }
}

function reportOf(line: string): Pick<Report, 'perSecond' | 'averageMs' | 'failed'> | undefined {
  const number = (name: string) => Number(new RegExp(`${name}:\\s*([\\d.]+)`).exec(line)?.[1] ?? Number.NaN)
  const perSecond = number('Send TPS')
  if (Number.isNaN(perSecond)) return undefined
  return { perSecond, averageMs: number('Average RT\\(ms\\)'), failed: number('Send Failed') + number('Response Failed') }
}
