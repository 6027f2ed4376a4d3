import type { ServerConnection } from '@skylarkmq/remoting'
import type { Clock } from '@skylarkmq/runtime'
import type { Settings } from './config.ts'
import type { Reachability } from './guard/reachability.ts'
import type { StalledQueues } from './guard/stalled-queues.ts'
import type { ConsumerGroups } from './groups/consumer-groups.ts'
import type { ProducerGroups } from './groups/producer-groups.ts'
import type { QueueLocks } from './groups/queue-locks.ts'
import type { Compensations } from './groups/subscriptions.ts'
import type { StartPins } from './offsets/start-pins.ts'
import type { HeldPulls } from './pull/held-pulls.ts'
import type { Throughput } from './throughput.ts'

export interface HousekeepingDeps {
  readonly consumers: ConsumerGroups
  readonly producers: ProducerGroups
  readonly heldPulls: HeldPulls
  readonly locks: QueueLocks
  readonly compensations: Compensations
  readonly throughput: Throughput
  readonly clock: Clock
  readonly settings: Settings
  readonly startPins: StartPins
  readonly stalledQueues: StalledQueues
  readonly reachability: Reachability
}

/** How often clients that went silent are looked for (RocketMQ 5.3 `ClientHousekeepingService`). */
export const HOUSEKEEPING_MS = 10_000

/** A connection is gone: so are its memberships and its waiting pulls; the other members of its groups are told. */
export function forgetConnection({ consumers, producers, heldPulls, startPins }: HousekeepingDeps, connection: ServerConnection): void {
  consumers.drop(connection)
  producers.drop(connection)
  heldPulls.drop(connection)
  startPins.drop(connection)
}

/** Closes connections of clients whose heartbeats stopped, and forgets what has expired. */
export function keepHouse(deps: HousekeepingDeps): void {
  const { channelExpiredTimeout, subscriptionExpiredTimeout } = deps.settings.current
  for (const connection of [...deps.consumers.expired(channelExpiredTimeout), ...deps.producers.expired(channelExpiredTimeout)]) {
    forgetConnection(deps, connection)
    connection.close()
  }
  deps.throughput.sample(deps.clock.monotonic())
  deps.locks.sweep()
  deps.compensations.sweep(subscriptionExpiredTimeout)
  void deps.stalledQueues.look()
}
