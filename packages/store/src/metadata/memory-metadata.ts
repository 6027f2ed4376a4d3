import type { MetadataStore, MetadataTable } from '../types.ts'

/** Forgets everything at the end: for simulations and tests. Held equal to the SQLite one by a shared suite. */
export function memoryMetadata(): MetadataStore {
  const tables = new Map<MetadataTable, Map<string, string>>()
  const rows = (table: MetadataTable): Map<string, string> => {
    let found = tables.get(table)
    if (found === undefined) {
      found = new Map()
      tables.set(table, found)
    }
    return found
  }
  return {
    entries: (table) => Array.from(rows(table)),
    get: (table, key) => rows(table).get(key),
    set(table, key, value) {
      rows(table).set(key, value)
    },
    delete(table, key) {
      rows(table).delete(key)
    },
    flush() {},
    sync: () => Promise.resolve(),
    close() {},
  }
}
