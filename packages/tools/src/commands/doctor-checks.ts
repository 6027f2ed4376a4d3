/** What can be found out about a group from requests that every RocketMQ broker answers: for brokers without GET_GROUP_HEALTH. */
import type { AdminClient } from '@skylarkmq/client'
import { RocketError } from '@skylarkmq/client'
import type { ConsumerConnection } from '@skylarkmq/remoting/protocol'
import { ResponseCode, pairsOf, parseFastjson } from '@skylarkmq/remoting/protocol'
import type { CommandContext } from '../types.ts'

export interface Member {
  readonly clientId: string
  readonly address: string
  readonly language: string
  readonly subscriptions: Readonly<Record<string, string>>
}

export interface Finding {
  readonly kind: string
  readonly sentence: string
  readonly sinceMs?: number
  readonly brokerName?: string
  readonly clientId?: string
  readonly topic?: string
  readonly queueId?: number
}

interface RunningInfo {
  readonly subscriptionSet?: readonly { readonly topic: string; readonly subString: string }[]
  readonly mqTable?: unknown
}

const STALLED_MS = 60_000

export async function checkGroup({ admin, world }: CommandContext, group: string): Promise<{ members: Member[]; findings: Finding[] }> {
  const connectionSet = await connectionsOf(admin, group)
  if (connectionSet.length === 0) return { members: [], findings: [] }
  const findings: Finding[] = []
  const members: Member[] = []
  const lags = new Map((await admin.groups.progress(group)).queues.map((q) => [`${q.topic}/${q.brokerName}/${q.queueId}`, q.diff]))
  const now = world.runtime.clock.now()
  const infos = await Promise.all(
    connectionSet.map(async ({ clientId }) => {
      try {
        return parseFastjson(await admin.groups.runningInfo(group, clientId)) as RunningInfo
      } catch {
        return undefined
      }
    }),
  )
  for (const [i, { clientId, clientAddr, language }] of connectionSet.entries()) {
    const info = infos[i]
    const subscriptions = Object.fromEntries((info?.subscriptionSet ?? []).map((one) => [one.topic, one.subString]))
    members.push({ clientId, address: clientAddr, language, subscriptions })
    if (info === undefined) {
      const sentence = `member ${clientId} at ${clientAddr} does not say what it does: it is old, of a language that cannot, or it hangs`
      findings.push({ kind: 'member-silent', clientId, sentence })
    }
    for (const [key, value] of pairsOf(info?.mqTable)) {
      const queue = key as { readonly topic: string; readonly brokerName: string; readonly queueId: number }
      const quietMs = now - Number((value as { readonly lastPullTimestamp?: number }).lastPullTimestamp ?? now)
      const lag = lags.get(`${queue.topic}/${queue.brokerName}/${queue.queueId}`) ?? 0
      if (quietMs < STALLED_MS || lag <= 0) continue
      const place = `queue ${queue.queueId} of topic ${queue.topic} at ${queue.brokerName}`
      const sentence = `${place} has ${lag} messages; its owner ${clientId} at ${clientAddr} has not pulled it for ${Math.floor(quietMs / 1000)} s`
      findings.push({ kind: 'queue-not-pulled', clientId, ...queue, sentence })
    }
  }
  const told = members.filter((_, i) => infos[i] !== undefined)
  const [first] = told
  const other = first && told.find((member) => textOf(member) !== textOf(first))
  if (first && other) {
    const sentence = `the members subscribe differently: ${first.clientId} has ${textOf(first)}, ${other.clientId} has ${textOf(other)}; give all the same`
    findings.push({ kind: 'subscriptions-differ', clientId: other.clientId, sentence })
  }
  return { members, findings }
}

async function connectionsOf(admin: AdminClient, group: string): Promise<ConsumerConnection['connectionSet']> {
  try {
    return (await admin.groups.connection(group)).connectionSet
  } catch (error) {
    if (error instanceof RocketError && error.brokerCode === ResponseCode.CONSUMER_NOT_ONLINE) return []
    throw error
  }
}

const textOf = ({ subscriptions }: Member): string =>
  Object.entries(subscriptions)
    .map(
      ([topic, expression]) =>
        `${topic}: ${expression
          .split('||')
          .map((tag) => tag.trim())
          .sort()
          .join(' || ')}`,
    )
    .sort()
    .join(', ')
