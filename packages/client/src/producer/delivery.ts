import type { Answer } from '@skylarkmq/remoting'
import type { MessageQueue, RequestOf } from '@skylarkmq/remoting/protocol'
import type { ProducerCore } from '../core/client-core.ts'
import { expectSuccess } from '@skylarkmq/remoting'
import { DEFAULT_TOPIC, ResponseCode, RocketError, SendBatchMessage, SendMessageV2, SendReplyMessageV2 } from '@skylarkmq/remoting/protocol'
import { DEFAULT_TOPIC_QUEUE_NUMS } from '../core/route-cache.ts'
import { abortedError } from '../core/waiting.ts'
import type { BrokerLatency } from './broker-latency.ts'
import type { QueueSelector } from './queue-selector.ts'
import type { SendReceipt, SendStatus } from './types.ts'

/** RocketMQ 5.3 `DefaultMQProducer#retryResponseCodes`. */
const RETRIED_CODES: ReadonlySet<number> = new Set([
  ResponseCode.TOPIC_NOT_EXIST,
  ResponseCode.SERVICE_NOT_AVAILABLE,
  ResponseCode.SYSTEM_ERROR,
  ResponseCode.NO_PERMISSION,
  ResponseCode.NO_BUYER_ID,
  ResponseCode.NOT_IN_CURRENT_UNIT,
  ResponseCode.SYSTEM_BUSY,
  ResponseCode.GO_AWAY,
])

/** Codes that say that the broker is in trouble, not that it dislikes this topic or message. */
const BROKER_TROUBLE: ReadonlySet<number> = new Set([
  ResponseCode.SYSTEM_ERROR,
  ResponseCode.SYSTEM_BUSY,
  ResponseCode.SERVICE_NOT_AVAILABLE,
  ResponseCode.GO_AWAY,
])

const STATUS: ReadonlyMap<number, SendStatus> = new Map([
  [ResponseCode.SUCCESS, 'OK'],
  [ResponseCode.FLUSH_DISK_TIMEOUT, 'FLUSH_DISK_TIMEOUT'],
  [ResponseCode.SLAVE_NOT_AVAILABLE, 'SLAVE_NOT_AVAILABLE'],
  [ResponseCode.FLUSH_SLAVE_TIMEOUT, 'FLUSH_SLAVE_TIMEOUT'],
])

/** Failures on this side, which no other broker mends; BAD_FRAME: the message may be stored, its answer cannot be read. */
const NOT_RETRIED: ReadonlySet<string> = new Set(['ABORTED', 'CLOSED', 'BAD_ARGUMENT', 'BAD_FRAME'])

/** Before a broker is tried again where there is no other, so that three attempts outlast its restart: 100 ms, then 500 ms. */
const SAME_BROKER_PAUSE_MS = 100
const SAME_BROKER_PAUSE_GROWTH = 5

/** One request to deliver: a message, or a batch of them. */
export interface Parcel {
  readonly topic: string
  readonly group: string
  readonly messageId: string
  readonly body: Uint8Array
  readonly properties: string
  readonly flag: number
  readonly sysFlag: number
  readonly bornTimestamp: number
  readonly isBatch: boolean
  /** An answer to a request message: the broker hands it on. */
  readonly isReply?: boolean
  /** Gets the answer that says that the parcel is stored. */
  readonly onStored?: (answer: Answer<typeof SendMessageV2>) => void
}

export interface DeliveryOptions {
  readonly timeoutMs: number
  readonly attemptTimeoutMs: number | undefined
  readonly retries: number
  readonly retryWhenNotStoredSafely: boolean
  readonly signal: AbortSignal | undefined
  /** For sends to a certain queue. Called for each attempt, as the route may have changed. */
  readonly fixedQueue: ((queues: readonly MessageQueue[]) => MessageQueue) | undefined
}

type SendHeader = RequestOf<typeof SendMessageV2>

/** Sends parcels: chooses queues, retries elsewhere, keeps to the deadline. */
export class Delivery {
  readonly #core: ProducerCore
  readonly #selector: QueueSelector
  readonly #latency: BrokerLatency | undefined
  #mayRetry = true

  constructor(core: ProducerCore, selector: QueueSelector, latency: BrokerLatency | undefined) {
    this.#core = core
    this.#selector = selector
    this.#latency = latency
  }

