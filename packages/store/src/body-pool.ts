/** Memory for the bodies of reads, used again when they have been sent: a pull costs the collector nothing. */
import { LIMITS } from './limits.ts'

export interface Body {
  readonly bytes: Buffer
  readonly release: (() => void) | undefined
}

class LentBody {
  readonly bytes: Buffer
  readonly release: () => void
  private isLent = true

  constructor(bytes: number, free: LentBody[], keep: number) {
    this.bytes = Buffer.allocUnsafeSlow(bytes)
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
export const own = (bytes: number): Body => ({ bytes: Buffer.allocUnsafeSlow(bytes), release: undefined })
