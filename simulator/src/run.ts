import { seededRandom } from '@skylarkmq/runtime/sim'
import { CHECKERS } from './checkers/index.ts'
import { rebalance } from './checkers/rebalance.ts'
import { unfinishedJobs } from './checkers/pops.ts'
import { startExtras } from './workloads/index.ts'
import { FAR_MS } from './workloads/timers.ts'
import { unfinished } from './checkers/every-message-ends.ts'
import { Cluster } from './cluster.ts'
import { readStores } from './evidence.ts'
import type { Evidence, Ownership, Violation } from './evidence.ts'
import { excuseForLeavingOut } from './excuses.ts'
import { Faults } from './faults.ts'
import type { History } from './history.ts'
import type { Scenario } from './scenario.ts'
import { compareViews } from './views.ts'
import { GROUPS, isOrderly, QUEUES, TOPICS, Workload } from './workload.ts'

export interface Outcome {
  readonly scenario: Scenario
  readonly violations: readonly Violation[]
  readonly history: History
  /** Equal in two runs only when the same things happened at the same times, inside and outside. */
  readonly hash: string
  readonly virtualMs: number
  readonly log: () => string
}

/** After the last repair: how long the cluster may take to come to rest. Retries alone take their delay levels' time. */
const REST_LIMIT_MS = 400_000
const LOOK_EVERY_MS = 5000
/**
 * After the last repair: how long members may take to share the queues. A broker forgets a silent client after 120 s, the lock of a dead
 * one after 60 s, and members look every 20 s.
 */
const REBALANCE_LIMIT_MS = 240_000

/** What makes a run what it is, between the start and the last repair. */
export type Trouble = (parts: { readonly cluster: Cluster; readonly workload: Workload; readonly faults: Faults }) => Promise<void>

/** One run from start to judgement. The trouble is the one that the scenario draws, or one that a test writes. */
export async function simulate(scenario: Scenario, trouble?: Trouble): Promise<Outcome> {
  const cluster = new Cluster(scenario.cluster)
  const { world, history } = cluster
  const random = seededRandom(scenario.cluster.seed).fork('actions')
  world.setLink(scenario.link)
  const workload = new Workload(cluster, scenario.workload, random.fork('workload'))
  const faults = new Faults(cluster, workload, scenario.faults, random.fork('faults'))
  const stuck: string[] = []
  try {
    await cluster.start()
    await workload.start()
    await startExtras(workload, cluster, scenario.workload.extras ?? [], (name) => random.fork(name))
    if (trouble !== undefined) await trouble({ cluster, workload, faults })
    else {
      const endMs = world.nowMs + scenario.troubleMs
      while (world.nowMs < endMs) {
        await world.run(random.integer(2 * scenario.faultPauseMs))
        await faults.next()
      }
    }
    workload.end()
    faults.repairAll()
    await rest(cluster, workload, scenario.workload.extras?.includes('timers') ?? false, stuck)
  } catch (error) {
    stuck.push(`everything stopped: ${error instanceof Error ? error.message : String(error)}`)
  }
  const stored = await readStores(cluster)
  const shares = atRest(cluster, workload)
  const logs = logsOf(cluster)
  const viewDifferences = await allViews(cluster, stuck)
  const evidence: Evidence = {
    plan: scenario.cluster,
    history,
    stored,
    ...shares,
    groups: GROUPS,
    topics: TOPICS,
    orderlyGroups: GROUPS.filter(isOrderly),
    logs,
    viewDifferences,
    stuck,
  }
  return {
    scenario,
    violations: CHECKERS.flatMap((check) => check(evidence)),
    history,
    hash: hex(world.fingerprint) + hex(history.fingerprint),
    virtualMs: world.nowMs,
    log: () => world.report(),
  }
}

/** Waits until every server is up, every call over, every message consumed, and the queues have their owners. */
async function rest(cluster: Cluster, workload: Workload, hasTimers: boolean, stuck: string[]): Promise<void> {
  const { world, history } = cluster
  const limitMs = world.nowMs + REST_LIMIT_MS
  const healedMs = world.nowMs
  let left: string[] = []
  let areDaysOver = false
  while (world.nowMs < limitMs) {
    await world.run(LOOK_EVERY_MS)
    left = whatIsLeft(cluster, workload)
    if (left.length > 0) continue
    if (!areDaysOver && hasTimers) {
      areDaysOver = true
      skipDays(cluster)
      continue
    }
    const stored = await readStores(cluster)
    const evidence = { history, stored, groups: GROUPS, topics: TOPICS, plan: cluster.plan }
    if ([...unfinished(evidence)].some(({ id, group }) => excuseForLeavingOut(evidence, id, group) === undefined)) continue
    if ([...unfinishedJobs(evidence)].length > 0) continue
    const isShared = rebalance({ ...atRest(cluster, workload), groups: GROUPS }).length === 0
    if (isShared || world.nowMs > healedMs + REBALANCE_LIMIT_MS) return
  }
  stuck.push(...left)
}

function whatIsLeft(cluster: Cluster, workload: Workload): string[] {
  const left: string[] = []
  for (const { name, broker, lastError } of cluster.brokers.values()) {
    if (broker === undefined) left.push(`${name} did not come up again: ${lastError ?? 'its start never ended'}`)
  }
  if (!workload.isQuiet) left.push('producers wait for calls that never end')
  return left
}

const ownersAt = (workload: Workload): Ownership[] =>
  [...workload.members.values()].flatMap(({ name, group, consumer }) =>
    consumer.queues.map(({ topic, brokerName, queueId }) => ({ group, member: name, topic, brokerName, queueId })),
  )

const atRest = (cluster: Cluster, workload: Workload): Pick<Evidence, 'owners' | 'queues' | 'members'> => ({
  owners: ownersAt(workload),
  queues: allQueues(cluster),
  members: [...workload.members.values()].map(({ name, group }) => ({ name, group })),
})

const allQueues = (cluster: Cluster): Evidence['queues'] =>
  [...cluster.brokers.keys()].flatMap((brokerName) =>
    TOPICS.flatMap((topic) => Array.from({ length: QUEUES }, (_, queueId) => ({ brokerName, topic, queueId }))),
  )

async function allViews(cluster: Cluster, stuck: string[]): Promise<string[]> {
  const all: string[] = []
  for (const { name, broker } of cluster.brokers.values()) {
    if (broker === undefined) continue
    try {
      all.push(...(await compareViews(cluster, name)))
    } catch (error) {
      stuck.push(`${name} could not be stopped and opened again: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
  return all
}

const logsOf = (cluster: Cluster): Evidence['logs'] =>
  new Map(
    [...cluster.brokers.values()].map(({ name, broker }) => [
      name,
      { from: broker?.store.minPhysicalOffset ?? 0, to: broker?.store.maxPhysicalOffset ?? 0 },
    ]),
  )

/** Whatever waits for a far day is due now. */
function skipDays(cluster: Cluster): void {
  for (const name of cluster.brokers.keys()) {
    cluster.world.node(name).clock.jump(FAR_MS)
    cluster.history.fault('clock-jump', name, `${FAR_MS} ms`)
  }
}

const hex = (value: number): string => value.toString(16).padStart(8, '0')
