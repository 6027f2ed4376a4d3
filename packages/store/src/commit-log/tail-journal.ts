import { join } from 'node:path'
import type { Disk, DiskFile } from '@skylarkmq/runtime'
import { getInt64, setInt64, viewOf } from '../bytes.ts'
import { digestOfRange } from '../digest.ts'
import type { DispatchRecord, DispatchTarget } from '../dispatch/dispatch-target.ts'
import type { ExpectedRecord } from './log-scanner.ts'

/** int64 physical offset · int32 size · int32 digest · int32 check */
const ENTRY_BYTES = 20
const CHECK_AT = 16
const FIRST_ENTRIES = 256

/**
 * Where each record behind the last checkpoint begins, and its digest: so that recovery notices damage which Apache's CRC of the body
 * does not see, and finds the record behind a damaged length. One small write a turn, into two files by turns: a checkpoint begins the
 * other one. Not synced: what it knows beyond the log's own checks matters after the death of the process, when all writes are there.
 * Losing it costs nothing else.
 */
export class TailJournal implements DispatchTarget {
  private readonly files: readonly DiskFile[]
  private current = 0
  private end = 0
  private pending = new Uint8Array(FIRST_ENTRIES * ENTRY_BYTES)
  private view = viewOf(this.pending)
  private count = 0
  /** The other file's records are not yet covered by a checkpoint. */
  private isOtherNeeded = false

  constructor(disk: Disk, directory: string) {
    this.files = ['tail.0', 'tail.1'].map((name) => disk.open(join(directory, name), { create: true }))
  }

  /** What was written about records in `[from, …)`. */
  load(from: number): Map<number, ExpectedRecord> {
    const found = new Map<number, ExpectedRecord>()
    for (const file of this.files) {
      const bytes = new Uint8Array(file.sizeBytes())
      const view = viewOf(bytes)
      file.readNow(bytes, 0, bytes.length, 0)
      for (let at = 0; at + ENTRY_BYTES <= bytes.length; at += ENTRY_BYTES) {
        if (view.getInt32(at + CHECK_AT) !== digestOfRange(view, at, at + CHECK_AT)) continue
        const offset = getInt64(view, at)
        if (offset >= from) found.set(offset, { sizeBytes: view.getInt32(at + 8), digest: view.getInt32(at + 12) })
      }
    }
    return found
  }

  /** After recovery: only these are known from now on. */
  restart(known: ReadonlyMap<number, ExpectedRecord>): void {
    for (const [offset, { sizeBytes, digest }] of known) this.add(offset, sizeBytes, digest)
    for (const file of this.files) file.truncate(0)
    this.end = 0
    this.flush()
  }

  dispatch(record: DispatchRecord): void {
    this.add(record.physicalOffset, record.sizeBytes, record.digest)
  }

  private add(offset: number, sizeBytes: number, digest: number): void {
    const at = this.count * ENTRY_BYTES
    if (at === this.pending.length) {
      const larger = new Uint8Array(this.pending.length * 2)
      larger.set(this.pending)
      this.pending = larger
      this.view = viewOf(larger)
    }
    setInt64(this.view, at, offset)
    this.view.setInt32(at + 8, sizeBytes)
    this.view.setInt32(at + 12, digest)
    this.view.setInt32(at + CHECK_AT, digestOfRange(this.view, at, at + CHECK_AT))
    this.count++
  }

  /** Writes what was dispatched since the last call. A disk that does not take it costs only what the journal is good for. */
  flush(): void {
    if (this.count === 0) return
    const length = this.count * ENTRY_BYTES
    this.count = 0
    try {
      ;(this.files[this.current] as DiskFile).write(this.pending, 0, length, this.end)
      this.end += length
    } catch {
      // The entries at `end` may be half written: their checks tell, and the next write goes over them.
    }
  }

  /** A checkpoint begins: what comes from now on is not its own. Returns what to do when it is on disk. */
  beginCheckpoint(): () => void {
    if (!this.isOtherNeeded) {
      this.current = 1 - this.current
      ;(this.files[this.current] as DiskFile).truncate(0)
      this.end = 0
      this.isOtherNeeded = true
    }
    return () => {
      this.isOtherNeeded = false
    }
  }

  close(): void {
    for (const file of this.files) file.close()
  }
}
