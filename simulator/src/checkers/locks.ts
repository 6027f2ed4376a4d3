import type { Checker } from '../evidence.ts'
import type { FaultKind } from '../history.ts'

/** A broker holds its locks in memory: when it starts, members may lock that have not heard of each other (RocketMQ RebalanceLockManager). */
const LOCK_LIVES_MS = 60_000
const FORGETS: ReadonlySet<FaultKind> = new Set(['start'])

/** No two handlers of an orderly group are ever at work on one queue. */
export const locks: Checker = ({ history, orderlyGroups }) =>
  history.overlaps
    .filter(({ group }) => orderlyGroups.includes(group))
    .filter(
      ({ atMs, brokerName }) =>
        !history.faults.some(
          (fault) =>
            FORGETS.has(fault.kind) &&
            fault.node === brokerName &&
            fault.atMs > 0 &&
            fault.atMs <= atMs &&
            atMs - fault.atMs < LOCK_LIVES_MS,
        ),
    )
    .map(({ atMs, group, brokerName, topic, queueId, members, ids }) => ({
      checker: 'locks',
      sentence: `at ${atMs.toFixed(1)} ms ${members[0]} (with ${ids[0]}) and ${members[1]} (with ${ids[1]}) of ${group} were both at work on queue ${queueId} of ${topic} at ${brokerName}`,
      about: [...members, ...ids, brokerName],
    }))
