/** Consecutive slots of the kernel, taken by one run of sends. */
export interface SlotRange {
  /** Index of the first. */
  readonly first: number
  readonly count: number
  isFree: boolean
}

/**
 * Which slots are in use: a ring, since runs are answered in about the order in which they came. A range that is given back before older
 * ones waits for them.
 */
export class SendSlots {
  readonly #size: number
  readonly #ranges: SlotRange[] = []
  /** Where the next range begins. */
  #next = 0

  constructor(size: number) {
    this.#size = size
  }

  /** Decides where the next range begins: so many consecutive slots are free there. */
  findFree(): number {
    const oldest = this.#ranges[0]
    if (oldest === undefined) {
      this.#next = 0
      return this.#size
    }
    if (oldest.first >= this.#next) return oldest.first - this.#next
    if (this.#next < this.#size) return this.#size - this.#next
    this.#next = 0
    return oldest.first
  }

  /** Index of the slot with which the next range begins; after `findFree`. */
  get next(): number {
    return this.#next
  }

  /** The next slots, of which `findFree` has just said that they are. */
  take(count: number): SlotRange {
    const range = { first: this.#next, count, isFree: false }
    this.#next += count
    this.#ranges.push(range)
    return range
  }

  giveBack(range: SlotRange): void {
    range.isFree = true
    while (this.#ranges[0]?.isFree === true) this.#ranges.shift()
  }
}
