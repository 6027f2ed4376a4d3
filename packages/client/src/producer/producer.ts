import type { MessageQueue } from '@skylarkmq/remoting/protocol'
import type { ProducerCore } from '../core/client-core.ts'
import type { ReceivedMessage } from '../consumer/received-message.ts'
import type { CloseOptions, GroupMember } from '../core/types.ts'
import type { MessageTracer } from '../message-trace/tracer.ts'
import { RecallMessage, RocketError, SYS_FLAG, checkGroupName, createUniqueIds } from '@skylarkmq/remoting/protocol'
import { expectSuccess } from '@skylarkmq/remoting'
import { DEFAULT_DRAIN_MS } from '../core/client-core.ts'
import { forEachLimited, settledWithin } from '../core/waiting.ts'
import { traceSend } from '../message-trace/send-trace.ts'
import { regionOf, tracerFor } from '../message-trace/tracer.ts'
import { queueWithNamespace, queueWithoutNamespace, withNamespace, withoutNamespace } from '../namespace.ts'
import { outgoingTrace } from '../trace-context.ts'
import { traced } from '../tracing.ts'
import type { Bundle, Numbered } from './batch.ts'
import { SendAllError, bundleLanes, encodeBundle, splitReceipt } from './batch.ts'
import { BrokerLatency } from './broker-latency.ts'
import type { DeliveryOptions, Parcel } from './delivery.ts'
import { Delivery } from './delivery.ts'
import type { EncodedMessage } from './encode-message.ts'
import { checkTopic, compressed, encodeMessage, withProperties } from './encode-message.ts'
import { InFlight } from './in-flight.ts'
import type { OutgoingCheck } from './outgoing-check.ts'
import type { CheckOptions } from './outgoing-check.ts'
import { outgoingCheck } from './outgoing-check.ts'
import { QueueSelector, queueForKey } from './queue-selector.ts'
import { Requests, replyQueue, replyTo } from './request-reply.ts'
import type { ReplyOptions, RequestOptions } from './request-reply.ts'
import { Transactions, transactionProperties } from './transaction.ts'
import type { EndedHalf, TransactionReceipt, TransactionWork } from './transaction.ts'
import type { Message, Producer, ProducerOptions, RecallOptions, SendOptions, SendReceipt, TransactionOptions } from './types.ts'

