import { BlockCount } from './block-count.ts'
import type { Segment } from './segments.ts'

interface Block {
  readonly bytes: Buffer
  /** Else it is made for this block alone. */
  readonly isOfRoom: boolean
  /** While it is being read. */
  loading: Promise<void> | undefined
}

export interface ColdBlockSizes {
  readonly blockBytes: number
  /** So many are kept at least, and at most. */
  readonly minBlocks: number
  readonly maxBlocks: number
  /** So many are brought for whoever reads along. */
  readonly ahead: number
}

/**
 * Old log in memory, in blocks: the queues of a topic lie interleaved in the log, and whoever catches up reads them side by side. Each
 * block is read once for all of them instead of once for each pull. Only blocks that are written to their end are kept: they never change.
 */
export class ColdBlocks {
  private readonly log: { readonly writtenOffset: number }
  private readonly blockBytes: number
  private readonly ahead: number
  private readonly count: BlockCount
  /** By their first position, the least recently used first. */
  private readonly blocks = new Map<number, Block>()
  /** Of the room: what no block has. */
  private readonly spare: Buffer[] = []

  /** `room`: where blocks lie while it lasts. */
  constructor(log: { readonly writtenOffset: number }, sizes: ColdBlockSizes, room: Buffer = Buffer.alloc(0)) {
    const { blockBytes, minBlocks, maxBlocks, ahead } = sizes
    this.log = log
    this.blockBytes = blockBytes
    this.ahead = ahead
    this.count = new BlockCount(minBlocks, maxBlocks)
    for (let at = room.length - (room.length % blockBytes); at > 0; at -= blockBytes) this.spare.push(room.subarray(at - blockBytes, at))
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

  /** Is it being read off the main thread? */
  isComing(start: number): boolean {
    return this.blocks.get(start)?.loading !== undefined
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

  /** Brings a block into memory off the main thread, once for all who ask, and those behind it when somebody reads along. */
  async load(segment: Segment, start: number): Promise<void> {
    const isReadAlong = this.blocks.has(start - this.blockBytes)
    const present = this.blocks.get(start)
    const loading = present === undefined ? this.begin(segment, start) : present.loading
    if (isReadAlong) this.readAhead(segment, start)
    await loading
  }

  /** For whoever reads block `start`, and has read the one before it: brings the next ones into memory. */
  readOn(segment: Segment, start: number): void {
    if (this.blocks.has(start - this.blockBytes)) this.readAhead(segment, start)
  }

  private readAhead(segment: Segment, from: number): void {
    const ahead = this.count.isFull ? 1 : this.ahead
    for (let i = 1; i <= ahead; i++) {
      const start = from + i * this.blockBytes
      if (start >= segment.endOffset || this.startOf(segment, start) < 0) return
      // Whoever needs it will read it again, and be told.
      if (!this.blocks.has(start)) this.begin(segment, start).catch(() => undefined)
    }
  }

  private begin(segment: Segment, start: number): Promise<void> {
    const block = this.add(start)
    const length = this.endOf(segment, start) - start
    block.loading = segment.read(block.bytes, 0, length, start).then(
      (got) => {
        if (got < length) block.bytes.fill(0, got, length)
        block.loading = undefined
        // Somebody could not wait and has brought it on the main thread.
        if (this.blocks.get(start) !== block) this.putBack(block)
      },
      (error: unknown) => {
        this.drop(start, block)
        throw error
      },
    )
    return block.loading
  }

  private add(start: number): Block {
    this.count.came(start)
    // A block that is being read cannot make room.
    for (const [oldStart, old] of this.blocks) {
      if (this.blocks.size < this.count.kept) break
      if (old.loading !== undefined) continue
      this.count.went(oldStart)
      this.drop(oldStart, old)
    }
    const bytes = this.spare.pop()
    const block: Block = {
      bytes: bytes ?? Buffer.allocUnsafeSlow(this.blockBytes),
      isOfRoom: bytes !== undefined,
      loading: undefined,
    }
    this.blocks.set(start, block)
    return block
  }

  private drop(start: number, block: Block): void {
    if (this.blocks.get(start) === block) this.blocks.delete(start)
    this.putBack(block)
  }

  private putBack({ bytes, isOfRoom }: Block): void {
    if (isOfRoom) this.spare.push(bytes)
  }
}
