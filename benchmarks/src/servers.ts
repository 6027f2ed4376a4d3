/** NameServer and broker of ours and of Apache, each pair started alike, in a folder of its own. */
import type { ChildProcess } from 'node:child_process'
import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../scripts/free-ports.ts'
import { JAVA_FLAGS, jars, scratch } from '../../interop/src/toolchains.ts'
import { sendTemplate } from './requests.ts'
import { NumberField, Wire } from './wire.ts'

export const APACHE_VERSION = '5.5.0'
export const SIDES = ['ours', 'apache'] as const
export type Side = (typeof SIDES)[number]

export interface Servers {
  readonly side: Side | 'floor'
  readonly host: string
  readonly port: number
  readonly namesrv: string
  readonly brokerPid: number
  /** By SIGKILL unless told otherwise: nothing is read from their files again. */
  stop(signal?: NodeJS.Signals): Promise<void>
}

const HOST = '127.0.0.1'
const CLOCK_TICKS_PER_SECOND = 100
const GIVE_UP_MS = 90_000

/** What both brokers are told, beside their ports and folders. `overrides` go to both. */
export const COMMON_CONFIG: Readonly<Record<string, string>> = {
  brokerClusterName: 'BenchCluster',
  brokerName: 'broker-a',
  brokerId: '0',
  brokerIP1: HOST,
  autoCreateTopicEnable: 'true',
  flushDiskType: 'ASYNC_FLUSH',
}
export const JAVA_HEAP = ['-Xms4g', '-Xmx4g', '-XX:MaxDirectMemorySize=4g']
export const JAVA_NAMESRV_HEAP = ['-Xms256m', '-Xmx256m']

export interface StartOptions {
  /** Our broker runs unbundled under V8's profiler, which writes here when it has stopped. */
  readonly profileFolder?: string
}

export async function startServers(
  side: Side,
  overrides: Readonly<Record<string, string>> = {},
  { profileFolder }: StartOptions = {},
): Promise<Servers> {
  const home = scratch(`bench-${side}`)
  const [namesrvPort, port] = [await freePort(), await freePort()]
  const namesrv = `${HOST}:${namesrvPort}`
  mkdirSync(join(home, 'conf'))
  const properties = (entries: Readonly<Record<string, string>>) =>
    Object.entries(entries)
      .map(([key, value]) => `${key}=${value}\n`)
      .join('')
  const files = { namesrv: join(home, 'namesrv.conf'), broker: join(home, 'broker.conf') }
  writeFileSync(
    files.namesrv,
    properties({ listenPort: `${namesrvPort}`, kvConfigPath: `${home}/kv.json`, configStorePath: `${home}/ns.properties` }),
  )
  const store = { storePathRootDir: `${home}/store`, ...(side === 'apache' ? { storePathCommitLog: `${home}/store/commitlog` } : {}) }
  writeFileSync(files.broker, properties({ ...COMMON_CONFIG, ...store, namesrvAddr: namesrv, listenPort: `${port}`, ...overrides }))
  const launch = side === 'ours' ? launchOurs : launchApache(home)
  const broker = profileFolder === undefined ? launch('broker', files.broker) : launchProfiled(files.broker, profileFolder)
  const children = [launch('namesrv', files.namesrv), broker]
  const stop = async (signal: NodeJS.Signals = 'SIGKILL') => {
    await Promise.all(children.map((child) => end(child, signal)))
    rmSync(home, { recursive: true, force: true, maxRetries: 3 })
  }
  try {
    await acceptsSends(port, () => children.find((child) => child.exitCode !== null) !== undefined)
  } catch (error) {
    await stop()
    throw error
  }
  return { side, host: HOST, port, namesrv, brokerPid: children[1]?.pid as number, stop }
}

/** A server that does nothing but answer: what is late beside it is not late because of a broker. */
export async function startFloor(): Promise<Servers> {
  const child = fork(join(import.meta.dirname, 'floor-server.ts'), { execArgv: ['--conditions=source', '--import', 'tsx'] })
  const [port] = (await once(child, 'message')) as [number]
  return { side: 'floor', host: HOST, port, namesrv: '', brokerPid: child.pid as number, stop: () => end(child, 'SIGKILL') }
}

