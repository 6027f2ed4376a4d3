import type { Buffer } from 'node:buffer'
import type { Connection, Runtime, Timer } from '@skylarkmq/runtime'
import type { AnyCommand } from '../protocol/command.ts'
import { decodeFrame, encodeFrameHead } from '../protocol/frame.ts'
import type { Frame } from '../protocol/frame-types.ts'
import { FLAG_ONEWAY, FLAG_RESPONSE, PROTOCOL_VERSION, SERIALIZE_JSON, SERIALIZE_MSGPACK } from '../protocol/frame-types.ts'
import { JSON_HEAD_MAX_BYTES, jsonHeadRoom, writeJsonHead } from '../protocol/json-head.ts'
import { ResponseCode } from '../protocol/response-code.ts'
import { RocketError } from '../protocol/rocket-error.ts'
import type { Fields } from '../protocol/schema.ts'
import { decodeHeader, encodeHeader } from '../protocol/schema.ts'
import { parseAddress } from './address.ts'
import { FrameAnswer } from './answer.ts'
import { aborted, connectFailed, connectionLost } from './client-errors.ts'
import { ClientRequest } from './client-request.ts'
import type { FrameSink } from './frame-reader.ts'
import { FrameReader } from './frame-reader.ts'
import { CLOSE_GRACE_MS, CLIENT_PENDING, CLIENT_UNSENT_BYTES } from './limits.ts'
import type { OutBufferPool } from './out-queue.ts'
import { OutQueue } from './out-queue.ts'
import { PendingRequests } from './pending-requests.ts'
import { describeCommand, EMPTY_BODY, MSGPACK_EXT, replyOfError, withLastingBody, writeReply } from './replies.ts'
import type { TurnEnd, TurnMember } from './turn-end.ts'
import type { Answer, ClientHandler, InvokeOptions, RemotingClientOptions, Reply } from './types.ts'

/** What the connections of one client share. */
export interface ClientShared {
  readonly runtime: Pick<Runtime, 'clock' | 'network' | 'log'>
  readonly turn: TurnEnd
  readonly pool: OutBufferPool
  readonly handlers: ReadonlyMap<number, ClientHandler>
  readonly connectTimeoutMs: number
  readonly frameBytes: number
  readonly tls: RemotingClientOptions['tls'] | undefined
  readonly offersMsgpack: boolean
  /** The connection is no longer usable; `wasOpen`: it had been made. */
  onGone(connection: ClientConnection, wasOpen: boolean): void
}

/** `unknown`: the peer has not answered yet; until then each request carries the offer. */
type MsgpackState = 'off' | 'unknown' | 'on'

/** The one connection to an address: made once for all who wait, then shared by them. */
export class ClientConnection implements FrameSink, TurnMember {
  readonly address: string
  isDirty = false
  readonly #shared: ClientShared
  readonly #reader: FrameReader
  readonly #out: OutQueue
  readonly #pending: PendingRequests
  /** Requests that came before the connection was made, by opaque: those that gave up are not sent. */
  #early: Map<number, () => void> | undefined = new Map()
  #raw: Connection | undefined
  #isGone = false
  #msgpack: MsgpackState
  readonly #abort = new AbortController()
  #movedBytes = 0
  #seenBytes = 0
  #activeAtMs: number
  #endTimer: Timer | undefined

  constructor(address: string, shared: ClientShared) {
    this.address = address
    this.#shared = shared
    this.#reader = new FrameReader(this, shared.frameBytes)
    this.#out = new OutQueue(shared.pool)
    this.#pending = new PendingRequests(shared.runtime.clock)
    this.#msgpack = shared.offersMsgpack ? 'unknown' : 'off'
    this.#activeAtMs = shared.runtime.clock.monotonic()
  }

  get isOpen(): boolean {
    return this.#raw !== undefined && !this.#isGone
  }

  get isMade(): boolean {
    return this.#raw !== undefined
  }

