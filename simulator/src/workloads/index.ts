import type { SeededRandom } from '@skylarkmq/runtime/sim'
import type { Cluster } from '../cluster.ts'
import type { Workload } from '../workload.ts'
import { startCompaction } from './compaction.ts'
import type { Extra } from './extras.ts'
import { startPops } from './pops.ts'
import { startTimers } from './timers.ts'
import { startTransactions } from './transactions.ts'

export interface ExtraParts {
  readonly workload: Workload
  readonly cluster: Cluster
  readonly random: SeededRandom
}

const STARTS: Readonly<Record<Extra, (parts: ExtraParts) => Promise<void>>> = {
  timers: startTimers,
  transactions: startTransactions,
  pops: startPops,
  compaction: startCompaction,
  retention: async () => {},
}

export async function startExtras(
  workload: Workload,
  cluster: Cluster,
  extras: readonly Extra[],
  random: (name: string) => SeededRandom,
): Promise<void> {
  for (const extra of extras) await STARTS[extra]({ workload, cluster, random: random(extra) })
}
