import { join } from 'node:path'
import { DERIVED } from '@skylarkmq/remoting/protocol'
import type { Derivation } from '@skylarkmq/remoting/protocol'
import type { Disk, DiskFile } from '@skylarkmq/runtime'
import { viewOf } from '../bytes.ts'
import type { DispatchRecord, RunTarget } from '../dispatch/dispatch-target.ts'
import type { JournalGap } from './journal-file.ts'
import { JOURNAL_ENTRY_BYTES, JournalFile, writeJournalEntry } from './journal-file.ts'
import { JournalMender } from './journal-mender.ts'
import type { ExpectedRecord } from './log-scanner.ts'
import { segmentName } from './segments.ts'

/** So many entries wait for one write at most, without the kernel's room for them. */
const PENDING_ENTRIES = 1_024
const EMPTY_FILE: JournalGap = { after: -1, before: Number.MAX_SAFE_INTEGER, from: 0, to: Number.MAX_SAFE_INTEGER }

export function journalDirectory(rootDirectory: string): string {
  return join(rootDirectory, 'skylark', 'journal')
}

/**
 * Where each record of the log begins, and its digest: one small file beside each segment, for as long as that is kept. So damage that
 * Apache's CRC of the body does not see is noticed also when queues and index are derived anew, and the record behind a damaged length
 * is found. One small write a turn. Not synced while the log grows: losing it costs nothing else.
 */
export class RecordJournal implements RunTarget {
  private readonly disk: Disk
  private readonly directory: string
  private readonly segmentBytes: number
  private file: DiskFile | undefined
  /** The segment that entries are written for, and where the next goes in its file. */
  private segmentStart = 0
  private segmentEnd = 0
  private end = 0
  private readonly pending: Uint8Array
  private readonly view: DataView
  private count = 0
  private readonly complete: DiskFile[] = []
  private reading: JournalFile | undefined
  private readonly mender: JournalMender

  /** `derivation`: where the kernel may put entries, too. */
  constructor(disk: Disk, directory: string, segmentBytes: number, derivation?: Derivation) {
    this.pending = derivation?.journal ?? new Uint8Array(PENDING_ENTRIES * JOURNAL_ENTRY_BYTES)
    this.view = viewOf(this.pending)
    this.disk = disk
    this.directory = directory
    this.segmentBytes = segmentBytes
    this.mender = new JournalMender(disk)
  }

  // ---- while the log is written ----

  dispatch(record: DispatchRecord): void {
    if (record.physicalOffset >= this.segmentEnd || record.physicalOffset < this.segmentStart) this.turnTo(record.physicalOffset)
    if (this.room === 0) this.flush()
    writeJournalEntry(this.view, this.count * JOURNAL_ENTRY_BYTES, record)
    this.count++
  }

  private get room(): number {
    return this.pending.length / JOURNAL_ENTRY_BYTES - this.count
  }

  beginRun({ words, numbers }: Derivation): void {
    words[DERIVED.journalNextAt] = this.pending.byteOffset + this.count * JOURNAL_ENTRY_BYTES
    words[DERIVED.journalRoom] = this.room
    numbers[DERIVED.segmentStart] = this.segmentStart
    numbers[DERIVED.segmentEnd] = this.segmentEnd
  }

  endRun({ words }: Derivation): void {
    this.count += words[DERIVED.records] as number
  }

  /** Writes what was dispatched since the last call. A disk that does not take it costs only what the journal is good for. */
  flush(): void {
    if (this.count === 0) return
    const length = this.count * JOURNAL_ENTRY_BYTES
    this.count = 0
    try {
      this.file ??= this.openForAppending()
      this.file.write(this.pending, 0, length, this.end)
      this.end += length
    } catch {
      // The entries at `end` may be half written: their checks tell, and the next write goes over them.
    }
  }

  private turnTo(physicalOffset: number): void {
    this.flush()
    if (this.file !== undefined) this.complete.push(this.file)
    this.file = undefined
    this.segmentStart = physicalOffset - (physicalOffset % this.segmentBytes)
    this.segmentEnd = this.segmentStart + this.segmentBytes
  }

  private openForAppending(): DiskFile {
    const file = this.disk.open(this.pathOf(this.segmentStart), { create: true })
    this.end = file.sizeBytes() - (file.sizeBytes() % JOURNAL_ENTRY_BYTES)
    return file
  }

