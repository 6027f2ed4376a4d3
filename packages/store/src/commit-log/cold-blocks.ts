import type { Segment } from './segments.ts'

interface Block {
  readonly bytes: Buffer
  /** While it is being read. */
  loading: Promise<void> | undefined
}

/**
 * Old log in memory, in blocks: the queues of a topic lie interleaved in the log, and whoever catches up reads them side by side. Each
 * block is read once for all of them instead of once for each pull. Only blocks that are written to their end are kept: they never change.
 */
export class ColdBlocks {
  private readonly log: { readonly writtenOffset: number }
  private readonly blockBytes: number
  private readonly maxBlocks: number
  /** By their first position, the least recently used first. */
  private readonly blocks = new Map<number, Block>()
  private readonly spare: Buffer[] = []
  /** What no block has taken yet. */
  private room: Buffer

  /** `room`: where blocks lie while it lasts. */
  constructor(log: { readonly writtenOffset: number }, blockBytes: number, maxBlocks: number, room: Buffer = Buffer.alloc(0)) {
    this.log = log
    this.blockBytes = blockBytes
    this.maxBlocks = maxBlocks
    this.room = room
  }

  /** First position of the block that holds `logOffset`, or -1 when it is not complete yet. */
  startOf(segment: Segment, logOffset: number): number {
    const start = logOffset - ((logOffset - segment.startOffset) % this.blockBytes)
    return this.endOf(segment, start) <= this.log.writtenOffset ? start : -1
  }

  endOf(segment: Segment, start: number): number {
    return Math.min(start + this.blockBytes, segment.endOffset)
  }

  /** The block's bytes when they are here. They stay what they are until the caller lets others run. */
  peek(start: number): Uint8Array | undefined {
    const block = this.blocks.get(start)
    if (block === undefined || block.loading !== undefined) return undefined
    this.blocks.delete(start)
    this.blocks.set(start, block)
    return block.bytes
  }

  /** Brings a block into memory on the main thread. */
  loadNow(segment: Segment, start: number): void {
    if (this.peek(start) !== undefined) return
    const block = this.add(start)
    const length = this.endOf(segment, start) - start
    try {
      const got = segment.readNow(block.bytes, 0, length, start)
      if (got < length) block.bytes.fill(0, got, length)
    } catch (error) {
      this.drop(start, block)
      throw error
    }
  }

  /** Brings a block into memory off the main thread, once for all who ask, and the one behind it when somebody reads along. */
  async load(segment: Segment, start: number): Promise<void> {
    const isReadAlong = this.blocks.has(start - this.blockBytes)
    const present = this.blocks.get(start)
    const loading = present === undefined ? this.begin(segment, start) : present.loading
    if (isReadAlong) this.readAhead(segment, start + this.blockBytes)
    await loading
  }

  /** For whoever reads block `start`, and has read the one before it: brings the next one into memory. */
  readOn(segment: Segment, start: number): void {
    if (this.blocks.has(start - this.blockBytes)) this.readAhead(segment, start + this.blockBytes)
  }

  private readAhead(segment: Segment, start: number): void {
    if (this.blocks.has(start) || start >= segment.endOffset || this.startOf(segment, start) < 0) return
    // Whoever needs it will read it again, and be told.
    this.begin(segment, start).catch(() => undefined)
  }

  private begin(segment: Segment, start: number): Promise<void> {
    const block = this.add(start)
    const length = this.endOf(segment, start) - start
    block.loading = segment.read(block.bytes, 0, length, start).then(
      (got) => {
        if (got < length) block.bytes.fill(0, got, length)
        block.loading = undefined
      },
      (error: unknown) => {
        this.drop(start, block)
        throw error
      },
    )
    return block.loading
  }

  private add(start: number): Block {
    // A block that is being read cannot make room.
    for (const [oldStart, old] of this.blocks) {
      if (this.blocks.size < this.maxBlocks) break
      if (old.loading === undefined) this.drop(oldStart, old)
    }
    const block: Block = { bytes: this.spare.pop() ?? this.memory(), loading: undefined }
    this.blocks.set(start, block)
    return block
  }

  private memory(): Buffer {
    if (this.room.length < this.blockBytes) return Buffer.allocUnsafeSlow(this.blockBytes)
    const bytes = this.room.subarray(0, this.blockBytes)
    this.room = this.room.subarray(this.blockBytes)
    return bytes
  }

  private drop(start: number, block: Block): void {
    if (this.blocks.get(start) === block) this.blocks.delete(start)
    if (this.blocks.size + this.spare.length < this.maxBlocks) this.spare.push(block.bytes)
  }
}
