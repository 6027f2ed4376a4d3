import type { Reply, Route, ServerConnection } from '@skylarkmq/remoting'
import type { ConsumerData, RequestOf, StoredMessage, TopicRouteData } from '@skylarkmq/remoting/protocol'
import type { SimRuntime } from '@skylarkmq/runtime/sim'
import type { ClientOptions } from '../../../src/core/types.ts'
import { route, startRemotingServer } from '@skylarkmq/remoting'
import {
  ConsumerSendMsgBack,
  decodeHeartbeat,
  decodeLockBatch,
  decodeRecord,
  dlqTopic,
  encodeConsumerIdList,
  encodeLockResult,
  encodeRecord,
  encodeTopicRoute,
  formatProperties,
  GetConsumerListByGroup,
  GetMaxOffset,
  GetMinOffset,
  GetRouteinfoByTopic,
  HeartBeat,
  hostToBytes,
  javaStringHash,
  LitePullMessage,
  LockBatchMq,
  NotifyConsumerIdsChanged,
  parseProperties,
  PROPERTY,
  PullMessage,
  QueryConsumerOffset,
  ResponseCode,
  groupOfRetryTopic,
  retryTopic,
  SearchOffsetByTimestamp,
  SendMessageV2,
  UnlockBatchMq,
  UnregisterClient,
  UpdateConsumerOffset,
} from '@skylarkmq/remoting/protocol'
import { simRuntime } from '@skylarkmq/runtime/sim'
import { Client } from '../../../src/client.ts'
import { createCore } from '../../../src/core/client-core.ts'

const LANE = { name: 'all', maxInFlight: 100_000 }
const DELAYS_S = [1, 5, 10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200]

export interface Put {
  readonly tags?: string
  readonly keys?: string
  readonly properties?: Record<string, string>
  readonly reconsumeTimes?: number
  readonly sysFlag?: number
}

interface Member {
  readonly clientId: string
  readonly data: ConsumerData
}

/**
 * A broker as small as a consumer can live with: queues in memory that outlive its process, long polling, groups with notices, offsets,
 * locks of 60 s, send-back with delay levels. It writes down what it is told, and `script` may answer in its place.
 */
export class SmallBroker {
  readonly name: string
  readonly sim: SimRuntime
  readonly address: string
  readonly topics = new Map<string, number>()
  readonly queues = new Map<string, Buffer[]>()
  readonly offsets = new Map<string, number>()
  readonly commits: { readonly key: string; readonly offset: number }[] = []
  readonly pulls: {
    readonly topic: string
    readonly queueId: number
    readonly offset: number
    readonly code: number
    readonly commit: number
  }[] = []
  readonly requests: string[] = []
  /** The first queue offset that still exists, by queue. */
  readonly minOffsets = new Map<string, number>()
  /** A reply instead of the broker's own. */
  script: (name: string, header: Record<string, unknown>) => Reply | undefined | Promise<Reply | undefined> = () => undefined
  /** Bodies that were handed back or sent to the retry topic: they wait for their delay. */
  readonly failed: string[] = []
  #members = new Map<ServerConnection, Map<string, Member>>()
  #locks = new Map<string, { clientId: string; untilMs: number }>()
  #arrival: (() => void)[] = []
  #log: Buffer[] = []

  constructor(sim: SimRuntime, name: string) {
    this.sim = sim
    this.name = name
    this.address = `${sim.world.node(name).host}:10911`
  }

  async start(): Promise<void> {
    this.#members = new Map()
    this.#locks = new Map()
    await startRemotingServer(this.sim.world.node(this.name), {
      name: this.name,
      port: 10911,
      routes: this.#routes(),
      onClose: (connection) => this.#left(connection),
    })
  }

  kill(): void {
    this.sim.world.kill(this.name)
  }

