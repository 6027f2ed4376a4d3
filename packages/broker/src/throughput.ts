import type { MessageStore } from '@skylarkmq/store'

interface Sample {
  readonly atMs: number
  readonly puts: number
  readonly gets: number
  readonly timed: number
}

/** Sampled every ten seconds: 61 samples reach ten minutes back. */
const SAMPLES = 61
const SPANS_MS = [10_000, 60_000, 600_000]

/**
 * How many messages a second come and go, for tools. What came is read off the ends of the queues when a sample is taken, so that a send
 * costs nothing for it.
 */
export class Throughput {
  readonly #store: Pick<MessageStore, 'queues' | 'maxOffset'>
  readonly #samples: Sample[] = []
  /** Messages handed to consumers. */
  gets = 0
  /** Messages whose own time came. */
  timed = 0

  constructor(store: Pick<MessageStore, 'queues' | 'maxOffset'>) {
    this.#store = store
  }

  sample(nowMs: number): void {
    this.#samples.push({ atMs: nowMs, puts: this.#puts(), gets: this.gets, timed: this.timed })
    if (this.#samples.length > SAMPLES) this.#samples.shift()
  }

  /** Over ten seconds, a minute and ten minutes, as RocketMQ's tools read it: "12.5 3.0 0.4". */
  text(kind: 'puts' | 'gets' | 'timed'): string {
    const last = this.#samples.at(-1)
    if (last === undefined) return '0.0 0.0 0.0'
    return SPANS_MS.map((spanMs) => {
      // A sample is a little late at times: half a period's grace.
      const first = this.#samples.find((sample) => last.atMs - sample.atMs <= spanMs + 5000) as Sample
      const ms = last.atMs - first.atMs
      return (ms === 0 ? 0 : (Math.max(0, last[kind] - first[kind]) * 1000) / ms).toFixed(1)
    }).join(' ')
  }

  #puts(): number {
    let sum = 0
    for (const [topic, queueIds] of this.#store.queues()) for (const queueId of queueIds) sum += this.#store.maxOffset(topic, queueId)
    return sum
  }
}
