import type { AppendResult, OnStored } from '../types.ts'

/** From so many on the arrays of a turn are not kept for the next one. */
const KEPT = 16_384

/** The appends of one turn of the event loop. Used again: a message costs the collector nothing here but its result. */
export class Turn {
  readonly callbacks: (OnStored | undefined)[] = []
  readonly results: (AppendResult | undefined)[] = []
  /** End of each append in the log. */
  readonly ends: number[] = []
  readonly waits: boolean[] = []
  /** Messages of each append. */
  readonly counts: number[] = []
  count = 0
  anyWaits = false

  add(result: AppendResult, onStored: OnStored, end: number, waitForFlush: boolean, messages: number): void {
    const i = this.count++
    this.results[i] = result
    this.callbacks[i] = onStored
    this.ends[i] = end
    this.waits[i] = waitForFlush
    this.counts[i] = messages
    if (waitForFlush) this.anyWaits = true
  }

  clear(): void {
    if (this.count > KEPT) for (const list of [this.callbacks, this.results, this.ends, this.waits, this.counts]) list.length = 0
    // Nothing is kept alive by a turn that is over.
    for (let i = 0; i < this.callbacks.length && i < this.count; i++) this.callbacks[i] = this.results[i] = undefined
    this.count = 0
    this.anyWaits = false
  }
}