  put(topic: string, queueId: number, body: string | Uint8Array, options: Put = {}): number {
    const key = `${topic}:${queueId}`
    const queue = this.queues.get(key) ?? []
    this.queues.set(key, queue)
    const properties = {
      ...options.properties,
      ...(options.tags ? { TAGS: options.tags } : {}),
      ...(options.keys ? { KEYS: options.keys } : {}),
    }
    const [host] = this.address.split(':') as [string]
    const record = encodeRecord({
      topic,
      queueId,
      queueOffset: queue.length,
      physicalOffset: this.#log.length,
      flag: 0,
      sysFlag: options.sysFlag ?? 0,
      bornTimestamp: this.sim.clock.now(),
      bornHost: hostToBytes(host, 1),
      storeTimestamp: this.sim.clock.now(),
      storeHost: hostToBytes(host, 10911),
      reconsumeTimes: options.reconsumeTimes ?? 0,
      preparedTransactionOffset: 0,
      body: typeof body === 'string' ? Buffer.from(body) : body,
      properties: formatProperties(Object.entries(properties)),
    })
    queue.push(record)
    this.#log.push(record)
    for (const wake of this.#arrival.splice(0)) wake()
    return queue.length - 1
  }

  offset(group: string, topic: string, queueId: number): number | undefined {
    return this.offsets.get(`${group}@${topic}:${queueId}`)
  }

  bodies(topic: string, queueId = 0): string[] {
    return (this.queues.get(`${topic}:${queueId}`) ?? []).map((record) =>
      Buffer.from((decodeRecord(record, 0) as StoredMessage).body).toString(),
    )
  }

  members(group: string): string[] {
    return [...this.#members.values()].flatMap((groups) => groups.get(group)?.clientId ?? [])
  }

  /** Another holder for a queue's lock. */
  stealLock(group: string, topic: string, queueId: number, ms: number): void {
    this.#locks.set(`${group}@${topic}:${queueId}`, { clientId: 'thief', untilMs: this.sim.clock.monotonic() + ms })
  }

  lockHolder(group: string, topic: string, queueId: number): string | undefined {
    const lock = this.#locks.get(`${group}@${topic}:${queueId}`)
    return lock && lock.untilMs > this.sim.clock.monotonic() ? lock.clientId : undefined
  }

  /** A request of the broker to every connected member of the group. */
  get connections(): ServerConnection[] {
    return [...this.#members.keys()]
  }

  #notify(group: string): void {
    for (const [connection, groups] of this.#members) {
      if (groups.has(group)) connection.notify(NotifyConsumerIdsChanged, { consumerGroup: group })
    }
  }

  #left(connection: ServerConnection): void {
    const groups = this.#members.get(connection)
    this.#members.delete(connection)
    for (const group of groups?.keys() ?? []) this.#notify(group)
  }

  #own(
    name: string,
    process: (header: never, context: { body: Uint8Array; connection: ServerConnection }) => Reply | Promise<Reply | undefined>,
  ) {
    return async (header: unknown, context: { body: Uint8Array; connection: ServerConnection }) => {
      this.requests.push(name)
      return (await this.script(name, header as Record<string, unknown>)) ?? process(header as never, context)
    }
  }

