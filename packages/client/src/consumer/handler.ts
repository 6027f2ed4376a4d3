import type { MessageQueue } from '@skylarkmq/remoting/protocol'
import { RocketError } from '@skylarkmq/remoting/protocol'
import { queueWithoutNamespace } from '../namespace.ts'
import type { TraceContext } from '../trace-context.ts'
import { withTrace } from '../trace-context.ts'
import { isObserved, traced } from '../tracing.ts'
import type { AssignedQueue } from './assigned-queue.ts'
import type { CacheEntry } from './process-queue.ts'
import type { ConsumedMessage, ReceivedMessage, Settlement } from './received-message.ts'
import type { InvalidMessageError, OnInvalid, StandardSchema } from './schema.ts'
import { parseBody } from './schema.ts'

/** What a handler learns beside the message. */
export interface ConsumeContext {
  /** Aborts when the work is no longer wanted: the queue went to another consumer, the message took too long, the consumer closes. */
  readonly signal: AbortSignal
  readonly queue: MessageQueue
  /** When the message will be taken away and delivered again; undefined where handlers may take for ever (orderly consumers). */
  readonly deadline: Date | undefined
  /**
   * More time for a handler that is still at it: the deadline is `ms` from now (default: `consumeTimeoutMs`), never earlier than it was.
   * Rejects when the message is not ours any more.
   */
  readonly extend: (ms?: number) => Promise<void>
  /** The W3C trace that the message belongs to. What the handler sends carries it on by itself. */
  readonly trace: TraceContext | undefined
}

/** Returning acknowledges; throwing asks for another delivery. */
export type MessageHandler<T = unknown> = (message: ConsumedMessage<T>, context: ConsumeContext) => unknown
/** As `MessageHandler` for several messages: throwing fails all that are not settled one by one. */
export type BatchHandler<T = unknown> = (messages: readonly ConsumedMessage<T>[], context: ConsumeContext) => unknown

type Entry = CacheEntry<ConsumedMessage>

/** How long a handler may have messages, where that is bounded. */
export interface Leases {
  /** Wall time. */
  deadline(entry: Entry): number
  extend(entries: readonly Entry[], ms: number | undefined): Promise<void>
}

class Context implements ConsumeContext {
  readonly #assigned: AssignedQueue
  readonly #entries: readonly Entry[]
  readonly #leases: Leases | undefined
  readonly #namespace: string | undefined

  constructor(assigned: AssignedQueue, entries: readonly Entry[], leases: Leases | undefined, namespace: string | undefined) {
    this.#assigned = assigned
    this.#entries = entries
    this.#leases = leases
    this.#namespace = namespace
  }

