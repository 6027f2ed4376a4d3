import type { MessageQueue } from '@skylarkmq/remoting/protocol'
import { checkGroupName, checkTopicName, RocketError } from '@skylarkmq/remoting/protocol'
import { homedir } from 'node:os'
import type { EventEmitter } from 'node:events'
import type { ProducerCore } from '../core/client-core.ts'
import type { ClientCore, CloseOptions } from '../core/types.ts'
import { traceConsume } from '../message-trace/consume-trace.ts'
import { tracerFor } from '../message-trace/tracer.ts'
import type { MessageTraceOption } from '../message-trace/tracer.ts'
import { withNamespace } from '../namespace.ts'
import { averagely } from './allocation/simple.ts'
import type { AllocationStrategy } from './allocation/types.ts'
import { ByKeyConsumption } from './consume-by-key.ts'
import { ConsumptionByMode } from './consume-by-mode.ts'
import type { ConcurrentOptions } from './consume-concurrently.ts'
import { ConcurrentConsumption } from './consume-concurrently.ts'
import { OrderlyConsumption } from './consume-orderly.ts'
import { PoppedConsumption } from './consume-popped.ts'
import type { ConsumeService } from './consume-service.ts'
import type { ConsumerEvents } from './engine-options.ts'
import { ConsumerEngine } from './consumer-engine.ts'
import type { BatchHandler, MessageHandler } from './handler.ts'
import { HandlerRunner } from './handler.ts'
import type { MessagesOptions } from './message-stream.ts'
import { MessageStream } from './message-stream.ts'
import { PopCalls } from './pop-calls.ts'
import type { ConsumedMessage, ReceivedMessage } from './received-message.ts'
import type { OnInvalid, StandardSchema } from './schema.ts'
import { answerBrokers } from './running-info.ts'
import type { ConsumeFrom } from './start-offset.ts'
import type { Subscription } from './subscriptions.ts'
import type { Delivery } from './wanted-queues.ts'

export interface PushConsumerOptions<T = unknown> {
  readonly group: string
  /** Topic → `*`, `TagA || TagB`, `{ tags: [...] }` or `{ sql: '...' }`. All members of a group must subscribe to the same. */
  readonly subscriptions: Readonly<Record<string, Subscription>>
  /** Called for each message: returning acknowledges, throwing asks for another delivery. Leave it out to use `messages()`. */
  readonly handler?: MessageHandler<T>
  /** Instead of `handler`: several messages of one queue at a time, up to `batchSize`. */
  readonly batchHandler?: BatchHandler<T>
  readonly batchSize?: number
  /** One message of a queue after the other; a failed one is tried again before its successors. */
  readonly orderly?: boolean
  /**
   * Order per key while other keys of the same queue go on: messages for which this returns the same text run one after the other, a failed
   * one is tried again before its successors. `undefined`: no order for this message. `'orderKey'`: the key it was sent with.
   */
  readonly orderBy?: 'orderKey' | ((message: ReceivedMessage) => string | undefined)
  /** What bodies must be, by a validator of any library (standardschema.dev): `message.value` has its type. */
  readonly schema?: StandardSchema<unknown, T>
  /** From the body to what the schema checks. Default: JSON. */
  readonly decode?: (message: ReceivedMessage) => unknown
  /** What becomes of a message that the schema refuses. Default `deadLetter`. */
  readonly onInvalid?: OnInvalid
  /** `clustering` (default): members share the messages. `broadcasting`: each member gets all. */
  readonly model?: 'clustering' | 'broadcasting'
  /**
   * `pull` (default): members share the queues. `pop` (RocketMQ 5): members share the messages, each of which is ours for `invisibleMs`;
   * one slow or hung member holds up nobody, and there may be more members than queues. `broker`: as the broker says, topic by topic
   * (`mqadmin setConsumeMode`). Not with order or broadcasting, as with RocketMQ's own client.
   */
  readonly delivery?: Delivery
  /** Popped messages: what is not settled so long after it came is delivered again. `extend()` asks for more. Default 60 000. */
  readonly invisibleMs?: number
  /** Where a new group begins. Default `last`. */
  readonly consumeFrom?: ConsumeFrom
  /** Handler calls at a time (orderly: queues at a time). Default 20. */
  readonly concurrency?: number
  /** Attempts after the first before the dead letters. Default 16; `orderly`: -1, no end. */
  readonly maxReconsumeTimes?: number
  /** A message that a handler has for longer is delivered again later. Default 15 min; not for orderly consumers. */
  readonly consumeTimeoutMs?: number
  /** Orderly: how long a queue rests after a failure. Default 1000. */
  readonly suspendMs?: number
  /** Default: runs of consecutive queues, as all clients. */
  readonly allocation?: AllocationStrategy
  /** Messages asked for at once. Default 32. */
  readonly pullBatchSize?: number
  /** Unconsumed messages of one queue that are held here. Default 1000. */
  readonly cachedMessagesPerQueue?: number
  /** Default 100 MiB. */
  readonly cachedBytesPerQueue?: number
  /** Largest distance between the oldest and newest unconsumed offset of a queue. Default 2000; not for orderly consumers. */
  readonly maxSpan?: number
  /** A queue that makes no progress for so long is reported once, by the event `stalled` and a line of log. Default 2 min; 0: never. */
  readonly stalledAfterMs?: number
  /** Writes RocketMQ's message trace: when each message was handled, how long it took, how it went. Default false. */
  readonly messageTrace?: MessageTraceOption
  /** Broadcasting: the folder for this member's offsets. Default `~/.rocketmq_offsets`. */
  readonly offsetFolder?: string
}

