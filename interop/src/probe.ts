/** Drives one foreign client in its own process, through the line protocol of java/Probe.java. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'

export interface Delivery {
  readonly consumer: string
  readonly body: string
  readonly topic: string
  readonly tag: string | null
  readonly keys: string | null
  readonly queueId: number
  readonly queueOffset: number
  readonly reconsumeTimes: number
  /** What the consumer answered: false for a planned failure. */
  readonly ok: boolean
}

export interface SendOptions {
  readonly topic: string
  /**
   * `transaction`: of four messages in a row the first commits, the second rolls back, the third commits and the fourth rolls back when the
   * broker asks. `request`: waits for the reply to each, which must be `reply to BODY`.
   */
  readonly mode?: 'sync' | 'async' | 'oneway' | 'batch' | 'ordered' | 'transaction' | 'request'
  /** Of the producer. */
  readonly group?: string
  readonly count?: number
  readonly prefix?: string
  readonly tag?: string
  readonly key?: string
  readonly keys?: number
  readonly size?: number
  readonly delayLevel?: number
  /** A delivery time of the message's own: so long after the send, or the moment that is so far ahead. */
  readonly delayMs?: number
  readonly deliverInMs?: number
  /** Takes the messages back once they are stored. */
  readonly recall?: boolean
  /** Properties of the application: `name:value,…`. */
  readonly properties?: string
  /** Writes message traces. */
  readonly trace?: boolean
  readonly namespace?: string
}

export interface SubscribeOptions {
  readonly consumer: string
  readonly group: string
  readonly topic: string
  readonly expr?: string
  /** An SQL92 condition instead. */
  readonly sql?: string
  /** `lite`: a pull consumer that shares queues with its group; `assign`: one that takes all queues by itself. */
  readonly mode?: 'concurrent' | 'orderly' | 'broadcast' | 'lite' | 'assign'
  /** Pull consumers: after so many messages all queues are read again from their begin, once. */
  readonly rewindAfter?: number
  /** Writes message traces. */
  readonly trace?: boolean
  readonly namespace?: string
  /** Answers each message with `reply to BODY`. */
  readonly reply?: boolean
  /** The broker shares queues out and says whether to pull or to pop them. */
  readonly pop?: boolean
  /** Where a new group begins. Default `first`. */
  readonly from?: 'first' | 'last'
  /** Fail the first so many deliveries of each body; -1: always. */
  readonly fail?: number
  readonly maxReconsume?: number
  readonly retryLevel?: number
}

/** What a test needs of a client, whatever its language. */
export interface Probe {
  readonly name: string
  send(options: SendOptions): Promise<void>
  subscribe(options: SubscribeOptions): Promise<void>
  unsubscribe(consumer: string): Promise<void>
  deliveries(consumer: string): readonly Delivery[]
  stop(): Promise<void>
}

export class ProcessProbe implements Probe {
  readonly name: string
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, { resolve: () => void; reject: (error: Error) => void }>()
  readonly #deliveries = new Map<string, Delivery[]>()
  readonly #ready: Promise<void>
  #stderr = ''
  #nextId = 1

  constructor(name: string, command: string, args: readonly string[], options: { cwd?: string; env?: NodeJS.ProcessEnv } = {}) {
    this.name = name
    this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], ...options })
    let ready: () => void = () => {}
    let failed: (error: Error) => void = () => {}
    this.#ready = new Promise((resolve, reject) => {
      ready = resolve
      failed = reject
    })
    this.#ready.catch(() => {})
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk.toString()).slice(-8000)
    })
    this.#child.on('exit', (code) => {
      const error = new Error(`${name} ended with ${code}: ${this.#stderr}`)
      failed(error)
      for (const waiting of this.#waiting.values()) waiting.reject(error)
      this.#waiting.clear()
    })
    createInterface({ input: this.#child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      if (!line.startsWith('{')) return
      const value = JSON.parse(line) as { event?: string; id?: number; ok: boolean; error?: string } & Delivery
      if (value.event === 'ready') ready()
      else if (value.event === 'message') this.#of(value.consumer).push(value)
      else {
        const waiting = this.#waiting.get(value.id as number)
        this.#waiting.delete(value.id as number)
        if (value.ok) waiting?.resolve()
        else waiting?.reject(new Error(`${name}: ${value.error}`))
      }
    })
  }

  send(options: SendOptions): Promise<void> {
    return this.#call('send', options)
  }

  subscribe(options: SubscribeOptions): Promise<void> {
    return this.#call('subscribe', options)
  }

  unsubscribe(consumer: string): Promise<void> {
    return this.#call('unsubscribe', { consumer })
  }

  deliveries(consumer: string): readonly Delivery[] {
    return this.#of(consumer)
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return
    const exited = new Promise((resolve) => this.#child.once('exit', resolve))
    this.#child.stdin?.end()
    const killer = setTimeout(() => this.#child.kill('SIGKILL'), 5000)
    await exited
    clearTimeout(killer)
  }

  #of(consumer: string): Delivery[] {
    let list = this.#deliveries.get(consumer)
    if (!list) this.#deliveries.set(consumer, (list = []))
    return list
  }

  async #call(operation: string, fields: object): Promise<void> {
    await this.#ready
    const id = this.#nextId++
    const text = Object.entries(fields).map(([key, value]) => `${key}=${value}`)
    await new Promise<void>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#child.stdin?.write(`${[id, operation, ...text].join('\t')}\n`)
    })
  }
}
