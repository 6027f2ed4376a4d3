/** Targets that were missed, each with what was measured around it. */
import type { Outcome } from './outcome.ts'
import { of, ratiosOf, spread, verdicts } from './outcome.ts'
import type { Scenario } from './scenarios.ts'
import { table } from './sections.ts'
import type { Side } from './servers.ts'

const fixed = (value: number, digits: number): string => (Number.isFinite(value) ? value.toFixed(digits) : '-')

/** What a process at so many µs of CPU per message took of a core at the median rate. */
const cores = (outcome: Outcome, side: Side, field: 'cpuSecondsPerMillion' | 'generatorCpuSecondsPerMillion'): number =>
  (of(outcome, side, field).median * of(outcome, side, 'perSecond').median) / 1e6

const used = (outcome: Outcome, side: Side): string =>
  `${fixed(cores(outcome, side, 'cpuSecondsPerMillion'), 2)} + ${fixed(cores(outcome, side, 'generatorCpuSecondsPerMillion'), 2)}`

function reached({ floor = [], ...outcome }: Outcome): string {
  const { rate, perCpuSecond } = ratiosOf(outcome)
  if (floor.length === 0) return `rate x${fixed(rate, 2)}, per CPU-second x${fixed(perCpuSecond, 2)}`
  const p99 = (['ours', 'apache'] as const).map((side) => fixed(of(outcome, side, 'p99Ms').median, 2))
  return `p99 ${p99[0]} ms, Apache ${p99[1]} ms, the server that only answers ${fixed(spread(floor.map(({ p99Ms }) => p99Ms)).median, 2)} ms`
}

export function missesSection(outcomes: readonly { readonly scenario: Scenario; readonly outcome: Outcome }[]): string[] {
  const rows = outcomes.flatMap(({ scenario, outcome }) => {
    const missed = verdicts(scenario, outcome).filter(({ isMet }) => !isMet)
    if (missed.length === 0) return []
    const targets = missed.map(({ text }) => text).join('; ')
    return [[scenario.title, targets, reached(outcome), used(outcome, 'ours'), used(outcome, 'apache')]]
  })
  if (rows.length === 0) return []
  return [
    '## Missed targets',
    'Rates: our broker is one thread. With one connection in a closed loop it and the generator mostly take turns: each waits for what the other has under way, so that the rate ends where the two together have filled about one core, whereas Apache’s threads spread over both. What a message costs us is in “Where our broker’s time goes”, per scenario. Latency: beside it stands what the generator measured at a server that keeps nothing and checks nothing; no broker can be faster on this machine at that time.',
    '',
    table(['scenario', 'missed', 'reached', 'cores, our broker + generator', "cores, Apache's broker + generator"], rows),
    '',
  ]
}
