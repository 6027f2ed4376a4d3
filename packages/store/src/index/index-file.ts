import { DERIVED } from '@skylarkmq/remoting/protocol'
import type { Derivation } from '@skylarkmq/remoting/protocol'
import type { Disk, DiskFile } from '@skylarkmq/runtime'
import { getInt64, viewOf } from '../bytes.ts'
import { crc32OfRange } from '../crc32.ts'
import { digestOfRange, digestOfWords } from '../digest.ts'

export const INDEX_ENTRY_BYTES = 24
const CHECK_AT = 20
/** i32 number of the newest entry · i32 check */
const SLOT_BYTES = 8
const HEADER_BYTES = 64
const MAGIC = 0x534b_4959
/** Entries that wait in memory for one write. */
const PENDING_ENTRIES = 1_024
/** Slots are written in such pieces: a table of megabytes at once would stall the turn. */
const SLOT_PIECE = 16_384
const PIECE_ENTRIES = 50_000

/** What an entry says of a key: where the message is, when it was stored, and the entry before in the same slot. */
export interface IndexEntry {
  readonly hash: number
  readonly previous: number
  readonly physicalOffset: number
  readonly storeTime: number
}

/**
 * One hash file: header, slots (number of the newest entry of each, 0: none), entries of 24 bytes:
 * u32 hash · u32 previous entry of the slot · u48 physical offset · u48 store time in ms · i32 check.
 * As RocketMQ's IndexFile in principle; the slots stay in memory until the file is full, so that adding a key is one append.
 */
export class IndexFile {
  readonly sequence: number
  readonly path: string
  slotCount: number
  entryCount = 0
  beginOffset = -1
  endOffset = -1
  beginTime = 0
  endTime = 0
  /** In memory while the file grows and until all of it is on file. */
  slots: Int32Array | undefined
  private readonly disk: Disk
  /** Made by the first write: a full disk keeps nobody from adding keys. */
  private file: DiskFile | undefined
  private pending: Uint8Array = new Uint8Array(0)
  private pendingView = viewOf(this.pending)
  /** The kernel, too, adds entries, as long as slots and waiting entries lie in this part of its memory. */
  private shared: Derivation | undefined
  private pendingCount = 0
  /** Entries of a file taken over that are not what was written. */
  readonly damaged: number[] = []
  private slotsWritten = 0
  private piece = new Uint8Array(0)
  private pieceView = viewOf(this.piece)
  /** First entry in `piece`, and how many. */
  private pieceFirst = 1
  private pieceCount = 0

  private constructor(disk: Disk, path: string, sequence: number, file: DiskFile | undefined, slotCount: number) {
    this.disk = disk
    this.path = path
    this.sequence = sequence
    this.file = file
    this.slotCount = slotCount
  }

  /** `shared`: for the one file that grows. */
  static create(disk: Disk, path: string, sequence: number, slotCount: number, shared?: Derivation): IndexFile {
    const created = new IndexFile(disk, path, sequence, undefined, slotCount)
    created.makeSlots(shared)
    return created
  }

  private makeSlots(shared: Derivation | undefined): void {
    if (shared === undefined || shared.indexSlots.length < this.slotCount) {
      this.slots = new Int32Array(this.slotCount)
      return
    }
    this.shared = shared
    this.slots = shared.indexSlots.subarray(0, this.slotCount).fill(0)
    this.usePending(shared.indexEntries)
  }

  private usePending(bytes: Uint8Array): void {
    this.pending = bytes
    this.pendingView = viewOf(bytes)
  }

  /** The kernel adds to another file from now on. */
  stopSharing(): void {
    if (this.shared === undefined) return
    this.shared = undefined
    this.slots = this.slots?.slice()
    this.usePending(this.pending.slice(0, this.pendingCount * INDEX_ENTRY_BYTES))
  }

