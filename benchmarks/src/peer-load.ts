/**
 * The load generator for NATS JetStream and Redis Streams, as cheap as ours: raw sockets, requests made beforehand, n answers followed by n
 * requests in one write, and of an answer only what counts it is read.
 *
 *   … peer-load.ts --peer nats|redis --addr HOST:PORT --mode send|pull|fill --stream pulled --connections 1 --depth 64 --size 1024 --seconds 5 --warmup 1
 */
import { once } from 'node:events'
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'

const text = (value: string) => ({ type: 'string', default: value }) as const
const { values } = parseArgs({
  options: {
    peer: text('redis'),
    addr: text('127.0.0.1:6379'),
    mode: text('send'),
    stream: text('pulled'),
    connections: text('1'),
    depth: text('64'),
    size: text('1024'),
    seconds: text('5'),
    warmup: text('1'),
    count: text('100000'),
  },
})
const READ_BYTES = 256 * 1024
/** Messages of one read. */
const PULL_MESSAGES = 32
const size = Number(values.size)
const depth = Number(values.depth)
const counters = { answers: 0, refused: 0, firstRefusal: '' }

/** Counts the answers in what arrives; what is incomplete it keeps in mind. */
type Count = (bytes: Buffer) => number

interface Protocol {
  /** Said once at the start of a connection. */
  readonly hello: Buffer
  readonly request: Buffer
  /** After so many requests this one comes between. */
  readonly startsOver?: { readonly every: number; readonly by: Buffer }
  readonly count: () => Count
}

function refuse(bytes: Buffer, at: number): void {
  counters.refused++
  counters.firstRefusal ||= bytes.toString('latin1', at, Math.min(bytes.length, at + 200))
}

/** Publishes with a reply subject: JetStream answers each with {"stream":…,"seq":…} once it is stored. */
function natsSend(): Protocol {
  const body = 'x'.repeat(size)
  return {
    hello: Buffer.from('CONNECT {"verbose":false,"pedantic":false,"protocol":1}\r\nSUB _INBOX.b 1\r\n'),
    request: Buffer.from(`PUB bench.a _INBOX.b ${size}\r\n${body}\r\n`),
    count: () => natsAnswers(),
  }
}

const M = 0x4d
const LINE_FEED = 0x0a

/** Lines and, after MSG, as many bytes as the line's last word says. */
function natsAnswers(): Count {
  let rest = Buffer.alloc(0)
  return (chunk) => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    let answers = 0
    let p = 0
    for (;;) {
      const end = bytes.indexOf(LINE_FEED, p)
      if (end < 0) break
      if (bytes[p] !== M) {
        // -ERR, or INFO and PONG.
        if (bytes[p] === 0x2d) refuse(bytes, p)
        p = end + 1
        continue
      }
      let length = 0
      let scale = 1
      for (let q = end - 2; (bytes[q] as number) !== 0x20; q--, scale *= 10) length += ((bytes[q] as number) - 0x30) * scale
      const next = end + 1 + length + 2
      if (next > bytes.length) break
      // {"stream":… or {"error":…
      if (bytes[end + 3] === 0x65) refuse(bytes, end)
      else answers++
      p = next
    }
    // The socket's buffer is used again.
    rest = Buffer.from(bytes.subarray(p))
    return answers
  }
}

const redisCommand = (...words: string[]): Buffer =>
  Buffer.from(`*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`)

/** Each answer is the id as a bulk string: two line ends. */
function redisSend(): Protocol {
  return {
    hello: Buffer.alloc(0),
    request: redisCommand('XADD', 'bench', '*', 'b', 'x'.repeat(size)),
    count: () => {
      let lines = 0
      return (bytes) => {
        for (let p = bytes.indexOf(LINE_FEED); p >= 0; p = bytes.indexOf(LINE_FEED, p + 1)) lines++
        if (bytes[0] === 0x2d) refuse(bytes, 0)
        const answers = lines >> 1
        lines &= 1
        return answers
      }
    },
  }
}

/** Ids of one width, so that all full answers have one length: they are counted by it. */
const idOf = (i: number): string => `1000000000000-${1_000_000 + i}`
const STREAM = values.stream
const START_OVER = redisCommand('XGROUP', 'SETID', STREAM, 'readers', '0')
const OK_BYTES = '+OK\r\n'.length

/** The whole stream again and again: after as many reads as it has batches, one command moves the group back to its start. */
async function redisPull(host: string, port: number): Promise<Protocol> {
  const request = redisCommand('XREADGROUP', 'GROUP', 'readers', 'c', 'COUNT', String(PULL_MESSAGES), 'NOACK', 'STREAMS', STREAM, '>')
  const full = (await lengthOf(host, port, Buffer.concat([START_OVER, request]))) - OK_BYTES
  const batches = Number(values.count) / PULL_MESSAGES
  return {
    hello: START_OVER,
    request,
    startsOver: { every: batches, by: START_OVER },
    count: () => {
      let left = OK_BYTES
      let isFull = false
      let read = 0
      return (bytes) => {
        let answers = 0
        for (let p = 0; p < bytes.length; ) {
          const taken = Math.min(left, bytes.length - p)
          left -= taken
          p += taken
          if (left > 0) break
          if (isFull) {
            answers++
            read++
          }
          isFull = !isFull || read % batches !== 0
          left = isFull ? full : OK_BYTES
        }
        return answers
      }
    },
  }
}

