import type { Reply, Route, ServerConnection } from '@skylarkmq/remoting'
import type { HeartbeatData, RequestOf, ResponseOf, TopicRouteData } from '@skylarkmq/remoting/protocol'
import type { SimRuntime } from '@skylarkmq/runtime/sim'
import type { ClientOptions } from '@skylarkmq/client'
import { route, startRemotingServer } from '@skylarkmq/remoting'
import {
  GetRouteinfoByTopic,
  HeartBeat,
  ResponseCode,
  SendBatchMessage,
  SendMessageV2,
  UnregisterClient,
  decodeClientBatch,
  decodeHeartbeat,
  encodeTopicRoute,
  parseProperties,
} from '@skylarkmq/remoting/protocol'
import { simRuntime } from '@skylarkmq/runtime/sim'
import { RocketError } from '@skylarkmq/client'
import { expect } from 'vitest'
import { Client } from '../../src/client.ts'
import { createCore } from '../../src/core/client-core.ts'

export const LANE = { name: 'all', maxInFlight: 100_000 }

export interface Received {
  readonly at: number
  readonly header: RequestOf<typeof SendMessageV2>
  readonly body: Buffer
  readonly properties: Map<string, string>
  readonly isOneway: boolean
  readonly isBatch: boolean
}

type SendReply = Reply<ResponseOf<typeof SendMessageV2>>
export type Answers = (received: Received) => SendReply | 'silence' | undefined | Promise<SendReply | 'silence' | undefined>

/** A broker of the test: it stores nothing, writes down what it heard, and answers as `answers` says. */
export class FakeBroker {
  readonly name: string
  readonly address: string
  readonly received: Received[] = []
  readonly heartbeats: HeartbeatData[] = []
  heartbeatExt: Readonly<Record<string, string>> = {}
  readonly goodbyes: RequestOf<typeof UnregisterClient>[] = []
  readonly connections = new Set<ServerConnection>()
  /** Undefined: stored. */
  answers: Answers = () => undefined
  #offset = 0

  constructor(name: string, address: string) {
    this.name = name
    this.address = address
  }

  get bodies(): string[] {
    return this.received.map((received) => received.body.toString())
  }

  routes(now: () => number): Route[] {
    const receive = async (
      header: RequestOf<typeof SendMessageV2>,
      body: Uint8Array,
      isOneway: boolean,
      isBatch: boolean,
    ): Promise<SendReply | undefined> => {
      const received = {
        at: now(),
        header,
        body: Buffer.from(body),
        properties: parseProperties(header.properties ?? ''),
        isOneway,
        isBatch,
      }
      this.received.push(received)
      const answer = await this.answers(received)
      if (answer === 'silence') return undefined
      if (answer) return answer
      const count = isBatch ? decodeClientBatch(body).length : 1
      const first = this.#offset
      this.#offset += count
      const ids = Array.from({ length: count }, (_, i) => `${this.name}-${first + i}`)
      return { code: 0, header: { msgId: ids.join(','), queueId: header.queueId, queueOffset: first } }
    }
    return [
      route(SendMessageV2, LANE, (header, context) => receive(header, context.body, context.isOneway, false)),
      route(SendBatchMessage, LANE, (header, context) => receive(header, context.body, context.isOneway, true)),
      route(HeartBeat, LANE, (_, context) => {
        this.heartbeats.push(decodeHeartbeat(context.body))
        return { code: 0, ext: this.heartbeatExt }
      }),
      route(UnregisterClient, LANE, (header) => {
        this.goodbyes.push(header)
        return { code: 0 }
      }),
    ]
  }
}

export interface FakeCluster {
  readonly sim: SimRuntime
  readonly brokers: Readonly<Record<string, FakeBroker>>
  /** What the NameServers answer, by topic; change it at will. */
  readonly routes: Map<string, TopicRouteData>
  /** Topics asked for, with the NameServer asked. */
  readonly lookUps: { readonly namesrv: string; readonly topic: string }[]
  readonly client: Client
  /** Another client of the same node. */
  newClient(options?: Partial<ClientOptions>): Client
  broker(name: string): FakeBroker
}

export const routeOf = (brokers: readonly FakeBroker[], queues = 4, perm = 6): TopicRouteData => ({
  queueDatas: brokers.map(({ name }) => ({ brokerName: name, readQueueNums: queues, writeQueueNums: queues, perm, topicSysFlag: 0 })),
  brokerDatas: brokers.map(({ name, address }) => ({
    cluster: 'c',
    brokerName: name,
    brokerAddrs: { '0': address },
    enableActingMaster: false,
  })),
  filterServerTable: {},
})

export interface FakeClusterOptions {
  readonly seed?: number
  readonly brokers?: readonly string[]
  readonly namesrvs?: readonly string[]
  readonly client?: Partial<ClientOptions>
  readonly namesrvRoutes?: (name: string) => readonly Route[]
  readonly brokerRoutes?: (name: string) => readonly Route[]
}

/** NameServers and brokers on nodes of their own names, the client on the node `local`. */
export async function fakeCluster(options: FakeClusterOptions = {}): Promise<FakeCluster> {
  const sim = simRuntime(options.seed ?? 1)
  const { world } = sim
  const routes = new Map<string, TopicRouteData>()
  const lookUps: { namesrv: string; topic: string }[] = []
  const namesrvs = options.namesrvs ?? ['ns1']
  for (const namesrv of namesrvs) {
    const lookUp = route(GetRouteinfoByTopic, LANE, ({ topic }) => {
      lookUps.push({ namesrv, topic })
      const found = routes.get(topic)
      if (!found) return { code: ResponseCode.TOPIC_NOT_EXIST, remark: `No topic route info in name server for the topic: ${topic}` }
      return { code: 0, body: Buffer.from(encodeTopicRoute(found, true)) }
    })
    await startRemotingServer(world.node(namesrv), {
      name: namesrv,
      port: 9876,
      routes: [lookUp, ...(options.namesrvRoutes?.(namesrv) ?? [])],
    })
  }
  const brokers: Record<string, FakeBroker> = {}
  for (const name of options.brokers ?? ['a', 'b']) {
    const node = world.node(name)
    const broker = new FakeBroker(name, `${node.host}:10911`)
    brokers[name] = broker
    await startRemotingServer(node, {
      name,
      port: 10911,
      routes: [...broker.routes(() => sim.clock.monotonic()), ...(options.brokerRoutes?.(name) ?? [])],
      onOpen: (connection) => broker.connections.add(connection),
    })
  }
  const newClient = (clientOptions: Partial<ClientOptions> = {}): Client =>
    new Client(
      createCore(sim, {
        namesrvAddr: namesrvs.map((name) => `${world.node(name).host}:9876`),
        ...options.client,
        ...clientOptions,
      }),
    )
  return {
    sim,
    brokers,
    routes,
    lookUps,
    client: newClient(),
    newClient,
    broker: (name) => brokers[name] as FakeBroker,
  }
}

/** What the promise was rejected with, which must be a RocketError. */
export async function failureOf(promise: Promise<unknown>): Promise<RocketError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(RocketError)
  return error as RocketError
}