  /** Tells the kernel what it needs to add entries, up to `entriesMax` in the file. */
  beginRun({ words, indexEntries }: Derivation, entriesMax: number): void {
    const isReady = this.pending === this.shared?.indexEntries
    const room = indexEntries.length / INDEX_ENTRY_BYTES - this.pendingCount
    words[DERIVED.indexRoom] = isReady ? Math.min(room, entriesMax - this.entryCount) : 0
    words[DERIVED.indexNextAt] = indexEntries.byteOffset + this.pendingCount * INDEX_ENTRY_BYTES
    words[DERIVED.indexSlotCount] = this.slotCount
    words[DERIVED.indexEntryCount] = this.entryCount
    words[DERIVED.indexPlaceSeed] = this.placeOf(0)
  }

  /** The kernel has added entries. */
  endRun({ words, numbers }: Derivation): void {
    const count = words[DERIVED.keys] as number
    if (count === 0) return
    this.entryCount += count
    this.pendingCount += count
    this.cover(numbers[DERIVED.firstKeyedOffset] as number, numbers[DERIVED.firstKeyedTime] as number)
    this.cover(numbers[DERIVED.lastKeyedOffset] as number, numbers[DERIVED.lastKeyedTime] as number)
  }

  /** A file whose header says that it is complete, or undefined. */
  static openSealed(disk: Disk, path: string, sequence: number): IndexFile | undefined {
    const file = disk.open(path)
    const header = new Uint8Array(HEADER_BYTES)
    const view = viewOf(header)
    file.readNow(header, 0, HEADER_BYTES, 0)
    if (view.getUint32(0) !== MAGIC || view.getUint32(60) !== crc32OfRange(header, 0, 60)) {
      file.close()
      return undefined
    }
    const found = new IndexFile(disk, path, sequence, file, view.getUint32(4))
    found.entryCount = view.getUint32(8)
    found.beginOffset = getInt64(view, 16)
    found.endOffset = getInt64(view, 24)
    found.beginTime = getInt64(view, 32)
    found.endTime = getInt64(view, 40)
    found.slotsWritten = found.slotCount
    return found
  }

  /** The growing file, with the first `entryCount` entries, from which the slots are made again. */
  static openGrowing(
    disk: Disk,
    path: string,
    sequence: number,
    slotCount: number,
    entryCount: number,
    shared?: Derivation,
  ): IndexFile | undefined {
    if (!disk.exists(path)) return undefined
    const file = disk.open(path)
    const opened = new IndexFile(disk, path, sequence, file, slotCount)
    opened.makeSlots(shared)
    const piece = new Uint8Array(Math.min(entryCount, PIECE_ENTRIES) * INDEX_ENTRY_BYTES)
    while (opened.entryCount < entryCount) {
      const count = Math.min(PIECE_ENTRIES, entryCount - opened.entryCount)
      const at = opened.entriesAt + opened.entryCount * INDEX_ENTRY_BYTES
      if (file.readNow(piece, 0, count * INDEX_ENTRY_BYTES, at) < count * INDEX_ENTRY_BYTES) {
        file.close()
        return undefined
      }
      opened.adopt(piece, count)
    }
    // What lies behind was not vouched for, and is derived again.
    const end = opened.entriesAt + entryCount * INDEX_ENTRY_BYTES
    if (file.sizeBytes() > end) file.truncate(end)
    // It grows again: an older header that calls it complete would lie.
    const header = new Uint8Array(HEADER_BYTES)
    file.readNow(header, 0, HEADER_BYTES, 0)
    if (header.some((byte) => byte !== 0)) file.write(header.fill(0), 0, HEADER_BYTES, 0)
    return opened
  }

  private adopt(entries: Uint8Array, count: number): void {
    const view = viewOf(entries)
    const slots = this.slots as Int32Array
    for (let i = 0; i < count; i++) {
      const at = i * INDEX_ENTRY_BYTES
      const number = ++this.entryCount
      if (!this.isSound(view, at, number)) {
        this.damaged.push(number)
        continue
      }
      this.cover(get48(view, at + 8), get48(view, at + 14))
      slots[view.getUint32(at) % this.slotCount] = number
    }
  }

  get entriesAt(): number {
    return HEADER_BYTES + this.slotCount * SLOT_BYTES
  }

