import type { Clock } from '@skylarkmq/runtime'
import type { MetadataStore, MetadataTable } from '@skylarkmq/store'

type Tables = Map<MetadataTable, Map<string, string>>

const FLUSH_INTERVAL_MS = 1000

/**
 * One broker's metadata as its contract has it (`MetadataStore`): what was set is in memory, a flush makes it durable, one runs every
 * second. A crash of any kind finds what was flushed.
 */
export class SimMetadata {
  readonly #durable: Tables = new Map()

  /** The rows of a table that a crash now would leave. */
  durable(table: MetadataTable): ReadonlyMap<string, string> {
    return this.#durable.get(table) ?? new Map()
  }

  /** For one life of the broker. `onSet` hears of each row. */
  open(clock: Clock, onSet: (table: MetadataTable, key: string, value: string) => void): MetadataStore {
    const tables: Tables = new Map([...this.#durable].map(([name, rows]) => [name, new Map(rows)]))
    const changed = new Map<MetadataTable, Set<string>>()
    let isClosed = false
    const rows = (name: MetadataTable): Map<string, string> => rowsOf(tables, name)
    const note = (name: MetadataTable, key: string): void => {
      const keys = changed.get(name)
      if (keys === undefined) changed.set(name, new Set([key]))
      else keys.add(key)
    }
    const flush = (): void => {
      if (isClosed) return
      for (const [name, keys] of changed) {
        for (const key of keys) {
          const value = rows(name).get(key)
          if (value === undefined) rowsOf(this.#durable, name).delete(key)
          else rowsOf(this.#durable, name).set(key, value)
        }
      }
      changed.clear()
    }
    // Dies with the node's clock, and with it the only way of what was set into what lasts.
    const timer = clock.every(FLUSH_INTERVAL_MS, flush)
    this.#endLife = () => {
      isClosed = true
    }
    return {
      entries: (name) => [...rows(name)],
      get: (name, key) => rows(name).get(key),
      set(name, key, value) {
        if (isClosed) return
        rows(name).set(key, value)
        note(name, key)
        onSet(name, key, value)
      },
      delete(name, key) {
        if (!isClosed && rows(name).delete(key)) note(name, key)
      },
      flush,
      sync: () => Promise.resolve(flush()),
      close() {
        timer.cancel()
        flush()
        isClosed = true
      },
    }
  }

  /** The process is gone: nothing that still runs of it changes a row. */
  died(): void {
    this.#endLife()
  }

  #endLife: () => void = () => {}
}

function rowsOf(tables: Tables, name: MetadataTable): Map<string, string> {
  let rows = tables.get(name)
  if (rows === undefined) tables.set(name, (rows = new Map()))
  return rows
}
