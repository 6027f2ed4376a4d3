import { assert } from '../assert.ts'
import type { Timer } from '../clock.ts'
import type { Connection, ConnectOptions, Listener, ListenOptions, Network } from '../network.ts'
import type { Addresses } from './connection.ts'
import { resetError, SimConnection } from './connection.ts'
import type { LinkOptions, PipeEnds } from './pipe.ts'
import { Pipe } from './pipe.ts'
import type { SeededRandom } from './random.ts'
import type { Scheduler } from './scheduler.ts'

const LOOPBACK = '127.0.0.1'
const FIRST_FREE_PORT = 40_000

const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || host.startsWith('127.')

const networkError = (code: string, sentence: string, address: string): Error => Object.assign(new Error(sentence), { code, address })

interface Link {
  readonly ends: readonly [client: SimConnection, server: SimConnection]
  readonly pipes: readonly [Pipe, Pipe]
}

interface SimListener {
  readonly node: string
  readonly host: string
  readonly port: number
  readonly options: ListenOptions
}

/** All cables of a world, and what can happen to them. */
export class SimNetwork {
  readonly #scheduler: Scheduler
  readonly #random: SeededRandom
  readonly #hosts = new Map<string, string>()
  readonly #listeners = new Set<SimListener>()
  readonly #links = new Set<Link>()
  readonly #partitions = new Set<string>()
  readonly #silent = new Set<string>()
  #nextPort = FIRST_FREE_PORT
  link: LinkOptions = { delayMs: { min: 0.05, max: 0.5 }, chunks: 'seeded' }

  constructor(scheduler: Scheduler, random: SeededRandom) {
    this.#scheduler = scheduler
    this.#random = random
  }

  addNode(name: string, host: string): void {
    this.#hosts.set(name, host)
  }

