import type { Connection, ListenOptions, Network } from '@skylarkmq/runtime'
import { describe, expect, it } from 'vitest'
import type { Await } from './harness.ts'
import { deferred, errorOf } from './harness.ts'

export interface NetworkHarness {
  readonly network: Network
  readonly wait: Await
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

/** Bytes that differ everywhere, so that a swap or a loss shows. */
const pattern = (length: number): Uint8Array => {
  const filled = new Uint8Array(length)
  for (let index = 0; index < length; index++) filled[index] = (index * 31 + (index >> 8) * 17) & 0xff
  return filled
}

/** Collects what a connection receives, and its end. */
class Received {
  readonly chunks: Buffer[] = []
  readonly closed = deferred<Error | undefined>()
  closes = 0
  drains = 0
  length = 0
  #waiting: { readonly length: number; readonly resolve: () => void } | undefined

  constructor(connection: Connection) {
    connection.start({
      onBytes: (chunk) => {
        this.chunks.push(Buffer.from(chunk))
        this.length += chunk.length
        if (this.#waiting && this.length >= this.#waiting.length) this.#waiting.resolve()
      },
      onClose: (error) => {
        this.closes++
        this.closed.resolve(error)
      },
      onDrain: () => {
        this.drains++
      },
    })
  }

  get all(): Buffer {
    return Buffer.concat(this.chunks)
  }

  async until(length: number): Promise<void> {
    if (this.length >= length) return
    const reached = deferred()
    this.#waiting = { length, resolve: reached.resolve }
    await reached.promise
  }
}

interface Pair {
  readonly client: Connection
  readonly server: Connection
  readonly close: () => Promise<void>
}

const connectedPair = async ({ network, wait }: NetworkHarness, options: Partial<ListenOptions> = {}): Promise<Pair> => {
  const accepted = deferred<Connection>()
  const listener = await wait(network.listen({ host: '127.0.0.1', port: 0, onConnection: accepted.resolve, ...options }))
  const client = await wait(network.connect({ host: '127.0.0.1', port: listener.port, timeoutMs: 5000 }))
  const server = await wait(accepted.promise)
  return {
    client,
    server,
    close: async () => {
      client.destroy()
      server.destroy()
      await wait(listener.close())
    },
  }
}

/** On another connection: after it, what can flow elsewhere has begun to. */
const roundTrip = async (harness: NetworkHarness): Promise<void> => {
  const { client, server, close } = await connectedPair(harness)
  server.write(bytes('x'))
  await harness.wait(new Received(client).until(1))
  client.write(bytes('y'))
  await harness.wait(new Received(server).until(1))
  await close()
}

const flowConformance = (make: () => NetworkHarness): void => {
  it('brings the bytes of both directions in order, whole', async () => {
    const harness = make()
    const { client, server, close } = await connectedPair(harness)
    const atServer = new Received(server)
    const atClient = new Received(client)
    const sent = pattern(700_000)
    for (let at = 0; at < sent.length; at += 70_001) client.write(sent.subarray(at, at + 70_001))
    server.write(bytes('hello'))
    await harness.wait(Promise.all([atServer.until(sent.length), atClient.until(5)]))
    expect(atServer.all.equals(sent)).toBe(true)
    expect(atClient.all.toString()).toBe('hello')
    await close()
  })

  it('brings what is written while corked in order, and gives each buffer back', async () => {
    const harness = make()
    const { client, server, close } = await connectedPair(harness)
    const atServer = new Received(server)
    const sent = pattern(300_000)
    const writtenAll = Array.from({ length: 3 }, () => deferred())
    client.cork()
    for (const [i, written] of writtenAll.entries()) client.write(sent.subarray(i * 100_000, (i + 1) * 100_000), written.resolve)
    client.uncork()
    await harness.wait(Promise.all([atServer.until(sent.length), ...writtenAll.map(({ promise }) => promise)]))
    expect(atServer.all.equals(sent)).toBe(true)
    expect(client.unsentBytes).toBe(0)
    await close()
  })

  it('knows both addresses at both ends', async () => {
    const harness = make()
    const { client, server, close } = await connectedPair(harness)
    expect(server).toMatchObject({
      remoteHost: '127.0.0.1',
      localHost: '127.0.0.1',
      remotePort: client.localPort,
      localPort: client.remotePort,
    })
    expect(client).toMatchObject({ remoteHost: '127.0.0.1', localHost: '127.0.0.1', isClosed: false, isEncrypted: false })
    await close()
  })

  it('holds an accepted connection back until it is started', async () => {
    const harness = make()
    const { client, server, close } = await connectedPair(harness)
    const written = deferred()
    client.write(bytes('early'), written.resolve)
    await harness.wait(written.promise)
    await roundTrip(harness)
    const atServer = new Received(server)
    await harness.wait(atServer.until(5))
    expect(atServer.all.toString()).toBe('early')
    await close()
  })

  it('keeps a pause that was asked for before the start', async () => {
    const harness = make()
    const { client, server, close } = await connectedPair(harness)
    server.pause()
    const atServer = new Received(server)
    client.write(bytes('early'))
    await roundTrip(harness)
    expect(atServer.length).toBe(0)
    server.resume()
    await harness.wait(atServer.until(5))
    await close()
  })

  it('gives each buffer back once, in order, and counts what is unsent down to zero', async () => {
    const harness = make()
    const { client, server, close } = await connectedPair(harness)
    const atServer = new Received(server)
    const atClient = new Received(client)
    const order: number[] = []
    const last = deferred()
    for (let index = 0; index < 3; index++) {
      client.write(pattern(100_000), () => {
        order.push(index)
        if (index === 2) last.resolve()
      })
    }
    expect(client.unsentBytes).toBe(300_000)
    await harness.wait(Promise.all([last.promise, atServer.until(300_000)]))
    expect(order).toEqual([0, 1, 2])
    expect(client.unsentBytes).toBe(0)
    expect(atClient.drains).toBeGreaterThan(0)
    await close()
  })

  it('lets unsent bytes pile up at the sender while the receiver is paused, and brings all once it resumes', async () => {
    const harness = make()
    const { client, server, close } = await connectedPair(harness)
    const atServer = new Received(server)
    server.pause()
    const sent = pattern(16 * 1024 * 1024)
    client.write(sent)
    await roundTrip(harness)
    expect(client.unsentBytes).toBeGreaterThan(0)
    server.resume()
    await harness.wait(atServer.until(sent.length))
    expect(atServer.all.equals(sent)).toBe(true)
    await close()
  })
}

const closingConformance = (make: () => NetworkHarness): void => {
  it('sends all that is queued before it ends; both ends close once, without error', async () => {
    const harness = make()
    const { client, server, close } = await connectedPair(harness)
    const atServer = new Received(server)
    const atClient = new Received(client)
    const sent = pattern(3_000_000)
    client.write(sent)
    client.end()
    client.write(bytes('too late'))
    expect(await harness.wait(atServer.closed.promise)).toBeUndefined()
    expect(await harness.wait(atClient.closed.promise)).toBeUndefined()
    expect(atServer.all.equals(sent)).toBe(true)
    expect([client.isClosed, server.isClosed, atServer.closes, atClient.closes]).toEqual([true, true, 1, 1])
    await close()
  })

  it('answers a peer that ends with what it had queued', async () => {
    const harness = make()
    const { client, server, close } = await connectedPair(harness)
    const atServer = new Received(server)
    new Received(client)
    const answer = pattern(500_000)
    server.write(answer)
    client.write(bytes('bye'))
    client.end()
    await harness.wait(atServer.closed.promise)
    expect(atServer.all.toString()).toBe('bye')
    await close()
  })

  it('destroys at once: the handler hears the reason, the peer a close, and each buffer comes back', async () => {
    const harness = make()
    const { client, server, close } = await connectedPair(harness)
    const atServer = new Received(server)
    const atClient = new Received(client)
    server.pause()
    let returned = 0
    const allReturned = deferred()
    for (let index = 0; index < 4; index++) {
      client.write(pattern(4 * 1024 * 1024), () => {
        if (++returned === 4) allReturned.resolve()
      })
    }
    const reason = new Error('slow reader')
    client.destroy(reason)
    expect(client.isClosed).toBe(true)
    expect(await harness.wait(atClient.closed.promise)).toBe(reason)
    await harness.wait(allReturned.promise)
    server.resume()
    await harness.wait(atServer.closed.promise)
    expect([atClient.closes, atServer.closes]).toEqual([1, 1])
    await close()
  })

  it('gives the buffer back that is written to a closed connection', async () => {
    const harness = make()
    const { client, close } = await connectedPair(harness)
    client.destroy()
    const returned = deferred()
    client.write(bytes('x'), returned.resolve)
    await harness.wait(returned.promise)
    expect(client.unsentBytes).toBe(0)
    await close()
  })

  it('tells a handler that starts too late that the connection has closed', async () => {
    const harness = make()
    const { client, close } = await connectedPair(harness)
    client.destroy()
    const late = new Received(client)
    await harness.wait(late.closed.promise)
    expect(late.closes).toBe(1)
    await close()
  })

  it('does not wait for a peer that neither reads nor closes after all was sent', async () => {
    const harness = make()
    const { client, server, close } = await connectedPair(harness)
    const atClient = new Received(client)
    client.write(bytes('bye'))
    client.end()
    await harness.wait(atClient.closed.promise)
    expect(client.isClosed).toBe(true)
    server.destroy()
    await close()
  })
}

const connectConformance = (make: () => NetworkHarness): void => {
  it('names the address and the code when nobody listens', async () => {
    const { network, wait } = make()
    const listener = await wait(network.listen({ host: '127.0.0.1', port: 0, onConnection: () => {} }))
    await wait(listener.close())
    const error = await errorOf(() => wait(network.connect({ host: '127.0.0.1', port: listener.port, timeoutMs: 5000 })))
    expect(error.code).toBe('ECONNREFUSED')
    expect(error.message).toContain(`127.0.0.1:${listener.port}`)
  })

  it('refuses a port that is taken, and says which', async () => {
    const { network, wait } = make()
    const listener = await wait(network.listen({ host: '127.0.0.1', port: 0, onConnection: () => {} }))
    const error = await errorOf(() => wait(network.listen({ host: '127.0.0.1', port: listener.port, onConnection: () => {} })))
    expect(error.code).toBe('EADDRINUSE')
    expect(error.message).toContain(`127.0.0.1:${listener.port}`)
    await wait(listener.close())
  })

  it('gives up connecting when the caller does', async () => {
    const { network, wait } = make()
    const reason = new Error('closing')
    const aborted = AbortSignal.abort(reason)
    await expect(wait(network.connect({ host: '127.0.0.1', port: 1, timeoutMs: 5000, signal: aborted }))).rejects.toBe(reason)
    const controller = new AbortController()
    const listener = await wait(network.listen({ host: '127.0.0.1', port: 0, onConnection: (connection) => connection.destroy() }))
    const connecting = network.connect({ host: '127.0.0.1', port: listener.port, timeoutMs: 5000, signal: controller.signal })
    controller.abort(reason)
    await expect(wait(connecting)).rejects.toBe(reason)
    await wait(listener.close())
  })

  it('closes a listener at once although its connections live on', async () => {
    const harness = make()
    const accepted = deferred<Connection>()
    const listener = await harness.wait(harness.network.listen({ host: '127.0.0.1', port: 0, onConnection: accepted.resolve }))
    const client = await harness.wait(harness.network.connect({ host: 'localhost', port: listener.port, timeoutMs: 5000 }))
    const server = await harness.wait(accepted.promise)
    await harness.wait(listener.close())
    const atServer = new Received(server)
    client.write(bytes('still here'))
    await harness.wait(atServer.until(10))
    expect(atServer.all.toString()).toBe('still here')
    client.destroy()
    await harness.wait(atServer.closed.promise)
  })

  it('listens on all addresses when none is given', async () => {
    const { network, wait } = make()
    const accepted = deferred<Connection>()
    const listener = await wait(network.listen({ port: 0, onConnection: accepted.resolve }))
    expect(listener.host).toBe('0.0.0.0')
    const client = await wait(network.connect({ host: '127.0.0.1', port: listener.port, timeoutMs: 5000 }))
    const server = await wait(accepted.promise)
    client.destroy()
    server.destroy()
    await wait(listener.close())
  })
}

export const networkConformance = (name: string, make: () => NetworkHarness): void => {
  describe(`${name} network`, () => {
    flowConformance(make)
    closingConformance(make)
    connectConformance(make)
  })
}
