import { startBroker } from '@skylarkmq/broker'
import type { Broker, BrokerConfig } from '@skylarkmq/broker'
import { createClient } from '@skylarkmq/client'
import type { AllocationStrategy, Client, Outcome } from '@skylarkmq/client'
import { startNamesrv } from '@skylarkmq/namesrv'
import { PROPERTY } from '@skylarkmq/remoting/protocol'
import type { StoredMessage } from '@skylarkmq/remoting/protocol'
import type { Disk, Runtime } from '@skylarkmq/runtime'
import { World } from '@skylarkmq/runtime/sim'
import type { SimNode } from '@skylarkmq/runtime/sim'
import type { StoreOptions, TimerIndex } from '@skylarkmq/store'
import { storedOf } from './evidence.ts'
import { History } from './history.ts'
import type { LostRecord } from './history.ts'
import { changedRecords, logFiles, recordWith } from './lost-records.ts'
import { COMMIT_LOG, STORE_PATH } from './paths.ts'
import { SimMetadata } from './sim-metadata.ts'
import { SimTimerIndex } from './sim-timer-index.ts'
import { trappedDisk } from './trapped-disk.ts'

export interface ClusterPlan {
  readonly seed: number
  readonly namesrvs: number
  readonly brokers: number
  readonly flush: 'sync' | 'async'
  readonly segmentBytes: number
  /** Above so many bytes the log loses its oldest files. */
  readonly retentionBytes?: number
  readonly plants?: Plants
}

/** Faults in the servers themselves, with which tests show that checkers see them. */
export interface Plants {
  /** The disk as the broker gets it; `life` counts the broker's starts. */
  readonly disk?: (disk: Disk, life: number) => Disk
  /** Changes a metadata row before it is kept. */
  readonly metadata?: (table: string, key: string, value: string) => string
  /** A message's body on its way to the handler. `undefined`: it counts as consumed, and no handler has seen it. */
  readonly received?: (body: Uint8Array, queueOffset: number) => Uint8Array | undefined
  /** The orderly group consumes concurrently. */
  readonly forgetsOrder?: boolean
  /** How members share the queues. */
  readonly allocation?: AllocationStrategy
  /** The list of scheduled messages as the broker gets it. */
  readonly timerIndex?: (index: TimerIndex) => TimerIndex
  /** What the application says of a transaction, instead of how it has ended. */
  readonly tells?: (outcome: 'commit' | 'rollback') => Outcome
  /** Whoever has done a job believes to have said so. */
  readonly forgetsAcks?: boolean
  /** All prices are of one article. */
  readonly oneArticle?: boolean
  /** The limit of the log that the broker is told, instead of the plan's. */
  readonly toldRetentionBytes?: number
}

const DELAY_LEVELS = '1s 2s 3s 5s 10s 20s'
const DELAY_LEVELS_MS = [1000, 2000, 3000, 5000, 10_000, 20_000]
/** How long the deletion of a key stays visible. */
export const TOMBSTONES_MS = 20_000
const NAMESRV_PORT = 9876
export const BROKER_PORT = 10911
/** Whoever looks after the servers starts one again that does not come up. */
const RESTART_MS = 2000
const STARTS_MAX = 200

/** One broker's computer. `broker` is undefined while none serves. */
export interface BrokerNode {
  readonly name: string
  readonly metadata: SimMetadata
  readonly timers: SimTimerIndex
  broker: Broker | undefined
  isUp: boolean
  life: number
  failedStarts: number
  lastError: string | undefined
  /** Up to where its log was synced, as it was told when it died last. */
  syncedTo: number
  /** Beginnings and ends of writes until the trap springs; negative: it is not set. */
  momentsLeft: number
  /** What the trap does, once. */
  trap: 'power-loss' | 'kill'
}

/** NameServers, brokers and clients on one simulated world. */
export class Cluster {
  readonly world: World
  readonly history: History
  readonly plan: ClusterPlan
  readonly namesrvs: readonly string[]
  readonly brokers: ReadonlyMap<string, BrokerNode>
  readonly #deadNamesrvs = new Set<string>()

  constructor(plan: ClusterPlan) {
    this.plan = plan
    this.world = new World(plan.seed)
    this.history = new History(() => this.world.nowMs)
    this.namesrvs = Array.from({ length: plan.namesrvs }, (_, i) => `namesrv-${i + 1}`)
    const names = Array.from({ length: plan.brokers }, (_, i) => `broker-${String.fromCharCode(97 + i)}`)
    this.brokers = new Map(names.map((name) => [name, newBrokerNode(name)]))
  }