  /** Never rejects: those who wait learn of a failure. */
  async connect(): Promise<void> {
    const { runtime, connectTimeoutMs, tls } = this.#shared
    const { address } = this
    let raw: Connection
    try {
      const target = parseAddress(address)
      const options = { ...target, timeoutMs: connectTimeoutMs, signal: this.#abort.signal }
      raw = await runtime.network.connect(tls === undefined ? options : { ...options, tls })
    } catch (cause) {
      if (!this.#isGone) this.#leave((_, what) => (cause instanceof RocketError ? cause : connectFailed(address, what, cause)), cause)
      return
    }
    if (this.#isGone) return raw.destroy()
    this.#raw = raw
    raw.start({ onBytes: (chunk) => this.#onBytes(chunk), onClose: (error) => this.#onClose(error) })
    const early = this.#early
    this.#early = undefined
    for (const send of early?.values() ?? []) send()
  }

  // Requests of ours.

  invoke<C extends AnyCommand>(command: C, header: Readonly<Record<string, unknown>>, options: InvokeOptions): Promise<Answer<C>> {
    return new Promise((resolve, reject) => {
      this.#request(command, header, options, 0, (frame) => resolve(new FrameAnswer(this.address, command, frame)), reject)
    })
  }

  notify<C extends AnyCommand>(command: C, header: Readonly<Record<string, unknown>>, options: InvokeOptions): Promise<void> {
    return new Promise((resolve, reject) => this.#request(command, header, options, FLAG_ONEWAY, () => resolve(), reject))
  }

  #request(
    command: AnyCommand,
    header: Readonly<Record<string, unknown>>,
    options: InvokeOptions,
    flag: number,
    onAnswer: (answer: Frame) => void,
    onError: (error: Error) => void,
  ): void {
    const { signal, timeoutMs } = options
    const body = options.body ?? EMPTY_BODY
    this.#checkRoom(command, body)
    const opaque = this.#pending.nextOpaque()
    const deadlineMs = this.#shared.runtime.clock.monotonic() + timeoutMs
    const request = new ClientRequest(this, command, { deadlineMs, timeoutMs }, onAnswer, onError)
    this.#pending.add(opaque, request)
    if (signal !== undefined) this.#abortBy(signal, opaque, request)
    if (this.#early === undefined) this.#send(command, header, body, opaque, flag)
    else this.#sendWhenMade(opaque, request, () => this.#send(command, header, body, opaque, flag))
  }

  #abortBy(signal: AbortSignal, opaque: number, request: ClientRequest): void {
    const onAbort = (): void => {
      this.#pending.take(opaque)?.reject(aborted(this.address, request.command, signal))
    }
    signal.addEventListener('abort', onAbort, { once: true })
    request.onSettled = () => signal.removeEventListener('abort', onAbort)
  }

  #sendWhenMade(opaque: number, request: ClientRequest, send: () => void): void {
    const { onSettled } = request
    this.#early?.set(opaque, send)
    request.onSettled = () => {
      onSettled?.()
      this.#early?.delete(opaque)
    }
  }

  #send(command: AnyCommand, header: Readonly<Record<string, unknown>>, body: Uint8Array, opaque: number, flag: number): void {
    try {
      this.#write(command, header, body, opaque, flag)
    } catch (error) {
      this.#pending.take(opaque)?.reject(error as Error)
    }
    if ((flag & FLAG_ONEWAY) !== 0) this.#oneways.push(opaque)
  }

  /** One-way requests that resolve when this turn's bytes are handed over. */
  #oneways: number[] = []

  #checkRoom(command: AnyCommand, body: Uint8Array): void {
    const { address } = this
    const { frameBytes } = this.#shared
    if (body.length > frameBytes - 8) {
      const sentence = `${describeCommand(command)} has a body of ${body.length} bytes, and a frame ends at ${frameBytes}; send less at a time`
      throw new RocketError(sentence, { code: 'BAD_ARGUMENT', address, phase: 'send' })
    }
    const unsentBytes = (this.#raw?.unsentBytes ?? 0) + this.#out.bytes
    if (this.#pending.size < CLIENT_PENDING && unsentBytes < CLIENT_UNSENT_BYTES) return
    const sentence = `${describeCommand(command)} was not sent: ${this.#pending.size} requests and ${unsentBytes} bytes wait for ${address} already; send slower, or check that it is alive`
    throw new RocketError(sentence, { code: 'SYSTEM_BUSY', address, phase: 'send', retryable: true })
  }

  #write(command: AnyCommand, header: Readonly<Record<string, unknown>>, body: Uint8Array, opaque: number, flag: number): void {
    if (this.#msgpack !== 'off' || !this.#writeInPlace(command, header, body.length, opaque, flag)) {
      const ext = encodeHeader(command.request, header)
      if (this.#msgpack === 'unknown') ext[MSGPACK_EXT] = 'true'
      const head = encodeFrameHead(
        {
          code: command.code,
          // Known to every server version; NODE_JS came with RocketMQ 5 and is an unknown enum name before.
          language: 'OTHER',
          version: PROTOCOL_VERSION,
          opaque,
          flag,
          ext,
          body: EMPTY_BODY,
          serializeType: this.#msgpack === 'on' ? SERIALIZE_MSGPACK : SERIALIZE_JSON,
        },
        body.length,
      )
      this.#out.append(head)
    }
    this.#out.append(body)
    this.#shared.turn.markDirty(this)
  }

  #writeInPlace(command: AnyCommand, header: Readonly<Record<string, unknown>>, bodyLength: number, opaque: number, flag: number): boolean {
    const fields = command.request as Fields
    const room = jsonHeadRoom(fields, header)
    if (room > JSON_HEAD_MAX_BYTES) return false
    const { bytes, start } = this.#out.reserve(room)
    const end = writeJsonHead(bytes, start, fields, header, { code: command.code, language: 'OTHER', opaque, flag, bodyLength })
    this.#out.giveBack(end < 0 ? room : start + room - end)
    return end >= 0
  }

  flushTurn(): void {
    const oneways = this.#oneways
    if (oneways.length > 0) this.#oneways = []
    if (this.#isGone || this.#raw === undefined) return this.#out.discard()
    this.#movedBytes += this.#out.bytes
    this.#out.flush(this.#raw)
    for (const opaque of oneways) this.#pending.take(opaque)?.resolve(NO_ANSWER)
  }

  dropTurn(): void {
    this.#out.discard()
  }

  // The way in.

  #onBytes(chunk: Uint8Array): void {
    this.#movedBytes += chunk.length
    this.#reader.push(chunk)
  }

  onFrame(bytes: Buffer, start: number, end: number): boolean {
    let frame: Frame
    try {
      frame = withLastingBody(decodeFrame(bytes, start, end))
    } catch (error) {
      this.onBadFrame(error instanceof Error ? error.message : String(error))
      return false
    }
    if (this.#msgpack === 'unknown') {
      if (frame.ext?.[MSGPACK_EXT] === 'true') this.#msgpack = 'on'
      else if ((frame.flag & FLAG_RESPONSE) !== 0) this.#msgpack = 'off'
    }
    // An answer that nobody waits for came too late: dropped, as every client does.
    if ((frame.flag & FLAG_RESPONSE) !== 0) this.#pending.take(frame.opaque)?.resolve(frame)
    else void this.#serve(frame)
    return !this.#isGone
  }

  onTooLarge(_bytes: Buffer, _start: number, _end: number, frameBytes: number): boolean {
    this.onBadFrame(`it has ${frameBytes} bytes, and this client takes ${this.#shared.frameBytes} at most`)
    return false
  }

  onBadFrame(sentence: string): void {
    const { address } = this
    this.#shared.runtime.log.warn('closed a connection to a server that sent what is no RocketMQ frame', { address, reason: sentence })
    this.#leave(
      (_, what) =>
        new RocketError(
          `${address} sent a frame that cannot be read (${sentence}) while ${what} waited; check that it is a RocketMQ NameServer or broker`,
          { code: 'BAD_FRAME', address, phase: 'answer' },
        ),
    )
  }

  /** A request of the server to us. */
  async #serve(frame: Frame): Promise<void> {
    const handler = this.#shared.handlers.get(frame.code)
    let reply: Reply | undefined
    if (handler === undefined) {
      const remark = ` request type ${frame.code} not supported: this client has no handler for it`
      reply = { code: ResponseCode.REQUEST_CODE_NOT_SUPPORTED, remark }
    } else {
      try {
        const header = decodeHeader(handler.command.request, frame.ext)
        reply = await handler.process(header as never, { address: this.address, frame, body: frame.body })
      } catch (error) {
        reply = replyOfError(error) ?? this.#replyOfBug(handler, error)
      }
    }
    if (reply === undefined || (frame.flag & FLAG_ONEWAY) !== 0 || this.#isGone) return
    try {
      writeReply(this.#out, frame, reply, {
        command: handler?.command,
        announceMsgpack: this.#msgpack !== 'off',
        frameBytes: this.#shared.frameBytes,
      })
    } catch (error) {
      this.#shared.runtime.log.error('an answer could not be encoded', { address: this.address, code: frame.code, error })
      return
    }
    this.#shared.turn.markDirty(this)
  }

  #replyOfBug(handler: ClientHandler, error: unknown): Reply {
    const what = describeCommand(handler.command)
    this.#shared.runtime.log.error('a handler failed', { address: this.address, request: what, error })
    return { code: ResponseCode.SYSTEM_ERROR, remark: `the client failed at ${what}; its log says why` }
  }

