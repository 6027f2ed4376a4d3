/** Memory for the bodies of reads, used again when they have been sent: a pull costs the collector nothing. */
import { viewOf } from '../bytes.ts'
import { LIMITS } from '../limits.ts'

export interface Body {
  readonly bytes: Buffer
  /** Of `bytes`. */
  readonly view: DataView
  readonly release: (() => void) | undefined
}

class LentBody implements Body {
  readonly bytes: Buffer
  readonly view: DataView
  readonly release: () => void
  private isLent = true

  constructor(bytes: number, free: LentBody[], keep: number) {
    this.bytes = Buffer.allocUnsafeSlow(bytes)
    this.view = viewOf(this.bytes)
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

interface Shelf {
  readonly bytes: number
  readonly keep: number
  readonly free: LentBody[]
}

export class BodyPool {
  private readonly shelves: readonly Shelf[] = LIMITS.lentBodies.map((shelf) => ({ ...shelf, free: [] }))

  /** At least `bytes` long, with whatever was in it. */
  take(bytes: number): Body {
    for (const { bytes: size, keep, free } of this.shelves) {
      if (bytes <= size) return (free.pop() ?? new LentBody(size, free, keep)).lend()
    }
    return own(bytes)
  }
}

/** One that is never used again. */
export function own(length: number): Body {
  const bytes = Buffer.allocUnsafeSlow(length)
  return { bytes, view: viewOf(bytes), release: undefined }
}
