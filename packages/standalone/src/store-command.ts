/** `skylark store …`: looks at, mends and hands over the folder of a broker that is stopped. */
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import type { Runtime } from '@skylarkmq/runtime'
import { consoleLog, nodeRuntime } from '@skylarkmq/runtime/node'
import { checkStore, exportApacheConfig, lockStore, openSqliteMetadata, salvageStore } from '@skylarkmq/store'
import type { CheckOptions, CheckReport, RecoveryReport } from '@skylarkmq/store'
import { readPropertiesFile } from './server-options.ts'
import { UsageError } from './usage-error.ts'

const HELP = `skylark store: the folder of a broker that is stopped (storePathRootDir; default ~/store)

  skylark store check [DIR]          reads everything, changes nothing, says what is damaged; exit code 1 when something is
  skylark store report [DIR]         what the last start found and did
  skylark store salvage [DIR]        puts damaged bytes aside so that all that follows can be read, also by Apache's broker
  skylark store export-config [DIR]  writes topics, groups and offsets to DIR/config/*.json for Apache's broker

  -c, --configFile FILE              take the folders from a broker's file
  --json                             print JSON
`

interface StoreFolders {
  readonly rootDirectory: string
  readonly commitLogDirectory?: string
}

interface Output {
  /** What was found, for --json. */
  readonly value: unknown
  readonly lines: readonly string[]
  readonly exitCode?: number
}

const SHOWN = 50

export async function runStore(argv: readonly string[]): Promise<number> {
  const { positionals, values } = flagsOf(argv)
  const [verb, directory, ...more] = positionals
  if (values.help === true || verb === undefined) {
    process.stdout.write(HELP)
    return values.help === true ? 0 : 2
  }
  if (more.length > 0) throw new UsageError(`one folder is enough: ${more.join(' ')} is too much; -h shows how`)
  const folders = foldersOf(directory, values.configFile)
  if (!existsSync(folders.rootDirectory)) throw new UsageError(`there is no folder ${folders.rootDirectory}; give that of a store`)
  const runtime = nodeRuntime({ log: consoleLog({ level: 'error' }) })
  const amount = verb === 'export-config' ? undefined : gigabytes
  const bar = await progressBar(amount === undefined ? 'writing' : 'reading the log', values.json === true, amount)
  const output = await run(verb, runtime, folders, bar.onProgress).finally(() => bar.end())
  process.stdout.write(values.json === true ? `${JSON.stringify(output.value, undefined, 2)}\n` : `${output.lines.join('\n')}\n`)
  return output.exitCode ?? 0
}

function flagsOf(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: { configFile: { type: 'string', short: 'c' }, json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
    })
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : String(error)}; skylark store -h lists the flags`)
  }
}

function foldersOf(directory: string | undefined, configFile: string | undefined): StoreFolders {
  const settings = configFile === undefined ? new Map<string, string>() : readPropertiesFile(configFile)
  const absolute = (path: string): string => resolve(path.replace(/^~(?=\/|$)/, homedir()))
  const log = settings.get('storePathCommitLog')
  return {
    rootDirectory: absolute(directory ?? settings.get('storePathRootDir') ?? '~/store'),
    ...(log ? { commitLogDirectory: absolute(log) } : {}),
  }
}

async function run(verb: string, runtime: Runtime, folders: StoreFolders, onProgress: OnProgress | undefined): Promise<Output> {
  const options: CheckOptions = { ...folders, ...(onProgress === undefined ? {} : { onProgress }) }
  switch (verb) {
    case 'check': {
      const report = await checkStore(runtime, options)
      return { value: report, lines: describeCheck(report), exitCode: report.problems > 0 ? 1 : 0 }
    }
    case 'salvage': {
      const report = await salvageStore(runtime, options)
      const lines = report.contained.map(({ offset, bytes, savedTo }) => `${bytes} bytes at ${offset} are kept in ${savedTo ?? 'no file'}`)
      if (report.viewsRemoved) lines.push('Consume queues and key index are derived anew by the next start.')
      return { value: report, lines: [...describeCheck(report.found), ...lines] }
    }
    case 'report':
      return lastReport(folders.rootDirectory, runtime)
    case 'export-config':
      return await exportConfig(runtime, folders.rootDirectory, onProgress)
    default:
      throw new UsageError(`skylark store has no ${verb}: it has check, report, salvage and export-config`)
  }
}

function lastReport(rootDirectory: string, { disk }: Runtime): Output {
  const path = join(rootDirectory, 'skylark', 'recovery-report.json')
  const text = disk.readText(path)
  if (text === undefined) throw new UsageError(`there is no ${path}: no broker of ours has been started on this folder`)
  const report = JSON.parse(text) as RecoveryReport
  return { value: report, lines: [report.text] }
}

async function exportConfig(runtime: Runtime, rootDirectory: string, onProgress: OnProgress | undefined): Promise<Output> {
  const lock = await lockStore(runtime.disk, rootDirectory)
  try {
    const metadata = await openSqliteMetadata(runtime, join(rootDirectory, 'skylark', 'metadata.db'))
    try {
      const report = exportApacheConfig(runtime.disk, metadata, join(rootDirectory, 'config'), onProgress)
      return { value: report, lines: Object.entries(report.rows).map(([file, rows]) => `${join(report.folder, file)}: ${rows} entries`) }
    } finally {
      metadata.close()
    }
  } finally {
    lock.release()
  }
}

type OnProgress = (done: number, total: number) => void

const gigabytes = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`

/** For a person at a terminal only. */
async function progressBar(what: string, isJson: boolean, amount?: (value: number) => string) {
  if (isJson || process.stderr.isTTY !== true) return { onProgress: undefined, end() {} }
  const { drawProgress } = await import('@skylarkmq/tools')
  const write = (text: string): void => void process.stderr.write(text)
  const bar = drawProgress({ what, write, now: () => performance.now(), ...(amount === undefined ? {} : { amount }) })
  return { onProgress: bar.at, end: bar.end }
}

function describeCheck(report: CheckReport): string[] {
  const lines = [
    `${report.records} records in ${report.segments} files, log positions ${report.logFrom} to ${report.logTo}; ` +
      `${report.topics} topics, ${report.queues} queues, ${report.keys} keys. The last stop was ${report.cleanStop ? '' : 'not '}clean.`,
    ...listed(report.damaged, ({ offset, bytes, why }) => `damaged: ${bytes} bytes at ${offset}: ${why}`),
    ...listed(report.lost, ({ topic, queueId, from, to }) => `lost: messages ${from} to ${to - 1} of ${topic}/${queueId}`),
    ...listed(report.views, (sentence) => `differs from the log: ${sentence}`),
  ]
  if (report.rebuiltBecause !== undefined) lines.push(`The next start derives queues and index anew: ${report.rebuiltBecause}.`)
  if (report.tornEnd !== undefined) lines.push(`The log's end is torn, and is cut by the next start: ${report.tornEnd}.`)
  lines.push(
    report.problems === 0 ? 'Nothing is wrong.' : `${report.problems} problems. \`skylark store salvage\` puts damaged bytes aside.`,
  )
  return lines
}

function listed<T>(list: readonly T[], say: (each: T) => string): string[] {
  const lines = list.slice(0, SHOWN).map(say)
  return list.length > SHOWN ? [...lines, `… and ${list.length - SHOWN} more; --json lists them`] : lines
}
