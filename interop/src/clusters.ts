/** Two clusters for the same tests: ours (the product's own start command) and Apache's, each in processes of its own. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createRemotingClient } from '@skylarkmq/remoting'
import { decodeClusterInfo, GetBrokerClusterInfo } from '@skylarkmq/remoting/protocol'
import { nodeRuntime } from '@skylarkmq/runtime/node'
import { freePorts } from '../../scripts/free-ports.ts'
import { JAVA_FLAGS, jars, scratch } from './toolchains.ts'

export interface Cluster {
  readonly name: string
  readonly namesrv: string
  readonly cluster: string
  stop(): Promise<void>
  /** Ends the broker as a power button does; `restart` starts it again on the same files. */
  killBroker?(): Promise<void>
  restartBroker?(): Promise<void>
}

async function waitForBroker(namesrv: string, seconds: number, alive: () => string | undefined): Promise<string> {
  const runtime = nodeRuntime()
  const client = createRemotingClient({ runtime })
  try {
    for (let i = 0; i < seconds * 10; i++) {
      const dead = alive()
      if (dead) throw new Error(dead)
      try {
        const answer = await client.invoke(namesrv, GetBrokerClusterInfo, {}, { timeoutMs: 1000 })
        const clusters = Object.keys(decodeClusterInfo(answer.body).clusterAddrTable)
        if (clusters[0]) return clusters[0]
      } catch {
        // not listening yet
      }
      await runtime.clock.sleep(100)
    }
    throw new Error(`no broker registered at ${namesrv} within ${seconds} s`)
  } finally {
    client.close()
  }
}

/** What clients are told of the only broker. */
export async function brokerAddress(namesrv: string): Promise<string> {
  const client = createRemotingClient({ runtime: nodeRuntime() })
  try {
    const answer = await client.invoke(namesrv, GetBrokerClusterInfo, {}, { timeoutMs: 5000 })
    return Object.values(decodeClusterInfo(answer.body).brokerAddrTable)[0]?.brokerAddrs['0'] as string
  } finally {
    client.close()
  }
}

export function start(command: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env) {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env })
  let output = ''
  const keep = (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-8000)
  }
  child.stdout?.on('data', keep)
  child.stderr?.on('data', keep)
  const ending = () => child.exitCode ?? child.signalCode
  return { child, dead: () => (ending() === null ? undefined : `${command} ended with ${ending()}: ${output}`) }
}

export async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = new Promise((resolve) => child.once('exit', resolve))
  child.kill(signal)
  const killer = setTimeout(() => child.kill('SIGKILL'), 20_000)
  await exited
  clearTimeout(killer)
}

/** A port may be taken between the look and the listen, and a JVM may find no memory: what does not come up is tried again elsewhere. */
async function secondChance(startOnce: () => Promise<Cluster>): Promise<Cluster> {
  try {
    return await startOnce()
  } catch (error) {
    console.warn(`a cluster did not start, one more try: ${String(error)}`)
    return await startOnce()
  }
}

/** A cluster that does not come up leaves nothing running. */
async function orEnd<T>(started: readonly { readonly child: ChildProcess }[], ready: Promise<T>): Promise<T> {
  try {
    return await ready
  } catch (error) {
    await Promise.all(started.map(({ child }) => end(child, 'SIGKILL')))
    throw error
  }
}

const bin = join(import.meta.dirname, '../../distribution/bin')

export const ourCluster = (brokerConf: Record<string, string> = {}): Promise<Cluster> => secondChance(() => startOurs(brokerConf))

export const apacheCluster = (version = '5.5.0', brokerConf: Record<string, string> = {}): Promise<Cluster> =>
  secondChance(() => startApaches(version, brokerConf))

