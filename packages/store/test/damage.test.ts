/**
 * A disk that rots: one bit is wrong, anywhere. What is served is never wrong, every other message is there at its offset, and somebody
 * can read where it was.
 */
import { describe, expect, test } from 'vitest'
import { Bench, message, OPTIONS, properties, ROOT } from './support/fixture.ts'
import type { Snapshot } from './support/snapshot.ts'
import { restored, snapshot, write } from './support/snapshot.ts'

const SMALL = { ...OPTIONS, segmentBytes: 4096, memoryBytes: 0 }
const LOG = `${ROOT}/commitlog/00000000000000000000`
const VIEWS = `${ROOT}/skylark/views`
const ALL = { max: 100, beginMs: 0, endMs: 8e15 }
const COUNT = 3

/** Two queues and a key for each message, so that every way to it can be tried. */
const sent = (n: number) =>
  message({ queueId: n % 2, text: `text ${n}`, properties: properties({ KEYS: `key${n}`, TAGS: 't', UNIQ_KEY: `id${n}` }) })

interface Original {
  readonly files: Snapshot
  readonly records: readonly Buffer[]
  readonly offsets: readonly number[]
  readonly end: number
}

/** Some messages; the first two are behind a checkpoint, and all of them after a clean stop. */
async function original(stop: 'clean' | 'killed'): Promise<Original> {
  const bench = new Bench(1, SMALL)
  await bench.open()
  const offsets: number[] = []
  for (let n = 0; n < COUNT; n++) {
    if (n === 2) await bench.sim.world.run(1_500)
    const [result] = await bench.append(sent(n))
    offsets.push(result?.physicalOffset ?? -1)
  }
  const records = offsets.map((offset) => Buffer.from(bench.store.readRecordAt(offset) ?? []))
  const end = bench.store.maxPhysicalOffset
  if (stop === 'clean') await bench.close()
  else bench.kill()
  return { files: snapshot(bench.node.disk), records, offsets, end }
}

/** Opens the store with one bit flipped; returns the numbers of the messages that some way does not give. Fails when one gives another. */
async function lostWith(found: Original, path: string, position: number): Promise<{ lost: Set<number>; told: string }> {
  const bench = restored(found.files, SMALL)
  const byte = found.files.get(path)?.[position] ?? 0
  write(bench.node.disk, path, Uint8Array.of(byte ^ (1 << (position % 8))), position)
  await bench.open()
  const lost = new Set<number>()
  const served: Buffer[] = []
  for (const queueId of [0, 1]) {
    for (let offset = bench.store.minOffset('orders', queueId); offset < bench.store.maxOffset('orders', queueId); ) {
      const request = { topic: 'orders', queueId, offset, maxMessages: 32, maxBytes: 262_144 }
      const result = await bench.run(Promise.resolve(bench.store.read(request)))
      for (let at = 0; at < result.body.length; ) {
        const size = Buffer.from(result.body).readInt32BE(at)
        served.push(Buffer.from(result.body.subarray(at, at + size)))
        at += size
      }
      expect(result.nextOffset).toBeGreaterThan(offset)
      offset = result.nextOffset
    }
  }
  // Nothing but what was written, byte for byte.
  for (const record of served) expect(found.records.some((other) => other.equals(record))).toBe(true)
  expect(new Set(served.map((record) => record.toString('hex'))).size).toBe(served.length)
  for (const [n, record] of found.records.entries()) {
    const byPosition = bench.store.readRecordAt(found.offsets[n] as number)
    if (byPosition !== undefined) expect(record.equals(byPosition)).toBe(true)
    const isServed = served.some((other) => other.equals(record))
    const isFound = ['key', 'id'].every((kind) => bench.store.queryByKey('orders', `${kind}${n}`, ALL)[0] === found.offsets[n])
    if (!isServed || byPosition === undefined || !isFound) lost.add(n)
  }
  // The queues go on where they were: an offset is never given twice.
  const next = await bench.append(message({ queueId: 0, text: 'next' }), message({ queueId: 1, text: 'next' }))
  expect(next.map((result) => result.status)).toEqual(['ok', 'ok'])
  expect(lost.has(2) ? [1, 2] : [2]).toContain(next[0]?.queueOffset)
  expect(lost.has(1) ? [0, 1] : [1]).toContain(next[1]?.queueOffset)
  const told = `${bench.store.recovery.text} ${JSON.stringify(bench.store.recovery)} ${bench.sim.world.report()}`
  bench.kill()
  return { lost, told }
}

