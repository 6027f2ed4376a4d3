import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { nodeRuntime } from '@skylarkmq/runtime/node'
import { NAMESRV_CONFIG, startNamesrv } from '@skylarkmq/namesrv'
import { observation } from './observe/start.ts'
import { untilSignal, writePidFile } from './lifetime.ts'
import { parseServerFlags, readConfig, readEnvironment, readPropertiesFile, serverLog, warnOnStderr } from './server-options.ts'

const HELP = `skylark namesrv (mqnamesrv): a NameServer; brokers register with it, clients ask it for routes

  -c, --configFile FILE    settings as key=value lines, under Apache RocketMQ's names
  -p, --printConfigItem    print the effective settings and exit
  -h, --help               this text

Every setting may come from the environment, too: listenPort is SKYLARK_LISTEN_PORT; it goes before FILE.
`

export async function runNamesrv(argv: readonly string[]): Promise<number> {
  const flags = parseServerFlags(argv)
  if (flags.help) return print(HELP)
  const file = flags.configFile === undefined ? new Map<string, string>() : readPropertiesFile(flags.configFile)
  // As with Apache's, changes go into the file of -c, unless that names another place for them.
  if (flags.configFile !== undefined && !file.has('configStorePath')) file.set('configStorePath', flags.configFile)
  const environment = readEnvironment(NAMESRV_CONFIG, process.env, warnOnStderr)
  const { configStorePath } = NAMESRV_CONFIG.parse([...file, ...environment], { home: homedir() }).config
  const changes = configStorePath !== flags.configFile && existsSync(configStorePath) ? readPropertiesFile(configStorePath) : new Map()
  const config = readConfig(NAMESRV_CONFIG, [file, changes, environment], warnOnStderr)
  if (flags.printConfig) return print(NAMESRV_CONFIG.effectiveText(config))

  const observed = observation(nodeRuntime({ log: await serverLog() }), config)
  const { runtime } = observed
  const namesrv = await startNamesrv(runtime, config)
  // Before anything is said: whoever reads that it is ready may stop it at once.
  const ended = untilSignal(
    () => namesrv.close(),
    (signal) => runtime.log.info('stopping', { signal }),
  )
  const removePidFile = writePidFile('namesrv', namesrv.port)
  print(`The Name Server boot success. serializeType=JSON, address ${namesrv.host}:${namesrv.port}\n`)
  const own = `${config.bindAddress === '0.0.0.0' ? '127.0.0.1' : config.bindAddress}:${namesrv.port}`
  const observer = await observed.start({ name: 'namesrv', figures: () => namesrv.figures(), unready: () => namesrv.unready() }, own)
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
