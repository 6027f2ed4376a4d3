import { join } from 'node:path'
import type { Runtime } from '@skylarkmq/runtime'
import type { ContainedDamage } from '../commit-log/damage.ts'
import { containDamage } from '../commit-log/damage.ts'
import { journalDirectory, RecordJournal } from '../commit-log/record-journal.ts'
import { Segments } from '../commit-log/segments.ts'
import { lockDirectory } from '../directory-lock.ts'
import type { CheckOptions, CheckReport } from './check-store.ts'
import { checkStore, logDirectoryOf } from './check-store.ts'

export interface SalvageReport {
  readonly found: CheckReport
  /** Damaged places, each put aside and made passable. */
  readonly contained: readonly ContainedDamage[]
  /** Consume queues and key index are derived anew by the next start. */
  readonly viewsRemoved: boolean
}

/**
 * Puts a stopped store in order: damaged bytes are saved and replaced by records that nobody sees, so that Apache's broker, too, comes
 * past them; queues and index that differ from the log are removed and derived anew by the next start.
 */
export async function salvageStore(runtime: Runtime, options: CheckOptions): Promise<SalvageReport> {
  const found = await checkStore(runtime, options)
  if (found.problems === 0) return { found, contained: [], viewsRemoved: false }
  const { disk } = runtime
  const lock = await lockDirectory(disk, options.rootDirectory)
  const segments = new Segments(disk, logDirectoryOf(options), found.segmentBytes)
  try {
    segments.load()
    const place = { folder: join(options.rootDirectory, 'skylark', 'damaged'), storeTimestamp: runtime.clock.now() }
    const contained = found.damaged.map((range) => containDamage(disk, segments, range, place))
    const journal = new RecordJournal(disk, journalDirectory(options.rootDirectory), found.segmentBytes)
    for (const range of contained) {
      await journal.forget(range)
      await segments.find(range.offset)?.file.sync()
    }
    journal.close()
    disk.remove(join(options.rootDirectory, 'skylark', 'views'))
    disk.syncDirectory(join(options.rootDirectory, 'skylark'))
    return { found, contained, viewsRemoved: true }
  } finally {
    await segments.close()
    lock.release()
  }
}
