import net from 'node:net'
import tls from 'node:tls'
import type { Log } from '../log.ts'
import type { Connection, ConnectionHandler, ConnectOptions } from '../network.ts'

/** First byte of a TLS record that carries a handshake. As a frame's length it would mean 352 MiB or more. */
const TLS_HANDSHAKE = 0x16
const TLS_HANDSHAKE_TIMEOUT_MS = 10_000
/** How long a peer may take to close after everything was sent. */
const LINGER_MS = 1000
/** How many times `LINGER_MS` may pass at the end of a connection without any byte being taken. */
const LINGER_STALLS = 10

export interface ConnectionSetup {
  readonly shared: Buffer | undefined
  readonly log: Log
  readonly secureContext?: tls.SecureContext | undefined
}

type OnRead = { readonly buffer: Buffer; readonly callback: (bytes: number, buffer: Uint8Array) => boolean }

/** What Node keeps private, and the shared buffer needs. Each is checked before it is relied on. */
interface SocketInternals {
  _handle?: { readonly readStart?: unknown; readonly writeQueueSize?: number } | null
  _server?: unknown
}

/**
 * Node lets outgoing sockets read into a buffer of ours, but accepted ones allocate one per read. Moving the accepted handle to a socket
 * made with `onread` saves that (measured: 1.1 to 1.9 times per message). When the internals are not as expected, the accepted socket stays.
 */
const moveToSharedBuffer = (accepted: net.Socket, server: net.Server, onread: OnRead): net.Socket | undefined => {
  const from = accepted as unknown as SocketInternals
  const handle = from._handle
  if (!handle || typeof handle.readStart !== 'function' || !('_server' in from)) return undefined
  from._handle = null
  const socket = new net.Socket({ handle, onread, pauseOnCreate: true } as unknown as net.SocketConstructorOpts)
  const to = socket as unknown as SocketInternals
  to._server = server
  from._server = null
  return socket
}

const plainHost = (host: string | undefined): string => (host?.startsWith('::ffff:') ? host.slice(7) : (host ?? ''))

const ignore = (): void => {}

/** One TCP or TLS connection. */
export class NodeConnection implements Connection {
  remoteHost = ''
  remotePort = 0
  localHost = ''
  localPort = 0
  unsentBytes = 0
  isEncrypted = false
  #socket: net.Socket
  #handler: ConnectionHandler | undefined
  #readsByCallback = false
  /** Undefined for outgoing connections and after the first chunk. */
  #sniff: ConnectionSetup | undefined
  #error: Error | undefined
  #destroyed = false
  #ended = false
  #paused = false
  #lingering = false
  #closeTold = false

  private constructor(make: (onread: (buffer: Buffer) => OnRead) => { socket: net.Socket; readsByCallback: boolean }) {
    const made = make((buffer) => ({
      buffer,
      callback: (bytes) => {
        this.#receive(buffer.subarray(0, bytes))
        return true
      },
    }))
    this.#socket = made.socket
    this.#readsByCallback = made.readsByCallback
    this.#listenTo(made.socket)
  }

  /** A connection from a socket that a server (with `pauseOnConnect`) has accepted. */
  static accepted(accepted: net.Socket, server: net.Server, setup: ConnectionSetup): NodeConnection {
    const connection = new NodeConnection((onread) => {
      const moved = setup.shared && moveToSharedBuffer(accepted, server, onread(setup.shared))
      return { socket: moved ?? accepted, readsByCallback: moved !== undefined }
    })
    connection.#sniff = setup
    connection.#takeAddresses()
    return connection
  }

  static outgoing(options: ConnectOptions, setup: ConnectionSetup): NodeConnection {
    const { host, port, tls: secure } = options
    const connection = new NodeConnection((onread) => {
      if (secure) {
        const servername = net.isIP(host) ? {} : { servername: host }
        return { socket: tls.connect({ host, port, ...servername, ...secure }), readsByCallback: false }
      }
      const reading = setup.shared ? { onread: onread(setup.shared) as unknown as net.OnReadOpts } : {}
      const socket = net.connect({ host, port, noDelay: true, keepAlive: true, ...reading })
      return { socket, readsByCallback: setup.shared !== undefined }
    })
    connection.isEncrypted = secure !== undefined
    connection.#socket.setNoDelay(true)
    connection.#socket.pause()
    return connection
  }

  get isClosed(): boolean {
    return this.#destroyed
  }

  /** Calls once, when connected (and, with TLS, trusted) or failed. */
  whenConnected(listener: (error: Error | undefined) => void): void {
    const event = this.isEncrypted ? 'secureConnect' : 'connect'
    const onConnected = (): void => {
      this.#socket.off('error', listener)
      this.#takeAddresses()
      listener(undefined)
    }
    this.#socket.once(event, onConnected)
    this.#socket.once('error', listener)
  }

