import { memoryTimerIndex } from '@skylarkmq/store'
import type { TimerIndex } from '@skylarkmq/store'
import { overlay } from './trapped-disk.ts'

/** One broker's list of scheduled messages, over its lives, as its contract has it: a change is there wholly or not at all. */
export class SimTimerIndex {
  #kept = memoryTimerIndex()
  #life = 0

  open(): TimerIndex {
    const life = ++this.#life
    const kept = this.#kept
    return overlay(kept, {
      apply: (change) => {
        if (life === this.#life) kept.apply(change)
      },
      close: () => {},
    })
  }

  /** It may be deleted at any time. */
  lose(): void {
    this.#life++
    this.#kept = memoryTimerIndex()
  }
}
