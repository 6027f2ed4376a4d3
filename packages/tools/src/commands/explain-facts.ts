/** Everything that a cluster knows of one message and one group. */
import type { ReceivedMessage } from '@skylarkmq/client'
import { RocketError } from '@skylarkmq/client'
import { expectSuccess } from '@skylarkmq/remoting'
import type { SubscriptionData } from '@skylarkmq/remoting/protocol'
import {
  GetDeliveryFacts,
  GetMaxOffset,
  GetMinOffset,
  PROPERTY,
  QueryTopicsByConsumer,
  ResponseCode,
  SCHEDULE_TOPIC,
  decodeTopicList,
  dlqTopic,
  retryTopic,
} from '@skylarkmq/remoting/protocol'
import type { CommandContext } from '../types.ts'
import { committedOffset } from './offset-plan.ts'

/** The answer of GET_DELIVERY_FACTS (broker/src/explain); of Apache's brokers what other requests tell. */
export interface Facts {
  readonly nowMs: number
  readonly group: { readonly exists: boolean; readonly consumeEnable: boolean; readonly retryMaxTimes: number }
  readonly members: readonly { readonly clientId: string; readonly address: string }[]
  readonly isBroadcasting: boolean
  readonly queue: { readonly minOffset: number; readonly maxOffset: number }
  readonly committed?: number | undefined
  readonly pinnedStart?: number | undefined
  readonly pendingReset?: number | undefined
  readonly subscription?: { readonly type: string; readonly expression: string; readonly wantsIt: boolean | undefined } | undefined
  readonly deliveries: readonly { readonly atMs: number; readonly clientId: string; readonly address: string }[]
  readonly knownSinceMs?: number | undefined
  readonly acknowledged?: { readonly atMs: number; readonly address: string } | undefined
  readonly lastPull?: { readonly atMs: number; readonly clientId: string; readonly address: string } | undefined
  readonly lock?: { readonly clientId: string; readonly renewedMsAgo: number } | undefined
  readonly pop?: {
    readonly position: number
    readonly cursor: number
    readonly inFlight?: { readonly poppedAtMs: number; readonly visibleInMs: number } | undefined
  }
  /** False: only what Apache's brokers tell. */
  readonly hasJournal: boolean
}

/** Where the message has been on its way, oldest first. */
export interface Trail {
  /** As it was sent; several when it was sent more than once. */
  readonly originals: readonly ReceivedMessage[]
  /** In the group's retry topics, with the number of the attempt. */
  readonly retries: readonly ReceivedMessage[]
  /** Waiting for its next attempt. */
  readonly waiting: readonly ReceivedMessage[]
  readonly dead: readonly ReceivedMessage[]
}

const TIMER_TOPIC = 'rmq_sys_wheel_timer'

export async function findTrail(context: CommandContext, id: string, group: string, topic: string | undefined): Promise<Trail> {
  const named = await byId(context, id, topic)
  const uniqueKey = named?.properties.get(PROPERTY.UNIQ_KEY) ?? id
  const origin = named === undefined ? topic : originOf(named)
  const candidates = origin === undefined ? await topicsOf(context, group) : [origin]
  const found = (await Promise.all(candidates.map((name) => query(context, name, uniqueKey)))).flat()
  const originals = found.length > 0 ? found : named !== undefined && named.stored.topic === origin ? [named] : []
  const first = originals[0]
  const retryTopics = [retryTopic(group)]
  if (first !== undefined) retryTopics.push(`${retryTopic(group)}_${first.stored.topic}`, `${retryTopic(group)}+${first.stored.topic}`)
  const [retries, scheduled, timed, dead] = await Promise.all([
    Promise.all(retryTopics.map((name) => query(context, name, uniqueKey))).then((lists) => lists.flat()),
    query(context, SCHEDULE_TOPIC, uniqueKey),
    query(context, TIMER_TOPIC, uniqueKey),
    query(context, dlqTopic(group), uniqueKey),
  ])
  if (originals.length === 0 && retries.length === 0 && dead.length === 0 && scheduled.length === 0 && timed.length === 0) {
    const where =
      topic ?? (candidates.length > 0 ? `the topics of group ${group} (${candidates.join(', ')})` : `any topic of group ${group}`)
    throw new RocketError(
      `no message with the id ${id} was found in ${where}; name its topic with -t, or see whether it is older than the log`,
      { code: 'QUERY_NOT_FOUND', group },
    )
  }
  return { originals, retries: byTime(retries), waiting: byTime([...scheduled, ...timed]), dead: byTime(dead) }
}

