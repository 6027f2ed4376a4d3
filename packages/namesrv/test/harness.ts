/** A NameServer without sockets: requests pass through the header codec as on the wire, then straight to the processor. */
import { decodeHeader, encodeHeader, encodeRegisterBroker, RegisterBroker, RocketError } from '@skylarkmq/remoting/protocol'
import type { AnyCommand, ExtFields, Fields, RequestOf, TopicConfig } from '@skylarkmq/remoting/protocol'
import type { Reply, RequestContext, ServerConnection } from '@skylarkmq/remoting'
import { silentLog } from '@skylarkmq/runtime'
import type { Clock, Disk, Runtime } from '@skylarkmq/runtime'
import { expireSilentBrokers, namesrvRoutes } from '../src/namesrv.ts'
import { createState } from '../src/state.ts'
import type { NamesrvConfig } from '../src/config.ts'

export interface Asked {
  readonly code: number
  readonly remark: string | undefined
  readonly header: Readonly<Record<string, unknown>>
  readonly body: string
}

interface AskOptions {
  readonly body?: Uint8Array | string
  readonly version?: number
  readonly ext?: ExtFields
  readonly connection?: FakeConnection
}

export interface BrokerToRegister {
  readonly name?: string
  readonly id?: number
  readonly topics?: readonly (string | TopicConfig)[]
  readonly counter?: number
  readonly connection?: FakeConnection
  readonly header?: Partial<RequestOf<typeof RegisterBroker>>
  readonly ext?: ExtFields
  readonly compressed?: boolean
}

export class FakeConnection {
  isClosed = false
  close(): void {
    this.isClosed = true
  }
}

export const topic = (topicName: string, more: Partial<TopicConfig> = {}): TopicConfig => ({
  topicName,
  readQueueNums: 4,
  writeQueueNums: 4,
  perm: 6,
  topicFilterType: 'SINGLE_TAG',
  topicSysFlag: 0,
  order: false,
  attributes: {},
  ...more,
})

/** `files` is the disk: hand the same map to a second NameServer to restart it. */
export function namesrvInMemory(config: Partial<NamesrvConfig> = {}, files = new Map<string, string>()) {
  const world = { nowMs: 0 }
  const disk = {
    readText: (path: string) => files.get(path),
    writeTextAtomically: (path: string, text: string) => void files.set(path, text),
  } as Partial<Disk> as Disk
  const clock = { monotonic: () => world.nowMs, now: () => world.nowMs } as Partial<Clock> as Clock
  const runtime = { disk, clock, log: silentLog } as Partial<Runtime> as Runtime
  const state = createState(runtime, { kvConfigPath: '/kv.json', configStorePath: '/namesrv.properties', ...config })
  const routes = new Map(namesrvRoutes(state).map((route) => [route.command.code, route]))

  async function ask<C extends AnyCommand>(command: C, header: RequestOf<C>, options: AskOptions = {}): Promise<Asked> {
    const ext = { ...encodeHeader(command.request as Fields, header as never), ...options.ext }
    const body = Buffer.from(options.body ?? '')
    const frame = { code: command.code, language: 'JAVA', version: options.version ?? 479, opaque: 1, flag: 0, ext, body, serializeType: 0 }
    const context = { frame, body, isOneway: false, connection: options.connection ?? new FakeConnection() } as unknown as RequestContext
    const route = routes.get(command.code)
    if (route === undefined) throw new Error(`no route for ${command.name}`)
    try {
      const reply = (await route.process(decodeHeader(command.request as Fields, ext) as never, context)) as Reply
      const bytes = reply.body === undefined ? [] : [reply.body].flat()
      return { code: reply.code, remark: reply.remark, header: { ...reply.header }, body: Buffer.concat(bytes as Uint8Array[]).toString() }
    } catch (error) {
      if (error instanceof RocketError) return { code: -1, remark: error.message, header: {}, body: '' }
      throw error
    }
  }

  const register = (broker: BrokerToRegister = {}): Promise<Asked> => {
    const { name = 'a', id = 0, topics = ['T', 'U'], counter = 1 } = broker
    const configs = topics.map((entry) => (typeof entry === 'string' ? topic(entry) : entry))
    const body = encodeRegisterBroker(
      {
        topicConfigSerializeWrapper: {
          topicConfigTable: Object.fromEntries(configs.map((one) => [one.topicName, one])),
          dataVersion: { stateVersion: 0, timestamp: 1000, counter },
        },
        filterServerList: [],
      },
      { compressed: broker.compressed ?? false },
    )
    const address = `10.0.0.1:${id}`
    const header = {
      clusterName: 'c',
      brokerName: name,
      brokerAddr: `${name}.${address}`,
      brokerId: id,
      haServerAddr: `${name}:ha`,
      ...broker.header,
    }
    const { connection, ext } = broker
    return ask(RegisterBroker, header, { body, ...(connection && { connection }), ...(ext && { ext }) })
  }

  return {
    state,
    files,
    world,
    ask,
    register,
    closed: (connection: FakeConnection) => state.routes.channelClosed(connection as unknown as ServerConnection),
    scan: () => expireSilentBrokers(state),
  }
}
