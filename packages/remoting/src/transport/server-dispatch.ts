import type { Buffer } from 'node:buffer'
import type { Clock, Log } from '@skylarkmq/runtime'
import { assert } from '@skylarkmq/runtime'
import type { AnyCommand } from '../protocol/command.ts'
import type { DecodeFrameOptions } from '../protocol/frame.ts'
import { decodeFrame } from '../protocol/frame.ts'
import type { Frame, SerializeType } from '../protocol/frame-types.ts'
import { FLAG_ONEWAY, FLAG_RESPONSE, SERIALIZE_JSON } from '../protocol/frame-types.ts'
import { JsonRequestReader, RequestFields } from '../protocol/json-request-reader.ts'
import { laterRequest } from '../protocol/later.ts'
import { isMsgpackReady } from '../protocol/msgpack-header.ts'
import { commandByCode } from '../protocol/registry.ts'
import { ResponseCode } from '../protocol/response-code.ts'
import type { Fields } from '../protocol/schema.ts'
import { decodeHeader } from '../protocol/schema.ts'
import { DEFAULT_SERVER_LIMITS } from './limits.ts'
import { OutBufferPool } from './out-queue.ts'
import { describeCommand, EMPTY_BODY, replyOfError, withLastingBody } from './replies.ts'
import type { AcceptedConnection } from './server-connection.ts'
import { TurnEnd } from './turn-end.ts'
import type { FastPath, FrameView, Lane, RemotingServerOptions, Reply, RequestContext, Route, RunPath, ServerLimits } from './types.ts'

interface LaneState {
  readonly name: string
  readonly maxInFlight: number
  inFlight: number
}

interface RouteState {
  readonly command: AnyCommand
  readonly process: Route['process']
  readonly inPlace: boolean
  readonly lane: LaneState
  /** Made when the first request of the kind comes. */
  fields: RequestFields | undefined
}

/** `MQVersion` of 5.3.1. */
const GO_AWAY_KNOWN_AFTER = 475

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/** What the connections of one server share: its routes, lanes, limits, and the end of the turn. */
export class ServerDispatch {
  readonly clock: Clock
  readonly log: Log
  readonly limits: ServerLimits
  readonly decodeOptions: DecodeFrameOptions
  readonly turn: TurnEnd
  readonly pool: OutBufferPool
  readonly isPlainRefused: boolean
  isClosing = false
  /** While the server closes: a connection has no more answers under way. */
  onAnswered: (() => void) | undefined

