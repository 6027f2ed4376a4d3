/** Latencies in steps of 10 µs up to 10 s. */
const STEPS_PER_MS = 100
const STEPS = 1_000_000

export class Histogram {
  readonly #counts = new Uint32Array(STEPS)

  add(ms: number): void {
    const step = Math.min(STEPS - 1, Math.max(0, Math.round(ms * STEPS_PER_MS)))
    this.#counts[step] = (this.#counts[step] as number) + 1
  }

  at(fraction: number): number {
    let left = fraction * this.#counts.reduce((sum, n) => sum + n, 0)
    if (left === 0) return Number.NaN
    for (let i = 0; i < STEPS; i++) if ((left -= this.#counts[i] as number) <= 0) return i / STEPS_PER_MS
    return STEPS / STEPS_PER_MS
  }
}
