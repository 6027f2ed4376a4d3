/**
 * What a broker needs for scheduled messages that wait: memory while their number grows, a start after kill -9 with all of them
 * waiting, and how fast those come that are due at one moment.
 *
 *   node --conditions=source --import tsx benchmarks/timers.ts [messages] [due at once]
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createRemotingClient, expectSuccess } from '@skylarkmq/remoting'
import { GetMaxOffset, GetTimerMetrics, SendMessageV2, formatProperties } from '@skylarkmq/remoting/protocol'
import { nodeRuntime } from '@skylarkmq/runtime/node'
import { freePort } from '../scripts/free-ports.ts'
import { scratch } from '../interop/src/toolchains.ts'

const [messages = 1_000_000, dueAtOnce = 50_000] = process.argv.slice(2).map(Number)
const STEPS = 5
const UNDER_WAY = 500
const HOUR_MS = 3_600_000
const YEAR_MS = 365 * 24 * HOUR_MS
const TOPIC = 'later'

const home = scratch('bench-timers')
const port = await freePort()
const address = `127.0.0.1:${port}`
const conf = join(home, 'broker.conf')
writeFileSync(conf, `brokerName=broker-a\nbrokerIP1=127.0.0.1\nlistenPort=${port}\nstorePathRootDir=${home}/store\n`)
const client = createRemotingClient({ runtime: nodeRuntime() })
const options = { timeoutMs: 60_000 }

function start() {
  const script = join(import.meta.dirname, '../distribution/bin/mqbroker')
  return spawn(script, ['-c', conf], { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, SKYLARK_LOG_LEVEL: 'warn' } })
}

async function pending(): Promise<number> {
  for (;;) {
    const answer = await client.invoke(address, GetTimerMetrics, {}, options).catch(() => undefined)
    if (answer !== undefined) {
      const { timingCount } = JSON.parse(expectSuccess(answer).body.toString()) as { timingCount: Record<string, { count: number }> }
      return timingCount[TOPIC]?.count ?? 0
    }
    await sleep(50)
  }
}

async function untilPending(count: number): Promise<void> {
  while ((await pending()) !== count) await sleep(50)
}

const rssMiB = (pid: number): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024

let sequence = 0
async function send(count: number, deliverAtMs: () => number): Promise<void> {
  let left = count
  const sender = async () => {
    while (left-- > 0) {
      const key = (sequence++).toString(16).toUpperCase().padStart(32, '0')
      const properties = formatProperties([
        ['UNIQ_KEY', key],
        ['TIMER_DELIVER_MS', String(deliverAtMs())],
      ])
      const header = { producerGroup: 'bench', defaultTopic: 'TBW102', defaultTopicQueueNums: 4, sysFlag: 0, flag: 0 }
      const request = { ...header, topic: TOPIC, queueId: sequence % 4, bornTimestamp: Date.now(), properties }
      expectSuccess(await client.invoke(address, SendMessageV2, request, { ...options, body: Buffer.from(`message ${sequence}`) }))
    }
  }
  await Promise.all(Array.from({ length: UNDER_WAY }, sender))
}

const delivered = async (): Promise<number> => {
  const ends = [0, 1, 2, 3].map((queueId) => client.invoke(address, GetMaxOffset, { topic: TOPIC, queueId }, options))
  return (await Promise.all(ends)).reduce((sum, answer) => sum + (answer.code === 0 ? answer.header().offset : 0), 0)
}

let broker = start()
try {
  await untilPending(0)
  console.log(`waiting   broker's memory`)
  console.log(`${String(0).padStart(9)} ${rssMiB(broker.pid as number).toFixed(0)} MiB`)
  for (let step = 1; step <= STEPS; step++) {
    const began = performance.now()
    await send(messages / STEPS, () => Date.now() + HOUR_MS + Math.floor(Math.random() * YEAR_MS))
    await untilPending((messages * step) / STEPS)
    const perSecond = messages / STEPS / ((performance.now() - began) / 1000)
    const memory = rssMiB(broker.pid as number).toFixed(0)
    console.log(`${String((messages * step) / STEPS).padStart(9)} ${memory} MiB, ${perSecond.toFixed(0)} a second taken`)
  }
  broker.kill('SIGKILL')
  await once(broker, 'exit')
  const restarted = performance.now()
  broker = start()
  await untilPending(messages)
  const seconds = (performance.now() - restarted) / 1000
  console.log(`kill -9, start: ${seconds.toFixed(1)} s until all are known, ${rssMiB(broker.pid as number).toFixed(0)} MiB`)
  const moment = Date.now() + 30_000
  await send(dueAtOnce, () => moment)
  while ((await delivered()) < dueAtOnce) await sleep(50)
  console.log(`${dueAtOnce} due at one moment: the last came ${((Date.now() - moment) / 1000).toFixed(1)} s after it`)
} finally {
  broker.kill('SIGKILL')
  client.close()
  rmSync(home, { recursive: true, force: true, maxRetries: 3 })
}