  readonly #name: string
  readonly #routes = new Map<number, RouteState>()
  #latestRoute: RouteState | undefined
  readonly #fastPath: FastPath | undefined
  readonly #runPath: RunPath | undefined
  readonly #reader = new JsonRequestReader()
  readonly #view: Mutable<FrameView> = {
    bytes: EMPTY_BODY,
    serializeType: 0,
    headerStart: 0,
    headerEnd: 0,
    bodyStart: 0,
    bodyEnd: 0,
  }

  constructor(world: { readonly clock: Clock; readonly log: Log }, options: RemotingServerOptions) {
    this.clock = world.clock
    this.log = world.log
    this.limits = { ...DEFAULT_SERVER_LIMITS, ...options.limits }
    this.decodeOptions = { maxExtFields: this.limits.extFields }
    this.turn = new TurnEnd(world.clock, world.log)
    this.isPlainRefused = options.tlsMode === 'enforcing'
    this.#name = options.name
    this.#fastPath = options.fastPath
    this.#runPath = options.runPath
    this.pool = new OutBufferPool(options.memory?.out, options.memory?.largeOut)
    const lanes = new Map<Lane, LaneState>()
    for (const { command, lane, process, inPlace } of options.routes) {
      assert(!this.#routes.has(command.code), `the routes of ${options.name} name request type ${command.code} (${command.name}) twice`)
      let state = lanes.get(lane)
      if (state === undefined) lanes.set(lane, (state = { name: lane.name, maxInFlight: lane.maxInFlight, inFlight: 0 }))
      this.#routes.set(command.code, { command, process, inPlace: inPlace === true, lane: state, fields: undefined })
    }
  }

  get hasMsgpack(): boolean {
    return isMsgpackReady()
  }

  commandOf(code: number): AnyCommand | undefined {
    return this.#routeOf(code)?.command ?? commandByCode(code)
  }

  /** Requests mostly come several of a kind, and each has an answer. */
  #routeOf(code: number): RouteState | undefined {
    const latest = this.#latestRoute
    if (latest?.command.code === code) return latest
    const route = this.#routes.get(code)
    if (route !== undefined) this.#latestRoute = route
    return route
  }

  get hasRunPath(): boolean {
    return this.#runPath !== undefined
  }

  /** Offers to the accelerator what has come. Where the first frame begins that it did not take. */
  tryRun(bytes: Buffer, start: number, end: number, connection: AcceptedConnection): number {
    try {
      return this.#runPath?.(bytes, start, end, connection) ?? start
    } catch (error) {
      // How far it came is not known: whoever waits for an answer learns that there will be none.
      this.log.error('the fast path failed at a run of requests; their connection is closed', { peer: connection.address, error })
      connection.destroy()
      return end
    }
  }

  /** Offers the frame to the accelerator. True: it is done with. */
  tryFastPath(bytes: Buffer, start: number, end: number, connection: AcceptedConnection): boolean {
    const fastPath = this.#fastPath
    if (fastPath === undefined) return false
    const word = bytes.readInt32BE(start + 4)
    const view = this.#view
    view.bytes = bytes
    view.serializeType = (word >>> 24) as SerializeType
    view.headerStart = start + 8
    view.headerEnd = view.bodyStart = start + 8 + (word & 0xffffff)
    view.bodyEnd = end
    try {
      return fastPath(view, connection)
    } catch (error) {
      // It may have changed something already, so the declared route must not run as well.
      this.#failFastPath(bytes, start, end, connection, error)
      return true
    }
  }

  #failFastPath(bytes: Buffer, start: number, end: number, connection: AcceptedConnection, error: unknown): void {
    this.log.error('the fast path failed at a request', { peer: connection.address, server: this.#name, error })
    try {
      const frame = decodeFrame(bytes, start, end, this.decodeOptions)
      this.#answer(connection, frame, internalError(`request type ${frame.code}`))
    } catch {
      connection.destroy()
    }
  }

  /** Runs the route of a request whose header is as most clients write it. False: it is to be decoded; nothing was done. */
  tryQuickly(bytes: Buffer, start: number, end: number, connection: AcceptedConnection): boolean {
    const word = bytes.readInt32BE(start + 4)
    if (word >>> 24 !== SERIALIZE_JSON) return false
    const reader = this.#reader
    const headerStart = start + 8
    const headerEnd = headerStart + word
    let header: Readonly<Record<string, unknown>> | undefined = reader.readRepeated(bytes, headerStart, headerEnd, connection.id)
    const isRepeated = header !== undefined
    const route = this.#routeOf(isRepeated ? reader.code : reader.readCode(bytes, headerStart, headerEnd))
    if (route === undefined) return false
    if (header === undefined) {
      const fields = (route.fields ??= new RequestFields(route.command.request as Fields))
      try {
        header = reader.readRest(bytes, headerEnd, fields)
      } catch {
        // A value that the declaration refuses: decoding says so.
        return false
      }
    }
    if (header === undefined || (reader.flag & FLAG_RESPONSE) !== 0) return false
    if (!isRepeated) reader.remember(bytes, headerStart, headerEnd, connection.id, header)
    const { code, language, version, opaque, flag } = reader
    const body = headerEnd === end ? EMPTY_BODY : bytes.subarray(headerEnd, end)
    connection.noteClient(language, version)
    this.#run(route, header, { code, language, version, opaque, flag, body, serializeType: SERIALIZE_JSON }, connection)
    return true
  }

  /** Runs the route of a decoded request. The body of `request` is a view that ends with the call. */
  dispatch(request: Frame, connection: AcceptedConnection): void {
    if (this.isClosing && (request.flag & FLAG_ONEWAY) === 0) return this.#answer(connection, request, this.#goAway(request.version))
    const route = this.#routeOf(request.code)
    if (route === undefined) return this.#answer(connection, request, this.#notSupported(request.code))
    let header: Readonly<Record<string, unknown>>
    try {
      header = decodeHeader(route.command.request, request.ext)
    } catch (error) {
      return this.#answer(connection, request, this.#replyOfFailure(error, route, connection))
    }
    this.#run(route, header, request, connection)
  }

  #run(route: RouteState, header: Readonly<Record<string, unknown>>, request: Frame, connection: AcceptedConnection): void {
    const { lane } = route
    if (lane.inFlight >= lane.maxInFlight) return this.#answer(connection, request, busy(lane))
    const frame = route.inPlace ? request : withLastingBody(request)
    const isOneway = (frame.flag & FLAG_ONEWAY) !== 0
    const context: RequestContext = { frame, connection, body: frame.body, isOneway }
    let result: ReturnType<Route['process']>
    try {
      result = route.process(header as never, context)
    } catch (error) {
      return this.#answer(connection, request, this.#replyOfFailure(error, route, connection))
    }
    if (result === undefined) return
    if (!(result instanceof Promise)) return this.#answer(connection, request, result)
    this.#awaitAnswer(result, route, request, connection)
  }

  #awaitAnswer(result: Promise<Reply | undefined>, route: RouteState, request: Frame, connection: AcceptedConnection): void {
    const { lane } = route
    lane.inFlight++
    connection.noteUnanswered(1)
    const settle = (reply: Reply | undefined): void => {
      lane.inFlight--
      if (reply !== undefined) this.#answer(connection, request, reply)
      connection.settle(1)
    }
    result.then(settle, (error: unknown) => settle(this.#replyOfFailure(error, route, connection)))
  }

  #answer(connection: AcceptedConnection, request: Frame, reply: Reply): void {
    if ((request.flag & FLAG_ONEWAY) === 0) connection.reply(request, reply)
    else reply.release?.()
  }

  /** Clients after 5.3.1 know GO_AWAY and connect anew (RocketMQ 5.3 `NettyRemotingAbstract`); older ones try another broker on 14. */
  #goAway(version: number): Reply {
    const code = version > GO_AWAY_KNOWN_AFTER ? ResponseCode.GO_AWAY : ResponseCode.SERVICE_NOT_AVAILABLE
    return { code, remark: `${this.#name} is closing and takes no new requests; try another server, or this one again shortly` }
  }

  #notSupported(code: number): Reply {
    const later = laterRequest(code)
    if (later !== undefined) {
      const remark = ` request type ${code} not supported: ${later}, which ${this.#name} does not do`
      return { code: ResponseCode.REQUEST_CODE_NOT_SUPPORTED, remark }
    }
    const known = commandByCode(code)
    const what = known === undefined ? 'no RocketMQ request that this server knows' : `${known.name}, which is for another kind of server`
    const remark = ` request type ${code} not supported: it is ${what}. This is ${this.#name}; check that the address is the one you meant, and the client's version`
    return { code: ResponseCode.REQUEST_CODE_NOT_SUPPORTED, remark }
  }

  #replyOfFailure(error: unknown, route: RouteState, connection: AcceptedConnection): Reply {
    const reply = replyOfError(error)
    if (reply !== undefined) return reply
    const what = describeCommand(route.command)
    this.log.error('a processor failed', { peer: connection.address, server: this.#name, request: what, error })
    return internalError(what)
  }
}

const busy = (lane: LaneState): Reply => ({
  code: ResponseCode.SYSTEM_BUSY,
  remark: `[OVERLOAD]system busy, start flow control for a while: the lane ${lane.name} has ${lane.inFlight} requests under way and takes ${lane.maxInFlight}; try again shortly`,
})

/** What happened is for our log: a peer learns neither names nor places of the code. */
const internalError = (what: string): Reply => ({
  code: ResponseCode.SYSTEM_ERROR,
  remark: `the server failed at ${what}; its log says why. Try again, and report it if it stays`,
})
