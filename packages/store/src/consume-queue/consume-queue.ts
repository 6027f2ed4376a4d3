import { ROW } from '@skylarkmq/remoting/protocol'
import { viewOf } from '../bytes.ts'
import { digestOfWords } from '../digest.ts'
import type { ChunkFile, ChunkHeader } from './chunk-file.ts'
import { CHUNK_BYTES, CHUNK_ENTRIES } from './chunk-file.ts'
import type { QueueEntry } from './entry.ts'
import { ENTRY_BYTES, isSound, LOST_ENTRY, physicalOffsetAt, sizeAt, writeEntry } from './entry.ts'
import { FiledChunks } from './filed-chunks.ts'
import type { FilledChunk } from './filed-chunks.ts'
import type { Topic } from './topic.ts'

const FIRST_TAIL_ENTRIES = 16
/** So many entries are copied by the platform: a call costs as much as some of them. */
const COPIED_AT_ONCE = 8

/**
 * One consume queue: entry k tells where message k is. Full chunks are on file, the last one is in memory, growing 16 → 64 → 256
 * entries, since most queues are short.
 */
export class ConsumeQueue {
  // What each message needs stands first and together: of ten thousand queues each is out of the cache when its turn comes.
  readonly queueId: number
  /** Next offset to give away; runs ahead of `maxOffset` until the message is written and dispatched. */
  nextOffset = 0
  /** First free offset that readers see. */
  maxOffset = 0
  /** Tags code of the newest entry, and whether this turn's news of it is still to be announced. */
  lastTagsCode = 0
  announced = true
  /** In the checkpoint's list of tails to write. */
  queuedForCheckpoint = false
  /** Entries that the tail has room for. */
  private tailRoom = 0
  private tailWords: Int32Array | undefined
  /** End of the newest entry's record. */
  private logEnd = 0
  readonly topic: Topic
  minOffset = 0
  private readonly chunks: FiledChunks
  private tail: Uint8Array | undefined
  private tailView: DataView | undefined
  /** First place of the tail chunk that holds an entry, and first place that is not on file. */
  private tailStart = 0
  private tailWritten = 0
  private readonly placeSeed: number

  constructor(topic: Topic, queueId: number, chunks: ChunkFile) {
    this.topic = topic
    this.queueId = queueId
    this.chunks = new FiledChunks(chunks, topic.id, queueId)
    this.placeSeed = digestOfWords(topic.id, queueId, 0)
  }

  /** What the check of the entry of message `queueOffset` begins with. */
  placeOf(queueOffset: number): number {
    return (this.placeSeed + queueOffset) | 0
  }

  /** Is the entry of message `queueOffset`, which was read to `at`, what was once written there? */
  isSound(view: DataView, at: number, queueOffset: number): boolean {
    return isSound(view, at, this.placeOf(queueOffset))
  }

  /** Puts the entry of message `queueOffset`. Offsets may jump (what lies between was lost), never go back: that is a repetition. */
  append(queueOffset: number, entry: QueueEntry): boolean {
    if (queueOffset < this.maxOffset) return false
    const place = this.makePlace(queueOffset)
    writeEntry(this.tailView as DataView, place * ENTRY_BYTES, this.placeOf(queueOffset), entry)
    this.took(queueOffset, place, entry.physicalOffset + entry.sizeBytes, entry.tagsCode)
    return true
  }

  /**
   * As `append`, of the `count` messages from `queueOffset` on, of which it has none: the kernel has made their entries, and the first is number
   * `first` of `entries`. Up to the end of a chunk: so many it took. `recordEnd` and `tagsCode` are of the last.
   */
  appendDerived(queueOffset: number, entries: Int32Array, first: number, count: number, recordEnd: number, tagsCode: number): number {
    if (queueOffset > this.maxOffset) this.skipTo(queueOffset)
    const place = queueOffset & (CHUNK_ENTRIES - 1)
    const taken = Math.min(count, CHUNK_ENTRIES - place)
    const last = place + taken - 1
    if (last >= this.tailRoom) this.growTail(last)
    const words = this.tailWords as Int32Array
    const to = place * ROW.entryWords
    const from = first * ROW.entryWords
    if (taken >= COPIED_AT_ONCE) words.set(entries.subarray(from, from + taken * ROW.entryWords), to)
    else for (let i = 0; i < taken * ROW.entryWords; i++) words[to + i] = entries[from + i] as number
    this.took(queueOffset + taken - 1, last, taken === count ? recordEnd : this.recordEndAt(last), tagsCode)
    return taken
  }

  /** Of the entry at a place of the tail. */
  private recordEndAt(place: number): number {
    const view = this.tailView as DataView
    return physicalOffsetAt(view, place * ENTRY_BYTES) + sizeAt(view, place * ENTRY_BYTES)
  }

  private makePlace(queueOffset: number): number {
    if (queueOffset > this.maxOffset) this.skipTo(queueOffset)
    // The remainder, also beyond 32 bits; of numbers that may have a fraction it costs a call.
    const place = queueOffset & (CHUNK_ENTRIES - 1)
    if (place >= this.tailRoom) this.growTail(place)
    return place
  }

