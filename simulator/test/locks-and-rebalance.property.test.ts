import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { failureReport } from '../src/report.ts'
import type { Trouble } from '../src/run.ts'
import { simulate } from '../src/run.ts'
import { scenarioOf } from '../src/scenario.ts'
import { GROUPS } from '../src/workload.ts'

/** Something that happens to a group of consumers. `who` counts its members, round and round. */
type Step =
  | { readonly kind: 'join' }
  | { readonly kind: 'leave' | 'kill' | 'cut'; readonly who: number }
  | { readonly kind: 'part'; readonly who: number; readonly oneWay: boolean }
  | { readonly kind: 'heal' }
  | { readonly kind: 'jump'; readonly who: number; readonly ms: number }
  | { readonly kind: 'restart broker' }
  | { readonly kind: 'wait'; readonly ms: number }

const who = fc.nat(7)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.oneof(fc.nat(300), fc.nat(5000), fc.nat(90_000)) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('join' as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('leave' as const, 'kill' as const, 'cut' as const), who }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('part' as const), who, oneWay: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('heal' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('jump' as const), who, ms: fc.integer({ min: -3_600_000, max: 3_600_000 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart broker' as const) }) },
)

const MEMBERS_MAX = 6

const troubleOf =
  (steps: readonly Step[]): Trouble =>
  async ({ cluster, workload }) => {
    const { world, history } = cluster
    const broker = 'broker-a'
    const isLast = (name: string): boolean => {
      const group = workload.members.get(name)?.group
      return [...workload.members.values()].filter((member) => member.group === group).length < 2
    }
    for (const what of steps) {
      const names = [...workload.members.keys()]
      const name = 'who' in what ? (names[what.who % names.length] as string) : ''
      if (what.kind === 'wait') await world.run(what.ms)
      else if (what.kind === 'join') {
        if (names.length < MEMBERS_MAX) await workload.join(GROUPS[names.length % GROUPS.length] as (typeof GROUPS)[number])
      } else if (what.kind === 'leave') {
        if (!isLast(name)) await workload.leave(name)
      } else if (what.kind === 'kill') {
        if (!isLast(name)) workload.killMember(name)
      } else if (what.kind === 'cut') {
        world.cut(name, broker)
        history.fault('cut', broker, `from ${name}`)
      } else if (what.kind === 'part') {
        world.partition([name], [broker], { oneWay: what.oneWay })
        history.fault('partition', name, broker)
      } else if (what.kind === 'heal') {
        world.heal()
        history.fault('heal', 'network')
      } else if (what.kind === 'jump') {
        world.node(name).clock.jump(what.ms)
        world.node(broker).clock.jump(-what.ms)
        history.fault('clock-jump', name, `${what.ms} ms`)
      } else {
        cluster.endBroker(broker, 'kill')
        await world.run(500)
        cluster.startBroker(broker)
        await world.when(() => cluster.isWhole)
      }
    }
    world.heal()
    history.fault('heal', 'network')
  }

describe('queue locks and rebalance', { timeout: 600_000 }, () => {
  it('members come, go, die and are cut off: never two at work on an orderly queue, and at rest each queue has one owner', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(2 ** 31),
        fc.integer({ min: 1, max: 3 }),
        fc.array(step, { minLength: 1, maxLength: 12 }),
        async (seed, membersPerGroup, steps) => {
          const { cluster, ...scenario } = scenarioOf(seed, { profile: 'calm' })
          const outcome = await simulate(
            {
              ...scenario,
              cluster: { ...cluster, brokers: 1, namesrvs: 1, flush: 'sync' },
              workload: { producers: 1, membersPerGroup, pauseMs: 400, hasAdmin: false },
            },
            troubleOf(steps),
          )
          expect(outcome.violations.length, failureReport(outcome, true)).toBe(0)
        },
      ),
      { numRuns: 10 },
    )
  })
})
