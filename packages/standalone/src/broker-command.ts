import { hostname, networkInterfaces } from 'node:os'
import { BROKER_CONFIG, startBroker } from '@skylarkmq/broker'
import { nodeRuntime } from '@skylarkmq/runtime/node'
import { observation } from './observe/start.ts'
import { untilSignal, writePidFile } from './lifetime.ts'
import { parseServerFlags, readConfig, readEnvironment, readPropertiesFile, saveInFile, serverLog, warnOnStderr } from './server-options.ts'

const HELP = `skylark broker (mqbroker): a broker; keeps messages and serves producers and consumers

  -c, --configFile FILE     settings as key=value lines, under Apache RocketMQ's names
  -n, --namesrvAddr ADDR    NameServers, host:port separated by semicolons; before namesrvAddr in FILE and NAMESRV_ADDR in the environment
  -p, --printConfigItem     print the effective settings and exit
  -h, --help                this text

Every setting may come from the environment, too: listenPort is SKYLARK_LISTEN_PORT; it goes before FILE.
`

export async function runBroker(argv: readonly string[]): Promise<number> {
  const flags = parseServerFlags(argv)
  if (flags.help) return print(HELP)
  const environment = process.env['NAMESRV_ADDR']
  const sources = [
    new Map([
      ['brokerName', hostname()],
      ['brokerIP1', firstAddress()],
    ]),
    new Map(environment ? [['namesrvAddr', environment] as const] : []),
    flags.configFile === undefined ? new Map<string, string>() : readPropertiesFile(flags.configFile),
    readEnvironment(BROKER_CONFIG, process.env, warnOnStderr),
    new Map(flags.namesrvAddr === undefined ? [] : [['namesrvAddr', flags.namesrvAddr] as const]),
  ]
  const config = readConfig(BROKER_CONFIG, sources, warnOnStderr)
  if (flags.printConfig) return print(BROKER_CONFIG.effectiveText(config))

  const observed = observation(nodeRuntime({ log: await serverLog() }), config)
  const { runtime } = observed
  const { configFile } = flags
  const saving = configFile === undefined ? {} : { saveSettings: (changes: ReadonlyMap<string, string>) => saveInFile(configFile, changes) }
  const broker = await startBroker(runtime, config, saving)
  // Before anything is said: whoever reads that it is ready may stop it at once.
  const ended = untilSignal(
    () => broker.close(),
    (signal) => runtime.log.info('stopping', { signal }),
  )
  const removePidFile = writePidFile('broker', broker.port)
  const nameServers = config.namesrvAddr === '' ? '' : ` and name server is ${config.namesrvAddr}`
  print(`The broker[${config.brokerName}, ${broker.address}] boot success. serializeType=JSON${nameServers}\n`)
  const observer = await observed.start(
    { name: 'broker', figures: () => broker.figures(), unready: () => broker.unready() },
    config.namesrvAddr,
  )
  const code = await ended
  await observer?.close()
  removePidFile()
  runtime.log.info('stopped')
  return code
}

function print(text: string): number {
  process.stdout.write(text)
  return 0
}

/** The first address by which other machines reach this one, or the loopback where there is none. */
function firstAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return addresses.find(({ internal, family }) => !internal && family === 'IPv4')?.address ?? '127.0.0.1'
}