  /** Puts the files of full segments on the disk, with `all` the growing one, too. */
  async sync(all: boolean): Promise<void> {
    const files = all && this.file !== undefined ? [...this.complete, this.file] : this.complete.slice()
    for (const file of files) {
      await file.sync().catch(() => {})
      if (file === this.file) continue
      file.close()
      this.complete.splice(this.complete.indexOf(file), 1)
    }
  }

  // ---- while a store is opened or looked at ----

  /** What was written at a position of the log. */
  find(physicalOffset: number): ExpectedRecord | undefined {
    return this.readerOf(physicalOffset - (physicalOffset % this.segmentBytes))?.find(physicalOffset)
  }

  /** End of the last record that is known to have been written. */
  knownEnd(): number {
    for (const start of this.starts().reverse()) {
      const end = this.readerOf(start)?.knownEnd() ?? 0
      if (end > 0) return end
    }
    return 0
  }

  /**
   * For a record that recovery has found before that end: when its entry is lost, it is written again. Else damage that comes later would
   * meet nobody who knows better.
   */
  mend(record: DispatchRecord): void {
    const { physicalOffset } = record
    if (this.find(physicalOffset) !== undefined) return
    const start = physicalOffset - (physicalOffset % this.segmentBytes)
    this.mender.put(this.pathOf(start), this.readerOf(start)?.gapAt(physicalOffset) ?? EMPTY_FILE, record)
  }

  /** Recovery has seen all. */
  async endRecovery(): Promise<void> {
    this.stopReading()
    await this.mender.sync()
  }

  /** The log ends here, or goes on with what somebody else wrote: nothing is known any more of what lay behind. For good. */
  async cutTo(logEnd: number): Promise<void> {
    this.flush()
    this.mender.flush()
    this.stopReading()
    let isRemoved = false
    for (const start of this.starts()) {
      if (start >= logEnd) {
        if (start === this.segmentStart && this.file !== undefined) this.turnTo(start)
        await this.sync(false)
        this.disk.remove(this.pathOf(start))
        isRemoved = true
      } else if (start + this.segmentBytes > logEnd) await this.change(start, (file) => file.cutTo(logEnd))
    }
    if (isRemoved) this.disk.syncDirectory(this.directory)
  }

  /** What lies in this range is no longer what was written. */
  async forget({ offset, bytes }: { readonly offset: number; readonly bytes: number }): Promise<void> {
    this.flush()
    this.mender.flush()
    this.stopReading()
    for (let start = offset - (offset % this.segmentBytes); start < offset + bytes; start += this.segmentBytes) {
      if (this.disk.exists(this.pathOf(start))) await this.change(start, (file) => file.forget(offset, offset + bytes))
    }
  }

  private async change(start: number, change: (file: JournalFile) => boolean): Promise<void> {
    const file = JournalFile.open(this.disk, this.pathOf(start), start, this.segmentBytes, false)
    if (file === undefined) return
    try {
      // Were the old entries there again after a loss of power, they would call good records damaged.
      if (change(file)) await file.sync()
      if (start === this.segmentStart) this.end = file.sizeBytes()
    } finally {
      file.close()
    }
  }

  /** The log begins here. */
  async expireBefore(minPhysicalOffset: number): Promise<void> {
    this.stopReading()
    for (const start of this.starts()) if (start + this.segmentBytes <= minPhysicalOffset) await this.disk.discard(this.pathOf(start))
  }

  /** Closes what was opened for `find`. */
  stopReading(): void {
    this.reading?.close()
    this.reading = undefined
  }

  private readerOf(start: number): JournalFile | undefined {
    if (this.reading?.start === start) return this.reading
    this.stopReading()
    this.reading = JournalFile.open(this.disk, this.pathOf(start), start, this.segmentBytes, true)
    return this.reading
  }

  private starts(): number[] {
    return this.disk
      .list(this.directory)
      .filter((name) => /^\d{20}$/.test(name))
      .map(Number)
      .sort((a, b) => a - b)
  }

  private pathOf(start: number): string {
    return join(this.directory, segmentName(start))
  }

  close(): void {
    this.stopReading()
    this.file?.close()
    for (const file of this.complete) file.close()
  }
}
