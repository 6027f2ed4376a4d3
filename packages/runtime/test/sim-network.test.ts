import type { Connection } from '@skylarkmq/runtime'
import type { World } from '@skylarkmq/runtime/sim'
import { simRuntime } from '@skylarkmq/runtime/sim'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

/** A connection from node a to node b, and what each end has seen. */
const connect = async (world: World) => {
  const seen = { bytes: [] as Buffer[], chunks: 0, atServer: [] as (Error | undefined)[], atClient: [] as (Error | undefined)[] }
  let server: Connection | undefined
  const listener = await world.node('b').network.listen({
    port: 9876,
    onConnection: (connection) => {
      server = connection
      connection.start({
        onBytes: (chunk) => {
          seen.chunks++
          seen.bytes.push(Buffer.from(chunk))
        },
        onClose: (error) => seen.atServer.push(error),
      })
    },
  })
  const client = await world.until(world.node('a').network.connect({ host: 'b', port: 9876, timeoutMs: 3000 }))
  client.start({ onBytes: () => {}, onClose: (error) => seen.atClient.push(error) })
  return { client, server: server as Connection, listener, seen, received: () => Buffer.concat(seen.bytes) }
}

describe('the simulated network', () => {
  it('brings the same bytes in the same order, however it splits them', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer(),
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 300 }), { minLength: 1, maxLength: 20 }),
        async (seed, parts) => {
          const { world } = simRuntime(seed)
          const { client, received } = await connect(world)
          for (const part of parts) client.write(part)
          await world.settle()
          expect(received().equals(Buffer.concat(parts))).toBe(true)
        },
      ),
      { numRuns: 200 },
    )
  })

  it('splits somewhere inside of most streams, over enough seeds', async () => {
    let split = 0
    for (let seed = 0; seed < 20; seed++) {
      const { world } = simRuntime(seed)
      const { client, seen } = await connect(world)
      client.write(Buffer.alloc(1000))
      await world.settle()
      if (seen.chunks > 1) split++
    }
    expect(split).toBeGreaterThan(5)
  })

  it('shows who reuses a buffer before it was given back', async () => {
    const { world } = simRuntime(1)
    const { client, received } = await connect(world)
    const buffer = Buffer.from('first')
    client.write(buffer)
    buffer.write('wrong')
    await world.settle()
    expect(received().toString()).toBe('wrong')
  })

  it('shows who keeps a chunk beyond the call', async () => {
    const { world } = simRuntime(1)
    const kept: Uint8Array[] = []
    await world.node('b').network.listen({
      port: 1,
      onConnection: (connection) => connection.start({ onBytes: (chunk) => kept.push(chunk), onClose: () => {} }),
    })
    const client = await world.until(world.node('a').network.connect({ host: 'b', port: 1, timeoutMs: 100 }))
    client.write(Buffer.from('hello'))
    await world.settle()
    expect(Buffer.concat(kept).toString()).not.toBe('hello')
  })

  it('holds everything back in a partition, and brings it after', async () => {
    const { world } = simRuntime(1)
    const { client, seen, received } = await connect(world)
    world.partition(['a'], ['b'])
    client.write(Buffer.from('waiting'))
    await world.run(60_000)
    expect(seen.chunks).toBe(0)
    await expect(world.until(world.node('a').network.connect({ host: 'b', port: 9876, timeoutMs: 3000 }))).rejects.toMatchObject({
      code: 'ETIMEDOUT',
    })
    world.heal()
    await world.settle()
    expect(received().toString()).toBe('waiting')
    expect(seen.atClient).toEqual([])
  })

  it('stalls a link only for a while', async () => {
    const { world } = simRuntime(1)
    const { client, seen, received } = await connect(world)
    world.stall('a', 'b', 5000)
    client.write(Buffer.from('late'))
    await world.run(4999)
    expect(seen.chunks).toBe(0)
    await world.run(100)
    expect(received().toString()).toBe('late')
  })

  it('cuts connections: both ends see a reset', async () => {
    const { world } = simRuntime(1)
    const { seen } = await connect(world)
    expect(world.cut('a', 'b')).toBe(1)
    await world.settle()
    expect(seen.atClient).toMatchObject([{ code: 'ECONNRESET' }])
    expect(seen.atServer).toMatchObject([{ code: 'ECONNRESET' }])
    expect(world.openConnections).toBe(0)
  })

  it('tells the peers of a killed process with a reset, and refuses their next connection', async () => {
    const { world } = simRuntime(1)
    const { seen } = await connect(world)
    world.kill('b')
    await world.run(10)
    expect(seen.atClient).toMatchObject([{ code: 'ECONNRESET' }])
    expect(seen.atServer).toEqual([])
    await expect(world.until(world.node('a').network.connect({ host: 'b', port: 9876, timeoutMs: 100 }))).rejects.toMatchObject({
      code: 'ECONNREFUSED',
    })
  })

  it('leaves the peers of a crashed machine with a half-open connection until it is back', async () => {
    const { world } = simRuntime(1)
    const { client, seen } = await connect(world)
    world.crash('b')
    client.write(Buffer.alloc(1_000_000))
    await world.run(3_600_000)
    expect(seen.atClient).toEqual([])
    expect(client.unsentBytes).toBeGreaterThan(0)
    world.node('b')
    await world.run(10)
    expect(seen.atClient).toMatchObject([{ code: 'ECONNRESET' }])
  })

  it('does not know unknown hosts, and says so', async () => {
    const { network, world } = simRuntime(1)
    const error = await world.until(network.connect({ host: 'nowhere', port: 1, timeoutMs: 100 })).catch((failure: unknown) => failure)
    expect(error).toMatchObject({ code: 'ENOTFOUND', message: expect.stringContaining('nowhere:1') })
  })
})
