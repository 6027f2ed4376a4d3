/**
 * From the launch of `skylark dev` to the first message that its broker accepts, and what the process weighs then: the median of five.
 * A client tries from the first millisecond on, as an impatient test suite would. Build first: npm run build.
 *
 *   node --conditions=source --import tsx benchmarks/start-up.ts [runs] [EXECUTABLE ...]
 *
 * With several executables (of other builds, say) they take turns.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createRemotingClient, expectSuccess } from '@skylarkmq/remoting'
import { SendMessageV2 } from '@skylarkmq/remoting/protocol'
import { nodeRuntime } from '@skylarkmq/runtime/node'
import { freePort } from '../scripts/free-ports.ts'
import { cpuSeconds } from './src/servers.ts'

const SKYLARK = join(import.meta.dirname, '..', 'packages', 'standalone', 'bin', 'skylark.cjs')
const TRY_EVERY_MS = 2
const GIVE_UP_MS = 30_000
const runs = Number(process.argv[2] ?? 5)
const executables = process.argv.length > 3 ? process.argv.slice(3) : [SKYLARK]
const runtime = nodeRuntime()

const accepts = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.on('connect', () => resolve(true)).on('error', () => resolve(false))
    socket.on('connect', () => socket.destroy())
  })

async function sendFirst(address: string): Promise<void> {
  const client = createRemotingClient({ runtime })
  const header = {
    producerGroup: 'benchmark',
    topic: 'first',
    defaultTopic: 'TBW102',
    defaultTopicQueueNums: 4,
    queueId: 0,
    sysFlag: 0,
    bornTimestamp: Date.now(),
    flag: 0,
    properties: '',
    reconsumeTimes: 0,
    unitMode: false,
    batch: false,
  }
  expectSuccess(await client.invoke(address, SendMessageV2, header, { body: Buffer.from('hello'), timeoutMs: 5_000 }))
  client.close()
}

const residentBytes = (pid: number): number | undefined => {
  try {
    return Number(/VmRSS:\s*(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024
  } catch {
    return undefined
  }
}

interface Result {
  readonly firstMs: number
  /** Of the server, until then. */
  readonly cpuMs: number
  readonly rssBytes: number | undefined
  readonly idleBytes: number | undefined
}

async function startOnce(executable: string): Promise<Result> {
  const store = mkdtempSync(join(tmpdir(), 'skylark-start-'))
  const [namesrvPort, port] = [await freePort(), await freePort()]
  const began = performance.now()
  const env = { ...process.env, UV_THREADPOOL_SIZE: '8' }
  Reflect.deleteProperty(env, 'NODE_EXTRA_CA_CERTS')
  const child = spawn(process.execPath, [executable, 'dev', '--store', store, '--namesrv-port', `${namesrvPort}`, '--port', `${port}`], {
    env,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  try {
    while (!(await accepts(port))) {
      if (child.exitCode !== null || performance.now() - began > GIVE_UP_MS) throw new Error('skylark dev did not start')
      await sleep(TRY_EVERY_MS)
    }
    await sendFirst(`127.0.0.1:${port}`)
    const firstMs = performance.now() - began
    const cpuMs = cpuSeconds(child.pid as number) * 1000
    const rssBytes = residentBytes(child.pid as number)
    await sleep(2_000)
    return { firstMs, cpuMs, rssBytes, idleBytes: residentBytes(child.pid as number) }
  } finally {
    const closed = once(child, 'close')
    child.kill('SIGTERM')
    await closed
    rmSync(store, { recursive: true, force: true })
  }
}

const median = (values: readonly number[]): number => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] as number
const megabytes = (bytes: number | undefined): string => (bytes === undefined ? 'unknown' : `${(bytes / 1e6).toFixed(1)} MB`)

const results = executables.map((): Result[] => [])
for (let run = 1; run <= runs; run++) {
  for (const [i, executable] of executables.entries()) {
    const result = await startOnce(executable)
    results[i]?.push(result)
    const { firstMs, cpuMs, rssBytes, idleBytes } = result
    const memory = `RSS ${megabytes(rssBytes)}, idle ${megabytes(idleBytes)}`
    console.log(`run ${run}, ${executable}: first message after ${firstMs.toFixed(0)} ms (${cpuMs.toFixed(0)} ms of CPU), ${memory}`)
  }
}
for (const [i, executable] of executables.entries()) {
  const of = (field: keyof Result) => median((results[i] as Result[]).map((result) => result[field] ?? 0))
  console.log(
    `${executable}: median of ${runs}: first message after ${of('firstMs').toFixed(0)} ms (aim 300), ${of('cpuMs').toFixed(0)} ms of CPU, ` +
      `RSS ${megabytes(of('idleBytes'))} (aim 100 MB)`,
  )
}
