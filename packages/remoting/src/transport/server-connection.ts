import { Buffer } from 'node:buffer'
import type { Connection } from '@skylarkmq/runtime'
import type { AnyCommand, RequestOf } from '../protocol/command.ts'
import { decodeFrame, encodeFrameHead } from '../protocol/frame.ts'
import type { Frame, Language, SerializeType } from '../protocol/frame-types.ts'
import { FLAG_ONEWAY, FLAG_RESPONSE, PROTOCOL_VERSION, SERIALIZE_JSON, SERIALIZE_MSGPACK } from '../protocol/frame-types.ts'
import { ResponseCode } from '../protocol/response-code.ts'
import { RocketError } from '../protocol/rocket-error.ts'
import { encodeHeader } from '../protocol/schema.ts'
import { joinAddress } from './address.ts'
import type { FrameSink } from './frame-reader.ts'
import { FrameReader } from './frame-reader.ts'
import { CLOSE_GRACE_MS, STALLED_READER_MS, UNSENT_HARD_FACTOR } from './limits.ts'
import { OutQueue } from './out-queue.ts'
import { PendingRequests } from './pending-requests.ts'
import { describeCommand, EMPTY_BODY, MSGPACK_EXT, withLastingBody, writeReply } from './replies.ts'
import type { ServerDispatch } from './server-dispatch.ts'
import type { TurnMember } from './turn-end.ts'
import type { Reply, ServerConnection } from './types.ts'

let lastId = 0

/** One client of a server: cuts its bytes into frames, collects its replies, and keeps its limits. */
export class AcceptedConnection implements ServerConnection, FrameSink, TurnMember {
  readonly id = ++lastId
  readonly remoteHost: string
  readonly remotePort: number
  readonly localHost: string
  readonly localPort: number
  readonly address: string
  language: Language = 'OTHER'
  version = 0
  isDirty = false
  /** Requests whose answer is under way. */
  unanswered = 0

  readonly #raw: Connection
  readonly #server: ServerDispatch
  readonly #reader: FrameReader
  readonly #out: OutQueue
  readonly #pending: PendingRequests
  readonly #closeListeners: (() => void)[] = []
  #isClosed = false
  #isEnding = false
  #readsMsgpack = false
  #isPaused = false
  #hasWarnedOfSize = false
  #isPlainRefused: boolean
  #receivedBytes = 0
  #writtenBytes = 0
  #activityBytes = 0
  #activeAtMs: number
  #takenBytes = 0
  #tookAtMs: number

