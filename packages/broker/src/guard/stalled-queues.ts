/**
 * A consumer that stops pulling after a network blip, or whose handler hangs, is silent: its queues just fill. Who owns a queue is
 * decided by the clients, so the broker looks for queues with messages that nobody pulls, and then asks the members which queues they
 * believe to own (GET_CONSUMER_RUNNING_INFO). Of clients that never answer, the last one that pulled counts as owner.
 */
import { GetConsumerRunningInfo, pairsOf, parseFastjson } from '@skylarkmq/remoting/protocol'
import type { ServerConnection } from '@skylarkmq/remoting'
import type { Clock } from '@skylarkmq/runtime'
import type { MessageStore } from '@skylarkmq/store'
import { plain } from '../answers.ts'
import type { Settings } from '../config.ts'
import type { DeliveryJournal } from '../explain/delivery-journal.ts'
import type { ConsumerGroup, ConsumerGroups, ConsumerMember } from '../groups/consumer-groups.ts'
import { LIMITS } from '../limits.ts'
import type { ConsumerOffsets } from '../offsets/consumer-offsets.ts'
import type { TopicConfigs } from '../topics/topic-configs.ts'
import type { Findings } from './findings.ts'

export interface StalledQueuesDeps {
  readonly store: MessageStore
  readonly topics: TopicConfigs
  readonly offsets: ConsumerOffsets
  readonly consumers: ConsumerGroups
  readonly journal: DeliveryJournal
  readonly findings: Findings
  readonly settings: Settings
  readonly clock: Clock
  readonly brokerName: string
}

interface Suspect {
  readonly topic: string
  readonly queueId: number
  readonly lag: number
  readonly quietMs: number
}

/** What a member says of a queue that it owns. */
interface Claim {
  readonly member: ConsumerMember
  readonly cachedMessages: number
}

interface Claims {
  readonly owned: ReadonlyMap<string, Claim>
  /** Everybody has answered, and nobody pops. */
  readonly isComplete: boolean
}

const ASK_TIMEOUT_MS = 5000
const PULL_BY_HAND_FACTOR = 10
const PREFIX = 'stalled/'
const queueKey = (topic: string, queueId: number): string => `${topic}\0${queueId}`

export class StalledQueues {
  readonly #deps: StalledQueuesDeps
  readonly #asking = new Set<string>()
  #isClosed = false

  constructor(deps: StalledQueuesDeps) {
    this.#deps = deps
  }