async function startOurs(brokerConf: Record<string, string>): Promise<Cluster> {
  const home = scratch('ours')
  const [nsPort, port] = (await freePorts(2)) as [number, number]
  const namesrv = `127.0.0.1:${nsPort}`
  writeFileSync(join(home, 'namesrv.conf'), `listenPort=${nsPort}\nkvConfigPath=${home}/kv.json\nconfigStorePath=${home}/ns.properties\n`)
  const conf = {
    brokerClusterName: 'DefaultCluster',
    brokerName: 'broker-a',
    brokerId: '0',
    brokerIP1: '127.0.0.1',
    listenPort: String(port),
    namesrvAddr: namesrv,
    storePathRootDir: join(home, 'store'),
    mappedFileSizeCommitLog: '67108864',
    autoCreateTopicEnable: 'true',
    ...brokerConf,
  }
  writeFileSync(
    join(home, 'broker.conf'),
    Object.entries(conf)
      .map(([k, v]) => `${k}=${v}\n`)
      .join(''),
  )
  const ns = start(join(bin, 'mqnamesrv'), ['-c', join(home, 'namesrv.conf')])
  let broker = start(join(bin, 'mqbroker'), ['-c', join(home, 'broker.conf')])
  const cluster = await orEnd(
    [ns, broker],
    waitForBroker(namesrv, 30, () => ns.dead() ?? broker.dead()),
  )
  return {
    name: 'skylarkmq',
    namesrv,
    cluster,
    async stop() {
      await end(broker.child, 'SIGTERM')
      await end(ns.child, 'SIGTERM')
    },
    killBroker: () => end(broker.child, 'SIGKILL'),
    async restartBroker() {
      broker = start(join(bin, 'mqbroker'), ['-c', join(home, 'broker.conf')])
      await waitForBroker(namesrv, 30, broker.dead)
    },
  }
}

async function startApaches(version: string, brokerConf: Record<string, string>): Promise<Cluster> {
  const found = jars(version, 'servers')
  if ('missing' in found) throw new Error(found.missing)
  const home = scratch('apache')
  mkdirSync(join(home, 'conf'), { recursive: true })
  const [nsPort, port] = (await freePorts(2)) as [number, number]
  const namesrv = `127.0.0.1:${nsPort}`
  writeFileSync(join(home, 'namesrv.conf'), `listenPort=${nsPort}\nkvConfigPath=${home}/kv.json\nconfigStorePath=${home}/ns.properties\n`)
  writeFileSync(
    join(home, 'broker.conf'),
    [
      'brokerClusterName=DefaultCluster',
      'brokerName=broker-a',
      'brokerId=0',
      'brokerIP1=127.0.0.1',
      `namesrvAddr=${namesrv}`,
      `listenPort=${port}`,
      `storePathRootDir=${home}/store`,
      `storePathCommitLog=${home}/store/commitlog`,
      'mappedFileSizeCommitLog=67108864',
      'autoCreateTopicEnable=true',
      'enablePropertyFilter=true',
      // On a slow machine a cold broker drops what waited 200 ms, and nobody learns it of a one-way message.
      'waitTimeMillsInSendQueue=30000',
      ...Object.entries(brokerConf).map(([key, value]) => `${key}=${value}`),
    ].join('\n'),
  )
  const java = (main: string, conf: string, heap: string) =>
    start('java', [
      ...JAVA_FLAGS,
      `-Xms${heap}`,
      `-Xmx${heap}`,
      '-XX:MaxDirectMemorySize=512m',
      `-Drocketmq.home.dir=${home}`,
      `-Duser.home=${home}`,
      '-cp',
      `${found.folder}/*`,
      main,
      '-c',
      conf,
    ])
  const ns = java('org.apache.rocketmq.namesrv.NamesrvStartup', join(home, 'namesrv.conf'), '128m')
  const broker = java('org.apache.rocketmq.broker.BrokerStartup', join(home, 'broker.conf'), '512m')
  const cluster = await orEnd(
    [ns, broker],
    waitForBroker(namesrv, 180, () => ns.dead() ?? broker.dead()),
  )
  return {
    name: `apache-${version}`,
    namesrv,
    cluster,
    async stop() {
      await end(broker.child, 'SIGKILL')
      await end(ns.child, 'SIGKILL')
    },
  }
}