describe('a bit flipped at every byte', () => {
  test.each(['clean', 'killed'] as const)(
    'of the log after a %s stop costs the message that it is in, and is told',
    async (stop) => {
      const found = await original(stop)
      for (let position = 0; position < found.end; position++) {
        const { lost, told } = await lostWith(found, LOG, position)
        const owner = found.offsets.findLastIndex((offset) => offset <= position)
        expect([position, ...lost]).toEqual([position, owner])
        expect(told, `position ${position}`).toContain(String(found.offsets[owner]))
        expect(told).toMatch(/damaged|was cut/)
      }
    },
    180_000,
  )

  test.each([
    ['topics', 'clean'],
    ['chunks.headers', 'clean'],
    ['chunks.data', 'clean'],
    ['checkpoint', 'clean'],
    ['chunks.headers', 'killed'],
    ['chunks.data', 'killed'],
    ['checkpoint', 'killed'],
    ['tail.0', 'killed'],
    ['tail.1', 'killed'],
  ] as const)(
    'of %s after a %s stop costs nothing',
    async (name, stop) => {
      const found = await original(stop)
      const bytes = found.files.get(`${VIEWS}/${name}`) as Uint8Array
      for (let position = 0; position < bytes.length; position++) {
        // What was never written cannot be wrong; of long runs of it a sample is enough.
        if (
          bytes[position] === 0 &&
          bytes.subarray(Math.max(0, position - 8), position + 8).every((byte) => byte === 0) &&
          position % 997 > 0
        )
          continue
        const { lost } = await lostWith(found, `${VIEWS}/${name}`, position)
        expect([name, position, ...lost]).toEqual([name, position])
      }
    },
    180_000,
  )

  test.each(['clean', 'killed'] as const)(
    'of the key index after a %s stop costs nothing',
    async (stop) => {
      const found = await original(stop)
      const path = [...found.files.keys()].find((name) => name.endsWith('.index')) as string
      const bytes = found.files.get(path) as Uint8Array
      const entries = bytes.findIndex((byte, position) => position > 64 && byte !== 0)
      for (let position = 0; position < bytes.length; position++) {
        if (position < entries - 16 && position % 65_521 > 0) continue
        const { lost } = await lostWith(found, path, position)
        expect([position, ...lost]).toEqual([position])
      }
    },
    180_000,
  )
})

describe('the views are gone, and of a hundred messages one', () => {
  const TEXTS = Array.from({ length: 100 }, (_, n) => `text ${n}`)

  async function hundred() {
    const bench = new Bench(1, { ...SMALL, segmentBytes: 64 * 1024 })
    await bench.open()
    const results = await bench.append(...TEXTS.map((text) => message({ text })))
    await bench.close()
    const files = snapshot(bench.node.disk)
    return { at: (n: number) => results[n]?.physicalOffset ?? 0, again: () => restored(files, bench.options) }
  }

  async function expectAllBut(n: number, bench: Bench): Promise<void> {
    bench.node.disk.remove(VIEWS)
    await bench.open()
    const places = await bench.readPlaces()
    expect([...places]).toEqual([...TEXTS.entries()].filter(([offset]) => offset !== n))
    expect((await bench.append(message({ text: 'next' })))[0]?.queueOffset).toBe(100)
  }

  // A message cannot have more predecessors than fit before it; what is wrong by more is seen by that.
  test.each([40, 64, 95])('is wrong in its queue offset %i: none of the others is lost', async (n) => {
    const { at, again } = await hundred()
    for (const bit of [1, 2, 4, 8, 16, 32]) {
      const bench = again()
      write(bench.node.disk, LOG, Uint8Array.of(n ^ bit), at(n) + 27)
      await expectAllBut(n, bench)
      expect(bench.store.readRecordAt(at(n))).toBeUndefined()
      const told = bench.store.recovery.damaged.map(({ offset, why }) => ({ offset, why: /queue offset \d+/.exec(why)?.[0] }))
      // One that names an earlier place looks like a repetition.
      expect(told).toEqual((n ^ bit) > n ? [{ offset: at(n), why: `queue offset ${n ^ bit}` }] : [])
      bench.kill()
    }
  })

  test.each([0, 50, 98])('is damaged, number %i: the next one is where it was, also when it is the only one that follows', async (n) => {
    const { at, again } = await hundred()
    const bench = again()
    write(bench.node.disk, LOG, Uint8Array.of(1), at(n) + 88)
    await expectAllBut(n, bench)
    expect(bench.store.recovery.damaged).toMatchObject([{ offset: at(n) }])
    bench.kill()
  })
})

test('a queue whose newest message is damaged before a checkpoint knows of it does not give the place to another', async () => {
  const bench = new Bench(1, SMALL)
  await bench.open()
  await bench.append(message({ queueId: 0 }))
  await bench.sim.world.run(1_500)
  const [newest] = await bench.append(message({ queueId: 1, text: 'consumed' }), message({ queueId: 0 }))
  bench.kill()
  // A byte of the body.
  write(bench.node.disk, LOG, Uint8Array.of(0), (newest?.physicalOffset ?? 0) + 90)
  await bench.open()
  expect(bench.store.recovery.damaged).toMatchObject([{ offset: newest?.physicalOffset, why: 'CRC of the body does not match' }])
  await bench.close()
  await bench.open()
  expect(bench.store.maxOffset('orders', 1)).toBe(1)
  const [next] = await bench.append(message({ queueId: 1, text: 'next' }))
  expect(next?.queueOffset).toBe(1)
  expect([...(await bench.readPlaces('orders', 1))]).toEqual([[1, 'next']])
  await bench.close()
})
