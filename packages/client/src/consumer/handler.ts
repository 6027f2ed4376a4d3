import type { MessageQueue } from '@skylarkmq/remoting/protocol'
import { traced } from '../tracing.ts'
import type { AssignedQueue } from './assigned-queue.ts'
import type { CacheEntry } from './process-queue.ts'
import type { ConsumedMessage, Settlement } from './received-message.ts'

/** What a handler learns beside the message. */
export interface ConsumeContext {
  /** Aborts when the work is no longer wanted: the queue went to another consumer, the message took too long, the consumer closes. */
  readonly signal: AbortSignal
  readonly queue: MessageQueue
}

/** Returning acknowledges; throwing asks for another delivery. */
export type MessageHandler = (message: ConsumedMessage, context: ConsumeContext) => unknown
/** As `MessageHandler` for several messages: throwing fails all that are not settled one by one. */
export type BatchHandler = (messages: readonly ConsumedMessage[], context: ConsumeContext) => unknown

type Entry = CacheEntry<ConsumedMessage>

class Context implements ConsumeContext {
  readonly #assigned: AssignedQueue
  readonly #entries: readonly Entry[]

  constructor(assigned: AssignedQueue, entries: readonly Entry[]) {
    this.#assigned = assigned
    this.#entries = entries
  }

  get queue(): MessageQueue {
    return this.#assigned.queue
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
}

/** Runs the application's code over messages of one queue. Never rejects: each message ends with a settlement of its own. */
export class HandlerRunner {
  readonly #one: MessageHandler | undefined
  readonly #many: BatchHandler | undefined
  readonly #onError: (message: ConsumedMessage, error: unknown) => void

  constructor(handlers: { one?: MessageHandler; many?: BatchHandler; onError: (message: ConsumedMessage, error: unknown) => void }) {
    this.#one = handlers.one
    this.#many = handlers.many
    this.#onError = handlers.onError
  }

  get isBatch(): boolean {
    return this.#many !== undefined
  }

  async run(assigned: AssignedQueue, entries: readonly Entry[]): Promise<Settlement[]> {
    const messages = entries.map((entry) => entry.message)
    for (const message of messages) message.begin()
    const context = new Context(assigned, entries)
    if (this.#many) {
      const error = await this.#attempt(() => this.#many?.(messages, context), messages, assigned)
      return messages.map((message) => message.settlement ?? settlementOf(error))
    }
    const settlements: Settlement[] = []
    for (const message of messages) {
      const error = await this.#attempt(() => this.#one?.(message, context), [message], assigned)
      settlements.push(message.settlement ?? settlementOf(error))
    }
    return settlements
  }

  /** Undefined when it went well, else what was thrown. */
  async #attempt(
    work: () => unknown,
    messages: readonly ConsumedMessage[],
    assigned: AssignedQueue,
  ): Promise<{ error: unknown } | undefined> {
    try {
      await traced(
        'consume',
        () => ({ message: messages[0], messages, queue: assigned.queue }),
        async () => work(),
      )
      return undefined
    } catch (error) {
      for (const message of messages) this.#onError(message, error)
      return { error }
    }
  }
}

const ACK: Settlement = { kind: 'ack' }
const settlementOf = (failure: { error: unknown } | undefined): Settlement =>
  failure === undefined ? ACK : { kind: 'retry', delayLevel: 0, error: failure.error }
