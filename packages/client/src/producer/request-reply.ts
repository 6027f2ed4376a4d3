import type { PushReplyMessageToClient, RequestOf, StoredMessage } from '@skylarkmq/remoting/protocol'
import type { ClientCore } from '../core/types.ts'
import type { DeliveryOptions } from './delivery.ts'
import type { Sender } from './sender.ts'
import type { Message, SendOptions, SendReceipt } from './types.ts'
import { PROPERTY, PushReplyMessageToClient as Push, RocketError, hostToBytes, parseProperties } from '@skylarkmq/remoting/protocol'
import { abortedError } from '../core/waiting.ts'
import { withNamespace } from '../namespace.ts'
import { withProperties } from './encode-message.ts'
import { ReceivedMessage } from '../consumer/received-message.ts'

type Properties = readonly (readonly [string, string])[]

export interface RequestParts {
  readonly core: ClientCore
  readonly group: string
  /** Sends with properties that applications may not set themselves. */
  readonly send: (message: Message, properties: Properties, options: SendOptions) => Promise<SendReceipt>
}

export interface RequestOptions extends SendOptions {
  /** From the call to the reply. Default: the producer's. */
  readonly timeoutMs?: number | undefined
}

export interface ReplyOptions extends Pick<SendOptions, 'timeoutMs' | 'signal'> {
  readonly properties?: Readonly<Record<string, string>> | undefined
}

/** Who waits for which reply, of all producers of a client: a reply is pushed to the client. */
class WaitingRequests {
  readonly #waiting = new Map<string, (reply: ReceivedMessage) => void>()

  constructor(core: ClientCore) {
    core.onNotification(Push, (header, { body, address }) => {
      const stored = storedOf(header, body)
      const correlationId = stored.properties.get(PROPERTY.CORRELATION_ID) ?? ''
      const take = this.#waiting.get(correlationId)
      if (take)
        take(new ReceivedMessage(stored, core.brokerNames.find((name) => core.brokerAddress(name) === address) ?? '', core.namespace))
      else core.log.warn('a reply came that nobody waits for; its request may have timed out', { correlationId, address })
      return { code: 0 }
    })
  }

  /** Resolves with the reply; `forget` when it is no longer waited for. */
  expect(correlationId: string): { readonly reply: Promise<ReceivedMessage>; forget(): void } {
    return {
      reply: new Promise((resolve) => this.#waiting.set(correlationId, resolve)),
      forget: () => this.#waiting.delete(correlationId),
    }
  }
}

const waitingOf = new WeakMap<ClientCore, WaitingRequests>()

function waitingRequests(core: ClientCore): WaitingRequests {
  let waiting = waitingOf.get(core)
  if (!waiting) waitingOf.set(core, (waiting = new WaitingRequests(core)))
  return waiting
}

/** Requests of one producer (RocketMQ 5.3 `DefaultMQProducerImpl#request`). */
export class Requests {
  readonly #parts: RequestParts
  /** Brokers that know where to reach this producer. */
  readonly #introduced = new Set<string>()