const DEFAULT_CONCURRENCY = 20
const DEFAULT_DRAIN_MS = 10_000
const DEFAULT_RECONSUME_TIMES = 16
const DEFAULT_STALLED_MS = 120_000
const DEFAULT_INVISIBLE_MS = 60_000
const INVISIBLE_MIN_MS = 1000
const INVISIBLE_MAX_MS = 24 * 3_600_000
const FAILURE_LOG_MS = 10_000

/** Receives messages as they come. Made by `createPushConsumer` or `client.pushConsumer`. */
export class PushConsumer<T = unknown> implements AsyncDisposable {
  readonly #engine: ConsumerEngine
  readonly #options: PushConsumerOptions<T>
  readonly #ownsCore: boolean
  readonly #undo: (() => void)[] = []
  readonly #stream: MessageStream | undefined
  #failures = 0
  #quietUntilMs = 0
  #starting: Promise<void> | undefined
  #closing: Promise<void> | undefined

  constructor(core: ProducerCore, ownsCore: boolean, options: PushConsumerOptions<T>) {
    checkOptions(options)
    checkSubscriptions(withNamespace(core.namespace, options.group), mapTopics(core.namespace, options.subscriptions))
    this.#options = options
    this.#ownsCore = ownsCore
    const isBroadcasting = options.model === 'broadcasting'
    const isOrderly = (options.orderly ?? false) || options.orderBy !== undefined
    const { namespace } = core
    const group = withNamespace(namespace, options.group)
    const engine = new ConsumerEngine(core, {
      group,
      subscriptions: mapTopics(namespace, options.subscriptions),
      model: isBroadcasting ? 'BROADCASTING' : 'CLUSTERING',
      consumeType: 'CONSUME_PASSIVELY',
      isOrderly,
      consumeFrom: options.consumeFrom ?? 'last',
      strategy: options.allocation ?? averagely,
      isAutoCommit: true,
      delivery: options.delivery ?? 'pull',
      limits: {
        batchSize: options.pullBatchSize ?? 32,
        suspendMs: 15_000,
        cachedMessages: options.cachedMessagesPerQueue ?? 1000,
        cachedBytes: options.cachedBytesPerQueue ?? 100 * 1024 * 1024,
        span: isOrderly ? Number.POSITIVE_INFINITY : (options.maxSpan ?? 2000),
      },
      stalledAfterMs: options.stalledAfterMs ?? DEFAULT_STALLED_MS,
      offsetFile: offsetFile(options.offsetFolder, core.clientId, group),
    })
    this.#engine = engine
    this.#stream = options.handler || options.batchHandler ? undefined : new MessageStream(engine, () => this.start())
    const runner = this.#newRunner(core)
    engine.service = this.#newService(core, runner, isBroadcasting)
    // Without a handler, messages wait at the broker until a loop over `messages()` begins.
    if (this.#stream) engine.pause()
    this.#undo.push(
      answerBrokers(engine, runner),
      core.onClose((closeOptions) => this.close(closeOptions)),
    )
  }

  #newRunner(core: ProducerCore): HandlerRunner {
    const { options, engine } = { options: this.#options, engine: this.#engine }
    const one = options.handler ?? this.#stream?.handler
    const tracer = tracerFor(core, options.messageTrace)
    return new HandlerRunner({
      // What a handler gets has been through the schema that gives it its type.
      ...(options.batchHandler ? { many: options.batchHandler as BatchHandler } : one ? { one: one as MessageHandler } : {}),
      namespace: core.namespace,
      schema: options.schema,
      decode: options.decode,
      onInvalid: options.onInvalid,
      onError: (message, error) => {
        this.#noteFailure(core, message, error)
        engine.events.emit('handlerError', error, message)
      },
      trace: tracer && ((messages) => traceConsume(tracer, options.group, messages)),
    })
  }

