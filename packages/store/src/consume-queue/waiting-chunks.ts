import type { DiskFile } from '@skylarkmq/runtime'
import { LIMITS } from '../limits.ts'
import { CHUNK_BYTES } from './entry.ts'

export const HEADER_BYTES = 32

/**
 * Whole chunks that wait for one write, and their headers for another: those of slots one behind another, as they are filled while the log
 * grows. What is lost of them with the process is derived again; a checkpoint writes them before it vouches for them.
 */
export class WaitingChunks {
  private readonly entries = new Uint8Array(LIMITS.waitingChunks * CHUNK_BYTES)
  private readonly headers = new Uint8Array(LIMITS.waitingChunks * HEADER_BYTES)
  private first = 0
  private count = 0

  /** Slot behind the last of those that wait. */
  get end(): number {
    return this.first + this.count
  }

  has(slot: number): boolean {
    return slot >= this.first && slot < this.first + this.count
  }

  /** That the chunk of this slot may wait with the others. */
  takes(slot: number): boolean {
    return this.count === 0 || (slot === this.first + this.count && this.count < LIMITS.waitingChunks)
  }

  /** After `takes`. Both are copied. */
  add(slot: number, entries: Uint8Array, header: Uint8Array): void {
    if (this.count === 0) this.first = slot
    this.entries.set(entries.length === CHUNK_BYTES ? entries : entries.subarray(0, CHUNK_BYTES), this.count * CHUNK_BYTES)
    this.headers.set(header, this.count * HEADER_BYTES)
    this.count++
  }

  /** The chunk of a slot that waits. To be read at once. */
  chunk(slot: number): Uint8Array {
    const at = (slot - this.first) * CHUNK_BYTES
    return this.entries.subarray(at, at + CHUNK_BYTES)
  }

  /** The chunk of this slot belongs to nobody any more. */
  forget(slot: number): void {
    const at = (slot - this.first) * HEADER_BYTES
    this.headers.fill(0, at, at + HEADER_BYTES)
  }

  /** Writes all, headers last; false: there was nothing. Throws what the disk threw; then all wait on. */
  write(data: DiskFile, headers: DiskFile): boolean {
    if (this.count === 0) return false
    data.write(this.entries, 0, this.count * CHUNK_BYTES, this.first * CHUNK_BYTES)
    headers.write(this.headers, 0, this.count * HEADER_BYTES, this.first * HEADER_BYTES)
    this.count = 0
    return true
  }
}
