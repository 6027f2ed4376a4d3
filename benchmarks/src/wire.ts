/** One raw connection: finds answers by their length fields, reads three numbers of their headers, and skips or hands over their bodies. */
import { once } from 'node:events'
import net from 'node:net'

export interface AnswerSink {
  /** `header` is valid only during the call. Returns whether it wants the body. */
  onHeader(header: Buffer, start: number, end: number): boolean
  onBody?(body: Buffer): void
  /** All answers of one read have been told: the moment to send. */
  onRead(): void
}

const READ_BYTES = 256 * 1024
const HEAD_BYTES = 4096

export class Wire {
  readonly #socket: net.Socket
  readonly #sink: AnswerSink
  /** A head that came in parts. */
  readonly #head = Buffer.alloc(HEAD_BYTES)
  #headLength = 0
  #bodyLeft = 0
  #body: Buffer | undefined
  #bodyLength = 0

  private constructor(socket: net.Socket, sink: AnswerSink) {
    this.#socket = socket
    this.#sink = sink
  }

  static async connect(host: string, port: number, sink: AnswerSink): Promise<Wire> {
    let wire: Wire | undefined
    const callback = (count: number, buffer: Uint8Array): boolean => {
      wire?.read(Buffer.from(buffer.buffer, buffer.byteOffset, count))
      return true
    }
    const socket = net.connect({ host, port, noDelay: true, onread: { buffer: Buffer.alloc(READ_BYTES), callback } })
    wire = new Wire(socket, sink)
    await once(socket, 'connect')
    socket.on('error', () => {})
    return wire
  }

  write(bytes: Buffer, onWritten?: () => void): void {
    this.#socket.write(bytes, onWritten)
  }

  close(): void {
    this.#socket.destroy()
  }

  read(chunk: Buffer): void {
    let p = 0
    while (p < chunk.length) {
      if (this.#bodyLeft > 0) p = this.#takeBody(chunk, p)
      else if (this.#headLength > 0) p = this.#continueHead(chunk, p)
      else {
        const end = chunk.length - p < 8 ? -1 : p + 8 + (chunk.readInt32BE(p + 4) & 0xffffff)
        if (end < 0 || end > chunk.length) {
          this.#headLength = chunk.copy(this.#head, 0, p)
          p = chunk.length
        } else {
          this.#takeHead(chunk, p, end)
          p = end
        }
      }
    }
    this.#sink.onRead()
  }

  #continueHead(chunk: Buffer, at: number): number {
    let p = at
    while (this.#headLength < 8 && p < chunk.length) this.#head[this.#headLength++] = chunk[p++] as number
    if (this.#headLength < 8) return p
    const wanted = 8 + (this.#head.readInt32BE(4) & 0xffffff)
    const taken = chunk.copy(this.#head, this.#headLength, p, p + wanted - this.#headLength)
    this.#headLength += taken
    if (this.#headLength === wanted) {
      this.#headLength = 0
      this.#takeHead(this.#head, 0, wanted)
    }
    return p + taken
  }

  #takeHead(bytes: Buffer, start: number, end: number): void {
    const bodyLength = bytes.readInt32BE(start) + 4 - (end - start)
    const wantsBody = this.#sink.onHeader(bytes, start + 8, end)
    this.#bodyLeft = bodyLength
    this.#bodyLength = 0
    this.#body = wantsBody && bodyLength > 0 ? Buffer.allocUnsafe(bodyLength) : undefined
  }

  #takeBody(chunk: Buffer, p: number): number {
    const count = Math.min(this.#bodyLeft, chunk.length - p)
    if (this.#body !== undefined) this.#bodyLength += chunk.copy(this.#body, this.#bodyLength, p, p + count)
    this.#bodyLeft -= count
    if (this.#bodyLeft === 0 && this.#body !== undefined) this.#sink.onBody?.(this.#body)
    return p + count
  }
}

/**
 * Finds a number in the headers of one server. They are alike: it looks where it was found last, from the header's start and from its end,
 * and searches when the name is not there.
 */
export class NumberField {
  readonly #name: Buffer
  #fromStart = 0
  #fromEnd = 0

  /** `name`: with its quotes, and all that comes before the digits. */
  constructor(name: string) {
    this.#name = Buffer.from(name)
  }

  /** The digits after the name, or -1. */
  of(bytes: Buffer, start: number, end: number): number {
    let p = start + this.#fromStart
    if (!this.#isAt(bytes, p, end)) {
      p = end - this.#fromEnd
      if (p < start || !this.#isAt(bytes, p, end)) {
        p = bytes.indexOf(this.#name, start)
        if (p < 0 || p >= end) return -1
        this.#fromStart = p - start
        this.#fromEnd = end - p
      }
    }
    p += this.#name.length
    let value = 0
    for (let c = bytes[p] as number; c >= 0x30 && c <= 0x39; c = bytes[++p] as number) value = value * 10 + c - 0x30
    return value
  }

  #isAt(bytes: Buffer, at: number, end: number): boolean {
    const name = this.#name
    if (at + name.length > end) return false
    for (let i = 0; i < name.length; i++) if (bytes[at + i] !== name[i]) return false
    return true
  }
}
