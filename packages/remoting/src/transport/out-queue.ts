import { Buffer } from 'node:buffer'
import type { Connection } from '@skylarkmq/runtime'
import { COPIED_BODY_BYTES, LARGE_OUT_BUFFER_BYTES, LARGE_OUTPUT_BYTES, OUT_BUFFER_BYTES, OUT_BUFFERS_KEPT } from './limits.ts'

const EMPTY = Buffer.alloc(0)

class OutBuffer {
  readonly bytes: Buffer
  /** Handed to `Connection.write`; made once, so that a write costs no closure. */
  readonly release: () => void

  constructor(bytes: Buffer, putBack: (buffer: OutBuffer) => void) {
    this.bytes = bytes
    this.release = () => putBack(this)
  }
}

/** Output buffers that come back when the platform no longer needs them. */
export class OutBufferPool {
  readonly #free: OutBuffer[] = []
  /** Never more than there were: who does not read its answers cannot pin others. */
  readonly #large: OutBuffer[] = []

  /** `memory`: where the first buffers lie; `large`: where the large ones do. */
  constructor(memory?: Buffer, large?: Buffer) {
    for (const bytes of pieces(memory, OUT_BUFFER_BYTES)) this.#free.push(new OutBuffer(bytes, (buffer) => this.#put(buffer)))
    for (const bytes of pieces(large, LARGE_OUT_BUFFER_BYTES)) this.#large.push(new OutBuffer(bytes, (buffer) => this.#large.push(buffer)))
  }

  /** A buffer in which there is room for `length` bytes. */
  take(length: number): OutBuffer {
    if (length > LARGE_OUTPUT_BYTES && length <= LARGE_OUT_BUFFER_BYTES) {
      const large = this.#large.pop()
      if (large !== undefined) return large
    }
    if (length > OUT_BUFFER_BYTES) return new OutBuffer(Buffer.allocUnsafeSlow(length), () => undefined)
    return this.#free.pop() ?? new OutBuffer(Buffer.allocUnsafeSlow(OUT_BUFFER_BYTES), (buffer) => this.#put(buffer))
  }

  #put(buffer: OutBuffer): void {
    if (this.#free.length < OUT_BUFFERS_KEPT) this.#free.push(buffer)
  }
}

/** The first in the memory comes last, and is taken first. */
function pieces(memory: Buffer | undefined, bytesEach: number): Buffer[] {
  const count = Math.floor((memory?.length ?? 0) / bytesEach)
  return Array.from({ length: count }, (_, i) => (memory as Buffer).subarray((count - 1 - i) * bytesEach, (count - i) * bytesEach))
}

interface Piece {
  readonly bytes: Uint8Array
  release: (() => void) | undefined
}

/**
 * What a connection will send at the end of the turn. Small things are encoded side by side in one pooled buffer, so that a turn is
 * one write; a long body is written where it lies, after the bytes before it.
 */
export class OutQueue {
  readonly #pool: OutBufferPool
  #pieces: Piece[] = []
  #buffer: OutBuffer | undefined
  /** Where the bytes that are not yet a piece start and end in `#buffer`. */
  #from = 0
  #to = 0
  /** The latest piece that lies in `#buffer`. */
  #lastPiece: Piece | undefined
  #queuedBytes = 0
  readonly #slot: { bytes: Buffer; start: number } = { bytes: EMPTY, start: 0 }

  constructor(pool: OutBufferPool) {
    this.#pool = pool
  }

  get bytes(): number {
    return this.#queuedBytes
  }

  /** Room that the caller fills at once. The returned object is reused by the next call. */
  reserve(length: number): { readonly bytes: Buffer; readonly start: number } {
    this.#queuedBytes += length
    const slot = this.#slot
    if (this.#buffer !== undefined && this.#to + length > this.#buffer.bytes.length) this.#cut(true)
    this.#buffer ??= this.#pool.take(length)
    slot.bytes = this.#buffer.bytes
    slot.start = this.#to
    this.#to += length
    return slot
  }

  /** The last bytes of the latest `reserve`: they were not needed. */
  giveBack(length: number): void {
    this.#queuedBytes -= length
    this.#to -= length
  }

  /** Adds bytes; those over `COPIED_BODY_BYTES` by reference. `release` is called when they are no longer needed. */
  append(bytes: Uint8Array, release?: () => void): void {
    if (bytes.length > COPIED_BODY_BYTES) {
      this.#queuedBytes += bytes.length
      this.#cut(false)
      this.#pieces.push({ bytes, release })
      return
    }
    if (bytes.length > 0) {
      const { bytes: room, start } = this.reserve(bytes.length)
      room.set(bytes, start)
    }
    release?.()
  }

  /** Hands all to the connection, in order. */
  flush(connection: Connection): void {
    this.#cut(true)
    const pieces = this.#pieces
    this.#queuedBytes = 0
    if (pieces.length === 0) return
    this.#pieces = []
    if (pieces.length > 1) connection.cork()
    for (const piece of pieces) {
      if (piece.release === undefined) connection.write(piece.bytes)
      else connection.write(piece.bytes, piece.release)
    }
    if (pieces.length > 1) connection.uncork()
  }

  discard(): void {
    this.#cut(true)
    for (const piece of this.#pieces) piece.release?.()
    this.#pieces = []
    this.#queuedBytes = 0
  }

  /** Turns the open bytes into a piece. With `giveAway` the buffer is finished and comes back to the pool once its last piece is written. */
  #cut(giveAway: boolean): void {
    const buffer = this.#buffer
    if (buffer === undefined) return
    if (this.#to > this.#from) {
      this.#lastPiece = { bytes: buffer.bytes.subarray(this.#from, this.#to), release: undefined }
      this.#pieces.push(this.#lastPiece)
    }
    this.#from = this.#to
    if (giveAway) {
      if (this.#lastPiece === undefined) buffer.release()
      else this.#lastPiece.release = buffer.release
      this.#lastPiece = undefined
      this.#buffer = undefined
      this.#from = 0
      this.#to = 0
    }
  }
}