  async deliver(parcel: Parcel, options: DeliveryOptions): Promise<SendReceipt> {
    const { clock } = this.#core
    let nowMs = clock.monotonic()
    const deadline = nowMs + options.timeoutMs
    const failures: RocketError[] = []
    let tried: Set<string> | undefined
    let lastReceipt: SendReceipt | undefined
    for (let attempt = 1; attempt <= options.retries + 1; attempt++) {
      if (attempt > 1 && !this.#mayRetry) break
      if (options.signal?.aborted) throw abortedError(options.signal, `the send to topic ${parcel.topic}`)
      if (attempt > 1) nowMs = clock.monotonic()
      if (nowMs >= deadline) break
      let queues = this.#core.knownPublishQueues(parcel.topic)
      if (queues === undefined) {
        queues = await this.#lookUp(parcel.topic, deadline - nowMs, options.signal)
        nowMs = clock.monotonic()
      }
      if (queues.length === 0) throw noWritableQueue(parcel.topic)
      const queue = options.fixedQueue?.(queues) ?? this.#selector.select(parcel.topic, queues, tried)
      if (tried?.has(queue.brokerName)) {
        await this.#pause(attempt, deadline, options.signal)
        nowMs = clock.monotonic()
      }
      const startedAt = nowMs
      const leftMs = Math.ceil(deadline - startedAt)
      if (leftMs <= 0) break
      try {
        const answer = await this.#request(parcel, queue, Math.min(leftMs, options.attemptTimeoutMs ?? leftMs), options.signal)
        const receipt = receiptOf(parcel, queue, answer, attempt)
        if (receipt) {
          parcel.onStored?.(answer)
          this.#latency?.answered(queue.brokerName, clock.monotonic() - startedAt)
          if (receipt.status === 'OK' || !options.retryWhenNotStoredSafely) return receipt
          lastReceipt = receipt
        } else {
          failures.push(refusal(answer, parcel, queue))
          if (BROKER_TROUBLE.has(answer.code)) this.#latency?.failed(queue.brokerName, true)
          if (!RETRIED_CODES.has(answer.code)) break
          if (answer.code === ResponseCode.TOPIC_NOT_EXIST || answer.code === ResponseCode.NO_PERMISSION)
            this.#core.refreshRouteSoon(parcel.topic)
        }
      } catch (error) {
        const failure = error instanceof RocketError ? error : new RocketError(String(error), { code: 'SYSTEM_ERROR', cause: error })
        if (NOT_RETRIED.has(failure.code)) throw failure
        this.#latency?.failed(queue.brokerName, failure.code === 'TIMEOUT')
        this.#core.refreshRouteSoon(parcel.topic)
        failures.push(failure)
      }
      tried = (tried ?? new Set()).add(queue.brokerName)
    }
    if (lastReceipt) return lastReceipt
    throw finalError(parcel, failures, options.timeoutMs)
  }

  /** The producer is closed: attempts under way are the last ones. */
  stopRetrying(): void {
    this.#mayRetry = false
  }

  async oneway(parcel: Parcel, options: DeliveryOptions): Promise<void> {
    const queues = this.#core.knownPublishQueues(parcel.topic) ?? (await this.#lookUp(parcel.topic, options.timeoutMs, options.signal))
    if (queues.length === 0) throw noWritableQueue(parcel.topic)
    const queue = options.fixedQueue?.(queues) ?? this.#selector.select(parcel.topic, queues, undefined)
    await this.#core.notify(queue.brokerName, commandOf(parcel), headerOf(parcel, queue), {
      body: parcel.body,
      timeoutMs: options.timeoutMs,
      signal: options.signal,
    })
  }

  #request(parcel: Parcel, queue: MessageQueue, timeoutMs: number, signal: AbortSignal | undefined): Promise<Answer<typeof SendMessageV2>> {
    return this.#core.invoke(queue.brokerName, commandOf(parcel), headerOf(parcel, queue), {
      body: parcel.body,
      timeoutMs,
      signal,
    })
  }

  #lookUp(topic: string, timeoutMs: number, signal: AbortSignal | undefined): Promise<readonly MessageQueue[]> {
    return this.#core.publishQueues(topic, { fallbackToDefaultTopic: true, timeoutMs: Math.ceil(timeoutMs), signal })
  }

  async #pause(attempt: number, deadline: number, signal: AbortSignal | undefined): Promise<void> {
    const { clock } = this.#core
    const ms = Math.min(SAME_BROKER_PAUSE_MS * SAME_BROKER_PAUSE_GROWTH ** (attempt - 2), (deadline - clock.monotonic()) / 2)
    if (ms > 0) await clock.sleep(ms, signal).catch(() => {})
    if (signal?.aborted) throw abortedError(signal, 'a send that waited to try again')
  }
}

