import { dirname } from 'node:path'
import type { Runtime } from '@skylarkmq/runtime'
import { loadSqlite } from '../metadata/load-sqlite.ts'
import type { Sqlite } from '../metadata/load-sqlite.ts'
import { describeError } from '../describe-error.ts'
import type { PendingTimer, TimerIndex, TimerIndexChange, TimerIndexState } from './timer-index.ts'

/** Raised when the tables change: an older file is derived again. */
const FORMAT = 1
/** Pages kept in memory, in KiB: the same for ten entries and for ten million. */
const CACHE_KIB = 8 * 1024

const TABLES = `
  CREATE TABLE IF NOT EXISTS topic (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
  CREATE TABLE IF NOT EXISTS pending (
    origin INTEGER PRIMARY KEY, due INTEGER NOT NULL, queue_offset INTEGER NOT NULL, position INTEGER NOT NULL,
    key_hash INTEGER NOT NULL, topic INTEGER NOT NULL);
  CREATE INDEX IF NOT EXISTS pending_due ON pending (due);
  CREATE INDEX IF NOT EXISTS pending_place ON pending (queue_offset);
  CREATE INDEX IF NOT EXISTS pending_key ON pending (key_hash);
  CREATE TABLE IF NOT EXISTS state (
    id INTEGER PRIMARY KEY CHECK (id = 0), indexed_to INTEGER NOT NULL, last_position INTEGER NOT NULL,
    last_store_timestamp INTEGER NOT NULL, doubt_below INTEGER NOT NULL, clean_at INTEGER NOT NULL);`

/** Opens the view of pending messages in a file of its own. A file that is damaged or of another format is made anew. */
export async function openSqliteTimerIndex(runtime: Runtime, path: string): Promise<TimerIndex> {
  const Database = await loadSqlite()
  runtime.disk.makeDirectory(dirname(path))
  try {
    return openIndex(Database, path)
  } catch (error) {
    const code = String((error as { code?: unknown }).code ?? '')
    if (!code.startsWith('SQLITE_CORRUPT') && !code.startsWith('SQLITE_NOTADB') && code !== 'FORMAT') throw error
    runtime.log.warn('the list of scheduled messages cannot be used; it is derived again from the log', {
      path,
      error: describeError(error),
    })
    for (const suffix of ['', '-wal', '-shm']) runtime.disk.remove(`${path}${suffix}`)
    return openIndex(Database, path)
  }
}

function openIndex(Database: Sqlite, path: string): TimerIndex {
  const database = new Database(path)
  try {
    return new SqliteTimerIndex(database)
  } catch (error) {
    database.close()
    throw error
  }
}

interface PendingRow {
  readonly origin: number
  readonly due: number
  readonly queue_offset: number
  readonly position: number
  readonly key_hash: number
  readonly topic: number
}

class SqliteTimerIndex implements TimerIndex {
  readonly #database: InstanceType<Sqlite>
  readonly #statements: ReturnType<typeof prepare>
  readonly #applyAll: (change: TimerIndexChange) => void
  readonly #topicIds = new Map<string, number>()
  readonly #topicNames = new Map<number, string>()
  #counts = new Map<string, number>()
  #size = 0
  #state: TimerIndexState | undefined
  #isClosed = false

  constructor(database: InstanceType<Sqlite>) {
    this.#database = database
    const format = database.pragma('user_version', { simple: true })
    if (format !== 0 && format !== FORMAT)
      throw Object.assign(new Error(`its format is ${String(format)}, not ${FORMAT}`), { code: 'FORMAT' })
    // A new file that a crash tears is one without checked content: it is made anew. Its six syncs would be a good part of a first start.
    const isNew = format === 0
    if (isNew) database.pragma('synchronous = OFF')
    database.pragma('journal_mode = WAL')
    database.pragma(`cache_size = -${CACHE_KIB}`)
    if (isNew) database.transaction(() => database.exec(`${TABLES} PRAGMA user_version = ${FORMAT}`))()
    // A lost transaction is derived again; what must not happen is a torn file.
    database.pragma('synchronous = NORMAL')
    this.#statements = prepare(database)
    this.#applyAll = database.transaction((change: TimerIndexChange) => this.#write(change))
    this.#load()
  }

