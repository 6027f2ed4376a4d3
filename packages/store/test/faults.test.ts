import { describe, expect, test } from 'vitest'
import type { AppendResult } from '../src/index.ts'
import { Bench, message, ROOT } from './support/fixture.ts'
import { write } from './support/snapshot.ts'

const LOG = `${ROOT}/commitlog/00000000000000000000`

describe('sync flush', () => {
  test('answers only when the bytes are on disk, and shows consumers nothing before', async () => {
    const bench = new Bench(1, { flush: 'sync' })
    await bench.open()
    const seen: string[] = []
    bench.store.onArrival(() => seen.push('arrival'))
    bench.store.append(message(), true, () => seen.push('stored'))
    bench.store.commitTurn()
    expect(seen).toEqual([])
    expect(bench.store.maxOffset('orders', 0)).toBe(0)
    await bench.sim.world.run(50)
    expect(seen.sort()).toEqual(['arrival', 'stored'])
    expect(bench.store.maxOffset('orders', 0)).toBe(1)
    expect(bench.store.flushedOffset).toBe(bench.store.maxPhysicalOffset)
    await bench.close()
  })

  test('a single message may ask for it in a store that flushes now and then', async () => {
    const bench = new Bench()
    await bench.open()
    const order: string[] = []
    bench.store.append(message(), true, () => order.push('flushed'))
    bench.store.append(message(), false, () => order.push('written'))
    bench.store.commitTurn()
    expect(order).toEqual(['written'])
    await bench.sim.world.run(20)
    expect(order).toEqual(['written', 'flushed'])
    expect(bench.store.maxOffset('orders', 0)).toBe(2)
    await bench.close()
  })

  test('hundreds of waiting senders are answered by few syncs', async () => {
    const bench = new Bench(1, { flush: 'sync' })
    await bench.open()
    let stored = 0
    for (let turn = 0; turn < 100; turn++) {
      for (let i = 0; i < 10; i++) bench.store.append(message(), true, () => stored++)
      await bench.sim.world.run(0.1)
    }
    await bench.sim.world.run(100)
    expect(stored).toBe(1000)
    await bench.close()
  })

  test('a disk that does not return for five seconds: the sender hears "flush-timeout", once', async () => {
    const bench = new Bench(1, { flush: 'sync' })
    await bench.open()
    bench.node.disk.setLatency({ min: 8_000, max: 8_000 })
    const results: AppendResult[] = []
    bench.store.append(message(), true, (result) => results.push(result))
    await bench.sim.world.run(4_900)
    expect(results).toEqual([])
    await bench.sim.world.run(20_000)
    expect(results).toMatchObject([{ status: 'flush-timeout', queueOffset: 0, physicalOffset: 0 }])
    bench.node.disk.setLatency({ min: 0.1, max: 1 })
    await bench.close()
  })

  test.each(Array.from({ length: 25 }, (_, i) => i + 1))(
    'power cut at some moment, seed %i: every acknowledged message is there, unaltered, at its offset',
    async (seed) => {
      const bench = new Bench(seed, { flush: 'sync', segmentBytes: 8192 })
      await bench.open()
      const acknowledged = new Map<string, AppendResult>()
      const sent = new Map<number, string[]>()
      let number = 0
      for (let life = 0; life < 3; life++) {
        const turns = 5 + ((seed * 7 + life * 13) % 60)
        for (let turn = 0; turn < turns; turn++) {
          for (let i = 0; i < (turn % 5) + 1; i++) {
            const queueId = number % 3
            const text = `${number++}`.padEnd(10 + ((number * 37) % 500), '.')
            sent.set(queueId, [...(sent.get(queueId) ?? []), text])
            bench.store.append(message({ queueId, text }), true, (result) => {
              if (result.status === 'ok') acknowledged.set(text, result)
            })
          }
          await bench.sim.world.run(turn % 7 === 0 ? 40 : 0.3)
        }
        bench.crash()
        await bench.open()
        const found = new Map<string, number>()
        for (let queueId = 0; queueId < 3; queueId++) {
          const places = await bench.readPlaces('orders', queueId)
          for (const [offset, text] of places) found.set(text, offset)
          const texts = [...places.values()]
          // Nothing invented, nothing out of order.
          const known = sent.get(queueId) ?? []
          const sendOrder = texts.map((text) => known.indexOf(text))
          expect(sendOrder).not.toContain(-1)
          expect(sendOrder).toEqual([...sendOrder].sort((a, b) => a - b))
        }
        for (const [text, result] of acknowledged) expect(found.get(text), `message ${text.slice(0, 6)}`).toBe(result.queueOffset)
      }
      expect(acknowledged.size).toBeGreaterThan(5)
      await bench.close()
    },
  )
})

