/** One measurement of one scenario at one side: the load in a process of its own, the broker's CPU time read when counting begins and ends. */
import type { ChildProcess } from 'node:child_process'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createRemotingClient, expectSuccess } from '@skylarkmq/remoting'
import { UpdateAndCreateTopic } from '@skylarkmq/remoting/protocol'
import { nodeRuntime } from '@skylarkmq/runtime/node'
import { measureJavaProducer } from './java-producer.ts'
import type { LoadResult } from './load.ts'
import type { Scenario } from './scenarios.ts'
import type { Servers } from './servers.ts'
import { cpuSeconds, residentMib } from './servers.ts'

export interface Sample {
  readonly perSecond: number
  readonly refusedPart: number
  /** Where only that is told. */
  readonly averageMs?: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
  /** Of the generator, in open loops. */
  readonly lateP99Ms?: number | undefined
  /** Of the broker. */
  readonly cpuSecondsPerMillion: number
  readonly generatorCpuSecondsPerMillion?: number | undefined
  readonly residentMib: number
  readonly firstRefusal?: string | undefined
}

const LOAD = join(import.meta.dirname, 'load.ts')
const CREATE_MS = 60_000

export const topicOf = (scenario: Scenario): string => `Bench_${scenario.name}`

export async function createTopic(servers: Servers, scenario: Scenario): Promise<void> {
  const runtime = nodeRuntime()
  const client = createRemotingClient({ runtime })
  const header = {
    topic: topicOf(scenario),
    defaultTopic: 'TBW102',
    readQueueNums: scenario.queues,
    writeQueueNums: scenario.queues,
    perm: 6,
    topicFilterType: 'SINGLE_TAG',
    topicSysFlag: 0,
    order: false,
  }
  try {
    const answer = await client.invoke(`${servers.host}:${servers.port}`, UpdateAndCreateTopic, header as never, { timeoutMs: CREATE_MS })
    expectSuccess(answer)
  } finally {
    client.close()
  }
}

export function loadArguments(servers: Servers, scenario: Scenario, more: Readonly<Record<string, string | number>>): string[] {
  const { mode, queues, size, connections, depth, batch, rate, delayLevel } = scenario
  const all = {
    mode,
    addr: `${servers.host}:${servers.port}`,
    topic: topicOf(scenario),
    queues,
    size,
    connections,
    depth,
    batch,
    rate,
    delayLevel,
    ...more,
  }
  return Object.entries(all).flatMap(([name, value]) => [`--${name}`, String(value)])
}

const forkLoad = (args: string[]): ChildProcess =>
  fork(LOAD, args, { execArgv: ['--conditions=source', '--import', 'tsx'], stdio: ['ignore', 'pipe', 'inherit', 'ipc'] })

export async function fill(servers: Servers, scenario: Scenario): Promise<void> {
  const child = forkLoad(loadArguments(servers, scenario, { mode: 'fill', count: scenario.fill, connections: 1, depth: 64 }))
  const [code] = (await once(child, 'exit')) as [number]
  if (code !== 0) throw new Error(`filling ${topicOf(scenario)} at ${servers.side} failed with exit code ${code}`)
}

export async function measure(servers: Servers, scenario: Scenario, seconds: number, warmUpSeconds: number): Promise<Sample> {
  if (scenario.mode === 'java-producer') return measureJavaProducer(servers, scenario, topicOf(scenario), seconds)
  const child = forkLoad(loadArguments(servers, scenario, { seconds, warmup: warmUpSeconds }))
  let output = ''
  let cpuStart = 0
  let cpuEnd = 0
  child.stdout?.on('data', (chunk: Buffer) => (output += chunk.toString()))
  child.on('message', (what) => {
    if (what === 'counting') cpuStart = cpuSeconds(servers.brokerPid)
    else cpuEnd = cpuSeconds(servers.brokerPid)
  })
  await once(child, 'close')
  if (output === '') throw new Error(`the load of ${scenario.name} at ${servers.side} ended without a result`)
  const result = JSON.parse(output) as LoadResult
  const answered = result.messages / scenario.batch + result.refused
  return {
    perSecond: result.perSecond,
    refusedPart: answered > 0 ? result.refused / answered : 0,
    p50Ms: result.p50Ms,
    p99Ms: result.p99Ms,
    p999Ms: result.p999Ms,
    lateP99Ms: result.lateP99Ms,
    cpuSecondsPerMillion: ((cpuEnd - cpuStart) / result.messages) * 1e6,
    generatorCpuSecondsPerMillion: result.generatorCpuSecondsPerMillion,
    residentMib: residentMib(servers.brokerPid),
    firstRefusal: result.firstRefusal,
  }
}
