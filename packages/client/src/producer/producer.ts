import type { MessageQueue } from '@skylarkmq/remoting/protocol'
import type { ProducerCore } from '../core/client-core.ts'
import type { ReceivedMessage } from '../consumer/received-message.ts'
import type { CloseOptions, GroupMember } from '../core/types.ts'
import type { MessageTracer } from '../message-trace/tracer.ts'
import { RocketError, SYS_FLAG, checkGroupName, createUniqueIds } from '@skylarkmq/remoting/protocol'
import { DEFAULT_DRAIN_MS } from '../core/client-core.ts'
import { settledWithin } from '../core/waiting.ts'
import { regionOf, tracerFor } from '../message-trace/tracer.ts'
import { transactionTrace } from '../message-trace/transaction-trace.ts'
import { queueWithoutNamespace, withNamespace } from '../namespace.ts'
import { sendBatches } from './batch-sender.ts'
import { BrokerLatency } from './broker-latency.ts'
import { Delivery } from './delivery.ts'
import { checkTopic } from './encode-message.ts'
import { InFlight } from './in-flight.ts'
import { outgoingCheck } from './outgoing-check.ts'
import { QueueSelector } from './queue-selector.ts'
import { handleOf, recallMessage } from './recall.ts'
import { Requests, sendReply } from './request-reply.ts'
import type { ReplyOptions, RequestOptions } from './request-reply.ts'
import { Sender } from './sender.ts'
import type { ProducerSettings } from './settings.ts'
import { settingsOf } from './settings.ts'
import { Transactions, transactionProperties } from './transaction.ts'
import type { TransactionReceipt, TransactionWork } from './transaction.ts'
import type { Message, Producer, ProducerOptions, RecallOptions, SendOptions, SendReceipt, TransactionOptions } from './types.ts'

export interface ProducerParts {
  readonly core: ProducerCore
  /** The client made for this producer alone is closed with it. */
  readonly ownsCore: boolean
}

class DefaultProducer implements Producer {
  readonly group: string
  /** With the client's namespace. */
  readonly #brokerGroup: string
  readonly #tracer: MessageTracer | undefined
  readonly #core: ProducerCore
  readonly #ownsCore: boolean
  readonly #settings: ProducerSettings
  readonly #delivery: Delivery
  readonly #inFlight: InFlight
  readonly #sender: Sender
  readonly #transactions: Transactions
  readonly #requests: Requests
  readonly #member: GroupMember
  readonly #forgetOnClose: () => void
  #closing: Promise<void> | undefined

