import { RocketError } from '@skylarkmq/remoting/protocol'
import type { ConsumerEngine } from './consumer-engine.ts'
import type { ConsumeContext } from './handler.ts'
import type { ConsumedMessage } from './received-message.ts'

export interface MessagesOptions {
  /** Messages that are handed out or ready to be, and not settled. Default 1; more for several loops, or with `ack: 'explicit'`. */
  readonly concurrency?: number
  /** `next` (default): asking for the next message acknowledges the one before. `explicit`: only `ack()`, `retry()`, `deadLetter()` do. */
  readonly ack?: 'next' | 'explicit'
  /** Ends the iteration. */
  readonly signal?: AbortSignal
}

type Taker = (message: ConsumedMessage | undefined) => void

/** Turns the handler around: each message waits until a loop takes it, and its handler call ends when it is settled. */
export class MessageStream {
  concurrency = 1
  readonly #engine: ConsumerEngine
  readonly #start: () => Promise<void>
  #ready: ConsumedMessage[] = []
  #takers: Taker[] = []
  #loops = 0
  #isEnded = false

  constructor(engine: ConsumerEngine, start: () => Promise<void>) {
    this.#engine = engine
    this.#start = start
  }

  readonly handler = (message: ConsumedMessage, context: ConsumeContext): Promise<void> =>
    new Promise((resolve) => {
      message.whenSettled(resolve)
      // Nobody may hold a message that is not ours any more.
      context.signal.addEventListener('abort', () => this.#giveBack(message), { once: true })
      if (this.#isEnded || this.#loops === 0) this.#giveBack(message)
      else if (this.#takers.length > 0) this.#takers.shift()?.(message)
      else this.#ready.push(message)
    })

  iterate(options: MessagesOptions): AsyncIterable<ConsumedMessage> {
    return { [Symbol.asyncIterator]: () => this.#iterator(options) }
  }

  /** The consumer closes: loops end at their next step; what nobody has taken goes back. */
  end(): void {
    this.#isEnded = true
    for (const message of this.#ready.splice(0)) this.#giveBack(message)
    for (const taker of this.#takers.splice(0)) taker(undefined)
  }

  #giveBack(message: ConsumedMessage): void {
    this.#ready = this.#ready.filter((other) => other !== message)
    message.settle({ kind: 'release' })
  }

  #iterator(options: MessagesOptions): AsyncIterator<ConsumedMessage> {
    let current: ConsumedMessage | undefined
    let hasBegun = false
    let isDone = false
    const { signal } = options
    let taker: Taker | undefined

    const finish = () => {
      if (isDone) return
      isDone = true
      signal?.removeEventListener('abort', finish)
      taker?.(undefined)
      if (hasBegun) this.#leave()
    }
    const begin = async () => {
      if (hasBegun) return
      hasBegun = true
      this.#loops++
      this.concurrency = Math.max(this.#loops, options.concurrency ?? 1)
      if (this.#loops === 1 && this.#engine.isPaused) this.#engine.resume()
      signal?.addEventListener('abort', finish, { once: true })
      await this.#start()
    }

    return {
      next: async () => {
        if (options.ack !== 'explicit') current?.ack()
        current = undefined
        if (signal?.aborted || this.#isEnded) finish()
        if (isDone) return { done: true, value: undefined }
        try {
          await begin()
        } catch (error) {
          finish()
          throw error
        }
        const message = await this.#take((own) => {
          taker = own
        })
        taker = undefined
        if (message === undefined || isDone) {
          message?.settle({ kind: 'release' })
          finish()
          return { done: true, value: undefined }
        }
        current = message
        return { done: false, value: message }
      },
      return: async () => {
        // Left in the middle: the last message was not finished.
        if (options.ack !== 'explicit') current?.settle({ kind: 'retry', delayLevel: 0, error: leftEarly })
        current = undefined
        finish()
        return { done: true, value: undefined }
      },
    }
  }

  #take(onTaker: (taker: Taker) => void): Promise<ConsumedMessage | undefined> {
    const ready = this.#ready.shift()
    if (ready || this.#isEnded) return Promise.resolve(ready)
    return new Promise((resolve) => {
      const taker: Taker = (message) => {
        this.#takers = this.#takers.filter((other) => other !== taker)
        resolve(message)
      }
      this.#takers.push(taker)
      onTaker(taker)
    })
  }

  /** With the last loop gone nobody takes messages: they stay at the broker until another loop begins. */
  #leave(): void {
    if (--this.#loops > 0) return
    this.#engine.pause()
    for (const message of this.#ready.splice(0)) this.#giveBack(message)
  }
}

const leftEarly = new RocketError('the loop was left before the message was acknowledged', { code: 'ABORTED', phase: 'consume' })
