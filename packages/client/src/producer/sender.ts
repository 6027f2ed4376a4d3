import { SYS_FLAG } from '@skylarkmq/remoting/protocol'
import type { ProducerCore } from '../core/client-core.ts'
import { traceSend } from '../message-trace/send-trace.ts'
import type { MessageTracer } from '../message-trace/tracer.ts'
import { queueWithoutNamespace, withNamespace } from '../namespace.ts'
import { outgoingTrace } from '../trace-context.ts'
import { isObserved, traced } from '../tracing.ts'
import type { Delivery, DeliveryOptions, Parcel } from './delivery.ts'
import type { EncodedMessage } from './encode-message.ts'
import { compressed, encodeMessage, withProperties } from './encode-message.ts'
import { fixedQueueOf } from './fixed-queue.ts'
import type { InFlight } from './in-flight.ts'
import type { OutgoingCheck } from './outgoing-check.ts'
import type { ProducerSettings } from './settings.ts'
import type { Message, SendOptions, SendReceipt } from './types.ts'

export interface SenderParts {
  readonly core: ProducerCore
  /** As the application names it, and as the broker knows it. */
  readonly group: string
  readonly brokerGroup: string
  readonly settings: ProducerSettings
  readonly check: OutgoingCheck | undefined
  readonly tracer: MessageTracer | undefined
  readonly delivery: Delivery
  readonly inFlight: InFlight
  readonly nextId: () => string
  /** Throws when the producer is closed. */
  readonly checkOpen: () => void
}

export type Properties = readonly (readonly [string, string])[]

const NO_PROPERTIES: Properties = []
type AddedProperties = Readonly<Record<string, string>>

/** The way of one message from the application to its delivery: checked, encoded, within the bounds of what is under way, traced. */
export class Sender {
  readonly parts: SenderParts
  /** All that were sent to. */
  readonly topics = new Set<string>()

  constructor(parts: SenderParts) {
    this.parts = parts
  }

  /** `properties` and `sysFlag`: what is not the application's to set. */
  send(message: Message, options: SendOptions, properties: Properties = NO_PROPERTIES, sysFlag = 0): Promise<SendReceipt> {
    // Nobody listens, usually: then neither a closure nor a promise is made for those who could.
    return isObserved('send')
      ? this.#sendObserved(message, options, properties, sysFlag)
      : this.#send(message, options, properties, sysFlag, undefined)
  }

