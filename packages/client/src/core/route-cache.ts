import type { Answer } from '@skylarkmq/remoting'
import type { MessageQueue, TopicRouteData } from '@skylarkmq/remoting/protocol'
import type { Clock, Log } from '@skylarkmq/runtime'
import { DEFAULT_TOPIC, GetRouteinfoByTopic, ResponseCode, RocketError, decodeTopicRoute } from '@skylarkmq/remoting/protocol'
import { expectSuccess } from '@skylarkmq/remoting'
import { capQueues, publishQueuesOf, routeFingerprint, subscribeQueuesOf } from './publish-queues.ts'
import type { CoreInvokeOptions, RouteOptions } from './types.ts'
import { forEachLimited, unlessAborted } from './waiting.ts'

/** RocketMQ `DefaultMQProducer#defaultTopicQueueNums`. */
export const DEFAULT_TOPIC_QUEUE_NUMS = 4
/** A route borrowed from the default topic is looked up again after this time: by then the broker has registered the real one. */
const BORROWED_LIFE_MS = 1000
/** Topics that nobody asked for during so many refreshes are forgotten. */
const UNUSED_REFRESHES = 20
const PARALLEL_LOOKUPS = 8

interface CachedRoute {
  readonly route: TopicRouteData
  readonly fingerprint: string
  readonly publish: readonly MessageQueue[]
  readonly subscribe: readonly MessageQueue[]
  /** From TBW102: the topic does not exist yet. */
  readonly isBorrowed: boolean
  fetchedAt: number
  usedAt: number
}

export interface RouteCacheParts {
  readonly clock: Clock
  readonly log: Log
  readonly refreshMs: number
  readonly requestMs: number
  readonly lookUp: (topic: string, options: CoreInvokeOptions) => Promise<Answer<typeof GetRouteinfoByTopic>>
  readonly onRoute: (topic: string, route: TopicRouteData, isChanged: boolean) => void
}

export class RouteCache {
  readonly #parts: RouteCacheParts
  readonly #cache = new Map<string, CachedRoute>()
  readonly #underWay = new Map<string, Promise<CachedRoute>>()

  constructor(parts: RouteCacheParts) {
    this.#parts = parts
  }

