import type { Clock } from '@skylarkmq/runtime'

/** A run that is not through by then takes slices twice as long, and after as much again four times: it must keep up with what comes in. */
const PATIENCE_MS = 10_000
const LONGEST = 4

/** The slices of one run: what it does on the main thread in one go, before everybody else has a turn. */
export class Pace {
  /** How many times the least a slice does. The least takes 0.1 to 0.3 ms. */
  length = 1
  private readonly clock: Clock
  private readonly began: number

  constructor(clock: Clock) {
    this.clock = clock
    this.began = clock.monotonic()
  }

  /** Between two slices. */
  async pause(): Promise<void> {
    await this.clock.sleep(1)
    this.length = Math.min(LONGEST, 2 ** Math.floor((this.clock.monotonic() - this.began) / PATIENCE_MS))
  }
}
