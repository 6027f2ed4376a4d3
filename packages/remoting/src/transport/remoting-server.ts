import type { Connection, Listener, Runtime, Timer } from '@skylarkmq/runtime'
import { RocketError } from '../protocol/rocket-error.ts'
import { CLOSE_GRACE_MS, SWEEP_MS } from './limits.ts'
import { AcceptedConnection } from './server-connection.ts'
import { ServerDispatch } from './server-dispatch.ts'
import type { TurnTask } from './turn-end.ts'
import type { RemotingServer, RemotingServerOptions, ServerConnection } from './types.ts'

/** How long `close` waits for answers that are under way, unless told. */
const DRAIN_MS = 1_000
/** One warn line per so long about refused connections. */
const REFUSED_LOG_MS = 1_000

type ServerRuntime = Pick<Runtime, 'clock' | 'network' | 'log'>

/** Listens and serves the routes. Rejects when it cannot listen. */
export async function startRemotingServer(runtime: ServerRuntime, options: RemotingServerOptions): Promise<RemotingServer> {
  if (options.tlsMode === 'enforcing' && options.tls === undefined) {
    throw new RocketError(`${options.name} is to take TLS only but has no certificate; set key and cert, or another TLS mode`, {
      code: 'BAD_ARGUMENT',
    })
  }
  const server = new Server(runtime, options)
  await server.listen()
  return server
}

class Server implements RemotingServer {
  readonly connections = new Set<AcceptedConnection>()
  readonly #runtime: ServerRuntime
  readonly #options: RemotingServerOptions
  readonly #dispatch: ServerDispatch
  #listener: Listener | undefined
  #sweep: Timer | undefined
  #closed: Promise<void> | undefined
  #onEmpty: (() => void) | undefined
  #refused = 0

  constructor(runtime: ServerRuntime, options: RemotingServerOptions) {
    this.#runtime = runtime
    this.#options = options
    this.#dispatch = new ServerDispatch(runtime, options)
  }

  get host(): string {
    return this.#listener?.host ?? ''
  }

  get port(): number {
    return this.#listener?.port ?? 0
  }

  async listen(): Promise<void> {
    const { host, port, tls, tlsMode, memory } = this.#options
    this.#listener = await this.#runtime.network.listen({
      port,
      onConnection: (connection) => this.#accept(connection),
      ...(host === undefined ? {} : { host }),
      ...(memory === undefined ? {} : { receive: memory.receive }),
      ...(tls === undefined || tlsMode === 'disabled' ? {} : { tls }),
    })
    const { clock } = this.#runtime
    const sweepMs = Math.max(1, Math.min(SWEEP_MS, this.#dispatch.limits.idleMs / 4))
    this.#sweep = clock.every(sweepMs, () => {
      const nowMs = clock.monotonic()
      for (const connection of this.connections) connection.sweep(nowMs)
    })
  }

  atTurnEnd(task: TurnTask): void {
    this.#dispatch.turn.addTask(task)
  }

  close(options: { drainMs?: number } = {}): Promise<void> {
    this.#closed ??= this.#close(options.drainMs ?? DRAIN_MS)
    return this.#closed
  }

  #accept(raw: Connection): void {
    const { limits } = this.#dispatch
    if (this.#dispatch.isClosing || this.connections.size >= limits.connections) return this.#turnAway(raw)
    const connection = new AcceptedConnection(raw, this.#dispatch)
    this.connections.add(connection)
    connection.onClose(() => this.#forget(connection))
    connection.start()
    this.#tell(this.#options.onOpen, connection)
  }

  #turnAway(raw: Connection): void {
    raw.destroy()
    if (this.#dispatch.isClosing || this.#refused++ > 0) return
    this.#runtime.clock.after(REFUSED_LOG_MS, () => {
      this.#runtime.log.warn('turned connections away: the server has as many as it takes', {
        server: this.#options.name,
        turnedAway: this.#refused,
        limit: this.#dispatch.limits.connections,
      })
      this.#refused = 0
    })
  }

  #forget(connection: AcceptedConnection): void {
    this.connections.delete(connection)
    this.#tell(this.#options.onClose, connection)
    this.#dispatch.onAnswered?.()
    if (this.connections.size === 0) this.#onEmpty?.()
  }

  #tell(listener: ((connection: ServerConnection) => void) | undefined, connection: ServerConnection): void {
    try {
      listener?.(connection)
    } catch (error) {
      this.#runtime.log.error('a connection listener failed', { server: this.#options.name, peer: connection.address, error })
    }
  }

  async #close(drainMs: number): Promise<void> {
    const dispatch = this.#dispatch
    dispatch.isClosing = true
    try {
      await this.#listener?.close()
    } catch (error) {
      this.#runtime.log.warn('the listener did not close cleanly', { server: this.#options.name, error })
    }
    if (!this.#isQuiet()) {
      await this.#orAfter(drainMs, (done) => {
        dispatch.onAnswered = () => {
          if (this.#isQuiet()) done()
        }
      })
    }
    for (const connection of this.connections) connection.end()
    await this.#untilEmpty()
    for (const connection of this.connections) connection.destroy()
    await this.#untilEmpty()
    this.#sweep?.cancel()
  }

  #isQuiet(): boolean {
    for (const connection of this.connections) if (connection.unanswered > 0) return false
    return true
  }

  async #untilEmpty(): Promise<void> {
    if (this.connections.size === 0) return
    await this.#orAfter(CLOSE_GRACE_MS, (done) => {
      this.#onEmpty = done
    })
  }

  #orAfter(ms: number, arrange: (done: () => void) => void): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#runtime.clock.after(ms, resolve)
      arrange(() => {
        timer.cancel()
        resolve()
      })
    })
  }
}
