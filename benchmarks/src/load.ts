/**
 * The load generator: one process, raw sockets, frames made beforehand. It must cost little, as it shares the machine with the broker that
 * it measures: a batch of n answers is followed by n requests in one write; an answer is found by its length field and only its code is read.
 *
 *   node --import tsx benchmarks/src/load.ts --addr 127.0.0.1:10911 --topic T --queues 4 --size 1024 --connections 1 --depth 64 --seconds 8
 *
 * Prints one line of JSON.
 */
import net from 'node:net'
import { performance } from 'node:perf_hooks'
import { parseArgs } from 'node:util'

export interface LoadOptions {
  readonly host: string
  readonly port: number
  readonly topic: string
  readonly queues: number
  readonly size: number
  readonly connections: number
  readonly depth: number
  readonly seconds: number
  readonly warmUpSeconds: number
  /** Requests per second over all connections; 0 for a closed loop. */
  readonly rate: number
}

export interface LoadResult {
  readonly messages: number
  readonly seconds: number
  readonly perSecond: number
  readonly refused: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
}

const OPAQUE_DIGITS = 9

/** A SEND_MESSAGE_V2 frame as Apache's Java client writes it, with room for a 9-digit opaque. */
function template(options: LoadOptions, queueId: number): { frame: Buffer; opaqueAt: number } {
  const properties = `UNIQ_KEY\u0001AC110001162018B4AAC2${'0'.repeat(12)}\u0002WAIT\u0001true\u0002TAGS\u0001TagA\u0002`
  const ext = {
    a: 'bench',
    b: options.topic,
    c: 'TBW102',
    d: '4',
    e: String(queueId),
    f: '0',
    g: '1763724000000',
    h: '0',
    i: properties,
    j: '0',
    k: 'false',
    m: 'false',
  }
  const placeholder = '1'.repeat(OPAQUE_DIGITS)
  const header = Buffer.from(
    `{"code":310,"extFields":${JSON.stringify(ext)},"flag":0,"language":"JAVA","opaque":${placeholder},"serializeTypeCurrentRPC":"JSON","version":479}`,
  )
  const body = Buffer.alloc(options.size, 'x')
  const frame = Buffer.alloc(8 + header.length + body.length)
  frame.writeInt32BE(4 + header.length + body.length, 0)
  frame.writeInt32BE(header.length, 4)
  header.copy(frame, 8)
  body.copy(frame, 8 + header.length)
  return { frame, opaqueAt: 8 + header.indexOf(placeholder) }
}

class LoadConnection {
  readonly sentAt = new Float64Array(1 << 16)
  readonly #socket: net.Socket
  readonly #templates: { frame: Buffer; opaqueAt: number }[]
  readonly #onAnswers: (connection: LoadConnection, count: number) => void
  readonly #latencies: (ms: number) => void
  #next = 0
  #tail = Buffer.alloc(0)
  #out: Buffer[] = []
  refused = 0
  failure = ''

  constructor(
    socket: net.Socket,
    templates: { frame: Buffer; opaqueAt: number }[],
    onAnswers: (connection: LoadConnection, count: number) => void,
    latencies: (ms: number) => void,
  ) {
    this.#socket = socket
    this.#templates = templates
    this.#onAnswers = onAnswers
    this.#latencies = latencies
    socket.on('data', (chunk: Buffer) => this.#read(chunk))
  }

  send(count: number, at = performance.now()): void {
    const first = this.#templates[0] as { frame: Buffer }
    const length = first.frame.length
    const bytes = Buffer.allocUnsafe(count * length)
    for (let i = 0; i < count; i++) {
      const serial = this.#next++
      const { frame, opaqueAt } = this.#templates[serial % this.#templates.length] as { frame: Buffer; opaqueAt: number }
      const start = i * length
      frame.copy(bytes, start)
      let rest = 100_000_000 + (serial & 0xffff)
      for (let d = OPAQUE_DIGITS - 1; d >= 0; d--) {
        bytes[start + opaqueAt + d] = 0x30 + (rest % 10)
        rest = Math.floor(rest / 10)
      }
      this.sentAt[serial & 0xffff] = at
    }
    this.#socket.write(bytes)
  }

  close(): void {
    this.#socket.destroy()
  }

  #read(chunk: Buffer): void {
    const data = this.#tail.length > 0 ? Buffer.concat([this.#tail, chunk]) : chunk
    const now = performance.now()
    let p = 0
    let count = 0
    while (data.length - p >= 8) {
      const end = p + 4 + data.readInt32BE(p)
      if (end > data.length) break
      const headerEnd = p + 8 + (data.readInt32BE(p + 4) & 0xffffff)
      const code = field(data, p + 8, headerEnd, CODE)
      const opaque = field(data, p + 8, headerEnd, OPAQUE)
      if (code !== 0) {
        this.refused++
        this.failure ||= data.toString('utf8', p + 8, headerEnd)
      }
      this.#latencies(now - (this.sentAt[(opaque - 100_000_000) & 0xffff] as number))
      count++
      p = end
    }
    this.#tail = p < data.length ? Buffer.from(data.subarray(p)) : EMPTY
    if (count > 0) this.#onAnswers(this, count)
  }
}