  // The end.

  /** Ends it on purpose; those who wait get `makeError`'s. */
  close(makeError: (what: string) => RocketError): void {
    this.#leave((_, what) => makeError(what), undefined, true)
  }

  /** True when it closed for want of traffic. */
  sweep(nowMs: number, idleMs: number): void {
    const moved = this.#movedBytes - (this.#raw?.unsentBytes ?? 0)
    if (moved !== this.#seenBytes || this.#pending.size > 0 || this.#raw === undefined) {
      this.#seenBytes = moved
      this.#activeAtMs = nowMs
    } else if (nowMs - this.#activeAtMs >= idleMs) {
      this.close((what) => connectionLost(this.address, what, 'close', undefined))
    }
  }

  /** What was promised to be sent (a client that unregisters and closes) still leaves. */
  #endGently(): void {
    const raw = this.#raw
    if (raw === undefined) return
    this.#out.flush(raw)
    raw.end()
    this.#endTimer = this.#shared.runtime.clock.after(CLOSE_GRACE_MS, () => raw.destroy())
  }

  #onClose(error: Error | undefined): void {
    this.#endTimer?.cancel()
    this.#leave((opaque, what) => connectionLost(this.address, what, this.#oneways.includes(opaque) ? 'send' : 'wait', error), error)
  }

  #leave(makeError: (opaque: number, what: string) => Error, cause?: unknown, isOnPurpose = false): void {
    if (this.#isGone) return
    this.#isGone = true
    const wasOpen = this.#raw !== undefined
    this.#reader.stop()
    this.#abort.abort(cause)
    if (isOnPurpose) this.#endGently()
    else this.#raw?.destroy()
    this.#out.discard()
    // First out of the table, so that whoever hears of the failure and asks again gets a new connection.
    this.#shared.onGone(this, wasOpen)
    this.#pending.rejectAll((opaque, { command }) => makeError(opaque, describeCommand(command)))
  }
}

const NO_ANSWER: Frame = {
  code: 0,
  language: 'OTHER',
  version: 0,
  opaque: 0,
  flag: FLAG_RESPONSE,
  body: EMPTY_BODY,
  serializeType: SERIALIZE_JSON,
}
