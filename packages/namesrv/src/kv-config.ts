import { RocketError } from '@skylarkmq/remoting/protocol'
import type { Disk } from '@skylarkmq/runtime'
import { KV_CONFIG_BYTES } from './limits.ts'

export const ORDER_TOPIC_CONFIG = 'ORDER_TOPIC_CONFIG'

/**
 * Settings in namespaces, kept in a file of RocketMQ's form (`KVConfigManager`: `{"configTable":{namespace:{key:value}}}`). The only
 * thing that a NameServer remembers over a restart. A change is answered after the file has been replaced.
 */
export class KvConfig {
  readonly #disk: Disk
  readonly #path: string
  #table: ReadonlyMap<string, ReadonlyMap<string, string>>

  constructor(disk: Disk, path: string) {
    this.#disk = disk
    this.#path = path
    this.#table = readTable(disk.readText(path), path)
  }

  get(namespace: string, key: string): string | undefined {
    return this.#table.get(namespace)?.get(key)
  }

  namespace(namespace: string): Readonly<Record<string, string>> | undefined {
    const entries = this.#table.get(namespace)
    return entries === undefined ? undefined : Object.fromEntries(entries)
  }

  put(namespace: string, key: string, value: string): void {
    this.#replace(namespace, new Map(this.#table.get(namespace)).set(key, value))
  }

  delete(namespace: string, key: string): void {
    const entries = new Map(this.#table.get(namespace))
    if (entries.delete(key)) this.#replace(namespace, entries)
  }

  /** The file first: what could not be stored is not visible either. */
  #replace(namespace: string, entries: ReadonlyMap<string, string>): void {
    const table = new Map(this.#table).set(namespace, entries)
    const plain = Object.fromEntries([...table].map(([name, inner]) => [name, Object.fromEntries(inner)]))
    const text = JSON.stringify({ configTable: plain })
    if (text.length > KV_CONFIG_BYTES) {
      throw new RocketError(`the KV settings would exceed ${KV_CONFIG_BYTES} bytes; delete some first`, { code: 'INVALID_PARAMETER' })
    }
    this.#disk.writeTextAtomically(this.#path, text)
    this.#table = table
  }
}

function readTable(text: string | undefined, path: string): Map<string, Map<string, string>> {
  if (text === undefined || text.trim() === '') return new Map()
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (cause) {
    throw new Error(`${path} (kvConfigPath) is not JSON; repair it or move it away`, { cause })
  }
  const { configTable } = parsed as { configTable?: Record<string, Record<string, unknown>> }
  const table = new Map<string, Map<string, string>>()
  for (const [namespace, entries] of Object.entries(configTable ?? {})) {
    table.set(namespace, new Map(Object.entries(entries ?? {}).map(([key, value]) => [key, String(value)])))
  }
  return table
}
