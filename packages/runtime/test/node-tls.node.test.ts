import net from 'node:net'
import type { Connection } from '@skylarkmq/runtime'
import { nodeNetwork } from '@skylarkmq/runtime/node'
import { describe, expect, it } from 'vitest'
import { certificate } from '../../../scripts/certificate.ts'
import { deferred } from './conformance/harness.ts'

const { key, cert } = certificate()

const collect = (connection: Connection) => {
  const closed = deferred<Error | undefined>()
  const chunks: Buffer[] = []
  let wake = (): void => {}
  connection.start({
    onBytes: (chunk) => {
      chunks.push(Buffer.from(chunk))
      wake()
    },
    onClose: closed.resolve,
  })
  const until = async (length: number): Promise<Buffer> => {
    while (Buffer.concat(chunks).length < length) {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
    return Buffer.concat(chunks)
  }
  return { closed: closed.promise, until }
}

for (const sharedReadBuffer of [true, false]) {
  describe(`TLS on the plain port (${sharedReadBuffer ? 'shared read buffer' : 'a buffer per read'})`, () => {
    const listen = async (tls: { key: string; cert: string } | undefined) => {
      const accepted: Connection[] = []
      const lines: string[] = []
      const log = {
        debug() {},
        info() {},
        warn: (line: string) => lines.push(line),
        error: (line: string) => lines.push(line),
        child: () => log,
      }
      const network = nodeNetwork({ sharedReadBuffer, log })
      const first = deferred<Connection>()
      const listener = await network.listen({
        host: '127.0.0.1',
        port: 0,
        ...(tls ? { tls } : {}),
        onConnection: (connection) => {
          accepted.push(connection)
          first.resolve(connection)
        },
      })
      return { network, listener, accepted, first: first.promise, lines }
    }

    it('carries bytes both ways, encrypted and plain side by side', async () => {
      const network = nodeNetwork({ sharedReadBuffer })
      const server = deferred<Connection>()
      const secure = await network.listen({
        host: '127.0.0.1',
        port: 0,
        tls: { key, cert },
        onConnection: (connection) => {
          const received = collect(connection)
          void received.until(300_000).then((bytes) => connection.write(bytes.subarray(0, 1000)))
          server.resolve(connection)
        },
      })
      const client = await network.connect({
        host: 'localhost',
        port: secure.port,
        timeoutMs: 5000,
        tls: { ca: cert, rejectUnauthorized: true },
      })
      const atClient = collect(client)
      const sent = Buffer.alloc(300_000, 'abc')
      client.write(sent)
      expect((await atClient.until(1000)).equals(sent.subarray(0, 1000))).toBe(true)
      expect([client.isEncrypted, (await server.promise).isEncrypted]).toEqual([true, true])
      const plain = await network.connect({ host: '127.0.0.1', port: secure.port, timeoutMs: 5000 })
      const atPlain = collect(plain)
      plain.write(sent)
      expect((await atPlain.until(1000)).equals(sent.subarray(0, 1000))).toBe(true)
      client.end()
      plain.end()
      await Promise.all([atClient.closed, atPlain.closed])
      expect((await server.promise).isClosed).toBe(true)
      await secure.close()
    })

    it('refuses a certificate that nobody vouches for', async () => {
      const { network, listener, accepted, first } = await listen({ key, cert })
      void first.then(collect)
      const error = await network
        .connect({ host: '127.0.0.1', port: listener.port, timeoutMs: 5000, tls: { rejectUnauthorized: true } })
        .catch((failure: unknown) => failure)
      expect(error).toMatchObject({ code: 'DEPTH_ZERO_SELF_SIGNED_CERT', message: expect.stringContaining(`127.0.0.1:${listener.port}`) })
      for (const connection of accepted) connection.destroy()
      await listener.close()
    })

    it('closes a TLS hello on a port without certificate, and says so in the log', async () => {
      const { listener, first, lines } = await listen(undefined)
      const socket = net.connect(listener.port, '127.0.0.1')
      socket.on('error', () => {})
      socket.write(Buffer.from([0x16, 3, 1, 0, 5]))
      const received = collect(await first)
      await received.closed
      expect(lines).toEqual(['closed a TLS connection: this port has no certificate'])
      socket.destroy()
      await listener.close()
    })

    it('closes a connection whose handshake is garbage', async () => {
      const { listener, first, lines } = await listen({ key, cert })
      const socket = net.connect(listener.port, '127.0.0.1')
      socket.on('error', () => {})
      socket.write(Buffer.concat([Buffer.from([0x16]), Buffer.alloc(200, 7)]))
      expect(await collect(await first).closed).toBeInstanceOf(Error)
      expect(lines).toEqual(['TLS handshake failed'])
      socket.destroy()
      await listener.close()
    })
  })
}
