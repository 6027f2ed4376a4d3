import { createRemotingClient } from '@skylarkmq/remoting'
import type { Answer, ClientHandler, RemotingClient } from '@skylarkmq/remoting'
import {
  HeartBeat,
  PULL_FLAG,
  PullMessage,
  SendMessageV2,
  decodeRecords,
  encodeHeartbeat,
  formatProperties,
} from '@skylarkmq/remoting/protocol'
import type { AnyCommand, ConsumerData, RequestOf, StoredMessage, SubscriptionData } from '@skylarkmq/remoting/protocol'
import { simRuntime } from '@skylarkmq/runtime/sim'
import type { SimNode, World } from '@skylarkmq/runtime/sim'
import type { MetadataStore } from '@skylarkmq/store'
import { startBroker } from '../src/index.ts'
import type { Broker, BrokerConfig, BrokerOptions } from '../src/index.ts'

/** Small state that outlives a broker, as a file would. */
export function memoryTables(): MetadataStore {
  const tables = new Map<string, Map<string, string>>()
  const table = (name: string): Map<string, string> => {
    let rows = tables.get(name)
    if (rows === undefined) tables.set(name, (rows = new Map()))
    return rows
  }
  return {
    entries: (name) => [...table(name)],
    get: (name, key) => table(name).get(key),
    set: (name, key, value) => void table(name).set(key, value),
    delete: (name, key) => void table(name).delete(key),
    flush() {},
    sync: () => Promise.resolve(),
    close() {},
  }
}

/** A broker on a simulated computer, and clients on others. */
export interface Scene {
  readonly world: World
  readonly broker: Broker
  readonly metadata: MetadataStore
  client(name: string, handlers?: readonly ClientHandler[]): TestClient
  /** Stops the broker and starts it anew on the same disk. */
  restart(config?: Partial<BrokerConfig>): Promise<void>
  /** Starts a broker where one was killed. */
  revive(): Promise<void>
  close(): Promise<void>
}

/** `kept` gives what each life of the broker finds beside its disk. */
export async function startScene(config: Partial<BrokerConfig> = {}, kept: () => Partial<BrokerOptions> = () => ({})): Promise<Scene> {
  const { world } = simRuntime(7)
  const metadata = memoryTables()
  const open = (more: Partial<BrokerConfig>): Promise<Broker> => {
    const node = world.node('broker')
    return world.until(
      startBroker(
        node,
        {
          brokerIP1: node.host,
          brokerName: 'broker-a',
          storePathRootDir: '/store',
          mappedFileSizeCommitLog: 1024 * 1024,
          messageDelayLevel: '1s 5s 10s',
          ...more,
        },
        { metadata, ...kept() },
      ),
    )
  }
  const scene = {
    world,
    metadata,
    broker: await open(config),
    client: (name: string, handlers: readonly ClientHandler[] = []) =>
      new TestClient(world, world.node(name), scene.broker.address, handlers),
    async restart(more: Partial<BrokerConfig> = {}) {
      await world.until(scene.broker.close())
      scene.broker = await open({ ...config, ...more })
    },
    async revive() {
      scene.broker = await open(config)
    },
    close: () => world.until(scene.broker.close()),
  }
  return scene
}

const SEND_DEFAULTS = {
  producerGroup: 'pg',
  defaultTopic: 'TBW102',
  defaultTopicQueueNums: 4,
  queueId: 0,
  sysFlag: 0,
  bornTimestamp: 1_700_000_000_000,
  flag: 0,
}

/** A client that speaks single requests. */
export class TestClient {
  readonly remoting: RemotingClient
  readonly address: string
  readonly #world: World

  constructor(world: World, runtime: SimNode, address: string, handlers: readonly ClientHandler[]) {
    this.#world = world
    this.address = address
    this.remoting = createRemotingClient({ runtime, handlers })
  }

  /** Under way: for requests that are held. */
  ask<C extends AnyCommand>(command: C, header: RequestOf<C>, body?: Uint8Array): Promise<Answer<C>> {
    return this.remoting.invoke(this.address, command, header, { timeoutMs: 60_000, body })
  }

  invoke<C extends AnyCommand>(command: C, header: RequestOf<C>, body?: Uint8Array): Promise<Answer<C>> {
    return this.#world.until(this.ask(command, header, body))
  }

  send(
    topic: string,
    body: string | Uint8Array,
    header: Partial<RequestOf<typeof SendMessageV2>> = {},
    properties: Record<string, string> = {},
  ) {
    const bytes = typeof body === 'string' ? Buffer.from(body) : body
    const text = formatProperties(Object.entries(properties))
    return this.invoke(SendMessageV2, { ...SEND_DEFAULTS, topic, properties: text, ...header }, bytes)
  }

  askPull(topic: string, header: Partial<RequestOf<typeof PullMessage>> = {}) {
    return this.ask(PullMessage, {
      consumerGroup: 'cg',
      topic,
      queueId: 0,
      queueOffset: 0,
      maxMsgNums: 32,
      sysFlag: PULL_FLAG.SUBSCRIPTION,
      commitOffset: 0,
      suspendTimeoutMillis: 15_000,
      subVersion: 0n,
      subscription: '*',
      ...header,
    })
  }

  pull(topic: string, header: Partial<RequestOf<typeof PullMessage>> = {}) {
    return this.#world.until(this.askPull(topic, header))
  }

  heartbeat(clientID: string, consumers: readonly ConsumerData[], producers: readonly string[] = []) {
    const body = encodeHeartbeat({
      clientID,
      consumerDataSet: consumers,
      producerDataSet: producers.map((groupName) => ({ groupName })),
      heartbeatFingerprint: 0,
      withoutSub: false,
    })
    return this.invoke(HeartBeat, {}, body)
  }
}

export const subscription = (topic: string, subString = '*', subVersion = 1n): SubscriptionData => ({
  topic,
  subString,
  subVersion,
  tagsSet: subString === '*' ? [] : subString.split('||').map((tag) => tag.trim()),
  codeSet: [],
  expressionType: 'TAG',
  classFilterMode: false,
})

export const consumer = (groupName: string, ...subscriptions: SubscriptionData[]): ConsumerData => ({
  groupName,
  consumeType: 'CONSUME_PASSIVELY',
  messageModel: 'CLUSTERING',
  consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
  subscriptionDataSet: subscriptions,
  unitMode: false,
})

export const messagesIn = (answer: { readonly body: Uint8Array }): StoredMessage[] => decodeRecords(answer.body)
export const textOf = (message: StoredMessage): string => Buffer.from(message.body).toString()
