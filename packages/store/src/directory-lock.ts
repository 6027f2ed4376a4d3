import { join } from 'node:path'
import type { Disk } from '@skylarkmq/runtime'

export interface DirectoryLock {
  release(): void
}

export async function lockDirectory(disk: Disk, rootDirectory: string): Promise<DirectoryLock> {
  const path = join(rootDirectory, 'lock')
  if (!disk.exists(path)) disk.writeTextAtomically(path, 'lock')
  return { release() {} }
}
