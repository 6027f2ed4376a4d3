/** What `skylark namesrv` and `skylark broker` share: the flags of Apache's start scripts, the file, and what is said about it. */
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { parseArgs } from 'node:util'
import { parsePropertiesFile } from '@skylarkmq/runtime'
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
