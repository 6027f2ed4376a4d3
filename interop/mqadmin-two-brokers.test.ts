/**
 * Apache's mqadmin over a cluster of two brokers, ours and Apache's: the commands that ask every broker and put the answers together, or
 * change something at all of them. What this machine lacks is skipped by name.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createRemotingClient } from '@skylarkmq/remoting'
import { GetBrokerClusterInfo, decodeClusterInfo } from '@skylarkmq/remoting/protocol'
import { nodeRuntime } from '@skylarkmq/runtime/node'
import { beforeAll, describe, expect, test } from 'vitest'
import { freePorts } from '../scripts/free-ports.ts'
import { apacheCluster, end, ourCluster, start } from './src/clusters.ts'
import type { Cluster } from './src/clusters.ts'
import { adminMissing, comparable, runAll, steps, withoutAdvice } from './src/mqadmin.ts'
import { JAVA_FLAGS, jars, scratch } from './src/toolchains.ts'

const missing = adminMissing()
const VERSION = '5.5.0'
const STEPS = steps('mqadmin-two-brokers.tsv')
/** Their lists have more names than ours: of settings that mean nothing here. */
const LISTS: Readonly<Record<string, readonly string[]>> = {
  brokerStatus: ['putTps', 'getTotalTps', 'msgPutTotalTodayNow', 'runtime', 'commitLogMaxOffset', 'putLatency99', 'timerCongestNum'],
  getBrokerConfig: ['brokerName', 'brokerClusterName', 'namesrvAddr', 'fileReservedTime', 'flushDiskType'],
}

const bin = join(import.meta.dirname, '../distribution/bin')

/** Adds broker-b to a cluster that runs. */
async function withSecondBroker(startFirst: () => Promise<Cluster>): Promise<Cluster & { readonly broker: string }> {
  const first = await startFirst()
  const home = scratch('second')
  const [port] = (await freePorts(1)) as [number]
  mkdirSync(join(home, 'conf'), { recursive: true })
  const file = join(home, 'broker.conf')
  const conf = {
    brokerClusterName: 'DefaultCluster',
    brokerName: 'broker-b',
    brokerId: 0,
    brokerIP1: '127.0.0.1',
    listenPort: port,
    namesrvAddr: first.namesrv,
    storePathRootDir: `${home}/store`,
    storePathCommitLog: `${home}/store/commitlog`,
    mappedFileSizeCommitLog: 67_108_864,
    autoCreateTopicEnable: true,
    waitTimeMillsInSendQueue: 30_000,
  }
  writeFileSync(
    file,
    Object.entries(conf)
      .map(([key, value]) => `${key}=${value}\n`)
      .join(''),
  )
  const second = first.name === 'skylarkmq' ? start(join(bin, 'mqbroker'), ['-c', file]) : startApaches(home, file)
  const stop = async () => {
    await end(second.child, first.name === 'skylarkmq' ? 'SIGTERM' : 'SIGKILL')
    await first.stop()
  }
  try {
    const addresses = await bothBrokers(first.namesrv, second.dead)
    return { ...first, broker: addresses['broker-a'] as string, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

function startApaches(home: string, file: string) {
  const found = jars(VERSION, 'servers')
  if ('missing' in found) throw new Error(found.missing)
  const memory = ['-Xms384m', '-Xmx384m', '-XX:MaxDirectMemorySize=256m', `-Drocketmq.home.dir=${home}`, `-Duser.home=${home}`]
  return start('java', [...JAVA_FLAGS, ...memory, '-cp', `${found.folder}/*`, 'org.apache.rocketmq.broker.BrokerStartup', '-c', file])
}

/** By name, once the NameServer knows both. */
async function bothBrokers(namesrv: string, dead: () => string | undefined): Promise<Readonly<Record<string, string>>> {
  const runtime = nodeRuntime()
  const client = createRemotingClient({ runtime })
  try {
    for (let i = 0; i < 1800; i++) {
      const ended = dead()
      if (ended) throw new Error(ended)
      const answer = await client.invoke(namesrv, GetBrokerClusterInfo, {}, { timeoutMs: 60_000 })
      const found = Object.values(decodeClusterInfo(answer.body).brokerAddrTable)
      if (found.length === 2) return Object.fromEntries(found.map((one) => [one.brokerName, one.brokerAddrs['0'] as string]))
      await runtime.clock.sleep(100)
    }
    throw new Error(`broker-b did not register at ${namesrv} within 180 s`)
  } finally {
    client.close()
  }
}

async function outputs(startFirst: () => Promise<Cluster>): Promise<ReadonlyMap<string, string>> {
  const cluster = await withSecondBroker(startFirst)
  try {
    return await runAll(cluster, STEPS)
  } finally {
    await cluster.stop()
  }
}

describe.skipIf(missing !== undefined)(`mqadmin over two brokers ${missing ? ` (skipped: ${missing})` : ''}`, () => {
  let ours: ReadonlyMap<string, string>
  let apaches: ReadonlyMap<string, string>
  beforeAll(async () => {
    ;[ours, apaches] = await Promise.all([outputs(() => ourCluster()), outputs(() => apacheCluster(VERSION))])
  }, 400_000)

  test.each(STEPS.map((step) => [step.name, step] as const))('%s', (name, step) => {
    const [mine, theirs] = [ours.get(name) ?? '', apaches.get(name) ?? '']
    const names = LISTS[name]
    if (names === undefined)
      return expect(withoutAdvice(comparable(step, mine), comparable(step, theirs))).toEqual(comparable(step, theirs))
    // Of each broker once.
    for (const output of [mine, theirs]) {
      const counts = names.map((one) => [one, [...output.matchAll(new RegExp(`^(?:\\S+\\s+)?${one}\\s*[:=]`, 'gm'))].length])
      expect(counts).toEqual(names.map((one) => [one, 2]))
    }
  })
})
