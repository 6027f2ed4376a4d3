import { describe, expect, it } from 'vitest'
import { parseArguments, simulateMany } from '../src/command-line.ts'
import { failureReport } from '../src/report.ts'
import { simulate } from '../src/run.ts'
import { scenarioOf } from '../src/scenario.ts'

describe('a seed', { timeout: 300_000 }, () => {
  it('is the whole run: the same seed gives the same history, another seed another one', async () => {
    const scenario = scenarioOf(4, { profile: 'everything' })
    const [first, again, other] = [
      await simulate(scenario),
      await simulate(scenario),
      await simulate(scenarioOf(5, { profile: 'everything' })),
    ]
    expect(again.hash).toBe(first.hash)
    expect(again.history.lines).toEqual(first.history.lines)
    expect(other.hash).not.toBe(first.hash)
  })

  it('is what a failure report ends with, after the story of what went wrong', async () => {
    const plants = { received: (body: Uint8Array, queueOffset: number) => (queueOffset === 3 ? body.slice(0, -1) : body) }
    const scenario = scenarioOf(11, { profile: 'calm', plants })
    const outcome = await simulate({ ...scenario, cluster: { ...scenario.cluster, brokers: 1 }, troubleMs: 5000 })
    const text = failureReport(outcome, true)
    expect(text).toMatch(/\[payload-unaltered\] consumer-\d+ received producer-\d+-\d+, and it is not as it was sent/)
    expect(text).toMatch(/ s {2}producer-\d+-\d+ is sent to /)
    expect(text.split('\n').at(-1)).toBe('  npm run simulate -- --seed 11 --profile calm')
  })
})

describe('the command line', { timeout: 300_000 }, () => {
  it('takes a seed and how many runs, and says what it does not know', () => {
    expect(parseArguments(['--seed', '5', '--minutes', '0.5', '--keep-going'])).toEqual({
      seed: 5,
      runs: 1,
      minutes: 0.5,
      profile: undefined,
      keepsGoing: true,
      isPlain: false,
      isLogged: false,
    })
    expect(parseArguments(['--sed', '5'])).toBe('there is no option --sed')
    expect(parseArguments(['--seed'])).toBe('--seed needs a value')
    expect(parseArguments(['--seed', '-1'])).toBe('--seed -1 is no such number')
  })

  it('prints a line a run', async () => {
    const printed: string[] = []
    const wish = { seed: 4, runs: 2, minutes: undefined, profile: 'calm', keepsGoing: false, isPlain: false, isLogged: false }
    expect(await simulateMany(wish, { nowMs: () => 0, print: (text) => printed.push(text) })).toBe(true)
    expect(printed.map((line) => line.split(':')[0])).toEqual(['seed 4', 'seed 5'])
  })
})