  /** The routes of topics that exist or are borrowed now. */
  *routes(): Iterable<TopicRouteData> {
    for (const entry of this.#cache.values()) yield entry.route
  }

  async route(topic: string, options: RouteOptions = {}): Promise<TopicRouteData> {
    return (await this.#entry(topic, options)).route
  }

  /** Synchronous where the route is known: no promise per message on the send path. */
  knownPublishQueues(topic: string): readonly MessageQueue[] | undefined {
    const entry = this.#cache.get(topic)
    if (!entry) return undefined
    const now = this.#parts.clock.monotonic()
    entry.usedAt = now
    if (entry.isBorrowed && now - entry.fetchedAt > BORROWED_LIFE_MS) this.refreshSoon(topic)
    return entry.publish
  }

  async publishQueues(topic: string, options: RouteOptions = {}): Promise<readonly MessageQueue[]> {
    if (!options.refresh) {
      const known = this.knownPublishQueues(topic)
      if (known) return known
    }
    return (await this.#entry(topic, { fallbackToDefaultTopic: true, ...options })).publish
  }

  async subscribeQueues(topic: string, options: RouteOptions = {}): Promise<readonly MessageQueue[]> {
    try {
      const entry = await this.#entry(topic, { ...options, fallbackToDefaultTopic: false })
      return entry.subscribe
    } catch (error) {
      if (error instanceof RocketError && error.brokerCode === ResponseCode.TOPIC_NOT_EXIST) return []
      throw error
    }
  }

  /** Looks the topic up without anyone waiting; at most once a second. What is known stays in use if that fails. */
  refreshSoon(topic: string): void {
    const entry = this.#cache.get(topic)
    const now = this.#parts.clock.monotonic()
    if (entry && now - entry.fetchedAt < BORROWED_LIFE_MS) return
    if (entry) entry.fetchedAt = now
    this.#shared(topic, entry?.isBorrowed ?? false).catch(() => {})
  }

  /** The periodic refresh: what is cached and still used, and what members name. Never rejects. */
  async refreshAll(wanted: ReadonlySet<string>): Promise<void> {
    const now = this.#parts.clock.monotonic()
    for (const [topic, entry] of this.#cache) {
      if (!wanted.has(topic) && now - entry.usedAt > this.#parts.refreshMs * UNUSED_REFRESHES) this.#cache.delete(topic)
    }
    const topics = new Set([...this.#cache.keys(), ...wanted])
    await forEachLimited(topics, PARALLEL_LOOKUPS, async (topic) => {
      try {
        await this.#shared(topic, this.#cache.get(topic)?.isBorrowed ?? false)
      } catch (error) {
        const isMissing = error instanceof RocketError && error.brokerCode === ResponseCode.TOPIC_NOT_EXIST
        if (!isMissing) this.#parts.log.warn('cannot refresh the route of a topic; the known one stays in use', { topic, error })
      }
    })
  }

  async #entry(topic: string, options: RouteOptions): Promise<CachedRoute> {
    const known = this.#cache.get(topic)
    if (known && !options.refresh && (!known.isBorrowed || options.fallbackToDefaultTopic)) {
      known.usedAt = this.#parts.clock.monotonic()
      return known
    }
    const lookUp = this.#shared(topic, options.fallbackToDefaultTopic ?? false, options.timeoutMs)
    return unlessAborted(lookUp, options.signal, `the route look-up of topic ${topic}`)
  }

  /** One look-up per topic at a time, shared by all who wait for it. */
  #shared(topic: string, mayBorrow: boolean, timeoutMs = this.#parts.requestMs): Promise<CachedRoute> {
    const key = mayBorrow ? `${topic}\n` : topic
    const underWay = this.#underWay.get(key)
    if (underWay) return underWay
    const started = this.#fetch(topic, mayBorrow, timeoutMs).finally(() => this.#underWay.delete(key))
    this.#underWay.set(key, started)
    return started
  }

  async #fetch(topic: string, mayBorrow: boolean, timeoutMs: number): Promise<CachedRoute> {
    const { clock, lookUp } = this.#parts
    const started = clock.monotonic()
    const answer = await lookUp(topic, { timeoutMs })
    if (answer.code !== ResponseCode.TOPIC_NOT_EXIST) {
      expectSuccess(answer)
      return this.#store(topic, decodeTopicRoute(answer.body), false)
    }
    if (mayBorrow) {
      const base = await lookUp(DEFAULT_TOPIC, { timeoutMs: Math.max(1, timeoutMs - (clock.monotonic() - started)) })
      if (base.code === 0) return this.#store(topic, capQueues(decodeTopicRoute(base.body), DEFAULT_TOPIC_QUEUE_NUMS), true)
    }
    throw new RocketError(
      mayBorrow
        ? `no route for topic ${topic}: it does not exist, and no broker creates topics by itself (the route of ${DEFAULT_TOPIC} is missing too); create it with "skylark updateTopic" or set autoCreateTopicEnable=true`
        : `no route for topic ${topic}: the NameServer ${answer.address} does not know it; check the name, or create it with "skylark updateTopic"`,
      { code: 'TOPIC_NOT_EXIST', brokerCode: ResponseCode.TOPIC_NOT_EXIST, topic, address: answer.address, phase: 'resolve' },
    )
  }

  #store(topic: string, route: TopicRouteData, isBorrowed: boolean): CachedRoute {
    const now = this.#parts.clock.monotonic()
    const fingerprint = routeFingerprint(route)
    const old = this.#cache.get(topic)
    const isChanged = old?.fingerprint !== fingerprint || old.isBorrowed !== isBorrowed
    const entry: CachedRoute =
      old && !isChanged
        ? old
        : {
            route,
            fingerprint,
            isBorrowed,
            publish: publishQueuesOf(topic, route),
            subscribe: subscribeQueuesOf(topic, route),
            fetchedAt: now,
            usedAt: old?.usedAt ?? now,
          }
    entry.fetchedAt = now
    this.#cache.set(topic, entry)
    this.#parts.onRoute(topic, entry.route, isChanged)
    return entry
  }
}
