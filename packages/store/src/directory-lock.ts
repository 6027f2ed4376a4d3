import { join } from 'node:path'
import type { Disk } from '@skylarkmq/runtime'
import { loadSqlite } from './metadata/load-sqlite.ts'

export interface DirectoryLock {
  release(): void
}

/**
 * Takes a store folder for this process alone. Node has no file locks; SQLite's are the operating system's, and die with their process
 * however it ends. A simulated disk, whose folders SQLite cannot find, has nobody to be locked against.
 */
export async function lockDirectory(disk: Disk, rootDirectory: string): Promise<DirectoryLock> {
  const folder = join(rootDirectory, 'skylark')
  disk.makeDirectory(folder)
  // Apache's broker locks this one.
  const apacheLock = join(rootDirectory, 'lock')
  if (!disk.exists(apacheLock)) {
    // That it is there is all that matters, and only while somebody holds it: no sync.
    const file = disk.open(apacheLock, { create: true })
    file.write(Buffer.from('lock'), 0, 4, 0)
    file.close()
  }
  refuseApache(disk, rootDirectory)
  if (disk.isSimulated === true) return { release() {} }

  const Database = await loadSqlite()
  const database = new Database(join(folder, 'lock.db'), { timeout: 0 })
  try {
    database.pragma('locking_mode = EXCLUSIVE')
    database.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    database.close()
    if ((error as { code?: unknown }).code !== 'SQLITE_BUSY') throw error
    const holder = disk.readText(join(rootDirectory, 'abort'))?.trim()
    throw new Error(
      `The store ${rootDirectory} is in use by ${holder ? `process ${holder}` : 'another process'}. ` +
        'Stop that one, or give this broker another storePathRootDir.',
      { cause: error },
    )
  }
  return {
    release() {
      database.close()
    },
  }
}

/** Apache's broker and we do not see each other's locks, but it writes its process id into `abort`, and Linux tells what runs there. */
function refuseApache(disk: Disk, rootDirectory: string): void {
  const holder = disk.readText(join(rootDirectory, 'abort'))?.trim()
  if (holder === undefined || !/^\d+$/.test(holder)) return
  const command = disk.readText(`/proc/${holder}/cmdline`)
  if (command?.includes('org.apache.rocketmq') !== true) return
  throw new Error(
    `The store ${rootDirectory} is in use by Apache RocketMQ, process ${holder}. Stop that broker first: two writers would destroy the log.`,
  )
}
