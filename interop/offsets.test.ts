/**
 * Where groups are, with unmodified clients: a new group misses nothing that is sent after its consumer has started, and Apache's
 * mqadmin moves a group whose consumer is online. What this machine lacks is skipped by name.
 */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { createAdmin } from '@skylarkmq/client'
import type { AdminClient } from '@skylarkmq/client'
import { nodeRuntime } from '@skylarkmq/runtime/node'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { ourCluster } from './src/clusters.ts'
import type { Cluster } from './src/clusters.ts'
import { createTopic, unique } from './src/features.ts'
import { OurProbe } from './src/our-probe.ts'
import type { Probe } from './src/probe.ts'
import { JAVA_FLAGS, aliOnsClient, goClient, jars, javaClient, scratch } from './src/toolchains.ts'
import type { Maker } from './src/toolchains.ts'

const runtime = nodeRuntime()
const ours: Maker = { name: 'skylarkmq', missing: undefined, make: (namesrv) => new OurProbe(namesrv) }
const clients: readonly Maker[] = [javaClient('5.5.0'), javaClient('4.9.8'), goClient(), aliOnsClient(), ours]
const tools = jars('5.5.0', 'servers')

let lastAnswer: Promise<unknown> = Promise.resolve()
/** One at a time: the tool gives a server five seconds, the loading of its own classes included. */
function mqadmin(...words: string[]): Promise<string> {
  const answer = lastAnswer.then(() => runMqadmin(words))
  lastAnswer = answer.catch(() => {})
  return answer
}

async function runMqadmin(words: readonly string[]): Promise<string> {
  if ('missing' in tools) throw new Error(tools.missing)
  const home = scratch('mqadmin')
  const flags = [
    ...JAVA_FLAGS,
    '-Xmx128m',
    '-XX:+UseSerialGC',
    '-XX:TieredStopAtLevel=1',
    `-Duser.home=${home}`,
    `-Drocketmq.home.dir=${home}`,
  ]
  const main = 'org.apache.rocketmq.tools.command.MQAdminStartup'
  const { stdout } = await promisify(execFile)('java', [...flags, '-cp', `${tools.folder}/*`, main, ...words], { timeout: 100_000 })
  return stdout
}

async function until(what: string, condition: () => boolean, found: () => unknown = () => ''): Promise<void> {
  for (let i = 0; i < 3600; i++) {
    if (condition()) return
    await runtime.clock.sleep(50)
  }
  throw new Error(`not within 180 s: ${what}; there is ${JSON.stringify(found())}`)
}

const bodies = (probe: Probe, consumer: string): string[] => probe.deliveries(consumer).map((delivery) => delivery.body)
const named = (prefix: string, count: number) => Array.from({ length: count }, (_, i) => `${prefix}-${i}`)

async function heardOf(group: string): Promise<void> {
  for (let i = 0; i < 6000; i++) {
    try {
      if ((await admin.groups.connection(group)).connectionSet.length > 0) return
    } catch {
      // not yet
    }
    await runtime.clock.sleep(5)
  }
  throw new Error(`the broker never heard of group ${group}`)
}

let cluster: Cluster
let admin: AdminClient
let sender: OurProbe
beforeAll(async () => {
  cluster = await ourCluster({ startOffsetOfNewGroup: 'asked' })
  sender = new OurProbe(cluster.namesrv)
  admin = await createAdmin({ namesrvAddr: cluster.namesrv })
}, 120_000)
afterAll(async () => {
  await admin?.close()
  await sender?.stop()
  await cluster?.stop()
}, 60_000)

describe.concurrent.each(clients.map((maker) => [maker.name, maker] as const))('%s', { timeout: 400_000 }, (_, maker) => {
  const missing = maker.missing
  let probe: Probe
  beforeAll(() => {
    if (missing === undefined) probe = maker.make(cluster.namesrv)
  })
  afterAll(() => probe?.stop(), 30_000)
  const because = missing === undefined ? '' : ` (skipped: ${missing})`

  test.skipIf(missing !== undefined)(
    `a new group at the end: what is sent before is not seen, what is sent after its start is${because}`,
    async () => {
      const topic = await createTopic(cluster)
      await sender.send({ topic, count: 8, prefix: 'old' })
      const [name, group] = [unique('c'), unique('g')]
      await probe.subscribe({ consumer: name, group, topic, from: 'last' })
      // At once after its first heartbeat: no rebalance need have come to the queues yet.
      await heardOf(group)
      await sender.send({ topic, count: 8, prefix: 'new' })
      await until(
        '8 messages',
        () => bodies(probe, name).length >= 8,
        () => bodies(probe, name),
      )
      expect(bodies(probe, name).sort()).toEqual(named('new', 8))
      await probe.unsubscribe(name)
    },
  )

  const noTools = missing ?? ('missing' in tools ? tools.missing : undefined)
  const why = noTools === undefined ? '' : ` (skipped: ${noTools})`
  test.skipIf(noTools !== undefined)(`mqadmin moves its group back while it is online${why}`, async () => {
    const topic = await createTopic(cluster)
    const [name, group] = [unique('c'), unique('g')]
    await probe.subscribe({ consumer: name, group, topic })
    await sender.send({ topic, count: 8, prefix: 'm' })
    await until('8 messages', () => bodies(probe, name).length >= 8)
    const said = await mqadmin('resetOffsetByTime', '-n', cluster.namesrv, '-g', group, '-t', topic, '-s', '0')
    expect(said).toContain(topic)
    await until('the same 8 again', () => bodies(probe, name).length >= 16)
    expect(bodies(probe, name).sort()).toEqual([...named('m', 8), ...named('m', 8)].sort())

    await sender.send({ topic, count: 4, prefix: 'more' })
    await until('it goes on from there', () => bodies(probe, name).length >= 20)
    // Clients tell their offsets some time after their handlers have returned.
    await vi.waitFor(async () => expect((await admin.groups.progress(group, { topic })).diff).toBe(0), { timeout: 60_000, interval: 200 })
    await probe.unsubscribe(name)
    expect((await admin.groups.progress(group, { topic })).diff).toBe(0)
  })
})
