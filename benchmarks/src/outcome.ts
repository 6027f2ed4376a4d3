/** What a scenario's rounds say: medians, ranges, ratios, and whether the target is met. */
import type { Sample } from './measure.ts'
import type { Scenario } from './scenarios.ts'
import type { Side } from './servers.ts'

export interface Outcome {
  readonly scenario: string
  readonly title: string
  readonly takenAt: string
  /** The command, and the commit of ours. */
  readonly run?: string
  readonly samples: Readonly<Record<Side, readonly Sample[]>>
  /** Of open loops: the same load at a server that only answers. */
  readonly floor?: readonly Sample[]
}

export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

export function spread(values: readonly number[]): Spread {
  const sorted = values.filter((value) => Number.isFinite(value)).sort((a, b) => a - b)
  if (sorted.length === 0) return { median: Number.NaN, min: Number.NaN, max: Number.NaN }
  return { median: sorted[sorted.length >> 1] as number, min: sorted[0] as number, max: sorted.at(-1) as number }
}

export const of = (outcome: Outcome, side: Side, field: Exclude<keyof Sample, 'firstRefusal'>): Spread =>
  spread(outcome.samples[side].map((sample) => Number(sample[field] ?? Number.NaN)))

export interface Ratios {
  readonly rate: number
  /** Messages per CPU-second of the broker. */
  readonly perCpuSecond: number
  readonly p99: number
}

export const ratiosOf = (outcome: Outcome): Ratios => ({
  rate: of(outcome, 'ours', 'perSecond').median / of(outcome, 'apache', 'perSecond').median,
  perCpuSecond: of(outcome, 'apache', 'cpuSecondsPerMillion').median / of(outcome, 'ours', 'cpuSecondsPerMillion').median,
  p99: of(outcome, 'ours', 'p99Ms').median / of(outcome, 'apache', 'p99Ms').median,
})

/** Each part of the target as a sentence with its verdict. */
export function verdicts(scenario: Scenario, outcome: Outcome): { readonly text: string; readonly isMet: boolean }[] {
  const { target } = scenario
  const ratios = ratiosOf(outcome)
  const ours = of(outcome, 'ours', 'p99Ms').median
  const all: { text: string; isMet: boolean }[] = []
  const atLeast = (name: string, wanted: number | undefined, got: number) => {
    if (wanted !== undefined) all.push({ text: `${name} ${wanted}`, isMet: got >= wanted })
  }
  atLeast('rate', target.rate, ratios.rate)
  atLeast('per CPU-second', target.perCpuSecond, ratios.perCpuSecond)
  if (target.p99Ms !== undefined) all.push({ text: `p99 < ${target.p99Ms} ms`, isMet: ours < target.p99Ms })
  if (target.p99Ratio !== undefined) all.push({ text: `p99 ${target.p99Ratio} of Apache's`, isMet: ratios.p99 <= target.p99Ratio })
  if (target.noneRefused) all.push({ text: 'none refused', isMet: of(outcome, 'ours', 'refusedPart').max === 0 })
  return all
}
