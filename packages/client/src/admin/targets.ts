import type { ClusterInfo } from '@skylarkmq/remoting/protocol'
import type { ClientCore } from '../core/types.ts'
import { expectSuccess } from '@skylarkmq/remoting'
import { GetBrokerClusterInfo, RocketError, decodeClusterInfo } from '@skylarkmq/remoting/protocol'

/** Which brokers an operation is for. Without any: all masters, if there is one cluster. */
export interface Where {
  /** All masters of this cluster. */
  readonly cluster?: string | undefined
  /** The master of this broker. */
  readonly broker?: string | undefined
  /** This one, `host:port`. */
  readonly address?: string | undefined
}

export interface BrokerTarget {
  readonly cluster: string
  readonly brokerName: string
  readonly brokerId: number
  readonly address: string
}

export interface AdminParts {
  readonly core: ClientCore
  readonly timeoutMs: number
}

const bad = (sentence: string) => new RocketError(sentence, { code: 'BAD_ARGUMENT' })

export async function clusterInfo({ core, timeoutMs }: AdminParts): Promise<ClusterInfo> {
  return decodeClusterInfo(expectSuccess(await core.invokeNamesrv(GetBrokerClusterInfo, {}, { timeoutMs })).body)
}

/** Every broker, replicas included. */
export function brokersOf(info: ClusterInfo): BrokerTarget[] {
  return Object.entries(info.clusterAddrTable)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([cluster, names]) =>
      [...names].sort().flatMap((brokerName) =>
        Object.entries(info.brokerAddrTable[brokerName]?.brokerAddrs ?? {}).map(([id, address]) => ({
          cluster,
          brokerName,
          brokerId: Number(id),
          address,
        })),
      ),
    )
}

export async function mastersAt(parts: AdminParts, where: Where): Promise<readonly BrokerTarget[]> {
  if (where.address !== undefined) return [{ cluster: '', brokerName: '', brokerId: 0, address: where.address }]
  const info = await clusterInfo(parts)
  const masters = brokersOf(info).filter((broker) => broker.brokerId === 0)
  const clusters = Object.keys(info.clusterAddrTable).sort()
  if (where.broker !== undefined) {
    const found = masters.filter((broker) => broker.brokerName === where.broker)
    if (found.length === 0)
      throw bad(`no broker ${where.broker} with a master; there are: ${masters.map((m) => m.brokerName).join(', ') || 'none'}`)
    return found
  }
  if (where.cluster === undefined && clusters.length > 1) {
    throw bad(`there are ${clusters.length} clusters (${clusters.join(', ')}); name the one that you mean`)
  }
  const found = where.cluster === undefined ? masters : masters.filter((broker) => broker.cluster === where.cluster)
  if (found.length > 0) return found
  if (where.cluster !== undefined && !clusters.includes(where.cluster)) {
    throw bad(`no cluster ${where.cluster}; there are: ${clusters.join(', ') || 'none'}`)
  }
  throw new RocketError('no broker with a master is registered at the NameServer; start one, and see that its namesrvAddr is right', {
    code: 'NO_ROUTE',
    retryable: true,
    phase: 'resolve',
  })
}

/** Masters of a topic by its route; where a broker has none, a replica. */
export async function brokersOfTopic({ core, timeoutMs }: AdminParts, topic: string): Promise<readonly BrokerTarget[]> {
  const route = await core.route(topic, { refresh: true, timeoutMs })
  return route.brokerDatas.flatMap((broker) => {
    const ids = Object.keys(broker.brokerAddrs)
      .map(Number)
      .sort((a, b) => a - b)
    const brokerId = ids[0]
    if (brokerId === undefined) return []
    return [{ cluster: broker.cluster, brokerName: broker.brokerName, brokerId, address: broker.brokerAddrs[String(brokerId)] as string }]
  })
}

/** The task at each, all at once. If any fails: one error that says what failed where and what was done elsewhere. */
export async function atEach<B extends { readonly address: string }, T>(
  what: string,
  targets: readonly B[],
  task: (target: B) => Promise<T>,
): Promise<readonly T[]> {
  const outcomes = await Promise.allSettled(targets.map(task))
  const failures = outcomes.flatMap((outcome, i) =>
    outcome.status === 'rejected' ? [{ address: (targets[i] as B).address, error: outcome.reason as unknown }] : [],
  )
  const first = failures[0]
  if (!first) return outcomes.map((outcome) => (outcome as PromiseFulfilledResult<T>).value)
  if (targets.length === 1) throw first.error
  const known = first.error instanceof RocketError ? first.error : undefined
  const sentence = failures.map((f) => `${f.address}: ${f.error instanceof Error ? f.error.message : String(f.error)}`).join('; ')
  throw new RocketError(`${what} failed at ${failures.length} of ${targets.length}: ${sentence}`, {
    code: known?.code ?? 'SYSTEM_ERROR',
    brokerCode: known?.brokerCode,
    retryable: known?.retryable,
    address: first.address,
    phase: known?.phase,
    cause:
      failures.length === 1
        ? first.error
        : new AggregateError(
            failures.map((f) => f.error),
            sentence,
          ),
  })
}
