import { Buffer } from 'node:buffer'
import { HEADER_BYTES, PARTIAL_KEPT_BYTES, PARTIAL_START_BYTES, REFUSED_HEADER_BYTES } from './limits.ts'

/** What a reader found. Positions are valid only during the call. */
export interface FrameSink {
  /**
   * What begins in `bytes[start, end)`: any number of frames, the last perhaps cut off. Returns where the first one begins that the sink has
   * not handled: that one comes by the other calls.
   */
  onFrames?(bytes: Buffer, start: number, end: number): number
  /** One whole frame: `bytes[start, end)`, `start` at the length field. Its lengths are consistent. Returns false to stop reading. */
  onFrame(bytes: Buffer, start: number, end: number): boolean
  /** A frame over the limit with a header small enough to collect: `bytes[start, end)` is that frame as if it had no body. The rest is skipped. */
  onTooLarge(bytes: Buffer, start: number, end: number, frameBytes: number): boolean
  /** Bytes that are no frame. Nothing follows. */
  onBadFrame(sentence: string): void
}

const LENGTH_BYTES = 4
/** The length field and the word that holds serialize type and header length (reference 1.1). */
const PREFIX_BYTES = 8

/**
 * Cuts a byte stream into frames. Frames are handled where they lie in the chunk; only a frame that the chunk cuts off is copied,
 * into a buffer that grows with the bytes that have arrived, never by what a length field promises. Work is linear in the bytes.
 */
export class FrameReader {
  readonly #sink: FrameSink
  readonly #frameBytes: number
  #partial: Buffer | undefined
  #have = 0
  /** Bytes of a refused frame that are still to come. */
  #skip = 0
  #stopped = false
  #suspended = false
  /** What came after the frame at which the sink suspended the reader. */
  #rest: Buffer | undefined

  constructor(sink: FrameSink, frameBytes: number) {
    this.#sink = sink
    this.#frameBytes = frameBytes
  }

  /** Bytes of a frame that has not arrived whole. */
  get partialBytes(): number {
    return this.#have
  }

  /** For the sink, during its call: no further frame until `resume`. The rest of the chunk is kept. */
  suspend(): void {
    this.#suspended = true
  }

  resume(): void {
    if (!this.#suspended) return
    this.#suspended = false
    const rest = this.#rest
    this.#rest = undefined
    if (rest !== undefined) this.#read(rest, true)
  }

  stop(): void {
    this.#stopped = true
    this.#rest = undefined
    this.#partial = undefined
    this.#have = 0
  }

  push(chunk: Uint8Array): void {
    const bytes = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    if (this.#suspended) this.#rest = this.#rest === undefined ? Buffer.from(bytes) : Buffer.concat([this.#rest, bytes])
    else this.#read(bytes, false)
  }

  #read(bytes: Buffer, isOurs: boolean): void {
    let position = 0
    while (!this.#stopped && position < bytes.length) {
      if (this.#suspended) {
        this.#rest = isOurs ? bytes.subarray(position) : Buffer.from(bytes.subarray(position))
        return
      }
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, bytes.length - position)
        this.#skip -= skipped
        position += skipped
      } else if (this.#have > 0) {
        position = this.#continuePartial(bytes, position)
      } else {
        const next = this.#sink.onFrames?.(bytes, position, bytes.length) ?? position
        position = next > position ? next : this.#readFrame(bytes, position)
      }
    }
  }

  /** A frame that starts at `position` in the chunk: handles it, or keeps what there is of it. */
  #readFrame(bytes: Buffer, position: number): number {
    const available = bytes.length - position
    const needed = this.#neededBytes(bytes, position, available)
    if (needed < 0) return bytes.length
    if (available < needed) {
      this.#keep(bytes, position, available, needed)
      return bytes.length
    }
    return this.#handle(bytes, position, needed)
  }

  #continuePartial(bytes: Buffer, position: number): number {
    const partial = this.#partial as Buffer
    const needed = this.#neededBytes(partial, 0, this.#have)
    if (needed < 0) return bytes.length
    const taken = Math.min(needed - this.#have, bytes.length - position)
    this.#keep(bytes, position, taken, needed)
    const after = position + taken
    // The prefix may have become whole just now: it decides how much is needed.
    if (this.#have < PREFIX_BYTES) return after
    const whole = this.#neededBytes(this.#partial as Buffer, 0, this.#have)
    if (whole < 0) return bytes.length
    if (this.#have < whole) return after
    const frame = this.#partial as Buffer
    this.#have = 0
    // The sink may not re-enter push, so the buffer stays as it is during the call.
    if (this.#sink.onFrames?.(frame, 0, whole) !== whole) this.#handle(frame, 0, whole)
    if (frame.length > PARTIAL_KEPT_BYTES) this.#partial = undefined
    return after
  }

  /** Hands over `bytes[position, position + needed)`, which `#neededBytes` found to be whole. Returns the position after it. */
  #handle(bytes: Buffer, position: number, needed: number): number {
    const total = LENGTH_BYTES + bytes.readInt32BE(position)
    let goOn: boolean
    if (total > this.#frameBytes + LENGTH_BYTES) {
      this.#skip = total - needed
      goOn = this.#sink.onTooLarge(bytes, position, position + needed, total - LENGTH_BYTES)
    } else {
      goOn = this.#sink.onFrame(bytes, position, position + needed)
    }
    if (!goOn) this.stop()
    return position + needed
  }

  /** How many bytes from `position` make something that can be handled; -1 when it is no frame (reported). Limits come first. */
  #neededBytes(bytes: Buffer, position: number, available: number): number {
    if (available < LENGTH_BYTES) return PREFIX_BYTES
    const length = bytes.readInt32BE(position)
    if (length < LENGTH_BYTES) return this.#bad(`its length field says ${length}; a frame has at least 4 bytes`)
    if (available < PREFIX_BYTES) return PREFIX_BYTES
    const word = bytes.readInt32BE(position + LENGTH_BYTES)
    const type = word >>> 24
    const headerBytes = word & 0xffffff
    const isTooLarge = length > this.#frameBytes
    if (type > 2) {
      return this.#bad(`its serialize type is ${type} and its length field says ${length}; types are 0 (JSON), 1 (binary) and 2 (msgpack)`)
    }
    if (headerBytes > length - LENGTH_BYTES) {
      return this.#bad(`its header length says ${headerBytes} while its length field says ${length}`)
    }
    if (headerBytes > (isTooLarge ? REFUSED_HEADER_BYTES : HEADER_BYTES)) {
      return this.#bad(`its header has ${headerBytes} bytes and its length field says ${length}; headers end at ${HEADER_BYTES}`)
    }
    return isTooLarge ? PREFIX_BYTES + headerBytes : LENGTH_BYTES + length
  }

  #bad(sentence: string): -1 {
    this.stop()
    this.#sink.onBadFrame(sentence)
    return -1
  }

  #keep(bytes: Buffer, position: number, length: number, needed: number): void {
    const wanted = this.#have + length
    let partial = this.#partial
    if (partial === undefined || partial.length < wanted) {
      const size = Math.max(PARTIAL_START_BYTES, wanted, Math.min(needed, 2 * wanted))
      const grown = Buffer.allocUnsafeSlow(size)
      if (partial !== undefined) partial.copy(grown, 0, 0, this.#have)
      this.#partial = partial = grown
    }
    bytes.copy(partial, this.#have, position, position + length)
    this.#have = wanted
  }
}
