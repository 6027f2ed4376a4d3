import { getInt64, setInt64, viewOf } from '../bytes.ts'
import type { ChunkFile } from './chunk-file.ts'
import { CHUNK_ENTRIES, ENTRY_BYTES } from './chunk-file.ts'
import type { Topic } from './topic.ts'

const FIRST_TAIL_ENTRIES = 16
const HOLE = -1

/**
 * One consume queue: entry k (RocketMQ ConsumeQueue: int64 physical offset, int32 size, int64 tags code) tells where message k is.
 * Full chunks are on file, the last one is in memory, growing 16 → 64 → 256 entries, since most queues are short.
 */
export class ConsumeQueue {
  readonly topic: Topic
  readonly queueId: number
  /** Next offset to give away; runs ahead of `maxOffset` until the message is written and dispatched. */
  nextOffset = 0
  /** First free offset that readers see. */
  maxOffset = 0
  minOffset = 0
  /** Tags code of the newest entry, and whether this turn's news of it is still to be announced. */
  lastTagsCode = 0
  announced = true
  /** In the checkpoint's list of tails to write. */
  queuedForCheckpoint = false
  private readonly chunks: ChunkFile
  /** Slot of chunk `firstChunkNo + i`, or -1 where none was ever filled. */
  private slots: number[] = []
  private firstChunkNo = 0
  private tail: Uint8Array | undefined
  private tailView: DataView | undefined
  /** First place of the tail chunk that holds an entry, and first place that is not on file. */
  private tailStart = 0
  private tailWritten = 0
  private released = false

  constructor(topic: Topic, queueId: number, chunks: ChunkFile) {
    this.topic = topic
    this.queueId = queueId
    this.chunks = chunks
  }

  /** Puts the entry of message `queueOffset`. Offsets may jump (what lies between was lost), never go back: that is a repetition. */
  append(queueOffset: number, physicalOffset: number, sizeBytes: number, tagsCode: number): boolean {
    if (queueOffset < this.maxOffset) return false
    if (queueOffset > this.maxOffset) this.skipTo(queueOffset)
    const place = queueOffset % CHUNK_ENTRIES
    if (this.tail === undefined || place >= this.tail.length / ENTRY_BYTES) this.growTail(place)
    const view = this.tailView as DataView
    const at = place * ENTRY_BYTES
    setInt64(view, at, physicalOffset)
    view.setInt32(at + 8, sizeBytes)
    setInt64(view, at + 12, tagsCode)
    this.maxOffset = queueOffset + 1
    this.lastTagsCode = tagsCode
    if (place === CHUNK_ENTRIES - 1) {
      this.writeThrough(this.tailChunkNo() - 1, CHUNK_ENTRIES)
      this.tailStart = 0
      this.tailWritten = 0
      // Zeros again, for places that a jump leaves out. A queue that filled a chunk will fill the next.
      ;(this.tail as Uint8Array).fill(0)
    }
    return true
  }

  private skipTo(queueOffset: number): void {
    if (this.maxOffset === this.minOffset && this.slots.length === 0 && this.tailEntries() === 0) {
      // RocketMQ ConsumeQueue#fillPreBlank: the log of an older store begins in the middle of the queue.
      this.minOffset = queueOffset
      this.maxOffset = queueOffset
      this.firstChunkNo = Math.floor(queueOffset / CHUNK_ENTRIES)
      this.tailStart = queueOffset % CHUNK_ENTRIES
      this.tailWritten = this.tailStart
      return
    }
    const lastChunk = Math.floor(this.maxOffset / CHUNK_ENTRIES)
    const chunk = Math.floor(queueOffset / CHUNK_ENTRIES)
    if (chunk > lastChunk) {
      if (this.tailEntries() > 0) {
        if ((this.tail as Uint8Array).length < CHUNK_ENTRIES * ENTRY_BYTES) this.growTail(CHUNK_ENTRIES - 1)
        this.writeThrough(lastChunk, CHUNK_ENTRIES)
        ;(this.tail as Uint8Array).fill(0)
      }
      while (this.firstChunkNo + this.slots.length < chunk) this.slots.push(HOLE)
      this.tailStart = 0
      this.tailWritten = 0
    }
    this.maxOffset = queueOffset
  }

