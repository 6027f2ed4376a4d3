import type { AppendResult, OnStored } from './types.ts'

/** From so many on the arrays of a turn are not kept for the next one. */
const KEPT = 16_384

/** The appends of one turn of the event loop. Used again: a message costs the collector nothing here but its result. */
export class Turn {
  readonly callbacks: (OnStored | undefined)[] = []
  readonly results: (AppendResult | undefined)[] = []
  /** End of each append in the log. */
  readonly ends: number[] = []
  readonly waits: boolean[] = []
  count = 0
  anyWaits = false

  add(result: AppendResult, onStored: OnStored, end: number, waitForFlush: boolean): void {
    const i = this.count++
    this.results[i] = result
    this.callbacks[i] = onStored
    this.ends[i] = end
    this.waits[i] = waitForFlush
    if (waitForFlush) this.anyWaits = true
  }

  clear(): void {
    if (this.count > KEPT) this.callbacks.length = this.results.length = this.ends.length = this.waits.length = 0
    // Nothing is kept alive by a turn that is over.
    for (let i = 0; i < this.callbacks.length && i < this.count; i++) this.callbacks[i] = this.results[i] = undefined
    this.count = 0
    this.anyWaits = false
  }
}