const EMPTY = Buffer.alloc(0)
const CODE = Buffer.from('"code":')
const OPAQUE = Buffer.from('"opaque":')

function field(data: Buffer, start: number, end: number, name: Buffer): number {
  let p = data.indexOf(name, start) + name.length
  if (p >= end) return -1
  let value = 0
  for (let c = data[p] as number; c >= 0x30 && c <= 0x39; c = data[++p] as number) value = value * 10 + c - 0x30
  return value
}

export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  const templates = Array.from({ length: options.queues }, (_, i) => template(options, i)).filter(
    (t, _i, all) => t.frame.length === (all[0] as { frame: Buffer }).frame.length,
  )
  // Latencies in 10 µs steps up to 10 s.
  const histogram = new Uint32Array(1_000_000)
  let counting = false
  let messages = 0
  let stopped = false
  const onAnswers = (connection: LoadConnection, count: number) => {
    if (counting) messages += count
    if (!stopped && options.rate === 0) connection.send(count)
  }
  const latency = (ms: number) => {
    if (counting) histogram[Math.min(999_999, Math.round(ms * 100))]!++
  }
  const connections: LoadConnection[] = []
  for (let i = 0; i < options.connections; i++) {
    const socket = net.connect(options.port, options.host)
    socket.setNoDelay(true)
    await new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    socket.on('error', () => {})
    connections.push(new LoadConnection(socket, templates, onAnswers, latency))
  }
  let pacer: NodeJS.Timeout | undefined
  if (options.rate === 0) for (const connection of connections) connection.send(options.depth)
  else {
    const began = performance.now()
    let sent = 0
    pacer = setInterval(() => {
      const due = Math.floor(((performance.now() - began) * options.rate) / 1000)
      for (; sent < due; sent++) connections[sent % connections.length]?.send(1)
    }, 1)
  }
  await new Promise((resolve) => setTimeout(resolve, options.warmUpSeconds * 1000))
  const start = performance.now()
  counting = true
  process.send?.('counting')
  await new Promise((resolve) => setTimeout(resolve, options.seconds * 1000))
  counting = false
  const seconds = (performance.now() - start) / 1000
  process.send?.('counted')
  stopped = true
  if (pacer) clearInterval(pacer)
  await new Promise((resolve) => setTimeout(resolve, 200))
  for (const connection of connections) connection.close()
  const failure = connections.find((connection) => connection.failure)?.failure
  if (failure) process.stderr.write(`first refusal: ${failure.slice(0, 400)}\n`)
  const total = histogram.reduce((sum, n) => sum + n, 0)
  const at = (fraction: number) => {
    let left = total * fraction
    for (let i = 0; i < histogram.length; i++) if ((left -= histogram[i] as number) <= 0) return i / 100
    return Number.NaN
  }
  const refused = connections.reduce((sum, connection) => sum + connection.refused, 0)
  return { messages, seconds, perSecond: Math.round(messages / seconds), refused, p50Ms: at(0.5), p99Ms: at(0.99), p999Ms: at(0.999) }
}

if (process.argv[1] === import.meta.filename) {
  const text = (value: string) => ({ type: 'string', default: value }) as const
  const { values } = parseArgs({
    options: {
      addr: text('127.0.0.1:10911'),
      topic: text('Bench'),
      queues: text('4'),
      size: text('1024'),
      connections: text('1'),
      depth: text('64'),
      seconds: text('8'),
      warmup: text('2'),
      rate: text('0'),
    },
  })
  const [host, port] = values.addr.split(':')
  const result = await runLoad({
    host: host as string,
    port: Number(port),
    topic: values.topic,
    queues: Number(values.queues),
    size: Number(values.size),
    connections: Number(values.connections),
    depth: Number(values.depth),
    seconds: Number(values.seconds),
    warmUpSeconds: Number(values.warmup),
    rate: Number(values.rate),
  })
  process.stdout.write(`${JSON.stringify(result)}\n`)
  process.exit(0)
}
