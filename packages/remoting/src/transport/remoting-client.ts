import type { Timer } from '@skylarkmq/runtime'
import type { AnyCommand, RequestOf } from '../protocol/command.ts'
import { isMsgpackReady } from '../protocol/msgpack-header.ts'
import { RocketError } from '../protocol/rocket-error.ts'
import { parseAddress } from './address.ts'
import type { ClientShared } from './client-connection.ts'
import { ClientConnection } from './client-connection.ts'
import { aborted } from './client-errors.ts'
import { FRAME_BYTES, SWEEP_MS } from './limits.ts'
import { OutBufferPool } from './out-queue.ts'
import { describeCommand } from './replies.ts'
import { TurnEnd } from './turn-end.ts'
import type { Answer, InvokeOptions, RemotingClient, RemotingClientOptions } from './types.ts'

/** RocketMQ 5.3 `NettyClientConfig`. */
const CONNECT_TIMEOUT_MS = 3_000
const IDLE_MS = 120_000

/** Connections to many servers, one per address, made on demand and shared. */
export function createRemotingClient(options: RemotingClientOptions): RemotingClient {
  return new Client(options)
}

class Client implements RemotingClient {
  readonly #options: RemotingClientOptions
  readonly #shared: ClientShared
  readonly #connections = new Map<string, ClientConnection>()
  #sweep: Timer | undefined
  #isClosed = false

  constructor(options: RemotingClientOptions) {
    if (options.msgpack === true && !isMsgpackReady()) {
      throw new RocketError("the option msgpack needs useMsgpack(await import('msgpackr')) first", { code: 'BAD_ARGUMENT' })
    }
    this.#options = options
    const { runtime } = options
    this.#shared = {
      runtime,
      turn: new TurnEnd(runtime.clock, runtime.log),
      pool: new OutBufferPool(),
      handlers: new Map((options.handlers ?? []).map((handler) => [handler.command.code, handler])),
      connectTimeoutMs: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
      frameBytes: options.frameBytes ?? FRAME_BYTES,
      tls: options.tls,
      offersMsgpack: options.msgpack === true,
      onGone: (connection, wasOpen) => this.#forget(connection, wasOpen),
    }
  }

  get addresses(): readonly string[] {
    return [...this.#connections.values()].filter((connection) => connection.isOpen).map((connection) => connection.address)
  }

  /** Not an async function: that would be one more promise for each request. */
  invoke<C extends AnyCommand>(address: string, command: C, header: RequestOf<C>, options: InvokeOptions): Promise<Answer<C>> {
    try {
      return this.#connectionFor(address, command, options).invoke(command, header, options)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  async notify<C extends AnyCommand>(address: string, command: C, header: RequestOf<C>, options: InvokeOptions): Promise<void> {
    await this.#connectionFor(address, command, options).notify(command, header, options)
  }

  disconnect(address: string): void {
    this.#connections.get(address)?.close(
      (what) =>
        new RocketError(`the connection to ${address} was closed at this end while ${what} waited`, {
          code: 'CONNECTION_LOST',
          address,
          phase: 'close',
          retryable: true,
        }),
    )
  }

  close(): void {
    this.#isClosed = true
    for (const connection of this.#connections.values()) {
      const { address } = connection
      connection.close(
        (what) => new RocketError(`the client was closed while ${what} to ${address} waited`, { code: 'CLOSED', address, phase: 'close' }),
      )
    }
    this.#sweep?.cancel()
  }

  #connectionFor(address: string, command: AnyCommand, options: InvokeOptions): ClientConnection {
    if (this.#isClosed) {
      const sentence = `${describeCommand(command)} to ${address} was not sent: the client is closed`
      throw new RocketError(sentence, { code: 'CLOSED', address, phase: 'send' })
    }
    if (options.signal?.aborted) throw aborted(address, command, options.signal)
    const found = this.#connections.get(address)
    if (found !== undefined) return found
    parseAddress(address)
    const connection = new ClientConnection(address, this.#shared)
    this.#connections.set(address, connection)
    void connection.connect()
    this.#startSweep()
    return connection
  }

  #startSweep(): void {
    const { clock } = this.#options.runtime
    const idleMs = this.#options.idleMs ?? IDLE_MS
    this.#sweep ??= clock.every(Math.max(1, Math.min(SWEEP_MS, idleMs / 4)), () => {
      const nowMs = clock.monotonic()
      for (const connection of this.#connections.values()) connection.sweep(nowMs, idleMs)
    })
  }

  #forget(connection: ClientConnection, wasOpen: boolean): void {
    const { address } = connection
    if (this.#connections.get(address) === connection) this.#connections.delete(address)
    if (this.#connections.size === 0) {
      this.#sweep?.cancel()
      this.#sweep = undefined
    }
    if (!wasOpen || this.#isClosed) return
    try {
      this.#options.onDisconnect?.(address)
    } catch (error) {
      this.#options.runtime.log.error('a disconnect listener failed', { address, error })
    }
  }
}