  /** Offsets go on at `queueOffset` at the earliest: what came before is kept elsewhere. */
  resume(queueOffset: number): void {
    if (queueOffset > this.maxOffset) this.skipTo(queueOffset)
    this.nextOffset = Math.max(this.nextOffset, this.maxOffset)
  }

  private tailEntries(): number {
    return this.maxOffset % CHUNK_ENTRIES
  }

  private growTail(place: number): void {
    let entries = this.tail === undefined ? FIRST_TAIL_ENTRIES : this.tail.length / ENTRY_BYTES
    while (entries <= place) entries *= 4
    const bytes = new Uint8Array(entries * ENTRY_BYTES)
    if (this.tail !== undefined) bytes.set(this.tail)
    this.tail = bytes
    this.tailView = viewOf(bytes)
  }

  private tailChunkNo(): number {
    return Math.floor(this.maxOffset / CHUNK_ENTRIES)
  }

  /** Puts the tail's new entries on file. */
  writeTail(): void {
    const end = this.tailEntries()
    if (end > 0) this.writeThrough(this.tailChunkNo(), end)
  }

  private writeThrough(chunkNo: number, end: number): void {
    if (end <= this.tailWritten || this.tail === undefined || this.released) return
    const index = chunkNo - this.firstChunkNo
    let slot = this.slots[index]
    if (slot === undefined || slot === HOLE) {
      slot = this.chunks.takeSlot()
      this.slots[index] = slot
    }
    this.chunks.writeEntries(slot, this.tail, this.tailWritten, end)
    this.tailWritten = end
    this.chunks.writeHeader({ slot, topicId: this.topic.id, queueId: this.queueId, chunkNo, start: this.tailStart, count: end })
  }

  /**
   * Copies entries from `queueOffset` on into `target`: those of one chunk, at most `max`. Returns how many; 0 at the end.
   * An entry of size 0 is a place whose message was lost.
   */
  readEntries(queueOffset: number, max: number, target: Uint8Array): number {
    if (queueOffset >= this.maxOffset || queueOffset < this.minOffset) return 0
    const chunkNo = Math.floor(queueOffset / CHUNK_ENTRIES)
    const from = queueOffset % CHUNK_ENTRIES
    const to = Math.min(from + max, CHUNK_ENTRIES, this.maxOffset - chunkNo * CHUNK_ENTRIES)
    if (chunkNo === this.tailChunkNo()) {
      target.set((this.tail as Uint8Array).subarray(from * ENTRY_BYTES, to * ENTRY_BYTES))
      return to - from
    }
    const slot = this.slots[chunkNo - this.firstChunkNo] ?? HOLE
    if (slot === HOLE) target.fill(0, 0, (to - from) * ENTRY_BYTES)
    else this.chunks.readEntries(slot, from, to, target, 0)
    return to - from
  }

  /** Takes over a chunk that was found on file; in ascending order. */
  adopt(slot: number, chunkNo: number, start: number, count: number): void {
    if (this.slots.length === 0) {
      this.firstChunkNo = chunkNo
      this.minOffset = chunkNo * CHUNK_ENTRIES + start
    }
    const index = chunkNo - this.firstChunkNo
    while (this.slots.length < index) this.slots.push(HOLE)
    this.slots[index] = slot
    this.maxOffset = chunkNo * CHUNK_ENTRIES + count
    this.nextOffset = this.maxOffset
    this.tailStart = count === CHUNK_ENTRIES ? 0 : start
  }

