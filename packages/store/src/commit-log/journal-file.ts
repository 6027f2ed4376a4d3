import type { Disk, DiskFile } from '@skylarkmq/runtime'
import { getInt64, setInt64, viewOf } from '../bytes.ts'
import { digestOfRange } from '../digest.ts'
import type { ExpectedRecord } from './log-scanner.ts'

/** int64 physical offset · int32 size · int32 digest · int32 check. In the order of the log. */
export const JOURNAL_ENTRY_BYTES = 20
const JOURNAL_CHECK_AT = 16
const PIECE_ENTRIES = 4_096
const PIECE_BYTES = PIECE_ENTRIES * JOURNAL_ENTRY_BYTES

/** Between two sound entries: places `[from, to)` of the file, for records between `after` and `before`. */
export interface JournalGap {
  readonly after: number
  readonly before: number
  readonly from: number
  readonly to: number
}

export interface JournalRecord {
  readonly physicalOffset: number
  readonly sizeBytes: number
  readonly digest: number
}

export function writeJournalEntry(view: DataView, at: number, record: JournalRecord): void {
  setInt64(view, at, record.physicalOffset)
  view.setInt32(at + 8, record.sizeBytes)
  view.setInt32(at + 12, record.digest)
  view.setInt32(at + JOURNAL_CHECK_AT, digestOfRange(view, at, at + JOURNAL_CHECK_AT))
}

/** Reads the journal of one segment in pieces: a gigabyte of small messages has millions of entries. */
export class JournalFile {
  readonly start: number
  private readonly segmentBytes: number
  private readonly file: DiskFile
  private readonly size: number
  /** The piece in memory: its number, and what is sound in it. */
  private piece = -1
  private offsets: number[] = []
  private readonly places: number[] = []
  private readonly bytes = new Uint8Array(PIECE_BYTES)
  private readonly view = viewOf(this.bytes)
  private gap: JournalGap | undefined

  private constructor(file: DiskFile, start: number, segmentBytes: number) {
    this.file = file
    this.start = start
    this.segmentBytes = segmentBytes
    this.size = file.sizeBytes()
  }

  static open(disk: Disk, path: string, start: number, segmentBytes: number, readOnly: boolean): JournalFile | undefined {
    if (!disk.exists(path)) return undefined
    return new JournalFile(disk.open(path, { readOnly }), start, segmentBytes)
  }

  find(physicalOffset: number): ExpectedRecord | undefined {
    if (this.isInGap(physicalOffset)) return undefined
    const at = this.indexOf(physicalOffset)
    if (this.offsets[at] !== physicalOffset) {
      // Its neighbours will be asked for next.
      this.gapAt(physicalOffset)
      return undefined
    }
    const place = this.places[at] as number
    return { sizeBytes: this.view.getInt32(place + 8), digest: this.view.getInt32(place + 12) }
  }

  /** End of the last record that is known; 0 when none is. */
  knownEnd(): number {
    for (let piece = this.pieces - 1; piece >= 0; piece--) {
      this.load(piece)
      const last = this.offsets.at(-1)
      if (last !== undefined) return last + this.view.getInt32((this.places.at(-1) as number) + 8)
    }
    return 0
  }

  /** Where the entry of a position that is not known would be: power may take some of what was written, and not what came later. */
  gapAt(physicalOffset: number): JournalGap {
    if (this.gap !== undefined && this.isInGap(physicalOffset)) return this.gap
    const at = this.indexOf(physicalOffset)
    const isEnd = at === this.offsets.length
    const before = this.offsets[at] ?? Number.MAX_SAFE_INTEGER
    const to = isEnd ? Number.MAX_SAFE_INTEGER : this.placeInFile(at)
    let last = at - 1
    for (let piece = this.piece - 1; last < 0 && piece >= 0; piece--) {
      this.load(piece)
      last = this.offsets.length - 1
    }
    this.gap = { after: this.offsets[last] ?? -1, before, from: last < 0 ? 0 : this.placeInFile(last) + JOURNAL_ENTRY_BYTES, to }
    return this.gap
  }

