import net from 'node:net'
import tls from 'node:tls'
import type { Log } from '../log.ts'
import { silentLog } from '../log.ts'
import type { Connection, ConnectOptions, Listener, ListenOptions, Network } from '../network.ts'
import { NodeConnection } from './connection.ts'

export interface NodeNetworkOptions {
  readonly log?: Log
  /** Read all sockets into one shared buffer (default), or let Node allocate one per read. */
  readonly sharedReadBuffer?: boolean
}

const READ_BUFFER_BYTES = 256 * 1024
const BACKLOG = 1024

const networkError = (code: string, sentence: string, address: string, cause?: unknown): Error =>
  Object.assign(new Error(sentence, { cause }), { code, address })

const addressOf = (host: string, port: number): string => (host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`)

const bufferOver = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const codeOf = (error: unknown): string => {
  const code = (error as { code?: unknown }).code
  return typeof code === 'string' ? code : 'EIO'
}

class NodeNetwork implements Network {
  readonly #log: Log
  readonly #shared: Buffer | undefined

  constructor(options: NodeNetworkOptions) {
    this.#log = options.log ?? silentLog
    this.#shared = options.sharedReadBuffer === false ? undefined : Buffer.allocUnsafeSlow(READ_BUFFER_BYTES)
  }

  listen(options: ListenOptions): Promise<Listener> {
    // Not Node's "::": clients expect to see IPv4 addresses in what the broker stores and shows.
    const host = options.host ?? '0.0.0.0'
    const shared = this.#shared && (options.receive === undefined ? this.#shared : bufferOver(options.receive))
    const secureContext = options.tls && tls.createSecureContext({ key: options.tls.key, cert: options.tls.cert })
    const server = net.createServer({ pauseOnConnect: true, noDelay: true, keepAlive: true }, (socket) => {
      options.onConnection(NodeConnection.accepted(socket, server, { shared, secureContext, log: this.#log }))
    })
    return new Promise((resolve, reject) => {
      server.once('error', (error) => {
        const code = codeOf(error)
        const hint = code === 'EADDRINUSE' ? ': the port is in use by another process' : `: ${error.message}`
        reject(
          networkError(code, `cannot listen on ${addressOf(host, options.port)} (${code})${hint}`, addressOf(host, options.port), error),
        )
      })
      server.listen({ host, port: options.port, backlog: BACKLOG }, () => {
        server.on('error', (error) => this.#log.error('accepting connections failed', { address: addressOf(host, options.port), error }))
        const bound = server.address() as net.AddressInfo
        resolve({ host: bound.address, port: bound.port, close: () => closeServer(server) })
      })
    })
  }

  connect(options: ConnectOptions): Promise<Connection> {
    const { host, port, signal } = options
    const address = addressOf(host, port)
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const connection = NodeConnection.outgoing(options, { shared: this.#shared, log: this.#log })
      const settle = (error: unknown): void => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
        if (error === undefined) return resolve(connection)
        connection.destroy()
        reject(error)
      }
      const onAbort = (): void => settle(signal?.reason)
      const timer = setTimeout(() => {
        const sentence = `connect to ${address} timed out after ${options.timeoutMs} ms (ETIMEDOUT): check that the host is reachable and the port open`
        settle(networkError('ETIMEDOUT', sentence, address))
      }, options.timeoutMs)
      timer.unref()
      signal?.addEventListener('abort', onAbort, { once: true })
      connection.whenConnected((error) => {
        if (!error) return settle(undefined)
        // Node joins the errors of several addresses (IPv6, IPv4) in one without a message.
        const detail = error instanceof AggregateError ? error.errors.map((each: Error) => each.message).join('; ') : error.message
        settle(networkError(codeOf(error), `connect to ${address} failed (${codeOf(error)}): ${detail}`, address, error))
      })
    })
  }
}

/** Node's own callback waits for the accepted connections, which live on here. */
const closeServer = (server: net.Server): Promise<void> =>
  new Promise((resolve) => {
    server.close()
    setImmediate(resolve)
  })

/** The machine's TCP. */
export const nodeNetwork = (options: NodeNetworkOptions = {}): Network => new NodeNetwork(options)
