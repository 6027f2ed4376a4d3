import { createRemotingClient, startRemotingServer } from '@skylarkmq/remoting'
import { createUniqueIds, hostToBytes } from '@skylarkmq/remoting/protocol'
import type { Figure, Runtime } from '@skylarkmq/runtime'
import { importApacheConfig, memoryTimerIndex, openMessageStore, openSqliteMetadata, openSqliteTimerIndex } from '@skylarkmq/store'
import type { MessageStore, MetadataStore, TimerIndex } from '@skylarkmq/store'
import { BROKER_CONFIG } from './config.ts'
import type { BrokerConfig, Settings } from './config.ts'
import { parseDelayLevels } from './delay/delay-levels.ts'
import { ScheduleService } from './delay/schedule-service.ts'
import { DeliveryJournal } from './explain/delivery-journal.ts'
import { makeGuards } from './guard/guards.ts'
import { ConsumerGroups } from './groups/consumer-groups.ts'
import { ForbiddenTopics } from './groups/forbidden-topics.ts'
import { GroupConfigs } from './groups/group-configs.ts'
import { ProducerGroups } from './groups/producer-groups.ts'
import { QueueLocks } from './groups/queue-locks.ts'
import { Compensations, FilterCache } from './groups/subscriptions.ts'
import { HOUSEKEEPING_MS, forgetConnection, keepHouse } from './housekeeping.ts'
import { ConsumerOffsets } from './offsets/consumer-offsets.ts'
import { StalePositions } from './offsets/stale-positions.ts'
import { brokerFigures } from './operate/figures.ts'
import { Counters, SAMPLE_MS } from './operate/counters.ts'
import { MatchingLag } from './operate/matching-lag.ts'
import { ExpiryHurry } from './operate/maintenance.ts'
import { retentionHours, storeOptions } from './store-options.ts'
import { HeldPulls } from './pull/held-pulls.ts'
import { Registration, parseNamesrvAddr } from './registration.ts'
import { PopService } from './pop/pop-service.ts'
import { TopicRoutes } from './pop/topic-routes.ts'
import { KnownTopics } from './processors/known-topics.ts'
import { sendBatchFastPath } from './processors/send-batch-fast-path.ts'
import { sendFastPath } from './processors/send-fast-path.ts'
import { SendSlots } from './processors/send-slots.ts'
import { brokerRoutes, makeLanes } from './routes.ts'
import type { BrokerParts } from './routes.ts'
import { Throughput } from './throughput.ts'
import { TimerService } from './timer/timer-service.ts'
import { followCompaction } from './topics/follow-compaction.ts'
import { createOnDemand } from './topics/on-demand.ts'
import { addSystemTopics } from './topics/system-topics.ts'
import { TopicConfigs } from './topics/topic-configs.ts'
import { TransactionService } from './transaction/transaction-service.ts'

export interface Broker {
  /** Where it listens. */
  readonly host: string
  readonly port: number
  /** What clients are told to connect to: `host:port`. */
  readonly address: string
  readonly store: MessageStore
  /** What a monitor reads, computed now; what takes long is as of some seconds ago. */
  figures(): Promise<Iterable<Figure>>
  /** Why it should get no traffic now; empty when it is ready. */
  unready(): readonly string[]
  /**
   * For development: makes a topic whose route somebody asks for; resolves when the NameServers know it. False when the name is none or
   * the system's, or autoCreateTopicEnable is off.
   */
  createTopicOnDemand(topic: string): Promise<boolean>
  /** Stops in order: unregisters, answers what is under way, saves, closes the store. */
  close(): Promise<void>
}

export interface BrokerOptions {
  /** Keeps settings that updateBrokerConfig changed, before they act; what it throws refuses the change. */
  readonly saveSettings?: (changes: ReadonlyMap<string, string>) => void
  /** Where small state is kept; without it a SQLite file in storePathRootDir. It is closed with the broker. */
  readonly metadata?: MetadataStore
  /** Where the list of scheduled messages is kept; without it a SQLite file too, or memory when `metadata` is given. Closed likewise. */
  readonly timerIndex?: TimerIndex
}

