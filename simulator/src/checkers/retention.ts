import type { Checker, Violation } from '../evidence.ts'
import type { History } from '../history.ts'

/**
 * The newest bytes of a log stay, as many as its limit says, and without a limit all (no run is as long as the time that messages are kept).
 * That what the log still covers is served is for other checkers to say.
 */
export const retention: Checker = ({ history, logs, plan }) => {
  const violations: Violation[] = []
  const complain = (brokerName: string, sentence: string): void => {
    violations.push({ checker: 'retention', sentence, about: [brokerName] })
  }
  for (const [brokerName, { from, to }] of logs) {
    if (from <= 0) continue
    if (plan.retentionBytes === undefined) {
      complain(brokerName, `the log of ${brokerName} begins at ${from}, and nothing of it was to be removed`)
      continue
    }
    // The file that went last was the oldest one of a log that was too long.
    const began = from - plan.segmentBytes
    const longest = Math.max(to, furthest(history, brokerName)) - began
    if (longest <= plan.retentionBytes) {
      complain(
        brokerName,
        `the log of ${brokerName} begins at ${from}; it was ${longest} bytes long at most when its last file was removed, and ${plan.retentionBytes} were to be kept`,
      )
    }
  }
  return violations
}

/** How far a log has reached, as far as anybody was told or saw it lost: power may have taken its end since. */
function furthest({ sent, lost }: History, brokerName: string): number {
  let position = 0
  for (const { ack } of sent.values()) if (ack?.brokerName === brokerName) position = Math.max(position, ack.position)
  for (const each of lost) if (each.brokerName === brokerName) position = Math.max(position, each.position)
  return position
}
