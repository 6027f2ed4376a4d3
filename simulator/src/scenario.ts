import { seededRandom } from '@skylarkmq/runtime/sim'
import type { LinkOptions } from '@skylarkmq/runtime/sim'
import type { ClusterPlan, Plants } from './cluster.ts'
import type { FaultWeights } from './faults.ts'
import type { WorkloadPlan } from './workload.ts'
import { EXTRAS } from './workloads/extras.ts'
import type { Extra } from './workloads/extras.ts'

/** All that a seed decides before anything happens. */
export interface Scenario {
  readonly name: string
  readonly cluster: ClusterPlan
  readonly workload: WorkloadPlan
  readonly faults: FaultWeights
  /** Mean pause between two faults. */
  readonly faultPauseMs: number
  /** Virtual time under faults. */
  readonly troubleMs: number
  readonly link: Partial<LinkOptions>
}

/** What goes wrong in one kind of run. Few kinds of fault at a time go deeper than all at once; `everything` mixes them nevertheless. */
const PROFILES: Readonly<Record<string, FaultWeights>> = {
  calm: { consumer: 1 },
  crashes: { 'power-loss': 4, kill: 3, consumer: 1 },
  network: { partition: 3, stall: 3, cut: 3, namesrv: 1, consumer: 1 },
  disks: { 'slow-disk': 2, 'full-disk': 2, 'sync-error': 3, 'power-loss': 2, kill: 1 },
  rot: { 'bit-flip': 4, kill: 2, 'power-loss': 1 },
  clocks: { 'clock-jump': 4, kill: 1, consumer: 1 },
  everything: {
    'power-loss': 2,
    kill: 2,
    partition: 1,
    stall: 2,
    cut: 2,
    'slow-disk': 1,
    'full-disk': 1,
    'sync-error': 1,
    'clock-jump': 1,
    namesrv: 1,
    consumer: 2,
  },
}

const NAMES = Object.keys(PROFILES)

export interface ScenarioOptions {
  /** One of the profiles; by default the seed picks it. */
  readonly profile?: string
  /** What goes on beside sending and consuming; by default the seed picks it. */
  readonly extras?: readonly Extra[]
  readonly plants?: Plants
}

/** Drawn by themselves: what a seed decides otherwise stays as it is. */
function extrasOf(seed: number): Extra[] {
  const random = seededRandom(seed).fork('extras')
  return EXTRAS.filter(() => random.chance(0.35))
}

export function scenarioOf(seed: number, { profile, extras: given, plants }: ScenarioOptions = {}): Scenario {
  const random = seededRandom(seed).fork('scenario')
  const drawn = random.pick(NAMES)
  const name = profile ?? drawn
  const faults = PROFILES[name]
  if (faults === undefined) throw new Error(`there is no profile '${name}'; there are ${NAMES.join(', ')}`)
  const extras = given ?? extrasOf(seed)
  return {
    name,
    cluster: {
      seed,
      namesrvs: 1 + random.integer(2),
      brokers: 1 + random.integer(3),
      flush: random.chance(0.6) ? 'sync' : 'async',
      segmentBytes: random.pick([32, 64, 256]) * 1024,
      ...(extras.includes('retention') ? { retentionBytes: 320 * 1024 } : {}),
      ...(plants === undefined ? {} : { plants }),
    },
    workload: {
      producers: 1 + random.integer(3),
      membersPerGroup: 1 + random.integer(3),
      pauseMs: random.pick([100, 300, 1000]),
      hasAdmin: random.chance(0.5),
      extras,
    },
    faults,
    faultPauseMs: random.pick([800, 2000, 5000]),
    troubleMs: random.pick([15_000, 30_000, 60_000]),
    link: random.pick([
      {},
      { delayMs: { min: 0.1, max: 30 } },
      { delayMs: { min: 1, max: 5 }, chunks: 'seeded' },
    ] satisfies Partial<LinkOptions>[]),
  }
}
