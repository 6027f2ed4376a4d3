/** Connections that pull: `depth` streams each, every stream with a queue and an offset of its own, and one pull under way. */
import { performance } from 'node:perf_hooks'
import { encodeFrame, encodeHeartbeat } from '@skylarkmq/remoting/protocol'
import { OPAQUE_BASE, pullFrame } from './requests.ts'
import type { AnswerSink } from './wire.ts'
import { NumberField, Wire } from './wire.ts'

export interface PullOptions {
  readonly host: string
  readonly port: number
  readonly topic: string
  readonly queues: number
  readonly connections: number
  readonly depth: number
  readonly maxMessages: number
  /** From each queue's end, waiting for what arrives; else from the start, again and again. */
  readonly follows: boolean
  /** Of SQL92: then what the broker has judged counts, wanted or not. */
  readonly expression?: string
}

export interface PullCounters {
  messages: number
  refused: number
  firstRefusal: string
  latency: (ms: number) => void
}

export const GROUP = 'bench_consumers'
const HEARTBEAT_OPAQUE = 99_999
const HEARTBEAT_MS = 20_000
/** Room for one pull. */
const FRAME_BYTES = 512
export const SUB_VERSION = 1_763_724_000_000
/** More than any queue holds: the answer tells the queue's end. */
const BEYOND = 1_000_000_000_000
/** RocketMQ's record: the body's length and the body, for hosts of IPv4. */
const BODY_AT = 88

interface Stream {
  readonly queueId: number
  offset: number
  sentAt: number
}

class Puller implements AnswerSink {
  wire: Wire | undefined
  isStopped = false
  readonly #options: PullOptions
  readonly #writePull: ReturnType<typeof pullFrame>
  readonly #counters: PullCounters
  readonly #streams: Stream[]
  readonly #code = new NumberField('"code":')
  readonly #opaque = new NumberField('"opaque":')
  readonly #nextOffset = new NumberField('"nextBeginOffset":"')
  #ready: number[] = []

  constructor(options: PullOptions, counters: PullCounters, index: number) {
    this.#options = options
    this.#writePull = pullFrame(options, GROUP, SUB_VERSION)
    this.#counters = counters
    const { depth, queues, follows } = options
    this.#streams = Array.from({ length: depth }, (_, i) => ({
      queueId: (index * depth + i) % queues,
      offset: follows ? BEYOND : 0,
      sentAt: 0,
    }))
    this.#ready = this.#streams.map((_, i) => i)
  }

  /** Apache serves pulls without a subscription of their own only to members known by heartbeat. */
  beat(): void {
    this.wire?.write(heartbeatFrame(this.#options.topic, this.#options.expression))
  }

  onHeader(header: Buffer, start: number, end: number): boolean {
    const opaque = this.#opaque.of(header, start, end) - OPAQUE_BASE
    // Negative: the broker's own notifications.
    if (opaque < 0 || opaque === HEARTBEAT_OPAQUE) return false
    const code = this.#code.of(header, start, end)
    const stream = this.#streams[opaque] as Stream
    this.#ready.push(opaque)
    const next = this.#nextOffset.of(header, start, end)
    if (code === 0) {
      const count = next - stream.offset
      this.#counters.messages += count
      if (!this.#options.follows) this.#counters.latency(performance.now() - stream.sentAt)
      stream.offset = next
      return this.#options.follows
    }
    // At the end: once more from the start, or wait for more.
    if (code === 19) stream.offset = this.#options.follows ? next : 0
    else if (code === 20 || code === 21) {
      if (this.#options.expression !== undefined && code === 20) this.#counters.messages += next - stream.offset
      stream.offset = next
    } else {
      this.#counters.refused++
      this.#counters.firstRefusal ||= header.toString('utf8', start, end)
    }
    return false
  }

  onBody(records: Buffer): void {
    const now = performance.now()
    for (let p = 0; p < records.length; p += records.readInt32BE(p)) this.#counters.latency(now - records.readDoubleBE(p + BODY_AT))
  }

  onRead(): void {
    if (this.#ready.length === 0 || this.isStopped) return
    const ready = this.#ready
    this.#ready = []
    const bytes = Buffer.allocUnsafe(ready.length * FRAME_BYTES)
    const now = performance.now()
    let p = 0
    for (const index of ready) {
      const stream = this.#streams[index] as Stream
      p = this.#writePull(bytes, p, index, stream.queueId, stream.offset)
      stream.sentAt = now
    }
    this.wire?.write(bytes.subarray(0, p))
  }
}

export async function startPullers(options: PullOptions, counters: PullCounters): Promise<() => void> {
  const pullers: Puller[] = []
  for (let i = 0; i < options.connections; i++) {
    const puller = new Puller(options, counters, i)
    puller.wire = await Wire.connect(options.host, options.port, puller)
    puller.beat()
    pullers.push(puller)
  }
  // A moment for the heartbeats: a pull before its own is refused.
  await new Promise((resolve) => setTimeout(resolve, 300))
  for (const puller of pullers) puller.onRead()
  const beats = setInterval(() => pullers.forEach((puller) => puller.beat()), HEARTBEAT_MS)
  return () => {
    clearInterval(beats)
    for (const puller of pullers) {
      puller.isStopped = true
      puller.wire?.close()
    }
  }
}

/** A member of the group that pulls the topic. */
export function heartbeatFrame(topic: string, expression?: string): Buffer {
  const heartbeat = {
    clientID: `bench@${process.pid}`,
    heartbeatFingerprint: 0,
    withoutSub: false,
    producerDataSet: [],
    consumerDataSet: [
      {
        groupName: GROUP,
        consumeType: 'CONSUME_PASSIVELY',
        messageModel: 'CLUSTERING',
        consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
        unitMode: false,
        subscriptionDataSet: [
          {
            classFilterMode: false,
            topic,
            subString: expression ?? '*',
            tagsSet: [],
            codeSet: [],
            subVersion: SUB_VERSION,
            expressionType: expression === undefined ? 'TAG' : 'SQL92',
          },
        ],
      },
    ],
  }
  const frame = {
    code: 34,
    language: 'JAVA',
    version: 479,
    opaque: OPAQUE_BASE + HEARTBEAT_OPAQUE,
    flag: 0,
    ext: {},
    serializeType: 0,
  } as const
  return encodeFrame({ ...frame, body: encodeHeartbeat(heartbeat as never) })
}