  /** The network as one node sees it, until it dies. */
  portOf(node: string, life: { readonly over: boolean }): Network {
    return {
      listen: async (options) => (life.over ? new Promise<never>(() => {}) : this.#listen(node, options)),
      connect: (options) => (life.over ? new Promise(() => {}) : this.#connect(node, options)),
    }
  }

  /** Everything between these nodes is held back (not lost: TCP sends again) until `heal`; connecting times out. */
  partition(left: readonly string[], right: readonly string[], options: { readonly oneWay?: boolean } = {}): void {
    for (const from of left) {
      for (const to of right) {
        this.#partitions.add(`${from}>${to}`)
        if (!options.oneWay) this.#partitions.add(`${to}>${from}`)
      }
    }
  }

  heal(): void {
    this.#partitions.clear()
    for (const { pipes } of this.#links) for (const pipe of pipes) pipe.kick()
  }

  /** Holds everything between two nodes back for a while. */
  stall(left: string, right: string, ms: number): void {
    this.partition([left], [right])
    this.#scheduler.schedule(ms, 'timer', () => {
      this.#partitions.delete(`${left}>${right}`)
      this.#partitions.delete(`${right}>${left}`)
      for (const link of this.#between(left, right)) for (const pipe of link.pipes) pipe.kick()
    })
  }

  /** Resets every connection between two nodes: both ends see ECONNRESET. Returns how many. */
  cut(left: string, right: string): number {
    const links = this.#between(left, right)
    for (const { ends } of links) for (const end of ends) end.close(resetError(end))
    return links.length
  }

  /** The node's process is gone. Its peers see a reset; with `silently` (power, cable) they see nothing and write into the void. */
  nodeDied(node: string, silently: boolean): void {
    for (const listener of [...this.#listeners]) if (listener.node === node) this.#listeners.delete(listener)
    if (silently) this.#silent.add(node)
    for (const link of [...this.#links]) {
      link.ends.forEach((end, side) => {
        if (end.node !== node) return
        end.forget()
        link.pipes[side as 0 | 1].silence()
        const peer = link.ends[1 - side] as SimConnection
        if (silently && peer.node !== node) return
        this.#links.delete(link)
        this.#scheduler.schedule(this.#delay(), 'work', () => peer.close(resetError(peer)))
      })
    }
  }

  /** A node that was silent answers again: who still holds a connection to its former life gets a reset. */
  nodeLives(node: string): void {
    if (!this.#silent.delete(node)) return
    for (const link of [...this.#links]) {
      for (const end of link.ends) {
        if (end.peerNode !== node || end.node === node) continue
        this.#links.delete(link)
        this.#scheduler.schedule(this.#delay(), 'work', () => end.close(resetError(end)))
      }
    }
  }

  get openConnections(): number {
    return this.#links.size
  }

  #between(left: string, right: string): Link[] {
    return [...this.#links].filter(({ ends: [client, server] }) => {
      return (client.node === left && server.node === right) || (client.node === right && server.node === left)
    })
  }

  #delay(): number {
    return this.#random.between(this.link.delayMs.min, this.link.delayMs.max)
  }

  #isHeld(from: string, to: string): boolean {
    return this.#silent.has(from) || this.#silent.has(to) || this.#partitions.has(`${from}>${to}`)
  }

  #hostOf(node: string): string {
    const host = this.#hosts.get(node)
    assert(host !== undefined, `there is no node '${node}' in this world`)
    return host
  }

  #listen(node: string, options: ListenOptions): Listener {
    const host = options.host ?? '0.0.0.0'
    const own = this.#hostOf(node)
    const isAny = host === '0.0.0.0' || host === '::'
    const port = options.port === 0 ? this.#nextPort++ : options.port
    const address = `${host}:${port}`
    if (!isAny && !isLoopback(host) && host !== own && host !== node) {
      throw networkError('EADDRNOTAVAIL', `cannot listen on ${address} (EADDRNOTAVAIL): node '${node}' has the address ${own}`, address)
    }
    for (const other of this.#listeners) {
      if (other.node === node && other.port === port) {
        throw networkError('EADDRINUSE', `cannot listen on ${address} (EADDRINUSE): the port is in use by another process`, address)
      }
    }
    const listener: SimListener = { node, host: isAny ? '0.0.0.0' : isLoopback(host) ? LOOPBACK : own, port, options }
    this.#listeners.add(listener)
    return {
      host: listener.host,
      port,
      close: async () => {
        this.#listeners.delete(listener)
      },
    }
  }

  #connect(node: string, options: ConnectOptions): Promise<Connection> {
    const { host, port, signal } = options
    const address = `${host}:${port}`
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const target = isLoopback(host) || host === '0.0.0.0' ? node : this.#nodeAt(host)
      let answer: Timer | undefined
      const settle = (finish: () => void): void => {
        timeout.cancel()
        answer?.cancel()
        signal?.removeEventListener('abort', onAbort)
        finish()
      }
      const fail = (code: string, detail: string): void =>
        settle(() => reject(networkError(code, `connect to ${address} failed (${code}): ${detail}`, address)))
      const onAbort = (): void => settle(() => reject(signal?.reason))
      const timeout = this.#scheduler.schedule(options.timeoutMs, 'timer', () => {
        const sentence = `connect to ${address} timed out after ${options.timeoutMs} ms (ETIMEDOUT): check that the host is reachable and the port open`
        settle(() => reject(networkError('ETIMEDOUT', sentence, address)))
      })
      signal?.addEventListener('abort', onAbort, { once: true })
      if (target !== undefined && (this.#isHeld(node, target) || this.#isHeld(target, node))) return
      answer = this.#scheduler.schedule(this.#delay() + this.#delay(), 'work', () => {
        if (target === undefined) return fail('ENOTFOUND', `no host of that name`)
        const listener = this.#listenerAt(target, host, port)
        if (!listener) return fail('ECONNREFUSED', 'nobody listens there')
        if (options.tls && !listener.options.tls) return fail('ECONNRESET', 'the port has no certificate and closed the TLS connection')
        settle(() => resolve(this.#join(node, listener, options)))
      })
    })
  }

  #nodeAt(host: string): string | undefined {
    for (const [node, own] of this.#hosts) if (own === host || node === host) return node
    return undefined
  }

  #listenerAt(node: string, host: string, port: number): SimListener | undefined {
    for (const listener of this.#listeners) {
      if (listener.node !== node || listener.port !== port) continue
      const isOpenTo = listener.host === '0.0.0.0' || (listener.host === LOOPBACK) === isLoopback(host)
      if (isOpenTo) return listener
    }
    return undefined
  }

  #join(node: string, listener: SimListener, options: ConnectOptions): SimConnection {
    const local = isLoopback(options.host)
    const clientAddresses: Addresses = {
      localHost: local ? LOOPBACK : this.#hostOf(node),
      localPort: this.#nextPort++,
      remoteHost: local ? LOOPBACK : this.#hostOf(listener.node),
      remotePort: listener.port,
    }
    const serverAddresses: Addresses = {
      localHost: clientAddresses.remoteHost,
      localPort: clientAddresses.remotePort,
      remoteHost: clientAddresses.localHost,
      remotePort: clientAddresses.localPort,
    }
    const isEncrypted = options.tls !== undefined
    const scheduler = this.#scheduler
    const client = new SimConnection({ scheduler, node, peerNode: listener.node, addresses: clientAddresses, isEncrypted })
    const server = new SimConnection({ scheduler, node: listener.node, peerNode: node, addresses: serverAddresses, isEncrypted })
    const toServer = this.#pipe(client, server)
    const toClient = this.#pipe(server, client)
    const link: Link = { ends: [client, server], pipes: [toServer, toClient] }
    const onGone = (): void => {
      if (client.isClosed && server.isClosed) this.#links.delete(link)
    }
    client.attach(toServer, toClient, onGone)
    server.attach(toClient, toServer, onGone)
    this.#links.add(link)
    listener.options.onConnection(server)
    return client
  }

  #pipe(from: SimConnection, to: SimConnection): Pipe {
    const ends: PipeEnds = {
      canDeliver: () => to.isReading,
      deliver: (chunk) => to.receive(chunk),
      deliverEnd: () => to.peerFinished(),
      deliverReset: () => to.close(resetError(to)),
      refused: () => from.close(resetError(from)),
      drained: () => from.drained(),
      finished: () => from.outFinished(),
      isHeld: () => this.#isHeld(from.node, to.node),
    }
    return new Pipe(this.#scheduler, this.#random.fork(`${from.localHost}:${from.localPort}>${to.localPort}`), this.link, ends)
  }
}
