import type { Disk, DiskFile } from '@skylarkmq/runtime'
import { viewOf } from '../bytes.ts'
import type { JournalGap, JournalRecord } from './journal-file.ts'
import { JOURNAL_ENTRY_BYTES, writeJournalEntry } from './journal-file.ts'

const BATCH_ENTRIES = 1_024

/**
 * Writes entries again that the journal has lost in its middle, each gap's in one go as far as they follow each other. Behind the last
 * sound entry before them: so the order of the file stays that of the log, whichever of the lost ones are found.
 */
export class JournalMender {
  private readonly disk: Disk
  private readonly pending = new Uint8Array(BATCH_ENTRIES * JOURNAL_ENTRY_BYTES)
  private readonly view = viewOf(this.pending)
  private path = ''
  /** Where the pending entries go; how many they are; where the gap began that they are in. */
  private at = 0
  private count = 0
  private gapFrom = -1
  private readonly mended = new Set<string>()

  constructor(disk: Disk) {
    this.disk = disk
  }

  put(path: string, { from, to }: JournalGap, record: JournalRecord): void {
    if (path !== this.path || from !== this.gapFrom) {
      this.flush()
      this.path = path
      this.gapFrom = from
      this.at = from
    }
    if (this.at + (this.count + 1) * JOURNAL_ENTRY_BYTES > to) return
    writeJournalEntry(this.view, this.count * JOURNAL_ENTRY_BYTES, record)
    if (++this.count === BATCH_ENTRIES) this.flush()
  }

  /** A disk that does not take it leaves the journal as it was. */
  flush(): void {
    if (this.count === 0) return
    const length = this.count * JOURNAL_ENTRY_BYTES
    this.count = 0
    let file: DiskFile | undefined
    try {
      file = this.disk.open(this.path, { create: true })
      file.write(this.pending, 0, length, this.at)
      this.mended.add(this.path)
      this.at += length
    } catch {
      // Half written entries are none.
    } finally {
      file?.close()
    }
  }

  /** Puts on the disk what was mended: the part of the log that it is of is not looked at again. */
  async sync(): Promise<void> {
    this.flush()
    for (const path of this.mended) {
      if (!this.disk.exists(path)) continue
      const file = this.disk.open(path)
      await file.sync().catch(() => {})
      file.close()
    }
    this.mended.clear()
  }
}
