import type { MessageStore } from '@skylarkmq/store'
import type { Clock } from '@skylarkmq/runtime'
import type { ConsumerOffsets } from '../offsets/consumer-offsets.ts'

/** How often the ends of the queues are read. */
export const SAMPLE_MS = 10_000
const DAY_MS = 86_400_000

interface Span {
  readonly everyMs: number
  readonly keep: number
}

/** A minute of samples every ten seconds, an hour every ten minutes, a day every hour (RocketMQ 5.3 `StatsItem`). */
const SPANS = { minute: { everyMs: 10_000, keep: 7 }, hour: { everyMs: 600_000, keep: 7 }, day: { everyMs: 3_600_000, keep: 25 } } as const
type SpanName = keyof typeof SPANS

interface Sample {
  readonly atMs: number
  readonly total: number
}

interface Series {
  readonly first: number
  total: number
  seenAt: number
  readonly spans: Record<SpanName, Sample[]>
}

export interface Rate {
  readonly sum: number
  readonly tps: number
}

/**
 * Counters of topics and groups for tools. They are read off the ends of the queues and the groups' offsets from time to time, so that
 * neither a send nor a pull costs anything for them; what has no traffic since the start has no counter, as at Apache's broker.
 */
export class Counters {
  readonly #store: Pick<MessageStore, 'queues' | 'maxOffset'>
  readonly #offsets: ConsumerOffsets
  readonly #clock: Clock
  readonly #series = new Map<string, Series>()
  readonly #midnights: { yesterday: Totals; today: Totals }
  #day: number
  #isFirstLook = true

  constructor(store: Pick<MessageStore, 'queues' | 'maxOffset'>, offsets: ConsumerOffsets, clock: Clock) {
    this.#store = store
    this.#offsets = offsets
    this.#clock = clock
    this.#day = localDay(clock.now())
    this.#midnights = { yesterday: NONE, today: NONE }
    this.sample()
    this.#isFirstLook = false
  }

  /** Messages since the start, of all topics and of all groups; and what these were at the last two midnights. */
  totals(): { readonly now: Totals; readonly today: Totals; readonly yesterday: Totals } {
    this.sample()
    return { now: this.#sum(), ...this.#midnights }
  }

  sample(): void {
    const now = this.#clock.monotonic()
    const puts = this.#putsOfTopics()
    for (const [topic, total] of puts) this.#note(`TOPIC_PUT_NUMS ${topic}`, total, now)
    for (const [key, queues] of this.#offsets.entries()) {
      const split = key.indexOf('@')
      let total = 0
      for (const [queueId, committed] of queues) {
        total += Math.max(committed, this.#offsets.lastPulled(key.slice(split + 1), key.slice(0, split), queueId) ?? 0)
      }
      this.#note(`GROUP_GET_NUMS ${key}`, total, now)
    }
    for (const [name, series] of this.#series) if (series.seenAt !== now) this.#series.delete(name)
    const day = localDay(this.#clock.now())
    if (day === this.#day) return
    this.#day = day
    this.#midnights.yesterday = this.#midnights.today
    this.#midnights.today = this.#sum()
  }

  /** Undefined when nothing has been counted under this name and key. */
  view(statsName: string, statsKey: string): Record<SpanName, Rate> | undefined {
    this.sample()
    const series = this.#series.get(`${statsName} ${statsKey}`)
    if (series === undefined || series.total <= series.first) return undefined
    const rate = (name: SpanName): Rate => {
      const samples = series.spans[name]
      const [first, last] = [samples[0] as Sample, { atMs: this.#clock.monotonic(), total: series.total }]
      const sum = Math.max(0, last.total - first.total)
      return { sum, tps: last.atMs === first.atMs ? 0 : (sum * 1000) / Math.max(SAMPLE_MS, last.atMs - first.atMs) }
    }
    return { minute: rate('minute'), hour: rate('hour'), day: rate('day') }
  }

  /** Messages a second that a group has taken of a topic in the last minute. */
  consumeTps(group: string, topics: readonly string[]): number {
    return topics.reduce((sum, topic) => sum + (this.view('GROUP_GET_NUMS', `${topic}@${group}`)?.minute.tps ?? 0), 0)
  }

  #note(name: string, total: number, now: number): void {
    let series = this.#series.get(name)
    if (series === undefined) {
      // What was there at the first look came before; a name that appears later began with nothing.
      const first = this.#isFirstLook ? total : 0
      series = { first, total, seenAt: now, spans: { minute: [], hour: [], day: [] } }
      for (const span of Object.values(series.spans)) span.push({ atMs: now, total: first })
      this.#series.set(name, series)
    }
    series.total = total
    series.seenAt = now
    for (const [spanName, span] of Object.entries(SPANS) as [SpanName, Span][]) {
      const samples = series.spans[spanName]
      if (now - (samples.at(-1) as Sample).atMs < span.everyMs) continue
      samples.push({ atMs: now, total })
      if (samples.length > span.keep) samples.shift()
    }
  }

  #putsOfTopics(): Map<string, number> {
    const puts = new Map<string, number>()
    for (const [topic, queueIds] of this.#store.queues()) {
      let total = 0
      for (const queueId of queueIds) total += this.#store.maxOffset(topic, queueId)
      puts.set(topic, total)
    }
    return puts
  }

  #sum(): Totals {
    let [puts, gets] = [0, 0]
    for (const [name, { total, first }] of this.#series) {
      if (name.startsWith('TOPIC_PUT_NUMS ')) puts += Math.max(0, total - first)
      else gets += Math.max(0, total - first)
    }
    return { puts, gets }
  }
}

export interface Totals {
  readonly puts: number
  readonly gets: number
}

const NONE: Totals = { puts: 0, gets: 0 }

/** Days begin at this machine's midnight. */
const localDay = (ms: number): number => Math.floor((ms - new Date(ms).getTimezoneOffset() * 60_000) / DAY_MS)
