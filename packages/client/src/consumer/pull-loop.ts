import type { Answer } from '@skylarkmq/remoting'
import type { StoredMessage } from '@skylarkmq/remoting/protocol'
import { readRecords, LitePullMessage, PROPERTY, PULL_FLAG, PullMessage, ResponseCode } from '@skylarkmq/remoting/protocol'
import type { ClientCore } from '../core/types.ts'
import { traced } from '../tracing.ts'
import type { AssignedQueue } from './assigned-queue.ts'
import type { BrokerCalls } from './broker-calls.ts'
import { unwrapBatch } from './inner-batch.ts'
import { ConsumedMessage } from './received-message.ts'
import { filtersByTag, matchesTags } from './subscriptions.ts'
import type { Subscriptions } from './subscriptions.ts'
import { pause } from './wakeup.ts'

/** Times of RocketMQ's Java client (`DefaultMQPushConsumerImpl`, `ClientConfig`). */
const CALL_TIMEOUT_MS = 30_000
const PAUSE_AFTER_ERROR_MS = 1000
const PAUSE_AFTER_FLOW_CONTROL_MS = 20
/** Empty answers that come at once, from a broker that does not hold pulls: this many are taken, then the loop slows down. */
const QUICK_EMPTY_ANSWERS = 3
const QUICK_ANSWER_MS = 20
const PAUSE_AFTER_QUICK_ANSWERS_MS = 100

const sizeOf = (records: readonly StoredMessage[]): number => records.reduce((sum, record) => sum + record.sizeBytes, 0)

type PullAnswer = Answer<typeof PullMessage> | Answer<typeof LitePullMessage>

export interface PullLimits {
  /** Messages asked for at once. */
  readonly batchSize: number
  /** How long the broker may hold a pull of an empty queue. */
  readonly suspendMs: number
  /** Unconsumed messages of one queue. */
  readonly cachedMessages: number
  readonly cachedBytes: number
  /** Largest distance between the oldest and the newest unconsumed offset; not for orderly consumers. */
  readonly span: number
}

export interface PullLoopOptions {
  readonly core: ClientCore
  readonly calls: BrokerCalls
  readonly subscriptions: Subscriptions
  readonly limits: PullLimits
  /** The broker keeps the offsets: each pull carries the latest. */
  readonly isClustering: boolean
  readonly isLite: boolean
  /** Brokers at which a pull failed and none has succeeded since: one line of log for all queues of a broker. Shared by the loops. */
  readonly troubled: Set<string>
  /** Whether the consumer wants no messages now. Who ends a pause wakes `assigned.changed`. */
  readonly isPaused: (assigned: AssignedQueue) => boolean
  /** Orderly: whether the queue is locked; may re-read the place to begin after a lost lock. */
  readonly mayPull?: (assigned: AssignedQueue) => Promise<boolean>
  readonly onMessages: (assigned: AssignedQueue) => void
  /** The offset was outside the queue and has been set to one inside: worth storing at once. */
  readonly onOffsetMoved: (assigned: AssignedQueue, offset: number) => void
}

/**
 * Keeps one pull under way for one queue until the queue is dropped. The broker holds a pull of an empty queue, so an idle loop costs
 * four requests a minute.
 */
export class PullLoop {
  readonly #options: PullLoopOptions
  readonly #assigned: AssignedQueue
  #quickEmptyAnswers = 0
  #failures = 0
  /** Lite pull against a broker of RocketMQ 4.9: it does not know 361. */
  #isLiteUnknown = false

  constructor(options: PullLoopOptions, assigned: AssignedQueue) {
    this.#options = options
    this.#assigned = assigned
  }

