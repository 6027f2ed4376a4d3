import { PICK } from '@skylarkmq/remoting/protocol'
import type { Kernel } from '@skylarkmq/remoting/protocol'
import { assert } from '@skylarkmq/runtime'
import { viewOf } from '../bytes.ts'
import type { ColdBlocks } from '../commit-log/cold-blocks.ts'
import type { CommitLog } from '../commit-log/commit-log.ts'
import type { Segment } from '../commit-log/segments.ts'
import { CHUNK_BYTES, CHUNK_ENTRIES } from '../consume-queue/chunk-file.ts'
import type { ConsumeQueue } from '../consume-queue/consume-queue.ts'
import { ENTRY_BYTES, physicalOffsetAt, sizeAt } from '../consume-queue/entry.ts'
import { LIMITS } from '../limits.ts'
import type { BodyToPut, ReadRequest, ReadResult } from '../types.ts'
import { JOINED_BYTES, picksIn } from './read-memory.ts'
import type { RecordJudge } from './record-judge.ts'
import { BlockWant } from './want.ts'

const NOTHING = new Uint8Array(0)

/**
 * The usual read: without a filter, of records that lie in memory as they should be. The kernel finds and judges them where they are, and copies
 * them once, to where the answer leaves from. Whatever is unusual is declined; then the other steps of `StoreReader` do the same.
 */
export class RecordPicker {
  private readonly log: CommitLog
  private readonly kernel: Kernel
  private readonly blocks: ColdBlocks
  private readonly judge: RecordJudge
  private readonly entries: Uint8Array
  private readonly view: DataView
  private readonly entriesAt: number
  private readonly picksAt: number
  private readonly joinedAt: number
  private readonly ringAt: number
  /** Used by `join` for this read. */
  private joinedBytes = 0
  /** Of the latest read. What was picked counts until the next. */
  private turn = 0
  /** The block of old log for which this read is to wait. */
  missing: BlockWant | undefined
  /** The latest block of old log that this read needs. */
  private oldSegment: Segment | undefined
  private oldStart = 0
  // What `locate` found: bytes `[from, end)` of the log are at `address`.
  private end = 0
  private address = 0

  constructor(log: CommitLog, kernel: Kernel, blocks: ColdBlocks, judge: RecordJudge) {
    this.log = log
    this.kernel = kernel
    this.blocks = blocks
    this.judge = judge
    const room = picksIn(kernel)
    this.entries = room.subarray(0, CHUNK_BYTES)
    this.view = viewOf(this.entries)
    this.entriesAt = kernel.addressOf(this.entries)
    this.picksAt = this.entriesAt + CHUNK_BYTES
    this.joinedAt = this.picksAt + CHUNK_ENTRIES * PICK.bytesEach
    this.ringAt = kernel.addressOf(log.ring.bytes)
  }

  /** Undefined: not for this way. The offset is one that the queue has. */
  pick(queue: ConsumeQueue, request: ReadRequest): ReadResult | undefined {
    this.turn++
    this.missing = undefined
    if (request.putsBody !== true || request.entryFilter !== undefined || request.recordFilter !== undefined) return undefined
    if (request.maxMessages > CHUNK_ENTRIES || this.ringAt < 0) return undefined
    const { offset, maxBytes } = request
    const count = this.readEntries(queue, offset, Math.min(request.maxMessages, queue.maxOffset - offset))
    const { words } = this.kernel
    this.joinedBytes = 0
    this.oldSegment = undefined
    let taken = 0
    let bytes = 0
    while (taken < count) {
      const entry = taken * ENTRY_BYTES
      // RocketMQ DefaultMessageStore#isTheBatchFull: the first message always goes.
      if (taken > 0 && bytes + sizeAt(this.view, entry) > maxBytes) break
      const from = physicalOffsetAt(this.view, entry)
      const isOld = from < this.judge.believedFrom
      if (!this.locate(from)) return this.declined(taken, count)
      let more = this.pickFrom(queue, request, taken, count, bytes, from, isOld)
      // It lies in two blocks.
      if (more === 0 && this.join(from, sizeAt(this.view, entry)))
        more = this.pickFrom(queue, request, taken, taken + 1, bytes, from, isOld)
      if (more <= 0) return this.declined(taken, count)
      bytes = words[PICK.bytes] as number
      taken += more
    }
    if (taken === 0) return undefined
    const bodyToPut = new PickedRecords(this, this.turn, taken, bytes)
    const { minOffset, maxOffset } = queue
    return { status: 'found', body: NOTHING, bodyToPut, messageCount: taken, nextOffset: offset + taken, minOffset, maxOffset }
  }