  #routes(): Route[] {
    type Pull = {
      consumerGroup: string
      topic: string
      queueId: number
      queueOffset: number
      maxMsgNums: number
      sysFlag: number
      commitOffset: number
      suspendTimeoutMillis: number
      subscription?: string
    }
    const pull = (header: Pull, context: { connection: ServerConnection }) => this.#pull(header, context.connection)
    const handlers: [
      Parameters<typeof route>[0],
      string,
      (header: never, context: { body: Uint8Array; connection: ServerConnection }) => Reply | Promise<Reply | undefined>,
    ][] = [
      [HeartBeat, 'heartbeat', (_, { body, connection }) => this.#heartbeat(body, connection)],
      [
        UnregisterClient,
        'unregister',
        (header: { consumerGroup?: string }, { connection }) => {
          this.#members.get(connection)?.delete(header.consumerGroup ?? '')
          this.#notify(header.consumerGroup ?? '')
          return { code: 0 }
        },
      ],
      [
        GetConsumerListByGroup,
        'members',
        (header: { consumerGroup: string }) => {
          const ids = this.members(header.consumerGroup)
          return ids.length === 0 ? { code: 1, remark: 'no consumer for this group' } : { code: 0, body: encodeConsumerIdList(ids) }
        },
      ],
      [PullMessage, 'pull', pull],
      [LitePullMessage, 'lite-pull', pull],
      [
        QueryConsumerOffset,
        'query-offset',
        (header: { consumerGroup: string; topic: string; queueId: number }) => {
          const offset = this.offset(header.consumerGroup, header.topic, header.queueId)
          return offset === undefined ? { code: ResponseCode.QUERY_NOT_FOUND } : { code: 0, header: { offset } }
        },
      ],
      [
        UpdateConsumerOffset,
        'commit',
        (header: { consumerGroup: string; topic: string; queueId: number; commitOffset: number }) => {
          const key = `${header.consumerGroup}@${header.topic}:${header.queueId}`
          this.offsets.set(key, header.commitOffset)
          this.commits.push({ key, offset: header.commitOffset })
          return { code: 0 }
        },
      ],
      [GetMaxOffset, 'max', (header: { topic: string; queueId: number }) => ({ code: 0, header: { offset: this.#queue(header).length } })],
      [
        GetMinOffset,
        'min',
        (header: { topic: string; queueId: number }) => ({
          code: 0,
          header: { offset: this.minOffsets.get(`${header.topic}:${header.queueId}`) ?? 0 },
        }),
      ],
      [
        SearchOffsetByTimestamp,
        'search',
        (header: { topic: string; queueId: number; timestamp: number }) => {
          const records = this.#queue(header).map((record) => decodeRecord(record, 0) as StoredMessage)
          const found = records.findIndex((record) => record.storeTimestamp >= header.timestamp)
          return { code: 0, header: { offset: found < 0 ? records.length : found } }
        },
      ],
      [LockBatchMq, 'lock', (_, { body }) => this.#lock(body)],
      [
        UnlockBatchMq,
        'unlock',
        (_, { body }) => {
          const { consumerGroup, clientId, mqSet } = decodeLockBatch(body)
          for (const { topic, queueId } of mqSet) {
            const key = `${consumerGroup}@${topic}:${queueId}`
            if (this.#locks.get(key)?.clientId === clientId) this.#locks.delete(key)
          }
          return { code: 0 }
        },
      ],
      [ConsumerSendMsgBack, 'send-back', (header: never) => this.#sendBack(header)],
      [
        SendMessageV2,
        'send',
        (header: RequestOf<typeof SendMessageV2>, { body }) => {
          const properties = Object.fromEntries(parseProperties(header.properties ?? ''))
          const group = groupOfRetryTopic(header.topic)
          const isDead = group !== undefined && (header.reconsumeTimes ?? 0) > (header.maxReconsumeTimes ?? 16)
          const put = () =>
            this.put(isDead ? dlqTopic(group) : header.topic, isDead ? 0 : header.queueId, Buffer.from(body), {
              properties,
              reconsumeTimes: header.reconsumeTimes ?? 0,
              sysFlag: header.sysFlag,
            })
          const level = isDead ? 0 : Number(properties[PROPERTY.DELAY] ?? 0)
          this.failed.push(Buffer.from(body).toString())
          if (level > 0) this.sim.clock.after((DELAYS_S[level - 1] ?? 7200) * 1000, put)
          else put()
          return { code: 0, header: { msgId: 'sent', queueId: header.queueId, queueOffset: 0 } }
        },
      ],
    ]
    return handlers.map(([command, name, process]) => route(command, LANE, this.#own(name, process) as never))
  }

  #queue(header: { topic: string; queueId: number }): Buffer[] {
    return this.queues.get(`${header.topic}:${header.queueId}`) ?? []
  }

  #heartbeat(body: Uint8Array, connection: ServerConnection): Reply {
    const heartbeat = decodeHeartbeat(body)
    const groups = this.#members.get(connection) ?? new Map<string, Member>()
    this.#members.set(connection, groups)
    for (const data of heartbeat.consumerDataSet) {
      const isNew = !groups.has(data.groupName)
      groups.set(data.groupName, { clientId: heartbeat.clientID, data })
      if (data.messageModel === 'CLUSTERING') this.topics.set(retryTopic(data.groupName), 1)
      if (isNew) this.#notify(data.groupName)
    }
    return { code: 0 }
  }

  /** RocketMQ's rules: 0, 19 after holding, 20 for what is filtered, 21 outside the queue, 24 and 25 for unknown subscriptions. */
  async #pull(
    header: {
      consumerGroup: string
      topic: string
      queueId: number
      queueOffset: number
      maxMsgNums: number
      sysFlag: number
      commitOffset: number
      suspendTimeoutMillis: number
      subVersion?: bigint
      subscription?: string
    },
    connection: ServerConnection,
  ): Promise<Reply | undefined> {
    const subscription = this.#members
      .get(connection)
      ?.get(header.consumerGroup)
      ?.data.subscriptionDataSet.find(({ topic }) => topic === header.topic)
    const note = (code: number): number => {
      this.pulls.push({
        topic: header.topic,
        queueId: header.queueId,
        offset: header.queueOffset,
        code,
        commit: (header.sysFlag & 1) !== 0 ? header.commitOffset : -1,
      })
      return code
    }
    if ((header.sysFlag & 4) === 0) {
      if (!subscription) return { code: note(24), remark: "the consumer's subscription not exist" }
      if (subscription.subVersion < (header.subVersion ?? 0n)) return { code: note(25), remark: "the consumer's subscription not latest" }
    }
    if ((header.sysFlag & 1) !== 0) {
      const key = `${header.consumerGroup}@${header.topic}:${header.queueId}`
      this.offsets.set(key, header.commitOffset)
      this.commits.push({ key, offset: header.commitOffset })
    }
    const min = this.minOffsets.get(`${header.topic}:${header.queueId}`) ?? 0
    const deadline = this.sim.clock.monotonic() + header.suspendTimeoutMillis
    for (;;) {
      const queue = this.#queue(header)
      const places = { suggestWhichBrokerId: 0, minOffset: min, maxOffset: queue.length }
      if (header.queueOffset < min) return { code: note(21), header: { ...places, nextBeginOffset: min } }
      if (header.queueOffset > queue.length) return { code: note(21), header: { ...places, nextBeginOffset: queue.length } }
      const batch = queue.slice(header.queueOffset, header.queueOffset + header.maxMsgNums)
      if (batch.length > 0) {
        const matching = batch.filter((record) => {
          const tag = (decodeRecord(record, 0) as StoredMessage).properties.get('TAGS')
          return (
            !subscription || subscription.codeSet.length === 0 || subscription.codeSet.includes(tag === undefined ? 0 : javaStringHash(tag))
          )
        })
        const code = matching.length > 0 ? 0 : 20
        return { code: note(code), header: { ...places, nextBeginOffset: header.queueOffset + batch.length }, body: matching }
      }
      const restMs = deadline - this.sim.clock.monotonic()
      if ((header.sysFlag & 2) === 0 || restMs <= 0 || connection.isClosed) {
        return { code: note(19), header: { ...places, nextBeginOffset: header.queueOffset } }
      }
      await new Promise<void>((resolve) => {
        const timer = this.sim.clock.after(restMs, resolve)
        this.#arrival.push(() => {
          timer.cancel()
          resolve()
        })
      })
    }
  }

  #lock(body: Uint8Array): Reply {
    const { consumerGroup, clientId, mqSet } = decodeLockBatch(body)
    const now = this.sim.clock.monotonic()
    const granted = mqSet.filter(({ topic, queueId }) => {
      const key = `${consumerGroup}@${topic}:${queueId}`
      const lock = this.#locks.get(key)
      if (lock && lock.clientId !== clientId && lock.untilMs > now) return false
      this.#locks.set(key, { clientId, untilMs: now + 60_000 })
      return true
    })
    return { code: 0, body: encodeLockResult(granted) }
  }

  #sendBack(header: { offset: number; group: string; delayLevel: number; maxReconsumeTimes?: number }): Reply {
    const record = this.#log[header.offset]
    if (!record) return { code: 1, remark: `look message by offset failed, ${header.offset}` }
    const stored = decodeRecord(record, 0) as StoredMessage
    this.failed.push(Buffer.from(stored.body).toString())
    const isDead = header.delayLevel < 0 || stored.reconsumeTimes >= (header.maxReconsumeTimes ?? 16)
    const properties: Record<string, string> = Object.fromEntries(stored.properties)
    properties[PROPERTY.RETRY_TOPIC] ??= stored.topic
    const put = (topic: string) =>
      this.put(topic, 0, stored.body, { properties, reconsumeTimes: stored.reconsumeTimes + 1, sysFlag: stored.sysFlag })
    if (isDead) put(dlqTopic(header.group))
    else {
      const level = header.delayLevel === 0 ? 3 + stored.reconsumeTimes : header.delayLevel
      this.sim.clock.after((DELAYS_S[level - 1] ?? 7200) * 1000, () => put(retryTopic(header.group)))
    }
    return { code: 0 }
  }
}

export interface Story {
  readonly sim: SimRuntime
  readonly world: SimRuntime['world']
  readonly brokers: readonly SmallBroker[]
  readonly broker: SmallBroker
  /** A client on a computer of its own. */
  client(name: string, options?: Partial<ClientOptions>): Client
}

/** One NameServer and some brokers, all with the same topics. */
export async function story(options: { topics: Record<string, number>; brokers?: string[]; seed?: number }): Promise<Story> {
  const sim = simRuntime(options.seed ?? 7)
  const brokers = (options.brokers ?? ['broker-a']).map((name) => new SmallBroker(sim, name))
  for (const broker of brokers) {
    for (const [topic, queues] of Object.entries(options.topics)) broker.topics.set(topic, queues)
    await broker.start()
  }
  const lookUp = route(GetRouteinfoByTopic, LANE, ({ topic }) => {
    const serving = brokers.filter((broker) => broker.topics.has(topic))
    if (serving.length === 0)
      return { code: ResponseCode.TOPIC_NOT_EXIST, remark: `No topic route info in name server for the topic: ${topic}` }
    const found: TopicRouteData = {
      queueDatas: serving.map((broker) => {
        const queues = broker.topics.get(topic) ?? 0
        return { brokerName: broker.name, readQueueNums: queues, writeQueueNums: queues, perm: 6, topicSysFlag: 0 }
      }),
      brokerDatas: serving.map(({ name, address }) => ({
        cluster: 'c',
        brokerName: name,
        brokerAddrs: { '0': address },
        enableActingMaster: false,
      })),
      filterServerTable: {},
    }
    return { code: 0, body: Buffer.from(encodeTopicRoute(found, true)) }
  })
  await startRemotingServer(sim.world.node('namesrv'), { name: 'namesrv', port: 9876, routes: [lookUp] })
  return {
    sim,
    world: sim.world,
    brokers,
    broker: brokers[0] as SmallBroker,
    client: (name, clientOptions = {}) => {
      const node = sim.world.node(name)
      return new Client(
        createCore(node, {
          namesrvAddr: `${sim.world.node('namesrv').host}:9876`,
          clientIp: node.host,
          instanceName: name,
          ...clientOptions,
        }),
      )
    },
  }
}
