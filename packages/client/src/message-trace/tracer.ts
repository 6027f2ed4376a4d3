import { createUniqueIds, TRACE_TOPIC } from '@skylarkmq/remoting/protocol'
import type { Timer } from '@skylarkmq/runtime'
import type { ProducerCore } from '../core/client-core.ts'
import { Delivery } from '../producer/delivery.ts'
import { encodeMessage } from '../producer/encode-message.ts'
import { QueueSelector } from '../producer/queue-selector.ts'
import { encodeEvent } from './events.ts'
import type { MessageTraceEvent } from './events.ts'

/** As RocketMQ's `AsyncTraceDispatcher`. */
const WAITING_EVENTS = 2048
const EVENTS_PER_MESSAGE = 20
const MESSAGE_MAX_BYTES = 128_000
const SEND_TIMEOUT_MS = 5000
const FLUSH_MS = 1000
const GROUP = '_INNER_TRACE_PRODUCER'
const REGION = 'DefaultRegion'

interface WaitingEvent {
  readonly text: string
  readonly keys: readonly string[]
}

export type MessageTraceOption = boolean | { readonly topic?: string }

/**
 * Writes down what happens to messages, in a topic of the cluster: `admin.messages.trace(id)` and RocketMQ's `mqadmin queryMsgTraceById`
 * read it. Tracing holds nobody up: events wait a second for company, and are dropped when the brokers do not keep up.
 */
export class MessageTracer {
  readonly #core: ProducerCore
  readonly #topic: string
  readonly #delivery: Delivery
  readonly #nextId: () => string
  #waiting: WaitingEvent[] = []
  #timer: Timer | undefined
  #flushing: Promise<void> | undefined
  #dropped = 0

  constructor(core: ProducerCore, topic: string) {
    this.#core = core
    this.#topic = topic
    this.#delivery = new Delivery(core, new QueueSelector(core.random, undefined), undefined)
    this.#nextId = createUniqueIds({ clock: core.clock, random: core.random, host: core.clientId.slice(0, core.clientId.indexOf('@')) })
    core.onClose(() => this.flush(), 'last')
  }

  get now(): number {
    return this.#core.clock.now()
  }

  newRequestId(): string {
    return this.#nextId()
  }

  add(event: MessageTraceEvent, keys = ''): void {
    if (this.#waiting.length >= WAITING_EVENTS) {
      if (this.#dropped++ === 0)
        this.#core.log.warn('message trace events are dropped: the brokers take them too slowly', { topic: this.#topic })
      return
    }
    this.#waiting.push({ text: encodeEvent(event), keys: [event.messageId, ...keys.split(' ')].filter((key) => key !== '') })
    this.#timer ??= this.#core.clock.after(FLUSH_MS, () => void this.flush())
  }

  /** Sends what waits. Never rejects: a trace that cannot be stored is lost. */
  async flush(): Promise<void> {
    this.#timer?.cancel()
    this.#timer = undefined
    while (this.#flushing) await this.#flushing
    this.#flushing = this.#send().finally(() => {
      this.#flushing = undefined
    })
    await this.#flushing
  }

  async #send(): Promise<void> {
    while (this.#waiting.length > 0) {
      const keys = new Set<string>()
      let body = ''
      for (let count = 0; count < EVENTS_PER_MESSAGE && this.#waiting.length > 0; count++) {
        const next = this.#waiting[0] as WaitingEvent
        if (body !== '' && (body.length + next.text.length) * 3 > MESSAGE_MAX_BYTES) break
        this.#waiting.shift()
        body += next.text
        for (const key of next.keys) keys.add(key)
      }
      await this.#sendOne(body, [...keys])
    }
    if (this.#dropped > 0) this.#core.log.info('message trace events were dropped', { events: this.#dropped })
    this.#dropped = 0
  }

  async #sendOne(body: string, keys: readonly string[]): Promise<void> {
    try {
      const encoded = encodeMessage({ topic: this.#topic, body, keys }, this.#nextId(), MESSAGE_MAX_BYTES, this.#core.clock)
      await this.#delivery.deliver(
        { ...encoded, group: GROUP, bornTimestamp: this.#core.clock.now(), isBatch: false },
        {
          timeoutMs: SEND_TIMEOUT_MS,
          attemptTimeoutMs: undefined,
          retries: 2,
          retryWhenNotStoredSafely: false,
          signal: undefined,
          fixedQueue: undefined,
        },
      )
    } catch (error) {
      this.#core.log.warn('message trace events could not be stored', { topic: this.#topic, error })
    }
  }
}

const tracersOf = new WeakMap<ProducerCore, Map<string, MessageTracer>>()

/** One per client and topic, made when somebody asks for it. */
export function tracerFor(core: ProducerCore, option: MessageTraceOption | undefined): MessageTracer | undefined {
  if (!option) return undefined
  const topic = (typeof option === 'object' && option.topic) || TRACE_TOPIC
  let tracers = tracersOf.get(core)
  if (!tracers) tracersOf.set(core, (tracers = new Map()))
  let tracer = tracers.get(topic)
  if (!tracer) tracers.set(topic, (tracer = new MessageTracer(core, topic)))
  return tracer
}

/** What a broker says about traces, in an answer or a message: where it is, and whether it wants any (`traceOn`). */
export function regionOf(region: string | undefined, traceOn: string | undefined): string | undefined {
  return traceOn === 'false' ? undefined : region || REGION
}
