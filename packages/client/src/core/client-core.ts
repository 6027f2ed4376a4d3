import type { Answer, ClientHandler, InvokeOptions, RemotingClient } from '@skylarkmq/remoting'
import type { AnyCommand, MessageQueue, RequestOf, TopicRouteData } from '@skylarkmq/remoting/protocol'
import type { Clock, Log, Random, Runtime, Timer } from '@skylarkmq/runtime'
import { EventEmitter } from 'node:events'
import { createRemotingClient } from '@skylarkmq/remoting'
import { checkTopicName, GetRouteinfoByTopic, RocketError } from '@skylarkmq/remoting/protocol'
import { BrokerTable } from './broker-table.ts'
import { Heartbeats } from './heartbeats.ts'
import { NamesrvRotation, parseNamesrvAddresses } from './namesrv.ts'
import { Notifications } from './notifications.ts'
import { RouteCache } from './route-cache.ts'
import type {
  ClientCore,
  ClientOptions,
  ClientTimeouts,
  CloseOptions,
  CoreEvents,
  CoreInvokeOptions,
  GroupMember,
  RouteOptions,
} from './types.ts'
import { settledWithin } from './waiting.ts'

/** RocketMQ's defaults (`ClientConfig`, `NettyClientConfig`). */
export const DEFAULT_TIMEOUTS: ClientTimeouts = {
  requestMs: 3000,
  connectMs: 3000,
  routeRefreshMs: 30_000,
  heartbeatMs: 30_000,
  idleMs: 120_000,
}

export const DEFAULT_DRAIN_MS = 10_000
const UNREGISTER_MS = 1000
const GOODBYE_MS = 2000
/** After so many timeouts in a row a connection is made anew: the other end may have lost power, and TCP would say so much later. */
const SILENCES_BEFORE_RECONNECT = 3

/** `<ip>@<instance>[@unit]` (RocketMQ `ClientConfig#buildMQClientId`). In containers every pid is 1, so chance takes the pid's place. */
export function buildClientId(options: ClientOptions, clock: Clock, random: Random): string {
  const instance = options.instanceName ?? `${1 + random.integer(0xffff)}#${clock.now()}${String(random.integer(1000)).padStart(3, '0')}`
  const id = `${options.clientIp ?? '127.0.0.1'}@${instance}`
  return options.unitName ? `${id}@${options.unitName}` : id
}

type Part = (options: CloseOptions) => Promise<void>

class Core implements ClientCore {
  readonly clientId: string
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly runtime: Runtime
  readonly timeouts: ClientTimeouts
  readonly namespace: string | undefined
  readonly events = new EventEmitter<CoreEvents>()
  readonly #remoting: RemotingClient
  readonly #namesrv: NamesrvRotation
  readonly #routes: RouteCache
  readonly #brokers = new BrokerTable()
  readonly #heartbeats: Heartbeats
  readonly #notifications = new Notifications()
  readonly #refresh: Timer
  readonly #parts = { consumer: new Set<Part>(), producer: new Set<Part>(), last: new Set<Part>() }
  /** Timeouts in a row, by address. */
  readonly #silences = new Map<string, number>()
  #closing: Promise<void> | undefined
  #isClosed = false

