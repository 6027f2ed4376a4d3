/** Memory that is used again. What was taken before is no longer there after the next `take`. */
export class Scratch {
  private bytes = new Uint8Array(0)

  /** So many bytes, with anything in them. */
  take(length: number): Uint8Array<ArrayBuffer> {
    if (length > this.bytes.length) this.bytes = new Uint8Array(Math.ceil(length * 1.25))
    return this.bytes.subarray(0, length)
  }
}

const PAGE_BYTES = 1024 * 1024
const KEPT_PAGES = 4

/** Pages that are filled one after another and stay till all are given up. Some of them are kept for the next time. */
export class Pages {
  private pages: Buffer[] = []
  /** How many of them are in use, the last of them up to `filled`. */
  private used = 0
  private filled = 0

  /** Room for so many bytes, which lie on one page; `page` is its number. */
  take(length: number): { readonly bytes: Buffer; readonly page: number; readonly at: number } {
    const last = this.pages[this.used - 1]
    if (last === undefined || this.filled + length > last.length) {
      const next = this.pages[this.used]
      if (next === undefined || next.length < length) this.pages[this.used] = Buffer.allocUnsafeSlow(Math.max(PAGE_BYTES, length))
      this.used++
      this.filled = 0
    }
    const at = this.filled
    this.filled += length
    return { bytes: this.pages[this.used - 1] as Buffer, page: this.used - 1, at }
  }

  page(number: number): Buffer {
    return this.pages[number] as Buffer
  }

  giveBack(): void {
    this.pages = this.pages.filter(({ length }) => length === PAGE_BYTES).slice(0, KEPT_PAGES)
    this.used = 0
  }
}

/** What one run of compaction works in, and the next one again: else each would leave megabytes to the collector, which holds up everybody. */
export class WorkingMemory {
  /** Records that are not compacted yet. */
  readonly tail = new Pages()
  /** Their entries. */
  readonly window = new Scratch()
  /** Which entries are current. */
  readonly marks = new Scratch()
  /** Entries of one block. */
  readonly index = new Scratch()
  /** Records of one block. */
  readonly records = new Scratch()
  /** What is about to be written. */
  readonly output = new Scratch()
  /** Entries of the block that is about to be written. */
  readonly outputIndex = new Scratch()
  /** Pages for sets of keys. */
  readonly keyPages: Uint32Array<ArrayBuffer>[] = []
}