  get queue(): MessageQueue {
    return queueWithoutNamespace(this.#namespace, this.#assigned.queue)
  }

  /** Made on demand: most handlers never ask. */
  get signal(): AbortSignal {
    const first = this.#entries[0] as Entry
    if (!first.controller) {
      const controller = new AbortController()
      if (this.#assigned.isDropped || first.done) controller.abort()
      for (const entry of this.#entries) entry.controller = controller
    }
    return (first.controller as AbortController).signal
  }

  get deadline(): Date | undefined {
    const first = this.#entries[0] as Entry
    return this.#leases && new Date(this.#leases.deadline(first))
  }

  get trace(): TraceContext | undefined {
    return (this.#entries[0] as Entry).message.trace
  }

  /** Works without its object: handlers take their context apart. */
  get extend(): (ms?: number) => Promise<void> {
    return (ms) => this.#extend(ms)
  }

  async #extend(ms: number | undefined): Promise<void> {
    if (ms !== undefined && !(ms > 0)) throw new RocketError(`extend(${ms}): the time must be above 0`, { code: 'BAD_ARGUMENT' })
    const { message, done } = this.#entries[0] as Entry
    if (done || this.#assigned.isDropped) {
      throw new RocketError(`message ${message.messageId} is not this consumer's any more: it is settled, or delivered to another one`, {
        code: 'ABORTED',
        phase: 'consume',
        topic: message.topic,
      })
    }
    this.#assigned.signsOfLife++
    await this.#leases?.extend(this.#entries, ms)
  }
}

export interface HandlerRunnerOptions {
  readonly one?: MessageHandler
  readonly many?: BatchHandler
  readonly onError: (message: ConsumedMessage, error: unknown) => void
  readonly namespace?: string | undefined
  readonly schema?: StandardSchema | undefined
  readonly decode?: ((message: ReceivedMessage) => unknown) | undefined
  readonly onInvalid?: OnInvalid | undefined
  /** Told of messages that a handler gets; what it returns hears how it went. */
  readonly trace?: ((messages: readonly ConsumedMessage[]) => (settlements: readonly Settlement[]) => void) | undefined
}

/** Runs the application's code over messages of one queue. Never rejects: each message ends with a settlement of its own. */
export class HandlerRunner {
  /** Set by the service that hands messages out, when it takes them back after a time. */
  leases: Leases | undefined
  readonly #options: HandlerRunnerOptions

  constructor(options: HandlerRunnerOptions) {
    this.#options = options
  }

  get isBatch(): boolean {
    return this.#options.many !== undefined
  }

  run(assigned: AssignedQueue, entries: readonly Entry[]): Promise<Settlement[]> {
    const { trace, one, schema } = this.#options
    if (!trace) return one && !schema && entries.length === 1 ? this.#runOne(assigned, entries, one) : this.#run(assigned, entries)
    const ended = trace(entries.map((entry) => entry.message))
    return this.#run(assigned, entries).then((settlements) => {
      ended(settlements)
      return settlements
    })
  }

  /** The message cannot be handed to the handler: it failed all the same. */
  refuse(message: ConsumedMessage, error: unknown): Settlement {
    this.#options.onError(message, error)
    return { kind: 'retry', delayLevel: 0, error }
  }

  /** As `#run` for the usual case, with less around each message. */
  async #runOne(assigned: AssignedQueue, entries: readonly Entry[], one: MessageHandler): Promise<Settlement[]> {
    const { message } = entries[0] as Entry
    const context = new Context(assigned, entries, this.leases, this.#options.namespace)
    message.begin(context)
    const error = await this.#attempt(() => one(message, context), [message], assigned)
    return [message.settlement ?? settlementOf(error)]
  }

  async #run(assigned: AssignedQueue, entries: readonly Entry[]): Promise<Settlement[]> {
    const { one, many, schema } = this.#options
    const context = new Context(assigned, entries, this.leases, this.#options.namespace)
    for (const { message } of entries) message.begin(context)
    const refused = schema ? await this.#validate(entries, schema) : undefined
    const messages = entries.map((entry) => entry.message)
    if (many) {
      const valid = refused ? messages.filter((message) => !refused.has(message)) : messages
      const error = valid.length === 0 ? undefined : await this.#attempt(() => many(valid, context), valid, assigned)
      return messages.map((message) => refused?.get(message) ?? message.settlement ?? settlementOf(error))
    }
    const settlements: Settlement[] = []
    for (const message of messages) {
      const refusal = refused?.get(message)
      if (refusal) settlements.push(refusal)
      else {
        const error = await this.#attempt(() => one?.(message, context), messages.length === 1 ? messages : [message], assigned)
        settlements.push(message.settlement ?? settlementOf(error))
      }
    }
    return settlements
  }

  /** Undefined when it went well, else what was thrown. */
  async #attempt(
    work: () => unknown,
    messages: readonly ConsumedMessage[],
    assigned: AssignedQueue,
  ): Promise<{ error: unknown } | undefined> {
    // A batch has many origins: it goes on in none of their traces.
    const trace = messages.length === 1 ? (messages[0] as ConsumedMessage).trace : undefined
    try {
      await withTrace(
        trace,
        isObserved('consume')
          ? () =>
              traced(
                'consume',
                () => ({ message: messages[0], messages, queue: assigned.queue, trace }),
                async () => work(),
              )
          : work,
      )
      return undefined
    } catch (error) {
      for (const message of messages) this.#options.onError(message, error)
      return { error }
    }
  }

  /** What becomes of messages that the schema refuses. */
  async #validate(entries: readonly Entry[], schema: StandardSchema): Promise<Map<ConsumedMessage, Settlement>> {
    const refused = new Map<ConsumedMessage, Settlement>()
    const { decode = jsonOf } = this.#options
    for (const { message } of entries) {
      try {
        message.accept(await parseBody(message, schema, decode))
      } catch (error) {
        this.#options.onError(message, error)
        refused.set(message, await this.#refusal(message, error as InvalidMessageError))
      }
    }
    return refused
  }

  async #refusal(message: ConsumedMessage, error: InvalidMessageError): Promise<Settlement> {
    const { onInvalid = 'deadLetter' } = this.#options
    const again: Settlement = { kind: 'retry', delayLevel: 0, error }
    // A validator that broke says nothing about the message.
    if (!Array.isArray(error.issues)) return again
    try {
      const outcome = typeof onInvalid === 'function' ? await onInvalid(message, error) : onInvalid
      return outcome === 'skip' ? ACK : outcome === 'retry' ? again : { kind: 'retry', delayLevel: -1, error }
    } catch (cause) {
      this.#options.onError(message, cause)
      return again
    }
  }
}

const jsonOf = (message: ReceivedMessage): unknown => message.json()
const ACK: Settlement = { kind: 'ack' }
const settlementOf = (failure: { error: unknown } | undefined): Settlement =>
  failure === undefined ? ACK : { kind: 'retry', delayLevel: 0, error: failure.error }
