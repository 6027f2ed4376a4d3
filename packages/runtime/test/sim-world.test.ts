import { seededRandom, simRuntime } from '@skylarkmq/runtime/sim'
import { describe, expect, it } from 'vitest'

/** A small life: two nodes talk, write and sync, with timers between. */
const life = async (seed: number) => {
  const { world } = simRuntime(seed)
  const [a, b] = [world.node('a'), world.node('b')]
  await b.network.listen({
    port: 1,
    onConnection: (connection) => {
      connection.start({ onBytes: (chunk) => connection.write(Buffer.from(chunk)), onClose: () => b.log.info('closed') })
    },
  })
  const connection = await world.until(a.network.connect({ host: b.host, port: 1, timeoutMs: 1000 }))
  const file = a.disk.open('/log', { create: true })
  let position = 0
  connection.start({
    onBytes: (chunk) => {
      file.write(chunk, 0, chunk.length, position)
      position += chunk.length
      a.log.info('received', { bytes: chunk.length })
      void file.sync().then(() => a.log.info('synced', { position }))
    },
    onClose: () => {},
  })
  const timer = a.clock.every(7, () => connection.write(a.random.bytes(100)))
  await world.run(200)
  timer.cancel()
  connection.end()
  await world.settle()
  return { report: world.report(), fingerprint: world.fingerprint }
}

describe('a simulated world', () => {
  it('is the same for the same seed, to the microsecond, and another for another', async () => {
    const [first, second, other] = [await life(42), await life(42), await life(43)]
    expect(first.report).toContain('synced')
    expect(second).toEqual(first)
    expect(other.fingerprint).not.toBe(first.fingerprint)
    expect(other.report).not.toBe(first.report)
  })

  it('decides the order of what is simultaneous by the seed alone', async () => {
    const orders = new Set<string>()
    for (let seed = 0; seed < 20; seed++) {
      const { clock, world } = simRuntime(seed)
      let order = ''
      for (const name of ['a', 'b', 'c']) clock.after(10, () => (order += name))
      await world.run(10)
      orders.add(order)
    }
    expect(orders.size).toBeGreaterThan(3)
  })

  it('lets an hour pass in no time', async () => {
    const { clock, world } = simRuntime(1)
    let minutes = 0
    clock.every(60_000, () => {
      minutes++
    })
    await world.run(3_600_000)
    expect(minutes).toBe(60)
    expect(world.nowMs).toBe(3_600_000)
  })

  it('settles although timers are planned for ever', async () => {
    const { clock, world } = simRuntime(1)
    clock.every(10, () => {})
    const order: string[] = []
    clock.afterTurn(() => order.push('turn'))
    await world.settle()
    expect(order).toEqual(['turn'])
    expect(world.nowMs).toBeLessThan(10)
  })

  it('reports a wait that nothing will end, with the seed', async () => {
    const { world, log } = simRuntime(77)
    log.info('waiting for the reply')
    await expect(world.until(new Promise(() => {}))).rejects.toThrow(/deadlock[\s\S]*seed 77[\s\S]*waiting for the reply/)
    await expect(world.when(() => false, 10)).rejects.toThrow('never held within 10 ms')
  })

  it('hands a failure in an event to whoever runs the world', async () => {
    const { clock, world } = simRuntime(1)
    clock.after(1, () => {
      throw new Error('broken part')
    })
    await expect(world.run(10)).rejects.toThrow('broken part')
    await world.run(10)
  })

  it('gives each node its own files and its own wall clock, and all the same time', async () => {
    const { world } = simRuntime(1)
    const [a, b] = [world.node('a'), world.node('b')]
    a.disk.writeTextAtomically('/file', 'of a')
    expect(b.disk.exists('/file')).toBe(false)
    a.clock.jump(-5000)
    expect(b.clock.now() - a.clock.now()).toBe(5000)
    expect(a.clock.monotonic()).toBe(b.clock.monotonic())
    expect(world.node('a')).toBe(a)
  })

  it('ends every plan of a killed node; its next life finds the disk', async () => {
    const { world } = simRuntime(1)
    const first = world.node('a')
    let ticks = 0
    first.clock.every(10, () => {
      ticks++
    })
    const file = first.disk.open('/log', { create: true })
    file.write(Buffer.from('unsynced'), 0, 8, 0)
    world.kill('a')
    await world.run(100)
    expect(ticks).toBe(0)
    const second = world.node('a')
    expect(second).not.toBe(first)
    expect(second.disk.readText('/log')).toBe('unsynced')
    expect(() => file.write(Buffer.from('x'), 0, 1, 0)).toThrow('crashed')
  })

  it('has streams of chance that do not disturb each other', () => {
    const [left, right] = [seededRandom(5), seededRandom(5)]
    const fork = left.fork('other')
    fork.integer(10)
    expect(left.fraction()).toBe(right.fraction())
    expect(right.fork('other').fraction()).toBe(seededRandom(5).fork('other').fraction())
    expect(right.fork('third').fraction()).not.toBe(right.fork('other').fraction())
  })
})
