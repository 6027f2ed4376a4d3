/** Memory that is used again. What was taken before is no longer there after the next `take`. */
export class Scratch {
  private bytes = new Uint8Array(0)

  /** So many bytes, with anything in them. */
  take(length: number): Uint8Array<ArrayBuffer> {
    if (length > this.bytes.length) this.bytes = new Uint8Array(Math.ceil(length * 1.25))
    return this.bytes.subarray(0, length)
  }
}

/** What one run of compaction works in, and the next one again: else each would leave megabytes to the collector, which holds up everybody. */
export class WorkingMemory {
  /** Entries of the messages that are not compacted yet. */
  readonly window = new Scratch()
  /** Entries of one block. */
  readonly index = new Scratch()
  /** Records of one block. */
  readonly records = new Scratch()
  /** What is about to be written. */
  readonly output = new Scratch()
  /** Pages for sets of keys. */
  readonly keyPages: Uint32Array<ArrayBuffer>[] = []
}