/** The queues that clients ask for when they create a topic by a send. */
const CLIENT_QUEUES = 4

/** Starts a broker. When the promise resolves it accepts requests, and the NameServers that could be reached know of it. */
export async function startBroker(runtime: Runtime, given: Partial<BrokerConfig> = {}, options: BrokerOptions = {}): Promise<Broker> {
  const settings: Settings = { current: Object.freeze(withNames({ ...BROKER_CONFIG.defaults, ...given })) }
  const config = settings.current
  const delayLevelsMs = parseDelayLevels(config.messageDelayLevel)
  const expiryHurry = new ExpiryHurry(runtime.clock)
  const store = await openMessageStore(runtime, storeOptions(settings, delayLevelsMs, expiryHurry))
  const broker = await withStore(store, async () => {
    const metadata = options.metadata ?? (await openSqliteMetadata(runtime, `${config.storePathRootDir}/skylark/metadata.db`))
    importApacheConfig(runtime, config.storePathRootDir, metadata)
    const timerIndex = await openTimerIndex(runtime, config, options)
    return new RunningBroker(
      runtime,
      settings,
      { store, metadata, timerIndex, expiryHurry, saveSettings: options.saveSettings },
      delayLevelsMs,
    )
  })
  try {
    await broker.start()
  } catch (error) {
    await broker.close()
    throw error
  }
  return broker
}

async function openTimerIndex(runtime: Runtime, config: BrokerConfig, { metadata, timerIndex }: BrokerOptions): Promise<TimerIndex> {
  if (timerIndex !== undefined) return timerIndex
  return metadata === undefined ? openSqliteTimerIndex(runtime, `${config.storePathRootDir}/skylark/timers.db`) : memoryTimerIndex()
}

/** Whatever fails, the store's folder is not left locked. */
async function withStore<T>(store: MessageStore, task: () => Promise<T>): Promise<T> {
  try {
    return await task()
  } catch (error) {
    await store.close()
    throw error
  }
}

/** The executable fills in the host's name and address; a broker inside a test needs neither. */
function withNames(config: BrokerConfig): BrokerConfig {
  const isAnyAddress = config.bindAddress === '0.0.0.0' || config.bindAddress === '::'
  return {
    ...config,
    brokerName: config.brokerName || 'broker-a',
    brokerIP1: config.brokerIP1 || (isAnyAddress ? '127.0.0.1' : config.bindAddress),
  }
}

/** As often as the metadata are flushed: a group that says sooner where it is gets some messages again when the next crash comes. */
const SAVE_STALE_MS = 1000

/** What outlives the process. */
interface Kept {
  readonly store: MessageStore
  readonly metadata: MetadataStore
  readonly timerIndex: TimerIndex
  readonly expiryHurry: ExpiryHurry
  readonly saveSettings: BrokerOptions['saveSettings'] | undefined
}

/** Wiring only: which part gets which, in what order they start and stop. */
class RunningBroker implements Broker {
  readonly store: MessageStore
  readonly #runtime: Runtime
  readonly #settings: Settings
  readonly #metadata: MetadataStore
  readonly #parts: BrokerParts & { readonly matchingLag: MatchingLag }
  readonly #stops: (() => void | Promise<void>)[] = []
  #registration: Registration | undefined
  #closed: Promise<void> | undefined
  host = ''
  port = 0