  constructor(parts: RequestParts) {
    this.#parts = parts
    parts.core.events.on('disconnected', this.#forget)
  }

  readonly #forget = (address: string): void => void this.#introduced.delete(address)

  close(): void {
    this.#parts.core.events.off('disconnected', this.#forget)
  }

  async request(message: Message, options: RequestOptions & { readonly timeoutMs: number }): Promise<ReceivedMessage> {
    const { core, send } = this.#parts
    const { timeoutMs, signal } = options
    const deadline = core.clock.monotonic() + timeoutMs
    await this.#introduce(withNamespace(core.namespace, message.topic), options)
    const correlationId = uuid(core.random.bytes(16))
    const { reply, forget } = waitingRequests(core).expect(correlationId)
    const limit = this.#limit(message.topic, Math.max(1, deadline - core.clock.monotonic()), timeoutMs, signal)
    try {
      const sent = send(
        message,
        [
          [PROPERTY.CORRELATION_ID, correlationId],
          [PROPERTY.REPLY_TO_CLIENT, core.clientId],
          // Milliseconds, as Java writes it.
          [PROPERTY.TTL, String(Math.ceil(timeoutMs))],
        ],
        { ...options, timeoutMs: Math.max(1, Math.ceil(deadline - core.clock.monotonic())) },
      )
      return await Promise.race([reply, limit.reached, sent.then(() => reply)])
    } finally {
      forget()
      limit.cancel()
    }
  }

  /** A reply may come through any broker of the cluster, so all must have heard of this producer before the request is out. */
  async #introduce(topic: string, options: RequestOptions): Promise<void> {
    const { core } = this.#parts
    const { timeoutMs, signal } = options
    await core.publishQueues(topic, { fallbackToDefaultTopic: true, timeoutMs, signal })
    const { brokerDatas } = await core.route(topic, { fallbackToDefaultTopic: true, timeoutMs, signal })
    const clusters = new Set(brokerDatas.map((broker) => broker.cluster))
    // Makes their brokers known. Without that topic replies go nowhere, which its sender is told.
    await Promise.allSettled([...clusters].map((cluster) => core.route(replyTopic(cluster), { timeoutMs, signal })))
    const addresses = core.brokerNames.map((name) => core.brokerAddress(name)).filter((address) => address !== undefined)
    if (addresses.every((address) => this.#introduced.has(address))) return
    await core.heartbeatNow()
    for (const address of addresses) if (core.brokerVersion(address) !== undefined) this.#introduced.add(address)
  }

  #limit(topic: string, ms: number, timeoutMs: number, signal: AbortSignal | undefined) {
    let cancel = () => {}
    const reached = new Promise<never>((_, reject) => {
      const { clock } = this.#parts.core
      const timer = clock.after(ms, () =>
        reject(
          new RocketError(`no reply to the request to topic ${topic} came within ${timeoutMs} ms; is a consumer running that replies?`, {
            code: 'TIMEOUT',
            topic,
            phase: 'wait',
            retryable: true,
          }),
        ),
      )
      const onAbort = () => reject(abortedError(signal as AbortSignal, `the request to topic ${topic}`))
      if (signal?.aborted) onAbort()
      signal?.addEventListener('abort', onAbort, { once: true })
      cancel = () => {
        timer.cancel()
        signal?.removeEventListener('abort', onAbort)
      }
    })
    reached.catch(() => {})
    return { reached, cancel }
  }
}

export const replyTopic = (cluster: string): string => `${cluster}_REPLY_TOPIC`

/** The message that answers a request (RocketMQ 5.3 `MessageUtil#createReplyMessage`). */
function replyTo(request: ReceivedMessage, body: Uint8Array | string, options: ReplyOptions): [Message, Properties] {
  const value = (name: string): string => {
    const found = request.properties.get(name)
    if (found !== undefined) return found
    throw new RocketError(
      name === PROPERTY.CLUSTER
        ? `the broker did not write its cluster into message ${request.messageId} (property CLUSTER), so there is no topic to reply to`
        : `message ${request.messageId} of topic ${request.topic} is no request: it has no property ${name}; only what producer.request() sent can be replied to`,
      { code: 'BAD_ARGUMENT', topic: request.topic },
    )
  }
  const properties: [string, string][] = [
    [PROPERTY.MSG_TYPE, 'reply'],
    [PROPERTY.CORRELATION_ID, value(PROPERTY.CORRELATION_ID)],
    [PROPERTY.REPLY_TO_CLIENT, value(PROPERTY.REPLY_TO_CLIENT)],
  ]
  const ttl = request.properties.get(PROPERTY.TTL)
  if (ttl !== undefined) properties.push([PROPERTY.TTL, ttl])
  return [{ topic: replyTopic(value(PROPERTY.CLUSTER)), body, properties: options.properties }, properties]
}

/** Answers a request message, with as many attempts as any message. */
export async function sendReply(
  sender: Sender,
  request: ReceivedMessage,
  body: Uint8Array | string,
  options: ReplyOptions,
): Promise<SendReceipt> {
  const [message, properties] = replyTo(request, body, options)
  const encoded = withProperties(await sender.compressed(sender.encode(message, undefined, true)), properties)
  const deliveryOptions = { ...sender.deliveryOptions(options, message), fixedQueue: replyQueue(request.brokerName) }
  return sender.bounded(encoded.body.length, options.signal, () =>
    sender.parts.delivery.deliver({ ...sender.parcel(encoded), isReply: true }, deliveryOptions),
  )
}

/** The first attempt goes through the broker of the request, which surely knows who asked. */
function replyQueue(brokerName: string): NonNullable<DeliveryOptions['fixedQueue']> {
  let attempts = 0
  return (queues) => {
    const preferred = attempts++ === 0 ? queues.find((queue) => queue.brokerName === brokerName) : undefined
    const others = queues.filter((queue) => queue.brokerName !== brokerName)
    const chosen = preferred ?? others[attempts % Math.max(1, others.length)] ?? queues[0]
    if (!chosen) throw new RocketError('the reply topic has no queue', { code: 'NO_ROUTE', retryable: true })
    return chosen
  }
}

function storedOf(header: RequestOf<typeof PushReplyMessageToClient>, body: Uint8Array): StoredMessage {
  const [bornHost, bornPort] = hostAndPort(header.bornHost)
  const [storeHost, storePort] = hostAndPort(header.storeHost)
  const propertiesText = header.properties ?? ''
  return {
    topic: header.topic,
    queueId: header.queueId,
    queueOffset: 0,
    physicalOffset: 0,
    flag: header.flag,
    sysFlag: header.sysFlag,
    bornTimestamp: header.bornTimestamp,
    ...{ bornHost, bornPort, storeHost, storePort },
    storeTimestamp: header.storeTimestamp,
    storeHostBytes: hostToBytes(storeHost, storePort),
    reconsumeTimes: header.reconsumeTimes ?? 0,
    preparedTransactionOffset: 0,
    bodyCrc: 0,
    body,
    properties: parseProperties(propertiesText),
    propertiesText,
    sizeBytes: body.length,
  }
}

const ADDRESS = /^\/?\[?([^\]]*?)\]?:(\d{1,5})$/

/** Apache writes `/ip:port` or `ip:port`; a host that cannot be read does not stop a reply. */
function hostAndPort(text: string): [string, number] {
  const match = ADDRESS.exec(text)
  try {
    hostToBytes(match?.[1] ?? '', Number(match?.[2]))
    return [match?.[1] ?? '', Number(match?.[2])]
  } catch {
    return ['0.0.0.0', 0]
  }
}

function uuid(bytes: Uint8Array): string {
  const b = Uint8Array.from(bytes)
  b[6] = ((b[6] as number) & 0x0f) | 0x40
  b[8] = ((b[8] as number) & 0x3f) | 0x80
  return Buffer.from(b)
    .toString('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}