  constructor(raw: Connection, server: ServerDispatch) {
    this.#raw = raw
    this.#server = server
    this.remoteHost = raw.remoteHost
    this.remotePort = raw.remotePort
    this.localHost = raw.localHost
    this.localPort = raw.localPort
    this.address = joinAddress(raw.remoteHost, raw.remotePort)
    this.#reader = new FrameReader(this, server.limits.frameBytes)
    this.#out = new OutQueue(server.pool)
    this.#pending = new PendingRequests(server.clock)
    this.#isPlainRefused = server.isPlainRefused
    this.#activeAtMs = this.#tookAtMs = server.clock.monotonic()
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Bytes that the peer has not taken yet. */
  get unsentBytes(): number {
    return this.#raw.unsentBytes
  }

  start(): void {
    this.#raw.start({
      onBytes: (chunk) => this.#onBytes(chunk),
      onClose: (error) => this.#onClose(error),
      onDrain: () => this.#resumeIfLight(),
    })
  }

  // The way in.

  #onBytes(chunk: Uint8Array): void {
    if (this.#isClosed || this.#isEnding) return
    if (this.#isPlainRefused) {
      if (!this.#raw.isEncrypted) return this.#refuse('closed a plain connection: this port takes TLS only', {})
      this.#isPlainRefused = false
    }
    this.#receivedBytes += chunk.length
    this.#reader.push(chunk)
  }

  onFrames(bytes: Buffer, start: number, end: number): number {
    const server = this.#server
    if (server.isClosing || !server.hasRunPath) return start
    server.turn.noteRequests()
    const next = server.tryRun(bytes, start, end, this)
    if (next > start) this.#pauseIfFull()
    return next
  }

  onFrame(bytes: Buffer, start: number, end: number): boolean {
    const goesOn = this.#handleFrame(bytes, start, end)
    this.#pauseIfFull()
    return goesOn
  }

  #pauseIfFull(): void {
    const { limits } = this.#server
    if (this.unanswered > limits.unansweredRequests || this.#out.bytes > limits.unsentBytes) this.#pause()
  }

  #handleFrame(bytes: Buffer, start: number, end: number): boolean {
    const server = this.#server
    server.turn.noteRequests()
    if (!server.isClosing && (server.tryFastPath(bytes, start, end, this) || server.tryQuickly(bytes, start, end, this)))
      return !this.#isClosed
    let frame: Frame
    try {
      frame = decodeFrame(bytes, start, end, server.decodeOptions)
    } catch (error) {
      this.onBadFrame(error instanceof Error ? error.message : String(error))
      return false
    }
    if ((frame.flag & FLAG_RESPONSE) !== 0) {
      this.#pending.take(frame.opaque)?.resolve(withLastingBody(frame))
      return !this.#isClosed
    }
    this.#noteRequest(frame)
    server.dispatch(frame, this)
    return !this.#isClosed
  }

  onTooLarge(bytes: Buffer, start: number, end: number, frameBytes: number): boolean {
    const { limits, log } = this.#server
    const fields = { peer: this.address, frameBytes, limitBytes: limits.frameBytes }
    let frame: Frame
    try {
      // The frame as if it had no body: its header names the request that is refused.
      const head = Buffer.from(bytes.subarray(start, end))
      head.writeInt32BE(head.length - 4, 0)
      frame = decodeFrame(head, 0, head.length)
    } catch {
      this.#refuse('closed a connection whose frame is over the limit', fields)
      return false
    }
    if (!this.#hasWarnedOfSize) log.warn('refused a frame over the limit', { ...fields, code: frame.code })
    this.#hasWarnedOfSize = true
    this.#noteRequest(frame)
    if ((frame.flag & (FLAG_RESPONSE | FLAG_ONEWAY)) === 0) {
      const remark = `the frame has ${frameBytes} bytes, and this server takes ${limits.frameBytes} at most; send less at a time`
      this.reply(frame, { code: ResponseCode.MESSAGE_ILLEGAL, remark })
    }
    return !this.#isClosed
  }

  onBadFrame(sentence: string): void {
    this.#refuse('closed a connection that sent what is no RocketMQ frame', { reason: sentence })
  }

  noteClient(language: Language, version: number): void {
    this.language = language
    this.version = version
  }

  #noteRequest(frame: Frame): void {
    this.noteClient(frame.language, frame.version)
    if (!this.#readsMsgpack && frame.ext?.[MSGPACK_EXT] === 'true' && this.#server.hasMsgpack) this.#readsMsgpack = true
  }

  /** One warn line with the peer and the numbers; answers that are ready still leave. */
  #refuse(sentence: string, fields: Readonly<Record<string, unknown>>): void {
    if (this.#isClosed || this.#isEnding) return
    this.#server.log.warn(sentence, { peer: this.address, ...fields })
    this.end()
  }

  // The way out.

  reply(request: { opaque: number; serializeType: SerializeType; code: number; version: number }, reply: Reply): void {
    if (this.#isClosed) return reply.release?.()
    const server = this.#server
    const command = server.commandOf(request.code)
    const options = { command, announceMsgpack: this.#readsMsgpack, frameBytes: server.limits.frameBytes }
    try {
      writeReply(this.#out, request, reply, options)
    } catch (error) {
      reply.release?.()
      server.log.error('an answer could not be encoded', { peer: this.address, code: request.code, error })
      const isOurs = error instanceof RocketError
      const remark = isOurs ? error.message : `the server could not write its answer to request type ${request.code}; its log says why`
      writeReply(this.#out, request, { code: ResponseCode.SYSTEM_ERROR, remark }, options)
    }
    server.turn.markDirty(this)
  }

  reserve(length: number): { readonly bytes: Buffer; readonly start: number } {
    this.#server.turn.markDirty(this)
    return this.#out.reserve(length)
  }

  giveBack(length: number): void {
    this.#out.giveBack(length)
  }

  flushTurn(): void {
    if (this.#isClosed) return this.#out.discard()
    this.#writtenBytes += this.#out.bytes
    this.#out.flush(this.#raw)
    if (this.#isEnding) this.#finish()
    else if (this.#raw.unsentBytes > this.#server.limits.unsentBytes) this.#holdBack()
  }

  dropTurn(): void {
    this.#out.discard()
    this.#raw.destroy()
  }

  /** More waits for the peer than it takes: read no more of its requests, and close it when it takes nothing at all. */
  #holdBack(): void {
    this.#pause()
    const { limits, clock } = this.#server
    const { unsentBytes } = this.#raw
    if (unsentBytes <= 2 * limits.unsentBytes) return
    const stalledMs = clock.monotonic() - this.#tookAtMs
    if (stalledMs < STALLED_READER_MS && unsentBytes <= UNSENT_HARD_FACTOR * limits.unsentBytes) return
    this.#server.log.warn('closed a connection that does not read its answers', {
      peer: this.address,
      unsentBytes,
      limitBytes: limits.unsentBytes,
      stalledMs: Math.round(stalledMs),
    })
    this.#raw.destroy()
  }

  #pause(): void {
    if (this.#isPaused || this.#isClosed || this.#isEnding) return
    this.#isPaused = true
    this.#reader.suspend()
    this.#raw.pause()
  }

  #resumeIfLight(): void {
    const { limits } = this.#server
    if (!this.#isPaused || this.#isClosed) return
    if (this.unanswered > limits.unansweredRequests / 2 || this.#raw.unsentBytes > limits.unsentBytes / 2) return
    this.#isPaused = false
    this.#raw.resume()
    // Last: the frames that it kept may fill the limits again.
    this.#reader.resume()
  }

  get requestsLeft(): number {
    return Math.max(1, this.#server.limits.unansweredRequests + 1 - this.unanswered)
  }

  /** Requests whose answers come later: counted until `settle`. */
  noteUnanswered(count: number): void {
    this.unanswered += count
  }

  /** Requests that were counted in `unanswered` have their answers. */
  settle(count: number): void {
    this.unanswered -= count
    if (this.#isPaused) this.#resumeIfLight()
    if (this.unanswered === 0) this.#server.onAnswered?.()
  }

  // Requests of the server.

  invoke<C extends AnyCommand>(command: C, header: RequestOf<C>, options: { body?: Uint8Array; timeoutMs: number }): Promise<Frame> {
    const { address } = this
    const what = describeCommand(command)
    if (this.#isClosed || this.#isEnding) {
      return Promise.reject(
        new RocketError(`the connection of ${address} is closed; ${what} was not sent to it`, {
          code: 'CONNECTION_LOST',
          address,
          phase: 'send',
          retryable: true,
        }),
      )
    }
    return new Promise((resolve, reject) => {
      const opaque = this.#pending.nextOpaque()
      this.#writeRequest(command, header, options.body ?? EMPTY_BODY, opaque, 0)
      this.#pending.add(opaque, {
        command,
        deadlineMs: this.#server.clock.monotonic() + options.timeoutMs,
        resolve,
        reject,
        onTimeout: () =>
          new RocketError(`the client ${address} did not answer ${what} within ${options.timeoutMs} ms; it may be busy or gone`, {
            code: 'TIMEOUT',
            address,
            phase: 'wait',
            retryable: true,
          }),
      })
    })
  }

  notify<C extends AnyCommand>(command: C, header: RequestOf<C>, body: Uint8Array = EMPTY_BODY): void {
    if (this.#isClosed || this.#isEnding) return
    try {
      this.#writeRequest(command, header, body, this.#pending.nextOpaque(), FLAG_ONEWAY)
    } catch (error) {
      this.#server.log.error('a notification could not be encoded', { peer: this.address, command: command.name, error })
    }
  }

  #writeRequest(command: AnyCommand, header: Readonly<Record<string, unknown>>, body: Uint8Array, opaque: number, flag: number): void {
    const head = encodeFrameHead(
      {
        code: command.code,
        language: 'JAVA',
        version: PROTOCOL_VERSION,
        opaque,
        flag,
        ext: encodeHeader(command.request, header),
        body: EMPTY_BODY,
        serializeType: this.#readsMsgpack ? SERIALIZE_MSGPACK : SERIALIZE_JSON,
      },
      body.length,
    )
    this.#out.append(head)
    this.#out.append(body)
    this.#server.turn.markDirty(this)
  }

  // The end.

  onClose(listener: () => void): void {
    if (this.#isClosed) listener()
    else this.#closeListeners.push(listener)
  }

  close(): void {
    this.end()
  }

  /** Sends what is queued, then closes. Nothing more is read. */
  end(): void {
    if (this.#isEnding || this.#isClosed) return
    this.#isEnding = true
    this.#reader.stop()
    // The end comes with the turn, so that answers that are ready (or become so in the store's write) leave first.
    this.#server.turn.markDirty(this)
  }

  destroy(): void {
    this.#raw.destroy()
  }

  #finish(): void {
    this.#raw.end()
    const timer = this.#server.clock.after(CLOSE_GRACE_MS, () => this.#raw.destroy())
    this.onClose(() => timer.cancel())
  }

  /** Called every second or so: finds the idle and the stalled. */
  sweep(nowMs: number): void {
    if (this.#isClosed || this.#isEnding) return
    const { unsentBytes } = this.#raw
    const taken = this.#writtenBytes - unsentBytes
    if (taken !== this.#takenBytes || unsentBytes === 0) {
      this.#takenBytes = taken
      this.#tookAtMs = nowMs
    }
    const activity = this.#receivedBytes + taken
    if (activity !== this.#activityBytes) {
      this.#activityBytes = activity
      this.#activeAtMs = nowMs
    }
    const { limits, log } = this.#server
    if (nowMs - this.#activeAtMs >= limits.idleMs) {
      log.info('closed an idle connection', { peer: this.address, idleMs: limits.idleMs, unsentBytes })
      // Nothing moved for so long: unsent bytes would not move now either.
      this.#raw.destroy()
    } else if (unsentBytes > limits.unsentBytes) {
      this.#holdBack()
    } else {
      this.#resumeIfLight()
    }
  }

  #onClose(error: Error | undefined): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#reader.stop()
    this.#out.discard()
    const { address } = this
    this.#pending.rejectAll(
      (_, { command }) =>
        new RocketError(`the connection of ${address} was lost before it answered ${describeCommand(command)}`, {
          code: 'CONNECTION_LOST',
          address,
          phase: 'wait',
          retryable: true,
          cause: error,
        }),
    )
    for (const listener of this.#closeListeners.splice(0)) {
      try {
        listener()
      } catch (failure) {
        this.#server.log.error('a close listener failed', { peer: address, error: failure })
      }
    }
  }
}