  #newService(core: ProducerCore, runner: HandlerRunner, isBroadcasting: boolean): ConsumeService {
    const { options, engine } = { options: this.#options, engine: this.#engine }
    const { orderBy, suspendMs = 1000, batchSize = 1, concurrency = DEFAULT_CONCURRENCY } = options
    const { calls, locks } = engine
    const common = { core, calls, runner, queues: () => engine.assignment.all }
    const bounded = () => this.#stream?.concurrency ?? concurrency
    if (orderBy !== undefined) {
      const keyOf = orderBy === 'orderKey' ? (message: ConsumedMessage) => message.orderKey : orderBy
      return new ByKeyConsumption({
        ...common,
        concurrency: bounded,
        keyOf,
        maxReconsumeTimes: options.maxReconsumeTimes ?? DEFAULT_RECONSUME_TIMES,
        suspendMs,
        locks,
      })
    }
    if (options.orderly) {
      return new OrderlyConsumption({
        ...common,
        batchSize,
        concurrency: bounded,
        maxReconsumeTimes: options.maxReconsumeTimes ?? -1,
        suspendMs,
        locks,
      })
    }
    const concurrently = {
      ...common,
      batchSize,
      maxReconsumeTimes: options.maxReconsumeTimes ?? DEFAULT_RECONSUME_TIMES,
      consumeTimeoutMs: options.consumeTimeoutMs ?? 15 * 60_000,
      isBroadcasting,
      queueCount: () => engine.assignment.ordinary,
    }
    if ((options.delivery ?? 'pull') === 'pull') return new ConcurrentConsumption({ ...concurrently, concurrency: bounded })
    return this.#popAsWell(runner, concurrently, bounded)
  }

