import type { Disk, DiskFile } from '@skylarkmq/runtime'
import { getInt64, setInt64, viewOf } from '../bytes.ts'
import { AT } from '../commit-log/record.ts'
import { checkRecord, plausibleSize } from '../commit-log/record-check.ts'
import { crc32OfRange } from '../crc32.ts'
import { crcOf, ENTRY, ENTRY_BYTES, describeRecord } from './entry.ts'
import type { Scratch } from './working-memory.ts'

/**
 * One compacted file: the newest records of keys among queue offsets `[from, to)`, as they stand in the commit log, in blocks:
 *
 *   record · record · … · index of the block (u32 size, u32 magic, u32 entries, u32 CRC of what follows, entries)
 *
 * then the directory (int64 first queue offset, int64 place of the index, int32 entries, int32 0; one per block), then the footer. It is
 * written from end to end, synced, and never changed; a file without a footer is one that a crash left unfinished.
 */
export const INDEX_MAGIC = 0x534b_4349
export const FOOTER_MAGIC = 0x534b_4346
export const INDEX_HEAD_BYTES = 16
export const DIRECTORY_BYTES = 24
/**
 * u32 magic · u32 CRC of what follows · int64 from · to · place of the directory · blocks · entries · oldest tombstone · made at (ms) ·
 * u32 CRC of the directory · u32 0.
 */
export const FOOTER_BYTES = 72
export const BLOCK_ENTRIES = 256
export const BLOCK_BYTES = 1024 * 1024

const WALK_BYTES = 4 * 1024 * 1024

export interface FileName {
  readonly from: number
  readonly to: number
  readonly generation: number
}

export const fileName = ({ from, to, generation }: FileName): string =>
  `${String(from).padStart(20, '0')}-${String(to).padStart(20, '0')}-${String(generation).padStart(10, '0')}`

export function parseFileName(name: string): FileName | undefined {
  const match = /^(\d{20})-(\d{20})-(\d{10})$/.exec(name)
  return match === null ? undefined : { from: Number(match[1]), to: Number(match[2]), generation: Number(match[3]) }
}

/** Blocks of a file: for each the first queue offset, the places of its records and of its index, and how many entries. */
interface Blocks {
  readonly first: number[]
  readonly start: number[]
  readonly index: number[]
  readonly count: number[]
}

export class CompactedFile {
  readonly path: string
  readonly from: number
  readonly to: number
  readonly generation: number
  readonly sizeBytes: number
  readonly createdMs: number
  readonly oldestTombstoneMs: number
  readonly entries: number
  private readonly file: DiskFile
  private readonly blocks: Blocks
  private users = 0
  private onUnused: (() => void) | undefined

  private constructor(
    file: DiskFile,
    name: FileName,
    blocks: Blocks,
    facts: { readonly createdMs: number; readonly oldestTombstoneMs: number },
  ) {
    this.file = file
    this.path = file.path
    this.from = name.from
    this.to = name.to
    this.generation = name.generation
    this.blocks = blocks
    this.createdMs = facts.createdMs
    this.oldestTombstoneMs = facts.oldestTombstoneMs
    this.sizeBytes = file.sizeBytes()
    this.entries = blocks.count.reduce((sum, count) => sum + count, 0)
  }

  /** The file, or undefined when it has no sound footer. */
  static open(disk: Disk, path: string, name: FileName): CompactedFile | undefined {
    const file = disk.open(path, { readOnly: true })
    const footer = readFooter(file, name)
    const blocks = footer && readDirectory(file, footer.directoryAt, footer.blocks, footer.directoryCrc)
    if (blocks !== undefined) return new CompactedFile(file, name, blocks, footer as Footer)
    file.close()
    return undefined
  }

  /** As `open`, for a file whose end is damaged: what can still be read of it. */
  static salvage(disk: Disk, path: string, name: FileName): CompactedFile {
    const file = disk.open(path, { readOnly: true })
    const { blocks, oldestTombstoneMs } = walk(file)
    return new CompactedFile(file, name, blocks, { createdMs: 0, oldestTombstoneMs })
  }

  get blockCount(): number {
    return this.blocks.first.length
  }

  entriesOf(block: number): number {
    return this.blocks.count[block] as number
  }

  /** The block that holds the first entry at or behind `queueOffset`, if any block does. */
  blockOf(queueOffset: number): number {
    const { first } = this.blocks
    let low = 0
    let high = first.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((first[middle] as number) <= queueOffset) low = middle + 1
      else high = middle
    }
    return Math.max(0, low - 1)
  }

  /** The entries of a block; with `memory` they are there until it is used again. */
  async readIndex(block: number, memory?: Scratch): Promise<Uint8Array> {
    const length = INDEX_HEAD_BYTES + this.entriesOf(block) * ENTRY_BYTES
    const bytes = memory?.take(length) ?? new Uint8Array(length)
    // A file that ends early leaves the rest as it was.
    const got = await this.file.read(bytes, 0, bytes.length, this.blocks.index[block] as number)
    return this.soundIndex(block, bytes.fill(0, got))
  }

  readIndexNow(block: number): Uint8Array {
    const bytes = new Uint8Array(INDEX_HEAD_BYTES + this.entriesOf(block) * ENTRY_BYTES)
    this.file.readNow(bytes, 0, bytes.length, this.blocks.index[block] as number)
    return this.soundIndex(block, bytes)
  }

  /** The entries. Where the index is damaged they are taken from the records before it. */
  private soundIndex(block: number, bytes: Uint8Array): Uint8Array {
    const view = viewOf(bytes)
    const isSound =
      view.getUint32(0) === bytes.length &&
      view.getUint32(4) === INDEX_MAGIC &&
      view.getUint32(12) === crcOf(bytes, INDEX_HEAD_BYTES, bytes.length)
    if (isSound) return bytes.subarray(INDEX_HEAD_BYTES)
    return describeRange(this.file, this.blocks.start[block] as number, this.blocks.index[block] as number)
  }

  /** Reads bytes of records. */
  read(target: Uint8Array, length: number, position: number): Promise<number> {
    return this.file.read(target, 0, length, position)
  }

  /** Keeps the file open until `release`. */
  use(): void {
    this.users++
  }

  release(): void {
    this.users--
    if (this.users === 0) this.onUnused?.()
  }

  /** Closes it as soon as nobody reads it, then calls `onClosed`. */
  close(onClosed: () => void = () => {}): void {
    if (this.onUnused !== undefined) return
    this.onUnused = () => {
      this.file.close()
      onClosed()
    }
    if (this.users === 0) this.onUnused()
  }
}

