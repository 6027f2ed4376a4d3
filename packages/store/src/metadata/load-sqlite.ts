import type SqliteDatabase from 'better-sqlite3'

export type Sqlite = typeof SqliteDatabase

/** Loads better-sqlite3 when it is first needed: it is native, and costs milliseconds and megabytes. */
export async function loadSqlite(): Promise<Sqlite> {
  try {
    return (await import('better-sqlite3')).default
  } catch (error) {
    throw new Error(
      'better-sqlite3 could not be loaded, which keeps topics, groups and offsets and locks the store: ' +
        `${(error as Error).message.split('\n')[0]}. Run \`npm rebuild better-sqlite3\` with this Node; if npm blocks install scripts, ` +
        'run `npm install-scripts approve better-sqlite3` (npm 12) first; building needs Python, make and a C++ compiler.',
      { cause: error },
    )
  }
}
