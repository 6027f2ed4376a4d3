import type { Disk, DiskFile } from '@skylarkmq/runtime'
import { getInt64, setInt64, viewOf } from '../bytes.ts'
import { crc32OfRange } from '../crc32.ts'
import type { FileName } from './compacted-file.ts'
import { BLOCK_BYTES, BLOCK_ENTRIES, DIRECTORY_BYTES, FOOTER_BYTES, FOOTER_MAGIC, INDEX_HEAD_BYTES, INDEX_MAGIC } from './compacted-file.ts'
import { crcOf, ENTRY, ENTRY_BYTES } from './entry.ts'
import type { Pace } from './pace.ts'
import type { Scratch, WorkingMemory } from './working-memory.ts'

/** What the shortest slice writes. */
const WRITE_BYTES = 64 * 1024
/** Dirty bytes are put on the disk as they come: gigabytes of them at once would stall the commit log. */
const SYNC_BYTES = 8 * 1024 * 1024

/** Writes a compacted file from end to end. */
export class CompactedWriter {
  private readonly file: DiskFile
  private readonly name: FileName
  private readonly nowMs: number
  private readonly memory: Scratch
  private readonly pace: Pace
  private buffer: Uint8Array
  private buffered = 0
  private fileEnd = 0
  private unsynced = 0
  private readonly index: Uint8Array
  private readonly indexView: DataView
  private count = 0
  private blockStart = 0
  private readonly directory: { first: number; index: number; count: number }[] = []
  private entries = 0
  private oldestTombstoneMs = 0
  private isClosed = false

  constructor(disk: Disk, path: string, name: FileName, nowMs: number, memory: WorkingMemory, pace: Pace) {
    this.memory = memory.output
    this.pace = pace
    this.buffer = this.memory.take(2 * WRITE_BYTES)
    this.index = memory.outputIndex.take(INDEX_HEAD_BYTES + BLOCK_ENTRIES * ENTRY_BYTES)
    this.indexView = viewOf(this.index)
    // What an earlier try left behind.
    disk.remove(path)
    this.file = disk.open(path, { create: true })
    this.name = name
    this.nowMs = nowMs
  }

  /** Takes the record `bytes[start, start + size)`, whose entry is at `at` of `entries`. */
  add(bytes: Uint8Array, start: number, size: number, entries: Uint8Array, at: number): void {
    if (this.count === 0) this.blockStart = this.fileEnd + this.buffered
    const place = INDEX_HEAD_BYTES + this.count * ENTRY_BYTES
    for (let i = 0; i < ENTRY_BYTES; i++) this.index[place + i] = entries[at + i] as number
    setInt64(this.indexView, place + ENTRY.position, this.fileEnd + this.buffered)
    const since = getInt64(this.indexView, place + ENTRY.tombstoneSince)
    if (since > 0) this.oldestTombstoneMs = this.oldestTombstoneMs === 0 ? since : Math.min(this.oldestTombstoneMs, since)
    this.put(bytes.subarray(start, start + size))
    this.count++
    this.entries++
    if (this.count === BLOCK_ENTRIES || this.fileEnd + this.buffered - this.blockStart >= BLOCK_BYTES) this.endBlock()
  }

  /** Whether enough has gathered for a write: then `flush`. */
  get isFull(): boolean {
    return this.buffered >= WRITE_BYTES * this.pace.length
  }

  async flush(): Promise<void> {
    this.file.write(this.buffer, 0, this.buffered, this.fileEnd)
    this.fileEnd += this.buffered
    this.unsynced += this.buffered
    this.buffered = 0
    if (this.unsynced < SYNC_BYTES) return
    this.unsynced = 0
    await this.file.sync()
  }

  /** Writes what is left, directory and footer, and makes all of it durable. */
  async finish(): Promise<void> {
    this.endBlock()
    const directory = new Uint8Array(this.directory.length * DIRECTORY_BYTES)
    const view = viewOf(directory)
    for (const [i, block] of this.directory.entries()) {
      setInt64(view, i * DIRECTORY_BYTES, block.first)
      setInt64(view, i * DIRECTORY_BYTES + 8, block.index)
      view.setInt32(i * DIRECTORY_BYTES + 16, block.count)
    }
    const footer = new Uint8Array(FOOTER_BYTES)
    const footerView = viewOf(footer)
    footerView.setUint32(0, FOOTER_MAGIC)
    setInt64(footerView, 8, this.name.from)
    setInt64(footerView, 16, this.name.to)
    setInt64(footerView, 24, this.fileEnd + this.buffered)
    setInt64(footerView, 32, this.directory.length)
    setInt64(footerView, 40, this.entries)
    setInt64(footerView, 48, this.oldestTombstoneMs)
    setInt64(footerView, 56, this.nowMs)
    footerView.setUint32(64, crc32OfRange(directory, 0, directory.length))
    footerView.setUint32(4, crc32OfRange(footer, 8, FOOTER_BYTES))
    this.put(directory)
    await this.flush()
    // The footer vouches for all before it. A disk that loses power may keep a later write without an earlier one.
    await this.file.sync()
    this.put(footer)
    await this.flush()
    await this.file.sync()
    this.isClosed = true
    this.file.close()
  }

  /** Gives up. The file has no footer: whoever finds it knows that it is none. */
  abandon(): void {
    if (!this.isClosed) this.file.close()
    this.isClosed = true
  }

  private endBlock(): void {
    if (this.count === 0) return
    const length = INDEX_HEAD_BYTES + this.count * ENTRY_BYTES
    this.indexView.setUint32(0, length)
    this.indexView.setUint32(4, INDEX_MAGIC)
    this.indexView.setUint32(8, this.count)
    this.indexView.setUint32(12, crcOf(this.index, INDEX_HEAD_BYTES, length))
    const first = getInt64(this.indexView, INDEX_HEAD_BYTES + ENTRY.queueOffset)
    this.directory.push({ first, index: this.fileEnd + this.buffered, count: this.count })
    this.put(this.index.subarray(0, length))
    this.count = 0
  }

  private put(bytes: Uint8Array): void {
    const end = this.buffered + bytes.length
    if (end > this.buffer.length) {
      const larger = this.memory.take(Math.max(end, this.buffer.length * 2))
      larger.set(this.buffer.subarray(0, this.buffered))
      this.buffer = larger
    }
    this.buffer.set(bytes, this.buffered)
    this.buffered = end
  }
}