  start(handler: ConnectionHandler): void {
    this.#handler = handler
    if (this.#destroyed) {
      if (this.#socket.closed) setImmediate(() => this.#tellClose())
      return
    }
    this.#read()
  }

  write(bytes: Uint8Array, onWritten: () => void = ignore): void {
    if (this.#destroyed || this.#ended) {
      setImmediate(onWritten)
      return
    }
    const length = bytes.length
    this.unsentBytes += length
    this.#socket.write(bytes, () => {
      this.unsentBytes -= length
      onWritten()
      if (this.unsentBytes === 0 && !this.#destroyed) this.#handler?.onDrain?.()
    })
  }

  cork(): void {
    this.#socket.cork()
  }

  uncork(): void {
    this.#socket.uncork()
  }

  pause(): void {
    this.#paused = true
    this.#socket.pause()
  }

  resume(): void {
    this.#paused = false
    if (this.#handler && !this.#destroyed) this.#socket.resume()
  }

  end(): void {
    if (this.#destroyed || this.#ended) return
    this.#ended = true
    this.#socket.end()
    // What the peer still sends is read and dropped: closing over unread bytes would reset the connection under our last ones.
    if (this.#handler) this.#socket.resume()
    this.#linger()
  }

  destroy(error?: Error): void {
    if (this.#destroyed) return
    this.#destroyed = true
    this.#error ??= error
    this.#socket.destroy()
  }

  #takeAddresses(): void {
    this.remoteHost = plainHost(this.#socket.remoteAddress)
    this.remotePort = this.#socket.remotePort ?? 0
    this.localHost = plainHost(this.#socket.localAddress)
    this.localPort = this.#socket.localPort ?? 0
  }

  #listenTo(socket: net.Socket): void {
    socket.on('error', (error) => {
      this.#error ??= error
    })
    socket.on('end', () => this.#linger())
    socket.on('close', () => {
      this.#destroyed = true
      this.#tellClose()
    })
  }

  #read(): void {
    if (!this.#readsByCallback) this.#socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    if (!this.#paused) this.#socket.resume()
  }

  #receive(chunk: Buffer): void {
    if (this.#destroyed || this.#ended) return
    const sniff = this.#sniff
    if (sniff) {
      this.#sniff = undefined
      if (chunk[0] === TLS_HANDSHAKE) return this.#upgrade(chunk, sniff)
    }
    this.#handler?.onBytes(chunk)
  }

  #upgrade(hello: Buffer, setup: ConnectionSetup): void {
    const peer = `${this.remoteHost}:${this.remotePort}`
    if (!setup.secureContext) {
      setup.log.warn('closed a TLS connection: this port has no certificate', { peer })
      return this.destroy()
    }
    const plain = this.#socket
    plain.pause()
    plain.removeAllListeners('data')
    plain.removeAllListeners('close')
    plain.removeAllListeners('end')
    plain.unshift(Buffer.from(hello))
    const secure = new tls.TLSSocket(plain, { isServer: true, secureContext: setup.secureContext })
    this.#socket = secure
    this.#readsByCallback = false
    this.isEncrypted = true
    this.#listenTo(secure)
    const timer = setTimeout(
      () => this.destroy(new Error(`TLS handshake with ${peer} took more than ${TLS_HANDSHAKE_TIMEOUT_MS} ms`)),
      TLS_HANDSHAKE_TIMEOUT_MS,
    )
    timer.unref()
    secure.once('secure', () => clearTimeout(timer))
    // Without a tls.Server nobody else ends a handshake that failed.
    secure.on('_tlsError', (error: Error) => {
      setup.log.warn('TLS handshake failed', { peer, error })
      this.destroy(error)
    })
    secure.once('close', () => {
      clearTimeout(timer)
      plain.destroy()
    })
    this.#read()
  }

  /** Ends a connection whose peer does not: 1 s after all is sent, or when it takes nothing any more. */
  #linger(): void {
    if (this.#lingering) return
    this.#lingering = true
    let lastQueued = Number.POSITIVE_INFINITY
    let stalls = 0
    const timer = setInterval(() => {
      if (this.#destroyed) return clearInterval(timer)
      const internals = this.#socket as unknown as SocketInternals
      const queued = this.unsentBytes + (internals._handle?.writeQueueSize ?? 0)
      stalls = queued < lastQueued ? 0 : stalls + 1
      lastQueued = queued
      if (this.#socket.writableFinished || stalls >= LINGER_STALLS) this.destroy()
    }, LINGER_MS)
    timer.unref()
  }

  #tellClose(): void {
    if (!this.#handler || this.#closeTold) return
    this.#closeTold = true
    this.#handler.onClose(this.#error)
  }
}
