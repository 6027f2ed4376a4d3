export const KEY_BYTES = 16
const LEAST_SLOTS = 1024
const WORDS = KEY_BYTES / 4
/** Slots of one page: 256 KiB. */
const PAGE_SLOTS = 16_384
/** Pages that are kept for the next set: 4 MiB. */
const SPARE_PAGES = 16

/**
 * Keys by their hash of 128 bits, in typed arrays: a Map of strings takes ten times the memory, and compaction looks at every key. It
 * never grows, since moving a million keys blocks for 100 ms, and gets its memory page by page, since 32 MiB at once may block for 50 ms.
 * Whoever has more keys than it holds goes over them in several rounds.
 */
export class KeySet {
  private readonly mask: number
  private readonly pages: (Uint32Array<ArrayBuffer> | undefined)[]
  private readonly spare: Uint32Array<ArrayBuffer>[]
  private prepared = 0

  /** For so many keys: half of its slots stay free. Its pages come from `spare`, as far as there are some. */
  constructor(keys: number, spare: Uint32Array<ArrayBuffer>[]) {
    this.spare = spare
    let slots = LEAST_SLOTS
    while (slots < keys * 2) slots *= 2
    this.mask = slots - 1
    this.pages = Array.from({ length: Math.ceil(slots / PAGE_SLOTS) })
  }

  /** How many keys a set of at most so many bytes holds. */
  static capacity(bytes: number): number {
    let slots = LEAST_SLOTS
    while (slots * 2 * KEY_BYTES <= bytes) slots *= 2
    return slots / 2
  }

  /** Takes the key whose hash is at `at`; false when it was there already. */
  add(view: DataView, at: number): boolean {
    const { pages, mask } = this
    const a = view.getUint32(at)
    const b = view.getUint32(at + 4)
    const c = view.getUint32(at + 8)
    // All zeros mark a free slot.
    const d = (a | b | c | view.getUint32(at + 12)) === 0 ? 1 : view.getUint32(at + 12)
    for (let slot = b & mask; ; slot = (slot + 1) & mask) {
      const words = pages[Math.floor(slot / PAGE_SLOTS)] ?? this.takePage(slot)
      const i = (slot % PAGE_SLOTS) * WORDS
      if (words[i] === a && words[i + 1] === b && words[i + 2] === c && words[i + 3] === d) return false
      if (((words[i] as number) | (words[i + 1] as number) | (words[i + 2] as number) | (words[i + 3] as number)) !== 0) continue
      words[i] = a
      words[i + 1] = b
      words[i + 2] = c
      words[i + 3] = d
      return true
    }
  }

  /** Takes some of its memory ahead; false while there is more to take. Keys fall on all pages, so the first of them would take it all. */
  prepare(pages: number): boolean {
    const from = this.prepared
    this.prepared = Math.min(this.pages.length, from + pages)
    for (let page = from; page < this.prepared; page++) this.pages[page] ??= this.newPage()
    return this.prepared === this.pages.length
  }

  private takePage(slot: number): Uint32Array {
    const page = this.newPage()
    this.pages[Math.floor(slot / PAGE_SLOTS)] = page
    return page
  }

  private newPage(): Uint32Array<ArrayBuffer> {
    return this.spare.pop()?.fill(0) ?? new Uint32Array(PAGE_SLOTS * WORDS)
  }

  /** It is not used any more: its pages are for the next one. */
  giveBack(): void {
    for (const page of this.pages.splice(0)) if (page !== undefined && this.spare.length < SPARE_PAGES) this.spare.push(page)
  }
}

/** Which of `rounds` looks at the key: by bits that its slot does not depend on. */
export function roundOf(entries: DataView, at: number, rounds: number): number {
  return rounds === 1 ? 0 : entries.getUint32(at + 8) % rounds
}
