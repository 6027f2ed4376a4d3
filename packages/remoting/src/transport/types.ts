import type { TurnTask } from './turn-end.ts'
import type { Clock, Connection, Log, Runtime } from '@skylarkmq/runtime'
import type { AnyCommand, RequestOf, ResponseOf } from '../protocol/command.ts'
import type { Frame, Language, SerializeType } from '../protocol/frame-types.ts'
import type { ExtFields } from '../protocol/schema.ts'

/** A body that is put where the answer leaves from; at once, while the answer is written. */
export interface BodyToPut {
  readonly length: number
  putAt(bytes: Buffer, start: number): void
}

/** What a processor answers. `code` 0 is success; `ext` adds fields beyond the declared header (MSG_REGION, TRACE_ON). */
export interface Reply<Res = Readonly<Record<string, unknown>>> {
  readonly code: number
  readonly header?: Res | undefined
  readonly remark?: string | undefined
  readonly ext?: ExtFields | undefined
  /** Several parts are written one after another, without joining them. Large ones go out by reference: they must not change any more. */
  readonly body?: Uint8Array | readonly Uint8Array[] | BodyToPut | undefined
  /** Of a body in one part: called when its bytes are no longer needed. Not called for an answer that nobody waits for any more. */
  readonly release?: (() => void) | undefined
}

/** What a processor sees beside its decoded header. */
export interface RequestContext {
  readonly frame: Frame
  readonly connection: ServerConnection
  /** The body. A copy that lasts, unless the route says `inPlace`. */
  readonly body: Uint8Array
  readonly isOneway: boolean
}

/** Returning undefined (or a promise of it) means: no answer, ever. A thrown RocketError becomes its code and message; any other error SYSTEM_ERROR. */
export type Processor<C extends AnyCommand> = (
  request: RequestOf<C>,
  context: RequestContext,
) => Reply<ResponseOf<C>> | undefined | Promise<Reply<ResponseOf<C>> | undefined>

/** A bounded group of routes: at most `maxInFlight` unanswered requests; the next one is answered SYSTEM_BUSY at once. */
export interface Lane {
  readonly name: string
  readonly maxInFlight: number
}

export interface Route<C extends AnyCommand = AnyCommand> {
  readonly command: C
  readonly lane: Lane
  readonly process: Processor<C>
  /** The processor is done with the body's bytes when it returns (not when its promise resolves): spares a copy. */
  readonly inPlace?: boolean
}

/** `route(SendMessage, lanes.send, processor)`: types inferred. */
export const route = <C extends AnyCommand>(command: C, lane: Lane, process: Processor<C>, options?: { inPlace?: boolean }): Route =>
  ({ command, lane, process, ...options }) as unknown as Route

/** One frame inside a larger buffer, not decoded. All numbers are positions in `bytes`; valid only during the call. */
export interface FrameView {
  readonly bytes: Buffer
  readonly serializeType: SerializeType
  readonly headerStart: number
  readonly headerEnd: number
  readonly bodyStart: number
  readonly bodyEnd: number
}

/**
 * The accelerator: sees each frame before it is decoded and may handle it in place (returns true), or decline (returns false, having
 * changed nothing), whereupon the frame takes the declared route. A property test holds the two equal.
 */
export type FastPath = (view: FrameView, connection: ServerConnection) => boolean

/**
 * As `FastPath`, for as many of the frames that begin in `bytes[start, end)` as it likes, in order; the last may have come in part only.
 * Returns where the first frame begins that it did not take. What it takes is held against its own limits, not against
 * `ServerLimits.frameBytes`.
 */
export type RunPath = (bytes: Buffer, start: number, end: number, connection: ServerConnection) => number

/** A connection as the server's parts see it. */
export interface ServerConnection {
  /** Unique within the process. */
  readonly id: number
  readonly remoteHost: string
  readonly remotePort: number
  readonly localHost: string
  readonly localPort: number
  /** "host:port" of the peer, IPv6 in brackets. */
  readonly address: string
  readonly isClosed: boolean
  /** Of the latest request. */
  readonly language: Language
  readonly version: number
  /** Requests of the server to this client. Rejects with RocketError (TIMEOUT, CONNECTION_LOST). */
  invoke<C extends AnyCommand>(command: C, header: RequestOf<C>, options: { body?: Uint8Array; timeoutMs: number }): Promise<Frame>
  /** One-way; never fails. */
  notify<C extends AnyCommand>(command: C, header: RequestOf<C>, body?: Uint8Array): void
  /** Queues one reply; all replies of a turn leave in one write. For the fast path: the bytes of a whole frame. */
  reply(request: { opaque: number; serializeType: SerializeType; code: number; version: number }, reply: Reply): void
  /** Room for `length` bytes in the turn's output buffer, for encoders that write in place. Fill `bytes[start, start+length)` at once. */
  reserve(length: number): { readonly bytes: Buffer; readonly start: number }
  /** The last bytes of the latest `reserve` were not needed. */
  giveBack(length: number): void
  /** For the fast paths: so many requests that were taken are under way, and have their answers. They count against `ServerLimits.unansweredRequests`. */
  noteUnanswered(count: number): void
  settle(count: number): void
  /** So many requests more, and nothing more is read until some have their answers; at least 1. */
  readonly requestsLeft: number
  /** Runs when the connection has closed; at once if it has. */
  onClose(listener: () => void): void
  close(): void
}