  /** Adds an entry, which waits in memory until there is something to write. On a full disk all do: their messages must be found. */
  append(hash: number, physicalOffset: number, storeTime: number): void {
    if (this.pendingCount * INDEX_ENTRY_BYTES === this.pending.length) this.makeRoom()
    const slots = this.slots as Int32Array
    const slot = hash % this.slotCount
    const number = this.entryCount + 1
    const at = this.pendingCount * INDEX_ENTRY_BYTES
    const view = this.pendingView
    view.setUint32(at, hash)
    view.setUint32(at + 4, slots[slot] as number)
    set48(view, at + 8, physicalOffset)
    set48(view, at + 14, storeTime)
    view.setInt32(at + CHECK_AT, digestOfRange(view, at, at + CHECK_AT, this.placeOf(number)))
    this.cover(physicalOffset, storeTime)
    slots[slot] = number
    this.entryCount = number
    this.pendingCount++
  }

  private makeRoom(): void {
    try {
      if (this.pendingCount > 0) this.writePending()
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'ENOSPC') throw error
    }
    if (this.pendingCount * INDEX_ENTRY_BYTES < this.pending.length) return
    const larger = new Uint8Array(Math.max(PENDING_ENTRIES * INDEX_ENTRY_BYTES, this.pending.length * 2))
    larger.set(this.pending)
    this.usePending(larger)
  }

  /** Puts on file what waits. Throws what the disk threw; then it is still to be done. */
  writePending(): void {
    this.openForWriting()
    if (this.pendingCount === 0) return
    this.writeEntries(this.pending, this.pendingCount, this.entryCount - this.pendingCount + 1)
    this.pendingCount = 0
    if (this.shared !== undefined) this.usePending(this.shared.indexEntries)
    else if (this.pending.length > PENDING_ENTRIES * INDEX_ENTRY_BYTES) this.usePending(new Uint8Array(0))
  }

  private openForWriting(): DiskFile {
    if (this.file !== undefined) return this.file
    this.disk.remove(this.path)
    this.file = this.disk.open(this.path, { create: true })
    return this.file
  }

  /** Whether log positions and times are within; for entries that are about to be written. */
  cover(physicalOffset: number, storeTime: number): void {
    if (this.beginOffset < 0) {
      this.beginOffset = physicalOffset
      this.beginTime = storeTime
    }
    if (physicalOffset > this.endOffset) this.endOffset = physicalOffset
    if (storeTime > this.endTime) this.endTime = storeTime
    if (storeTime < this.beginTime) this.beginTime = storeTime
  }

  /** Writes an entry to `at`; it will be entry `number` of this file. */
  encode(view: DataView, at: number, number: number, entry: IndexEntry): void {
    view.setUint32(at, entry.hash)
    view.setUint32(at + 4, entry.previous)
    set48(view, at + 8, entry.physicalOffset)
    set48(view, at + 14, entry.storeTime)
    view.setInt32(at + CHECK_AT, digestOfRange(view, at, at + CHECK_AT, this.placeOf(number)))
  }

  /** Entries `first`, `first + 1`, … (from 1 on) from `bytes`. */
  writeEntries(bytes: Uint8Array, count: number, first: number): void {
    this.openForWriting().write(bytes, 0, count * INDEX_ENTRY_BYTES, this.entriesAt + (first - 1) * INDEX_ENTRY_BYTES)
    this.pieceCount = 0
  }

  /** An entry, undefined when it is not what was written. With `readBack` entries before it are read along, for a walk down. */
  entry(number: number, readBack = 1): IndexEntry | undefined {
    const waiting = number - 1 - (this.entryCount - this.pendingCount)
    if (waiting >= 0 && waiting < this.pendingCount) return this.decode(this.pendingView, waiting * INDEX_ENTRY_BYTES, number)
    if (number < this.pieceFirst || number >= this.pieceFirst + this.pieceCount) this.loadPiece(number, readBack)
    if (number < this.pieceFirst || number >= this.pieceFirst + this.pieceCount) return undefined
    return this.decode(this.pieceView, (number - this.pieceFirst) * INDEX_ENTRY_BYTES, number)
  }

  /** What `append` or `encode` wrote; undefined when it is not there. */
  private decode(view: DataView, at: number, number: number): IndexEntry | undefined {
    if (!this.isSound(view, at, number)) return undefined
    return {
      hash: view.getUint32(at),
      previous: view.getUint32(at + 4),
      physicalOffset: get48(view, at + 8),
      storeTime: get48(view, at + 14),
    }
  }

  /** As `entry`, for a walk up. */
  entryAhead(number: number, ahead: number): IndexEntry | undefined {
    if (number < this.pieceFirst || number >= this.pieceFirst + this.pieceCount) {
      const last = Math.min(this.entryCount, number + ahead - 1)
      this.loadPiece(last, last - number + 1)
    }
    return this.entry(number)
  }

  private loadPiece(number: number, readBack: number): void {
    const first = Math.max(1, number - readBack + 1)
    const bytes = (number - first + 1) * INDEX_ENTRY_BYTES
    if (this.piece.length < bytes) {
      this.piece = new Uint8Array(bytes)
      this.pieceView = viewOf(this.piece)
    }
    const got = this.file === undefined ? 0 : this.file.readNow(this.piece, 0, bytes, this.entriesAt + (first - 1) * INDEX_ENTRY_BYTES)
    this.pieceFirst = first
    this.pieceCount = Math.floor(got / INDEX_ENTRY_BYTES)
  }

  private isSound(view: DataView, at: number, number: number): boolean {
    return view.getInt32(at + CHECK_AT) === digestOfRange(view, at, at + CHECK_AT, this.placeOf(number))
  }

  private placeOf(number: number): number {
    return (Math.imul(this.sequence, 0x1000_0001) + number) | 0
  }

  /** The newest entry of the hash's slot, 0 for none; undefined when the slot is not what was written. */
  newestOf(hash: number): number | undefined {
    const slot = hash % this.slotCount
    if (this.slots !== undefined) return this.slots[slot] as number
    const bytes = new Uint8Array(SLOT_BYTES)
    const view = viewOf(bytes)
    this.file?.readNow(bytes, 0, SLOT_BYTES, HEADER_BYTES + slot * SLOT_BYTES)
    const number = view.getInt32(0)
    return view.getInt32(4) === digestOfWords(number, slot, this.sequence) ? number : undefined
  }

  /** Puts a piece of the slots of a full file on disk; true when all are, and the header with them. */
  sealStep(): boolean {
    if (this.slots === undefined) return true
    const from = this.slotsWritten
    const to = Math.min(this.slotCount, from + SLOT_PIECE)
    const bytes = new Uint8Array((to - from) * SLOT_BYTES)
    const view = viewOf(bytes)
    for (let i = from; i < to; i++) {
      const number = this.slots[i] as number
      view.setInt32((i - from) * SLOT_BYTES, number)
      view.setInt32((i - from) * SLOT_BYTES + 4, digestOfWords(number, i, this.sequence))
    }
    this.openForWriting().write(bytes, 0, bytes.length, HEADER_BYTES + from * SLOT_BYTES)
    this.slotsWritten = to
    return to === this.slotCount
  }

  /** Only after the slots and entries are synced. */
  writeHeader(): void {
    const header = new Uint8Array(HEADER_BYTES)
    const view = viewOf(header)
    view.setUint32(0, MAGIC)
    view.setUint32(4, this.slotCount)
    view.setUint32(8, this.entryCount)
    for (const [at, value] of [
      [16, this.beginOffset],
      [24, this.endOffset],
      [32, this.beginTime],
      [40, this.endTime],
    ] as const) {
      view.setInt32(at, Math.floor(value / 0x1_0000_0000))
      view.setUint32(at + 4, value >>> 0)
    }
    view.setUint32(60, crc32OfRange(header, 0, 60))
    this.openForWriting().write(header, 0, HEADER_BYTES, 0)
    this.slots = undefined
  }

  async sync(): Promise<void> {
    await this.file?.sync()
  }

  close(): void {
    this.file?.close()
  }
}

export function set48(view: DataView, at: number, value: number): void {
  view.setUint16(at, Math.floor(value / 0x1_0000_0000))
  view.setUint32(at + 2, value >>> 0)
}

export function get48(view: DataView, at: number): number {
  return view.getUint16(at) * 0x1_0000_0000 + view.getUint32(at + 2)
}
