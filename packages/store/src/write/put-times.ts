import type { Clock } from '@skylarkmq/runtime'
import type { Turn } from './turn.ts'
import type { AppendResult, PutTimes } from '../types.ts'

const WINDOW_MS = 60_000
/** Four classes an octave of microseconds: a quantile is right to a fifth. */
const PER_OCTAVE = 4
const CLASSES = 32 * PER_OCTAVE

interface Window {
  readonly classes: Uint32Array
  readonly apache: Uint32Array
}

/** Upper ends in ms of RocketMQ's thirteen classes but the last (`StoreStatsService`). */
const APACHE_ENDS_MS = [1, 10, 50, 100, 200, 500, 1000, 2000, 3000, 4000, 5000, 10_000]

/**
 * How long stores took, of the last one to two minutes. All messages of a turn that need no flush have one time, so that a message costs
 * nothing for it; one that waits for fdatasync costs two increments.
 */
export class PutTimesMeter {
  private current = newWindow()
  private former = newWindow()
  private endsAt: number
  private maxMs = 0
  failed = 0

  constructor(nowMs: number) {
    this.endsAt = nowMs + WINDOW_MS
  }

  /** What of a turn needs no flush; all of it failed when the store has. */
  recordTurn({ results, waits, counts, count }: Turn, hasFailed: boolean, beganMs: number, clock: Clock): void {
    let stored = 0
    for (let i = 0; i < count; i++) {
      if (hasFailed || (results[i] as AppendResult).status !== 'ok') this.failed += counts[i] as number
      else if (!waits[i]) stored += counts[i] as number
    }
    if (stored === 0) return
    const now = clock.monotonic()
    this.record(stored, now - beganMs, now)
  }

  record(count: number, tookMs: number, nowMs: number): void {
    if (nowMs >= this.endsAt) this.turnOver(nowMs)
    if (tookMs > this.maxMs) this.maxMs = tookMs
    const { classes, apache } = this.current
    const us = Math.min(0x7fffffff, Math.max(1, (tookMs * 1000) | 0))
    const octave = 31 - Math.clz32(us)
    const at = octave * PER_OCTAVE + (octave < 2 ? 0 : (us >>> (octave - 2)) & 3)
    classes[at] = (classes[at] as number) + count
    let i = 0
    while (i < APACHE_ENDS_MS.length && tookMs >= (APACHE_ENDS_MS[i] as number)) i++
    apache[i] = (apache[i] as number) + count
  }

  report(nowMs: number): PutTimes {
    if (nowMs >= this.endsAt) this.turnOver(nowMs)
    const both = (a: Uint32Array, b: Uint32Array): number[] => Array.from(a, (count, i) => count + (b[i] as number))
    const classes = both(this.current.classes, this.former.classes)
    const distribution = both(this.current.apache, this.former.apache)
    const count = distribution.reduce((sum, n) => sum + n, 0)
    const quantile = (q: number): number => quantileMs(classes, Math.ceil(count * q))
    return {
      count,
      failed: this.failed,
      p50Ms: quantile(0.5),
      p99Ms: quantile(0.99),
      p999Ms: quantile(0.999),
      maxMs: this.maxMs,
      distribution,
    }
  }

  private turnOver(nowMs: number): void {
    this.former = nowMs >= this.endsAt + WINDOW_MS ? newWindow() : this.current
    this.current = newWindow()
    this.endsAt = nowMs + WINDOW_MS
  }
}

const newWindow = (): Window => ({ classes: new Uint32Array(CLASSES), apache: new Uint32Array(APACHE_ENDS_MS.length + 1) })

/** The upper end of the class in which the message of this rank lies. */
function quantileMs(classes: readonly number[], rank: number): number {
  let seen = 0
  for (let i = 0; i < classes.length && rank > 0; i++) {
    seen += classes[i] as number
    if (seen < rank) continue
    const octave = Math.floor(i / PER_OCTAVE)
    const us = octave < 2 ? 2 ** (octave + 1) : 2 ** octave * (1 + ((i % PER_OCTAVE) + 1) / PER_OCTAVE)
    return us / 1000
  }
  return 0
}