const commandOf = (parcel: Parcel) => (parcel.isReply ? SendReplyMessageV2 : parcel.isBatch ? SendBatchMessage : SendMessageV2)

const headerOf = (parcel: Parcel, queue: MessageQueue): SendHeader => ({
  producerGroup: parcel.group,
  topic: parcel.topic,
  defaultTopic: DEFAULT_TOPIC,
  defaultTopicQueueNums: DEFAULT_TOPIC_QUEUE_NUMS,
  queueId: queue.queueId,
  sysFlag: parcel.sysFlag,
  bornTimestamp: parcel.bornTimestamp,
  flag: parcel.flag,
  properties: parcel.properties,
  reconsumeTimes: 0,
  unitMode: false,
  batch: parcel.isBatch,
})

/** Undefined when the broker refused. Codes 0, 10, 11 and 12 mean: stored (RocketMQ 5.3 `MQClientAPIImpl#processSendResponse`). */
function receiptOf(parcel: Parcel, queue: MessageQueue, answer: Answer<typeof SendMessageV2>, attempts: number): SendReceipt | undefined {
  const status = STATUS.get(answer.code)
  if (!status) return undefined
  const header = headerOfAnswer(parcel, answer)
  return {
    status,
    messageId: parcel.messageId,
    offsetMessageId: header.msgId,
    queue: header.queueId === queue.queueId ? queue : { ...queue, queueId: header.queueId },
    queueOffset: header.queueOffset,
    transactionId: header.transactionId,
    recallHandle: header.recallHandle,
    attempts,
  }
}

function headerOfAnswer(parcel: Parcel, answer: Answer<typeof SendMessageV2>) {
  try {
    return answer.header()
  } catch (cause) {
    throw new RocketError(
      `${answer.address} stored the message to topic ${parcel.topic}, but its answer does not say where: ${cause instanceof Error ? cause.message : String(cause)}`,
      { code: 'BAD_FRAME', address: answer.address, phase: 'answer', topic: parcel.topic, cause },
    )
  }
}

const noWritableQueue = (topic: string): RocketError =>
  new RocketError(
    `topic ${topic} has no queue that can be written: its brokers have no master now, or do not permit writes; check "skylark topicRoute -t ${topic}"`,
    { code: 'NO_ROUTE', topic, phase: 'resolve', retryable: true },
  )

function refusal(answer: Answer<typeof SendMessageV2>, parcel: Parcel, queue: MessageQueue): RocketError {
  try {
    expectSuccess(answer)
  } catch (error) {
    if (error instanceof RocketError) {
      return new RocketError(error.message, {
        code: error.code,
        brokerCode: error.brokerCode,
        retryable: error.retryable,
        address: error.address,
        phase: 'answer',
        topic: parcel.topic,
        group: parcel.group,
        queueId: queue.queueId,
      })
    }
  }
  return new RocketError(`the broker answered code ${answer.code}`, { code: 'SYSTEM_ERROR', brokerCode: answer.code, topic: parcel.topic })
}

function finalError(parcel: Parcel, failures: readonly RocketError[], timeoutMs: number): RocketError {
  const last = failures.at(-1)
  if (!last) {
    return new RocketError(`the message to topic ${parcel.topic} was not sent within ${timeoutMs} ms; no attempt could be made`, {
      code: 'TIMEOUT',
      retryable: true,
      topic: parcel.topic,
      phase: 'send',
    })
  }
  const causes = failures.map((f) => `${f.address ?? 'no address'}: ${f.message}`)
  const sentence =
    failures.length === 1
      ? `the message to topic ${parcel.topic} was not sent: ${last.message}`
      : `the message to topic ${parcel.topic} was not sent in ${failures.length} attempts: ${causes.join('; ')}`
  return new RocketError(sentence, {
    code: last.code,
    brokerCode: last.brokerCode,
    retryable: last.retryable,
    address: last.address,
    phase: last.phase ?? 'send',
    topic: parcel.topic,
    group: parcel.group,
    queueId: last.queueId,
    cause: failures.length === 1 ? last : new AggregateError(failures, 'every attempt failed'),
  })
}
