/**
 * Where a new group begins, decided when it first shows itself. Apache lets each client ask for the end of a queue whenever its
 * rebalance comes to it: what was sent between its start and that moment is skipped. Here the group's first heartbeat pins the place,
 * and it stays pinned over restarts until something is committed.
 */
import { RETRY_PREFIX } from '@skylarkmq/remoting/protocol'
import type { ConsumerData, ConsumeFromWhere } from '@skylarkmq/remoting/protocol'
import type { ServerConnection } from '@skylarkmq/remoting'
import type { Clock } from '@skylarkmq/runtime'
import type { MessageStore, MetadataStore } from '@skylarkmq/store'
import { LIMITS } from '../limits.ts'
import type { TopicConfigs } from '../topics/topic-configs.ts'
import type { Clamped, ConsumerOffsets } from './consumer-offsets.ts'

const KEY_PREFIX = 'startOffsets/'

/** Queue → first offset to consume. A queue that is not in it came after the group did: it begins at 0. 'client': the client looks by time. */
type Pins = ReadonlyMap<number, number> | 'client'

/** What of a topic's queues a broadcasting member is told when it asks for their ends for the first time. */
interface MemberPins {
  readonly until: number
  readonly queues: Map<string, number>
}

/** A broadcasting member asks for the end of its queues within this time, or not because of its start. */
const MEMBER_PINS_MS = 60_000

export interface StartPinsDeps {
  readonly store: MessageStore
  readonly metadata: MetadataStore
  readonly clock: Clock
  readonly topics: TopicConfigs
  readonly offsets: ConsumerOffsets
}

export class StartPins {
  readonly #groups = new Map<string, Map<string, Pins>>()
  readonly #members = new Map<ServerConnection, MemberPins>()
  readonly #deps: StartPinsDeps
  #size = 0
  #isFlushPlanned = false

  constructor(deps: StartPinsDeps) {
    this.#deps = deps
    for (const [key, text] of deps.metadata.entries('kv')) {
      if (!key.startsWith(KEY_PREFIX)) continue
      const split = key.indexOf('@')
      this.#remember(key.slice(split + 1), key.slice(KEY_PREFIX.length, split), parsePins(text))
    }
    deps.topics.onChange((topic, config) => {
      if (config === undefined) this.#deleteTopic(topic)
    })
  }

  /** As `ConsumerOffsets.clampTo`: a place behind the end would pass over what gets the offsets that a loss of power has freed. */
  clampTo(endOf: (topic: string, queueId: number) => number): Clamped[] {
    const clamped: Clamped[] = []
    for (const [group, topics] of this.#groups) {
      for (const [topic, pins] of topics) {
        if (pins === 'client') continue
        const behind = [...pins].filter(([queueId, offset]) => offset > endOf(topic, queueId))
        if (behind.length === 0) continue
        const ends = behind.map(([queueId, offset]) => ({ group, topic, queueId, offset, end: endOf(topic, queueId) }))
        topics.set(topic, new Map([...pins, ...ends.map(({ queueId, end }): [number, number] => [queueId, end])]))
        this.#save(group, topic)
        clamped.push(...ends)
      }
    }
    return clamped
  }

