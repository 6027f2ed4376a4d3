/**
 * A disk that rots: one bit is wrong, anywhere. What is served is never wrong, every other message is there at its offset, and somebody
 * can read where it was.
 */
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { Bench, message, OPTIONS, properties, ROOT } from './support/fixture.ts'
import type { Snapshot } from './support/snapshot.ts'
import { restored, snapshot, write } from './support/snapshot.ts'

const SMALL = { ...OPTIONS, segmentBytes: 4096, memoryBytes: 0 }
const LOG = `${ROOT}/commitlog/00000000000000000000`
const SECOND_LOG = `${ROOT}/commitlog/00000000000000000448`
const VIEWS = `${ROOT}/skylark/views`
const ALL = { max: 100, beginMs: 0, endMs: 8e15 }
const COUNT = 3
const utf8 = new TextEncoder()

/** Two queues and a key for each message, so that every way to it can be tried. */
const sent = (n: number) =>
  message({ queueId: n % 2, text: `text ${n}`, properties: properties({ KEYS: `key${n}`, TAGS: 't', UNIQ_KEY: `id${n}` }) })

interface Original {
  readonly files: Snapshot
  readonly records: readonly Buffer[]
  readonly offsets: readonly number[]
  readonly end: number
  readonly options: typeof SMALL
}

/** Some messages; the first two are behind a checkpoint, and all of them after a clean stop. */
async function original(stop: 'clean' | 'killed', options = SMALL, make = sent): Promise<Original> {
  const bench = new Bench(1, options)
  await bench.open()
  const offsets: number[] = []
  for (let n = 0; n < COUNT; n++) {
    if (n === 2) await bench.sim.world.run(1_500)
    const [result] = await bench.append(make(n))
    offsets.push(result?.physicalOffset ?? -1)
  }
  const records = offsets.map((offset) => Buffer.from(bench.store.readRecordAt(offset) ?? []))
  const end = bench.store.maxPhysicalOffset
  if (stop === 'clean') await bench.close()
  else bench.kill()
  return { files: snapshot(bench.node.disk), records, offsets, end, options }
}

interface Fault {
  readonly path: string
  readonly position: number
  /** What else befalls the store before it is opened. */
  readonly also?: ((bench: Bench) => void) | undefined
  /** The process that opens it is killed at once, before its first checkpoint. */
  readonly killedAgain?: boolean | undefined
}

