import { dirname } from 'node:path'
import type { Disk, DiskFile, Runtime } from '@skylarkmq/runtime'
import type { MetadataStore, MetadataTable } from '../types.ts'
import { describeError } from '../describe-error.ts'
import { loadSqlite } from './load-sqlite.ts'
import type { Sqlite } from './load-sqlite.ts'

const FLUSH_INTERVAL_MS = 1_000

const TABLE =
  'CREATE TABLE IF NOT EXISTS metadata (kind TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID'

/** A new file, whole and on disk before it has its name: two syncs, where SQLite needs six to make one in place. */
function makeDatabase(Database: Sqlite, disk: Disk, path: string): void {
  const unnamed = `${path}.new`
  // Of an earlier try; and a log without its file would be taken for this one's.
  for (const left of [unnamed, `${unnamed}-wal`, `${unnamed}-shm`, `${path}-wal`, `${path}-shm`]) disk.remove(left)
  const database = new Database(unnamed)
  try {
    database.pragma('synchronous = OFF')
    database.pragma('journal_mode = WAL')
    database.exec(TABLE)
  } finally {
    database.close()
  }
  const file = disk.open(unnamed)
  file.syncNow()
  file.close()
  disk.rename(unnamed, path)
  disk.syncDirectory(dirname(path))
}

function openDatabase(Database: Sqlite, disk: Disk, path: string): InstanceType<Sqlite> {
  if (!disk.exists(path)) makeDatabase(Database, disk, path)
  const database = new Database(path)
  try {
    database.pragma('journal_mode = WAL')
    database.pragma('synchronous = NORMAL')
    database.exec(TABLE)
    return database
  } catch (error) {
    database.close()
    throw new Error(
      `${path} cannot be used: ${describeError(error)}. It keeps topics, groups and committed offsets. Put back a copy of it; or move it ` +
        'away, with its -wal and -shm: messages stay, while topics, groups and offsets have to be made anew',
      { cause: error },
    )
  }
}

/**
 * The tables live in memory; changes are collected and written in one transaction a second, so that a committed offset costs a map
 * entry and no disk access. What a crash, of the power too, may take is the last second, which for offsets means messages that come twice. SQLite itself would sync its log on the main thread, at each commit or hardly ever: it is synced here, off the
 * main thread.
 */
export async function openSqliteMetadata(runtime: Runtime, path: string): Promise<MetadataStore> {
  const Database = await loadSqlite()
  runtime.disk.makeDirectory(dirname(path))
  const database = openDatabase(Database, runtime.disk, path)
  const upsert = database.prepare(
    'INSERT INTO metadata (kind, key, value) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = excluded.value',
  )
  const remove = database.prepare('DELETE FROM metadata WHERE kind = ? AND key = ?')
  const tables = new Map<string, Map<string, string>>()
  const changed = new Map<string, Set<string>>()
  let isClosed = false

  for (const row of database.prepare('SELECT kind, key, value FROM metadata ORDER BY kind, key').iterate() as Iterable<Row>) {
    rows(row.kind).set(row.key, row.value)
  }

  function rows(table: string): Map<string, string> {
    let found = tables.get(table)
    if (found === undefined) {
      found = new Map()
      tables.set(table, found)
    }
    return found
  }

  function note(table: string, key: string): void {
    const keys = changed.get(table)
    if (keys === undefined) changed.set(table, new Set([key]))
    else keys.add(key)
  }

  const writeAll = database.transaction(() => {
    for (const [table, keys] of changed) {
      for (const key of keys) {
        const value = rows(table).get(key)
        if (value === undefined) remove.run(table, key)
        else upsert.run(table, key, value)
      }
    }
  })

  /** SQLite's log of commits, which holds them until its next checkpoint (which syncs by itself). There from the first commit on. */
  let commits: DiskFile | undefined
  /** Counts of transactions: in the file, and of these on the disk. */
  let written = 0
  let synced = 0

  /** Into the file: safe against the death of the process. */
  function write(): void {
    if (changed.size === 0 || isClosed) return
    writeAll()
    // Only after the transaction: what it could not write is tried again.
    changed.clear()
    written++
    commits ??= runtime.disk.open(`${path}-wal`)
  }

  async function sync(): Promise<void> {
    write()
    const upTo = written
    if (synced >= upTo) return
    // Off the main thread: a busy disk may take seconds.
    await commits?.sync()
    synced = Math.max(synced, upTo)
  }

  const later = (error: unknown): void => {
    if (!isClosed) runtime.log.error('metadata could not be written; it is tried again in a second', { path, error: String(error) })
  }

  const timer = runtime.clock.every(FLUSH_INTERVAL_MS, () => void sync().catch(later))

  return {
    entries: (table: MetadataTable) => Array.from(rows(table)),
    get: (table, key) => rows(table).get(key),
    set(table, key, value) {
      rows(table).set(key, value)
      note(table, key)
    },
    delete(table, key) {
      if (rows(table).delete(key)) note(table, key)
    },
    flush() {
      write()
      sync().catch(later)
    },
    sync,
    close() {
      if (isClosed) return
      timer.cancel()
      write()
      isClosed = true
      commits?.close()
      database.close()
    },
  }
}

interface Row {
  readonly kind: string
  readonly key: string
  readonly value: string
}