  private isInGap(physicalOffset: number): boolean {
    return this.gap !== undefined && physicalOffset > this.gap.after && physicalOffset < this.gap.before
  }

  private placeInFile(index: number): number {
    return this.piece * PIECE_BYTES + (this.places[index] as number)
  }

  /** Drops the entries from this position on. Tells whether there were any. */
  cutTo(physicalOffset: number): boolean {
    const at = this.indexOf(physicalOffset)
    if (at === this.places.length) return false
    this.file.truncate(this.placeInFile(at))
    return true
  }

  /** Makes the entries of positions in `[from, to)` unknown. Tells whether there were any. */
  forget(from: number, to: number): boolean {
    const nothing = new Uint8Array(JOURNAL_ENTRY_BYTES)
    let count = 0
    this.indexOf(from)
    for (let piece = Math.max(0, this.piece); piece < this.pieces; piece++) {
      this.load(piece)
      for (const [i, offset] of this.offsets.entries()) {
        if (offset >= to) return count > 0
        if (offset < from) continue
        this.file.write(nothing, 0, nothing.length, piece * PIECE_BYTES + (this.places[i] as number))
        count++
      }
    }
    return count > 0
  }

  sizeBytes(): number {
    return this.file.sizeBytes()
  }

  sync(): Promise<void> {
    return this.file.sync()
  }

  close(): void {
    this.file.close()
  }

  private get pieces(): number {
    return Math.ceil(this.size / PIECE_BYTES)
  }

  /** Loads the piece to which a position belongs; gives the first entry there that is at or behind it. */
  private indexOf(physicalOffset: number): number {
    if (this.pieces === 0) return 0
    if (!this.covers(physicalOffset)) this.loadAround(physicalOffset)
    let low = 0
    let high = this.offsets.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.offsets[middle] as number) < physicalOffset) low = middle + 1
      else high = middle
    }
    // Behind all of this piece: the first of the next one that has any.
    while (low === this.offsets.length && this.piece + 1 < this.pieces) {
      this.load(this.piece + 1)
      low = 0
    }
    return low
  }

  private covers(physicalOffset: number): boolean {
    const first = this.offsets[0]
    const last = this.offsets.at(-1)
    return first !== undefined && last !== undefined && physicalOffset >= first && physicalOffset <= last
  }

  /** The last piece that begins at or before the position. */
  private loadAround(physicalOffset: number): void {
    // A scan goes up.
    if (this.piece >= 0 && physicalOffset > (this.offsets.at(-1) ?? -1) && this.piece + 1 < this.pieces) {
      this.load(this.piece + 1)
      if (this.covers(physicalOffset)) return
    }
    let low = 0
    let high = this.pieces - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      this.load(middle)
      // A piece without a sound entry tells nothing: the next one does.
      while (this.offsets.length === 0 && this.piece < high) this.load(this.piece + 1)
      if ((this.offsets[0] ?? Number.MAX_SAFE_INTEGER) <= physicalOffset) low = this.piece
      else high = middle - 1
    }
    this.load(low)
  }

  private load(piece: number): void {
    if (piece === this.piece) return
    this.piece = piece
    const got = this.file.readNow(this.bytes, 0, PIECE_BYTES, piece * PIECE_BYTES)
    this.offsets = []
    this.places.length = 0
    let last = -1
    for (let at = 0; at + JOURNAL_ENTRY_BYTES <= got; at += JOURNAL_ENTRY_BYTES) {
      if (this.view.getInt32(at + JOURNAL_CHECK_AT) !== digestOfRange(this.view, at, at + JOURNAL_CHECK_AT)) continue
      const offset = getInt64(this.view, at)
      if (offset <= last || offset < this.start || offset >= this.start + this.segmentBytes) continue
      this.offsets.push(offset)
      this.places.push(at)
      last = offset
    }
  }
}
