/** What is measured, as data. The targets are ratios to Apache RocketMQ on the same machine in the same run. */
import type { LoadMode } from './load.ts'

export interface Scenario {
  readonly name: string
  readonly title: string
  /** Scenarios of one group share their servers, fresh for the group. */
  readonly group: string
  readonly mode: LoadMode | 'java-producer' | 'start-up'
  readonly size: number
  readonly connections: number
  readonly depth: number
  readonly queues: number
  readonly batch: number
  readonly rate: number
  /** RocketMQ's, 0 for none: 1 is a second. */
  readonly delayLevel: number
  /** Messages stored beforehand, for pulls. */
  readonly fill: number
  readonly config: Readonly<Record<string, string>>
  readonly target: Target
}

export interface Target {
  readonly rate?: number
  readonly perCpuSecond?: number
  readonly p99Ms?: number
  /** Our p99 as a part of Apache's. */
  readonly p99Ratio?: number
  readonly noneRefused?: boolean
  readonly text?: string
}

const usual = {
  mode: 'send',
  size: 1024,
  connections: 1,
  depth: 64,
  queues: 4,
  batch: 1,
  rate: 0,
  delayLevel: 0,
  fill: 0,
  config: {},
  target: {},
} as const satisfies Partial<Scenario>

const SYNC = { flushDiskType: 'SYNC_FLUSH' }

const send = (name: string, group: string, title: string, target: Target, more: Partial<Scenario> = {}): Scenario => ({
  ...usual,
  name,
  group,
  title,
  target,
  ...more,
})

export const SCENARIOS: readonly Scenario[] = [
  send('send-1x64', 'send', 'send 1 KiB, 1 connection of 64 outstanding', { rate: 5, perCpuSecond: 8, noneRefused: true }),
  send('send-2x256', 'send', 'send 1 KiB, 2 of 256', { rate: 5, perCpuSecond: 8, noneRefused: true }, { connections: 2, depth: 256 }),
  send('send-1x1', 'send', 'send 1 KiB, 1 of 1', { rate: 1.3, perCpuSecond: 2.5 }, { depth: 1 }),
  send('send-8x1', 'connections', 'send 1 KiB, 8 of 1', {}, { connections: 8, depth: 1 }),
  send('send-64x1', 'connections', 'send 1 KiB, 64 of 1', { rate: 2, perCpuSecond: 3 }, { connections: 64, depth: 1 }),
  send('send-100b', 'sizes', 'send 100 B, 1 of 64', { rate: 8, perCpuSecond: 12 }, { size: 100 }),
  send('send-4kib', 'sizes', 'send 4 KiB, 1 of 64', { rate: 2.5, perCpuSecond: 4 }, { size: 4096 }),
  send('batch-32', 'batch', 'batches of 32 x 1 KiB, 1 of 8', { rate: 3, perCpuSecond: 4 }, { batch: 32, depth: 8 }),
  send('sync-1x64', 'sync', 'sync flush, 1 KiB, 1 of 64', { rate: 4, perCpuSecond: 5 }, { config: SYNC }),
  send('sync-2x256', 'sync', 'sync flush, 1 KiB, 2 of 256', { rate: 4, perCpuSecond: 5 }, { connections: 2, depth: 256, config: SYNC }),
  send(
    'pull-tail',
    'pull',
    'pull of the newest 8 MiB, 1 of 8, 32 at a time',
    { rate: 3, perCpuSecond: 4 },
    { mode: 'pull', depth: 8, fill: 7_000 },
  ),
  send(
    'pull-cold',
    'pull-cold',
    'pull of 600 MB, 1 of 8, 32 at a time',
    { rate: 2, perCpuSecond: 2 },
    { mode: 'pull', depth: 8, queues: 8, fill: 500_000 },
  ),
  send('open-20000', 'open', 'open loop of 20,000/s, 4 connections', { noneRefused: true, p99Ms: 2 }, { connections: 4, rate: 20_000 }),
  send('e2e-1000', 'open', 'end to end at 1,000/s', { p99Ms: 5, p99Ratio: 0.5 }, { mode: 'end-to-end', rate: 1000 }),
  send('e2e-10000', 'open', 'end to end at 10,000/s', { p99Ms: 5, p99Ratio: 0.5 }, { mode: 'end-to-end', rate: 10_000 }),
  send('delayed-1000', 'delayed', 'delayed by a second, 1,000/s', {}, { mode: 'end-to-end', rate: 1000, delayLevel: 1 }),
  send('queues-1', 'queues', 'send 1 KiB, 1 of 64, 1 queue', {}, { queues: 1 }),
  send('queues-100', 'queues', 'send 1 KiB, 1 of 64, 100 queues', {}, { queues: 100 }),
  send('queues-10000', 'queues', 'send 1 KiB, 1 of 64, 10,000 queues', { rate: 5, perCpuSecond: 8 }, { queues: 10_000 }),
  send(
    'java-producer',
    'java',
    "Apache's benchmark producer, 64 threads, 1 KiB",
    {},
    { mode: 'java-producer', target: { text: 'the client is what is measured' } },
  ),
  send(
    'start-up',
    'start-up',
    'start to the first stored message; memory idle',
    {},
    {
      mode: 'start-up',
      target: { text: 'time 1/25; memory idle 1/8, loaded 1/15' },
    },
  ),
]