  constructor(runtime: Runtime, settings: Settings, kept: Kept, delayLevelsMs: readonly number[]) {
    const { clock, disk, random, log } = runtime
    const { store, metadata, timerIndex, expiryHurry, saveSettings } = kept
    const config = settings.current
    this.#runtime = runtime
    this.#settings = settings
    this.#metadata = metadata
    this.store = store
    const groupConfigs = new GroupConfigs(metadata, clock, settings)
    const isNotified = (group: string): boolean =>
      settings.current.notifyConsumerIdsChangedEnable && (groupConfigs.get(group)?.notifyConsumerIdsChangedEnable ?? true)
    const isSync = config.flushDiskType === 'SYNC_FLUSH'
    const consumers = new ConsumerGroups(clock, isNotified)
    const topics = new TopicConfigs(metadata, clock)
    const offsets = new ConsumerOffsets(metadata)
    const stalePositions = new StalePositions({ clock, log, metadata, offsets, store })
    const throughput = new Throughput(store)
    const parts = {
      ...{ store, metadata, clock, disk, random, log, settings, delayLevelsMs, expiryHurry, saveSettings, offsets, stalePositions },
      brokerName: config.brokerName,
      brokerAddr: () => this.address,
      startedAt: clock.now(),
      // Its port is filled in once it is known: listenPort may be 0.
      storeHost: new Uint8Array(hostToBytes(config.brokerIP1, config.listenPort)),
      uniqueId: createUniqueIds({ clock, random, host: config.brokerIP1 }),
      topics,
      groupConfigs,
      forbidden: new ForbiddenTopics(metadata),
      groups: groupConfigs,
      consumers,
      journal: new DeliveryJournal(clock, consumers),
      producers: new ProducerGroups(clock),
      compensations: new Compensations(clock),
      throughput,
      counters: new Counters(store, offsets, clock),
      filters: new FilterCache(),
      heldPulls: new HeldPulls(clock),
      locks: new QueueLocks(clock),
      schedule: new ScheduleService({ store, metadata, clock, log, delayLevelsMs, topics, isSync }),
      timers: new TimerService({ store, timerIndex, clock, log, topics, settings, throughput }),
    }
    const services = { transactions: new TransactionService(parts), pop: new PopService(parts), topicRoutes: new TopicRoutes(parts) }
    this.#parts = { ...parts, ...makeGuards(parts), ...services, matchingLag: new MatchingLag(parts) }
    addSystemTopics(topics, config, config.brokerName, delayLevelsMs.length)
    const recovered = topics.recover(store.queues(), CLIENT_QUEUES)
    followCompaction(topics, store)
    const endOf = (topic: string, queueId: number): number => store.maxOffset(topic, queueId)
    const clamped = offsets.clampTo(endOf)
    for (const each of clamped) {
      log.warn('a committed offset was behind the end of its queue, of which a crash has taken messages; the group goes on at the end', {
        ...each,
      })
    }
    const clampedPins = this.#parts.startPins.clampTo(endOf)
    for (const each of clampedPins) {
      log.warn('a new group was to begin behind the end of a queue, of which a crash has taken messages; it begins at the end', { ...each })
    }
    if (clamped.length + clampedPins.length > 0) {
      // Before messages take the lost places: after another crash nobody could see any more that the offset was behind the end.
      offsets.save()
      metadata.flush()
    }
    store.keepTopicsFor((topic) => retentionHours(topics.get(topic)))
    if (recovered > 0) log.warn('topics whose settings a crash had lost were made again from their messages', { count: recovered })
  }

  get address(): string {
    const { brokerIP1 } = this.#settings.current
    return `${brokerIP1.includes(':') ? `[${brokerIP1}]` : brokerIP1}:${this.port}`
  }

