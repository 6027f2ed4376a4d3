import type { Answer } from '@skylarkmq/remoting'
import { PopMessage, ResponseCode } from '@skylarkmq/remoting/protocol'
import type { ClientCore } from '../core/types.ts'
import { traced } from '../tracing.ts'
import type { AssignedQueue } from './assigned-queue.ts'
import type { BrokerCalls } from './broker-calls.ts'
import type { PopEntry } from './popped.ts'
import { poppedEntries } from './popped.ts'
import type { Subscriptions } from './subscriptions.ts'
import { pause } from './wakeup.ts'

/** Times of RocketMQ's Java client (`DefaultMQPushConsumerImpl#popMessage`). */
const POLL_MS = 15_000
const CALL_TIMEOUT_MS = 30_000
const PAUSE_AFTER_ERROR_MS = 1000
const BATCH_MAX = 32
/** Empty answers that come at once, from a broker that does not hold pops: this many are taken, then the loop slows down. */
const QUICK_EMPTY_ANSWERS = 3
const QUICK_ANSWER_MS = 20
const PAUSE_AFTER_QUICK_ANSWERS_MS = 100

type PopAnswer = Answer<typeof PopMessage>

export interface PopLoopOptions {
  readonly core: ClientCore
  readonly calls: BrokerCalls
  readonly subscriptions: Subscriptions
  readonly invisibleMs: number
  readonly batchSize: number
  /** A group without an offset starts at the first message of a queue, instead of at its end. */
  readonly fromFirst: boolean
  /** Shared by the loops, as with pulls. */
  readonly troubled: Set<string>
  readonly isPaused: () => boolean
  /** How many more messages of this source may be here. Who makes room wakes `assigned.changed`. */
  readonly room: (assigned: AssignedQueue) => number
  readonly onPopped: (assigned: AssignedQueue, entries: readonly PopEntry[]) => void
  /** They came when nobody wanted them any more. */
  readonly onLate: (entries: readonly PopEntry[]) => void
}

/** Keeps one pop under way for one queue, or for all of a topic on one broker (queue -1), until it is dropped. The broker holds it while there is nothing. */
export class PopLoop {
  readonly #options: PopLoopOptions
  readonly #assigned: AssignedQueue
  #quickEmptyAnswers = 0
  #isRefused = false

  constructor(options: PopLoopOptions, assigned: AssignedQueue) {
    this.#options = options
    this.#assigned = assigned
  }

  async run(): Promise<void> {
    const assigned = this.#assigned
    const { core, isPaused, room } = this.#options
    while (!assigned.isDropped) {
      try {
        if (isPaused() || room(assigned) <= 0) await assigned.changed.wait(core.clock, undefined, assigned.lifetime.signal)
        else await this.#pop()
      } catch (error) {
        if (assigned.isDropped) return
        this.#noteFailure(error)
        await pause(core.clock, PAUSE_AFTER_ERROR_MS, assigned.lifetime.signal)
      }
    }
  }

