import { join } from 'node:path'
import type { Disk, DiskFile } from '@skylarkmq/runtime'
import { getInt64, setInt64, viewOf } from '../bytes.ts'
import { crc32OfRange } from '../crc32.ts'
import { LIMITS } from '../limits.ts'
import { CHUNK_BYTES, CHUNK_ENTRIES, ENTRY_BYTES } from './entry.ts'
import { HEADER_BYTES, WaitingChunks } from './waiting-chunks.ts'

export { CHUNK_BYTES, CHUNK_ENTRIES }

/**
 * Of a header: u32 topic id + 1 (0: free) · u32 queue id · u32 chunk number · u16 first entry · u16 entries · u64 end of the newest entry's
 * record · u32 CRC of these 24 bytes · 4 unused, so that no header straddles two sectors and a crash leaves it old or new.
 */
const CRC_AT = 24

export interface ChunkHeader {
  readonly slot: number
  readonly topicId: number
  readonly queueId: number
  /** Queue offset of the chunk's first place / 256. */
  readonly chunkNo: number
  /** Places `[start, count)` hold entries. */
  readonly start: number
  readonly count: number
  /** All entries are of records before this position of the log. */
  readonly logEnd: number
}

/**
 * The entries of all consume queues in one file, in chunks of 256: creating a file per queue takes seconds at 10,000 queues, and
 * keeps as many descriptors. The chunks' headers are a file of their own, so that opening reads one small file from end to end.
 */
export class ChunkFile {
  private readonly data: DiskFile
  private readonly headers: DiskFile
  private readonly free: number[] = []
  private freed: number[] = []
  private slots = 0
  private headersEnd = 0
  private readonly headerBytes = new Uint8Array(HEADER_BYTES)
  private readonly headerView = viewOf(this.headerBytes)
  private readonly waiting = new WaitingChunks()
  /** Chunks that were read lately, by slot, the oldest first: whoever reads along a queue takes a chunk bit by bit. */
  private readonly kept = new Map<number, Uint8Array>()

  constructor(disk: Disk, directory: string) {
    this.data = disk.open(join(directory, 'chunks.data'), { create: true })
    this.headers = disk.open(join(directory, 'chunks.headers'), { create: true })
  }

  /** At least so many headers are in the file. */
  get headerCount(): number {
    return this.headersEnd
  }

  /** All chunks on file, or in words why the file cannot be believed. The caller frees those that it does not want. */
  load(slotsAtLeast: number): ChunkHeader[] | string {
    const size = this.headers.sizeBytes()
    this.slots = Math.floor(size / HEADER_BYTES)
    this.headersEnd = this.slots
    if (this.slots < slotsAtLeast) return `chunks.headers has ${this.slots} headers, ${slotsAtLeast} were written`
    const bytes = new Uint8Array(this.slots * HEADER_BYTES)
    const view = viewOf(bytes)
    this.headers.readNow(bytes, 0, bytes.length, 0)
    const found: ChunkHeader[] = []
    for (let slot = 0; slot < this.slots; slot++) {
      const at = slot * HEADER_BYTES
      const topicId = view.getUint32(at) - 1
      if (view.getUint32(at + CRC_AT) !== crc32OfRange(bytes, at, at + CRC_AT)) {
        if (bytes.subarray(at, at + HEADER_BYTES).some((byte) => byte !== 0)) return `header ${slot} in chunks.headers is damaged`
        this.free.push(slot)
      } else if (topicId < 0) this.free.push(slot)
      else {
        const queueId = view.getUint32(at + 4)
        const chunkNo = view.getUint32(at + 8)
        const logEnd = getInt64(view, at + 16)
        found.push({ slot, topicId, queueId, chunkNo, start: view.getUint16(at + 12), count: view.getUint16(at + 14), logEnd })
      }
    }
    return found
  }

  takeSlot(): number {
    return this.free.pop() ?? this.slots++
  }

