import type { Answer, ClientHandler, InvokeOptions } from '@skylarkmq/remoting'
import type { AnyCommand, ConsumerData, MessageQueue, RequestOf, TopicRouteData } from '@skylarkmq/remoting/protocol'
import type { Clock, Log, Random, Runtime } from '@skylarkmq/runtime'
import type { EventEmitter } from 'node:events'

export interface ClientTimeouts {
  /** One request when the caller names no other time. */
  readonly requestMs: number
  readonly connectMs: number
  readonly routeRefreshMs: number
  readonly heartbeatMs: number
  /** A connection without traffic for this long is closed (the servers do so after 120 s). */
  readonly idleMs: number
}

export interface ClientOptions {
  /** `host:port`, several separated by `;` or as a list. */
  readonly namesrvAddr: string | readonly string[]
  /** Shown to brokers as part of the client id. Default: the first address of this machine that is not loopback. */
  readonly clientIp?: string
  /** Default: `<pid>#<n>`. Two clients of one machine must not share it. */
  readonly instanceName?: string
  readonly unitName?: string
  /** Topics and groups of this client are `namespace%name` for brokers, as with RocketMQ's clients; the application sees the plain names. */
  readonly namespace?: string
  readonly tls?: { readonly ca?: string; readonly rejectUnauthorized: boolean }
  readonly timeouts?: Partial<ClientTimeouts>
  /** Compact headers with SkylarkMQ servers; others are spoken to as ever. Needs `useMsgpack` first. Default false. */
  readonly msgpack?: boolean
  /** Periodic heartbeats leave out subscriptions that a broker says it knows (RocketMQ 5.1.3). For clients of many groups. Default false. */
  readonly heartbeatV2?: boolean
  /** The outside world. Default: Node's, loaded on first use. */
  readonly runtime?: Runtime
  readonly log?: Log
}

/** A producer or consumer that brokers hear of through the heartbeat. */
export interface GroupMember {
  readonly kind: 'producer' | 'consumer'
  readonly group: string
  /** For consumers: what the heartbeat says of the group now (subscriptions included). Called for each heartbeat. */
  readonly consumerData?: () => ConsumerData
  /** Topics whose routes the core keeps fresh for this member. Called for each refresh. */
  readonly topics?: () => Iterable<string>
}

export interface CoreInvokeOptions extends Omit<InvokeOptions, 'timeoutMs'> {
  /** Default: `timeouts.requestMs`. */
  readonly timeoutMs?: number | undefined
}

export interface RouteOptions {
  /** Ask a NameServer even if the route is known. */
  readonly refresh?: boolean | undefined
  /** Topics unknown to the NameServer take the route of TBW102, so that the broker creates them (RocketMQ `createTopicKey`). */
  readonly fallbackToDefaultTopic?: boolean | undefined
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

export interface CoreEvents {
  /** The route of a topic is new or has changed. */
  routeChanged: [topic: string, route: TopicRouteData]
  disconnected: [address: string]
  closed: []
}

/** What a part of the client hands to `close`. */
export interface CloseOptions {
  /** How long work under way may take to end. Default 10 s. */
  readonly drainMs?: number | undefined
}

/**
 * What producers, consumers and the admin client of one `createClient` share: connections, routes, broker addresses, heartbeats.
 * A `target` is an address (`host:port`) or a broker's name (its master is meant).
 */
export interface ClientCore {
  readonly clientId: string
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly runtime: Runtime
  readonly timeouts: ClientTimeouts
  readonly events: EventEmitter<CoreEvents>
  readonly isClosed: boolean
  readonly namespace: string | undefined
  readonly namesrvAddresses: readonly string[]

  /** Resolves with the answer of any code; rejects with RocketError (NO_ROUTE for an unknown broker name, else those of RemotingClient). */
  invoke<C extends AnyCommand>(target: string, command: C, header: RequestOf<C>, options?: CoreInvokeOptions): Promise<Answer<C>>
  /** One-way: resolves when the bytes are handed to the connection. */
  notify<C extends AnyCommand>(target: string, command: C, header: RequestOf<C>, options?: CoreInvokeOptions): Promise<void>
  /** Asks NameServers in turn, each once; resolves with the first answer of any code. The error lists every address with its cause. */
  invokeNamesrv<C extends AnyCommand>(command: C, header: RequestOf<C>, options?: CoreInvokeOptions): Promise<Answer<C>>

  /** The route of a topic: cached, refreshed every `timeouts.routeRefreshMs`. Rejects with TOPIC_NOT_EXIST when no NameServer knows it. */
  route(topic: string, options?: RouteOptions): Promise<TopicRouteData>
  /** Writable queues whose broker has a master; with the TBW102 fallback. */
  publishQueues(topic: string, options?: RouteOptions): Promise<readonly MessageQueue[]>
  /** Readable queues. Empty when the topic does not exist yet (a retry topic before the first retry). */
  subscribeQueues(topic: string, options?: RouteOptions): Promise<readonly MessageQueue[]>

  /** The address of a broker by name, from the routes seen; `brokerId` 0 (the default) is the master. */
  brokerAddress(brokerName: string, brokerId?: number): string | undefined
  /** brokerId → address. Empty when the broker is unknown. */
  brokerAddresses(brokerName: string): ReadonlyMap<number, string>
  /** Names of all brokers in the routes seen. */
  readonly brokerNames: readonly string[]
  /** The version in the broker's latest heartbeat answer (MQVersion ordinal); undefined before the first. */
  brokerVersion(address: string): number | undefined

  /** From the next heartbeat on; call `heartbeatNow` where brokers must know at once. */
  registerGroup(member: GroupMember): void
  /** Tells every known broker (UNREGISTER_CLIENT). Always resolves, within `timeoutMs` (default 1000). */
  unregisterGroup(member: GroupMember, timeoutMs?: number): Promise<void>
  /** A heartbeat to every known broker now. Never rejects; resolves with the number of brokers that answered. */
  heartbeatNow(): Promise<number>

  /**
   * Requests of brokers to this client (40, 220, 221, 307, 309, 326). Handlers are asked in the order of registration; the first
   * reply that is not undefined is sent. Returns the function that removes the handler.
   */
  onNotification<C extends AnyCommand>(command: C, handler: ClientHandler<C>['process']): () => void

  /**
   * Runs when the client closes, before connections do; a rejection is logged. Consumers close first, as their handlers may still send;
   * then producers, then whatever both still used. Returns the function that removes it.
   */
  onClose(part: (options: CloseOptions) => Promise<void>, kind?: 'consumer' | 'producer' | 'last'): () => void
  /** Closes all parts, unregisters, closes connections. Always resolves. */
  close(options?: CloseOptions): Promise<void>
}