function launchOurs(what: 'namesrv' | 'broker', file: string): ChildProcess {
  const script = join(import.meta.dirname, '../../distribution/bin', what === 'broker' ? 'mqbroker' : 'mqnamesrv')
  return spawn(script, ['-c', file], { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, SKYLARK_LOG_LEVEL: 'warn' } })
}

function launchProfiled(file: string, folder: string): ChildProcess {
  const main = join(import.meta.dirname, '../../packages/standalone/dist/main.js')
  const run = `import(${JSON.stringify(main)}).then(({ runSkylark }) => runSkylark(['broker', '-c', ${JSON.stringify(file)}]))`
  const env = { ...process.env, SKYLARK_LOG_LEVEL: 'warn', UV_THREADPOOL_SIZE: '8' }
  return spawn('node', ['--cpu-prof', `--cpu-prof-dir=${folder}`, '-e', run], { stdio: ['ignore', 'ignore', 'inherit'], env })
}

const launchApache = (home: string) => {
  const found = jars(APACHE_VERSION, 'servers')
  if ('missing' in found) throw new Error(found.missing)
  return (what: 'namesrv' | 'broker', file: string): ChildProcess => {
    const main = what === 'broker' ? 'org.apache.rocketmq.broker.BrokerStartup' : 'org.apache.rocketmq.namesrv.NamesrvStartup'
    const heap = what === 'broker' ? JAVA_HEAP : JAVA_NAMESRV_HEAP
    const directories = [`-Drocketmq.home.dir=${home}`, `-Duser.home=${home}`]
    const args = [...JAVA_FLAGS, ...heap, ...directories, '-cp', `${found.folder}/*`, main, '-c', file]
    return spawn('java', args, { stdio: 'ignore', cwd: home })
  }
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill(signal)
  await once(child, 'exit')
}

/** Tries a send every 10 ms until one is stored. */
async function acceptsSends(port: number, hasDied: () => boolean): Promise<void> {
  const { frame } = sendTemplate('StartUp', '0', 100)
  const began = performance.now()
  for (;;) {
    if (await storesOne(port, frame)) return
    if (hasDied()) throw new Error('a server ended while it should have started')
    if (performance.now() - began > GIVE_UP_MS) throw new Error(`the broker at port ${port} stored nothing within ${GIVE_UP_MS} ms`)
    await sleep(10)
  }
}

async function storesOne(port: number, frame: Buffer): Promise<boolean> {
  const isOpen = await new Promise<boolean>((resolve) => {
    const socket = net.connect(port, HOST, () => resolve(true))
    socket.once('error', () => resolve(false)).once('connect', () => socket.destroy())
  })
  if (!isOpen) return false
  return new Promise((resolve) => {
    const sink = {
      onHeader: (header: Buffer, start: number, stop: number) => {
        wire.then((open) => open.close())
        resolve(new NumberField('"code":').of(header, start, stop) === 0)
        return false
      },
      onRead() {},
    }
    const wire = Wire.connect(HOST, port, sink)
    wire.then(
      (open) => open.write(frame),
      () => resolve(false),
    )
    setTimeout(() => resolve(false), 3000)
  })
}

/** User and system CPU seconds of a process so far, all its threads. */
export function cpuSeconds(pid: number): number {
  const { user, kernel } = cpuSplit(pid)
  return user + kernel
}

export function cpuSplit(pid: number): { readonly user: number; readonly kernel: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return { user: Number(fields[11]) / CLOCK_TICKS_PER_SECOND, kernel: Number(fields[12]) / CLOCK_TICKS_PER_SECOND }
}

export const residentMib = (pid: number, field: 'VmRSS' | 'VmHWM' = 'VmRSS'): number =>
  Number(new RegExp(`${field}:\\s*(\\d+) kB`).exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