  /** Ends adoption: drops entries of log positions ≥ `logEnd`, which the checkpoint does not vouch for, and loads the tail. */
  settle(logEnd: number): void {
    const entry = new Uint8Array(CHUNK_ENTRIES * ENTRY_BYTES)
    const view = viewOf(entry)
    while (this.maxOffset > this.minOffset) {
      const last = this.maxOffset - 1
      const chunkNo = Math.floor(last / CHUNK_ENTRIES)
      const count = (last % CHUNK_ENTRIES) + 1
      const index = chunkNo - this.firstChunkNo
      const slot = this.slots[index] ?? HOLE
      if (slot !== HOLE) {
        entry.fill(0)
        this.chunks.readEntries(slot, 0, count, entry, 0)
        let keep = count
        while (keep > 0 && chunkNo * CHUNK_ENTRIES + keep > this.minOffset && !isBefore(view, (keep - 1) * ENTRY_BYTES, logEnd)) keep--
        const wanted = keep > 0 && chunkNo * CHUNK_ENTRIES + keep > this.minOffset
        if (wanted) {
          this.maxOffset = chunkNo * CHUNK_ENTRIES + keep
          this.tailStart = index === 0 ? this.minOffset % CHUNK_ENTRIES : 0
          this.tailWritten = keep
          if (keep < CHUNK_ENTRIES) {
            entry.fill(0, keep * ENTRY_BYTES)
            this.slots.length = index + 1
            this.growTail(keep - 1)
            ;(this.tail as Uint8Array).set(entry.subarray(0, keep * ENTRY_BYTES))
          } else {
            this.tailStart = 0
            this.tailWritten = 0
          }
          break
        }
        this.chunks.freeSlot(slot)
      }
      this.slots.length = index
      this.maxOffset = Math.max(this.minOffset, chunkNo * CHUNK_ENTRIES)
    }
    if (this.maxOffset === this.minOffset) this.restart()
    this.nextOffset = this.maxOffset
  }

  private restart(): void {
    this.slots = []
    this.tail = undefined
    this.minOffset = 0
    this.maxOffset = 0
    this.firstChunkNo = 0
    this.tailStart = 0
    this.tailWritten = 0
  }

  /** First offset whose message is at or behind this log position, or `maxOffset` (RocketMQ ConsumeQueue#correctMinOffset). */
  firstAtOrAfter(physicalOffset: number, scratch: Uint8Array): number {
    const view = viewOf(scratch)
    let low = this.minOffset
    let high = this.maxOffset
    while (low < high) {
      const middle = Math.floor((low + high) / 2)
      // Places of lost messages tell nothing: the next one that has an entry does.
      let at = middle
      let position = -1
      while (at < high && position < 0) {
        const count = this.readEntries(at, high - at, scratch)
        let i = 0
        while (i < count && view.getInt32(i * ENTRY_BYTES + 8) === 0) i++
        if (i < count) position = getInt64(view, i * ENTRY_BYTES)
        at += position < 0 ? Math.max(1, count) : i
      }
      if (position < 0 || position >= physicalOffset) high = middle
      else low = at + 1
    }
    return low
  }

  /** Gives up what lies before `queueOffset`; its messages are gone from the log. */
  trimBefore(queueOffset: number): void {
    this.minOffset = Math.min(queueOffset, this.maxOffset)
    // The chunk of the newest entry stays: it remembers how far the queue had come when all its messages have expired.
    const chunkNo = Math.min(Math.floor(this.minOffset / CHUNK_ENTRIES), Math.floor((this.maxOffset - 1) / CHUNK_ENTRIES))
    while (this.firstChunkNo < chunkNo && this.slots.length > 0) {
      const slot = this.slots.shift() as number
      this.firstChunkNo++
      if (slot !== HOLE) this.chunks.freeSlot(slot)
    }
  }

  /** The topic was deleted. */
  release(): void {
    for (const slot of this.slots) if (slot !== HOLE) this.chunks.freeSlot(slot)
    this.slots = []
    this.released = true
  }
}

function isBefore(view: DataView, at: number, logEnd: number): boolean {
  const size = view.getInt32(at + 8)
  return size > 0 && getInt64(view, at) < logEnd
}