  /** Pulled and popped messages share the handlers. */
  #popAsWell(runner: HandlerRunner, common: Omit<ConcurrentOptions, 'concurrency'>, bounded: () => number): ConsumeService {
    const engine = this.#engine
    const { cachedMessagesPerQueue, invisibleMs = DEFAULT_INVISIBLE_MS } = this.#options
    const pulled: ConcurrentConsumption = new ConcurrentConsumption({
      ...common,
      concurrency: () => bounded() - popped.inFlight,
      onSlotFree: () => popped.pump(),
    })
    const popped: PoppedConsumption = new PoppedConsumption({
      ...common,
      popCalls: new PopCalls(engine.core, engine.options.group),
      subscriptions: engine.subscriptions,
      concurrency: () => bounded() - pulled.inFlight,
      // What waits here is kept from other members: no more than what keeps the handlers busy.
      cachedMessages: () => cachedMessagesPerQueue ?? 2 * bounded() * common.batchSize,
      invisibleMs,
      onSlotFree: () => pulled.pump(),
    })
    const service = new ConsumptionByMode(pulled, popped)
    runner.leases = service
    engine.popHooks = {
      invisibleMs,
      room: (assigned) => popped.room(assigned),
      onPopped: (assigned, entries) => popped.onPopped(assigned, entries),
      onLate: (entries) => popped.giveBack(entries),
    }
    return service
  }

  get group(): string {
    return this.#options.group
  }

  /** The queues that this consumer owns now. */
  get queues(): readonly MessageQueue[] {
    return this.#engine.queues
  }

  get events(): EventEmitter<ConsumerEvents> {
    return this.#engine.events
  }

  /**
   * Joins the group and begins. Rejects when no NameServer can be reached or a broker refuses an expression; a broker that is away is
   * waited for.
   */
  start(): Promise<void> {
    if (this.#closing) return Promise.reject(closedError(this.group))
    this.#starting ??= this.#engine.start().catch((error) => {
      this.#starting = undefined
      throw error
    })
    return this.#starting
  }

  /** Takes a topic in, or changes its expression. All members of the group should do the same. */
  async subscribe(topic: string, subscription: Subscription): Promise<void> {
    checkSubscriptions(this.group, { [topic]: subscription })
    await this.#engine.subscribe(withNamespace(this.#engine.core.namespace, topic), subscription)
  }

  async unsubscribe(topic: string): Promise<void> {
    await this.#engine.unsubscribe(withNamespace(this.#engine.core.namespace, topic))
  }

  /** No new messages for handlers and no pulls; the queues stay ours. */
  pause(): void {
    this.#engine.pause()
  }

  resume(): void {
    this.#engine.resume()
  }

  /**
   * The messages, one after the other: `for await (const message of consumer.messages())`. A message is acknowledged when the loop asks
   * for the next one; leaving the loop by `break` or an error leaves its last message for another delivery, unless `ack()` was called.
   * Several loops may run at once over one consumer; `concurrency` bounds the unsettled messages of all.
   */
  messages(options: MessagesOptions = {}): AsyncIterable<ConsumedMessage<T>> {
    if (!this.#stream) {
      throw new RocketError('this consumer has a handler; create it without one to iterate over messages()', { code: 'BAD_ARGUMENT' })
    }
    return this.#stream.iterate(options) as AsyncIterable<ConsumedMessage<T>>
  }

  /**
   * Stops fetching, gives handlers at work up to `drainMs` (default 10 s), then aborts their signals; stores progress, releases locks,
   * tells the brokers. Always resolves, also with no broker left, at most a second after `drainMs`.
   */
  close(options: CloseOptions = {}): Promise<void> {
    this.#closing ??= this.#close(options)
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** A line now and then, however many messages fail; `events` has each. */
  #noteFailure(core: ClientCore, message: ConsumedMessage, error: unknown): void {
    this.#failures++
    const now = core.clock.monotonic()
    if (now < this.#quietUntilMs) return
    this.#quietUntilMs = now + FAILURE_LOG_MS
    const fields = { group: this.group, topic: message.topic, messageId: message.messageId, failures: this.#failures, error }
    core.log.warn('a handler failed; its message is delivered again', fields)
    this.#failures = 0
  }

  async #close(options: CloseOptions): Promise<void> {
    for (const undo of this.#undo.splice(0)) undo()
    this.#stream?.end()
    await this.#engine.close(options.drainMs ?? DEFAULT_DRAIN_MS)
    if (this.#ownsCore) await this.#engine.core.close({ drainMs: 0 })
  }
}

export const closedError = (group: string): RocketError =>
  new RocketError(`the consumer of group ${group} is closed; create another one`, { code: 'CLOSED', group })

/** As Java: a broadcasting member keeps its file over restarts, so the generated part of a client id does not count. */
function offsetFile(folder: string | undefined, clientId: string, group: string): string {
  const name = clientId.replace(/@\d+#\d+/, '@DEFAULT')
  return `${folder ?? `${homedir()}/.rocketmq_offsets`}/${name}/${group}/offsets.json`
}

export function checkSubscriptions(group: string, subscriptions: Readonly<Record<string, unknown>>): void {
  const wrong = checkGroupName(group) ?? Object.keys(subscriptions).map(checkTopicName).find(Boolean)
  if (wrong) throw new RocketError(wrong, { code: 'BAD_ARGUMENT', group })
}

export const mapTopics = (
  namespace: string | undefined,
  subscriptions: Readonly<Record<string, Subscription>>,
): Readonly<Record<string, Subscription>> =>
  Object.fromEntries(Object.entries(subscriptions).map(([topic, subscription]) => [withNamespace(namespace, topic), subscription]))

function checkOptions<T>(options: PushConsumerOptions<T>): void {
  checkSubscriptions(options.group, options.subscriptions)
  const fail = (sentence: string) => {
    throw new RocketError(sentence, { code: 'BAD_ARGUMENT', group: options.group })
  }
  if (Object.keys(options.subscriptions).length === 0) fail('a push consumer needs at least one topic in subscriptions')
  if (options.handler && options.batchHandler) fail('give either handler or batchHandler, not both')
  if (options.orderBy && options.orderly) fail('orderly gives order per queue, orderBy order per key; give one of them')
  if (options.orderBy && options.batchHandler) fail('orderBy hands out one message at a time; give a handler instead of batchHandler')
  checkDelivery(options, fail)
  for (const name of ['batchSize', 'concurrency', 'consumeTimeoutMs', 'pullBatchSize', 'cachedMessagesPerQueue'] as const) {
    const value = options[name]
    if (value !== undefined && !(Number.isInteger(value) && value > 0)) fail(`${name} is ${value}; it must be a whole number above 0`)
  }
}

function checkDelivery<T>(options: PushConsumerOptions<T>, fail: (sentence: string) => void): void {
  const { delivery = 'pull', invisibleMs, allocation, consumeFrom } = options
  if (!['pull', 'pop', 'broker'].includes(delivery)) fail(`delivery is ${String(delivery)}; it must be pull, pop or broker`)
  if (delivery === 'pull') return
  if (options.orderly || options.orderBy) fail(`delivery: '${delivery}' gives no order; leave it out for consumers with order`)
  if (options.model === 'broadcasting') fail(`delivery: '${delivery}' is for groups that share messages; leave it out for broadcasting`)
  if (typeof consumeFrom === 'object') fail(`delivery: '${delivery}' begins with the first or the last message, not at a time`)
  if (delivery === 'broker' && allocation && !['AVG', 'AVG_BY_CIRCLE'].includes(allocation.name)) {
    fail(`brokers share queues out averagely or averagelyByCircle, not by ${allocation.name}`)
  }
  const isTime =
    invisibleMs === undefined || (Number.isInteger(invisibleMs) && invisibleMs >= INVISIBLE_MIN_MS && invisibleMs <= INVISIBLE_MAX_MS)
  if (!isTime) fail(`invisibleMs is ${invisibleMs}; it must be a whole number from ${INVISIBLE_MIN_MS} to ${INVISIBLE_MAX_MS}`)
}
