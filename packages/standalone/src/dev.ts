import { parseArgs } from 'node:util'
import { resolve } from 'node:path'
import { BROKER_CONFIG } from '@skylarkmq/broker'
import { consoleLog, nodeRuntime } from '@skylarkmq/runtime/node'
import { untilSignal } from './lifetime.ts'
import { startLocal } from './local.ts'
import { readConfig, readPropertiesFile, warnOnStderr } from './server-options.ts'
import { UsageError } from './usage-error.ts'

const HELP = `skylark dev: NameServer and broker in this process, for development; topics are created when they are asked for

  --namesrv-port PORT    port of the NameServer (9876; 0 picks a free one)
  --port PORT            port of the broker (10911; 0 picks a free one)
  --host ADDRESS         address to listen on and to tell clients (127.0.0.1)
  --store FOLDER         where messages are kept (./skylark-data)
  -c FILE                further settings of the broker, as for skylark broker
  -h, --help             this text
`

export async function runDev(argv: readonly string[]): Promise<number> {
  const options = parseDevFlags(argv)
  if (options.help) {
    process.stdout.write(HELP)
    return 0
  }
  const runtime = nodeRuntime({ log: consoleLog({ level: 'warn' }) })
  const local = await startLocal(runtime, options)
  // Before anything is said: whoever reads that it is ready may stop it at once.
  const ended = untilSignal(
    () => local.close(),
    () => void process.stdout.write('\nStopping …\n'),
  )
  process.stdout.write(greeting(local.namesrvAddr, local.brokerAddr, options.storePath))
  const code = await ended
  if (code === 0) process.stdout.write('Stopped cleanly. All messages are on disk.\n')
  return code
}

function parseDevFlags(argv: readonly string[]) {
  const { values } = parse(argv)
  const file = values.configFile === undefined ? {} : Object.fromEntries(changedKeys(readPropertiesFile(values.configFile)))
  return {
    help: values.help === true,
    namesrvPort: port('--namesrv-port', values['namesrv-port'] ?? '9876'),
    brokerPort: port('--port', values.port ?? '10911'),
    host: values.host ?? '127.0.0.1',
    storePath: resolve(values.store ?? 'skylark-data'),
    broker: file,
  }
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      options: {
        'namesrv-port': { type: 'string' },
        port: { type: 'string' },
        host: { type: 'string' },
        store: { type: 'string' },
        configFile: { type: 'string', short: 'c' },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : String(error)}; skylark dev -h lists the flags`)
  }
}

/** Only what the file sets: everything else keeps the defaults of development. */
function changedKeys(entries: ReadonlyMap<string, string>): [string, unknown][] {
  const config = readConfig(BROKER_CONFIG, [entries], warnOnStderr)
  return Object.entries(config).filter(([name]) => entries.has(name))
}

function port(flag: string, text: string): number {
  const value = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN
  if (!(value <= 65535)) throw new UsageError(`${flag} ${text}: it must be a port from 0 to 65535`)
  return value
}

const greeting = (namesrvAddr: string, brokerAddr: string, storePath: string): string => `
SkylarkMQ is ready.

  NameServer  ${namesrvAddr}   (give this to your clients)
  Broker      ${brokerAddr}
  Messages    ${storePath}

Try, in another terminal:

  npx skylark sendMessage -n ${namesrvAddr} -t hello -p "first message"
  npx skylark consumeMessage -n ${namesrvAddr} -t hello
  npx skylark clusterList -n ${namesrvAddr}

Ctrl-C stops.
`
