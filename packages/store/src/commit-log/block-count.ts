/** One fewer is kept after so many that came without a reason for more. */
const QUIET_BLOCKS = 64
const MORE_BLOCKS = 2

/**
 * How many blocks of old log are kept. Few, so that they stay in the processor's caches between the read that brings them and the answers that
 * they leave in; more as soon as one that had to make room is asked for again.
 */
export class BlockCount {
  kept: number
  private readonly fewest: number
  private readonly most: number
  /** First positions of blocks that had to make room lately, the oldest first. */
  private readonly gone = new Set<number>()
  private quietBlocks = 0

  constructor(fewest: number, most: number) {
    this.kept = this.fewest = fewest
    this.most = most
  }

  /** More than are kept cannot be: readers take them from each other. */
  get isFull(): boolean {
    return this.kept > this.fewest && this.kept === this.most
  }

  /** That the block is brought. */
  came(start: number): void {
    if (this.gone.delete(start)) {
      this.kept = Math.min(this.most, this.kept + MORE_BLOCKS)
      this.quietBlocks = 0
    } else if (++this.quietBlocks === QUIET_BLOCKS) {
      this.kept = Math.max(this.fewest, this.kept - 1)
      this.quietBlocks = 0
    }
  }

  /** That the block had to make room. */
  went(start: number): void {
    this.gone.add(start)
    if (this.gone.size > this.most) for (const oldest of this.gone) return void this.gone.delete(oldest)
  }
}
