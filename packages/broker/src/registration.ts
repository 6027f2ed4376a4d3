import { RegisterBroker, UnregisterBroker, decodeKVTable, encodeRegisterBroker } from '@skylarkmq/remoting/protocol'
import type { TopicConfig } from '@skylarkmq/remoting/protocol'
import type { RemotingClient } from '@skylarkmq/remoting'
import type { Clock, Log, Timer } from '@skylarkmq/runtime'
import type { BrokerConfig, Settings } from './config.ts'
import type { TopicConfigs } from './topics/topic-configs.ts'

export interface RegistrationDeps {
  readonly client: RemotingClient
  readonly topics: TopicConfigs
  readonly settings: Settings
  readonly clock: Clock
  readonly log: Log
  readonly identity: BrokerIdentity
}

export interface BrokerIdentity {
  readonly clusterName: string
  readonly brokerName: string
  readonly brokerId: number
  /** The advertised address. */
  readonly brokerAddr: string
  readonly haServerAddr: string
}

const UNREGISTER_TIMEOUT_MS = 3000
/** A NameServer that was away is told this soon after it is back. */
const RETRY_MS = 3000

/** `host:port` of each NameServer: separated by `;`, a leading `http://` is dropped as clients do. */
export const parseNamesrvAddr = (text: string): string[] =>
  text
    .split(';')
    .map((address) => address.trim().replace(/^https?:\/\//, ''))
    .filter((address) => address !== '')

/**
 * Tells every NameServer of this broker: all topics at the start and every period, a changed topic at once (RocketMQ 5.3
 * `BrokerController#registerBrokerAll`, `#registerIncrementBrokerData`). NameServers do not know of each other; each is told by itself,
 * and one that is away keeps the others waiting for nothing.
 */
export class Registration {
  readonly #deps: RegistrationDeps
  readonly #links: readonly NamesrvLink[]
  readonly #changed = new Set<string>()
  #isPlanned = false
  #timer: Timer | undefined

  constructor(deps: RegistrationDeps) {
    this.#deps = deps
    this.#links = parseNamesrvAddr(deps.settings.current.namesrvAddr).map((address) => new NamesrvLink(address, deps))
  }

  /** Resolves when all NameServers have answered or failed: a broker starts without them, too. */
  async start(): Promise<void> {
    if (this.#links.length === 0) return
    // NameServers keep deleted topics until a tool deletes them there (RocketMQ 5.3 does the same).
    this.#deps.topics.onChange((topic, config) => {
      if (config !== undefined) this.#plan(topic)
    })
    const { registerNameServerPeriod } = this.#deps.settings.current
    this.#timer = this.#deps.clock.every(registerNameServerPeriod, () => {
      for (const link of this.#links) void link.tellAll()
    })
    await Promise.all(this.#links.map((link) => link.tellAll()))
  }

  /** A sentence for each NameServer that does not know of this broker, when none does: one is enough for clients to find it. */
  unknownAt(): readonly string[] {
    const away = this.#links.filter((link) => !link.isComplete)
    if (away.length < this.#links.length || this.#links.length === 0) return []
    return away.map(({ address }) => `the NameServer ${address} does not know of this broker`)
  }

  /** The connection to a NameServer is gone: it has forgotten this broker, or was restarted and knows nobody. */
  disconnected(address: string): void {
    this.#links.find((link) => link.address === address)?.tellSoon()
  }

  /** Resolves when the NameServers have been told of the changes so far. */
  async settled(): Promise<void> {
    this.#tellChanged()
    await Promise.all(this.#links.map((link) => link.settled()))
  }

  async close(): Promise<void> {
    this.#timer?.cancel()
    await Promise.all(this.#links.map((link) => link.close()))
  }

  /** Changes of one turn are told together. */
  #plan(topic: string): void {
    this.#changed.add(topic)
    if (this.#isPlanned) return
    this.#isPlanned = true
    this.#deps.clock.afterTurn(() => this.#tellChanged())
  }

  #tellChanged(): void {
    this.#isPlanned = false
    const changed = [...this.#changed]
    this.#changed.clear()
    if (changed.length > 0) for (const link of this.#links) void link.tellChanged(changed)
  }
}

/** One NameServer: what it is told arrives in order, because an older table must not follow a newer one. */
class NamesrvLink {
  readonly address: string
  readonly #deps: RegistrationDeps
  #last: Promise<void> = Promise.resolve()
  /** It has all topics: changes can be told alone. */
  #isComplete = false
  #isAway = false
  #retry: Timer | undefined
  #isClosed = false

  constructor(address: string, deps: RegistrationDeps) {
    this.address = address
    this.#deps = deps
  }

  tellAll(): Promise<void> {
    return this.#enqueue(async () => {
      this.#isComplete = await this.#register(undefined)
    })
  }

  tellChanged(topics: readonly string[]): Promise<void> {
    return this.#enqueue(async () => {
      if (this.#isComplete && (await this.#register(topics))) return
      // One that has been restarted meanwhile refuses a part: it gets all.
      this.#isComplete = await this.#register(undefined)
    })
  }

  get isComplete(): boolean {
    return this.#isComplete
  }

  settled(): Promise<void> {
    return this.#last
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#retry?.cancel()
    const { clusterName, brokerName, brokerId, brokerAddr } = this.#deps.identity
    const header = { clusterName, brokerName, brokerId, brokerAddr }
    try {
      await this.#deps.client.invoke(this.address, UnregisterBroker, header, { timeoutMs: UNREGISTER_TIMEOUT_MS })
    } catch {
      // It is away; it forgets this broker by itself.
    }
  }

  #enqueue(task: () => Promise<void>): Promise<void> {
    this.#last = this.#last.then(() => (this.#isClosed ? undefined : task()))
    return this.#last
  }

  async #register(topics: readonly string[] | undefined): Promise<boolean> {
    const { client, identity, settings } = this.#deps
    const { advertisedAddresses: skylarkAdvertised } = settings.current
    const more = skylarkAdvertised === '' ? {} : { skylarkAdvertised }
    const header = { ...identity, compressed: false, bodyCrc32: 0, enableActingMaster: false, ...more }
    const options = { body: this.#body(topics), timeoutMs: settings.current.registerBrokerTimeoutMills }
    try {
      const answer = await client.invoke(this.address, RegisterBroker, header, options)
      if (answer.code !== 0) throw new Error(answer.remark ?? `code ${answer.code}`)
      if (answer.body.length > 0) this.#takeOrder(answer.body)
      this.#cameBack()
      return true
    } catch (error) {
      // A part that is refused is followed by all at once.
      if (topics === undefined) this.#wentAway(error)
      return false
    }
  }

  #cameBack(): void {
    if (this.#isAway) this.#deps.log.info('the NameServer answers and knows this broker', { namesrv: this.address })
    this.#isAway = false
  }

  #wentAway(error: unknown): void {
    if (this.#isClosed) return
    const reason = error instanceof Error ? error.message : String(error)
    if (!this.#isAway)
      this.#deps.log.warn('the NameServer could not be told of this broker; it is tried again', { namesrv: this.address, reason })
    this.#isAway = true
    this.tellSoon()
  }

  tellSoon(): void {
    if (this.#isClosed) return
    this.#isComplete = false
    this.#retry ??= this.#deps.clock.after(RETRY_MS, () => {
      this.#retry = undefined
      void this.tellAll()
    })
  }

  #body(names: readonly string[] | undefined): Buffer {
    const { topics, settings } = this.#deps
    const table: Record<string, TopicConfig> = {}
    const configs = names === undefined ? topics.all() : names.map((name) => topics.get(name))
    for (const config of configs) if (config !== undefined) table[config.topicName] = withBrokerPerm(config, settings.current)
    return encodeRegisterBroker({
      topicConfigSerializeWrapper: { topicConfigTable: table, dataVersion: topics.version },
      filterServerList: [],
    })
  }

  /** The NameServer answers which topics are ordered (KV namespace ORDER_TOPIC_CONFIG). */
  #takeOrder(body: Uint8Array): void {
    const { topics } = this.#deps
    for (const topic of Object.keys(decodeKVTable(body).table)) {
      const config = topics.get(topic)
      if (config !== undefined && !config.order) topics.set({ ...config, order: true })
    }
  }
}

const withBrokerPerm = (config: TopicConfig, { brokerPermission }: BrokerConfig): TopicConfig =>
  (brokerPermission & 6) === 6 ? config : { ...config, perm: config.perm & brokerPermission }
