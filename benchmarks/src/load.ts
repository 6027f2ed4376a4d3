/**
 * The load generator: one process, raw sockets, frames made beforehand. It must cost little, as it shares the machine with the broker that
 * it measures: a batch of n answers is followed by n requests in one write, and of an answer only what is needed is read.
 *
 *   node --conditions=source --import tsx benchmarks/src/load.ts --addr 127.0.0.1:10911 --topic T --queues 4 --size 1024 --depth 64
 *   … --batch 32 | --rate 20000 | --mode pull | --mode end-to-end --rate 1000 | --mode fill --count 500000
 *
 * Prints one line of JSON. As a child process it says 'counting' and 'counted' when the measured time begins and ends.
 */
import { performance } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { Histogram } from './histogram.ts'
import { startPullers } from './pullers.ts'
import { startSenders } from './senders.ts'

export type LoadMode = 'send' | 'pull' | 'end-to-end' | 'fill'

export interface LoadOptions {
  readonly mode: LoadMode
  readonly host: string
  readonly port: number
  readonly topic: string
  readonly queues: number
  readonly size: number
  readonly connections: number
  readonly depth: number
  readonly batch: number
  readonly seconds: number
  readonly warmUpSeconds: number
  /** Requests per second over all connections; 0 for a closed loop. */
  readonly rate: number
  /** RocketMQ's; 0 for none, 1 for a second. Latencies count from when a message is due. */
  readonly delayLevel: number
  /** Of pulls: what they ask for, in SQL92; empty for all. */
  readonly expression: string
  /** `fill` ends after so many messages. */
  readonly count: number
}

export interface LoadResult {
  readonly messages: number
  readonly seconds: number
  readonly perSecond: number
  readonly refused: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
  /** Open loops: so late after they were due the generator sent requests, whatever the broker did. */
  readonly lateP99Ms?: number
  /** Of this process. */
  readonly generatorCpuSecondsPerMillion?: number
  readonly firstRefusal?: string
}

const PULL_MESSAGES = 32
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  const { mode } = options
  const histogram = new Histogram()
  let counting = false
  const latency = (ms: number) => {
    if (counting) histogram.add(ms)
  }
  const latenesses = new Histogram()
  const lateness = (ms: number) => {
    if (counting) latenesses.add(ms)
  }
  const sends = { messages: 0, refused: 0, firstRefusal: '', latency: mode === 'end-to-end' ? () => {} : latency }
  const pulls = { messages: 0, refused: 0, firstRefusal: '', latency }
  const stops: (() => void)[] = []
  const { expression, ...unfiltered } = options
  const pulled = expression === '' ? unfiltered : options
  if (mode === 'end-to-end') {
    const depth = Math.ceil(options.queues / options.connections)
    stops.push(await startPullers({ ...pulled, depth, maxMessages: PULL_MESSAGES, follows: true }, pulls))
    await sleep(500)
  }
  if (mode === 'pull') stops.push(await startPullers({ ...pulled, maxMessages: PULL_MESSAGES, follows: false }, pulls))
  else {
    const limit = mode === 'fill' ? { most: Math.ceil(options.count / options.batch / options.connections) } : {}
    stops.push(await startSenders({ ...options, ...limit, stampsBodies: mode === 'end-to-end', lateness }, sends))
  }

  const counters = mode === 'pull' || mode === 'end-to-end' ? pulls : sends
  if (mode === 'fill') {
    counting = true
    const began = performance.now()
    while (sends.messages < options.count && sends.refused === 0) await sleep(20)
    for (const stop of stops) stop()
    return resultOf(sends.messages, performance.now() - began, sends.refused, histogram, sends.firstRefusal)
  }
  await sleep(options.warmUpSeconds * 1000)
  const before = counters.messages
  const refusedBefore = sends.refused + pulls.refused
  const start = performance.now()
  counting = true
  const cpuBefore = process.cpuUsage()
  process.send?.('counting')
  await sleep(options.seconds * 1000)
  counting = false
  const cpu = process.cpuUsage(cpuBefore)
  process.send?.('counted')
  const elapsedMs = performance.now() - start
  const messages = counters.messages - before
  const refused = sends.refused + pulls.refused - refusedBefore
  for (const stop of stops) stop()
  await sleep(300)
  const generatorCpuSecondsPerMillion = (cpu.user + cpu.system) / messages
  const told = resultOf(messages, elapsedMs, refused, histogram, sends.firstRefusal || pulls.firstRefusal)
  const result = { ...told, generatorCpuSecondsPerMillion }
  return options.rate === 0 ? result : { ...result, lateP99Ms: latenesses.at(0.99) }
}

function resultOf(messages: number, elapsedMs: number, refused: number, histogram: Histogram, firstRefusal: string): LoadResult {
  return {
    messages,
    seconds: elapsedMs / 1000,
    perSecond: Math.round((messages * 1000) / elapsedMs),
    refused,
    p50Ms: histogram.at(0.5),
    p99Ms: histogram.at(0.99),
    p999Ms: histogram.at(0.999),
    ...(firstRefusal ? { firstRefusal: firstRefusal.slice(0, 300) } : {}),
  }
}

if (process.argv[1] === import.meta.filename) {
  const text = (value: string) => ({ type: 'string', default: value }) as const
  const { values } = parseArgs({
    options: {
      mode: text('send'),
      addr: text('127.0.0.1:10911'),
      topic: text('Bench'),
      queues: text('4'),
      size: text('1024'),
      connections: text('1'),
      depth: text('64'),
      batch: text('1'),
      seconds: text('8'),
      warmup: text('2'),
      rate: text('0'),
      delayLevel: text('0'),
      expression: text(''),
      count: text('100000'),
    },
  })
  const [host, port] = values.addr.split(':')
  const result = await runLoad({
    mode: values.mode as LoadMode,
    host: host as string,
    port: Number(port),
    topic: values.topic,
    queues: Number(values.queues),
    size: Number(values.size),
    connections: Number(values.connections),
    depth: Number(values.depth),
    batch: Number(values.batch),
    seconds: Number(values.seconds),
    warmUpSeconds: Number(values.warmup),
    rate: Number(values.rate),
    delayLevel: Number(values.delayLevel),
    expression: values.expression,
    count: Number(values.count),
  })
  process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0))
}
