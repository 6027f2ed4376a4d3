/** Connections that send: each answer is followed by a request (closed loop), or requests leave by the clock (open loop). */
import { performance } from 'node:perf_hooks'
import { Outbox } from './outbox.ts'
import { batchTemplate, byDigits, digitsOf, OPAQUE_BASE, putNumbers, sendTemplate } from './requests.ts'
import type { AnswerSink } from './wire.ts'
import { NumberField, Wire } from './wire.ts'

export interface SendOptions {
  readonly host: string
  readonly port: number
  readonly topic: string
  readonly queues: number
  readonly size: number
  readonly connections: number
  readonly depth: number
  /** Messages per request; over 1 they go as SEND_BATCH_MESSAGE. */
  readonly batch: number
  /** Requests per second over all connections; 0 for a closed loop. */
  readonly rate: number
  /** When a message is due to arrive goes into its body's first 8 bytes: at once, or after its delay. */
  readonly stampsBodies: boolean
  /** RocketMQ's; 0 for none, 1 for a second. */
  readonly delayLevel: number
  /** A connection in a closed loop sends no more requests than these. */
  readonly most?: number
  /** How long after a group of requests was due it left. */
  readonly lateness?: (ms: number) => void
}

export interface SendCounters {
  /** Messages of successful answers. */
  messages: number
  refused: number
  firstRefusal: string
  latency: (ms: number) => void
}

const SLOTS = 1 << 16
const TICK_MS = 1
/** Of the levels that are used here (RocketMQ MessageStoreConfig#messageDelayLevel). */
const DELAYS_MS = [0, 1000]
/** Room for what an open loop sends at once. */
const OPEN_LOOP_REQUESTS = 128

class Sender implements AnswerSink {
  wire: Wire | undefined
  readonly #options: SendOptions
  readonly #outboxes: readonly (Outbox | undefined)[]
  readonly #code = new NumberField('"code":')
  readonly #opaque = new NumberField('"opaque":')
  readonly #counters: SendCounters
  readonly #sentAt = new Float64Array(SLOTS)
  readonly #now: () => number
  #serial = 0
  #queue: number
  #answered = 0
  #readAt = 0
  isStopped = false

  constructor(options: SendOptions, outboxes: readonly (Outbox | undefined)[], counters: SendCounters, index: number) {
    this.#options = options
    this.#outboxes = outboxes
    this.#counters = counters
    this.#queue = Math.floor((index * options.queues) / options.connections)
    this.#now = () => performance.now()
  }

  /** So many requests it may still send. */
  get left(): number {
    return (this.#options.most ?? Number.POSITIVE_INFINITY) - this.#serial
  }

  send(count: number, at = this.#now()): void {
    for (let left = count; left > 0; ) left -= this.#sendSome(left, at)
  }

  /** One write of requests whose queue ids have as many digits. Returns how many. */
  #sendSome(most: number, at: number): number {
    const { queues, stampsBodies, delayLevel } = this.#options
    const digits = digitsOf(this.#queue)
    const outbox = this.#outboxes[digits] as Outbox
    const { bytes, release } = outbox.take()
    const { template, capacity } = outbox
    const due = stampsBodies ? this.#now() + (DELAYS_MS[delayLevel] as number) : 0
    let count = 0
    let p = 0
    do {
      const slot = this.#serial++ & (SLOTS - 1)
      putNumbers(bytes, p, template, slot, this.#queue)
      if (stampsBodies) bytes.writeDoubleBE(due, p + template.bodyAt)
      this.#sentAt[slot] = at
      this.#queue = this.#queue + 1 < queues ? this.#queue + 1 : 0
      p += template.frame.length
      count++
    } while (count < most && count < capacity && digitsOf(this.#queue) === digits)
    this.wire?.write(bytes.subarray(0, p), release)
    return count
  }

  onHeader(header: Buffer, start: number, end: number): boolean {
    if (this.#readAt === 0) this.#readAt = this.#now()
    const opaque = this.#opaque.of(header, start, end) - OPAQUE_BASE
    if (this.#code.of(header, start, end) === 0) this.#counters.messages += this.#options.batch
    else {
      this.#counters.refused++
      this.#counters.firstRefusal ||= header.toString('utf8', start, end)
    }
    this.#counters.latency(this.#readAt - (this.#sentAt[opaque] as number))
    this.#answered++
    return false
  }

  onRead(): void {
    this.#readAt = 0
    const count = this.#answered
    this.#answered = 0
    if (count > 0 && this.#options.rate === 0 && !this.isStopped) this.send(Math.min(count, this.left))
  }
}

/** Starts sending at once; the returned function ends it. */
export async function startSenders(options: SendOptions, counters: SendCounters): Promise<() => void> {
  const { topic, size, batch, rate, depth, delayLevel } = options
  const templates = byDigits((id) => (batch > 1 ? batchTemplate(topic, id, size, batch) : sendTemplate(topic, id, size, delayLevel)))
  const outboxes = templates.map((template) => template && new Outbox(template, rate === 0 ? depth : OPEN_LOOP_REQUESTS))
  const senders: Sender[] = []
  for (let i = 0; i < options.connections; i++) {
    const sender = new Sender(options, outboxes, counters, i)
    sender.wire = await Wire.connect(options.host, options.port, sender)
    senders.push(sender)
  }
  let pacer: NodeJS.Timeout | undefined
  if (rate === 0) for (const sender of senders) sender.send(Math.min(depth, sender.left))
  else pacer = pace(senders, options)
  return () => {
    if (pacer) clearInterval(pacer)
    for (const sender of senders) sender.isStopped = true
    setTimeout(() => senders.forEach((sender) => sender.wire?.close()), 200)
  }
}

/** One group of requests per millisecond. The answers' latency counts from the millisecond when they were due, however late they leave. */
function pace(senders: readonly Sender[], { rate, lateness }: SendOptions): NodeJS.Timeout {
  const began = performance.now()
  let tick = 0
  let sent = 0
  let next = 0
  return setInterval(() => {
    const last = Math.floor((performance.now() - began) / TICK_MS)
    while (tick < last) {
      tick++
      const count = Math.floor((tick * TICK_MS * rate) / 1000) - sent
      if (count === 0) continue
      sent += count
      lateness?.(performance.now() - began - tick * TICK_MS)
      senders[next]?.send(count, began + tick * TICK_MS)
      next = (next + 1) % senders.length
    }
  }, TICK_MS)
}
