const FIRST_PLACES = 64

/** The messages that a read has picked, as the consume queue knows them. */
export class Selection {
  count = 0
  totalBytes = 0
  queueOffsets: Float64Array = new Float64Array(FIRST_PLACES)
  /** Where they lie in the log. */
  offsets: Float64Array = new Float64Array(FIRST_PLACES)
  sizes: Int32Array = new Int32Array(FIRST_PLACES)
  digests: Int32Array = new Int32Array(FIRST_PLACES)

  clear(): void {
    this.count = 0
    this.totalBytes = 0
  }

  add(queueOffset: number, physicalOffset: number, sizeBytes: number, digest: number): void {
    const i = this.count
    if (i === this.sizes.length) this.grow()
    this.queueOffsets[i] = queueOffset
    this.offsets[i] = physicalOffset
    this.sizes[i] = sizeBytes
    this.digests[i] = digest
    this.count = i + 1
    this.totalBytes += sizeBytes
  }

  private grow(): void {
    const places = 2 * this.count
    this.queueOffsets = extended(this.queueOffsets, new Float64Array(places))
    this.offsets = extended(this.offsets, new Float64Array(places))
    this.sizes = extended(this.sizes, new Int32Array(places))
    this.digests = extended(this.digests, new Int32Array(places))
  }
}

function extended<T extends Float64Array | Int32Array>(from: T, to: T): T {
  to.set(from)
  return to
}
