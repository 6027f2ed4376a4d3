import { describe, expect, test } from 'vitest'
import { Bench, message } from './support/fixture.ts'

const SEEDS = Array.from({ length: 12 }, (_, i) => i + 1)

describe('after a sync has failed, the platform shows bytes that are on no disk', () => {
  test.each(SEEDS)('a restart puts the log that it found on the disk again, so that what follows is safe (seed %i)', async (seed) => {
    const bench = new Bench(seed, { flush: 'sync' })
    await bench.open()
    await bench.append(message({ text: 'safe' }))
    bench.node.disk.failSyncs(1, (path) => path.includes('commitlog'))
    const [failed] = await bench.append(message({ text: 'unsure' }))
    expect(failed?.status).toBe('not-available')
    bench.kill()
    await bench.open()
    const [later] = await bench.append(message({ text: 'later' }))
    expect(later?.status).toBe('ok')
    const acknowledged = await bench.readAll()
    bench.crash()
    await bench.open()
    expect(await bench.readAll()).toEqual(acknowledged)
    await bench.close()
  })

  test.each(SEEDS)('views whose sync failed are vouched for by no later checkpoint (seed %i)', async (seed) => {
    const bench = new Bench(seed)
    await bench.open()
    await bench.append(message({ text: 'a' }))
    bench.node.disk.failSyncs(1, (path) => path.includes('/views/'))
    await bench.sim.world.run(3_000)
    await bench.append(message({ topic: 'other', text: 'b' }))
    await bench.sim.world.run(3_000)
    bench.crash()
    await bench.open()
    expect([await bench.readAll(), await bench.readAll('other')]).toEqual([['a'], ['b']])
    await bench.close()
  })
})

test('a checkpoint for which there was no room forgets no queue', async () => {
  const bench = new Bench()
  await bench.open()
  await bench.append(message({ text: 'a' }))
  bench.node.disk.failWrites(1, 'ENOSPC', (path) => path.includes('/views/chunks'))
  await bench.sim.world.run(3_000)
  await bench.append(message({ topic: 'other', text: 'b' }))
  await bench.sim.world.run(3_000)
  bench.kill()
  await bench.open()
  expect([await bench.readAll(), await bench.readAll('other')]).toEqual([['a'], ['b']])
  await bench.close()
})
