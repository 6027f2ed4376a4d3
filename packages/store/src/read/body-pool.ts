/** Memory for the bodies of reads, used again when they have been sent: a pull costs the collector nothing. */
import { viewOf } from '../bytes.ts'
import { LIMITS } from '../limits.ts'

export interface Body {
  readonly bytes: Buffer
  /** Of `bytes`. */
  readonly view: DataView
  /** Of `bytes` in the kernel's memory; -1 when they lie elsewhere. */
  readonly address: number
  readonly release: (() => void) | undefined
}

class LentBody implements Body {
  readonly bytes: Buffer
  readonly view: DataView
  readonly address: number
  readonly release: () => void
  private isLent = true

  constructor(bytes: Buffer, address: number, free: LentBody[], keep: number) {
    this.bytes = bytes
    this.view = viewOf(bytes)
    this.address = address
    this.release = () => {
      if (this.isLent && free.length < keep) free.push(this)
      this.isLent = false
    }
  }

  lend(): this {
    this.isLent = true
    return this
  }
}

class Shelf {
  readonly bytes: number
  private readonly keep: number
  private readonly free: LentBody[] = []
  /** What was not lent yet of the kernel's memory. */
  private room: Buffer

  constructor(bytes: number, keep: number, room: Buffer) {
    this.bytes = bytes
    this.keep = keep
    this.room = room
  }

  take(): LentBody {
    const present = this.free.pop()
    if (present !== undefined) return present.lend()
    if (this.room.length < this.bytes) return new LentBody(Buffer.allocUnsafeSlow(this.bytes), -1, this.free, this.keep)
    const bytes = this.room.subarray(0, this.bytes)
    this.room = this.room.subarray(this.bytes)
    return new LentBody(bytes, bytes.byteOffset, this.free, Number.POSITIVE_INFINITY)
  }
}

export class BodyPool {
  private readonly shelves: readonly Shelf[]

  /** `room`: in the kernel's memory, for all that are kept. */
  constructor(room: Buffer) {
    let at = 0
    this.shelves = LIMITS.lentBodies.map(({ bytes, keep }) => {
      const from = at
      at += bytes * keep
      return new Shelf(bytes, keep, room.subarray(from, at))
    })
  }

  /** At least `bytes` long, with whatever was in it. */
  take(bytes: number): Body {
    for (const shelf of this.shelves) if (bytes <= shelf.bytes) return shelf.take()
    return own(bytes)
  }
}

/** One that is never used again. */
export function own(length: number): Body {
  const bytes = Buffer.allocUnsafeSlow(length)
  return { bytes, view: viewOf(bytes), address: -1, release: undefined }
}
