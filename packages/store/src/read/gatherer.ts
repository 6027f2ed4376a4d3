import type { Kernel } from '@skylarkmq/remoting/protocol'
import { ColdBlocks } from '../commit-log/cold-blocks.ts'
import type { CommitLog } from '../commit-log/commit-log.ts'
import type { Segment } from '../commit-log/segments.ts'
import { LIMITS } from '../limits.ts'
import type { Body } from './body-pool.ts'
import { coldBlocksIn } from './read-memory.ts'
import type { Selection } from './selection.ts'
import type { Want } from './want.ts'
import { BlockWant, FileWant } from './want.ts'

/** Puts records one after another: from the ring, else from the file in as few reads as their places allow. */
export class Gatherer {
  private readonly log: CommitLog
  private readonly kernel: Kernel
  readonly blocks: ColdBlocks

  constructor(log: CommitLog, kernel: Kernel) {
    this.log = log
    this.kernel = kernel
    const { coldBlockBytes: blockBytes, coldBlocksMin: minBlocks, coldBlocks: maxBlocks, coldBlocksAhead: ahead } = LIMITS
    this.blocks = new ColdBlocks(log, { blockBytes, minBlocks, maxBlocks, ahead }, coldBlocksIn(kernel))
  }

  /** True when all were in the ring; else `body` holds anything. */
  fromRing({ offsets, sizes, count }: Selection, body: Body): boolean {
    const { ring } = this.log
    const ringAddress = this.kernel.addressOf(ring.bytes)
    let at = 0
    for (let i = 0; i < count; ) {
      const start = offsets[i] as number
      let length = sizes[i++] as number
      while (i < count && offsets[i] === start + length) length += sizes[i++] as number
      const from = ring.locate(start, length)
      if (from < 0) return false
      this.copy(ring.bytes, ringAddress, from, length, body, at)
      at += length
    }
    return true
  }

  /** Places that are no longer there become zero. */
  *gather(selection: Selection, body: Body): Generator<Want, void, void> {
    const { offsets, sizes, count } = selection
    const { ring } = this.log
    const ringAddress = this.kernel.addressOf(ring.bytes)
    let at = 0
    for (let i = 0; i < count; ) {
      const start = offsets[i] as number
      const size = sizes[i] as number
      const ringAt = ring.locate(start, size)
      const segment = ringAt < 0 ? this.log.segments.find(start) : undefined
      if (segment === undefined) {
        if (ringAt >= 0) this.copy(ring.bytes, ringAddress, ringAt, size, body, at)
        else body.bytes.fill(0, at, at + size)
        at += size
        i++
        continue
      }
      // All that lies near enough in this segment.
      let j = i + 1
      let end = start + size
      while (j < count) {
        const next = offsets[j] as number
        if (next < end || next >= segment.endOffset || next - end > LIMITS.coalesceGapBytes) break
        end = next + (sizes[j++] as number)
      }
      if (end - start >= LIMITS.directReadBytes) {
        at = yield* this.fromBlocks(segment, selection, i, j, body, at)
        i = j
        continue
      }
      const window = new Uint8Array(end - start)
      yield new FileWant(segment, window, start)
      for (; i < j; i++) {
        this.copy(window, -1, (offsets[i] as number) - start, sizes[i] as number, body, at)
        at += sizes[i] as number
      }
    }
  }

  /** Puts the records `[from, to)` of one segment to `at` of `body`, each of which may lie across two blocks; returns where they end. */
  private *fromBlocks(
    segment: Segment,
    { offsets, sizes }: Selection,
    from: number,
    to: number,
    body: Body,
    at: number,
  ): Generator<Want, number, void> {
    const { blocks } = this
    let blockStart = 0
    let blockEnd = 0
    let bytes: Uint8Array | undefined
    let address = -1
    for (let i = from; i < to; i++) {
      let next = offsets[i] as number
      const end = next + (sizes[i] as number)
      while (next < end) {
        if (next < blockStart || next >= blockEnd) {
          blockStart = blocks.startOf(segment, next)
          bytes = blockStart < 0 ? undefined : blocks.peek(blockStart)
          if (blockStart >= 0 && bytes === undefined) {
            yield new BlockWant(blocks, segment, blockStart)
            bytes = blocks.peek(blockStart)
          }
          blockEnd = bytes === undefined ? 0 : blocks.endOf(segment, blockStart)
          address = bytes === undefined ? -1 : this.kernel.addressOf(bytes)
        }
        if (bytes === undefined) {
          // The block is not complete yet, or had to make room at once.
          yield new FileWant(segment, body.bytes.subarray(at, at + end - next), next)
          at += end - next
          break
        }
        const length = Math.min(end, blockEnd) - next
        this.copy(bytes, address, next - blockStart, length, body, at)
        at += length
        next += length
      }
    }
    return at
  }

  /** `address`: of `from` in the kernel's memory, or -1. Within one memory no view has to be made, which costs as much as a small copy. */
  private copy(from: Uint8Array, address: number, start: number, length: number, to: Body, at: number): void {
    if (address < 0 || to.address < 0) to.bytes.set(new Uint8Array(from.buffer, from.byteOffset + start, length), at)
    else this.kernel.calls.copy(to.address + at, address + start, length)
  }
}