  constructor(parts: ProducerParts, options: ProducerOptions) {
    const { core } = parts
    const wrong = checkGroupName(options.group) ?? checkGroupName(withNamespace(core.namespace, options.group))
    if (wrong) throw new RocketError(wrong, { code: 'BAD_ARGUMENT', group: options.group })
    this.group = options.group
    this.#brokerGroup = withNamespace(core.namespace, options.group)
    this.#tracer = tracerFor(core, options.messageTrace)
    this.#core = core
    this.#ownsCore = parts.ownsCore
    this.#settings = settingsOf(options)
    const latency = this.#settings.avoidSlowBrokers ? new BrokerLatency(core.clock) : undefined
    this.#delivery = new Delivery(core, new QueueSelector(core.random, latency), latency)
    this.#inFlight = new InFlight(this.#settings.inFlight)
    this.#sender = new Sender({
      core,
      group: this.group,
      brokerGroup: this.#brokerGroup,
      settings: this.#settings,
      check: outgoingCheck(options, core.log),
      tracer: this.#tracer,
      delivery: this.#delivery,
      inFlight: this.#inFlight,
      nextId: createUniqueIds({ clock: core.clock, random: core.random, host: core.clientId.slice(0, core.clientId.indexOf('@')) }),
      checkOpen: () => this.#checkOpen(),
    })
    this.#transactions = new Transactions({
      core,
      group: this.#brokerGroup,
      onCheck: options.onCheck,
      timeoutMs: this.#settings.timeoutMs,
      onEnded: transactionTrace(core, this.#tracer, this.group),
    })
    this.#requests = new Requests({
      core,
      group: this.#brokerGroup,
      send: (message, properties, sendOptions) => this.#sender.send(message, sendOptions, properties),
    })
    this.#member = { kind: 'producer', group: this.#brokerGroup, topics: () => this.#sender.topics }
    core.registerGroup(this.#member)
    this.#forgetOnClose = core.onClose((closeOptions) => this.close(closeOptions), 'producer')
  }

  send(message: Message, options: SendOptions = {}): Promise<SendReceipt> {
    return this.#sender.send(message, options)
  }

  sendOneway(message: Message, options: SendOptions = {}): Promise<void> {
    return this.#sender.oneway(message, options)
  }

  async sendAll(messages: Iterable<Message>, options: SendOptions = {}): Promise<readonly SendReceipt[]> {
    this.#checkOpen()
    return sendBatches(this.#sender, [...messages], options)
  }

  async sendInTransaction(message: Message, work: TransactionWork, options: TransactionOptions = {}): Promise<TransactionReceipt> {
    this.#checkOpen()
    if (message.delayLevel || message.delayMs || message.deliverAt) {
      throw new RocketError(`the message to topic ${message.topic} has a delay; messages of a transaction are delivered when it commits`, {
        code: 'BAD_ARGUMENT',
        topic: message.topic,
      })
    }
    const properties = transactionProperties(this.#brokerGroup, options.checkAfterMs)
    return this.#transactions.run(await this.#sender.send(message, options, properties, SYS_FLAG.TRANSACTION_PREPARED), work)
  }

  async request(message: Message, options: RequestOptions = {}): Promise<ReceivedMessage> {
    this.#checkOpen()
    return this.#requests.request(message, { ...options, timeoutMs: options.timeoutMs ?? this.#settings.timeoutMs })
  }

  async reply(request: ReceivedMessage, body: Uint8Array | string, options: ReplyOptions = {}): Promise<SendReceipt> {
    this.#checkOpen()
    return sendReply(this.#sender, request, body, options)
  }

  recall(receipt: SendReceipt, options?: RecallOptions): Promise<string>
  recall(topic: string, recallHandle: string, options?: RecallOptions): Promise<string>
  async recall(sent: SendReceipt | string, second?: string | RecallOptions, third?: RecallOptions): Promise<string> {
    if (typeof sent === 'string') return this.#recall(sent, second as string, third)
    return this.#recall(sent.queue.topic, handleOf(sent), second as RecallOptions | undefined)
  }

  async #recall(topic: string, recallHandle: string, options: RecallOptions = {}): Promise<string> {
    this.#checkOpen()
    const recalled = { topic, recallHandle, producerGroup: this.#brokerGroup }
    const timeoutMs = options.timeoutMs ?? this.#settings.timeoutMs
    const messageId = await recallMessage(this.#core, recalled, { timeoutMs, signal: options.signal })
    const region = regionOf(undefined, undefined) as string
    this.#tracer?.add({ type: 'recalled', time: this.#tracer.now, region, group: this.group, topic, messageId, isSuccess: true })
    return messageId
  }

  async queues(topic: string): Promise<readonly MessageQueue[]> {
    checkTopic(topic)
    const { namespace } = this.#core
    return (await this.#core.publishQueues(withNamespace(namespace, topic))).map((queue) => queueWithoutNamespace(namespace, queue))
  }

  close(options: CloseOptions = {}): Promise<void> {
    this.#closing ??= this.#close(options)
    return this.#closing
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(options: CloseOptions): Promise<void> {
    this.#forgetOnClose()
    const idle = Promise.all([this.#inFlight.idle(), this.#transactions.idle()])
    await settledWithin(this.#core.clock, idle, options.drainMs ?? DEFAULT_DRAIN_MS)
    this.#transactions.close()
    this.#requests.close()
    if (this.#inFlight.count > 0) {
      this.#core.log.warn('closing a producer with messages under way', { group: this.group, messages: this.#inFlight.count })
      const error = new RocketError('the producer was closed before the message was sent', {
        code: 'CLOSED',
        group: this.group,
        phase: 'close',
      })
      this.#inFlight.refuseWaiting(error)
      this.#delivery.stopRetrying()
    }
    await this.#core.unregisterGroup(this.#member)
    if (this.#ownsCore) await this.#core.close({ drainMs: 0 })
  }

  #checkOpen(): void {
    if (this.#closing)
      throw new RocketError('this producer is closed; create another one', { code: 'CLOSED', group: this.group, phase: 'close' })
  }
}

export const newProducer = (parts: ProducerParts, options: ProducerOptions): Producer => new DefaultProducer(parts, options)