  async run(): Promise<void> {
    const assigned = this.#assigned
    const { clock } = this.#options.core
    while (!assigned.isDropped) {
      try {
        if (!(await this.#ready())) continue
        await this.#pull()
      } catch (error) {
        if (assigned.isDropped || assigned.pullAbort?.signal.aborted) continue
        this.#noteFailure(error)
        await pause(clock, PAUSE_AFTER_ERROR_MS, assigned.lifetime.signal)
      }
    }
  }

  #noteFailure(error: unknown): void {
    const { core, troubled } = this.#options
    const { queue } = this.#assigned
    if (this.#failures++ > 0 || troubled.has(queue.brokerName)) return
    troubled.add(queue.brokerName)
    core.log.warn('pulls from a broker fail; they are tried again every second', { ...queue, group: this.#options.calls.group, error })
  }

  /** Flow control: true when a pull may go out now; otherwise waits for a change. */
  async #ready(): Promise<boolean> {
    const assigned = this.#assigned
    const { core, limits, isPaused, mayPull } = this.#options
    const { cache } = assigned
    if (
      assigned.isPaused ||
      isPaused(assigned) ||
      cache.count > limits.cachedMessages ||
      cache.bytes > limits.cachedBytes ||
      cache.span > limits.span
    ) {
      await assigned.changed.wait(core.clock, undefined, assigned.lifetime.signal)
      return false
    }
    if (mayPull && !(await mayPull(assigned))) {
      await assigned.changed.wait(core.clock, PAUSE_AFTER_ERROR_MS, assigned.lifetime.signal)
      return false
    }
    return !assigned.isDropped
  }

  async #pull(): Promise<void> {
    const assigned = this.#assigned
    const { core, calls } = this.#options
    const { cache } = assigned
    const target = calls.readAddress(assigned.queue.brokerName, assigned.suggestedBrokerId)
    if (target === undefined) {
      // The broker is in no route now: ask again who serves the topic.
      await core.route(assigned.queue.topic, { refresh: true }).catch(() => undefined)
      await pause(core.clock, PAUSE_AFTER_ERROR_MS, assigned.lifetime.signal)
      return
    }
    if (assigned.pullAbort === undefined || assigned.pullAbort.signal.aborted) assigned.pullAbort = new AbortController()
    const { signal } = assigned.pullAbort
    const startedMs = core.clock.monotonic()
    assigned.lastPullMs = core.clock.now()
    const answer = await traced(
      'pull',
      () => ({ queue: assigned.queue, offset: assigned.nextOffset, address: target.address }),
      () => this.#ask(target.address, target.isMaster, signal),
    )
    if (assigned.isDropped || assigned.cache !== cache) return
    await this.#react(answer, core.clock.monotonic() - startedMs)
  }

  async #ask(address: string, isMaster: boolean, signal: AbortSignal): Promise<PullAnswer> {
    const { queue, cache, nextOffset } = this.#assigned
    const { core, calls, subscriptions, limits, isClustering, isLite } = this.#options
    const subscription = subscriptions.of(queue.topic)
    const isTag = subscription === undefined || subscription.expressionType === 'TAG'
    const commitOffset = isClustering && !isLite ? (cache.committableOffset ?? 0) : 0
    // Only the master stores the offset that a pull carries (RocketMQ `PullSysFlag#clearCommitOffsetFlag`).
    const commits = commitOffset > 0 && isMaster
    const header = {
      consumerGroup: calls.group,
      topic: queue.topic,
      queueId: queue.queueId,
      queueOffset: nextOffset,
      maxMsgNums: limits.batchSize,
      sysFlag: (commits ? PULL_FLAG.COMMIT_OFFSET : 0) | PULL_FLAG.SUSPEND | (isLite ? PULL_FLAG.SUBSCRIPTION | PULL_FLAG.LITE_PULL : 0),
      commitOffset: commits ? commitOffset : 0,
      suspendTimeoutMillis: limits.suspendMs,
      subscription: isLite ? (subscription?.subString ?? '*') : undefined,
      subVersion: isLite && isTag ? 0n : (subscription?.subVersion ?? 0n),
      expressionType: subscription?.expressionType ?? 'TAG',
    }
    const options = { timeoutMs: CALL_TIMEOUT_MS, signal }
    if (!isLite || this.#isLiteUnknown) return core.invoke(address, PullMessage, header, options)
    const answer = await core.invoke(address, LitePullMessage, header, options)
    if (answer.code !== ResponseCode.REQUEST_CODE_NOT_SUPPORTED) return answer
    this.#isLiteUnknown = true
    return core.invoke(address, PullMessage, header, options)
  }

  async #react(answer: PullAnswer, tookMs: number): Promise<void> {
    const assigned = this.#assigned
    const { core } = this.#options
    const failuresBefore = this.#failures
    this.#failures = 0
    if (this.#options.troubled.delete(assigned.queue.brokerName)) {
      core.log.info('pulls from a broker work again', { brokerName: assigned.queue.brokerName, group: this.#options.calls.group })
    }
    switch (answer.code) {
      case ResponseCode.SUCCESS:
        assigned.lastAnswerMs = core.clock.monotonic()
        this.#quickEmptyAnswers = 0
        this.#receive(answer)
        return
      case ResponseCode.PULL_NOT_FOUND:
      case ResponseCode.PULL_RETRY_IMMEDIATELY: {
        const header = answer.header()
        assigned.lastAnswerMs = core.clock.monotonic()
        const isProgress = header.nextBeginOffset > assigned.nextOffset
        this.#advance(header.nextBeginOffset, header.suggestWhichBrokerId)
        if (isProgress || tookMs >= QUICK_ANSWER_MS) this.#quickEmptyAnswers = 0
        else if (++this.#quickEmptyAnswers > QUICK_EMPTY_ANSWERS) {
          await pause(core.clock, PAUSE_AFTER_QUICK_ANSWERS_MS, assigned.lifetime.signal)
        }
        return
      }
      case ResponseCode.PULL_OFFSET_MOVED: {
        const { nextBeginOffset } = answer.header()
        core.log.warn('the offset lies outside the queue; going on from the nearest inside', {
          ...assigned.queue,
          offset: assigned.nextOffset,
          nextBeginOffset,
        })
        assigned.reset(nextBeginOffset)
        this.#options.onOffsetMoved(assigned, nextBeginOffset)
        return
      }
      case ResponseCode.FLOW_CONTROL:
        return pause(core.clock, PAUSE_AFTER_FLOW_CONTROL_MS, assigned.lifetime.signal)
      case ResponseCode.SUBSCRIPTION_NOT_EXIST:
      case ResponseCode.SUBSCRIPTION_NOT_LATEST:
      case ResponseCode.FILTER_DATA_NOT_EXIST:
      case ResponseCode.FILTER_DATA_NOT_LATEST:
        // The broker restarted, or the heartbeat is still on its way.
        await core.heartbeatNow()
        break
      case ResponseCode.TOPIC_NOT_EXIST:
      case ResponseCode.INVALID_PARAMETER:
        await core.route(assigned.queue.topic, { refresh: true }).catch(() => undefined)
        break
      default:
        this.#failures = failuresBefore + 1
        if (failuresBefore === 0) {
          core.log.warn('the broker refused a pull; it is tried again every second', {
            ...assigned.queue,
            address: answer.address,
            code: answer.code,
            remark: answer.remark,
          })
        }
    }
    await pause(core.clock, PAUSE_AFTER_ERROR_MS, assigned.lifetime.signal)
  }

  #receive(answer: PullAnswer): void {
    const assigned = this.#assigned
    const header = answer.header()
    const { brokerName } = assigned.queue
    const { core } = this.#options
    const subscription = this.#options.subscriptions.of(assigned.queue.topic)
    const records: readonly StoredMessage[] = readRecords(Buffer.from(answer.body.buffer, answer.body.byteOffset, answer.body.byteLength))
    const last = records.at(-1)
    if (last === undefined || sizeOf(records) < answer.body.length) {
      // Java's client skips them as well: asking again would give the same bytes for ever.
      const fields = { ...assigned.queue, offset: assigned.nextOffset, lastDecodedOffset: last?.queueOffset, bytes: answer.body.length }
      core.log.error('messages from the broker cannot be decoded and are skipped', fields)
    }
    const filters = filtersByTag(subscription)
    const messages: ConsumedMessage[] = []
    for (const record of records) {
      for (const message of unwrapBatch(record)) {
        if (!filters || matchesTags(subscription, message.properties.get(PROPERTY.TAGS)))
          messages.push(new ConsumedMessage(message, brokerName, core.namespace))
      }
    }
    assigned.cache.put(messages)
    this.#advance(header.nextBeginOffset, header.suggestWhichBrokerId)
    if (messages.length > 0) this.#options.onMessages(assigned)
  }

  #advance(nextOffset: number, brokerId: number): void {
    const assigned = this.#assigned
    assigned.nextOffset = nextOffset
    assigned.suggestedBrokerId = brokerId
    assigned.cache.advance(nextOffset)
  }
}
