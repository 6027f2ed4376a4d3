/**
 * Who has which topic, and where. Semantics of RocketMQ 5.3 `RouteInfoManager`.
 *
 * Apache guards these tables with a read-write lock. What that lock is for holds here without one: every method runs from its first
 * line to its last in one turn of the event loop and awaits nothing, so no reader sees half an update; and all that leaves the table is
 * either bytes or a value that is replaced, never changed (`QueueData`, `BrokerData`), so a reader may take its time and makes no writer
 * wait.
 */
import type { BrokerData, DataVersion, QueueData, TopicConfig, TopicRouteData } from '@skylarkmq/remoting/protocol'
import { BROKER_SILENCE_MS } from './limits.ts'

const MASTER_ID = 0
const PERM_WRITE = 2
const PERM_READ_WRITE = 6
const SYNC_MEMBER_PREFIX = 'rmq_sys_SYNC_BROKER_MEMBER_'

export interface BrokerIdentity {
  readonly clusterName: string
  readonly brokerName: string
  readonly brokerAddr: string
  readonly brokerId: number
}

export interface BrokerRegistration extends BrokerIdentity {
  readonly haServerAddr?: string | undefined
  readonly zoneName?: string | undefined
  readonly heartbeatTimeoutMs?: number | undefined
  /** Present (either way) marks a broker of RocketMQ 5. */
  readonly enableActingMaster?: boolean | undefined
  readonly topics: Readonly<Record<string, TopicConfig>>
  readonly dataVersion: DataVersion
  readonly filterServers: readonly string[]
}

export type RegistrationResult =
  | { readonly status: 'ok'; readonly masterAddr?: string | undefined; readonly haServerAddr?: string | undefined }
  /** Another address holds this broker id with a newer state. */
  | { readonly status: 'outdated' }
  /** An incremental registration (one topic) of a broker that never registered in full. */
  | { readonly status: 'incomplete' }

/** What is known of one broker process. `Channel` is its connection. */
export interface LiveBroker<Channel> {
  readonly identity: BrokerIdentity
  readonly channel: Channel
  readonly dataVersion: DataVersion
  readonly heartbeatTimeoutMs: number
  readonly haServerAddr: string | undefined
  lastSeenMs: number
}

export interface RouteTableOptions {
  readonly deleteTopicWithBrokerRegistration: boolean
  readonly supportActingMaster: boolean
}

/** Told which topics' routes have changed, within the call that changed them. */
export type RouteChangeListener = (topics: Iterable<string>) => void

export class RouteTable<Channel> {
  readonly #options: () => RouteTableOptions
  readonly #onChange: RouteChangeListener
  readonly #topics = new Map<string, Map<string, QueueData>>()
  readonly #brokers = new Map<string, BrokerData>()
  readonly #clusters = new Map<string, Set<string>>()
  readonly #live = new Map<string, LiveBroker<Channel>>()
  readonly #filterServers = new Map<string, readonly string[]>()

  /** `options` is asked at each use: it may change while the server runs. */
  constructor(options: () => RouteTableOptions, onChange: RouteChangeListener = () => {}) {
    this.#options = options
    this.#onChange = onChange
  }