  get namesrvAddr(): string {
    return this.namesrvs.map((name) => `${this.world.node(name).host}:${NAMESRV_PORT}`).join(';')
  }

  get isWhole(): boolean {
    return this.#deadNamesrvs.size === 0 && [...this.brokers.values()].every(({ broker }) => broker !== undefined)
  }

  async start(): Promise<void> {
    for (const name of this.namesrvs) await this.world.until(this.#namesrv(name))
    for (const name of this.brokers.keys()) this.startBroker(name)
    await this.world.when(() => this.isWhole)
  }

  killNamesrv(name: string): void {
    if (this.#deadNamesrvs.has(name)) return
    this.#deadNamesrvs.add(name)
    this.world.kill(name)
    this.history.fault('kill', name)
  }

  reviveNamesrvs(): void {
    for (const name of this.#deadNamesrvs) {
      this.#deadNamesrvs.delete(name)
      void this.#namesrv(name)
      this.history.fault('start', name)
    }
  }

  async #namesrv(name: string): Promise<void> {
    await startNamesrv(this.world.node(name), { listenPort: NAMESRV_PORT, kvConfigPath: '/kv.json', configStorePath: '/conf.properties' })
  }

  /** Begins to start a broker whose process is gone. It is up when `broker` is set; a start that fails is tried again. */
  startBroker(name: string): void {
    const target = this.#broker(name)
    if (target.isUp) return
    target.isUp = true
    target.life++
    const { life } = target
    const node = this.world.node(name)
    this.history.fault('start', name)
    const isAlive = (): boolean => target.isUp && target.life === life
    this.#open(target, node, life).then(
      (broker) => {
        if (!isAlive()) return
        target.broker = broker
        this.history.serves(name, broker.store.recovery.text)
      },
      (error: unknown) => {
        if (!isAlive()) return
        target.lastError = error instanceof Error ? error.message : String(error)
        target.failedStarts++
        this.history.note(`${name} does not start: ${target.lastError}`, [name])
        target.isUp = false
        target.metadata.died()
        this.world.kill(name)
        if (target.failedStarts > STARTS_MAX) return
        // A watchdog on a computer of its own.
        this.world.node('watchdog').clock.after(RESTART_MS, () => this.startBroker(name))
      },
    )
  }

