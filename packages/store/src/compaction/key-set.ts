export const KEY_BYTES = 16
const FIRST_SLOTS = 1024
const WORDS = KEY_BYTES / 4

/**
 * Keys by their hash of 128 bits, in one typed array: a Map of strings takes ten times the memory, and compaction looks at every key.
 * It grows until its limit and then takes no more: whoever fills it goes over the keys in several rounds.
 */
export class KeySet {
  private slots = FIRST_SLOTS
  private words = new Uint32Array(FIRST_SLOTS * WORDS)
  private count = 0

  /** How many keys a set of so many bytes holds. While it grows it needs half as much again. */
  static capacity(bytes: number): number {
    return Math.max(FIRST_SLOTS / 2, Math.floor(bytes / KEY_BYTES / 2))
  }

  /** Takes the key whose hash is at `at`; false when it was there already. */
  add(view: DataView, at: number): boolean {
    if (this.count * 2 >= this.slots) this.grow()
    const a = view.getUint32(at)
    const b = view.getUint32(at + 4)
    const c = view.getUint32(at + 8)
    // All zeros mark a free slot.
    const d = (a | b | c | view.getUint32(at + 12)) === 0 ? 1 : view.getUint32(at + 12)
    return this.put(a, b, c, d)
  }

  private put(a: number, b: number, c: number, d: number): boolean {
    const { words } = this
    const mask = this.slots - 1
    for (let slot = b & mask; ; slot = (slot + 1) & mask) {
      const i = slot * WORDS
      if (words[i] === a && words[i + 1] === b && words[i + 2] === c && words[i + 3] === d) return false
      if ((words[i] as number) | (words[i + 1] as number) | (words[i + 2] as number) | (words[i + 3] as number)) continue
      words[i] = a
      words[i + 1] = b
      words[i + 2] = c
      words[i + 3] = d
      this.count++
      return true
    }
  }

  private grow(): void {
    const old = this.words
    this.slots *= 2
    this.words = new Uint32Array(this.slots * WORDS)
    this.count = 0
    for (let i = 0; i < old.length; i += WORDS) {
      const a = old[i] as number
      const b = old[i + 1] as number
      const c = old[i + 2] as number
      const d = old[i + 3] as number
      if (a | b | c | d) this.put(a, b, c, d)
    }
  }

  clear(): void {
    this.words.fill(0)
    this.count = 0
  }
}

/** Which of `rounds` looks at the key: by bits that its slot does not depend on. */
export function roundOf(entries: DataView, at: number, rounds: number): number {
  return rounds === 1 ? 0 : entries.getUint32(at + 8) % rounds
}
