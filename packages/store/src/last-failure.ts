import { join } from 'node:path'
import type { Disk } from '@skylarkmq/runtime'

/** Why the last process on this folder stopped acknowledging, left for the next start to tell. */
export class LastFailure {
  private readonly disk: Disk
  private readonly path: string

  constructor(disk: Disk, rootDirectory: string) {
    this.disk = disk
    this.path = join(rootDirectory, 'skylark', 'last-failure.txt')
  }

  /** The disk is failing: what it takes, it takes; nothing waits for a sync. */
  note(reason: string): void {
    try {
      const file = this.disk.open(this.path, { create: true })
      const bytes = Buffer.from(reason)
      file.write(bytes, 0, bytes.length, 0)
      file.truncate(bytes.length)
      file.close()
    } catch {
      // It is in the log of the broker.
    }
  }

  read(): string | undefined {
    return this.disk.readText(this.path)
  }

  clear(): void {
    this.disk.remove(this.path)
  }
}
