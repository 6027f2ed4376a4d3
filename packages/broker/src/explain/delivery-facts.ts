/** What this broker knows of one message and one group. The verdict is the asker's: it also looks at retry and dead-letter topics. */
import { decodeRecord, encodeJson } from '@skylarkmq/remoting/protocol'
import type { GetDeliveryFacts, RequestOf, StoredMessage } from '@skylarkmq/remoting/protocol'
import type { Reply } from '@skylarkmq/remoting'
import type { Clock } from '@skylarkmq/runtime'
import type { MessageStore } from '@skylarkmq/store'
import { topicMissing } from '../answers.ts'
import { LIMITS } from '../limits.ts'
import type { ConsumerGroup, ConsumerGroups } from '../groups/consumer-groups.ts'
import type { GroupConfigs } from '../groups/group-configs.ts'
import type { QueueLocks } from '../groups/queue-locks.ts'
import { isTagExpression } from '../groups/subscriptions.ts'
import type { ConsumerOffsets } from '../offsets/consumer-offsets.ts'
import type { StartPins } from '../offsets/start-pins.ts'
import type { InFlightTable } from '../pop/in-flight-table.ts'
import type { TopicConfigs } from '../topics/topic-configs.ts'
import type { Commit, DeliveryJournal, QueueJournal } from './delivery-journal.ts'

export interface FactsDeps {
  readonly store: MessageStore
  readonly topics: TopicConfigs
  readonly groupConfigs: GroupConfigs
  readonly consumers: ConsumerGroups
  readonly offsets: ConsumerOffsets
  readonly startPins: StartPins
  readonly locks: QueueLocks
  readonly journal: DeliveryJournal
  readonly pop: { readonly table: InFlightTable }
  readonly clock: Clock
  readonly brokerName: string
}

/** The body of GET_DELIVERY_FACTS. What is absent is not known or does not apply. */
export interface DeliveryFacts {
  readonly nowMs: number
  readonly group: { readonly exists: boolean; readonly consumeEnable: boolean; readonly retryMaxTimes: number }
  readonly members: readonly { readonly clientId: string; readonly address: string }[]
  readonly isBroadcasting: boolean
  readonly queue: { readonly minOffset: number; readonly maxOffset: number }
  readonly committed: number | undefined
  readonly pinnedStart: number | undefined
  readonly pendingReset: number | undefined
  readonly subscription: { readonly type: string; readonly expression: string; readonly wantsIt: boolean } | undefined
  /** Answers that had the message in them. */
  readonly deliveries: readonly { readonly atMs: number; readonly clientId: string; readonly address: string }[]
  /** Deliveries and acknowledgements before this time are forgotten. */
  readonly knownSinceMs: number | undefined
  /** The first commit that covers the message. Without an address: an operator's reset. */
  readonly acknowledged: { readonly atMs: number; readonly address: string } | undefined
  readonly lastPull: { readonly atMs: number; readonly clientId: string; readonly address: string } | undefined
  readonly lock: { readonly clientId: string; readonly renewedMsAgo: number } | undefined
  /** Of a group that pops. */
  readonly pop:
    | {
        readonly position: number
        readonly cursor: number
        readonly inFlight: { readonly poppedAtMs: number; readonly visibleInMs: number } | undefined
      }
    | undefined
}

export function getDeliveryFacts(deps: FactsDeps) {
  return (header: RequestOf<typeof GetDeliveryFacts>): Reply<never> => {
    if (deps.topics.get(header.topic) === undefined) return topicMissing(header.topic)
    return { code: 0, body: encodeJson(factsOf(deps, header)) }
  }
}