const byTime = (messages: readonly ReceivedMessage[]): ReceivedMessage[] =>
  [...messages].sort((a, b) => a.stored.storeTimestamp - b.stored.storeTimestamp)

/** The topic that it was sent to. */
function originOf({ stored }: ReceivedMessage): string {
  const { topic, properties } = stored
  const real = topic === SCHEDULE_TOPIC || topic === TIMER_TOPIC ? (properties.get(PROPERTY.REAL_TOPIC) ?? topic) : topic
  return properties.get(PROPERTY.RETRY_TOPIC) ?? properties.get('DLQ_ORIGIN_TOPIC') ?? real
}

async function byId({ admin }: CommandContext, id: string, topic: string | undefined): Promise<ReceivedMessage | undefined> {
  if (!/^([0-9A-F]{32}|[0-9A-F]{56})$/i.test(id)) return undefined
  try {
    return await admin.messages.viewById(id, topic)
  } catch {
    // A producer's id has 32 hex digits, too.
    return undefined
  }
}

async function query({ admin }: CommandContext, topic: string, id: string): Promise<readonly ReceivedMessage[]> {
  try {
    return await admin.messages.queryByUniqueKey(topic, id, { from: 0 })
  } catch (error) {
    if (error instanceof RocketError && error.brokerCode === ResponseCode.TOPIC_NOT_EXIST) return []
    throw error
  }
}

/** Topics that the group has consumed or subscribes to. */
async function topicsOf({ admin, client }: CommandContext, group: string): Promise<readonly string[]> {
  const names = new Set<string>()
  for (const broker of (await admin.cluster.brokers()).filter(({ brokerId }) => brokerId === 0)) {
    const answer = await client.core.invoke(broker.address, QueryTopicsByConsumer, { group })
    if (answer.code === 0) for (const name of decodeTopicList(answer.body).topicList) names.add(name)
  }
  for (const name of Object.keys((await subscriptionsOf(admin, group)) ?? {})) names.add(name)
  return [...names].filter((name) => !name.startsWith('%'))
}

async function subscriptionsOf(
  admin: CommandContext['admin'],
  group: string,
): Promise<Readonly<Record<string, SubscriptionData>> | undefined> {
  try {
    return (await admin.groups.connection(group)).subscriptionTable
  } catch {
    return undefined
  }
}

export async function factsOf(context: CommandContext, message: ReceivedMessage, group: string): Promise<Facts> {
  const { topic, queueId, queueOffset, physicalOffset } = message.stored
  const header = { group, topic, queueId, queueOffset, physicalOffset }
  const answer = await context.client.core.invoke(message.brokerName, GetDeliveryFacts, header)
  if (answer.code === ResponseCode.REQUEST_CODE_NOT_SUPPORTED) return standardFacts(context, message, group)
  const body = JSON.parse(Buffer.from(expectSuccess(answer).body).toString()) as Omit<Facts, 'hasJournal'>
  return { ...body, hasJournal: true }
}

async function standardFacts({ client, admin, world }: CommandContext, message: ReceivedMessage, group: string): Promise<Facts> {
  const { topic, queueId } = message.stored
  const { brokerName } = message
  const at = { topic, queueId }
  const [min, max, committed, config, connection] = await Promise.all([
    client.core.invoke(brokerName, GetMinOffset, at).then((answer) => expectSuccess(answer).header().offset),
    client.core.invoke(brokerName, GetMaxOffset, at).then((answer) => expectSuccess(answer).header().offset),
    committedOffset(client, group, { ...at, brokerName }),
    admin.groups.list().then((groups) => groups.find(({ groupName }) => groupName === group)),
    admin.groups.connection(group).catch(() => undefined),
  ])
  const subscription = connection?.subscriptionTable[topic]
  const isTag = subscription === undefined || !subscription.expressionType || subscription.expressionType === 'TAG'
  const tags = subscription?.tagsSet ?? []
  return {
    nowMs: world.runtime.clock.now(),
    group: { exists: config !== undefined, consumeEnable: config?.consumeEnable ?? true, retryMaxTimes: config?.retryMaxTimes ?? 16 },
    members: connection?.connectionSet.map(({ clientId, clientAddr }) => ({ clientId, address: clientAddr })) ?? [],
    isBroadcasting: connection?.messageModel === 'BROADCASTING',
    queue: { minOffset: min, maxOffset: max },
    committed,
    subscription: subscription && {
      type: subscription.expressionType || 'TAG',
      expression: subscription.subString,
      wantsIt: isTag ? tags.length === 0 || tags.includes(message.tags ?? '') : undefined,
    },
    deliveries: [],
    hasJournal: false,
  }
}