  async #sendObserved(message: Message, options: SendOptions, properties: Properties, sysFlag: number): Promise<SendReceipt> {
    this.parts.checkOpen()
    return traced(
      'send',
      () => this.sendEvent(message),
      (event) => this.#send(message, options, properties, sysFlag, event?.properties),
    )
  }

  async #send(
    message: Message,
    options: SendOptions,
    properties: Properties,
    sysFlag: number,
    added: AddedProperties | undefined,
  ): Promise<SendReceipt> {
    const { checkOpen, check, inFlight } = this.parts
    checkOpen()
    if (check) await check.check(message)
    const plain = this.encode(message, added)
    const small = this.#isCompressible(plain) ? await this.compressed(plain) : plain
    const encoded = properties.length === 0 ? small : withProperties(small, properties)
    const bytes = encoded.body.length
    const turn = inFlight.acquire(bytes, options.signal)
    if (turn) await turn
    try {
      return await this.#deliver(encoded, this.parcel(encoded, sysFlag), options, message)
    } finally {
      inFlight.release(bytes)
    }
  }

  async oneway(message: Message, options: SendOptions): Promise<void> {
    const { checkOpen, check, delivery } = this.parts
    checkOpen()
    if (check) await check.check(message)
    const encoded = await this.compressed(this.encode(message, undefined))
    await this.bounded(encoded.body.length, options.signal, () =>
      delivery.oneway(this.parcel(encoded), this.deliveryOptions(options, message, 0)),
    )
  }

  /** A message that is encoded already, and in order to go. */
  deliver(encoded: EncodedMessage, options: SendOptions, message: Message): Promise<SendReceipt> {
    return this.bounded(encoded.body.length, options.signal, () => this.#deliver(encoded, this.parcel(encoded), options, message))
  }

  sendEvent(message: Message | undefined) {
    const { group, core } = this.parts
    return { topic: message?.topic, group, message, clientId: core.clientId, properties: {} as Record<string, string> }
  }

  /** `added`: what subscribers of the send event want in the message, a `traceparent` say. `isOfBroker`: the topic is no application's. */
  encode(message: Message, added: AddedProperties | undefined, isOfBroker = false): EncodedMessage {
    const { core, nextId, settings } = this.parts
    const { namespace, clock } = core
    const named = namespace && !isOfBroker ? { ...message, topic: withNamespace(namespace, String(message.topic)) } : message
    const encoded = encodeMessage(named, nextId(), settings.maxMessageBytes, clock)
    this.topics.add(encoded.topic)
    const trace = outgoingTrace(message.properties, added)
    return trace.length === 0 ? encoded : withProperties(encoded, trace)
  }

  compressed(encoded: EncodedMessage): EncodedMessage | Promise<EncodedMessage> {
    return this.#isCompressible(encoded) ? compressed(encoded, this.parts.settings.compressFromBytes) : encoded
  }

  #isCompressible(encoded: EncodedMessage): boolean {
    const { compressFromBytes } = this.parts.settings
    return compressFromBytes > 0 && encoded.body.length >= compressFromBytes
  }

  /** The application sees its own names. */
  shown(receipt: SendReceipt): SendReceipt {
    const { namespace } = this.parts.core
    return namespace ? { ...receipt, queue: queueWithoutNamespace(namespace, receipt.queue) } : receipt
  }

  async bounded<T>(bytes: number, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    const { inFlight } = this.parts
    const turn = inFlight.acquire(bytes, signal)
    if (turn) await turn
    try {
      return await work()
    } finally {
      inFlight.release(bytes)
    }
  }

  parcel(encoded: EncodedMessage, sysFlag = 0): Parcel {
    const { brokerGroup, core } = this.parts
    return {
      topic: encoded.topic,
      group: brokerGroup,
      messageId: encoded.messageId,
      body: encoded.body,
      properties: encoded.properties,
      flag: encoded.flag,
      sysFlag: encoded.sysFlag | sysFlag,
      bornTimestamp: core.clock.now(),
      isBatch: false,
    }
  }

  deliveryOptions(options: SendOptions, message: Message, retries = this.parts.settings.retries): DeliveryOptions {
    const { settings, core } = this.parts
    return {
      timeoutMs: options.timeoutMs ?? settings.timeoutMs,
      attemptTimeoutMs: settings.attemptTimeoutMs,
      retries,
      retryWhenNotStoredSafely: settings.retryWhenNotStoredSafely,
      signal: options.signal,
      fixedQueue: fixedQueueOf(core.namespace, options, message),
    }
  }

  #deliver(encoded: EncodedMessage, parcel: Parcel, options: SendOptions, message: Message): Promise<SendReceipt> {
    const { tracer, delivery, core } = this.parts
    const deliveryOptions = this.deliveryOptions(options, message)
    if (tracer) return this.#deliverTraced(tracer, encoded, parcel, deliveryOptions, message)
    const delivered = delivery.deliver(parcel, deliveryOptions)
    return core.namespace ? delivered.then((receipt) => this.shown(receipt)) : delivered
  }

  async #deliverTraced(
    tracer: MessageTracer,
    encoded: EncodedMessage,
    parcel: Parcel,
    deliveryOptions: DeliveryOptions,
    message: Message,
  ): Promise<SendReceipt> {
    const { group, delivery } = this.parts
    const isHalf = (parcel.sysFlag & SYS_FLAG.TRANSACTION_PREPARED) !== 0
    const sending = traceSend(tracer, group, [{ message, encoded }], isHalf)
    try {
      const receipt = await delivery.deliver({ ...parcel, onStored: sending.onStored }, deliveryOptions)
      sending.ended([receipt.offsetMessageId])
      return this.shown(receipt)
    } catch (error) {
      sending.ended()
      throw error
    }
  }
}
