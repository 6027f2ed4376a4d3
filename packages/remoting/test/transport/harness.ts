import type { Connection, Network, Runtime } from '@skylarkmq/runtime'
import type { SimRuntime } from '@skylarkmq/runtime/sim'
import { simRuntime } from '@skylarkmq/runtime/sim'
import type { Frame, SerializeType } from '../../src/protocol/index.ts'
import { boolean, decodeFrame, defineCommand, encodeFrame, int, optional, string } from '../../src/protocol/index.ts'
import type { Lane, RemotingServer, RemotingServerOptions, Reply, Route } from '../../src/index.ts'
import { route, startRemotingServer } from '../../src/index.ts'

/** Answers with its text and body at once. */
export const Echo = defineCommand({
  code: 9001,
  name: 'ECHO',
  server: 'broker',
  summary: 'Answers with what it was given.',
  request: { text: string(), number: optional(int()) },
  response: { text: string() },
})
/** Answers when the test says so. */
export const Hold = defineCommand({
  code: 9002,
  name: 'HOLD',
  server: 'broker',
  summary: 'Waits.',
  request: { key: string() },
  response: { key: string() },
})
/** Asked of a client. */
export const Ask = defineCommand({
  code: 9003,
  name: 'ASK',
  server: 'client',
  summary: 'Asks a client.',
  request: { text: string(), loud: optional(boolean()) },
  response: { text: string() },
})

export const LANE: Lane = { name: 'test', maxInFlight: 10_000 }

export const echoRoute = (): Route => route(Echo, LANE, ({ text }, { body }) => ({ code: 0, header: { text }, body }))

/** Held requests by key, to be answered by the test. */
export class Holder {
  readonly waiting = new Map<string, (reply: Reply | undefined) => void>()
  readonly route: Route

  constructor(lane: Lane = LANE) {
    this.route = route(Hold, lane, ({ key }) => {
      return new Promise<{ code: number; header: { key: string } } | undefined>((resolve) => {
        this.waiting.set(key, resolve as (reply: Reply | undefined) => void)
      })
    })
  }

  answer(key: string): void {
    const resolve = this.waiting.get(key)
    this.waiting.delete(key)
    resolve?.({ code: 0, header: { key } })
  }
}

export interface Stage {
  readonly runtime: SimRuntime
  readonly server: RemotingServer
  readonly address: string
}

export async function stage(options: Partial<RemotingServerOptions> = {}, seed = 1): Promise<Stage> {
  const runtime = simRuntime(seed)
  const server = await startRemotingServer(runtime.world.node('broker'), {
    name: 'the broker b1',
    port: 9000,
    routes: [echoRoute()],
    ...options,
  })
  return { runtime, server, address: 'broker:9000' }
}

export interface FrameFields {
  readonly code: number
  readonly opaque: number
  readonly flag?: number
  readonly version?: number
  readonly ext?: Record<string, string>
  readonly body?: Uint8Array
  readonly serializeType?: SerializeType
}

export const requestBytes = (fields: FrameFields): Buffer =>
  encodeFrame({
    language: 'JAVA',
    version: 453,
    flag: 0,
    body: Buffer.alloc(0),
    serializeType: 0,
    ...fields,
  })

/** A peer that speaks bytes. */
export class RawPeer {
  readonly frames: Frame[] = []
  readonly connection: Connection
  isClosed = false
  #bytes = Buffer.alloc(0)

  constructor(connection: Connection) {
    this.connection = connection
    connection.start({
      onBytes: (chunk) => this.#take(chunk),
      onClose: () => {
        this.isClosed = true
      },
    })
  }

  static async connect(runtime: Pick<Runtime, 'network'>, host: string, port: number): Promise<RawPeer> {
    return new RawPeer(await runtime.network.connect({ host, port, timeoutMs: 3000 }))
  }

  send(bytes: Uint8Array): void {
    this.connection.write(Uint8Array.from(bytes))
  }

  #take(chunk: Uint8Array): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk])
    while (this.#bytes.length >= 4) {
      const end = 4 + this.#bytes.readInt32BE(0)
      if (this.#bytes.length < end) return
      this.frames.push(decodeFrame(this.#bytes, 0, end))
      this.#bytes = this.#bytes.subarray(end)
    }
  }
}

/** A raw peer at the stage's server, connected. */
export async function rawPeer({ runtime }: Stage): Promise<RawPeer> {
  return runtime.world.until(RawPeer.connect(runtime, 'broker', 9000))
}

/** A network whose writes are counted, at both ends of what it makes. */
export function countingNetwork(network: Network): Network & { writes: number } {
  const count = (connection: Connection): Connection => {
    const write = connection.write.bind(connection)
    connection.write = (bytes, onWritten) => {
      counted.writes++
      write(bytes, onWritten)
    }
    return connection
  }
  const counted = {
    writes: 0,
    listen: (options: Parameters<Network['listen']>[0]) =>
      network.listen({ ...options, onConnection: (connection) => options.onConnection(count(connection)) }),
    connect: async (options: Parameters<Network['connect']>[0]) => count(await network.connect(options)),
  }
  return counted
}