export interface RemotingServerOptions {
  readonly name: string
  readonly host?: string
  readonly port: number
  readonly routes: readonly Route[]
  readonly fastPath?: FastPath
  /** Asked first. */
  readonly runPath?: RunPath
  /** Memory for what sockets bring and take, where the fast path has it at hand; what does not fit goes elsewhere. */
  readonly memory?: { readonly receive: Buffer; readonly out: Buffer; readonly largeOut: Buffer }
  readonly onOpen?: (connection: ServerConnection) => void
  readonly onClose?: (connection: ServerConnection) => void
  readonly limits?: Partial<ServerLimits>
  readonly tls?: { readonly key: string; readonly cert: string }
  /** 'disabled' closes a TLS hello, 'permissive' (Apache's default) takes both, 'enforcing' closes plain text. */
  readonly tlsMode?: 'disabled' | 'permissive' | 'enforcing'
}

export interface ServerLimits {
  /** Largest frame, as its length field says (RocketMQ: 16 MiB). */
  readonly frameBytes: number
  /**
   * A connection with more unsent bytes is no longer read from. With twice as many of which the peer takes nothing for 10 s (a reader
   * that never reads), or with 16 times as many, it is closed.
   */
  readonly unsentBytes: number
  /** A connection with more unanswered requests is no longer read from. */
  readonly unansweredRequests: number
  readonly idleMs: number
  readonly connections: number
  /** Ext fields in one header. */
  readonly extFields: number
}

export interface RemotingServer {
  readonly host: string
  readonly port: number
  readonly connections: ReadonlySet<ServerConnection>
  /** Adds a task of each turn's end: before replies leave (the store's write), and after. Called once per turn that had requests. */
  atTurnEnd(task: TurnTask): void
  /** Stops accepting; answers what is under way for up to `drainMs`; closes all. */
  close(options?: { drainMs?: number }): Promise<void>
}

export interface InvokeOptions {
  readonly body?: Uint8Array | undefined
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
}

/** A server's answer, whatever its code. `header()` decodes by the command's declaration and throws HeaderError if fields are missing. */
export interface Answer<C extends AnyCommand> {
  readonly address: string
  readonly code: number
  readonly remark: string | undefined
  readonly ext: ExtFields | undefined
  readonly body: Uint8Array
  readonly version: number
  header(): ResponseOf<C>
}

export interface RemotingClientOptions {
  readonly runtime: Pick<Runtime, 'clock' | 'network' | 'log'>
  readonly connectTimeoutMs?: number
  readonly idleMs?: number
  readonly frameBytes?: number
  readonly tls?: { readonly ca?: string; readonly rejectUnauthorized: boolean }
  /** Offer msgpack headers (serialize type 2) to servers; used towards those that offer it too. Needs `useMsgpack(…)` first. */
  readonly msgpack?: boolean
  /** Requests that servers send to us (40, 220, 326, …). Unknown ones are answered REQUEST_CODE_NOT_SUPPORTED. */
  readonly handlers?: readonly ClientHandler[]
  readonly onDisconnect?: (address: string) => void
}

export interface ClientHandler<C extends AnyCommand = AnyCommand> {
  readonly command: C
  readonly process: (
    request: RequestOf<C>,
    context: { readonly address: string; readonly frame: Frame; readonly body: Uint8Array },
  ) => Reply | undefined | Promise<Reply | undefined>
}

/** `clientHandler(NotifyConsumerIdsChanged, (request, context) => …)`: types inferred. */
export const clientHandler = <C extends AnyCommand>(command: C, process: ClientHandler<C>['process']): ClientHandler =>
  ({ command, process }) as unknown as ClientHandler

/** Connections to many servers, one per address, made on demand and shared. */
export interface RemotingClient {
  /** Resolves with the answer of any code; rejects with RocketError (CONNECT_FAILED, TIMEOUT, CONNECTION_LOST, ABORTED, CLOSED). */
  invoke<C extends AnyCommand>(address: string, command: C, header: RequestOf<C>, options: InvokeOptions): Promise<Answer<C>>
  /** One-way: resolves when the bytes are handed to the connection. */
  notify<C extends AnyCommand>(address: string, command: C, header: RequestOf<C>, options: InvokeOptions): Promise<void>
  disconnect(address: string): void
  readonly addresses: readonly string[]
  close(): void
}

export type { Clock, Connection, Log }
