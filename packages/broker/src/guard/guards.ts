import type { Log } from '@skylarkmq/runtime'
import type { MetadataStore } from '@skylarkmq/store'
import { StartPins } from '../offsets/start-pins.ts'
import { Findings } from './findings.ts'
import { Reachability } from './reachability.ts'
import { StalledQueues } from './stalled-queues.ts'
import type { StalledQueuesDeps } from './stalled-queues.ts'
import { SubscriptionGuard } from './subscription-guard.ts'

export type GuardDeps = Omit<StalledQueuesDeps, 'findings'> & { readonly log: Log; readonly metadata: MetadataStore }

/** What keeps consumers from harm that they would not notice. */
export function makeGuards(deps: GuardDeps) {
  const findings = new Findings(deps.clock, deps.log)
  const own = { ...deps, findings }
  return {
    findings,
    startPins: new StartPins(own),
    subscriptionGuard: new SubscriptionGuard(own),
    reachability: new Reachability(own),
    stalledQueues: new StalledQueues(own),
  }
}