  constructor(runtime: Runtime, options: ClientOptions) {
    const addresses = parseNamesrvAddresses(options.namesrvAddr)
    this.runtime = runtime
    this.namespace = options.namespace || undefined
    const wrong = this.namespace === undefined ? undefined : checkTopicName(this.namespace)
    if (wrong) throw new RocketError(`the namespace cannot be: ${wrong}`, { code: 'BAD_ARGUMENT' })
    this.clock = runtime.clock
    this.random = runtime.random
    this.clientId = buildClientId(options, runtime.clock, runtime.random)
    this.log = (options.log ?? runtime.log).child({ clientId: this.clientId })
    this.timeouts = { ...DEFAULT_TIMEOUTS, ...options.timeouts }
    this.events.setMaxListeners(0)
    this.#remoting = createRemotingClient({
      runtime: { clock: runtime.clock, network: runtime.network, log: this.log },
      connectTimeoutMs: this.timeouts.connectMs,
      idleMs: this.timeouts.idleMs,
      handlers: this.#notifications.forRemoting,
      onDisconnect: (address) => {
        this.#heartbeats.forget(address)
        this.events.emit('disconnected', address)
      },
      ...(options.tls ? { tls: options.tls } : {}),
      ...(options.msgpack ? { msgpack: true } : {}),
    })
    this.#namesrv = new NamesrvRotation(this.#remoting, addresses, this.clock, this.random)
    this.#routes = new RouteCache({
      clock: this.clock,
      log: this.log,
      refreshMs: this.timeouts.routeRefreshMs,
      requestMs: this.timeouts.requestMs,
      lookUp: (topic, lookUpOptions) => this.invokeNamesrv(GetRouteinfoByTopic, { topic }, lookUpOptions),
      onRoute: (topic, route, isChanged) => this.#onRoute(topic, route, isChanged),
    })
    this.#heartbeats = new Heartbeats({
      clientId: this.clientId,
      clock: this.clock,
      log: this.log,
      intervalMs: this.timeouts.heartbeatMs,
      brokers: this.#brokers,
      isV2: options.heartbeatV2 ?? false,
      invoke: (target, command, header, invokeOptions) => this.invoke(target, command, header, invokeOptions),
    })
    this.#refresh = this.clock.every(this.timeouts.routeRefreshMs, () => this.#refreshRoutes())
  }

  get isClosed(): boolean {
    return this.#closing !== undefined
  }

  get namesrvAddresses(): readonly string[] {
    return this.#namesrv.addresses
  }

  get brokerNames(): readonly string[] {
    return this.#brokers.names
  }

  async invoke<C extends AnyCommand>(
    target: string,
    command: C,
    header: RequestOf<C>,
    options: CoreInvokeOptions = {},
  ): Promise<Answer<C>> {
    const address = this.#resolve(target)
    try {
      const answer = await this.#remoting.invoke(address, command, header, this.#withTimeout(options))
      if (this.#silences.size > 0) this.#silences.delete(address)
      return answer
    } catch (error) {
      if (error instanceof RocketError && error.code === 'TIMEOUT') this.#noteSilence(address)
      throw error
    }
  }

  async notify<C extends AnyCommand>(target: string, command: C, header: RequestOf<C>, options: CoreInvokeOptions = {}): Promise<void> {
    return this.#remoting.notify(this.#resolve(target), command, header, this.#withTimeout(options))
  }

  async invokeNamesrv<C extends AnyCommand>(command: C, header: RequestOf<C>, options: CoreInvokeOptions = {}): Promise<Answer<C>> {
    this.#checkOpen()
    return this.#namesrv.invoke(command, header, this.#withTimeout(options))
  }

  route(topic: string, options?: RouteOptions): Promise<TopicRouteData> {
    return this.#routes.route(topic, options)
  }

  publishQueues(topic: string, options?: RouteOptions): Promise<readonly MessageQueue[]> {
    return this.#routes.publishQueues(topic, options)
  }

  knownPublishQueues(topic: string): readonly MessageQueue[] | undefined {
    return this.#routes.knownPublishQueues(topic)
  }

  refreshRouteSoon(topic: string): void {
    this.#routes.refreshSoon(topic)
  }

  subscribeQueues(topic: string, options?: RouteOptions): Promise<readonly MessageQueue[]> {
    return this.#routes.subscribeQueues(topic, options)
  }

  brokerAddress(brokerName: string, brokerId = 0): string | undefined {
    return this.#brokers.address(brokerName, brokerId)
  }

  brokerAddresses(brokerName: string): ReadonlyMap<number, string> {
    return this.#brokers.addressesOf(brokerName)
  }

  brokerVersion(address: string): number | undefined {
    return this.#brokers.version(address)
  }

  registerGroup(member: GroupMember): void {
    this.#checkOpen()
    this.#heartbeats.register(member)
  }

  unregisterGroup(member: GroupMember, timeoutMs = UNREGISTER_MS): Promise<void> {
    return this.#heartbeats.unregister(member, timeoutMs)
  }

  heartbeatNow(): Promise<number> {
    return this.#isClosed ? Promise.resolve(0) : this.#heartbeats.now()
  }

  onNotification<C extends AnyCommand>(command: C, handler: ClientHandler<C>['process']): () => void {
    return this.#notifications.on(command, handler)
  }

  onClose(part: Part, kind: 'consumer' | 'producer' | 'last' = 'consumer'): () => void {
    const parts = this.#parts[kind]
    parts.add(part)
    return () => parts.delete(part)
  }

  close(options: CloseOptions = {}): Promise<void> {
    this.#closing ??= this.#close(options)
    return this.#closing
  }

  async #close(options: CloseOptions): Promise<void> {
    const drainMs = options.drainMs ?? DEFAULT_DRAIN_MS
    const deadline = this.clock.monotonic() + drainMs
    this.#refresh.cancel()
    for (const parts of [this.#parts.consumer, this.#parts.producer, this.#parts.last]) {
      const leftMs = Math.max(0, deadline - this.clock.monotonic())
      const closing = [...parts].map((part) =>
        part({ drainMs: leftMs }).catch((error) => this.log.error('a part of the client failed to close', { error })),
      )
      // A part keeps to its time itself; the rest is for its goodbyes, or for one that does not.
      await settledWithin(this.clock, Promise.all(closing), leftMs + GOODBYE_MS)
    }
    this.#heartbeats.stop()
    await Promise.all([...this.#heartbeats.members].map((member) => this.#heartbeats.unregister(member, UNREGISTER_MS)))
    this.#isClosed = true
    this.#remoting.close()
    this.events.emit('closed')
  }

  #resolve(target: string): string {
    // Parts still talk to brokers while they close, hence not `#closing`.
    this.#checkOpen()
    if (target.includes(':')) return target
    const address = this.#brokers.address(target, 0)
    if (address) return address
    throw new RocketError(`no master of broker ${target} is in the routes known to this client; it may be down`, {
      code: 'NO_ROUTE',
      retryable: true,
      phase: 'resolve',
    })
  }

  #withTimeout(options: CoreInvokeOptions): InvokeOptions {
    return { body: options.body, signal: options.signal, timeoutMs: options.timeoutMs ?? this.timeouts.requestMs }
  }

  #noteSilence(address: string): void {
    const silences = (this.#silences.get(address) ?? 0) + 1
    if (silences < SILENCES_BEFORE_RECONNECT) {
      this.#silences.set(address, silences)
      return
    }
    this.#silences.delete(address)
    this.log.warn('reconnecting to a server that did not answer', { address, timeouts: silences })
    this.#remoting.disconnect(address)
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new RocketError('this client is closed; create another one', { code: 'CLOSED', phase: 'close' })
  }

  #onRoute(topic: string, route: TopicRouteData, isChanged: boolean): void {
    if (this.#brokers.learn(route)) this.#heartbeats.soon()
    if (isChanged) this.events.emit('routeChanged', topic, route)
  }

  async #refreshRoutes(): Promise<void> {
    const wanted = new Set<string>()
    for (const member of this.#heartbeats.members) for (const topic of member.topics?.() ?? []) wanted.add(topic)
    await this.#routes.refreshAll(wanted)
    this.#brokers.retain(this.#routes.routes())
  }
}

/** What producers need beyond the published interface: routes without a promise per message. */
export interface ProducerCore extends ClientCore {
  knownPublishQueues(topic: string): readonly MessageQueue[] | undefined
  refreshRouteSoon(topic: string): void
}

export const createCore = (runtime: Runtime, options: ClientOptions): ProducerCore => new Core(runtime, options)
