import { failureReport, summary } from './report.ts'
import type { Outcome } from './run.ts'
import { simulate } from './run.ts'
import { scenarioOf } from './scenario.ts'

export const USAGE = `npm run simulate -- [--seed N] [--runs K | --minutes M] [--profile NAME] [--keep-going] [--plain] [--log]

  --seed N       the first run's seed; the runs after it have N + 1, N + 2, … By default one that the clock gives.
  --runs K       that many runs (1)
  --minutes M    runs until M minutes are over
  --profile NAME only this kind of trouble: calm, crashes, network, disks, rot, clocks, everything. By default the seed picks it.
  --keep-going   go on after a failure
  --plain        sending and consuming alone, nothing beside
  --log          print every line that the servers and clients logged
`

export interface Wish {
  readonly seed: number | undefined
  readonly runs: number
  readonly minutes: number | undefined
  readonly profile: string | undefined
  readonly keepsGoing: boolean
  readonly isPlain: boolean
  readonly isLogged: boolean
}

/** What stands on the command line; a sentence when it is wrong. */
export function parseArguments(args: readonly string[]): Wish | string {
  let wish: Wish = { seed: undefined, runs: 1, minutes: undefined, profile: undefined, keepsGoing: false, isPlain: false, isLogged: false }
  for (let i = 0; i < args.length; i++) {
    const name = args[i] as string
    if (name === '--log') {
      wish = { ...wish, isLogged: true }
      continue
    }
    if (name === '--plain') {
      wish = { ...wish, isPlain: true }
      continue
    }
    if (name === '--keep-going') {
      wish = { ...wish, keepsGoing: true }
      continue
    }
    const value = args[++i]
    if (!['--seed', '--runs', '--minutes', '--profile'].includes(name)) return `there is no option ${name}`
    if (value === undefined) return `${name} needs a value`
    if (name === '--profile') wish = { ...wish, profile: value }
    else {
      const number = Number(value)
      if (!(number >= 0) || (name !== '--minutes' && !Number.isSafeInteger(number))) return `${name} ${value} is no such number`
      wish = { ...wish, [name.slice(2)]: number }
    }
  }
  return wish
}

export interface Outside {
  readonly nowMs: () => number
  readonly print: (text: string) => void
}

/** Runs seed after seed; the first failure ends it, unless it is to go on. Says whether all promises were kept. */
export async function simulateMany(wish: Wish, { nowMs, print }: Outside): Promise<boolean> {
  const first = wish.seed ?? nowMs() % 2 ** 31
  const endMs = wish.minutes === undefined ? undefined : nowMs() + wish.minutes * 60_000
  let areKept = true
  for (let i = 0; endMs === undefined ? i < wish.runs : nowMs() < endMs; i++) {
    const outcome: Outcome = await simulate(
      scenarioOf(first + i, {
        ...(wish.profile === undefined ? {} : { profile: wish.profile }),
        ...(wish.isPlain ? { extras: [] } : {}),
      }),
    )
    if (wish.isLogged) print(outcome.log())
    if (outcome.violations.length > 0) {
      print(failureReport(outcome, wish.profile !== undefined))
      areKept = false
      if (!wish.keepsGoing) break
    } else print(summary(outcome))
  }
  return areKept
}
