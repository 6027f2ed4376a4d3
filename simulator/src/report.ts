import type { Violation } from './evidence.ts'
import type { Outcome } from './run.ts'

const LINES_PER_STORY = 40
const VIOLATIONS_SHOWN = 10

/** The command that makes the same things happen again. */
export const replayCommand = ({ scenario }: Outcome, isProfileGiven: boolean): string =>
  `npm run simulate -- --seed ${scenario.cluster.seed}${isProfileGiven ? ` --profile ${scenario.name}` : ''}${(scenario.workload.extras ?? []).length === 0 ? ' --plain' : ''}`

/** One line for a run that went well. */
export function summary({ scenario, history, hash, virtualMs, violations }: Outcome): string {
  const { cluster } = scenario
  const acknowledged = [...history.sent.values()].filter(({ ack }) => ack !== undefined).length
  return [
    `seed ${cluster.seed}: ${scenario.name}, ${cluster.brokers} broker${cluster.brokers === 1 ? '' : 's'}, ${cluster.flush} flush`,
    `${(virtualMs / 1000).toFixed(0)} s of virtual time`,
    `${history.sent.size} sent, ${acknowledged} acknowledged, ${history.consumed.length} consumed`,
    `${history.faults.length} faults`,
    `history ${hash}`,
    violations.length === 0 ? 'all promises kept' : `${violations.length} PROMISES BROKEN`,
  ].join('; ')
}

/** What was wrong, what led to it, and how to see it again. */
export function failureReport(outcome: Outcome, isProfileGiven: boolean): string {
  const { violations } = outcome
  const parts = [summary(outcome), '']
  for (const [i, violation] of violations.slice(0, VIOLATIONS_SHOWN).entries()) {
    parts.push(`${i + 1}. [${violation.checker}] ${violation.sentence}`, ...story(outcome, violation), '')
  }
  if (violations.length > VIOLATIONS_SHOWN) parts.push(`… and ${violations.length - VIOLATIONS_SHOWN} more.`, '')
  parts.push(`It happens again, exactly so, with\n  ${replayCommand(outcome, isProfileGiven)}`)
  return parts.join('\n')
}

/** The lines of the history that are about what broke a promise. */
function story({ history }: Outcome, { about }: Violation): string[] {
  const lines = history.lines.filter((line) => line.about.some((each) => about.includes(each)))
  const shown = lines.length <= LINES_PER_STORY ? lines : [...lines.slice(0, 8), ...lines.slice(8 - LINES_PER_STORY)]
  return shown.map(({ atMs, text }) => `   ${(atMs / 1000).toFixed(6).padStart(12)} s  ${text}`)
}
