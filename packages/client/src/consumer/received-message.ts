import type { StoredMessage } from '@skylarkmq/remoting/protocol'
import { parseBody } from './schema.ts'
import type { StandardSchema } from './schema.ts'
import type { ConsumeContext } from './handler.ts'
import { withoutNamespace } from '../namespace.ts'
import type { TraceContext } from '../trace-context.ts'
import { TRACEPARENT, traceOf } from '../trace-context.ts'
import { copyOfRecord, decompressBody, offsetMessageId, PROPERTY, RETRY_PREFIX, RocketError, SYS_FLAG } from '@skylarkmq/remoting/protocol'

/** A message as an application reads it. Nothing is decoded before it is asked for. */
export class ReceivedMessage {
  /** The topic it was sent to, also when it came back through the retry topic; without the client's namespace. */
  readonly topic: string
  readonly brokerName: string
  /** How often it was delivered before and failed; 0 at first. */
  reconsumeTimes: number
  readonly #stored: StoredMessage
  #body: Buffer | undefined
  #copy: StoredMessage | undefined

  constructor(stored: StoredMessage, brokerName: string, namespace?: string) {
    this.#stored = stored
    this.brokerName = brokerName
    this.reconsumeTimes = stored.reconsumeTimes
    this.topic = withoutNamespace(namespace, this.brokerTopic)
  }

  /** The topic as brokers know it, the client's namespace included (RocketMQ `DefaultMQPushConsumerImpl#resetRetryAndNamespace`). */
  get brokerTopic(): string {
    const { topic } = this.#stored
    return (topic.startsWith(RETRY_PREFIX) && this.#stored.properties.get(PROPERTY.RETRY_TOPIC)) || topic
  }

  /** The record as the broker keeps it. */
  get stored(): StoredMessage {
    return (this.#copy ??= copyOfRecord(this.#stored))
  }

  /** The bytes that were sent, decompressed. */
  get body(): Buffer {
    if (this.#body === undefined) {
      const { body, sysFlag } = this.#stored
      const bytes = (sysFlag & SYS_FLAG.COMPRESSED) !== 0 ? decompressBody(body, sysFlag) : body
      this.#body = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    }
    return this.#body
  }

  /** The body as UTF-8 text. */
  get text(): string {
    return this.body.toString('utf8')
  }

  /** The body, parsed as JSON. */
  json<T = unknown>(): T {
    return JSON.parse(this.text) as T
  }

  /** The body, parsed as JSON and checked by a schema of any library (standardschema.dev). Rejects with InvalidMessageError. */
  parse<Output>(schema: StandardSchema<unknown, Output>): Promise<Output> {
    return parseBody(this, schema, () => this.json())
  }

  /** The W3C trace that the message carries. */
  get trace(): TraceContext | undefined {
    // Looked for in the text: nobody else may want the properties taken apart.
    return this.#stored.propertiesText.includes(TRACEPARENT) ? traceOf(this.properties) : undefined
  }

  /** The id that the producer gave it; without one, where it is stored. */
  get messageId(): string {
    return this.#stored.properties.get(PROPERTY.UNIQ_KEY) ?? this.offsetMessageId
  }

  /** Where it is stored: broker address and physical offset. */
  get offsetMessageId(): string {
    return offsetMessageId(this.#stored.storeHostBytes, this.#stored.physicalOffset)
  }

  /** The tag it was sent with. */
  get tags(): string | undefined {
    return this.#stored.properties.get(PROPERTY.TAGS)
  }

  get keys(): string[] {
    return (this.#stored.properties.get(PROPERTY.KEYS) ?? '').split(' ').filter((key) => key !== '')
  }

  /** Messages of one key are in one queue, in order. */
  get orderKey(): string | undefined {
    return this.#stored.properties.get(PROPERTY.SHARDING_KEY)
  }

  get properties(): ReadonlyMap<string, string> {
    return this.#stored.properties
  }

  get queueId(): number {
    return this.#stored.queueId
  }

  get queueOffset(): number {
    return this.#stored.queueOffset
  }

  get physicalOffset(): number {
    return this.#stored.physicalOffset
  }

  /** Milliseconds since the epoch, by the producer's clock. */
  get bornTimestamp(): number {
    return this.#stored.bornTimestamp
  }

  /** Milliseconds since the epoch, by the broker's clock. */
  get storeTimestamp(): number {
    return this.#stored.storeTimestamp
  }

  get bornHost(): string {
    return this.#stored.bornHost
  }

  /** The application's own number (`Message#setFlag` in Java). */
  get flag(): number {
    return this.#stored.flag
  }

  /** Bytes of the stored body: what counts for the limits on cached messages. */
  get sizeBytes(): number {
    return this.#stored.body.length
  }
}

export interface RetryOptions {
  /** 1 to 18 (1s 5s 10s 30s 1m …); 0, the default, lets the broker choose: longer with each attempt. For concurrent consumers. */
  readonly delayLevel?: number
  /** How long the queue waits before the message is tried again, for orderly consumers. Default: the consumer's `suspendMs`. */
  readonly suspendMs?: number
}

export type Settlement =
  | { readonly kind: 'ack' }
  | { readonly kind: 'retry'; readonly delayLevel: number; readonly suspendMs?: number | undefined; readonly error?: unknown }
  /** Given back untouched: nobody has worked on it. */
  | { readonly kind: 'release' }

/** A message in the hands of a push consumer's handler. */
export class ConsumedMessage<T = unknown> extends ReceivedMessage {
  #settlement: Settlement | undefined
  #onSettled: (() => void) | undefined
  #context: ConsumeContext | undefined
  #accepted: { readonly value: T } | undefined

  /** The body as the consumer's `schema` made it; without a schema, parsed as JSON. */
  get value(): T {
    return this.#accepted ? this.#accepted.value : this.json<T>()
  }

  /** Aborts when the message is no longer this consumer's, as the handler's `context.signal`. */
  get signal(): AbortSignal {
    return this.#inHand().signal
  }

  /** More time before the message is delivered again, as the handler's `context.extend`. */
  extend(ms?: number): Promise<void> {
    return this.#inHand().extend(ms)
  }

  get settlement(): Settlement | undefined {
    return this.#settlement
  }

  /** Consumed. Returning from the handler means the same. The first of `ack`, `retry` and `deadLetter` counts. */
  ack(): void {
    this.settle({ kind: 'ack' })
  }

  /** Deliver it again later. Throwing from the handler means the same, with the default delay. */
  retry(options: RetryOptions = {}): void {
    this.settle({ kind: 'retry', delayLevel: options.delayLevel ?? 0, suspendMs: options.suspendMs })
  }

  /** No further attempts: to the dead letter topic of the group (`%DLQ%group`). */
  deadLetter(): void {
    this.settle({ kind: 'retry', delayLevel: -1 })
  }

  /** @internal */
  settle(settlement: Settlement): void {
    if (this.#settlement !== undefined) return
    this.#settlement = settlement
    this.#onSettled?.()
  }

  /** @internal A new attempt begins. */
  begin(context: ConsumeContext): void {
    this.#settlement = undefined
    this.#onSettled = undefined
    this.#context = context
  }

  /** @internal What the schema made of the body. */
  accept(value: T): void {
    this.#accepted = { value }
  }

  #inHand(): ConsumeContext {
    if (this.#context) return this.#context
    throw new RocketError(`message ${this.messageId} is in no handler's hands`, { code: 'BAD_ARGUMENT', topic: this.topic })
  }

  /** @internal */
  whenSettled(listener: () => void): void {
    if (this.#settlement !== undefined) listener()
    else this.#onSettled = listener
  }
}
