import { isRetryTopic, popRetryTopicV1, popRetryTopicV2, retryFlagOf } from '@skylarkmq/remoting/protocol'
import type { PoppedQueue, PopMessage, RequestOf, TopicConfig } from '@skylarkmq/remoting/protocol'
import type { Random } from '@skylarkmq/runtime'
import type { ReadResult } from '@skylarkmq/store'
import { LIMITS } from '../limits.ts'
import type { InFlightTable, TableDeps } from './in-flight-table.ts'
import { OrderBatch } from './order-batch.ts'
import type { PopFilter, PopTarget } from './pop-checks.ts'
import type { PopQueue } from './pop-queue.ts'
import { queueOffsetsIn, withOriginTopic } from './retry-records.ts'
import type { TopicConfigs } from '../topics/topic-configs.ts'

export type PopHeader = RequestOf<typeof PopMessage>

export interface CollectDeps extends TableDeps {
  readonly topics: TopicConfigs
  readonly random: Random
  readonly brokerName: string
}

const INIT_FROM_MIN = 0

/** A read off the main thread that a collection waits for. */
export type Steps<T> = Generator<Promise<ReadResult>, T, ReadResult>

/** Runs steps; at once as long as what they need is in memory. */
export function drive<T>(steps: Steps<T>): T | Promise<T> {
  const step = steps.next()
  return step.done === true ? step.value : driveOn(steps, step.value)
}

async function driveOn<T>(steps: Steps<T>, first: Promise<ReadResult>): Promise<T> {
  let wanted = first
  for (;;) {
    let result: ReadResult
    try {
      result = await wanted
    } catch (error) {
      steps.throw(error)
      throw error
    }
    const step = steps.next(result)
    if (step.done === true) return step.value
    wanted = step.value
  }
}

/** What one look brings: messages of several queues, up to the number asked for. */
export class PopCollector {
  readonly popTime: number
  readonly queues: PoppedQueue[] = []
  readonly bodies: Uint8Array[] = []
  readonly orderCounts: string[] = []
  count = 0
  /** Messages that are left, filtered or not. */
  rest = 0
  /** Nothing of interest was there, but the queue has been looked at further than before. */
  hasSkipped = false
  readonly #deps: CollectDeps
  readonly #table: InFlightTable
  readonly #header: PopHeader
  readonly #target: PopTarget
  readonly #filter: PopFilter
  #logging = 0
  #refused: string | undefined
  #isByPriority: boolean | undefined
  #firstQueue: number | undefined
  #onLogged: ((refused: string | undefined) => void) | undefined

  constructor(deps: CollectDeps, table: InFlightTable, header: PopHeader, target: PopTarget, filter: PopFilter) {
    this.#deps = deps
    this.#table = table
    this.#header = header
    this.#target = target
    this.#filter = filter
    this.popTime = deps.clock.now()
  }

  /** Resolves when it is stored that these messages are in flight; with the reason if it cannot be. */
  logged(): Promise<string | undefined> {
    if (this.#logging === 0) return Promise.resolve(this.#refused)
    return new Promise((resolve) => (this.#onLogged = resolve))
  }

  *collect(): Steps<void> {
    const { random, settings } = this.#deps
    const { popFromRetryProbability, popFromRetryProbabilityForPriority } = settings.current
    const { order, queueId } = this.#header
    const { topic } = this.#target
    const isPriority = isPriorityTopic(topic)
    const isRetryFirst = random.integer(100) < (isPriority ? popFromRetryProbabilityForPriority : popFromRetryProbability)
    if (isRetryFirst && order !== true) yield* this.#fromRetryTopics()
    if (queueId >= 0) yield* this.#fromQueue(topic.topicName, queueId)
    else for (const one of this.#queueIds(topic.readQueueNums)) yield* this.#fromQueue(topic.topicName, one)
    if (!isRetryFirst && order !== true) yield* this.#fromRetryTopics()
  }

  /** From a random one on, so that all get their turn; by priority from the most urgent one on (RocketMQ 5.4 `priorityOrderAsc`). */
  #queueIds(count: number): number[] {
    const { random, settings } = this.#deps
    const { topic, group } = this.#target
    const isOfPriority = isPriorityTopic(topic) && this.#header.order !== true
    this.#isByPriority ??= isOfPriority && random.integer(100) < Number(group.attributes['priority.factor'] ?? 100)
    if (this.#isByPriority) {
      const isHighestFirst = settings.current.priorityOrderAsc
      return Array.from({ length: count }, (_, i) => (isHighestFirst ? count - 1 - i : i))
    }
    const first = (this.#firstQueue ??= random.integer(Math.max(1, topic.readQueueNums)))
    return Array.from({ length: count }, (_, i) => (first + i) % count)
  }

  *#fromRetryTopics(): Steps<void> {
    const { enableRetryTopicV2, retrieveMessageFromPopRetryTopicV1 } = this.#deps.settings.current
    const { consumerGroup, topic } = this.#header
    const names = enableRetryTopicV2 ? [popRetryTopicV2(consumerGroup, topic)] : []
    if (!enableRetryTopicV2 || retrieveMessageFromPopRetryTopicV1) names.push(popRetryTopicV1(consumerGroup, topic))
    for (const name of names) {
      const count = this.#deps.topics.get(name)?.readQueueNums ?? 0
      if (count === 1) yield* this.#fromQueue(name, 0)
      else if (count > 1) for (const queueId of this.#queueIds(count)) yield* this.#fromQueue(name, queueId)
    }
  }

  *#fromQueue(topic: string, queueId: number): Steps<void> {
    const { store, clock } = this.#deps
    const { consumerGroup, order, attemptId, maxMsgNums } = this.#header
    const queue = this.#table.queueFor(consumerGroup, topic, queueId, () => this.#initialOffset(topic, queueId))
    const isOrder = order === true
    if (isOrder && queue.order?.isBlocked(attemptId, clock.now())) return
    if (queue.isBusy || this.count >= Math.max(1, maxMsgNums) || this.#hasTooMany(queue)) {
      this.rest += Math.max(0, store.maxOffset(topic, queueId) - queue.position)
      return
    }
    const start = isOrder ? queue.cursor : queue.position
    const read = yield* this.#read(queue, start)
    if (read === undefined) return
    const { result } = read
    if (result.status === 'found') this.#take(queue, read.offset, result)
    else if (result.nextOffset > queue.position) {
      this.#table.skipTo(queue, result.nextOffset)
      this.hasSkipped = true
    }
    this.rest += Math.max(0, result.maxOffset - result.nextOffset)
  }

  /** Undefined when somebody moved the group meanwhile. A group outside its queue is moved into it (RocketMQ 5.3 `popMsgFromQueue`). */
  *#read(queue: PopQueue, start: number): Steps<{ readonly result: ReadResult; readonly offset: number } | undefined> {
    let offset = start
    for (let round = 0; ; round++) {
      const position = queue.position
      const read = this.#readAt(queue, offset)
      let result: ReadResult
      if (read instanceof Promise) {
        queue.isBusy = true
        try {
          result = yield read
        } finally {
          queue.isBusy = false
        }
        if (queue.position !== position) {
          this.rest++
          return undefined
        }
      } else result = read
      const isOutside = result.status === 'offset-too-small' || result.status === 'offset-overflow-badly'
      const isEmptied = result.maxOffset === 0 && offset > 0
      if ((!isOutside && !isEmptied) || round > 0) return { result, offset }
      offset = isEmptied ? 0 : result.nextOffset
      this.#table.moveTo(queue, offset)
    }
  }

  #readAt({ topic, queueId }: PopQueue, offset: number): ReadResult | Promise<ReadResult> {
    const { filter, sql } = this.#filter
    const { maxTransferBytesOnMessageInMemory: maxBytes } = this.#deps.settings.current
    const wanted = Math.max(1, this.#header.maxMsgNums) - this.count
    return this.#deps.store.read({
      topic,
      queueId,
      offset,
      maxBytes,
      maxMessages: Math.min(wanted, sql?.scanEntries ?? wanted),
      entryFilter: filter,
      recordFilter: sql?.record,
      scanEntries: sql?.scanEntries,
    })
  }

