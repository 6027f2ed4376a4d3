/** What `skylark namesrv` and `skylark broker` share: the flags of Apache's start scripts, the file, and what is said about it. */
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { parseArgs } from 'node:util'
import { nearestName, parsePropertiesFile, updatePropertiesFile } from '@skylarkmq/runtime'
import { nodeDisk } from '@skylarkmq/runtime/node'
import type { ConfigDefinition, ConfigFields, ConfigValues, Log } from '@skylarkmq/runtime'
import { UsageError } from './usage-error.ts'

export interface ServerFlags {
  readonly configFile: string | undefined
  readonly namesrvAddr: string | undefined
  readonly printConfig: boolean
  readonly help: boolean
}

/** `-c FILE`, `-n ADDR`, `-p` (and `-m`, Apache's shorter print), `-h`. */
export function parseServerFlags(argv: readonly string[]): ServerFlags {
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        configFile: { type: 'string', short: 'c' },
        namesrvAddr: { type: 'string', short: 'n' },
        printConfigItem: { type: 'boolean', short: 'p' },
        printImportantConfig: { type: 'boolean', short: 'm' },
        help: { type: 'boolean', short: 'h' },
      },
    })
    return {
      configFile: values.configFile,
      namesrvAddr: values.namesrvAddr,
      printConfig: values.printConfigItem === true || values.printImportantConfig === true,
      help: values.help === true,
    }
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : String(error)}; -h lists the flags`)
  }
}

export function readPropertiesFile(file: string): Map<string, string> {
  try {
    return parsePropertiesFile(readFileSync(file, 'utf8'))
  } catch (error) {
    throw new UsageError(`the configuration file ${file} cannot be read: ${error instanceof Error ? error.message : String(error)}`)
  }
}

const PREFIX = 'SKYLARK_'
/** Names of the environment that are no settings of a file. */
const OTHERS: ReadonlySet<string> = new Set(['SKYLARK_LOG_LEVEL', 'SKYLARK_RUN_DIR', 'SKYLARK_HOME', 'SKYLARK_SHUTDOWN_SECONDS'])

/** `listenPort` is SKYLARK_LISTEN_PORT, `brokerIP1` SKYLARK_BROKER_IP1. */
export const environmentName = (key: string): string =>
  PREFIX +
  key
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .replace(/([A-Z])([A-Z][a-z])/g, '$1_$2')
    .toUpperCase()

/** Settings from the environment. A name that no key has is warned of: a misspelt one would be without effect in silence. */
export function readEnvironment<F extends ConfigFields>(
  definition: ConfigDefinition<F>,
  environment: Readonly<Record<string, string | undefined>>,
  warn: (sentence: string) => void,
): Map<string, string> {
  const keys = new Map(Object.keys(definition.fields).map((key) => [environmentName(key), key]))
  const found = new Map<string, string>()
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith(PREFIX) || OTHERS.has(name) || value === undefined) continue
    const key = keys.get(name)
    if (key !== undefined) found.set(key, value)
    else {
      const nearest = nearestName(name, keys.keys())
      warn(
        `the environment variable ${name} names no setting of this server and has no effect${nearest === undefined ? '' : `; did you mean ${nearest}?`}`,
      )
    }
  }
  return found
}

/** Keeps a changed setting in the file of -c, under the comments that are there. */
export function saveInFile(file: string, changes: ReadonlyMap<string, string>): void {
  const disk = nodeDisk()
  disk.writeTextAtomically(file, updatePropertiesFile(disk.readText(file) ?? '', changes))
}

/** Later sources win. Unknown keys are warned of; a bad value is the end. */
export function readConfig<F extends ConfigFields>(
  definition: ConfigDefinition<F>,
  sources: readonly ReadonlyMap<string, string>[],
  warn: (sentence: string) => void,
): ConfigValues<F> {
  const entries = new Map(sources.flatMap((source) => [...source]))
  const { config, problems, unknownKeys } = definition.parse(entries, { home: homedir() })
  for (const { message } of unknownKeys) warn(message)
  if (problems.length > 0) throw new UsageError(problems.map(({ message }) => message).join('\nskylark: '))
  return config
}

export const warnOnStderr = (sentence: string): void => void process.stderr.write(`skylark: ${sentence}\n`)

/** Lines for people at a terminal, JSON by pino for everyone else. SKYLARK_LOG_LEVEL: debug, info (default), warn, error, silent. */
export async function serverLog(): Promise<Log> {
  const levels = ['debug', 'info', 'warn', 'error', 'silent'] as const
  const level = levels.find((name) => name === process.env['SKYLARK_LOG_LEVEL']) ?? 'info'
  if (process.stderr.isTTY) return (await import('@skylarkmq/runtime/node')).consoleLog({ level })
  return (await import('@skylarkmq/runtime/pino')).pinoLog({ level })
}
