import type { ColdBlocks } from '../commit-log/cold-blocks.ts'
import type { Segment } from '../commit-log/segments.ts'

/** Bytes of the log that a step needs; the driver gets them on the main thread or off it. */
export interface Want {
  readonly logOffset: number
  getNow(): void
  get(): Promise<void>
}

/** Straight from the file; what it does not have is zero. */
export class FileWant implements Want {
  readonly segment: Segment
  readonly target: Uint8Array
  readonly logOffset: number

  constructor(segment: Segment, target: Uint8Array, logOffset: number) {
    this.segment = segment
    this.target = target
    this.logOffset = logOffset
  }

  getNow(): void {
    this.clear(this.segment.readNow(this.target, 0, this.target.length, this.logOffset))
  }

  async get(): Promise<void> {
    this.clear(await this.segment.read(this.target, 0, this.target.length, this.logOffset))
  }

  private clear(got: number): void {
    if (got < this.target.length) this.target.fill(0, got)
  }
}

/** A block of old log. */
export class BlockWant implements Want {
  readonly blocks: ColdBlocks
  readonly segment: Segment
  readonly logOffset: number

  constructor(blocks: ColdBlocks, segment: Segment, start: number) {
    this.blocks = blocks
    this.segment = segment
    this.logOffset = start
  }

  getNow(): void {
    this.blocks.loadNow(this.segment, this.logOffset)
  }

  get(): Promise<void> {
    return this.blocks.load(this.segment, this.logOffset)
  }
}