  #noteFailure(error: unknown): void {
    const { core, calls, troubled } = this.#options
    const { queue } = this.#assigned
    if (troubled.has(queue.brokerName)) return
    troubled.add(queue.brokerName)
    core.log.warn('pops from a broker fail; they are tried again every second', { ...queue, group: calls.group, error })
  }

  async #pop(): Promise<void> {
    const assigned = this.#assigned
    const { core } = this.#options
    const { queue } = assigned
    if (core.brokerAddress(queue.brokerName) === undefined) {
      // The broker's master is in no route now: ask again who serves the topic.
      await core.route(queue.topic, { refresh: true }).catch(() => undefined)
      return pause(core.clock, PAUSE_AFTER_ERROR_MS, assigned.lifetime.signal)
    }
    const startedMs = core.clock.monotonic()
    assigned.lastPullMs = core.clock.now()
    const asked = traced(
      'pull',
      () => ({ queue, offset: -1, address: core.brokerAddress(queue.brokerName) }),
      () => this.#ask(),
    )
    const answer = await this.#unlessAborted(asked)
    if (answer === undefined) {
      // The broker may find messages for it yet: nobody would see them for their invisible time.
      asked.then((late) => this.#options.onLate(this.#entriesOf(late))).catch(() => undefined)
      return
    }
    await this.#react(answer, core.clock.monotonic() - startedMs)
  }

  #ask(): Promise<PopAnswer> {
    const assigned = this.#assigned
    const { core, calls, subscriptions, invisibleMs, batchSize, fromFirst, room } = this.#options
    const { topic, brokerName, queueId } = assigned.queue
    const subscription = subscriptions.of(topic)
    const header = {
      consumerGroup: calls.group,
      topic,
      queueId,
      maxMsgNums: Math.min(batchSize, room(assigned), BATCH_MAX),
      invisibleTime: invisibleMs,
      pollTime: POLL_MS,
      // Not said: clocks that differ would make the broker refuse it as late.
      bornTime: 0,
      initMode: fromFirst ? 0 : 1,
      expType: subscription?.expressionType ?? 'TAG',
      exp: subscription?.subString ?? '*',
    }
    return core.invoke(brokerName, PopMessage, header, { timeoutMs: CALL_TIMEOUT_MS })
  }

  #unlessAborted(asked: Promise<PopAnswer>): Promise<PopAnswer | undefined> {
    const abort = new AbortController()
    const assigned = this.#assigned
    assigned.pullAbort = abort
    return new Promise((resolve, reject) => {
      const end = () => {
        assigned.lifetime.signal.removeEventListener('abort', end)
        resolve(undefined)
      }
      abort.signal.addEventListener('abort', end, { once: true })
      assigned.lifetime.signal.addEventListener('abort', end, { once: true })
      const done = () => {
        abort.signal.removeEventListener('abort', end)
        assigned.lifetime.signal.removeEventListener('abort', end)
      }
      asked.then(resolve, reject).finally(done)
      if (assigned.isDropped) end()
    })
  }

  #entriesOf(answer: PopAnswer): readonly PopEntry[] {
    if (answer.code !== ResponseCode.SUCCESS) return []
    const { core, calls, invisibleMs } = this.#options
    const { topic, brokerName } = this.#assigned.queue
    const expiresMs = core.clock.monotonic() + invisibleMs
    return poppedEntries(answer, { topic, group: calls.group, brokerName, namespace: core.namespace, expiresMs })
  }

  async #react(answer: PopAnswer, tookMs: number): Promise<void> {
    const assigned = this.#assigned
    const { core, calls, troubled } = this.#options
    const { queue } = assigned
    if (troubled.delete(queue.brokerName)) {
      core.log.info('pops from a broker work again', { brokerName: queue.brokerName, group: calls.group })
    }
    switch (answer.code) {
      case ResponseCode.SUCCESS:
        this.#isRefused = false
        this.#quickEmptyAnswers = 0
        assigned.lastAnswerMs = core.clock.monotonic()
        this.#options.onPopped(assigned, this.#entriesOf(answer))
        return
      case ResponseCode.POLLING_TIMEOUT:
      case ResponseCode.PULL_NOT_FOUND:
        this.#isRefused = false
        assigned.lastAnswerMs = core.clock.monotonic()
        if (tookMs >= QUICK_ANSWER_MS) this.#quickEmptyAnswers = 0
        else if (++this.#quickEmptyAnswers > QUICK_EMPTY_ANSWERS) {
          await pause(core.clock, PAUSE_AFTER_QUICK_ANSWERS_MS, assigned.lifetime.signal)
        }
        return
      case ResponseCode.TOPIC_NOT_EXIST:
        await core.route(queue.topic, { refresh: true }).catch(() => undefined)
        break
      default:
        this.#noteRefusal(answer)
    }
    await pause(core.clock, PAUSE_AFTER_ERROR_MS, assigned.lifetime.signal)
  }

  #noteRefusal({ code, address, remark }: PopAnswer): void {
    if (this.#isRefused) return
    this.#isRefused = true
    const { core, calls } = this.#options
    const advice =
      code === ResponseCode.REQUEST_CODE_NOT_SUPPORTED ? "it knows no POP (RocketMQ before 5.0): leave out delivery: 'pop'" : undefined
    const fields = { ...this.#assigned.queue, group: calls.group, address, code, remark, ...(advice ? { advice } : {}) }
    core.log.warn('the broker refused a pop; it is tried again every second', fields)
  }
}
