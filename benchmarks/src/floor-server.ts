/**
 * The least that a broker could do: answers each send at once, and hands its body to whoever waits at its queue; nothing is checked or
 * written. Latency beside it is that of the generator, of the machine's sockets and of its scheduler. As a child process it sends its port.
 */
import net from 'node:net'
import { NumberField } from './wire.ts'

const PULL = 11
const OFFSET_MOVED = 21
const CODE = new NumberField('"code":')
const OPAQUE = new NumberField('"opaque":')
const PULL_QUEUE = new NumberField('"queueId":"')
const PULL_OFFSET = new NumberField('"queueOffset":"')
const SEND_QUEUE = new NumberField('"e":"')
/** RocketMQ's record: the body's length and the body, for hosts of IPv4. */
const LENGTH_AT = 84

interface Queue {
  end: number
  /** Arrived, and not handed out. */
  records: Buffer[]
  /** Somebody pulls: in a load of sends nobody does. */
  isFollowed: boolean
  waiter: (() => void) | undefined
}

const queues = new Map<number, Queue>()

function queueOf(id: number): Queue {
  let queue = queues.get(id)
  if (queue === undefined) queues.set(id, (queue = { end: 0, records: [], isFollowed: false, waiter: undefined }))
  return queue
}

function answer(code: number, opaque: number, ext: string, body: readonly Buffer[] = []): Buffer {
  const header = Buffer.from(`{"code":${code},${ext}"flag":1,"language":"JAVA","opaque":${opaque},"version":479}`)
  const head = Buffer.alloc(8)
  head.writeInt32BE(4 + header.length + body.reduce((sum, one) => sum + one.length, 0), 0)
  head.writeInt32BE(header.length, 4)
  return Buffer.concat([head, header, ...body])
}

function record(body: Buffer): Buffer {
  const bytes = Buffer.alloc(LENGTH_AT + 4 + body.length)
  bytes.writeInt32BE(bytes.length, 0)
  bytes.writeInt32BE(body.length, LENGTH_AT)
  body.copy(bytes, LENGTH_AT + 4)
  return bytes
}

const nextOffset = (queue: Queue): string => `"extFields":{"nextBeginOffset":"${queue.end}"},`

function pull(bytes: Buffer, start: number, end: number, opaque: number, reply: (bytes: Buffer) => void): void {
  const queue = queueOf(PULL_QUEUE.of(bytes, start, end))
  const hand = () => {
    queue.waiter = undefined
    reply(answer(0, opaque, nextOffset(queue), queue.records))
    queue.records = []
  }
  if (PULL_OFFSET.of(bytes, start, end) > queue.end) {
    queue.isFollowed = true
    reply(answer(OFFSET_MOVED, opaque, nextOffset(queue)))
  } else if (queue.records.length > 0) hand()
  else queue.waiter = hand
}

let arrived = new Set<Queue>()

function take(bytes: Buffer, start: number, end: number, out: Buffer[], reply: (bytes: Buffer) => void): void {
  const headerEnd = start + 8 + (bytes.readInt32BE(start + 4) & 0xffffff)
  const code = CODE.of(bytes, start, headerEnd)
  const opaque = OPAQUE.of(bytes, start, headerEnd)
  if (code === PULL) return pull(bytes, start, headerEnd, opaque, reply)
  const queueId = SEND_QUEUE.of(bytes, start, headerEnd)
  if (queueId >= 0) {
    const queue = queueOf(queueId)
    queue.end++
    if (queue.isFollowed) {
      queue.records.push(record(bytes.subarray(headerEnd, end)))
      arrived.add(queue)
    }
  }
  out.push(answer(0, opaque, ''))
}

const server = net.createServer({ noDelay: true }, (socket) => {
  let rest = Buffer.alloc(0)
  socket.on('error', () => {})
  socket.on('data', (chunk: Buffer) => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    const out: Buffer[] = []
    let p = 0
    while (bytes.length - p >= 8) {
      const end = p + 4 + bytes.readInt32BE(p)
      if (end > bytes.length) break
      take(bytes, p, end, out, (reply) => socket.write(reply))
      p = end
    }
    rest = Buffer.from(bytes.subarray(p))
    if (out.length > 0) socket.write(Buffer.concat(out))
    const woken = arrived
    arrived = new Set()
    for (const queue of woken) queue.waiter?.()
  })
})
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as net.AddressInfo).port))
