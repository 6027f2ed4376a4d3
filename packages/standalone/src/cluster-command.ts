/**
 * Several brokers on one host. A broker's work runs in one thread; what one core cannot carry is shared out as it is in a cluster of many
 * hosts: by brokers, each with its own store and port, among which producers and consumers spread by themselves.
 */
import { mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { BROKER_CONFIG } from '@skylarkmq/broker'
import { updatePropertiesFile } from '@skylarkmq/runtime'
import { nodeDisk } from '@skylarkmq/runtime/node'
import { untilSignal } from './lifetime.ts'
import { readPropertiesFile } from './server-options.ts'
import { SupervisedProcess } from './supervised-process.ts'
import { UsageError } from './usage-error.ts'

/** As many as there are letters. */
const MOST_BROKERS = 26
/** Apache's brokers use a port's neighbours too; the distance is that of distribution/conf/3-brokers-one-host. */
const PORT_STEP = 10

const HELP = `skylark cluster: a NameServer and several brokers on this host, each a process of its own; one that dies is started again

  --brokers COUNT        how many (2); a core each is what they can use
  --namesrv-port PORT    port of the NameServer (9876; 0 picks a free one)
  --port PORT            port of the first broker (10911); the next have ${PORT_STEP} more each (0 picks free ones)
  --host ADDRESS         address to listen on and to tell clients (127.0.0.1)
  --store FOLDER         a folder in it for each server (./skylark-cluster)
  -c FILE                further settings of all brokers, as for skylark broker
  -h, --help             this text

Ctrl-C stops all.
`

export async function runCluster(argv: readonly string[]): Promise<number> {
  const flags = parse(argv)
  if (flags.help) {
    process.stdout.write(HELP)
    return 0
  }
  const print = (line: string): void => void process.stdout.write(`${line}\n`)
  const namesrv = namesrvOf(flags, print)
  const servers = [namesrv.process]
  let stopped: Promise<boolean[]> | undefined
  // Brokers first: they tell the NameServer that they go.
  const stop = (): Promise<boolean[]> =>
    (stopped ??= Promise.all(servers.slice(1).map((server) => server.stop())).then(async (clean) => [
      ...clean,
      await namesrv.process.stop(),
    ]))
  const close = async () => {
    if ((await stop()).includes(false)) throw new Error('a server had to be ended; the lines above say which')
  }
  // Timers and children of the runtime keep no process alive on their own between two starts.
  const alive = setInterval(() => {}, 3_600_000)
  const ended = untilSignal(close, () => print('Stopping …'))
  try {
    await namesrv.process.start()
    for (let index = 0; index < flags.brokers; index++) servers.push(brokerOf(flags, index, namesrv.address(), print))
    await Promise.all(servers.slice(1).map((server) => server.start()))
    print(`\n${flags.brokers} brokers are ready. NameServer ${namesrv.address()}   (give this to your clients). Ctrl-C stops all.`)
    return await ended
  } catch (error) {
    if (stopped !== undefined) return await ended
    await stop()
    throw error
  } finally {
    clearInterval(alive)
  }
}

type Flags = ReturnType<typeof parse>

function namesrvOf(flags: Flags, print: (line: string) => void): { readonly process: SupervisedProcess; address(): string } {
  const folder = join(flags.store, 'namesrv')
  const file = join(folder, 'namesrv.conf')
  let port = flags.namesrvPort
  const write = () =>
    writeSettings(file, {
      listenPort: `${port}`,
      bindAddress: flags.host,
      kvConfigPath: join(folder, 'kvConfig.json'),
      configStorePath: join(folder, 'namesrv.properties'),
    })
  mkdirSync(folder, { recursive: true })
  const supervised = new SupervisedProcess({
    name: 'namesrv',
    args: () => {
      write()
      return ['namesrv', '-c', file]
    },
    ready: /Name Server boot success\..*:(\d+)$/,
    // Whoever was given this port finds it there after a new start, too.
    onReady: (found) => (port = Number(found[1])),
    print,
  })
  return { process: supervised, address: () => `${flags.host.includes(':') ? `[${flags.host}]` : flags.host}:${port}` }
}

function brokerOf(flags: Flags, index: number, namesrvAddr: string, print: (line: string) => void): SupervisedProcess {
  const name = `broker-${String.fromCharCode(97 + index)}`
  const folder = join(flags.store, name)
  const file = join(folder, 'broker.conf')
  let port = flags.port === 0 ? 0 : flags.port + index * PORT_STEP
  mkdirSync(folder, { recursive: true })
  const common = flags.configFile === undefined ? new Map<string, string>() : readPropertiesFile(flags.configFile)
  // One HTTP port each.
  if (common.get('metricsExporterType') === 'PROM') {
    const first = common.get('metricsPromExporterPort') ?? String(BROKER_CONFIG.fields.metricsPromExporterPort.default)
    common.set('metricsPromExporterPort', String(Number(first) + index))
  }
  return new SupervisedProcess({
    name,
    args: () => {
      writeSettings(file, {
        ...Object.fromEntries(common),
        brokerName: name,
        brokerId: '0',
        brokerIP1: flags.host,
        bindAddress: flags.host,
        listenPort: `${port}`,
        namesrvAddr,
        storePathRootDir: join(folder, 'store'),
      })
      return ['broker', '-c', file]
    },
    ready: /^The broker\[.*:(\d+)\] boot success/,
    onReady: (found) => (port = Number(found[1])),
    print,
  })
}

/** What was set on the running server stays in its file, beside what is set here. */
function writeSettings(file: string, settings: Readonly<Record<string, string>>): void {
  const disk = nodeDisk()
  const before = disk.readText(file) ?? '# Written by skylark cluster at each start: ports, names and folders. Other settings stay.\n'
  disk.writeTextAtomically(file, updatePropertiesFile(before, new Map(Object.entries(settings))))
}

function parse(argv: readonly string[]) {
  const values = parseFlags(argv)
  const brokers = number('--brokers', values.brokers ?? '2', 1, MOST_BROKERS)
  const port = number('--port', values.port ?? '10911', 0, 65_535)
  const last = port + (brokers - 1) * PORT_STEP
  if (port !== 0 && last > 65_535)
    throw new UsageError(`--port ${port}: the last of ${brokers} brokers would need port ${last}; choose one below`)
  return {
    help: values.help === true,
    brokers,
    port,
    namesrvPort: number('--namesrv-port', values['namesrv-port'] ?? '9876', 0, 65_535),
    host: values.host ?? '127.0.0.1',
    store: resolve(values.store ?? 'skylark-cluster'),
    configFile: values.configFile,
  }
}

function parseFlags(argv: readonly string[]) {
  const text = { type: 'string' } as const
  try {
    return parseArgs({
      args: [...argv],
      options: {
        brokers: text,
        'namesrv-port': text,
        port: text,
        host: text,
        store: text,
        configFile: { type: 'string', short: 'c' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : String(error)}; skylark cluster -h lists the flags`)
  }
}

function number(flag: string, text: string, least: number, most: number): number {
  const value = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN
  if (!(value >= least && value <= most)) throw new UsageError(`${flag} ${text}: it must be a whole number from ${least} to ${most}`)
  return value
}
