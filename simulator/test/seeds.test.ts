import { describe, expect, it } from 'vitest'
import { failureReport, summary } from '../src/report.ts'
import { simulate } from '../src/run.ts'
import type { Scenario } from '../src/scenario.ts'
import { scenarioOf } from '../src/scenario.ts'
import type { Extra } from '../src/workloads/extras.ts'

/** Each found something once, or shows a kind of trouble well: [seed, profile, what it was, what went on beside]. */
const REMEMBERED: readonly (readonly [seed: number, profile: string, what: string, extras?: readonly Extra[]])[] = [
  [1, 'calm', 'members come and go'],
  [1, 'disks', 'a checkpoint that failed for want of room forgot which queues it had not written'],
  [57, 'disks', 'the file of topics lost its end by a failed sync, unnoticed until power was lost'],
  [2009, 'disks', 'power loss took a message that was to become a dead letter: its orderly queue waited for ever'],
  [101, 'crashes', 'a queue lost an entry over two starts'],
  [33, 'network', 'NameServers away, brokers parted'],
  [1, 'rot', 'bits flip in the log, and what is not hit is served'],
  [11, 'rot', 'the newest message of a queue was damaged, and its place was given to another'],
  [1012, 'disks', 'a full disk refused to keep a popped message longer, and its acknowledgement was forgotten', ['pops', 'compaction']],
  [820072, 'disks', 'power went as the log rolled: whole records behind the lost beginning of a file were cut', ['pops']],
  [2144007731, 'everything', 'a full disk left the very first segment short, and its length was taken for the size of segments'],
  [5000089, 'crashes', 'a consumer went on behind the end that power loss had left of a queue, and passed over what got the lost places'],
  [5100108, 'crashes', 'who was sent back in a queue forgot the failed message in its hands'],
  [5200469, 'disks', 'an orderly consumer that asked for the committed offset went on at its own, which was lost'],
  [
    6801028,
    'disks',
    'an offset that was brought down to the end of its queue was the old one again after the next crash',
    ['timers', 'transactions', 'pops'],
  ],
  [5000176, 'disks', 'a place of a queue that a start had dropped was believed again after the next checkpoint'],
  [2, 'clocks', 'wall clocks that jump by half an hour'],
]

/**
 * The new seeds are of sending and consuming alone, under every kind of trouble. What goes on beside (`--plain` leaves it out) is young: its
 * judges have seen some hundred seeds, not yet the thousands that a test needs which must not fail by itself.
 *
 * Left out of the new seeds, until thousands of them have been seen with today's judges: asynchronous flush with power loss (its last find was
 * 5000176), `rot`, and `everything`; `npm run simulate` has them.
 */
const isOpen = ({ name, cluster, faults }: Scenario): boolean =>
  name === 'everything' || name === 'rot' || (cluster.flush === 'async' && (faults['power-loss'] ?? 0) > 0)

/** Seconds of random seeds; SKYLARK_SIMULATE_SECONDS makes it more, SKYLARK_SIMULATE_SEED begins elsewhere. */
const SECONDS = Number(process.env.SKYLARK_SIMULATE_SECONDS ?? 60)

describe('seeds', () => {
  for (const [seed, profile, what, extras = []] of REMEMBERED) {
    it(`${seed} ${profile}: ${what}`, { timeout: 300_000 }, async () => {
      const outcome = await simulate(scenarioOf(seed, { profile, extras }))
      expect(outcome.violations.length, failureReport(outcome, true)).toBe(0)
    })
  }

  it(`drawn anew, for ${SECONDS} s`, { timeout: SECONDS * 1000 + 300_000 }, async () => {
    const endMs = Date.now() + SECONDS * 1000
    let seed = Number(process.env.SKYLARK_SIMULATE_SEED ?? Date.now() % 2 ** 31)
    console.log(`simulator: random seeds from ${seed}`)
    let runs = 0
    for (; Date.now() < endMs; seed++) {
      const scenario = scenarioOf(seed, { extras: [] })
      if (isOpen(scenario)) continue
      runs++
      const outcome = await simulate(scenario)
      if (outcome.violations.length > 0) console.log(summary(outcome))
      expect(outcome.violations.length, failureReport(outcome, false)).toBe(0)
    }
    console.log(`simulator: ${runs} random seeds, all promises kept`)
  })
})