  /** Runs now and then. Resolves when the members that had to be asked have answered. */
  async look(): Promise<void> {
    const stallMs = this.#deps.settings.current.queueStalledSeconds * 1000
    const keep = new Set<string>()
    const asked: Promise<void>[] = []
    for (const group of this.#deps.consumers.all()) {
      const suspects = stallMs === 0 || group.messageModel === 'BROADCASTING' ? [] : this.#suspects(group, stallMs)
      for (const suspect of suspects) keep.add(keyOf(group.name, suspect))
      const isKnown = suspects.every((suspect) => this.#deps.findings.has(keyOf(group.name, suspect)))
      if (isKnown || this.#asking.has(group.name) || this.#asking.size >= LIMITS.groupsAsked) continue
      this.#asking.add(group.name)
      asked.push(this.#judge(group, suspects).finally(() => this.#asking.delete(group.name)))
    }
    this.#deps.findings.clearOthers(PREFIX, keep)
    await Promise.all(asked)
  }

  close(): void {
    this.#isClosed = true
  }

  /** Queues with messages that nobody has pulled for so long. */
  #suspects(group: ConsumerGroup, stallMs: number): Suspect[] {
    const { store, topics, journal, offsets, clock } = this.#deps
    const now = clock.monotonic()
    // Whoever pulls by hand decides when.
    const limitMs = group.consumeType === 'CONSUME_ACTIVELY' ? stallMs * PULL_BY_HAND_FACTOR : stallMs
    let joinedAt = now
    for (const member of group.members.values()) joinedAt = Math.min(joinedAt, member.joinedAt)
    const suspects: Suspect[] = []
    for (const topic of group.subscriptions.keys()) {
      const queues = topics.get(topic)?.readQueueNums ?? 0
      for (let queueId = 0; queueId < queues; queueId++) {
        const quietMs = now - Math.max(joinedAt, journal.get(group.name, topic, queueId)?.pulledUntil ?? 0)
        if (quietMs < limitMs) continue
        const lag = store.maxOffset(topic, queueId) - (offsets.get(group.name, topic, queueId) ?? store.minOffset(topic, queueId))
        if (lag > 0) suspects.push({ topic, queueId, lag, quietMs })
      }
    }
    return suspects
  }

  async #judge(group: ConsumerGroup, suspects: readonly Suspect[]): Promise<void> {
    const claims = await this.#ask(group)
    if (this.#isClosed) return
    for (const suspect of suspects) {
      const { topic, queueId } = suspect
      const journal = this.#deps.journal.get(group.name, topic, queueId)
      // It was pulled while the members were asked.
      if (journal !== undefined && journal.pulledUntil >= this.#deps.clock.monotonic()) continue
      const claim = claims.owned.get(queueKey(topic, queueId))
      const last = journal?.puller === undefined ? undefined : group.members.get(journal.puller)
      const owner = claim?.member ?? (claims.isComplete ? undefined : last)
      if (owner !== undefined) this.#raise(group.name, suspect, owner, claim?.cachedMessages ?? 0)
      else if (claims.isComplete && group.members.size > 0) this.#raiseUnowned(group, suspect)
    }
  }

  async #ask(group: ConsumerGroup): Promise<Claims> {
    const members = [...group.members.values()].slice(0, LIMITS.membersAsked)
    const owned = new Map<string, Claim>()
    let isComplete = members.length === group.members.size
    await Promise.all(
      members.map(async (member) => {
        const info = await runningInfo(member.connection, group.name, member.clientId)
        if (info === undefined || pairsOf(info.mqPopTable).length > 0) isComplete = false
        for (const [key, value] of pairsOf(info?.mqTable)) {
          const queue = key as { readonly topic?: string; readonly brokerName?: string; readonly queueId?: number }
          if (queue.topic === undefined || queue.queueId === undefined || queue.brokerName !== this.#deps.brokerName) continue
          const { cachedMsgCount } = value as { readonly cachedMsgCount?: number }
          owned.set(queueKey(queue.topic, Number(queue.queueId)), { member, cachedMessages: Number(cachedMsgCount ?? 0) })
        }
      }),
    )
    return { owned, isComplete }
  }

  #raise(group: string, suspect: Suspect, { clientId, connection }: ConsumerMember, cached: number): void {
    const { topic, queueId, lag, quietMs } = suspect
    const why =
      cached > 0
        ? `it holds ${cached} messages that its handler has not finished: see what the handler waits for`
        : 'see whether it is paused or hangs, and restart it'
    this.#deps.findings.raise(keyOf(group, suspect), {
      kind: 'queue-not-pulled',
      group,
      topic,
      queueId,
      clientId,
      address: connection.address,
      sentence:
        `queue ${queueId} of topic ${plain(topic)} has ${lag} messages for group ${plain(group)}; its owner ${plain(clientId)} at ` +
        `${connection.address} has not pulled it for ${Math.floor(quietMs / 1000)} s: ${why}`,
    })
  }

  #raiseUnowned({ name: group, members }: ConsumerGroup, suspect: Suspect): void {
    const { topic, queueId, lag, quietMs } = suspect
    this.#deps.findings.raise(keyOf(group, suspect), {
      kind: 'queue-unowned',
      group,
      topic,
      queueId,
      sentence:
        `queue ${queueId} of topic ${plain(topic)} has ${lag} messages for group ${plain(group)} and none of its ${members.size} members ` +
        `has owned or pulled it for ${Math.floor(quietMs / 1000)} s: see that all of them subscribe to the topic and allocate queues alike`,
    })
  }
}

const keyOf = (group: string, { topic, queueId }: Suspect): string => `${PREFIX}${group}\0${topic}\0${queueId}`

interface RunningInfo {
  readonly mqTable?: unknown
  readonly mqPopTable?: unknown
}

async function runningInfo(connection: ServerConnection, consumerGroup: string, clientId: string): Promise<RunningInfo | undefined> {
  try {
    const header = { consumerGroup, clientId, jstackEnable: false }
    const answer = await connection.invoke(GetConsumerRunningInfo, header, { timeoutMs: ASK_TIMEOUT_MS })
    if (answer.code !== 0) return undefined
    const text = Buffer.from(answer.body.buffer, answer.body.byteOffset, answer.body.length).toString()
    const info = parseFastjson(text)
    return typeof info === 'object' && info !== null ? (info as RunningInfo) : undefined
  } catch {
    return undefined
  }
}