test.each(Array.from({ length: 10 }, (_, i) => i + 100))(
  'async flush, process killed at some moment, seed %i: every acknowledged message is there',
  async (seed) => {
    const bench = new Bench(seed, { segmentBytes: 8192 })
    await bench.open()
    const acknowledged: string[] = []
    for (let turn = 0; turn < 60; turn++) {
      for (let i = 0; i < 3; i++) {
        const text = `${turn}/${i}`.padEnd(10 + ((turn * seed) % 300), '.')
        bench.store.append(message({ text }), false, (result) => {
          if (result.status === 'ok') acknowledged.push(text)
        })
      }
      await bench.sim.world.run(((turn * seed) % 11) * 50 + 0.5)
    }
    bench.kill()
    await bench.open()
    const texts = await bench.readAll()
    expect(texts.slice(0, acknowledged.length)).toEqual(acknowledged)
    expect(acknowledged.length).toBeGreaterThan(100)
    await bench.close()
  },
)

describe('a disk that fails', () => {
  test('a failed fdatasync stops acknowledgements for good, with path and errno; what was acknowledged stays readable', async () => {
    const bench = new Bench(1, { flush: 'sync' })
    await bench.open()
    await bench.append(message({ text: 'safe' }))
    bench.node.disk.failSyncs(1, (path) => path.includes('commitlog'))
    const [failed] = await bench.append(message({ text: 'lost' }))
    expect(failed?.status).toBe('not-available')
    expect(failed?.reason).toMatch(/fdatasync of the commit log failed: EIO: .*commitlog/)
    const [later] = await bench.append(message({ text: 'later' }))
    expect(later?.status).toBe('not-available')
    expect(bench.store.refusal).toMatch(/EIO/)
    expect(await bench.readAll()).toEqual(['safe'])
    await bench.close()
    expect(bench.node.disk.exists(`${ROOT}/abort`)).toBe(true)
    await bench.open()
    expect(bench.store.refusal).toBeUndefined()
    expect((await bench.readAll()).includes('safe')).toBe(true)
    await bench.close()
  })

  test('a failed write: the turn is refused, nothing of it was acknowledged', async () => {
    const bench = new Bench()
    await bench.open()
    await bench.append(message({ text: 'safe' }))
    bench.node.disk.failWrites(1, 'EIO', (path) => path.includes('commitlog'))
    const results = await bench.append(message(), message())
    expect(results.map((result) => result.status)).toEqual(['not-available', 'not-available'])
    expect(results[0]?.reason).toMatch(/writing the commit log failed: EIO/)
    await bench.close()
    await bench.open()
    expect(await bench.readAll()).toEqual(['safe'])
    await bench.close()
  })

  test('a full disk refuses the turn, and writing goes on by itself when there is room, without a gap in the offsets', async () => {
    const bench = new Bench()
    await bench.open()
    await bench.append(message({ text: 'before' }))
    bench.node.disk.failWrites(1, 'ENOSPC', (path) => path.includes('commitlog'))
    const refused = await bench.append(message({ text: 'x' }), message({ topic: 'other', text: 'y' }))
    expect(refused.map((result) => result.status)).toEqual(['not-available', 'not-available'])
    expect(refused[0]?.reason).toMatch(/disk is full.*ENOSPC/)
    expect(bench.store.refusal).toMatch(/disk is full/)
    await bench.sim.world.run(11_000)
    expect(bench.store.refusal).toBeUndefined()
    const [after] = await bench.append(message({ text: 'after' }))
    expect(after).toMatchObject({ status: 'ok', queueOffset: 1 })
    const [other] = await bench.append(message({ topic: 'other', text: 'again' }))
    expect(other).toMatchObject({ status: 'ok', queueOffset: 0 })
    expect(await bench.readAll()).toEqual(['before', 'after'])
    bench.kill()
    await bench.open()
    expect(await bench.readAll()).toEqual(['before', 'after'])
    expect(await bench.readAll('other')).toEqual(['again'])
    await bench.close()
  })

  test('little room left: writes are refused with numbers and path, before the disk is full', async () => {
    const bench = new Bench()
    await bench.open()
    bench.node.disk.setCapacity(100 * 1024 * 1024)
    const ballast = bench.node.disk.open('/data/ballast', { create: true })
    const block = Buffer.alloc(97 * 1024 * 1024)
    ballast.write(block, 0, block.length, 0)
    await bench.sim.world.run(11_000)
    expect(bench.store.refusal).toMatch(/\d+ MiB of 100 MiB are free for \/data\/store\/commitlog, and 5 MiB/)
    expect((await bench.append(message()))[0]?.status).toBe('not-available')
    bench.node.disk.remove('/data/ballast')
    await bench.sim.world.run(11_000)
    expect((await bench.append(message()))[0]?.status).toBe('ok')
    await bench.close()
  })
})

