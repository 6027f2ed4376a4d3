import type { MessageQueue } from '@skylarkmq/remoting/protocol'
import { checkGroupName, checkTopicName, RocketError } from '@skylarkmq/remoting/protocol'
import { homedir } from 'node:os'
import type { EventEmitter } from 'node:events'
import type { ClientCore, CloseOptions } from '../core/types.ts'
import { averagely } from './allocation/simple.ts'
import type { AllocationStrategy } from './allocation/types.ts'
import { ConcurrentConsumption } from './consume-concurrently.ts'
import { OrderlyConsumption } from './consume-orderly.ts'
import type { ConsumerEvents } from './consumer-engine.ts'
import { ConsumerEngine } from './consumer-engine.ts'
import type { BatchHandler, MessageHandler } from './handler.ts'
import { HandlerRunner } from './handler.ts'
import type { MessagesOptions } from './message-stream.ts'
import { MessageStream } from './message-stream.ts'
import type { ConsumedMessage } from './received-message.ts'
import { answerBrokers } from './running-info.ts'
import type { ConsumeFrom } from './start-offset.ts'
import type { Subscription } from './subscriptions.ts'

export interface PushConsumerOptions {
  readonly group: string
  /** Topic → `*`, `TagA || TagB`, `{ tags: [...] }` or `{ sql: '...' }`. All members of a group must subscribe to the same. */
  readonly subscriptions: Readonly<Record<string, Subscription>>
  /** Called for each message: returning acknowledges, throwing asks for another delivery. Leave it out to use `messages()`. */
  readonly handler?: MessageHandler
  /** Instead of `handler`: several messages of one queue at a time, up to `batchSize`. */
  readonly batchHandler?: BatchHandler
  readonly batchSize?: number
  /** One message of a queue after the other; a failed one is tried again before its successors. */
  readonly orderly?: boolean
  /** `clustering` (default): members share the messages. `broadcasting`: each member gets all. */
  readonly model?: 'clustering' | 'broadcasting'
  /** Where a new group begins. Default `last`. */
  readonly consumeFrom?: ConsumeFrom
  /** Handler calls at a time (orderly: queues at a time). Default 20. */
  readonly concurrency?: number
  /** Attempts after the first before the dead letters. Default 16; orderly: -1, no end. */
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
  /** Broadcasting: the folder for this member's offsets. Default `~/.rocketmq_offsets`. */
  readonly offsetFolder?: string
}

const DEFAULT_CONCURRENCY = 20
const DEFAULT_DRAIN_MS = 10_000
const FAILURE_LOG_MS = 10_000

/** Receives messages as they come. Made by `createPushConsumer` or `client.pushConsumer`. */
export class PushConsumer implements AsyncDisposable {
  readonly #engine: ConsumerEngine
  readonly #options: PushConsumerOptions
  readonly #ownsCore: boolean
  readonly #undo: (() => void)[] = []
  readonly #stream: MessageStream | undefined
  #failures = 0
  #quietUntilMs = 0
  #starting: Promise<void> | undefined
  #closing: Promise<void> | undefined

  constructor(core: ClientCore, ownsCore: boolean, options: PushConsumerOptions) {
    checkOptions(options)
    this.#options = options
    this.#ownsCore = ownsCore
    const isBroadcasting = options.model === 'broadcasting'
    const isOrderly = options.orderly ?? false
    const engine = new ConsumerEngine(core, {
      group: options.group,
      subscriptions: options.subscriptions,
      model: isBroadcasting ? 'BROADCASTING' : 'CLUSTERING',
      consumeType: 'CONSUME_PASSIVELY',
      isOrderly,
      consumeFrom: options.consumeFrom ?? 'last',
      strategy: options.allocation ?? averagely,
      isAutoCommit: true,
      limits: {
        batchSize: options.pullBatchSize ?? 32,
        suspendMs: 15_000,
        cachedMessages: options.cachedMessagesPerQueue ?? 1000,
        cachedBytes: options.cachedBytesPerQueue ?? 100 * 1024 * 1024,
        span: isOrderly ? Number.POSITIVE_INFINITY : (options.maxSpan ?? 2000),
      },
      offsetFile: offsetFile(options.offsetFolder, core.clientId, options.group),
    })
    this.#engine = engine
    this.#stream = options.handler || options.batchHandler ? undefined : new MessageStream(engine, () => this.start())
    const one = options.handler ?? this.#stream?.handler
    const runner = new HandlerRunner({
      ...(options.batchHandler ? { many: options.batchHandler } : one ? { one } : {}),
      onError: (message, error) => {
        this.#noteFailure(core, message, error)
        engine.events.emit('handlerError', error, message)
      },
    })
    const common = { core, calls: engine.calls, runner, batchSize: options.batchSize ?? 1, queues: () => engine.assignment.all }
    const concurrency = options.concurrency ?? DEFAULT_CONCURRENCY
    engine.service = isOrderly
      ? new OrderlyConsumption({
          ...common,
          concurrency,
          maxReconsumeTimes: options.maxReconsumeTimes ?? -1,
          suspendMs: options.suspendMs ?? 1000,
          locks: engine.locks,
        })
      : new ConcurrentConsumption({
          ...common,
          concurrency: () => this.#stream?.concurrency ?? concurrency,
          maxReconsumeTimes: options.maxReconsumeTimes ?? 16,
          consumeTimeoutMs: options.consumeTimeoutMs ?? 15 * 60_000,
          isBroadcasting,
          queueCount: () => engine.assignment.ordinary,
        })
    // Without a handler, messages wait at the broker until a loop over `messages()` begins.
    if (this.#stream) engine.pause()
    this.#undo.push(
      answerBrokers(engine, runner),
      core.onClose((closeOptions) => this.close(closeOptions)),
    )
  }

  get group(): string {
    return this.#options.group
  }

  /** The queues that this consumer owns now. */
  get queues(): readonly MessageQueue[] {
    return this.#engine.assignment.all.map((assigned) => assigned.queue)
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
    await this.#engine.subscribe(topic, subscription)
  }

  async unsubscribe(topic: string): Promise<void> {
    await this.#engine.unsubscribe(topic)
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
  messages(options: MessagesOptions = {}): AsyncIterable<ConsumedMessage> {
    if (!this.#stream) {
      throw new RocketError('this consumer has a handler; create it without one to iterate over messages()', { code: 'BAD_ARGUMENT' })
    }
    return this.#stream.iterate(options)
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

function checkOptions(options: PushConsumerOptions): void {
  checkSubscriptions(options.group, options.subscriptions)
  const fail = (sentence: string) => {
    throw new RocketError(sentence, { code: 'BAD_ARGUMENT', group: options.group })
  }
  if (Object.keys(options.subscriptions).length === 0) fail('a push consumer needs at least one topic in subscriptions')
  if (options.handler && options.batchHandler) fail('give either handler or batchHandler, not both')
  for (const name of ['batchSize', 'concurrency', 'consumeTimeoutMs', 'pullBatchSize', 'cachedMessagesPerQueue'] as const) {
    const value = options[name]
    if (value !== undefined && !(Number.isInteger(value) && value > 0)) fail(`${name} is ${value}; it must be a whole number above 0`)
  }
}
