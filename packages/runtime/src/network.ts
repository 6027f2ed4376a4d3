/** Byte streams, handed in. No reordering within a connection; chunks split anywhere. */
export interface Network {
  /** Rejects with Node's `code` (EADDRINUSE, …) and the address. Port 0 picks a free one. */
  listen(options: ListenOptions): Promise<Listener>
  /** Rejects with `code` (ECONNREFUSED, ETIMEDOUT, ENOTFOUND, …) and the address. */
  connect(options: ConnectOptions): Promise<Connection>
}

export interface ListenOptions {
  readonly host?: string
  readonly port: number
  /** Called once per accepted connection, which is paused until `start` is called on it. */
  readonly onConnection: (connection: Connection) => void
  /** Where bytes are received, if the platform lets sockets share a buffer; else each has memory of its own. Chunks end with the call. */
  readonly receive?: Uint8Array
  /** Certificates for connections whose first byte says TLS. Without it such a connection is closed. */
  readonly tls?: { readonly key: string; readonly cert: string }
}

export interface ConnectOptions {
  readonly host: string
  readonly port: number
  readonly timeoutMs: number
  readonly signal?: AbortSignal
  readonly tls?: { readonly ca?: string; readonly rejectUnauthorized: boolean }
}

export interface Listener {
  readonly host: string
  readonly port: number
  /** Stops accepting. Accepted connections live on. */
  close(): Promise<void>
}

export interface Connection {
  readonly remoteHost: string
  readonly remotePort: number
  readonly localHost: string
  readonly localPort: number
  /** Bytes given to `write` that the peer's socket has not taken yet. */
  readonly unsentBytes: number
  readonly isClosed: boolean
  /** TLS. Of an accepted connection known from its first chunk on. */
  readonly isEncrypted: boolean
  /**
   * Starts the flow. `onBytes` gets a chunk that is valid ONLY during the call (the buffer is reused): copy what must last.
   * `onClose` is called exactly once, with the error if there was one; no `onBytes` follows it.
   */
  start(handler: ConnectionHandler): void
  /**
   * Queues bytes, in order. `onWritten` is called when the platform no longer needs the buffer (also when the connection died),
   * so that it can be reused. Writing to a closed connection drops the bytes.
   */
  write(bytes: Uint8Array, onWritten?: () => void): void
  /** What is written between the two leaves in one call of the platform, at `uncork`. */
  cork(): void
  uncork(): void
  /** Stops and restarts reading (back-pressure on the sender). */
  pause(): void
  resume(): void
  /** Sends what is queued, then closes. Bytes that still arrive are dropped. A peer that neither reads nor closes does not hold it open. */
  end(): void
  /** Closes at once, dropping what is queued. */
  destroy(error?: Error): void
}

export interface ConnectionHandler {
  onBytes(chunk: Uint8Array): void
  onClose(error: Error | undefined): void
  /** The queue of unsent bytes has drained to zero. */
  onDrain?(): void
}