  /** Gives a chunk back. It is used again only when its empty header is on disk: else a crash could give its old queue the new one's entries. */
  freeSlot(slot: number): void {
    this.kept.delete(slot)
    if (this.waiting.has(slot)) this.waiting.forget(slot)
    else {
      this.headerBytes.fill(0)
      this.headers.write(this.headerBytes, 0, HEADER_BYTES, slot * HEADER_BYTES)
    }
    this.freed.push(slot)
  }

  /** Takes a chunk with all its places, to be written with those that are filled next, at the latest by `writeWaiting`. */
  putWhole(header: ChunkHeader, entries: Uint8Array): void {
    const { slot } = header
    if (!this.waiting.takes(slot)) this.writeWaiting()
    this.kept.delete(slot)
    this.encodeHeader(header)
    this.waiting.add(slot, entries, this.headerBytes)
  }

  /** Throws what the disk threw; then nothing is lost. */
  writeWaiting(): void {
    const { end } = this.waiting
    if (this.waiting.write(this.data, this.headers)) this.headersEnd = Math.max(this.headersEnd, end)
  }

  writeHeader(header: ChunkHeader): void {
    if (this.waiting.has(header.slot)) this.writeWaiting()
    this.encodeHeader(header)
    this.headers.write(this.headerBytes, 0, HEADER_BYTES, header.slot * HEADER_BYTES)
    this.headersEnd = Math.max(this.headersEnd, header.slot + 1)
  }

  private encodeHeader(header: ChunkHeader): void {
    const view = this.headerView
    view.setUint32(0, header.topicId + 1)
    view.setUint32(4, header.queueId)
    view.setUint32(8, header.chunkNo)
    view.setUint16(12, header.start)
    view.setUint16(14, header.count)
    setInt64(view, 16, header.logEnd)
    view.setUint32(CRC_AT, crc32OfRange(this.headerBytes, 0, CRC_AT))
  }

  /** Writes places `[from, to)` of a chunk from `entries`, which holds the chunk from its first place on. */
  writeEntries(slot: number, entries: Uint8Array, from: number, to: number): void {
    if (this.waiting.has(slot)) this.writeWaiting()
    this.kept.delete(slot)
    this.data.write(entries, from * ENTRY_BYTES, (to - from) * ENTRY_BYTES, slot * CHUNK_BYTES + from * ENTRY_BYTES)
  }

  /** A whole chunk as it is on file, or will be. To be read at once, and not to be changed. */
  chunk(slot: number): Uint8Array {
    if (this.waiting.has(slot)) return this.waiting.chunk(slot)
    const present = this.kept.get(slot)
    if (present !== undefined) return present
    let bytes: Uint8Array | undefined
    if (this.kept.size >= LIMITS.keptChunks) {
      const [oldest] = this.kept.entries()
      if (oldest !== undefined) {
        this.kept.delete(oldest[0])
        bytes = oldest[1]
      }
    }
    bytes ??= new Uint8Array(CHUNK_BYTES)
    this.readEntries(slot, 0, CHUNK_ENTRIES, bytes, 0)
    this.kept.set(slot, bytes)
    return bytes
  }

  /** Reads places `[from, to)` into `target` at `targetStart`. */
  readEntries(slot: number, from: number, to: number, target: Uint8Array, targetStart: number): void {
    const length = (to - from) * ENTRY_BYTES
    if (this.waiting.has(slot)) return target.set(this.waiting.chunk(slot).subarray(from * ENTRY_BYTES, to * ENTRY_BYTES), targetStart)
    const got = this.data.readNow(target, targetStart, length, slot * CHUNK_BYTES + from * ENTRY_BYTES)
    if (got < length) target.fill(0, targetStart + got, targetStart + length)
  }

  async sync(): Promise<void> {
    const freed = this.freed
    this.freed = []
    await this.data.sync()
    await this.headers.sync()
    for (const slot of freed) this.free.push(slot)
  }

  close(): void {
    this.data.close()
    this.headers.close()
  }
}