  register(registration: BrokerRegistration, channel: Channel, nowMs: number): RegistrationResult {
    const { clusterName, brokerName, brokerAddr, brokerId } = registration
    const before = this.#brokers.get(brokerName)
    const addresses = addressesWithout(before, brokerAddr, brokerId)
    const holder = addresses.get(brokerId)
    if (holder !== undefined && holder !== brokerAddr) {
      const holderVersion = this.#live.get(liveKey(clusterName, holder))?.dataVersion.stateVersion ?? 0
      if (holderVersion > registration.dataVersion.stateVersion) {
        this.#live.delete(liveKey(clusterName, brokerAddr))
        return { status: 'outdated' }
      }
    }
    const topicCount = Object.keys(registration.topics).length
    if (holder === undefined && topicCount === 1) return { status: 'incomplete' }

    addresses.set(brokerId, brokerAddr)
    this.#joinCluster(clusterName, brokerName)
    const broker = brokerData(registration, addresses)
    this.#brokers.set(brokerName, broker)
    const changed = new Set<string>()
    if (before === undefined || !sameBroker(before, broker)) this.#addTopicsOf(brokerName, changed)
    this.#takeTopics(registration, broker, holder === undefined, changed)
    this.#live.set(liveKey(clusterName, brokerAddr), {
      identity: { clusterName, brokerName, brokerAddr, brokerId },
      channel,
      dataVersion: registration.dataVersion,
      heartbeatTimeoutMs: registration.heartbeatTimeoutMs ?? BROKER_SILENCE_MS,
      haServerAddr: registration.haServerAddr,
      lastSeenMs: nowMs,
    })
    if (this.#takeFilterServers(brokerAddr, registration.filterServers)) this.#addTopicsOf(brokerName, changed)
    if (changed.size > 0) this.#onChange(changed)
    return this.#replicaAnswer(clusterName, brokerId, broker)
  }

  /** Forgets a broker process. Unknown ones are fine. */
  unregister({ clusterName, brokerName, brokerAddr }: BrokerIdentity): void {
    this.#live.delete(liveKey(clusterName, brokerAddr))
    this.#filterServers.delete(brokerAddr)
    const before = this.#brokers.get(brokerName)
    if (before === undefined) return
    const left = Object.entries(before.brokerAddrs).filter(([, address]) => address !== brokerAddr)
    if (left.length === Object.keys(before.brokerAddrs).length) return
    const changed = new Set<string>()
    this.#addTopicsOf(brokerName, changed)
    if (left.length === 0) {
      this.#brokers.delete(brokerName)
      this.#leaveClusters(brokerName)
      for (const topic of changed) this.#removeQueues(topic, brokerName)
    } else {
      this.#brokers.set(brokerName, { ...before, brokerAddrs: Object.fromEntries(left) })
      if (before.enableActingMaster && !left.some(([id]) => Number(id) === MASTER_ID)) {
        this.#changePerm(brokerName, (perm) => perm & ~PERM_WRITE)
      }
    }
    if (changed.size > 0) this.#onChange(changed)
  }

  /** Brokers whose connection this was leave. A broker that has registered again over another connection stays. */
  channelClosed(channel: Channel): readonly BrokerIdentity[] {
    const gone = [...this.#live.values()].filter((live) => live.channel === channel).map((live) => live.identity)
    for (const identity of gone) this.unregister(identity)
    return gone
  }

  /** Brokers that have been silent for longer than they promised leave; their connections are to be closed. */
  expire(nowMs: number): readonly LiveBroker<Channel>[] {
    const silent = [...this.#live.values()].filter((live) => live.lastSeenMs + live.heartbeatTimeoutMs < nowMs)
    for (const live of silent) this.unregister(live.identity)
    return silent
  }

  heartbeat(clusterName: string, brokerAddr: string, nowMs: number): void {
    const live = this.#live.get(liveKey(clusterName, brokerAddr))
    if (live !== undefined) live.lastSeenMs = nowMs
  }

  /** The version of a broker's topics that this table holds. */
  dataVersion(clusterName: string, brokerAddr: string): DataVersion | undefined {
    return this.#live.get(liveKey(clusterName, brokerAddr))?.dataVersion
  }

  route(topic: string): TopicRouteData | undefined {
    const queues = this.#topics.get(topic)
    if (queues === undefined) return undefined
    const brokerDatas: BrokerData[] = []
    const filterServerTable: Record<string, readonly string[]> = {}
    for (const brokerName of queues.keys()) {
      const broker = this.#brokers.get(brokerName)
      if (broker === undefined) continue
      brokerDatas.push(broker)
      if (this.#filterServers.size === 0) continue
      for (const address of Object.values(broker.brokerAddrs)) {
        const servers = this.#filterServers.get(address)
        if (servers !== undefined) filterServerTable[address] = servers
      }
    }
    if (queues.size === 0 || brokerDatas.length === 0) return undefined
    const actingMaster = this.#options().supportActingMaster && !topic.startsWith(SYNC_MEMBER_PREFIX)
    return {
      queueDatas: [...queues.values()],
      brokerDatas: actingMaster ? brokerDatas.map((broker) => withActingMaster(broker, queues.get(broker.brokerName))) : brokerDatas,
      filterServerTable,
    }
  }

  clusters(): ReadonlyMap<string, ReadonlySet<string>> {
    return this.#clusters
  }

  brokers(): ReadonlyMap<string, BrokerData> {
    return this.#brokers
  }

  liveBrokers(): Iterable<LiveBroker<Channel>> {
    return this.#live.values()
  }

  topicNames(): string[] {
    return [...this.#topics.keys()]
  }

  topicsOfCluster(clusterName: string): string[] {
    const names = [...(this.#clusters.get(clusterName) ?? [])]
    return this.#topicsWhere((queues) => names.some((name) => queues.has(name)))
  }

  /** Topics whose system flag (of the first broker, as Apache reads it) satisfies the condition. */
  topicsBySysFlag(condition: (sysFlag: number) => boolean): string[] {
    return this.#topicsWhere((queues) => {
      for (const queue of queues.values()) return condition(queue.topicSysFlag)
      return false
    })
  }

  /** Forgets a topic: on the brokers of one cluster, or wholly. */
  deleteTopic(topic: string, clusterName?: string): void {
    if (!this.#topics.has(topic)) return
    if (clusterName === undefined) this.#topics.delete(topic)
    else for (const brokerName of this.#clusters.get(clusterName) ?? []) this.#removeQueues(topic, brokerName)
    this.#onChange([topic])
  }

  /** Adds a topic to known brokers; stops at the first unknown one and returns its name. */
  registerTopic(topic: string, queueDatas: readonly QueueData[]): string | undefined {
    let unknown: string | undefined
    for (const queue of queueDatas) {
      if (!this.#brokers.has(queue.brokerName)) {
        unknown = queue.brokerName
        break
      }
      this.#putQueues(topic, queue)
    }
    this.#onChange([topic])
    return unknown
  }

  /** Takes the write permission from all topics of a broker, or gives read and write. In memory only. Returns how many topics. */
  setWritePermission(brokerName: string, writable: boolean): number {
    const changed = this.#changePerm(brokerName, (perm) => (writable ? PERM_READ_WRITE : perm & ~PERM_WRITE))
    if (changed.length > 0) this.#onChange(changed)
    return changed.length
  }

  #takeTopics(registration: BrokerRegistration, broker: BrokerData, isFirst: boolean, changed: Set<string>): void {
    const { clusterName, brokerName, brokerAddr, brokerId, topics, dataVersion } = registration
    const isMaster = brokerId === MASTER_ID
    const isPrimeSlave = !isMaster && registration.enableActingMaster !== undefined && brokerId === lowestId(broker)
    if (!isMaster && !isPrimeSlave) return
    const isNewVersion = !sameVersion(this.dataVersion(clusterName, brokerAddr), dataVersion)
    const names = Object.keys(topics)
    // A registration of exactly one topic is an increment: what it does not name is not gone.
    if (this.#options().deleteTopicWithBrokerRegistration && isNewVersion && names.length !== 1) {
      for (const [topic, queues] of this.#topics) {
        if (queues.has(brokerName) && !Object.hasOwn(topics, topic)) {
          this.#removeQueues(topic, brokerName)
          changed.add(topic)
        }
      }
    }
    const permMask = isPrimeSlave && broker.enableActingMaster ? ~PERM_WRITE : ~0
    for (const topic of names) {
      if (!isFirst && !isNewVersion && this.#topics.get(topic)?.has(brokerName)) continue
      const { readQueueNums, writeQueueNums, perm, topicSysFlag } = topics[topic] as TopicConfig
      if (this.#putQueues(topic, { brokerName, readQueueNums, writeQueueNums, perm: perm & permMask, topicSysFlag })) changed.add(topic)
    }
  }

  #takeFilterServers(brokerAddr: string, servers: readonly string[]): boolean {
    const before = this.#filterServers.get(brokerAddr) ?? []
    if (servers.length === 0) this.#filterServers.delete(brokerAddr)
    else this.#filterServers.set(brokerAddr, servers)
    return before.join() !== servers.join()
  }

  /** A replica learns where its master is. */
  #replicaAnswer(clusterName: string, brokerId: number, broker: BrokerData): RegistrationResult {
    const masterAddr = brokerId === MASTER_ID ? undefined : broker.brokerAddrs[MASTER_ID]
    const master = masterAddr === undefined ? undefined : this.#live.get(liveKey(clusterName, masterAddr))
    return master === undefined ? { status: 'ok' } : { status: 'ok', masterAddr, haServerAddr: master.haServerAddr }
  }

  #joinCluster(clusterName: string, brokerName: string): void {
    const names = this.#clusters.get(clusterName)
    if (names === undefined) this.#clusters.set(clusterName, new Set([brokerName]))
    else names.add(brokerName)
  }

  #leaveClusters(brokerName: string): void {
    for (const [clusterName, names] of this.#clusters) {
      if (names.delete(brokerName) && names.size === 0) this.#clusters.delete(clusterName)
    }
  }

  /** Returns whether anything is different now. */
  #putQueues(topic: string, queue: QueueData): boolean {
    const queues = this.#topics.get(topic)
    if (queues === undefined) {
      this.#topics.set(topic, new Map([[queue.brokerName, queue]]))
      return true
    }
    const before = queues.get(queue.brokerName)
    if (before !== undefined && sameQueues(before, queue)) return false
    queues.set(queue.brokerName, queue)
    return true
  }

  #removeQueues(topic: string, brokerName: string): void {
    const queues = this.#topics.get(topic)
    if (queues?.delete(brokerName) && queues.size === 0) this.#topics.delete(topic)
  }

  #changePerm(brokerName: string, change: (perm: number) => number): string[] {
    const topics: string[] = []
    for (const [topic, queues] of this.#topics) {
      const queue = queues.get(brokerName)
      if (queue === undefined) continue
      queues.set(brokerName, { ...queue, perm: change(queue.perm) })
      topics.push(topic)
    }
    return topics
  }

  #addTopicsOf(brokerName: string, topics: Set<string>): void {
    for (const [topic, queues] of this.#topics) if (queues.has(brokerName)) topics.add(topic)
  }

  #topicsWhere(condition: (queues: ReadonlyMap<string, QueueData>) => boolean): string[] {
    const names: string[] = []
    for (const [topic, queues] of this.#topics) if (condition(queues)) names.push(topic)
    return names
  }
}

