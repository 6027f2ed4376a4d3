/**
 * What a second broker on the same host brings: `skylark cluster` with 1 and with 2 brokers side by side, loaded in turns with as much
 * outstanding in all. Two loads: sends, whose generators on two cores compete with the brokers; and consumers with an expression that matches
 * nothing, so that brokers work (each record is read, checked and judged) and clients hardly. Build first: npm run build. Some 2 minutes.
 *
 *   node --conditions=source --import tsx benchmarks/brokers-per-host.ts [--brokers 1,2] [--rounds 3] [--seconds 5] [--write]
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
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
/** Of 1 KiB, in each broker: far more than it keeps at hand. */
const JUDGED_MESSAGES = 100_000
const EXPRESSION = "TAGS = 'None'"
const GIVE_UP_MS = 60_000

interface Cluster {
  readonly brokers: readonly { readonly name: string; readonly pid: number; readonly port: number }[]
  readonly child: ChildProcess
  readonly store: string
}

async function startCluster(count: number): Promise<Cluster> {
  const store = mkdtempSync(join(tmpdir(), 'skylark-brokers-'))
  const config = join(store, 'common.conf')
  writeFileSync(config, 'enablePropertyFilter=true\n')
  const args = ['cluster', '--brokers', String(count), '--port', '0', '--namesrv-port', '0', '--store', store, '-c', config]
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

interface Load {
  readonly title: string
  /** What a broker is given, of which there are so many. */
  readonly of: (brokers: number) => Readonly<Record<string, string | number>>
}

const LOADS: readonly Load[] = [
  {
    title: `${values.outstanding} sends of 1 KiB outstanding`,
    of: (brokers) => ({ topic: 'Spread', connections: 2, depth: Math.floor(Number(values.outstanding) / brokers / 2) }),
  },
  {
    title: 'SQL92 judges records of 1 KiB',
    of: () => ({ topic: 'Judged', mode: 'pull', connections: 1, depth: 4, expression: EXPRESSION }),
  },
]

/** One generator per broker, so that it is not one generator's core that is measured. */
async function measure({ brokers }: Cluster, load: Load, seconds: number) {
  const options = { ...load.of(brokers.length), seconds, warmup: 1 }
  const all = await Promise.all(brokers.map(({ pid, port }) => runLoadProcess('load.ts', { addr: `127.0.0.1:${port}`, ...options }, [pid])))
  for (const one of all) if (one.messages === 0 || one.refused > 0) throw new Error(`${load.title}: ${JSON.stringify(one)}`)
  const messages = all.reduce((sum, one) => sum + one.messages, 0)
  const cpu = all.reduce((sum, one) => sum + (one.cpuSeconds[0] as number), 0)
  return {
    perSecond: all.reduce((sum, one) => sum + one.perSecond, 0),
    cpuSecondsPerMillion: (cpu / messages) * 1e6,
    /** Of a core, the busiest broker. */
    busiest: Math.max(...all.map((one) => (one.cpuSeconds[0] as number) / one.seconds)),
    cores: cpu / (all[0]?.seconds ?? Number.NaN),
    generatorSecondsPerMillion: spread(all.map((one) => one.generatorCpuSecondsPerMillion as number)).median,
  }
}

async function fill({ brokers }: Cluster): Promise<void> {
  for (const { port } of brokers) {
    const load = { mode: 'fill', addr: `127.0.0.1:${port}`, topic: 'Judged', count: JUDGED_MESSAGES }
    await runLoadProcess('load.ts', load, [])
  }
}

type Sample = Awaited<ReturnType<typeof measure>>

const counts = values.brokers.split(',').map(Number)
const clusters: Cluster[] = []
const samples = LOADS.map(() => counts.map((): Sample[] => []))
try {
  for (const count of counts) clusters.push(await startCluster(count))
  for (const cluster of clusters) await fill(cluster)
  for (const [l, load] of LOADS.entries()) {
    for (const cluster of clusters) await measure(cluster, load, 2)
    for (let round = 0; round < Number(values.rounds); round++) {
      for (const [i, cluster] of clusters.entries()) {
        await sleep(GAP_MS)
        const sample = await measure(cluster, load, Number(values.seconds))
        samples[l]?.[i]?.push(sample)
        process.stderr.write(`${load.title}, ${cluster.brokers.length} brokers: ${JSON.stringify(sample)}\n`)
      }
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
const of = (l: number, i: number, field: keyof Sample) => (samples[l]?.[i] ?? []).map((sample) => sample[field])
const share = (l: number) =>
  `${figure((100 * spread(of(l, 0, 'generatorSecondsPerMillion')).median) / spread(of(l, 0, 'cpuSecondsPerMillion')).median, 0)} %`
report(
  'brokers-per-host',
  {
    title: 'Brokers per host',
    environment: [
      `one generator per broker, asynchronous flush; sends: ${values.outstanding} of 1 KiB outstanding in all`,
      `judged: ${figure(JUDGED_MESSAGES)} messages of 1 KiB in each broker, pulled again and again with \`${EXPRESSION}\`, 4 pulls outstanding for each broker`,
    ],
    text:
      `One broker is one thread. \`skylark cluster --brokers N\` starts several as one cluster. This machine has ${cpus().length} cores, which ` +
      `the generators share. Beside one broker that takes sends a generator uses ${share(0)} of the CPU time that the broker uses, so the ` +
      `second broker finds less than a core. Where a message is work for the broker alone (${share(1)} in the generator) the rate shows how brokers scale.`,
    headings: [
      'load',
      'brokers',
      'msg/s',
      'to one broker',
      'CPU s of the brokers per million',
      'cores that the brokers used',
      'busiest broker, of a core',
    ],
    rows: LOADS.flatMap(({ title }, l) =>
      counts.map((count, i) => [
        title,
        String(count),
        shown(of(l, i, 'perSecond')),
        ratio(of(l, i, 'perSecond'), of(l, 0, 'perSecond')),
        shown(of(l, i, 'cpuSecondsPerMillion'), 1),
        shown(of(l, i, 'cores'), 2),
        shown(of(l, i, 'busiest'), 2),
      ]),
    ),
    samples: { counts, samples },
  },
  values.write,
)