describe('retention', () => {
  test('whole expired segments go at the hour for it, never the last; offsets then begin later, also after a restart', async () => {
    const bench = new Bench(1, { segmentBytes: 8192, fileReservedHours: 1, deleteWhenHours: Array.from({ length: 24 }, (_, i) => i) })
    await bench.open()
    for (let i = 0; i < 1500; i++) bench.store.append(message({ text: `${i}`.padEnd(150), queueId: i % 2 }), false, () => {})
    await bench.sim.world.run(5_000)
    // Exactly one chunk of entries: nothing of it is left but the memory of how far the queue had come.
    await bench.append(...Array.from({ length: 256 }, () => message({ topic: 'early', text: 'gone' })))
    await bench.append(...Array.from({ length: 40 }, () => message({ text: 'filler'.padEnd(400) })))
    await bench.sim.world.run(3_700_000)
    await bench.append(message({ text: 'new' }))
    const min = bench.store.minOffset('orders', 0)
    expect(min).toBeGreaterThan(600)
    expect(bench.store.minPhysicalOffset).toBeGreaterThan(8192 * 5)
    const texts = await bench.readAll()
    expect(texts.at(-1)).toBe('new')
    expect(bench.store.maxOffset('orders', 0) - min).toBe(texts.length)
    const tooSmall = await bench.store.read({ topic: 'orders', queueId: 0, offset: 0, maxMessages: 1, maxBytes: 1 })
    expect(tooSmall).toMatchObject({ status: 'offset-too-small', nextOffset: min })
    expect(bench.store.minOffset('early', 0)).toBe(256)
    await bench.sim.world.run(600_000)
    expect(bench.node.disk.list(`${ROOT}/commitlog/expired`)).toEqual([])
    await bench.close()
    await bench.open()
    expect(bench.store.minOffset('orders', 0)).toBe(min)
    expect(await bench.readAll()).toEqual(texts)
    // A queue whose messages have all expired goes on where it was.
    const [next] = await bench.append(message({ topic: 'early', text: 'again' }))
    expect(next?.queueOffset).toBe(256)
    expect(await bench.readAll('early')).toEqual(['again'])
    await bench.close()
  })
})

test('a store on a disk without a free byte opens, serves what it has, and says why it refuses', async () => {
  const bench = new Bench()
  await bench.open()
  await bench.append(message({ text: 'kept' }))
  bench.kill()
  bench.node.disk.setCapacity(1)
  await bench.open()
  expect(await bench.readAll()).toEqual(['kept'])
  const [refused] = await bench.append(message({ text: 'more' }))
  expect(refused?.status).toBe('not-available')
  expect(refused?.reason).toMatch(/disk is full: 0 MiB/)
  bench.node.disk.setCapacity(1e9)
  await bench.sim.world.run(11_000)
  expect((await bench.append(message({ text: 'more' })))[0]).toMatchObject({ status: 'ok', queueOffset: 1 })
  await bench.close()
})

test('a deletion behind the end that a crash left, and no room to write that down: the store opens, and later loses nothing by it', async () => {
  const bench = new Bench()
  await bench.open()
  await bench.append(message({ text: 'kept' }))
  const [cutAt] = await bench.append(message({ topic: 'old', text: 'deleted'.padEnd(2000) }))
  bench.store.deleteTopic('old')
  bench.kill()
  // The log loses its end, the file of deletions does not.
  write(bench.node.disk, LOG, new Uint8Array(4096), cutAt?.physicalOffset ?? 0)
  bench.node.disk.setCapacity(1)
  await bench.open()
  expect(await bench.readAll()).toEqual(['kept'])
  expect((await bench.append(message({ topic: 'old', text: 'too early' })))[0]?.reason).toMatch(/disk is full.*deleted-topics\.json/)
  expect(() => bench.store.deleteTopic('orders')).toThrow('ENOSPC')
  expect(await bench.readAll()).toEqual(['kept'])
  bench.node.disk.setCapacity(1e9)
  await bench.sim.world.run(11_000)
  expect((await bench.append(message({ topic: 'old', text: 'new' })))[0]?.status).toBe('ok')
  bench.kill()
  bench.node.disk.remove(`${ROOT}/skylark/views`)
  await bench.open()
  expect(await bench.readAll('old')).toEqual(['new'])
  await bench.close()
})

test('a segment missing in the middle is named', async () => {
  const bench = new Bench(1, { segmentBytes: 4096 })
  await bench.open()
  for (let i = 0; i < 8; i++) await bench.append(message({ body: Buffer.alloc(2000) }))
  await bench.close()
  bench.node.disk.remove(`${ROOT}/commitlog/00000000000000004096`)
  await expect(bench.open()).rejects.toThrow(/commitlog\/00000000000000004096 is missing between/)
})
