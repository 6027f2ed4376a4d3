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

/** `host:port` of each NameServer: separated by `;`, a leading `http://` is dropped as clients do. */
export const parseNamesrvAddr = (text: string): string[] =>
  text
    .split(';')
    .map((address) => address.trim().replace(/^https?:\/\//, ''))
    .filter((address) => address !== '')

/**
 * Tells every NameServer of this broker: all topics at the start and every period, a changed topic at once (RocketMQ 5.3
 * `BrokerController#registerBrokerAll`, `#registerIncrementBrokerData`). NameServers do not know of each other; each is told by itself,
 * and one that is away keeps nobody waiting.
 */
export class Registration {
  readonly #deps: RegistrationDeps
  readonly #addresses: readonly string[]
  /** Those that have all of our topics; the others are told in full next time. */
  readonly #complete = new Set<string>()
  readonly #changed = new Set<string>()
  #round: Promise<void> = Promise.resolve()
  #isPlanned = false
  #timer: Timer | undefined
  #isClosed = false

  constructor(deps: RegistrationDeps) {
    this.#deps = deps
    this.#addresses = parseNamesrvAddr(deps.settings.current.namesrvAddr)
  }

  /** Resolves when all NameServers have answered or failed: a broker starts without them, too. */
  async start(): Promise<void> {
    if (this.#addresses.length === 0) return
    this.#deps.topics.onChange((topic, config) => {
      if (config !== undefined) this.#changed.add(topic)
      this.#plan()
    })
    this.#timer = this.#deps.clock.every(this.#period(), () => {
      this.#complete.clear()
      return this.#enqueue()
    })
    await this.#enqueue()
  }

  /** Resolves when the changes so far have been told. */
  settled(): Promise<void> {
    return this.#isPlanned ? this.#enqueue() : this.#round
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#timer?.cancel()
    const { clusterName, brokerName, brokerId, brokerAddr } = this.#deps.identity
    const header = { clusterName, brokerName, brokerId, brokerAddr }
    await Promise.allSettled(
      this.#addresses.map((address) => this.#deps.client.invoke(address, UnregisterBroker, header, { timeoutMs: UNREGISTER_TIMEOUT_MS })),
    )
  }

  #period(): number {
    return this.#deps.settings.current.registerNameServerPeriod
  }

  /** Changes of one turn are told together. */
  #plan(): void {
    if (this.#isPlanned || this.#isClosed) return
    this.#isPlanned = true
    this.#deps.clock.afterTurn(() => {
      if (this.#isPlanned) void this.#enqueue()
    })
  }

  /** One round after another: an older table must not arrive after a newer one. */
  #enqueue(): Promise<void> {
    this.#isPlanned = false
    this.#round = this.#round.then(() => this.#tellAll())
    return this.#round
  }

  async #tellAll(): Promise<void> {
    if (this.#isClosed) return
    const changed = [...this.#changed]
    this.#changed.clear()
    await Promise.all(this.#addresses.map((address) => this.#tell(address, changed)))
  }

  async #tell(address: string, changed: readonly string[]): Promise<void> {
    if (this.#complete.has(address) && changed.length > 0) {
      // A NameServer that has been restarted meanwhile refuses a part: then it gets all.
      if (await this.#register(address, changed)) return
    }
    if (await this.#register(address, undefined)) this.#complete.add(address)
  }

  async #register(address: string, changed: readonly string[] | undefined): Promise<boolean> {
    const { client, identity, log, settings } = this.#deps
    const timeoutMs = settings.current.registerBrokerTimeoutMills
    try {
      const answer = await client.invoke(
        address,
        RegisterBroker,
        { ...identity, compressed: false, bodyCrc32: 0, enableActingMaster: false },
        { body: this.#body(changed), timeoutMs },
      )
      if (answer.code !== 0) throw new Error(answer.remark ?? `code ${answer.code}`)
      if (answer.body.length > 0) this.#takeOrder(answer.body)
      if (!this.#complete.has(address) && changed === undefined) log.debug('registered with the NameServer', { namesrv: address })
      return true
    } catch (error) {
      if (this.#isClosed) return false
      this.#complete.delete(address)
      log.warn('the NameServer could not be told of this broker; it is tried again', { namesrv: address, reason: reasonOf(error) })
      return false
    }
  }

  #body(changed: readonly string[] | undefined): Buffer {
    const { topics, settings } = this.#deps
    const table: Record<string, TopicConfig> = {}
    const configs = changed === undefined ? topics.all() : changed.map((topic) => topics.get(topic))
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

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
