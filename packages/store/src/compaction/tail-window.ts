import { getInt64, setInt64, viewOf } from '../bytes.ts'
import { AT } from '../commit-log/record.ts'
import type { StoreReader } from '../store-reader.ts'
import type { ReadResult } from '../types.ts'
import type { CompactedWriter } from './compacted-writer.ts'
import { ENTRY, ENTRY_BYTES, describeRecord } from './entry.ts'
import { KeySet } from './key-set.ts'
import { markCurrent } from './merge.ts'
import type { Pace } from './pace.ts'
import type { WorkingMemory } from './working-memory.ts'

const WINDOW_BYTES = 8 * 1024 * 1024
const WINDOW_ENTRIES = 16_384
/** What the shortest slice reads and hashes. */
const SLICE_ENTRIES = 48
const SLICE_BYTES = 96 * 1024
/** Keys that it compares. */
const SLICE_KEYS = 1024
/** A position is the number of the page that has the record, and its place in it. */
const PAGE = 2 ** 32

/** The next messages of a queue that are not compacted yet, read from the commit log. */
export class TailWindow {
  /** First queue offset behind the window. */
  to: number
  private readonly memory: WorkingMemory
  private readonly entries: Uint8Array
  private readonly view: DataView
  private count = 0
  private bytes = 0
  private readonly pace: Pace
  /** Throws when the store stops. */
  private readonly check: () => void

  constructor(from: number, memory: WorkingMemory, pace: Pace, check: () => void) {
    this.to = from
    this.memory = memory
    this.pace = pace
    this.check = check
    memory.tail.giveBack()
    this.entries = memory.window.take(WINDOW_ENTRIES * ENTRY_BYTES)
    this.view = viewOf(this.entries)
  }

  /** Reads up to `end`, or until the window is full. `nowMs` is when its tombstones begin to count. */
  async gather(
    reader: StoreReader,
    queue: { readonly topic: string; readonly queueId: number },
    end: number,
    nowMs: number,
  ): Promise<void> {
    for (;;) {
      const { length } = this.pace
      const maxMessages = SLICE_ENTRIES * length
      if (this.to >= end || this.bytes >= WINDOW_BYTES || this.count + maxMessages > WINDOW_ENTRIES) return
      const found = reader.read({
        topic: queue.topic,
        queueId: queue.queueId,
        offset: this.to,
        maxMessages,
        maxBytes: SLICE_BYTES * length,
        lendsBody: true,
        putsBody: true,
      })
      // Records that lie where they are kept are taken before anything else happens.
      this.take(found instanceof Promise ? await found : found, end, nowMs)
      this.check()
      await this.pace.pause()
    }
  }

  private take({ status, body, bodyToPut, release, nextOffset }: ReadResult, end: number, nowMs: number): void {
    if (status === 'found') {
      const length = bodyToPut?.length ?? body.length
      const { bytes, page, at } = this.memory.tail.take(length)
      if (bodyToPut === undefined) bytes.set(body, at)
      else bodyToPut.putAt(bytes, at)
      this.describe(bytes, page, at, at + length, end, nowMs)
    }
    release?.()
    // What the log no longer has, or never had, is stepped over.
    this.to = nextOffset > this.to ? Math.min(nextOffset, end) : end
  }

  /** `bytes[from, to)`, of a page, are whole records. */
  private describe(bytes: Buffer, page: number, from: number, to: number, end: number, nowMs: number): void {
    const view = viewOf(bytes)
    for (let at = from; at < to; at += view.getInt32(at)) {
      if (getInt64(view, at + AT.queueOffset) >= end) return
      const entryAt = this.count * ENTRY_BYTES
      if (!describeRecord(bytes, view, at, nowMs, this.entries, this.view, entryAt)) continue
      setInt64(this.view, entryAt + ENTRY.position, page * PAGE + at)
      this.count++
      this.bytes += view.getInt32(at)
    }
  }

  /** Writes the newest record of each key. */
  async write(writer: CompactedWriter): Promise<void> {
    const current = this.memory.marks.take(this.count).fill(0)
    const keys = new KeySet(this.count, this.memory.keyPages)
    for (let end = this.count; end > 0; end -= SLICE_KEYS) {
      const start = Math.max(0, end - SLICE_KEYS)
      const entries = this.entries.subarray(start * ENTRY_BYTES, end * ENTRY_BYTES)
      markCurrent(entries, end - start, keys, 0, 1, (i) => (current[start + i] = 1))
      this.check()
      await this.pace.pause()
    }
    keys.giveBack()
    for (let i = 0, entryAt = 0; i < this.count; i++, entryAt += ENTRY_BYTES) {
      if (current[i] === 0) continue
      const position = getInt64(this.view, entryAt + ENTRY.position)
      const page = this.memory.tail.page(Math.floor(position / PAGE))
      writer.add(page, position % PAGE, this.view.getInt32(entryAt + ENTRY.size), this.entries, entryAt)
      if (!writer.isFull) continue
      await writer.flush()
      this.check()
      await this.pace.pause()
    }
    this.memory.tail.giveBack()
  }
}