  #load(): void {
    const { topics, countByTopic, readState } = this.#statements
    // What an undone transaction had named has no number.
    this.#topicIds.clear()
    this.#topicNames.clear()
    for (const row of topics.all() as { id: number; name: string }[]) this.#learnTopic(row.name, row.id)
    this.#counts = new Map()
    this.#size = 0
    for (const row of countByTopic.all() as { topic: number; count: number }[]) {
      this.#counts.set(this.#topicNames.get(row.topic) ?? '', row.count)
      this.#size += row.count
    }
    const row = readState.get() as Record<string, number> | undefined
    this.#state =
      row === undefined
        ? undefined
        : {
            indexedTo: row.indexed_to as number,
            lastPosition: row.last_position as number,
            lastStoreTimestamp: row.last_store_timestamp as number,
            doubtBelow: row.doubt_below as number,
            cleanAt: row.clean_at as number,
          }
  }

  get state(): TimerIndexState | undefined {
    return this.#state
  }

  get size(): number {
    return this.#size
  }

  counts(): ReadonlyMap<string, number> {
    return this.#counts
  }

  apply(change: TimerIndexChange): void {
    try {
      this.#applyAll(change)
    } catch (error) {
      // The transaction is undone; the numbers in memory go back with it.
      if (!this.#isClosed) this.#load()
      throw error
    }
  }

  #write(change: TimerIndexChange): void {
    const { insert, move, topicOf, remove, writeState } = this.#statements
    for (const entry of change.add ?? []) {
      const { changes } = insert.run(
        entry.origin,
        entry.dueMs,
        entry.queueOffset,
        entry.position,
        entry.keyHash,
        this.#topicId(entry.topic),
      )
      if (changes === 0) move.run(entry.queueOffset, entry.position, entry.origin)
      else this.#count(entry.topic, 1)
    }
    for (const origin of change.remove ?? []) {
      const row = topicOf.get(origin) as { topic: number } | undefined
      if (row === undefined) continue
      remove.run(origin)
      this.#count(this.#topicNames.get(row.topic) ?? '', -1)
    }
    const { state } = change
    if (state === undefined) return
    writeState.run(state.indexedTo, state.lastPosition, state.lastStoreTimestamp, state.doubtBelow, state.cleanAt)
    this.#state = state
  }

  #count(topic: string, by: number): void {
    this.#size += by
    const count = (this.#counts.get(topic) ?? 0) + by
    if (count > 0) this.#counts.set(topic, count)
    else this.#counts.delete(topic)
  }

  #topicId(name: string): number {
    let id = this.#topicIds.get(name)
    if (id === undefined) {
      id = Number(this.#statements.addTopic.run(name).lastInsertRowid)
      this.#learnTopic(name, id)
    }
    return id
  }

  #learnTopic(name: string, id: number): void {
    this.#topicIds.set(name, id)
    this.#topicNames.set(id, name)
  }

  #entries(rows: unknown[]): PendingTimer[] {
    return (rows as PendingRow[]).map((row) => ({
      origin: row.origin,
      dueMs: row.due,
      queueOffset: row.queue_offset,
      position: row.position,
      keyHash: row.key_hash,
      topic: this.#topicNames.get(row.topic) ?? '',
    }))
  }

  /** Two steps, each a seek: a million entries may share one millisecond. */
  range(afterDueMs: number, afterOrigin: number, toDueMs: number, limit: number): PendingTimer[] {
    const { rangeWithin, rangeBehind } = this.#statements
    const [after, to] = [whole(afterDueMs), whole(toDueMs)]
    const found = after > to ? [] : this.#entries(rangeWithin.all(after, afterOrigin, limit))
    return found.length < limit ? found.concat(this.#entries(rangeBehind.all(after, to, limit - found.length))) : found
  }

  nextDueMs(afterDueMs: number, afterOrigin: number): number | undefined {
    const after = whole(afterDueMs)
    const row = this.#statements.rangeWithin.get(after, afterOrigin, 1) ?? this.#statements.nextBehind.get(after)
    return (row as { due: number } | undefined)?.due
  }

  find(fromDueMs: number, toDueMs: number, keyHash: number): PendingTimer[] {
    return this.#entries(this.#statements.find.all(keyHash, whole(fromDueMs), whole(toDueMs)))
  }

  oldest(): PendingTimer | undefined {
    return this.#entries(this.#statements.oldest.all())[0]
  }

  storedBetween(fromQueueOffset: number, toQueueOffset: number, limit: number): PendingTimer[] {
    return this.#entries(this.#statements.storedBetween.all(fromQueueOffset, whole(toQueueOffset), limit))
  }

  clear(): void {
    this.#database.exec('DELETE FROM pending; DELETE FROM state;')
    this.#load()
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#database.close()
  }
}

/** Bounds may be infinite; SQLite's integers are not. */
const whole = (value: number): number => Math.max(Number.MIN_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, Math.floor(value)))

const prepare = (database: InstanceType<Sqlite>) => ({
  topics: database.prepare('SELECT id, name FROM topic'),
  addTopic: database.prepare('INSERT INTO topic (name) VALUES (?)'),
  countByTopic: database.prepare('SELECT topic, count(*) AS count FROM pending GROUP BY topic'),
  readState: database.prepare('SELECT * FROM state'),
  writeState: database.prepare('INSERT OR REPLACE INTO state VALUES (0, ?, ?, ?, ?, ?)'),
  insert: database.prepare('INSERT INTO pending VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING'),
  move: database.prepare('UPDATE pending SET queue_offset = ?, position = ? WHERE origin = ?'),
  topicOf: database.prepare('SELECT topic FROM pending WHERE origin = ?'),
  remove: database.prepare('DELETE FROM pending WHERE origin = ?'),
  rangeWithin: database.prepare('SELECT * FROM pending WHERE due = ? AND origin > ? ORDER BY origin LIMIT ?'),
  rangeBehind: database.prepare('SELECT * FROM pending WHERE due > ? AND due <= ? ORDER BY due, origin LIMIT ?'),
  nextBehind: database.prepare('SELECT due FROM pending WHERE due > ? ORDER BY due LIMIT 1'),
  find: database.prepare('SELECT * FROM pending WHERE key_hash = ? AND due BETWEEN ? AND ? ORDER BY due, origin'),
  oldest: database.prepare('SELECT * FROM pending ORDER BY queue_offset LIMIT 1'),
  storedBetween: database.prepare('SELECT * FROM pending WHERE queue_offset >= ? AND queue_offset < ? ORDER BY queue_offset LIMIT ?'),
})
