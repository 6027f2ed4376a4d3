import type { Disk } from '@skylarkmq/runtime'
import { LIMITS } from '../limits.ts'
import { BLANK_MARKER_BYTES, MAGIC_BLANK } from './record.ts'
import type { Segment } from './segments.ts'
import { Segments } from './segments.ts'
import { StagingRing } from './staging-ring.ts'

/**
 * The log of all messages, in Apache RocketMQ's files. One writer: bytes are laid into the staging ring at the place they will have
 * in the log, and reach the file by one positioned write a turn, because a write per message costs four times as much CPU.
 */
export class CommitLog {
  readonly ring: StagingRing
  readonly segments: Segments
  /** End of what has been given a place. */
  endOffset: number
  /** End of what a file has taken: safe against the death of the process. */
  writtenOffset: number
  /** End of what is on the disk: safe against the loss of power. */
  flushedOffset: number
  private current: Segment
  private pendingRingStart = 0
  /** End of what has been made ready in the current segment. */
  private readyOffset = 0
  /** Mean of the last writes, the newest counted most. */
  private usualWriteBytes = 0

  private constructor(segments: Segments, current: Segment, endOffset: number, ring: Buffer) {
    this.segments = segments
    this.current = current
    this.endOffset = endOffset
    this.writtenOffset = endOffset
    this.flushedOffset = endOffset
    this.ring = new StagingRing(ring, endOffset)
  }

  /** Goes on at `endOffset`, where recovery found the end of `segments`. `ring`: memory for the newest bytes. */
  static async open(segments: Segments, endOffset: number, ring: Buffer): Promise<CommitLog> {
    const start = endOffset - (endOffset % segments.segmentBytes)
    return new CommitLog(segments, await segments.takePrepared(start), endOffset, ring)
  }

  /** The largest record, or batch of records, that fits. */
  get maxAppendBytes(): number {
    return Math.min(this.segments.segmentBytes - BLANK_MARKER_BYTES, this.ring.capacityBytes)
  }

  get hasUnwritten(): boolean {
    return this.writtenOffset < this.endOffset
  }

  /**
   * Finds room for `length` bytes that stay together: returns their ring position; `endOffset` is then their log position.
   * May write what was appended before, or go on to the next segment; throws what the disk threw.
   */
  reserve(length: number): number {
    // RocketMQ DefaultAppendMessageCallback: a record must leave room for the end-of-file marker behind it.
    if (length + BLANK_MARKER_BYTES > this.current.endOffset - this.endOffset) this.roll()
    return this.place(length)
  }

  /** Bytes that `reserve` finds room for as things are, without a write or a new segment. */
  get room(): number {
    return Math.max(0, Math.min(this.current.endOffset - this.endOffset - BLANK_MARKER_BYTES, this.ring.room))
  }

  /** The reserved bytes (or the first of them) are filled. */
  advance(length: number): void {
    this.ring.advance(length)
    this.endOffset += length
  }

  private place(length: number): number {
    if (!this.ring.fits(length)) {
      this.write()
      this.ring.wrap()
    }
    const at = this.ring.reserve(length)
    if (!this.hasUnwritten) this.pendingRingStart = at
    return at
  }

  private roll(): void {
    const segment = this.current
    const rest = segment.endOffset - this.endOffset
    if (rest > 0) {
      const at = this.place(BLANK_MARKER_BYTES)
      this.ring.view.setInt32(at, rest)
      this.ring.view.setInt32(at + 4, MAGIC_BLANK)
      this.advance(BLANK_MARKER_BYTES)
      this.write()
      this.endOffset = segment.endOffset
      this.writtenOffset = segment.endOffset
      this.ring.beginSpan(segment.endOffset)
    }
    this.current = this.segments.take(segment.endOffset)
  }

  /** Hands what was appended to the file, in one write. Throws what the disk threw; then nothing counts as written. */
  write(): void {
    const length = this.endOffset - this.writtenOffset
    if (length === 0) return
    const segment = this.current
    segment.file.write(this.ring.bytes, this.pendingRingStart, length, this.writtenOffset - segment.startOffset)
    this.writtenOffset = this.endOffset
    this.usualWriteBytes = (this.usualWriteBytes + length) / 2
    if (this.writtenOffset - segment.startOffset > this.segments.segmentBytes / 2) this.segments.prepare(segment.endOffset)
  }

  /** The file is not ready as far ahead as it should be. Large writes need it not: they make large folios themselves. */
  get wantsReady(): boolean {
    if (this.usualWriteBytes >= LIMITS.readyBelowBytes) return false
    return this.readyOffset < Math.min(this.current.endOffset, this.endOffset + LIMITS.readyAheadBytes)
  }

  /** Makes the next piece of the file ready. Nothing but what is still to be written lies there. */
  makeReady(): void {
    const { startOffset, endOffset, file } = this.current
    const piece = LIMITS.readyAheadBytes
    const firstFree = startOffset + Math.ceil((this.endOffset - startOffset) / piece) * piece
    const from = Math.max(this.readyOffset, firstFree)
    const to = Math.min(endOffset, from + piece)
    if (from < to) file.makeReady(from - startOffset, to - from)
    this.readyOffset = to
  }

  /** Forgets what could not be written. */
  dropUnwritten(): void {
    if (!this.hasUnwritten) return
    this.endOffset = this.writtenOffset
    this.ring.cutTo(this.writtenOffset)
  }

  /** Makes everything written so far durable; resolves with its end. */
  async flush(): Promise<number> {
    const target = this.writtenOffset
    for (const segment of this.segments.all.slice()) {
      if (segment.endOffset > this.flushedOffset && segment.startOffset < target) await segment.file.sync()
    }
    if (target > this.flushedOffset) this.flushedOffset = target
    return target
  }

  /** Copies log bytes that are in memory or surely cached; undefined when they are neither (or gone). */
  readRecent(target: Uint8Array, targetStart: number, logOffset: number, length: number): boolean {
    const at = this.ring.locate(logOffset, length)
    if (at >= 0) {
      target.set(this.ring.bytes.subarray(at, at + length), targetStart)
      return true
    }
    const segment = this.segments.find(logOffset)
    return segment !== undefined && segment.readNow(target, targetStart, length, logOffset) === length
  }

  isRecent(logOffset: number): boolean {
    return logOffset >= this.recentOffset
  }

  get recentOffset(): number {
    return this.writtenOffset - LIMITS.recentLogBytes
  }

  space(disk: Disk): { readonly totalBytes: number; readonly freeBytes: number } {
    return disk.space(this.segments.directory)
  }
}