async function lengthOf(host: string, port: number, request: Buffer): Promise<number> {
  const socket = net.connect(port, host)
  let length = 0
  socket.on('data', (bytes) => (length += bytes.length))
  await once(socket, 'connect')
  socket.write(request)
  await sleep(500)
  socket.destroy()
  return length
}

class Connection {
  readonly #socket: net.Socket
  readonly #protocol: Protocol
  readonly #requests: Buffer
  #untilStart: number
  isStopped = false

  constructor(host: string, port: number, protocol: Protocol) {
    this.#protocol = protocol
    this.#requests = Buffer.concat(Array.from({ length: depth }, () => protocol.request))
    this.#untilStart = protocol.startsOver?.every ?? Number.POSITIVE_INFINITY
    const count = protocol.count()
    const callback = (length: number, buffer: Uint8Array): boolean => {
      const answers = count(Buffer.from(buffer.buffer, buffer.byteOffset, length))
      counters.answers += answers
      if (answers > 0 && !this.isStopped) this.#send(answers)
      return true
    }
    this.#socket = net.connect({ host, port, noDelay: true, onread: { buffer: Buffer.alloc(READ_BYTES), callback } })
  }

  async start(): Promise<void> {
    await once(this.#socket, 'connect')
    this.#socket.on('error', () => {})
    if (this.#protocol.hello.length > 0) this.#socket.write(this.#protocol.hello)
    this.#send(depth)
  }

  stop(): void {
    this.isStopped = true
    setTimeout(() => this.#socket.destroy(), 200)
  }

  #send(count: number): void {
    const bytes = this.#protocol.request.length
    let left = count
    while (left > 0) {
      const now = Math.min(left, depth, this.#untilStart)
      this.#socket.write(this.#requests.subarray(0, now * bytes))
      left -= now
      this.#untilStart -= now
      if (this.#untilStart === 0) {
        this.#untilStart = this.#protocol.startsOver?.every as number
        this.#socket.write(this.#protocol.startsOver?.by as Buffer)
      }
    }
  }
}

/** A stream of `count` messages and its group of readers. */
async function redisFill(host: string, port: number): Promise<void> {
  const socket = net.connect(port, host)
  let lines = 0
  socket.on('data', (bytes) => {
    for (let p = bytes.indexOf(LINE_FEED); p >= 0; p = bytes.indexOf(LINE_FEED, p + 1)) lines++
  })
  await once(socket, 'connect')
  const body = 'x'.repeat(size)
  const count = Number(values.count)
  const step = 500
  for (let i = 0; i < count; i += step) {
    const ids = Array.from({ length: Math.min(step, count - i) }, (_, k) => redisCommand('XADD', STREAM, idOf(i + k), 'b', body))
    socket.write(Buffer.concat(ids))
    while (lines < 2 * (i + ids.length)) await sleep(1)
  }
  socket.write(redisCommand('XGROUP', 'CREATE', STREAM, 'readers', '0'))
  await sleep(300)
  socket.destroy()
}

async function main(): Promise<object> {
  const [host, port] = [values.addr.split(':')[0] as string, Number(values.addr.split(':')[1])]
  if (values.mode === 'fill') {
    await redisFill(host, port)
    return { messages: Number(values.count) }
  }
  const isPull = values.mode === 'pull'
  const protocol = isPull ? await redisPull(host, port) : values.peer === 'nats' ? natsSend() : redisSend()
  const connections = Array.from({ length: Number(values.connections) }, () => new Connection(host, port, protocol))
  await Promise.all(connections.map((one) => one.start()))
  await sleep(Number(values.warmup) * 1000)
  const [before, refusedBefore] = [counters.answers, counters.refused]
  const began = performance.now()
  process.send?.('counting')
  await sleep(Number(values.seconds) * 1000)
  process.send?.('counted')
  const seconds = (performance.now() - began) / 1000
  const messages = (counters.answers - before) * (isPull ? PULL_MESSAGES : 1)
  for (const one of connections) one.stop()
  await sleep(300)
  const { firstRefusal } = counters
  const result = { messages, seconds, perSecond: Math.round(messages / seconds), refused: counters.refused - refusedBefore }
  return { ...result, p50Ms: Number.NaN, p99Ms: Number.NaN, p999Ms: Number.NaN, ...(firstRefusal === '' ? {} : { firstRefusal }) }
}

const result = await main()
process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0))