/** Opens the store with one bit flipped; returns the numbers of the messages that some way does not give. Fails when one gives another. */
async function lostWith(found: Original, { path, position, also, killedAgain }: Fault): Promise<{ lost: Set<number>; told: string }> {
  const bench = restored(found.files, found.options)
  const byte = found.files.get(path)?.[position] ?? 0
  write(bench.node.disk, path, Uint8Array.of(byte ^ (1 << (position % 8))), position)
  also?.(bench)
  await bench.open()
  let told = `${bench.store.recovery.text} ${JSON.stringify(bench.store.recovery)}`
  if (killedAgain === true) {
    bench.kill()
    await bench.open()
  }
  const lost = new Set<number>()
  const served: Buffer[] = []
  for (const queueId of [0, 1]) {
    for (let offset = bench.store.minOffset('orders', queueId); offset < bench.store.maxOffset('orders', queueId); ) {
      // As consumers read, and as the store itself does: they are checked by different code.
      const request = { topic: 'orders', queueId, offset, maxMessages: 32, maxBytes: 262_144, lendsBody: position % 3 !== 0 }
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
  told += ` ${JSON.stringify(bench.store.recovery)} ${bench.sim.world.report()}`
  bench.kill()
  return { lost, told }
}

/** As Apache's broker leaves the properties: its own added in front, no separator at the end, a checksum over the record. */
const sentToApache = (n: number) =>
  message({
    queueId: n % 2,
    text: `text ${n}`,
    properties: utf8.encode(`WAIT\u0001true\u0002UNIQ_KEY\u0001id${n}\u0002TAGS\u0001t\u0002KEYS\u0001key${n}`),
  })

const removeViews = (bench: Bench): void => bench.node.disk.remove(VIEWS)
/** Of three messages two are in the first segment, which is complete. */
const TWO_SEGMENTS = { ...SMALL, segmentBytes: 448 }

describe('a bit flipped at every byte', () => {
  test.each([
    ['a clean stop', 'clean', SMALL, sent, {}],
    ['a kill, and a second one before the first checkpoint', 'killed', SMALL, sent, { killedAgain: true }],
    ['a clean stop and the loss of all views', 'clean', SMALL, sentToApache, { also: removeViews }],
    ['a kill and the loss of all views, in two segments', 'killed', TWO_SEGMENTS, sent, { also: removeViews, killedAgain: true }],
    ['a clean stop, in two segments', 'clean', TWO_SEGMENTS, sentToApache, {}],
  ] as const)(
    'of the log after %s costs the message that it is in, and is told',
    async (_after, stop, options, make, fault) => {
      const found = await original(stop, options, make)
      const firstEnd = Math.min(found.end, options.segmentBytes)
      for (let position = 0; position < found.end; position++) {
        const owner = found.offsets.findLastIndex((offset) => offset <= position)
        const isRecord = position < (found.offsets[owner] ?? 0) + (found.records[owner]?.length ?? 0)
        // Behind the last record of a complete segment: its marker, and what was never written.
        if (!isRecord && position > firstEnd - 8) continue
        const path = position < firstEnd ? LOG : SECOND_LOG
        const { lost, told } = await lostWith(found, { path, position: position % options.segmentBytes, ...fault })
        expect([position, ...lost]).toEqual(isRecord ? [position, owner] : [position])
        if (!isRecord) continue
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
    ['../journal/00000000000000000000', 'clean'],
    ['../journal/00000000000000000000', 'killed'],
  ] as const)(
    'of %s after a %s stop costs nothing',
    async (name, stop) => {
      const found = await original(stop)
      const path = join(VIEWS, name)
      const bytes = found.files.get(path) as Uint8Array
      const also = name.includes('journal') && stop === 'clean' ? removeViews : undefined
      for (let position = 0; position < bytes.length; position++) {
        // What was never written cannot be wrong; of long runs of it a sample is enough.
        if (
          bytes[position] === 0 &&
          bytes.subarray(Math.max(0, position - 8), position + 8).every((byte) => byte === 0) &&
          position % 997 > 0
        )
          continue
        const { lost } = await lostWith(found, { path, position, also })
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
        const { lost } = await lostWith(found, { path, position })
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
    return {
      end: bench.store.maxPhysicalOffset,
      files,
      at: (n: number) => results[n]?.physicalOffset ?? 0,
      again: () => restored(files, bench.options),
    }
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
      expect(bench.store.recovery.damaged).toMatchObject([
        { offset: at(n), why: expect.stringMatching(/^fields outside the body differ|^queue offset/) },
      ])
      bench.kill()
    }
  })

  test.each([40, 64, 95])(
    'is wrong in its queue offset %i, in a log that this store has never seen: it is told all the same',
    async (n) => {
      const { at, again } = await hundred()
      for (const bit of [1, 2, 4, 8, 16, 32]) {
        const bench = again()
        write(bench.node.disk, LOG, Uint8Array.of(n ^ bit), at(n) + 27)
        bench.node.disk.remove(`${ROOT}/skylark`)
        await expectAllBut(n, bench)
        const { damaged, text } = bench.store.recovery
        const told = damaged.map(({ offset, why }) => ({ offset, why: /queue offset \d+/.exec(why)?.[0] }))
        // One that names an earlier place looks like a repetition.
        expect(told).toEqual((n ^ bit) > n ? [{ offset: at(n), why: `queue offset ${n ^ bit}` }] : [])
        if ((n ^ bit) < n) expect(text).toContain(`1 record names a place in its queue that an earlier one has, the first at ${at(n)}`)
        bench.kill()
      }
    },
  )

  test.each([
    ['queue', 15, 1],
    ['topic', 97, 4],
  ])('says that it is in another %s: it is not put there', async (_what, at, bit) => {
    const { at: positionOf, again } = await hundred()
    const bench = again()
    const file = bench.node.disk.open(LOG)
    const byte = new Uint8Array(1)
    file.readNow(byte, 0, 1, positionOf(50) + at)
    file.close()
    write(bench.node.disk, LOG, Uint8Array.of((byte[0] as number) ^ bit), positionOf(50) + at)
    await expectAllBut(50, bench)
    expect([...bench.store.queues()]).toEqual([['orders', [0]]])
    expect(bench.store.recovery.damaged).toMatchObject([{ offset: positionOf(50) }])
    bench.kill()
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

test.each([
  ['and the start after that', 'closed'],
  ['and that start is killed before its first checkpoint', 'killed'],
  ['and later all views are gone', 'lost'],
])(
  'a queue whose newest message is damaged before a checkpoint knows of it, %s, does not give the place to another',
  async (_and, then) => {
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
    if (then === 'killed') bench.kill()
    else await bench.close()
    if (then === 'lost') removeViews(bench)
    await bench.open()
    expect(bench.store.recovery.damaged).toEqual([])
    expect(bench.store.maxOffset('orders', 1)).toBe(1)
    const [next] = await bench.append(message({ queueId: 1, text: 'next' }))
    expect(next?.queueOffset).toBe(1)
    expect([...(await bench.readPlaces('orders', 1))]).toEqual([[1, 'next']])
    await bench.close()
  },
)

test.each([
  ['its time of birth', 45, 'closed'],
  ['its time of birth', 45, 'killed'],
  ['its time of birth', 45, 'lost'],
  ['its own position', 35, 'closed'],
])('a queue whose newest message is damaged in %s (byte %i; %s) does not give the place to another', async (_where, at, then) => {
  const bench = new Bench(1, SMALL)
  await bench.open()
  const [, newest] = await bench.append(message({ text: 'first' }), message({ text: 'consumed' }), message({ queueId: 1 }))
  bench.kill()
  write(bench.node.disk, LOG, Uint8Array.of(1), (newest?.physicalOffset ?? 0) + at)
  await bench.open()
  expect(bench.store.recovery.damaged).toMatchObject([{ offset: newest?.physicalOffset }])
  expect(bench.store.maxOffset('orders', 0)).toBe(2)
  if (then === 'killed') bench.kill()
  else await bench.close()
  if (then === 'lost') removeViews(bench)
  await bench.open()
  expect(bench.store.recovery.damaged).toEqual([])
  expect((await bench.append(message({ text: 'next' })))[0]?.queueOffset).toBe(2)
  expect([...(await bench.readPlaces())]).toEqual([
    [0, 'first'],
    [2, 'next'],
  ])
  await bench.close()
})

test('a message that is damaged in its queue takes no place from another there', async () => {
  const bench = new Bench(1, SMALL)
  await bench.open()
  const here = message({ text: 'here' })
  const there = message({ queueId: 1, text: 'there' })
  const results = await bench.append(here, there, here, there)
  bench.kill()
  // The third says that it is the second of the other queue, and so does the fourth.
  write(bench.node.disk, LOG, Uint8Array.of(1), (results[2]?.physicalOffset ?? 0) + 15)
  await bench.open()
  expect([...(await bench.readPlaces('orders', 1))]).toEqual([
    [0, 'there'],
    [1, 'there'],
  ])
  expect(bench.store.maxOffset('orders', 1)).toBe(2)
  await bench.close()
})

describe("Apache's broker has cut the log and gone on", () => {
  const texts = (from: number, to: number, word: string) => Array.from({ length: to - from }, (_, n) => `${word} ${from + n}`)

  /** The log of one store under the views and the journal of another, which agree up to message `common`. */
  async function exchanged(common: number, theirs: number, word: string): Promise<Bench> {
    const logs: Snapshot[] = []
    for (const tail of [texts(common, 20, 'ours'), texts(common, theirs, word)]) {
      const bench = new Bench(1, SMALL)
      await bench.open()
      for (const text of [...texts(0, common, 'both'), ...tail]) await bench.append(message({ text }))
      bench.kill()
      logs.push(snapshot(bench.node.disk))
    }
    const bench = restored(logs[0] as Snapshot, SMALL)
    write(bench.node.disk, `${ROOT}/consumequeue/orders/0/00000000000000000000`, new Uint8Array(20))
    for (const [path, bytes] of logs[1] as Snapshot) if (path.includes('/commitlog/')) write(bench.node.disk, path, bytes)
    return bench
  }

  test.each([
    ['with messages as long as ours', 'kept', 20, 'apac'],
    ['with messages as long as ours, and the views are gone', 'gone', 30, 'apac'],
    ['with longer ones', 'kept', 20, 'of Apache'],
    ['with longer ones, and the views are gone', 'gone', 12, 'of Apache'],
  ])('%s: all that it acknowledged is served', async (_how, views, theirs, word) => {
    const bench = await exchanged(10, theirs, word)
    if (views === 'gone') removeViews(bench)
    await bench.open()
    expect(await bench.readAll()).toEqual([...texts(0, 10, 'both'), ...texts(10, theirs, word)])
    expect(bench.store.recovery.damaged).toEqual([])
    expect(bench.store.recovery.text).toContain("on the log is not what this store wrote: Apache RocketMQ's broker has cut it there")
    const [next] = await bench.append(message({ text: 'next' }))
    expect(next?.queueOffset).toBe(theirs)
    bench.kill()
    await bench.open()
    expect(bench.store.recovery.damaged).toEqual([])
    expect((await bench.readAll()).at(-1)).toBe('next')
    await bench.close()
  })
})
