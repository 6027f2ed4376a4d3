import type { Disk, DiskFile } from '@skylarkmq/runtime'
import { getInt64, viewOf } from '../bytes.ts'
import { crc32OfRange } from '../crc32.ts'

export const INDEX_ENTRY_BYTES = 20
const HEADER_BYTES = 64
const MAGIC = 0x534b_4958
/** Slots are written in such pieces: a table of megabytes at once would stall the turn. */
const SLOT_PIECE = 16_384
const PIECE_ENTRIES = 50_000

export interface IndexFileHead {
  readonly slotCount: number
  readonly entryCount: number
  readonly beginOffset: number
  readonly endOffset: number
  readonly beginTime: number
  readonly endTime: number
}

/**
 * One hash file: header, slots (number of the newest entry of each, 0: none), entries of 20 bytes:
 * u32 hash · u32 previous entry of the slot · u48 physical offset · u48 store time in ms.
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
  private readonly file: DiskFile
  private slotsWritten = 0
  private readonly scratch = new Uint8Array(INDEX_ENTRY_BYTES)
  private readonly scratchView = viewOf(this.scratch)

  private constructor(path: string, sequence: number, file: DiskFile, slotCount: number) {
    this.path = path
    this.sequence = sequence
    this.file = file
    this.slotCount = slotCount
  }

  static create(disk: Disk, path: string, sequence: number, slotCount: number): IndexFile {
    disk.remove(path)
    const created = new IndexFile(path, sequence, disk.open(path, { create: true }), slotCount)
    created.slots = new Int32Array(slotCount)
    return created
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
    const found = new IndexFile(path, sequence, file, view.getUint32(4))
    found.entryCount = view.getUint32(8)
    found.beginOffset = getInt64(view, 16)
    found.endOffset = getInt64(view, 24)
    found.beginTime = getInt64(view, 32)
    found.endTime = getInt64(view, 40)
    found.slotsWritten = found.slotCount
    return found
  }

  /** The growing file, with the first `entryCount` entries, from which the slots are made again. */
  static openGrowing(disk: Disk, path: string, sequence: number, slotCount: number, entryCount: number): IndexFile | undefined {
    if (!disk.exists(path)) return undefined
    const file = disk.open(path)
    const opened = new IndexFile(path, sequence, file, slotCount)
    opened.slots = new Int32Array(slotCount)
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
    // It grows again: an older header that calls it complete would lie.
    file.write(new Uint8Array(HEADER_BYTES), 0, HEADER_BYTES, 0)
    return opened
  }

  private adopt(entries: Uint8Array, count: number): void {
    const view = viewOf(entries)
    const slots = this.slots as Int32Array
    for (let i = 0; i < count; i++) {
      const at = i * INDEX_ENTRY_BYTES
      this.cover(get48(view, at + 8), get48(view, at + 14))
      slots[view.getUint32(at) % this.slotCount] = ++this.entryCount
    }
  }

  get entriesAt(): number {
    return HEADER_BYTES + this.slotCount * 4
  }

  /** Whether log positions and times are within; for entries that are about to be written by `writeEntries`. */
  cover(physicalOffset: number, storeTime: number): void {
    if (this.beginOffset < 0) {
      this.beginOffset = physicalOffset
      this.beginTime = storeTime
    }
    if (physicalOffset > this.endOffset) this.endOffset = physicalOffset
    if (storeTime > this.endTime) this.endTime = storeTime
    if (storeTime < this.beginTime) this.beginTime = storeTime
  }

  /** Entries `first`, `first + 1`, … (from 1 on) from `bytes`. */
  writeEntries(bytes: Uint8Array, count: number, first: number): void {
    this.file.write(bytes, 0, count * INDEX_ENTRY_BYTES, this.entriesAt + (first - 1) * INDEX_ENTRY_BYTES)
  }

  /** Reads an entry into `scratch`; its fields are then given by the getters below. */
  load(number: number): boolean {
    return this.file.readNow(this.scratch, 0, INDEX_ENTRY_BYTES, this.entriesAt + (number - 1) * INDEX_ENTRY_BYTES) === INDEX_ENTRY_BYTES
  }

  get entryBytes(): DataView {
    return this.scratchView
  }

  newestOf(hash: number): number {
    const slot = hash % this.slotCount
    if (this.slots !== undefined) return this.slots[slot] as number
    if (this.file.readNow(this.scratch, 0, 4, HEADER_BYTES + slot * 4) < 4) return 0
    return this.scratchView.getInt32(0)
  }

  /** Puts a piece of the slots of a full file on disk; true when all are, and the header with them. */
  sealStep(): boolean {
    if (this.slots === undefined) return true
    const from = this.slotsWritten
    const to = Math.min(this.slotCount, from + SLOT_PIECE)
    const bytes = new Uint8Array((to - from) * 4)
    const view = viewOf(bytes)
    for (let i = from; i < to; i++) view.setInt32((i - from) * 4, this.slots[i] as number)
    this.file.write(bytes, 0, bytes.length, HEADER_BYTES + from * 4)
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
    this.file.write(header, 0, HEADER_BYTES, 0)
    this.slots = undefined
  }

  sync(): Promise<void> {
    return this.file.sync()
  }

  close(): void {
    this.file.close()
  }
}

export function set48(view: DataView, at: number, value: number): void {
  view.setUint16(at, Math.floor(value / 0x1_0000_0000))
  view.setUint32(at + 2, value >>> 0)
}

export function get48(view: DataView, at: number): number {
  return view.getUint16(at) * 0x1_0000_0000 + view.getUint32(at + 2)
}