function factsOf(deps: FactsDeps, header: RequestOf<typeof GetDeliveryFacts>): DeliveryFacts {
  const { group: name, topic, queueId, queueOffset } = header
  const { store, offsets, consumers, clock } = deps
  const config = deps.groupConfigs.get(name)
  const group = consumers.get(name)
  const journal = deps.journal.get(name, topic, queueId)
  const committed = offsets.get(name, topic, queueId)
  const subscription = subscriptionFact(store, group, topic, header.physicalOffset)
  // An answer's range has gaps where the filter left messages out.
  const deliveries = subscription?.wantsIt === false ? [] : (journal?.deliveries ?? [])
  return {
    nowMs: clock.now(),
    group: { exists: config !== undefined, consumeEnable: config?.consumeEnable ?? true, retryMaxTimes: config?.retryMaxTimes ?? 16 },
    members: [...(group?.members.values() ?? [])].map(({ clientId, connection }) => ({ clientId, address: connection.address })),
    isBroadcasting: group?.messageModel === 'BROADCASTING',
    queue: { minOffset: store.minOffset(topic, queueId), maxOffset: store.maxOffset(topic, queueId) },
    committed,
    pinnedStart: deps.startPins.pinned(name, topic, queueId),
    pendingReset: offsets.pendingReset(name, topic, queueId),
    subscription,
    deliveries: deliveries
      .filter(({ from, to }) => from <= queueOffset && queueOffset < to)
      .map(({ atMs, clientId, address }) => ({ atMs, clientId, address })),
    knownSinceMs: journal && knownSince(journal),
    acknowledged: committed !== undefined && committed > queueOffset ? acknowledgement(journal?.commits ?? [], queueOffset) : undefined,
    lastPull: journal?.puller && {
      atMs: Math.round(clock.now() - (clock.monotonic() - journal.pulledAt)),
      address: journal.puller.address,
      clientId: group?.members.get(journal.puller)?.clientId ?? '',
    },
    lock: deps.locks.holder(name, { topic, brokerName: deps.brokerName, queueId }),
    pop: popFact(deps, header),
  }
}

/** Before it some of what happened may have been pushed out. */
function knownSince({ beginMs, deliveries, commits }: QueueJournal): number {
  const isFull = (entries: readonly { readonly atMs: number }[]) => entries.length >= LIMITS.journalEntriesPerQueue
  return Math.max(beginMs, isFull(deliveries) ? (deliveries[0]?.atMs ?? 0) : 0, isFull(commits) ? (commits[0]?.atMs ?? 0) : 0)
}

/** The commit since which everything up to the message has stayed acknowledged. */
function acknowledgement(commits: readonly Commit[], queueOffset: number): Commit | undefined {
  let found: Commit | undefined
  for (const commit of commits) {
    if (commit.offset <= queueOffset) found = undefined
    else found ??= commit
  }
  return found
}

function subscriptionFact(
  store: MessageStore,
  group: ConsumerGroup | undefined,
  topic: string,
  physicalOffset: number | undefined,
): DeliveryFacts['subscription'] {
  const subscription = group?.subscriptions.get(topic)
  if (subscription === undefined) return undefined
  const { expressionType, subString, tagsSet } = subscription.data
  const record = physicalOffset === undefined ? undefined : store.readRecordAt(physicalOffset)
  const message: StoredMessage | undefined = record === undefined ? undefined : decodeRecord(record, 0)
  const isTag = isTagExpression(expressionType)
  const tag = message?.properties.get('TAGS') ?? ''
  const wantsIt =
    record === undefined ||
    (isTag
      ? subscription.filter === undefined || tagsSet.length === 0 || tagsSet.includes(tag)
      : (subscription.sql?.record(record) ?? true))
  return { type: isTag ? 'TAG' : expressionType, expression: subString, wantsIt }
}

function popFact({ pop, clock }: FactsDeps, header: RequestOf<typeof GetDeliveryFacts>): DeliveryFacts['pop'] {
  const queue = pop.table.state.find(header.group, header.topic, header.queueId)
  if (queue === undefined) return undefined
  const entry = queue.entries.get(header.queueOffset)
  const inFlight = entry && { poppedAtMs: entry.popTime, visibleInMs: Math.max(0, Math.round(entry.dueAt - clock.monotonic())) }
  return { position: queue.position, cursor: queue.cursor, inFlight }
}