  async start(): Promise<void> {
    const { clock } = this.#runtime
    const parts = this.#parts
    const { offsets, stalePositions, heldPulls, schedule, transactions } = parts
    await transactions.open()
    await parts.pop.open()
    // What the recovery of offsets has brought down must hold before messages take the lost places.
    await this.#metadata.sync()
    await this.#listen()
    this.store.onArrival((topic, queueId, maxOffset, tagsCode) => heldPulls.arrived(topic, queueId, maxOffset, tagsCode))
    this.#stops.push(() => heldPulls.close())
    schedule.start()
    this.#stops.push(() => schedule.close())
    parts.timers.start()
    this.#stops.push(() => parts.timers.close())
    parts.pop.start()
    this.#stops.push(() => parts.pop.close())
    transactions.start()
    this.#stops.push(() => transactions.close())
    parts.throughput.sample(clock.monotonic())
    const timers = [
      clock.every(HOUSEKEEPING_MS, () => keepHouse(parts)),
      clock.every(SAMPLE_MS, () => parts.counters.sample()),
      clock.every(this.#settings.current.flushConsumerOffsetInterval, () => offsets.save()),
      clock.every(SAVE_STALE_MS, () => stalePositions.save()),
    ]
    this.#stops.push(() => timers.forEach((timer) => timer.cancel()))
    this.#stops.push(() => parts.stalledQueues.close())
    await this.#register()
    const { brokerName } = parts
    this.#runtime.log.info('the broker accepts messages', { broker: brokerName, address: this.address, port: this.port })
  }

  async #listen(): Promise<void> {
    const config = this.#settings.current
    const known = new KnownTopics(this.#parts.topics)
    const slots = new SendSlots(this.store.kernel.slots)
    const server = await startRemotingServer(this.#runtime, {
      name: `the broker ${config.brokerName}`,
      host: config.bindAddress,
      port: config.listenPort,
      routes: brokerRoutes(this.#parts, makeLanes(config)),
      runPath: sendFastPath(this.#parts, known, slots),
      fastPath: sendBatchFastPath(this.#parts, known, slots),
      memory: this.store.kernel,
      onOpen: ({ remoteHost }) => this.#parts.reachability.connected(remoteHost),
      onClose: (connection) => forgetConnection(this.#parts, connection),
    })
    this.#stops.push(() => server.close())
    server.atTurnEnd({
      before: () => {
        this.#parts.pop.flushTurn()
        this.store.beginCommit()
      },
      after: () => this.store.finishCommit(),
    })
    this.host = server.host
    this.port = server.port
    this.#settings.current = Object.freeze({ ...config, listenPort: server.port })
    this.#parts.storeHost.set(hostToBytes(config.brokerIP1, server.port))
  }

  async #register(): Promise<void> {
    const { clock, log } = this.#runtime
    const { topics, brokerName } = this.#parts
    const config = this.#settings.current
    const client = createRemotingClient({ runtime: this.#runtime, onDisconnect: (address) => this.#registration?.disconnected(address) })
    this.#stops.push(() => client.close())
    const haServerAddr = this.address.replace(/\d+$/, String(this.port + 1))
    const identity = {
      clusterName: config.brokerClusterName,
      brokerName,
      brokerId: config.brokerId,
      brokerAddr: this.address,
      haServerAddr,
    }
    this.#parts.topicRoutes.connect(client)
    const registration = new Registration({ client, topics, settings: this.#settings, clock, log, identity })
    this.#registration = registration
    this.#stops.push(() => registration.close())
    await registration.start()
    this.#stops.push(() => this.#parts.reachability.close())
    this.#parts.reachability.start(client, this.address, parseNamesrvAddr(config.namesrvAddr))
  }

  async figures(): Promise<Iterable<Figure>> {
    await this.#parts.matchingLag.refresh()
    return brokerFigures(this.#parts)
  }

  unready(): readonly string[] {
    const { refusal } = this.store
    return [...(refusal === undefined ? [] : [refusal]), ...(this.#registration?.unknownAt() ?? ['it has not registered yet'])]
  }

  async createTopicOnDemand(topic: string): Promise<boolean> {
    if (!createOnDemand(this.#parts.topics, this.#settings, topic)) return false
    await this.#registration?.settled()
    return true
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    for (const stop of this.#stops.reverse()) await stop()
    this.#parts.offsets.save()
    this.#parts.stalePositions.save()
    await this.store.close()
    this.#parts.schedule.finish()
    this.#parts.timers.finish()
    this.#metadata.flush()
    this.#metadata.close()
  }
}
