import { join } from 'node:path'
import { encodeJson, parseFastjson } from '@skylarkmq/remoting/protocol'
import type { Disk, Log } from '@skylarkmq/runtime'
import type { MetadataStore, MetadataTable } from '../types.ts'

/** Apache's file, the table in it, and where its rows are kept here (RocketMQ BrokerPathConfigHelper). */
const FILES = [
  { file: 'topics.json', field: 'topicConfigTable', table: 'topics', version: 'topicDataVersion' },
  { file: 'subscriptionGroup.json', field: 'subscriptionGroupTable', table: 'groups', version: 'groupDataVersion' },
  { file: 'consumerOffset.json', field: 'offsetTable', table: 'offsets', version: undefined },
  { file: 'delayOffset.json', field: 'offsetTable', table: 'delay', version: undefined },
] as const satisfies readonly { file: string; field: string; table: MetadataTable; version: string | undefined }[]

export interface ApacheConfigReport {
  readonly folder: string
  readonly rows: Readonly<Record<string, number>>
}

/**
 * Takes over topics, groups, committed offsets and delay progress that Apache's broker left in `config/*.json`. Only into metadata that
 * has no topic yet: at the first start over a folder of Apache's. Undefined when there was nothing to do.
 */
export function importApacheConfig(
  { disk, log }: { readonly disk: Disk; readonly log: Log },
  rootDirectory: string,
  metadata: MetadataStore,
): ApacheConfigReport | undefined {
  if ([...metadata.entries('topics')].length > 0) return undefined
  const folder = join(rootDirectory, 'config')
  const rows: Record<string, number> = {}
  for (const { file, field, table, version } of FILES) {
    const content = readConfig(disk, log, join(folder, file))
    const entries = Object.entries(asObject(content?.[field]))
    if (content === undefined) continue
    for (const [key, value] of entries) metadata.set(table, key, typeof value === 'object' ? textOf(value) : String(value))
    if (version !== undefined && content['dataVersion'] !== undefined) metadata.set('kv', version, textOf(content['dataVersion']))
    rows[file] = entries.length
  }
  if (Object.keys(rows).length === 0) {
    if (disk.list(join(folder, 'topics')).length > 0) {
      log.warn('this store was kept by Apache with its settings in RocksDB, which cannot be read; export them to JSON there first', {
        folder,
      })
    }
    return undefined
  }
  metadata.flush()
  log.info("Apache's settings were taken over", { folder, ...rows })
  return { folder, rows }
}

/** Writes the four files for Apache's broker, keeping what was there as `.bak`, as Apache does. */
export function exportApacheConfig(
  disk: Disk,
  metadata: MetadataStore,
  folder: string,
  onProgress?: (doneFiles: number, totalFiles: number) => void,
): ApacheConfigReport {
  disk.makeDirectory(folder)
  const rows: Record<string, number> = {}
  for (const { file, field, table, version } of FILES) {
    const entries = [...metadata.entries(table)].map(([key, value]) => [key, JSON.parse(value)] as const)
    const stored = version === undefined ? undefined : metadata.get('kv', version)
    const dataVersion: unknown = stored === undefined ? { counter: 1, stateVersion: 0, timestamp: 0 } : JSON.parse(stored)
    const path = join(folder, file)
    if (disk.exists(path)) disk.rename(path, `${path}.bak`)
    disk.writeTextAtomically(path, `${JSON.stringify({ dataVersion, [field]: Object.fromEntries(entries) }, undefined, 2)}\n`)
    rows[file] = entries.length
    onProgress?.(Object.keys(rows).length, FILES.length)
  }
  return { folder, rows }
}

/** RocketMQ ConfigManager#load: an empty or unreadable file is passed over for its `.bak`. */
function readConfig(disk: Disk, log: Log, path: string): Record<string, unknown> | undefined {
  for (const name of [path, `${path}.bak`]) {
    const text = disk.readText(name)
    if (text === undefined || text.trim() === '') continue
    try {
      return asObject(parseFastjson(text))
    } catch (error) {
      log.warn('a file of settings cannot be read; its older copy is tried', { path: name, error: String(error) })
    }
  }
  return undefined
}

function asObject(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}
}

const textOf = (value: unknown): string => encodeJson(value).toString()