  #take(queue: PopQueue, start: number, result: ReadResult): void {
    const { invisibleTime: invisibleTimeMs, order, topic } = this.#header
    const { popTime } = this
    const { brokerName, settings } = this.#deps
    const offsets = queueOffsetsIn(result.body)
    this.#logging++
    if (order === true) this.#takeInOrder(queue, offsets)
    else
      this.#table.take(queue, { start, next: result.nextOffset, offsets, popTime, invisibleTimeMs }, (refused) => this.#oneLogged(refused))
    this.queues.push({ topic: queue.topic, queueId: queue.queueId, startOffset: start, offsets })
    this.count += offsets.length
    if (isRetryTopic(queue.topic) && queue.topic !== topic && !settings.current.popResponseReturnActualRetryTopic) {
      const popped = { startOffset: start, popTime, invisibleTimeMs, reviveQueueId: 0, brokerName }
      this.bodies.push(...withOriginTopic(result.body, topic, popped))
    } else this.bodies.push(result.body)
  }

  #takeInOrder(queue: PopQueue, offsets: readonly number[]): void {
    const { invisibleTime, attemptId } = this.#header
    const batch = OrderBatch.popped(queue.order, attemptId, this.popTime, invisibleTime, offsets)
    this.#table.setOrder(queue, batch, (refused) => this.#oneLogged(refused))
    const flag = retryFlagOf(queue.topic)
    for (const offset of offsets)
      if (batch.countOf(offset) > 0) this.orderCounts.push(`${flag} qo${queue.queueId}%${offset} ${batch.countOf(offset)}`)
    // Older clients look for the queue's.
    this.orderCounts.push(`${flag} ${queue.queueId} ${Math.min(...offsets.map((offset) => batch.countOf(offset)))}`)
  }

  #oneLogged(refused: string | undefined): void {
    this.#refused ??= refused
    if (--this.#logging === 0) this.#onLogged?.(this.#refused)
  }

  #hasTooMany(queue: PopQueue): boolean {
    const { enablePopMessageThreshold, popInflightMessageThreshold } = this.#deps.settings.current
    const max = enablePopMessageThreshold ? Math.min(popInflightMessageThreshold, LIMITS.popInFlightPerQueue) : LIMITS.popInFlightPerQueue
    return queue.entries.size > max || this.#table.state.size > LIMITS.popInFlight
  }

  /** As for pulls: a new group starts at 0 as long as the first message is there (RocketMQ 5.3 `PopMessageProcessor#getInitOffset`). */
  #initialOffset(topic: string, queueId: number): number {
    const { store } = this.#deps
    const [min, max] = [store.minOffset(topic, queueId), store.maxOffset(topic, queueId)]
    if (this.#header.initMode === INIT_FROM_MIN || isRetryTopic(topic)) return Math.max(0, min)
    return min <= 0 ? 0 : Math.max(0, max - 1)
  }
}

const isPriorityTopic = (topic: TopicConfig): boolean => topic.attributes['message.type'] === 'PRIORITY'