  #open(target: BrokerNode, node: SimNode, life: number): Promise<Broker> {
    const { name, metadata } = target
    for (const [key, value] of metadata.durable('offsets')) this.#noteOffsets(name, life, key, value, true)
    const plantRow = this.plan.plants?.metadata
    const rows = metadata.open(node.clock, (table, key, value) => {
      if (table === 'offsets') this.#noteOffsets(name, life, key, value, false)
    })
    const planted = plantRow === undefined ? rows : ({ ...rows, set: (t, k, v) => rows.set(t, k, plantRow(t, k, v)) } satisfies typeof rows)
    return startBroker(this.#runtimeOf(target, node), this.#configOf(name, node), {
      metadata: planted,
      timerIndex: this.plan.plants?.timerIndex?.(target.timers.open()) ?? target.timers.open(),
    })
  }

  #configOf(name: string, node: SimNode): Partial<BrokerConfig> {
    return {
      brokerIP1: node.host,
      brokerName: name,
      listenPort: BROKER_PORT,
      namesrvAddr: this.namesrvAddr,
      storePathRootDir: STORE_PATH,
      mappedFileSizeCommitLog: this.plan.segmentBytes,
      flushDiskType: this.plan.flush === 'sync' ? 'SYNC_FLUSH' : 'ASYNC_FLUSH',
      messageDelayLevel: DELAY_LEVELS,
      transactionTimeOut: 3000,
      transactionCheckInterval: 4000,
      transactionCheckMax: 1000,
      compactionScheduleInternal: 3000,
      compactionTombstoneRetention: TOMBSTONES_MS,
      retentionBytes: this.plan.plants?.toldRetentionBytes ?? this.plan.retentionBytes ?? 0,
    }
  }

  /** As the broker opens its store: for a look at it while no broker runs. */
  get storeOptions(): StoreOptions {
    return {
      rootDirectory: STORE_PATH,
      segmentBytes: this.plan.segmentBytes,
      flush: this.plan.flush,
      maxMessageBytes: 4 * 1024 * 1024,
      delayLevelsMs: DELAY_LEVELS_MS,
      fileReservedHours: 72,
      deleteWhenHours: [4],
    }
  }

  /** The node's runtime, on a disk where a crash may come at any write. */
  #runtimeOf(target: BrokerNode, node: SimNode): Runtime {
    const { life } = target
    const disk = trappedDisk(this.plan.plants?.disk?.(node.disk, life) ?? node.disk, {
      onWrite: (path, moment) => {
        if (!target.isUp || target.life !== life) throw new Error(`EIO: ${target.name} is dead`)
        if (target.momentsLeft < 0 || target.momentsLeft-- > 0) return
        this.#die(target, target.trap, `${moment} a write to ${path}`)
        throw new Error(`EIO: ${target.name} has died`)
      },
    })
    const { clock, network, random, log } = node
    return { clock, network, random, log, disk }
  }

  /** The broker dies at once. */
  endBroker(name: string, how: 'power-loss' | 'kill'): void {
    const target = this.#broker(name)
    if (target.isUp) this.#die(target, how, '')
  }

  /** The broker dies before or after one of its next writes. */
  endBrokerAtMoment(name: string, how: 'power-loss' | 'kill', moments: number): void {
    const target = this.#broker(name)
    target.trap = how
    target.momentsLeft = moments
  }

  #die(target: BrokerNode, how: 'power-loss' | 'kill', detail: string): void {
    target.syncedTo = target.broker?.store.flushedOffset ?? target.syncedTo
    target.isUp = false
    target.broker = undefined
    target.momentsLeft = -1
    target.metadata.died()
    this.history.fault(how, target.name, detail)
    if (how === 'kill') {
      this.world.kill(target.name)
      return
    }
    const disk = this.world.diskOf(target.name)
    const before = logFiles(disk)
    this.world.crash(target.name)
    if (target.life % 2 === 0) target.timers.lose()
    for (const message of changedRecords(before, logFiles(disk))) this.#loses(target, message, 'power-loss')
  }

  /** Rot, in a log that nobody uses now. */
  flipBit(name: string, file: string, at: number): void {
    const disk = this.world.diskOf(name)
    const position = Number(file) + at
    const hit = recordWith(logFiles(disk), position)
    disk.flipBit(`${COMMIT_LOG}/${file}`, at)
    this.history.fault('bit-flip', name, String(position))
    if (hit !== undefined) this.#loses(this.#broker(name), hit, 'bit-flip')
  }

  #loses({ name, syncedTo }: BrokerNode, message: StoredMessage, cause: LostRecord['cause']): void {
    const { topic, queueId, queueOffset, id, retryOf } = storedOf(name, message.topic, message)
    const position = message.physicalOffset
    const recalls = message.properties.get(PROPERTY.TIMER_DEL_UNIQKEY)
    const wasSynced = position < syncedTo
    this.history.loses({ cause, brokerName: name, topic, queueId, queueOffset, position, id, retryOf, recalls, wasSynced })
  }

  /** Stops it as an operator would. */
  async closeBroker(name: string): Promise<void> {
    const target = this.#broker(name)
    const { broker } = target
    if (broker === undefined) return
    await this.world.until(broker.close())
    target.isUp = false
    target.broker = undefined
    target.metadata.died()
  }

  client(name: string): Promise<Client> {
    const node = this.world.node(name)
    return createClient({ namesrvAddr: this.namesrvAddr, clientIp: node.host, instanceName: name, runtime: node })
  }

  #broker(name: string): BrokerNode {
    return this.brokers.get(name) as BrokerNode
  }

  #noteOffsets(brokerName: string, life: number, key: string, value: string, isLoaded: boolean): void {
    const [topic, group] = key.split('@') as [string, string]
    for (const [queue, offset] of Object.entries(JSON.parse(value) as Record<string, number>)) {
      this.history.savedOffset({ brokerName, life, group, topic, queueId: Number(queue), offset, isLoaded })
    }
  }
}

const newBrokerNode = (name: string): BrokerNode => ({
  name,
  metadata: new SimMetadata(),
  timers: new SimTimerIndex(),
  broker: undefined,
  isUp: false,
  life: 0,
  failedStarts: 0,
  lastError: undefined,
  syncedTo: 0,
  momentsLeft: -1,
  trap: 'kill',
})