  /** A consumer's part of a heartbeat. Only the group's first for a topic counts. */
  heartbeat(connection: ServerConnection, clientId: string, data: ConsumerData): void {
    if (data.messageModel === 'BROADCASTING') {
      this.#pinMember(connection, data)
      return
    }
    if (decidesItself(connection, clientId, data)) return
    const known = this.#groups.get(data.groupName)
    for (const { topic } of data.subscriptionDataSet) {
      if (known?.has(topic) || this.#size >= LIMITS.startPins) continue
      this.#remember(data.groupName, topic, this.#pinsOf(data, topic))
      this.#save(data.groupName, topic)
    }
  }

  /** Where the group was told to begin in a queue; undefined when it was not, or its client knows. */
  get(group: string, topic: string, queueId: number): number | undefined {
    const pins = this.#groups.get(group)?.get(topic)
    if (pins === undefined || pins === 'client') return undefined
    // Apache's older clients rest for ten seconds when they are sent elsewhere: the place is never before the queue's beginning.
    return Math.max(pins.get(queueId) ?? 0, this.#deps.store.minOffset(topic, queueId))
  }

  /** As it was decided, whatever has been deleted since; undefined when nothing was. */
  pinned(group: string, topic: string, queueId: number): number | undefined {
    const pins = this.#groups.get(group)?.get(topic)
    return pins === undefined || pins === 'client' ? undefined : pins.get(queueId)
  }

  /** The end of a queue as it was when this broadcasting member started. Told once: later questions are not about its start. */
  takeEnd(connection: ServerConnection, topic: string, queueId: number): number | undefined {
    const pins = this.#members.get(connection)
    if (pins === undefined) return undefined
    if (this.#deps.clock.monotonic() > pins.until) {
      this.#members.delete(connection)
      return undefined
    }
    const key = `${topic}\0${queueId}`
    const offset = pins.queues.get(key)
    pins.queues.delete(key)
    return offset
  }

  drop(connection: ServerConnection): void {
    this.#members.delete(connection)
  }

  deleteGroup(group: string): void {
    for (const topic of this.#groups.get(group)?.keys() ?? []) this.#deps.metadata.delete('kv', keyOf(group, topic))
    this.#size -= this.#groups.get(group)?.size ?? 0
    this.#groups.delete(group)
  }

  #deleteTopic(topic: string): void {
    for (const [group, topics] of this.#groups) {
      if (!topics.delete(topic)) continue
      this.#size--
      this.#deps.metadata.delete('kv', keyOf(group, topic))
      if (topics.size === 0) this.#groups.delete(group)
    }
  }

  #pinsOf(data: ConsumerData, topic: string): Pins {
    const { store, offsets } = this.#deps
    const isRetry = topic.startsWith(RETRY_PREFIX)
    const place = placeOf(data.consumeFromWhere, isRetry)
    if (place === 'client') return 'client'
    const pins = new Map<number, number>()
    for (let queueId = 0; queueId < this.#queuesOf(topic); queueId++) {
      if (offsets.get(data.groupName, topic, queueId) !== undefined) continue
      pins.set(queueId, place === 'end' ? store.maxOffset(topic, queueId) : 0)
    }
    return pins
  }

  #pinMember(connection: ServerConnection, data: ConsumerData): void {
    if (placeOf(data.consumeFromWhere, false) !== 'end') return
    const { store, clock } = this.#deps
    const old = this.#members.get(connection)
    const queues = old?.queues ?? new Map<string, number>()
    // Its first heartbeat: what it asks after that, it is told as it was now.
    if (old !== undefined || connection.isClosed) return
    for (const { topic } of data.subscriptionDataSet) {
      for (let queueId = 0; queueId < this.#queuesOf(topic) && queues.size < LIMITS.memberPins; queueId++)
        queues.set(`${topic}\0${queueId}`, store.maxOffset(topic, queueId))
    }
    this.#members.set(connection, { until: clock.monotonic() + MEMBER_PINS_MS, queues })
  }

  #queuesOf(topic: string): number {
    const config = this.#deps.topics.get(topic)
    return config === undefined ? 0 : Math.max(config.readQueueNums, config.writeQueueNums)
  }

  #remember(group: string, topic: string, pins: Pins): void {
    let topics = this.#groups.get(group)
    if (topics === undefined) this.#groups.set(group, (topics = new Map()))
    if (!topics.has(topic)) this.#size++
    topics.set(topic, pins)
  }

  #save(group: string, topic: string): void {
    const pins = this.#groups.get(group)?.get(topic)
    if (pins === undefined) return
    this.#deps.metadata.set('kv', keyOf(group, topic), JSON.stringify(pins === 'client' ? pins : Object.fromEntries(pins)))
    if (this.#isFlushPlanned) return
    this.#isFlushPlanned = true
    // A place that a crash forgets would be chosen anew, further on: it is kept before messages can follow.
    this.#deps.clock.afterTurn(() => {
      this.#isFlushPlanned = false
      try {
        this.#deps.metadata.flush()
      } catch {
        // It is tried again every second, and what is wrong with the disk is said there.
      }
    })
  }
}

/** RocketMQ 5.3 `RebalancePushImpl#computePullFromWhereWithException`, for a group without an offset. The deprecated values mean the end, too. */
function placeOf(from: ConsumeFromWhere, isRetry: boolean): 'begin' | 'end' | 'client' {
  if (from === 'CONSUME_FROM_FIRST_OFFSET') return 'begin'
  if (from === 'CONSUME_FROM_TIMESTAMP') return isRetry ? 'end' : 'client'
  return isRetry ? 'begin' : 'end'
}

/** Java's old pull consumer takes "no offset" as a value of its own; its heartbeat says CONSUME_FROM_LAST_OFFSET whatever it does. */
const decidesItself = (connection: ServerConnection, clientId: string, data: ConsumerData): boolean =>
  data.consumeType === 'CONSUME_ACTIVELY' && connection.language === 'JAVA' && !clientId.endsWith('@STREAM')

const keyOf = (group: string, topic: string): string => `${KEY_PREFIX}${topic}@${group}`

function parsePins(text: string): Pins {
  const value = JSON.parse(text) as 'client' | Record<string, number>
  return value === 'client' ? value : new Map(Object.entries(value).map(([queueId, offset]) => [Number(queueId), offset]))
}
