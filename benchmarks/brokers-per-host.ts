/**
 * What a second broker on the same host brings: `skylark cluster` with 1 and with 2 brokers side by side, loaded in turns with as much
 * outstanding in all. On two cores the generators compete with the brokers: what one broker's core is busy with shows in the CPU-seconds.
 * Build first: npm run build. Some 80 s.
 *
 *   node --conditions=source --import tsx benchmarks/brokers-per-host.ts [--brokers 1,2] [--rounds 3] [--seconds 5] [--write]
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { spread } from './src/outcome.ts'
import { runLoadProcess } from './src/run-load.ts'
import { figure, ratio, report, shown } from './src/sections.ts'

const SKYLARK = join(import.meta.dirname, '../packages/standalone/bin/skylark.cjs')
const { values } = parseArgs({
  options: {
    brokers: { type: 'string', default: '1,2' },
    rounds: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '5' },
    outstanding: { type: 'string', default: '512' },
    write: { type: 'boolean', default: false },
  },
})
const GAP_MS = 2000
const GIVE_UP_MS = 60_000

interface Cluster {
  readonly brokers: readonly { readonly name: string; readonly pid: number; readonly port: number }[]
  readonly child: ChildProcess
  readonly store: string
}

async function startCluster(count: number): Promise<Cluster> {
  const store = mkdtempSync(join(tmpdir(), 'skylark-brokers-'))
  const args = ['cluster', '--brokers', String(count), '--port', '0', '--namesrv-port', '0', '--store', store]
  const child = spawn(process.execPath, [SKYLARK, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
  const began = performance.now()
  while (!output.includes('Ctrl-C stops all')) {
    if (child.exitCode !== null || performance.now() - began > GIVE_UP_MS) throw new Error(`the cluster did not start: ${output}`)
    await sleep(20)
  }
  const pids = new Map([...output.matchAll(/^(broker-\w): process (\d+)$/gm)].map((found) => [found[1], Number(found[2])]))
  const brokers = [...output.matchAll(/^(broker-\w): The broker\[.*:(\d+)\] boot success/gm)].map((found) => ({
    name: found[1] as string,
    pid: pids.get(found[1]) as number,
    port: Number(found[2]),
  }))
  return { brokers, child, store }
}

/** One generator per broker, so that it is not one generator's core that is measured. */
async function measure(cluster: Cluster, seconds: number) {
  const { brokers } = cluster
  const depth = Math.floor(Number(values.outstanding) / brokers.length / 2)
  const all = await Promise.all(
    brokers.map(({ pid, port }) =>
      runLoadProcess('load.ts', { addr: `127.0.0.1:${port}`, topic: 'Spread', connections: 2, depth, seconds, warmup: 1 }, [pid]),
    ),
  )
  const messages = all.reduce((sum, one) => sum + one.messages, 0)
  const cpu = all.reduce((sum, one) => sum + (one.cpuSeconds[0] as number), 0)
  return {
    perSecond: all.reduce((sum, one) => sum + one.perSecond, 0),
    cpuSecondsPerMillion: (cpu / messages) * 1e6,
    /** Of a core, the busiest broker. */
    busiest: Math.max(...all.map((one) => (one.cpuSeconds[0] as number) / one.seconds)),
    cores: cpu / (all[0]?.seconds ?? Number.NaN),
    p99Ms: Math.max(...all.map((one) => one.p99Ms)),
  }
}

const counts = values.brokers.split(',').map(Number)
const clusters: Cluster[] = []
const samples = counts.map((): Awaited<ReturnType<typeof measure>>[] => [])
try {
  for (const count of counts) clusters.push(await startCluster(count))
  for (const cluster of clusters) await measure(cluster, 2)
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const [i, cluster] of clusters.entries()) {
      await sleep(GAP_MS)
      const sample = await measure(cluster, Number(values.seconds))
      samples[i]?.push(sample)
      process.stderr.write(`${cluster.brokers.length} brokers: ${JSON.stringify(sample)}\n`)
    }
  }
} finally {
  for (const { child, store } of clusters) {
    const closed = once(child, 'close')
    child.kill('SIGTERM')
    await closed
    rmSync(store, { recursive: true, force: true })
  }
}
const of = (i: number, field: keyof (typeof samples)[number][number]) => (samples[i] ?? []).map((sample) => sample[field])
const alone = 0
const free = cpus().length - spread(of(alone, 'cores')).median
report(
  'brokers-per-host',
  {
    title: 'Brokers per host',
    environment: [`${values.outstanding} sends of 1 KiB outstanding in all; one generator per broker, asynchronous flush`],
    text:
      `One broker is one thread. \`skylark cluster --brokers N\` starts several as one cluster. This machine has ${cpus().length} cores, which ` +
      `the generators share: beside one broker at work ${figure(free, 1)} cores are left for everything else, so the rate is bounded by ` +
      `the generators as soon as brokers take a second core. What scales is what the brokers get done in the CPU time they are given.`,
    headings: [
      'brokers',
      'msg/s',
      'to one broker',
      'CPU s of the brokers per million',
      'cores that the brokers used',
      'busiest broker, of a core',
      'p99 ms',
    ],
    rows: counts.map((count, i) => [
      String(count),
      shown(of(i, 'perSecond')),
      ratio(of(i, 'perSecond'), of(alone, 'perSecond')),
      shown(of(i, 'cpuSecondsPerMillion'), 1),
      shown(of(i, 'cores'), 2),
      shown(of(i, 'busiest'), 2),
      shown(of(i, 'p99Ms'), 1),
    ]),
    samples: { counts, samples },
  },
  values.write,
)
