/** A peer without manners: writes any bytes, and keeps what comes back. */
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { decodeFrame, encodeFrame, FLAG_ONEWAY, FLAG_RESPONSE, PROTOCOL_VERSION, SERIALIZE_JSON } from '@skylarkmq/remoting/protocol'
import type { Frame, SerializeType } from '@skylarkmq/remoting/protocol'
import { expect } from 'vitest'

/** Silence for so long counts as no answer. */
const SILENCE_MS = 60_000
const EMPTY = Buffer.alloc(0)

/** What an answer must not give away: the inside of the program. */
const INNARDS =
  /Exception\b|(?:^|\W)(?:Type|Range|Syntax|Reference|Assertion)?Error:|^\s+at |\.[jt]s:\d|node:internal|\[object |\bundefined\b|\bNaN\b/m

export interface Request {
  readonly code: number
  readonly ext?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  readonly serializeType?: SerializeType
  readonly isOneway?: boolean
  readonly version?: number
}

let lastOpaque = 0

export function requestFrame(request: Request, opaque = ++lastOpaque): Buffer {
  return encodeFrame({
    code: request.code,
    language: 'JAVA',
    version: request.version ?? PROTOCOL_VERSION,
    opaque,
    flag: request.isOneway === true ? FLAG_ONEWAY : 0,
    ext: request.ext ?? {},
    body: request.body ?? EMPTY,
    serializeType: request.serializeType ?? SERIALIZE_JSON,
  })
}

/** A frame with any header text: what no encoder of ours would write. */
export function frameWithHeader(header: string | Buffer, body: Uint8Array = EMPTY, serializeType: number = SERIALIZE_JSON): Buffer {
  const bytes = Buffer.from(header)
  const head = Buffer.alloc(8)
  head.writeInt32BE(4 + bytes.length + body.length, 0)
  head.writeUInt32BE(serializeType * 0x1000000 + bytes.length, 4)
  return Buffer.concat([head, bytes, body])
}

export class RawSocket {
  readonly socket: Socket
  readonly #closed: Promise<void>
  #bytes: Buffer = EMPTY
  #isClosed = false
  #wake: () => void = () => {}

  private constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    this.socket.on('data', (chunk: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, chunk])
      this.#wake()
    })
    // A server that refuses may reset what is still on its way.
    this.socket.on('error', () => {})
    this.#closed = new Promise((resolve) => {
      const done = (): void => {
        this.#isClosed = true
        this.#wake()
        resolve()
      }
      this.socket.once('end', done)
      this.socket.once('close', done)
    })
  }

  static async to(port: number): Promise<RawSocket> {
    const raw = new RawSocket(port)
    await once(raw.socket, 'connect')
    return raw
  }

  write(bytes: Uint8Array): this {
    this.socket.write(bytes)
    return this
  }

  /** No further bytes from us. */
  end(): this {
    this.socket.end()
    return this
  }

  /** The next answer. Rejects when the server closes or says nothing. */
  async answer(): Promise<Frame> {
    for (;;) {
      const frame = this.#take()
      if (frame !== undefined) {
        // What the server asks or tells on its own is not for this peer.
        if ((frame.flag & FLAG_RESPONSE) === 0) continue
        expect(frame.remark ?? '').not.toMatch(INNARDS)
        return frame
      }
      if (this.#isClosed) throw new Error('the server closed the connection instead of answering')
      await within(new Promise<void>((resolve) => (this.#wake = resolve)), 'an answer')
    }
  }

  async ask(request: Request): Promise<Frame> {
    const opaque = ++lastOpaque
    this.write(requestFrame(request, opaque))
    const answer = await this.answer()
    expect(answer.opaque).toBe(opaque)
    return answer
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Resolves when the server has closed the connection. */
  async closes(): Promise<void> {
    await within(this.#closed, 'the connection to be closed')
  }

  destroy(): void {
    this.socket.destroy()
  }

  #take(): Frame | undefined {
    if (this.#bytes.length < 4) return undefined
    const end = 4 + this.#bytes.readInt32BE(0)
    if (this.#bytes.length < end) return undefined
    const frame = decodeFrame(this.#bytes, 0, end)
    this.#bytes = this.#bytes.subarray(end)
    return frame
  }
}

async function within(promise: Promise<void>, what: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`waited ${SILENCE_MS} ms for ${what}: silence`)), SILENCE_MS)
  })
  try {
    await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