interface Footer {
  readonly directoryAt: number
  readonly blocks: number
  readonly directoryCrc: number
  readonly createdMs: number
  readonly oldestTombstoneMs: number
}

function readFooter(file: DiskFile, name: FileName): Footer | undefined {
  const size = file.sizeBytes()
  if (size < FOOTER_BYTES) return undefined
  const bytes = new Uint8Array(FOOTER_BYTES)
  file.readNow(bytes, 0, FOOTER_BYTES, size - FOOTER_BYTES)
  const view = viewOf(bytes)
  if (view.getUint32(0) !== FOOTER_MAGIC || view.getUint32(4) !== crc32OfRange(bytes, 8, FOOTER_BYTES)) return undefined
  if (getInt64(view, 8) !== name.from || getInt64(view, 16) !== name.to) return undefined
  const directoryAt = getInt64(view, 24)
  const blocks = getInt64(view, 32)
  if (directoryAt + blocks * DIRECTORY_BYTES + FOOTER_BYTES !== size) return undefined
  return { directoryAt, blocks, oldestTombstoneMs: getInt64(view, 48), createdMs: getInt64(view, 56), directoryCrc: view.getUint32(64) }
}

function readDirectory(file: DiskFile, at: number, count: number, crc: number): Blocks | undefined {
  const bytes = new Uint8Array(count * DIRECTORY_BYTES)
  if (file.readNow(bytes, 0, bytes.length, at) < bytes.length || crc32OfRange(bytes, 0, bytes.length) !== crc) return undefined
  const view = viewOf(bytes)
  const blocks: Blocks = { first: [], start: [], index: [], count: [] }
  let start = 0
  for (let i = 0; i < bytes.length; i += DIRECTORY_BYTES) {
    const entries = view.getInt32(i + 16)
    blocks.first.push(getInt64(view, i))
    blocks.start.push(start)
    blocks.index.push(getInt64(view, i + 8))
    blocks.count.push(entries)
    start = getInt64(view, i + 8) + INDEX_HEAD_BYTES + entries * ENTRY_BYTES
  }
  return blocks
}

/** Entries of the whole records in `[from, to)` of a file. Tombstones count as of their store time: theirs is lost. */
function describeRange(file: DiskFile, from: number, to: number): Uint8Array {
  const bytes = new Uint8Array(to - from)
  file.readNow(bytes, 0, bytes.length, from)
  const view = viewOf(bytes)
  let entries = new Uint8Array(BLOCK_ENTRIES * ENTRY_BYTES)
  let count = 0
  for (let at = 0; at + 8 <= bytes.length; ) {
    const size = plausibleSize(view, at, bytes.length - at)
    if (size === 0) break
    if (isSound(bytes, view, at) && describeRecord(bytes, view, at, undefined, entries, viewOf(entries), count * ENTRY_BYTES)) {
      setInt64(viewOf(entries), count * ENTRY_BYTES + ENTRY.position, from + at)
      if (++count * ENTRY_BYTES === entries.length) entries = grown(entries)
    }
    at += size
  }
  return entries.subarray(0, count * ENTRY_BYTES)
}

function grown(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const more = new Uint8Array(bytes.length * 2)
  more.set(bytes)
  return more
}

/** Is this the undamaged record of a commit log? */
function isSound(bytes: Uint8Array, view: DataView, at: number): boolean {
  return checkRecord(bytes, view, at, getInt64(view, at + AT.physicalOffset), true) === undefined
}

/** Finds the blocks of a file by its records and indexes alone. */
function walk(file: DiskFile): { readonly blocks: Blocks; readonly oldestTombstoneMs: number } {
  const size = file.sizeBytes()
  const blocks: Blocks = { first: [], start: [], index: [], count: [] }
  const head = new Uint8Array(WALK_BYTES)
  const view = viewOf(head)
  let windowStart = 0
  let filled = 0
  let start = 0
  let first = -1
  let isTombstoned = false
  for (let at = 0; at + INDEX_HEAD_BYTES <= size; ) {
    if (at + 64 > windowStart + filled) {
      windowStart = at
      filled = file.readNow(head, 0, head.length, at)
    }
    const place = at - windowStart
    const length = view.getUint32(place)
    if (view.getUint32(place + 4) === INDEX_MAGIC) {
      const count = view.getUint32(place + 8)
      if (length !== INDEX_HEAD_BYTES + count * ENTRY_BYTES || at + length > size) break
      if (first >= 0) {
        blocks.first.push(first)
        blocks.start.push(start)
        blocks.index.push(at)
        blocks.count.push(count)
      }
      isTombstoned = true
      first = -1
      start = at + length
      at += length
      continue
    }
    const recordBytes = plausibleSize(view, place, size - at)
    if (recordBytes === 0) break
    if (first < 0) first = getInt64(view, place + AT.queueOffset)
    at += recordBytes
  }
  return { blocks, oldestTombstoneMs: isTombstoned ? 1 : 0 }
}