  /** A block is worth its wait when enough of what is still to be picked lies close together. */
  private declined(taken: number, count: number): undefined {
    if (this.missing === undefined) return undefined
    const { view } = this
    const from = physicalOffsetAt(view, taken * ENTRY_BYTES)
    let end = from
    for (let entry = taken * ENTRY_BYTES; entry < count * ENTRY_BYTES; entry += ENTRY_BYTES) {
      const next = physicalOffsetAt(view, entry)
      if (next < end || next - end > LIMITS.coalesceGapBytes) break
      end = next + sizeAt(view, entry)
    }
    if (end - from < LIMITS.directReadBytes) this.missing = undefined
    return undefined
  }

  /** Picks the next of `count` entries, whose record is at `from` of the log, where `locate` has found it. */
  private pickFrom(
    queue: ConsumeQueue,
    { offset, maxBytes }: ReadRequest,
    taken: number,
    count: number,
    bytes: number,
    from: number,
    isOld: boolean,
  ): number {
    return this.kernel.calls.pickRecords(
      this.entriesAt + taken * ENTRY_BYTES,
      count - taken,
      queue.placeOf(offset + taken),
      queue.queueId,
      offset + taken,
      from,
      this.end,
      this.address,
      bytes,
      maxBytes,
      isOld ? 1 : 0,
      this.picksAt + taken * PICK.bytesEach,
    )
  }

  /** Puts the parts of a record side by side; `locate` has found where it begins. */
  private join(from: number, size: number): boolean {
    const { copy } = this.kernel.calls
    const joinedAt = this.joinedAt + this.joinedBytes
    const firstBytes = this.end - from
    const lastBytes = size - firstBytes
    if (this.joinedBytes + size > JOINED_BYTES || lastBytes <= 0) return false
    copy(joinedAt, this.address, firstBytes)
    if (!this.locate(this.end) || this.end - from < size) return false
    copy(joinedAt + firstBytes, this.address, lastBytes)
    this.joinedBytes += size
    this.end = from + size
    this.address = joinedAt
    return true
  }

  private readEntries(queue: ConsumeQueue, offset: number, wanted: number): number {
    let count = queue.readEntries(offset, wanted, this.entries)
    // A chunk ended.
    if (count > 0 && count < wanted) count += queue.readEntries(offset + count, wanted - count, this.entries.subarray(count * ENTRY_BYTES))
    return count
  }

  /** Finds in memory what begins there in the log: in the ring, or in a block of old log. */
  private locate(logOffset: number): boolean {
    const { log, blocks } = this
    if (logOffset < log.segments.minOffset) return false
    const inRing = log.ring.locate(logOffset, 1)
    if (inRing >= 0) {
      this.end = log.ring.runEnd(logOffset)
      this.address = this.ringAt + inRing
      return true
    }
    const segment = log.segments.find(logOffset)
    const start = segment === undefined ? -1 : blocks.startOf(segment, logOffset)
    if (segment === undefined || start < 0) return false
    const bytes = blocks.peek(start)
    if (bytes === undefined) {
      this.missing = new BlockWant(blocks, segment, start)
      return false
    }
    this.oldSegment = segment
    this.oldStart = start
    const address = this.kernel.addressOf(bytes)
    this.end = blocks.endOf(segment, start)
    this.address = address + logOffset - start
    return address >= 0
  }

  put(turn: number, count: number, bytes: Buffer, start: number): void {
    assert(turn === this.turn, 'records that were picked are put before anything else is read')
    this.copy(count, bytes, start)
    // Only now: the next block may take the place of one that was picked from.
    if (this.oldSegment !== undefined) this.blocks.readOn(this.oldSegment, this.oldStart)
  }

  private copy(count: number, bytes: Buffer, start: number): void {
    const { kernel, picksAt } = this
    const base = kernel.addressOf(bytes)
    if (base >= 0) return kernel.calls.putPicks(picksAt, count, base + start)
    let at = start
    for (let pick = picksAt / 4, i = 0; i < count; i++, pick += PICK.bytesEach / 4) {
      const from = kernel.ints[pick] as number
      const length = kernel.ints[pick + 1] as number
      bytes.set(kernel.bytes.subarray(from, from + length), at)
      at += length
    }
  }
}

class PickedRecords implements BodyToPut {
  readonly length: number
  private readonly picker: RecordPicker
  private readonly turn: number
  private readonly count: number

  constructor(picker: RecordPicker, turn: number, count: number, length: number) {
    this.picker = picker
    this.turn = turn
    this.count = count
    this.length = length
  }

  putAt(bytes: Buffer, start: number): void {
    this.picker.put(this.turn, this.count, bytes, start)
  }
}
