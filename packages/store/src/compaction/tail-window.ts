import { getInt64, viewOf } from '../bytes.ts'
import { AT } from '../commit-log/record.ts'
import type { StoreReader } from '../store-reader.ts'
import type { CompactedWriter } from './compacted-writer.ts'
import { ENTRY, ENTRY_BYTES, describeRecord } from './entry.ts'
import { KeySet } from './key-set.ts'
import { markCurrent } from './merge.ts'

const WINDOW_BYTES = 8 * 1024 * 1024
const WINDOW_ENTRIES = 16_384
/** What one slice reads and hashes: about a millisecond. */
const SLICE_ENTRIES = 256
const SLICE_BYTES = 1024 * 1024
/** Keys that one slice compares. */
const SLICE_KEYS = 2_048

/** The next messages of a queue that are not compacted yet, read from the commit log. */
export class TailWindow {
  /** First queue offset behind the window. */
  to: number
  private readonly entries = new Uint8Array(WINDOW_ENTRIES * ENTRY_BYTES)
  private readonly places: { readonly bytes: Uint8Array; readonly at: number }[] = []
  private bytes = 0

  constructor(from: number) {
    this.to = from
  }

  /** Reads up to `end`, or until the window is full. `nowMs` is when its tombstones begin to count. */
  async gather(
    reader: StoreReader,
    queue: { readonly topic: string; readonly queueId: number },
    end: number,
    nowMs: number,
    pause: () => Promise<void>,
  ): Promise<void> {
    while (this.to < end && this.bytes < WINDOW_BYTES && this.places.length + SLICE_ENTRIES <= WINDOW_ENTRIES) {
      const request = { topic: queue.topic, queueId: queue.queueId, offset: this.to, maxMessages: SLICE_ENTRIES, maxBytes: SLICE_BYTES }
      const found = await reader.read(request)
      if (found.status === 'found') this.take(found.body, end, nowMs)
      // What the log no longer has, or never had, is stepped over.
      this.to = found.nextOffset > this.to ? Math.min(found.nextOffset, end) : end
      await pause()
    }
  }

  private take(body: Uint8Array, end: number, nowMs: number): void {
    const view = viewOf(body)
    for (let at = 0; at < body.length; at += view.getInt32(at)) {
      if (getInt64(view, at + AT.queueOffset) >= end) return
      if (!describeRecord(body, view, at, nowMs, this.entries, this.places.length * ENTRY_BYTES)) continue
      this.places.push({ bytes: body, at })
      this.bytes += view.getInt32(at)
    }
  }

  /** Writes the newest record of each key. */
  async write(writer: CompactedWriter, pause: () => Promise<void>): Promise<void> {
    const current = new Uint8Array(this.places.length)
    const keys = new KeySet(this.places.length)
    for (let end = this.places.length; end > 0; end -= SLICE_KEYS) {
      const start = Math.max(0, end - SLICE_KEYS)
      const entries = this.entries.subarray(start * ENTRY_BYTES, end * ENTRY_BYTES)
      markCurrent(entries, end - start, keys, 0, 1, (i) => (current[start + i] = 1))
      await pause()
    }
    const view = viewOf(this.entries)
    for (const [i, { bytes, at }] of this.places.entries()) {
      if (current[i] === 0) continue
      writer.add(bytes, at, view.getInt32(i * ENTRY_BYTES + ENTRY.size), this.entries, i * ENTRY_BYTES)
      if (!writer.isFull) continue
      await writer.flush()
      await pause()
    }
  }
}