  private took(queueOffset: number, place: number, recordEnd: number, tagsCode: number): void {
    this.maxOffset = queueOffset + 1
    this.logEnd = recordEnd
    this.lastTagsCode = tagsCode
    if (place === CHUNK_ENTRIES - 1) this.finishTail(this.tailChunkNo() - 1)
  }

  /** The tail is complete: it goes to its file, and the next begins. */
  private finishTail(chunkNo: number): void {
    try {
      this.writeThrough(chunkNo, CHUNK_ENTRIES)
    } catch (error) {
      if ((error as { code?: unknown }).code !== 'ENOSPC') throw error
      // The message is in the log and must be found: its entry waits in memory for room.
      this.chunks.keep(chunkNo, this.tail as Uint8Array)
    }
    this.tailStart = 0
    this.tailWritten = 0
    // Zeros again, for places that a jump leaves out. A queue that filled a chunk will fill the next.
    ;(this.tail as Uint8Array).fill(0)
  }

  private skipTo(queueOffset: number): void {
    if (this.maxOffset === this.minOffset && this.chunks.isEmpty && this.tailEntries() === 0) {
      // RocketMQ ConsumeQueue#fillPreBlank: the log of an older store begins in the middle of the queue.
      this.minOffset = queueOffset
      this.maxOffset = queueOffset
      this.chunks.firstNo = Math.floor(queueOffset / CHUNK_ENTRIES)
      this.tailStart = queueOffset % CHUNK_ENTRIES
      this.tailWritten = this.tailStart
      return
    }
    const lastChunk = Math.floor(this.maxOffset / CHUNK_ENTRIES)
    const chunk = Math.floor(queueOffset / CHUNK_ENTRIES)
    if (chunk > lastChunk) {
      if (this.tailEntries() > 0) {
        if (this.tailRoom < CHUNK_ENTRIES) this.growTail(CHUNK_ENTRIES - 1)
        this.finishTail(lastChunk)
      }
      this.chunks.leaveOutBefore(chunk)
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

  /** End of the newest message's record in the log; 0 when none was seen. */
  get newestEnd(): number {
    return this.logEnd
  }

  private tailEntries(): number {
    return this.maxOffset % CHUNK_ENTRIES
  }

  private growTail(place: number): void {
    let entries = this.tailRoom === 0 ? FIRST_TAIL_ENTRIES : this.tailRoom
    while (entries <= place) entries *= 4
    const bytes = new Uint8Array(entries * ENTRY_BYTES)
    if (this.tail !== undefined) bytes.set(this.tail)
    this.tail = bytes
    this.tailRoom = entries
    this.tailView = viewOf(bytes)
    this.tailWords = new Int32Array(bytes.buffer)
  }

  private tailChunkNo(): number {
    return Math.floor(this.maxOffset / CHUNK_ENTRIES)
  }

  /** Puts the tail's new entries on file. */
  writeTail(): void {
    this.chunks.writeKept((chunkNo) => this.fullChunk(chunkNo))
    const end = this.tailEntries()
    if (end > 0) this.writeThrough(this.tailChunkNo(), end)
  }

  private writeThrough(chunkNo: number, end: number): void {
    if (end <= this.tailWritten || this.tail === undefined || this.chunks.isReleased) return
    this.chunks.put({ chunkNo, start: this.tailStart, count: end, logEnd: this.logEnd }, this.tail, this.tailWritten)
    this.tailWritten = end
  }

  private fullChunk(chunkNo: number): FilledChunk {
    const start = chunkNo === this.chunks.firstNo ? this.minOffset % CHUNK_ENTRIES : 0
    return { chunkNo, start, count: CHUNK_ENTRIES, logEnd: this.logEnd }
  }

  /**
   * Copies entries from `queueOffset` on into `target`: those of one chunk, at most `max`. Returns how many; 0 at the end.
   * Ask `isSound` of each: an entry may be damaged, or was never known.
   */
  readEntries(queueOffset: number, max: number, target: Uint8Array): number {
    if (queueOffset >= this.maxOffset || queueOffset < this.minOffset) return 0
    const chunkNo = Math.floor(queueOffset / CHUNK_ENTRIES)
    const from = queueOffset % CHUNK_ENTRIES
    const to = Math.min(from + max, CHUNK_ENTRIES, this.maxOffset - chunkNo * CHUNK_ENTRIES)
    if (chunkNo === this.tailChunkNo()) target.set((this.tail as Uint8Array).subarray(from * ENTRY_BYTES, to * ENTRY_BYTES))
    else this.chunks.read(chunkNo, from, to, target)
    return to - from
  }

  /** Puts what was found in the log for places `[queueOffset, queueOffset + entries.length)`; `undefined` is lost for good. */
  mend(queueOffset: number, entries: readonly (QueueEntry | undefined)[]): void {
    const bytes = new Uint8Array(CHUNK_BYTES)
    const view = viewOf(bytes)
    for (let i = 0; i < entries.length; ) {
      const first = queueOffset + i
      const chunkNo = Math.floor(first / CHUNK_ENTRIES)
      const from = first % CHUNK_ENTRIES
      const to = Math.min(CHUNK_ENTRIES, from + entries.length - i)
      if (first < this.minOffset || this.chunks.isReleased) {
        i++
        continue
      }
      const isTail = chunkNo === this.tailChunkNo()
      if (!isTail) this.chunks.read(chunkNo, 0, CHUNK_ENTRIES, bytes)
      for (let place = from; place < to; place++, i++) {
        writeEntry(
          isTail ? (this.tailView as DataView) : view,
          place * ENTRY_BYTES,
          this.placeOf(queueOffset + i),
          entries[i] ?? LOST_ENTRY,
        )
      }
      if (isTail) this.tailWritten = Math.min(this.tailWritten, from)
      else this.chunks.rewrite(this.fullChunk(chunkNo), bytes)
    }
  }

  /** Takes over a chunk that was found on file; in ascending order. */
  adopt({ slot, chunkNo, start, count, logEnd }: ChunkHeader): void {
    this.logEnd = logEnd
    if (this.chunks.isEmpty) this.minOffset = chunkNo * CHUNK_ENTRIES + start
    this.chunks.adopt(chunkNo, slot)
    this.maxOffset = chunkNo * CHUNK_ENTRIES + count
    this.nextOffset = this.maxOffset
    this.tailStart = count === CHUNK_ENTRIES ? 0 : start
  }

  /**
   * Ends adoption: drops entries of log positions ≥ `logEnd`, which the checkpoint does not vouch for, and loads the tail. Where the
   * header says that all entries are older, they count, also damaged ones: those are found again in the log when somebody reads them.
   * `entry`: room for a chunk. Tells whether the file still has what was dropped: it must go before a later checkpoint vouches for it.
   */
  settle(logEnd: number, entry: Uint8Array): boolean {
    let isStale = false
    const view = viewOf(entry)
    let isVouchedFor = this.logEnd <= logEnd
    while (this.maxOffset > this.minOffset) {
      const last = this.maxOffset - 1
      const chunkNo = Math.floor(last / CHUNK_ENTRIES)
      const count = (last % CHUNK_ENTRIES) + 1
      if (this.chunks.readAdopted(chunkNo, count, entry)) {
        let keep = count
        while (!isVouchedFor && keep > 0 && chunkNo * CHUNK_ENTRIES + keep > this.minOffset) {
          const at = (keep - 1) * ENTRY_BYTES
          const isOld = physicalOffsetAt(view, at) < logEnd
          if (isOld && this.isSound(view, at, chunkNo * CHUNK_ENTRIES + keep - 1)) break
          keep--
        }
        const wanted = keep > 0 && chunkNo * CHUNK_ENTRIES + keep > this.minOffset
        if (wanted) {
          this.maxOffset = chunkNo * CHUNK_ENTRIES + keep
          this.tailStart = chunkNo === this.chunks.firstNo ? this.minOffset % CHUNK_ENTRIES : 0
          // The header is written again with the last entry that counts.
          isStale = keep < count
          this.tailWritten = isStale ? keep - 1 : keep
          if (keep < CHUNK_ENTRIES) {
            entry.fill(0, keep * ENTRY_BYTES)
            this.growTail(keep - 1)
            ;(this.tail as Uint8Array).set(entry.subarray(0, keep * ENTRY_BYTES))
          } else {
            this.tailStart = 0
            this.tailWritten = 0
          }
          break
        }
      }
      // Chunks before one that has entries behind `logEnd` may have some, too, at their ends: each is looked at.
      isVouchedFor = false
      this.chunks.dropLast(chunkNo)
      this.maxOffset = Math.max(this.minOffset, chunkNo * CHUNK_ENTRIES)
    }
    this.logEnd = Math.min(this.logEnd, logEnd)
    if (this.maxOffset === this.minOffset) this.restart()
    this.nextOffset = this.maxOffset
    return isStale
  }

  private restart(): void {
    this.chunks.forget()
    this.tail = undefined
    this.tailRoom = 0
    this.minOffset = 0
    this.maxOffset = 0
    this.tailStart = 0
    this.tailWritten = 0
  }

  /** Gives up what lies before `queueOffset`; its messages are gone from the log. */
  trimBefore(queueOffset: number): void {
    this.minOffset = Math.min(queueOffset, this.maxOffset)
    // The chunk of the newest entry stays: it remembers how far the queue had come when all its messages have expired.
    const chunkNo = Math.min(Math.floor(this.minOffset / CHUNK_ENTRIES), Math.floor((this.maxOffset - 1) / CHUNK_ENTRIES))
    this.chunks.trimBefore(chunkNo)
  }

  /** The topic was deleted. */
  release(): void {
    this.chunks.release()
  }
}
