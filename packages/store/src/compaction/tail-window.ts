import { getInt64, setInt64, viewOf } from '../bytes.ts'
import { AT } from '../commit-log/record.ts'
import type { StoreReader } from '../store-reader.ts'
import type { CompactedWriter } from './compacted-writer.ts'
import { ENTRY, ENTRY_BYTES, describeRecord } from './entry.ts'
import { KeySet } from './key-set.ts'
import { markCurrent } from './merge.ts'
import type { WorkingMemory } from './working-memory.ts'

const WINDOW_BYTES = 8 * 1024 * 1024
const WINDOW_ENTRIES = 16_384
/** What one slice reads and hashes: less than half a millisecond. */
const SLICE_ENTRIES = 128
const SLICE_BYTES = 1024 * 1024
/** Keys that one slice compares. */
const SLICE_KEYS = 2_048
/** A position is the number of the answer that has the record, and its place in it. */
const ANSWER = 2 ** 32

/** The next messages of a queue that are not compacted yet, read from the commit log. */
export class TailWindow {
  /** First queue offset behind the window. */
  to: number
  private readonly memory: WorkingMemory
  private readonly entries: Uint8Array
  private readonly view: DataView
  private count = 0
  private readonly answers: Uint8Array[] = []
  private bytes = 0

  constructor(from: number, memory: WorkingMemory) {
    this.to = from
    this.memory = memory
    this.entries = memory.window.take(WINDOW_ENTRIES * ENTRY_BYTES)
    this.view = viewOf(this.entries)
  }

  /** Reads up to `end`, or until the window is full. `nowMs` is when its tombstones begin to count. */
  async gather(
    reader: StoreReader,
    queue: { readonly topic: string; readonly queueId: number },
    end: number,
    nowMs: number,
    pause: () => Promise<void>,
  ): Promise<void> {
    while (this.to < end && this.bytes < WINDOW_BYTES && this.count + SLICE_ENTRIES <= WINDOW_ENTRIES) {
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
    const answer = this.answers.push(body) - 1
    for (let at = 0; at < body.length; at += view.getInt32(at)) {
      if (getInt64(view, at + AT.queueOffset) >= end) return
      const entryAt = this.count * ENTRY_BYTES
      if (!describeRecord(body, view, at, nowMs, this.entries, entryAt)) continue
      setInt64(this.view, entryAt + ENTRY.position, answer * ANSWER + at)
      this.count++
      this.bytes += view.getInt32(at)
    }
  }

  /** Writes the newest record of each key. */
  async write(writer: CompactedWriter, pause: () => Promise<void>): Promise<void> {
    const current = new Uint8Array(this.count)
    const keys = new KeySet(this.count, this.memory.keyPages)
    for (let end = this.count; end > 0; end -= SLICE_KEYS) {
      const start = Math.max(0, end - SLICE_KEYS)
      const entries = this.entries.subarray(start * ENTRY_BYTES, end * ENTRY_BYTES)
      markCurrent(entries, end - start, keys, 0, 1, (i) => (current[start + i] = 1))
      await pause()
    }
    keys.giveBack()
    for (let i = 0, entryAt = 0; i < this.count; i++, entryAt += ENTRY_BYTES) {
      if (current[i] === 0) continue
      const position = getInt64(this.view, entryAt + ENTRY.position)
      const answer = this.answers[Math.floor(position / ANSWER)] as Uint8Array
      writer.add(answer, position % ANSWER, this.view.getInt32(entryAt + ENTRY.size), this.entries, entryAt)
      if (!writer.isFull) continue
      await writer.flush()
      await pause()
    }
  }
}
