import { join } from 'node:path'
import type { Disk, DiskFile } from '@skylarkmq/runtime'
import { viewOf } from '../bytes.ts'
import { crc32OfRange } from '../crc32.ts'

export const ENTRY_BYTES = 20
export const CHUNK_ENTRIES = 256
export const CHUNK_BYTES = CHUNK_ENTRIES * ENTRY_BYTES
/** u32 topic id + 1 (0: free) · u32 queue id · u32 chunk number · u16 first entry · u16 entries · u32 CRC of these 16 bytes. */
const HEADER_BYTES = 20

export interface ChunkHeader {
  readonly slot: number
  readonly topicId: number
  readonly queueId: number
  /** Queue offset of the chunk's first place / 256. */
  readonly chunkNo: number
  /** Places `[start, count)` hold entries. */
  readonly start: number
  readonly count: number
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
  private readonly headerBytes = new Uint8Array(HEADER_BYTES)
  private readonly headerView = viewOf(this.headerBytes)

  constructor(disk: Disk, directory: string) {
    this.data = disk.open(join(directory, 'chunks.data'), { create: true })
    this.headers = disk.open(join(directory, 'chunks.headers'), { create: true })
  }

  /** All chunks on file. The caller frees those that it does not want. */
  load(): ChunkHeader[] {
    const size = this.headers.sizeBytes()
    this.slots = Math.floor(size / HEADER_BYTES)
    const bytes = new Uint8Array(this.slots * HEADER_BYTES)
    const view = viewOf(bytes)
    this.headers.readNow(bytes, 0, bytes.length, 0)
    const found: ChunkHeader[] = []
    for (let slot = 0; slot < this.slots; slot++) {
      const at = slot * HEADER_BYTES
      const topicId = view.getUint32(at) - 1
      const valid = topicId >= 0 && view.getUint32(at + 16) === crc32OfRange(bytes, at, at + 16)
      if (!valid) {
        this.free.push(slot)
        continue
      }
      const queueId = view.getUint32(at + 4)
      const chunkNo = view.getUint32(at + 8)
      found.push({ slot, topicId, queueId, chunkNo, start: view.getUint16(at + 12), count: view.getUint16(at + 14) })
    }
    return found
  }

  takeSlot(): number {
    return this.free.pop() ?? this.slots++
  }

  /** Gives a chunk back. It is used again only when its empty header is on disk: else a crash could give its old queue the new one's entries. */
  freeSlot(slot: number): void {
    this.headerBytes.fill(0)
    this.headers.write(this.headerBytes, 0, HEADER_BYTES, slot * HEADER_BYTES)
    this.freed.push(slot)
  }

  writeHeader(header: ChunkHeader): void {
    const view = this.headerView
    view.setUint32(0, header.topicId + 1)
    view.setUint32(4, header.queueId)
    view.setUint32(8, header.chunkNo)
    view.setUint16(12, header.start)
    view.setUint16(14, header.count)
    view.setUint32(16, crc32OfRange(this.headerBytes, 0, 16))
    this.headers.write(this.headerBytes, 0, HEADER_BYTES, header.slot * HEADER_BYTES)
  }

  /** Writes places `[from, to)` of a chunk from `entries`, which holds the chunk from its first place on. */
  writeEntries(slot: number, entries: Uint8Array, from: number, to: number): void {
    this.data.write(entries, from * ENTRY_BYTES, (to - from) * ENTRY_BYTES, slot * CHUNK_BYTES + from * ENTRY_BYTES)
  }

  /** Reads places `[from, to)` into `target` at `targetStart`. */
  readEntries(slot: number, from: number, to: number, target: Uint8Array, targetStart: number): void {
    const length = (to - from) * ENTRY_BYTES
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
