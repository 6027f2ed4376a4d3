import type { ChunkFile } from './chunk-file.ts'
import { CHUNK_ENTRIES, ENTRY_BYTES } from './entry.ts'

const HOLE = -1

/** Places `[start, count)` of a chunk hold entries, all of records before `logEnd`. */
export interface FilledChunk {
  readonly chunkNo: number
  readonly start: number
  readonly count: number
  readonly logEnd: number
}

/** The chunks of one queue that have a place in the file: which slot is whose. */
export class FiledChunks {
  /** Number of the first of them. */
  firstNo = 0
  isReleased = false
  private readonly topicId: number
  private readonly queueId: number
  private readonly file: ChunkFile
  /** Slot of chunk `firstNo + i`, or -1 where none was ever filled. */
  private slots: number[] = []
  /** Full chunks that the disk had no room for, by number. */
  private unwritten: Map<number, Uint8Array> | undefined

  constructor(file: ChunkFile, topicId: number, queueId: number) {
    this.file = file
    this.topicId = topicId
    this.queueId = queueId
  }

  get isEmpty(): boolean {
    return this.slots.length === 0
  }

  /** Puts places `[from, count)` of a chunk on file; a whole one may wait for others. Throws what the disk threw. */
  put(chunk: FilledChunk, entries: Uint8Array, from: number): void {
    if (from === 0 && chunk.count === CHUNK_ENTRIES) this.file.putWhole(this.headerOf(chunk), entries)
    else this.write(chunk, entries, from)
  }

  private write(chunk: FilledChunk, entries: Uint8Array, from: number): void {
    const header = this.headerOf(chunk)
    this.file.writeEntries(header.slot, entries, from, chunk.count)
    this.file.writeHeader(header)
  }

  private headerOf({ chunkNo, start, count, logEnd }: FilledChunk) {
    return { slot: this.slotFor(chunkNo), topicId: this.topicId, queueId: this.queueId, chunkNo, start, count, logEnd }
  }

  /** Writes a full chunk anew. */
  rewrite(chunk: FilledChunk, entries: Uint8Array): void {
    if (chunk.chunkNo >= this.firstNo && !this.isReleased) this.write(chunk, entries, 0)
  }

  /** The disk has no room for this full chunk: it waits here. */
  keep(chunkNo: number, entries: Uint8Array): void {
    this.unwritten ??= new Map()
    this.unwritten.set(chunkNo, Uint8Array.from(entries))
  }

  /** Puts on file what waited for room. Throws what the disk threw; then the rest waits on. */
  writeKept(filled: (chunkNo: number) => FilledChunk): void {
    for (const [chunkNo, entries] of this.unwritten ?? []) {
      this.rewrite(filled(chunkNo), entries)
      this.unwritten?.delete(chunkNo)
    }
    this.unwritten = undefined
  }

  /** Copies places `[from, to)` of a chunk to the beginning of `target`. */
  read(chunkNo: number, from: number, to: number, target: Uint8Array): void {
    const slot = this.slotOf(chunkNo)
    const waiting = this.unwritten?.get(chunkNo)
    if (waiting !== undefined) target.set(waiting.subarray(from * ENTRY_BYTES, to * ENTRY_BYTES))
    else if (slot === HOLE) target.fill(0, 0, (to - from) * ENTRY_BYTES)
    else target.set(this.file.chunk(slot).subarray(from * ENTRY_BYTES, to * ENTRY_BYTES))
  }

  /** Chunks up to `chunkNo` that have no place in the file have no entries. */
  leaveOutBefore(chunkNo: number): void {
    while (this.firstNo + this.slots.length < chunkNo) this.slots.push(HOLE)
  }

  private slotOf(chunkNo: number): number {
    return this.slots[chunkNo - this.firstNo] ?? HOLE
  }

  private slotFor(chunkNo: number): number {
    this.leaveOutBefore(chunkNo)
    const present = this.slotOf(chunkNo)
    if (present !== HOLE) return present
    const slot = this.file.takeSlot()
    this.slots[chunkNo - this.firstNo] = slot
    return slot
  }

  /** Takes over a chunk that was found on file; in ascending order. */
  adopt(chunkNo: number, slot: number): void {
    if (this.isEmpty) this.firstNo = chunkNo
    this.leaveOutBefore(chunkNo)
    this.slots[chunkNo - this.firstNo] = slot
  }

  /** Of an adopted chunk, its first `count` places, at the beginning of `target`, zeros behind; false: there is no such chunk. */
  readAdopted(chunkNo: number, count: number, target: Uint8Array): boolean {
    const slot = this.slotOf(chunkNo)
    if (slot === HOLE) return false
    target.fill(0)
    this.file.readEntries(slot, 0, count, target, 0)
    return true
  }

  /** Gives up the last chunk. */
  dropLast(chunkNo: number): void {
    const slot = this.slotOf(chunkNo)
    if (slot !== HOLE) this.file.freeSlot(slot)
    this.slots.length = chunkNo - this.firstNo
  }

  /** None of them has an entry that counts. */
  forget(): void {
    this.slots = []
    this.firstNo = 0
  }

  /** Gives up the chunks before this one. */
  trimBefore(chunkNo: number): void {
    while (this.firstNo < chunkNo && this.slots.length > 0) {
      const slot = this.slots.shift() as number
      this.firstNo++
      if (slot !== HOLE) this.file.freeSlot(slot)
    }
  }

  /** Gives up all of them, for good. */
  release(): void {
    for (const slot of this.slots) if (slot !== HOLE) this.file.freeSlot(slot)
    this.slots = []
    this.unwritten = undefined
    this.isReleased = true
  }
}