/** RocketMQ's defaults (5.3 `DefaultMQProducer`). */
const DEFAULTS = {
  timeoutMs: 3000,
  retries: 2,
  maxMessageBytes: 4 * 1024 * 1024,
  compressFromBytes: 4096,
  batchBytes: 1024 * 1024,
  inFlightMessages: 1024,
  inFlightBytes: 64 * 1024 * 1024,
}
const PARALLEL_LANES = 4

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
  readonly #check: OutgoingCheck | undefined
  readonly #options: Required<
    Omit<ProducerOptions, 'inFlight' | 'group' | 'attemptTimeoutMs' | 'onCheck' | 'messageTrace' | keyof CheckOptions>
  >
  readonly #attemptTimeoutMs: number | undefined
  readonly #delivery: Delivery
  readonly #inFlight: InFlight
  readonly #transactions: Transactions
  readonly #requests: Requests
  readonly #topics = new Set<string>()
  readonly #member: GroupMember
  readonly #nextId: () => string
  readonly #forgetOnClose: () => void
  #closing: Promise<void> | undefined

  constructor(parts: ProducerParts, options: ProducerOptions) {
    const { core } = parts
    const wrong = checkGroupName(options.group) ?? checkGroupName(withNamespace(core.namespace, options.group))
    if (wrong) throw new RocketError(wrong, { code: 'BAD_ARGUMENT', group: options.group })
    this.group = options.group
    this.#brokerGroup = withNamespace(core.namespace, options.group)
    this.#tracer = tracerFor(core, options.messageTrace)
    this.#check = outgoingCheck(options, core.log)
    this.#core = core
    this.#ownsCore = parts.ownsCore
    this.#options = {
      timeoutMs: options.timeoutMs ?? DEFAULTS.timeoutMs,
      retries: options.retries ?? DEFAULTS.retries,
      retryWhenNotStoredSafely: options.retryWhenNotStoredSafely ?? false,
      maxMessageBytes: options.maxMessageBytes ?? DEFAULTS.maxMessageBytes,
      compressFromBytes: options.compressFromBytes ?? DEFAULTS.compressFromBytes,
      batchBytes: options.batchBytes ?? DEFAULTS.batchBytes,
      avoidSlowBrokers: options.avoidSlowBrokers ?? true,
    }
    this.#attemptTimeoutMs = options.attemptTimeoutMs
    const latency = this.#options.avoidSlowBrokers ? new BrokerLatency(core.clock) : undefined
    this.#delivery = new Delivery(core, new QueueSelector(core.random, latency), latency)
    this.#inFlight = new InFlight({
      messages: options.inFlight?.messages ?? DEFAULTS.inFlightMessages,
      bytes: options.inFlight?.bytes ?? DEFAULTS.inFlightBytes,
      whenFull: options.inFlight?.whenFull ?? 'wait',
    })
    this.#nextId = createUniqueIds({ clock: core.clock, random: core.random, host: core.clientId.slice(0, core.clientId.indexOf('@')) })
    this.#transactions = new Transactions({
      core,
      group: this.#brokerGroup,
      onCheck: options.onCheck,
      timeoutMs: this.#options.timeoutMs,
      onEnded: this.#tracer && ((half, outcome) => this.#noteTransactionEnd(half, outcome)),
    })
    this.#requests = new Requests({
      core,
      group: this.#brokerGroup,
      send: (message, properties, sendOptions) => this.#sendWith(message, properties, 0, sendOptions),
    })
    this.#member = { kind: 'producer', group: this.#brokerGroup, topics: () => this.#topics }
    core.registerGroup(this.#member)
    this.#forgetOnClose = core.onClose((closeOptions) => this.close(closeOptions), 'producer')
  }

  async send(message: Message, options: SendOptions = {}): Promise<SendReceipt> {
    this.#checkOpen()
    return traced(
      'send',
      () => this.#sendEvent(message),
      async (event) => {
        if (this.#check) await this.#check.check(message)
        const encoded = await this.#encode(message, event?.properties)
        return this.#bounded(encoded.body.length, options.signal, () => this.#deliver(encoded, this.#parcel(encoded), options, message))
      },
    )
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
    return this.#transactions.run(await this.#sendWith(message, properties, SYS_FLAG.TRANSACTION_PREPARED, options), work)
  }

  async request(message: Message, options: RequestOptions = {}): Promise<ReceivedMessage> {
    this.#checkOpen()
    return this.#requests.request(message, { ...options, timeoutMs: options.timeoutMs ?? this.#options.timeoutMs })
  }

  async reply(request: ReceivedMessage, body: Uint8Array | string, options: ReplyOptions = {}): Promise<SendReceipt> {
    this.#checkOpen()
    const [message, properties] = replyTo(request, body, options)
    const encoded = withProperties(await this.#encode(message, undefined, true), properties)
    const deliveryOptions = {
      ...this.#deliveryOptions(options, message, this.#options.retries),
      fixedQueue: replyQueue(request.brokerName),
    }
    return this.#bounded(encoded.body.length, options.signal, () =>
      this.#delivery.deliver({ ...this.#parcel(encoded), isReply: true }, deliveryOptions),
    )
  }

  /** A send with properties that are not the application's to set. */
  async #sendWith(
    message: Message,
    properties: readonly (readonly [string, string])[],
    sysFlag: number,
    options: SendOptions,
  ): Promise<SendReceipt> {
    return traced(
      'send',
      () => this.#sendEvent(message),
      async (event) => {
        if (this.#check) await this.#check.check(message)
        const encoded = withProperties(await this.#encode(message, event?.properties), properties)
        const parcel = { ...this.#parcel(encoded), sysFlag: encoded.sysFlag | sysFlag }
        return this.#bounded(encoded.body.length, options.signal, () => this.#deliver(encoded, parcel, options, message))
      },
    )
  }

  async sendOneway(message: Message, options: SendOptions = {}): Promise<void> {
    this.#checkOpen()
    if (this.#check) await this.#check.check(message)
    const encoded = await this.#encode(message)
    await this.#bounded(encoded.body.length, options.signal, () =>
      this.#delivery.oneway(this.#parcel(encoded), this.#deliveryOptions(options, message, 0)),
    )
  }

  async sendAll(messages: Iterable<Message>, options: SendOptions = {}): Promise<readonly SendReceipt[]> {
    this.#checkOpen()
    const given = [...messages]
    return traced(
      'send',
      () => ({ ...this.#sendEvent(given[0]), messages: given }),
      (event) => this.#sendBatches(given, options, event?.properties),
    )
  }

  async #sendBatches(
    given: readonly Message[],
    options: SendOptions,
    added: Readonly<Record<string, string>> | undefined,
  ): Promise<readonly SendReceipt[]> {
    // All are checked before any is sent.
    if (this.#check) for (const message of given) await this.#check.check(message)
    const numbered: Numbered[] = given.map((message, index) => ({
      index,
      message: this.#encodeOne(message, added),
      orderKey: message.orderKey,
    }))
    const receipts = Array.from<SendReceipt | undefined>({ length: given.length })
    const failures: { index: number; error: unknown }[] = []
    const lanes = bundleLanes(numbered, this.#options.batchBytes)
    await forEachLimited(lanes, PARALLEL_LANES, async (lane) => {
      for (const bundle of lane) {
        try {
          const sent = await this.#sendBundle(bundle, given, options)
          bundle.messages.forEach(({ index }, i) => {
            receipts[index] = sent[i]
          })
        } catch (error) {
          for (const { index } of bundle.messages) failures.push({ index, error })
        }
      }
    })
    if (failures.length > 0)
      throw new SendAllError(
        receipts,
        failures.sort((a, b) => a.index - b.index),
      )
    return receipts as SendReceipt[]
  }

  recall(receipt: SendReceipt, options?: RecallOptions): Promise<string>
  recall(topic: string, recallHandle: string, options?: RecallOptions): Promise<string>
  async recall(sent: SendReceipt | string, second?: string | RecallOptions, third?: RecallOptions): Promise<string> {
    if (typeof sent === 'string') return this.#recall(sent, second as string, third)
    const { recallHandle, queue, messageId } = sent
    if (recallHandle !== undefined) return this.#recall(queue.topic, recallHandle, second as RecallOptions | undefined)
    throw new RocketError(
      `the receipt of message ${messageId} has no recallHandle; only messages sent with delayMs or deliverAt can be taken back, and only by brokers of 5.3.2 and later`,
      { code: 'BAD_ARGUMENT', topic: queue.topic },
    )
  }

  async #recall(topic: string, recallHandle: string, options: RecallOptions = {}): Promise<string> {
    this.#checkOpen()
    checkTopic(topic)
    const brokerName = brokerOfHandle(recallHandle)
    const brokerTopic = withNamespace(this.#core.namespace, topic)
    if (!this.#core.brokerAddress(brokerName)) await this.#core.route(brokerTopic, { refresh: true })
    const answer = await this.#core.invoke(
      brokerName,
      RecallMessage,
      { producerGroup: this.#brokerGroup, topic: brokerTopic, recallHandle },
      {
        timeoutMs: options.timeoutMs ?? this.#options.timeoutMs,
        signal: options.signal,
      },
    )
    expectSuccess(answer)
    const messageId = answer.header().msgId
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

  #sendEvent(message: Message | undefined) {
    return { topic: message?.topic, group: this.group, message, clientId: this.#core.clientId, properties: {} as Record<string, string> }
  }

  /** `added`: what subscribers of the send event want in the message, a `traceparent` say. `isOfBroker`: the topic is no application's. */
  #encode(message: Message, added?: Readonly<Record<string, string>>, isOfBroker = false): EncodedMessage | Promise<EncodedMessage> {
    const { compressFromBytes } = this.#options
    const encoded = this.#encodeOne(message, added, isOfBroker)
    this.#topics.add(encoded.topic)
    return compressFromBytes > 0 && encoded.body.length >= compressFromBytes ? compressed(encoded, compressFromBytes) : encoded
  }

  #encodeOne(message: Message, added: Readonly<Record<string, string>> | undefined, isOfBroker = false): EncodedMessage {
    const { namespace, clock } = this.#core
    const named = namespace && !isOfBroker ? { ...message, topic: withNamespace(namespace, String(message.topic)) } : message
    const encoded = encodeMessage(named, this.#nextId(), this.#options.maxMessageBytes, clock.now())
    const trace = outgoingTrace(message.properties, added)
    return trace.length === 0 ? encoded : withProperties(encoded, trace)
  }

  /** The application sees its own names. */
  #shown(receipt: SendReceipt): SendReceipt {
    const { namespace } = this.#core
    return namespace ? { ...receipt, queue: queueWithoutNamespace(namespace, receipt.queue) } : receipt
  }

  #deliver(encoded: EncodedMessage, parcel: Parcel, options: SendOptions, message: Message): Promise<SendReceipt> {
    const deliveryOptions = this.#deliveryOptions(options, message, this.#options.retries)
    if (this.#tracer) return this.#deliverTraced(this.#tracer, encoded, parcel, deliveryOptions, message)
    const delivered = this.#delivery.deliver(parcel, deliveryOptions)
    return this.#core.namespace ? delivered.then((receipt) => this.#shown(receipt)) : delivered
  }

  async #deliverTraced(
    tracer: MessageTracer,
    encoded: EncodedMessage,
    parcel: Parcel,
    deliveryOptions: DeliveryOptions,
    message: Message,
  ): Promise<SendReceipt> {
    const isHalf = (parcel.sysFlag & SYS_FLAG.TRANSACTION_PREPARED) !== 0
    const sending = traceSend(tracer, this.group, [{ message, encoded }], isHalf)
    try {
      const receipt = await this.#delivery.deliver({ ...parcel, onStored: sending.onStored }, deliveryOptions)
      sending.ended([receipt.offsetMessageId])
      return this.#shown(receipt)
    } catch (error) {
      sending.ended()
      throw error
    }
  }

  #noteTransactionEnd(half: EndedHalf, outcome: 'commit' | 'rollback'): void {
    const { namespace } = this.#core
    this.#tracer?.add({
      type: 'transactionEnd',
      time: this.#tracer.now,
      region: regionOf(undefined, undefined) as string,
      group: this.group,
      topic: withoutNamespace(namespace, half.topic),
      messageId: half.messageId,
      tags: '',
      keys: '',
      storeHost: this.#core.brokerAddress(half.target) ?? half.target,
      transactionId: half.messageId,
      outcome,
      isFromCheck: half.isCheck,
    })
  }

  async #bounded<T>(bytes: number, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    const turn = this.#inFlight.acquire(bytes, signal)
    if (turn) await turn
    try {
      return await work()
    } finally {
      this.#inFlight.release(bytes)
    }
  }

  async #sendBundle(bundle: Bundle, given: readonly Message[], options: SendOptions): Promise<readonly SendReceipt[]> {
    const first = bundle.messages[0] as Numbered
    const message = given[first.index] as Message
    this.#topics.add(bundle.topic)
    if (bundle.messages.length === 1) {
      const { compressFromBytes } = this.#options
      const isLarge = compressFromBytes > 0 && first.message.body.length >= compressFromBytes
      const encoded = isLarge ? await compressed(first.message, compressFromBytes) : first.message
      return [
        await this.#bounded(encoded.body.length, options.signal, () => this.#deliver(encoded, this.#parcel(encoded), options, message)),
      ]
    }
    const body = encodeBundle(bundle)
    const sending =
      this.#tracer &&
      traceSend(
        this.#tracer,
        this.group,
        bundle.messages.map(({ index, message: encoded }) => ({ message: given[index] as Message, encoded })),
        false,
      )
    const parcel: Parcel = {
      ...this.#parcel(first.message),
      body,
      flag: 0,
      messageId: bundle.messages.map(({ message: m }) => m.messageId).join(','),
      properties: `WAIT\u0001${first.message.waitStoreOk}\u0002`,
      isBatch: true,
      ...(sending ? { onStored: sending.onStored } : {}),
    }
    try {
      const deliveryOptions = this.#deliveryOptions(options, message, this.#options.retries)
      const receipt = await this.#bounded(body.length, options.signal, () => this.#delivery.deliver(parcel, deliveryOptions))
      const receipts = splitReceipt(bundle, this.#shown(receipt))
      sending?.ended(receipts.map(({ offsetMessageId }) => offsetMessageId))
      return receipts
    } catch (error) {
      sending?.ended()
      throw error
    }
  }

  #parcel(encoded: EncodedMessage): Parcel {
    return {
      topic: encoded.topic,
      group: this.#brokerGroup,
      messageId: encoded.messageId,
      body: encoded.body,
      properties: encoded.properties,
      flag: encoded.flag,
      sysFlag: encoded.sysFlag,
      bornTimestamp: this.#core.clock.now(),
      isBatch: false,
    }
  }

  #deliveryOptions(options: SendOptions, message: Message, retries: number): DeliveryOptions {
    return {
      timeoutMs: options.timeoutMs ?? this.#options.timeoutMs,
      attemptTimeoutMs: this.#attemptTimeoutMs,
      retries,
      retryWhenNotStoredSafely: this.#options.retryWhenNotStoredSafely,
      signal: options.signal,
      fixedQueue: this.#fixedQueue(options, message),
    }
  }

  #fixedQueue(options: SendOptions, message: Message): DeliveryOptions['fixedQueue'] {
    const { queue, selectQueue } = options
    if (queue) {
      if (queue.topic !== message.topic) {
        throw new RocketError(`the queue given is of topic ${queue.topic}, the message is for ${message.topic}`, {
          code: 'BAD_ARGUMENT',
          topic: message.topic,
        })
      }
      const named = queueWithNamespace(this.#core.namespace, queue)
      return () => named
    }
    if (selectQueue) {
      return (queues) => {
        const { namespace } = this.#core
        const shown = namespace ? queues.map((each) => queueWithoutNamespace(namespace, each)) : queues
        const chosen = selectQueue(shown, message)
        if (!chosen)
          throw new RocketError('selectQueue chose no queue; return one of those given', { code: 'BAD_ARGUMENT', topic: message.topic })
        return queueWithNamespace(namespace, chosen)
      }
    }
    const { orderKey } = message
    return orderKey === undefined || orderKey === '' ? undefined : (queues) => queueForKey(queues, orderKey)
  }
}

/** URL-safe Base64 of `v1 topic broker time id` (RocketMQ 5.3 `RecallMessageHandle`). */
function brokerOfHandle(handle: string): string {
  const parts = Buffer.from(handle, 'base64url').toString('utf8').split(' ')
  const brokerName = parts[2]
  if (parts[0] !== 'v1' || parts.length !== 5 || !brokerName) {
    throw new RocketError(`the recall handle ${JSON.stringify(handle)} is not one; pass receipt.recallHandle unchanged`, {
      code: 'BAD_ARGUMENT',
    })
  }
  return brokerName
}

export const newProducer = (parts: ProducerParts, options: ProducerOptions): Producer => new DefaultProducer(parts, options)