// NUL cannot occur in an address, and hardly in a cluster's name.
const liveKey = (clusterName: string, brokerAddr: string): string => `${brokerAddr}\0${clusterName}`

/** The addresses of a broker set, without those under which this process was known by another id. */
function addressesWithout(broker: BrokerData | undefined, brokerAddr: string, brokerId: number): Map<number, string> {
  const addresses = new Map<number, string>()
  for (const [id, address] of Object.entries(broker?.brokerAddrs ?? {})) {
    if (address !== brokerAddr || Number(id) === brokerId) addresses.set(Number(id), address)
  }
  return addresses
}

function brokerData(registration: BrokerRegistration, addresses: ReadonlyMap<number, string>): BrokerData {
  const sorted = [...addresses].sort(([a], [b]) => a - b)
  return {
    cluster: registration.clusterName,
    brokerName: registration.brokerName,
    brokerAddrs: Object.fromEntries(sorted),
    ...(registration.zoneName === undefined ? {} : { zoneName: registration.zoneName }),
    enableActingMaster: registration.enableActingMaster ?? false,
  }
}

const sameBroker = (a: BrokerData, b: BrokerData): boolean =>
  a.cluster === b.cluster &&
  a.zoneName === b.zoneName &&
  a.enableActingMaster === b.enableActingMaster &&
  JSON.stringify(a.brokerAddrs) === JSON.stringify(b.brokerAddrs)

const sameQueues = (a: QueueData, b: QueueData): boolean =>
  a.readQueueNums === b.readQueueNums && a.writeQueueNums === b.writeQueueNums && a.perm === b.perm && a.topicSysFlag === b.topicSysFlag

export const sameVersion = (a: DataVersion | undefined, b: DataVersion | undefined): boolean =>
  a !== undefined && b !== undefined && a.stateVersion === b.stateVersion && a.timestamp === b.timestamp && a.counter === b.counter

const lowestId = (broker: BrokerData): number => Math.min(...Object.keys(broker.brokerAddrs).map(Number))

/** While the master is away and its queues are read-only, the lowest replica is shown under the master's id. */
function withActingMaster(broker: BrokerData, queue: QueueData | undefined): BrokerData {
  if (!broker.enableActingMaster || queue === undefined || (queue.perm & PERM_WRITE) !== 0) return broker
  if (broker.brokerAddrs[MASTER_ID] !== undefined) return broker
  const lowest = lowestId(broker)
  const { [lowest]: acting, ...others } = broker.brokerAddrs
  return acting === undefined ? broker : { ...broker, brokerAddrs: { [MASTER_ID]: acting, ...others } }
}
