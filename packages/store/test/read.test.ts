import { decodeRecords } from '@skylarkmq/remoting/protocol'
import { beforeEach, describe, expect, test } from 'vitest'
import type { ReadRequest } from '../src/index.ts'
import { Bench, message, properties } from './support/fixture.ts'

const request = (overrides: Partial<ReadRequest> = {}): ReadRequest => ({
  topic: 'orders',
  queueId: 0,
  offset: 0,
  maxMessages: 32,
  maxBytes: 262_144,
  ...overrides,
})

let bench: Bench
beforeEach(async () => {
  bench = new Bench()
  await bench.open()
})

describe('reading a queue', () => {
  test('says what is wrong with an offset, and where to go on, as RocketMQ does', async () => {
    expect(await bench.store.read(request())).toMatchObject({ status: 'no-matched-logic-queue', nextOffset: 0 })
    await bench.append(message(), message(), message())
    expect(await bench.store.read(request({ offset: 3 }))).toMatchObject({ status: 'offset-overflow-one', nextOffset: 3, maxOffset: 3 })
    expect(await bench.store.read(request({ offset: 9 }))).toMatchObject({ status: 'offset-overflow-badly', nextOffset: 3 })
    expect(await bench.store.read(request({ offset: -1 }))).toMatchObject({ status: 'offset-too-small', nextOffset: 0 })
    expect(await bench.store.read(request({ queueId: 5 }))).toMatchObject({ status: 'no-matched-logic-queue' })
  })

  test('stops at the number of messages and at the bytes, but gives the first message whatever its size', async () => {
    for (let i = 0; i < 10; i++) await bench.append(message({ body: Buffer.alloc(1000) }))
    expect(await bench.store.read(request({ maxMessages: 4 }))).toMatchObject({ messageCount: 4, nextOffset: 4 })
    expect(await bench.store.read(request({ maxBytes: 3300 }))).toMatchObject({ messageCount: 3, nextOffset: 3 })
    expect(await bench.store.read(request({ maxBytes: 10 }))).toMatchObject({ messageCount: 1, nextOffset: 1 })
  })

  test('a body that was lent stays what it is until it is given back; then its memory serves the next', async () => {
    for (let i = 0; i < 10; i++) await bench.append(message({ text: `m${i}` }))
    const lent = async (offset: number) => await bench.store.read(request({ offset, maxMessages: 2, lendsBody: true }))
    const texts = (body: Uint8Array) => decodeRecords(Buffer.from(body)).map((record) => Buffer.from(record.body).toString())
    const [first, second] = [await lent(0), await lent(2)]
    expect([texts(first.body), texts(second.body)]).toEqual([
      ['m0', 'm1'],
      ['m2', 'm3'],
    ])
    first.release?.()
    // Once too often harms nobody.
    first.release?.()
    const [third, fourth] = [await lent(4), await lent(6)]
    const place = ({ body }: { readonly body: Uint8Array }) => [body.buffer, body.byteOffset]
    expect(place(third)).toEqual(place(first))
    expect(place(fourth)).not.toEqual(place(third))
    expect([texts(second.body), texts(third.body), texts(fourth.body)]).toEqual([
      ['m2', 'm3'],
      ['m4', 'm5'],
      ['m6', 'm7'],
    ])
  })

  test('filters by tag through the queue entries alone, and looks at no more than 800 of them', async () => {
    const hash = (text: string) => [...text].reduce((h, c) => (Math.imul(h, 31) + c.charCodeAt(0)) | 0, 0)
    for (let i = 0; i < 1000; i++) bench.store.append(message({ text: `${i}`, tags: i === 900 ? 'größe' : 'other' }), false, () => {})
    bench.store.commitTurn()
    const entryFilter = (code: number) => code === hash('größe')
    expect(await bench.store.read(request({ entryFilter }))).toMatchObject({ status: 'no-matched-message', nextOffset: 800 })
    const second = await bench.store.read(request({ offset: 800, entryFilter }))
    expect(second).toMatchObject({ status: 'found', messageCount: 1, nextOffset: 1000 })
    expect(Buffer.from(decodeRecords(Buffer.from(second.body))[0]?.body ?? []).toString()).toBe('900')
  })

  test('filters by the record itself, and goes on past what did not match', async () => {
    for (let i = 0; i < 100; i++) await bench.append(message({ text: `${i}` }))
    const recordFilter = (record: Uint8Array) =>
      Number(Buffer.from(decodeRecords(Buffer.from(record))[0]?.body ?? []).toString()) % 10 === 0
    const read = await bench.store.read(request({ recordFilter, maxMessages: 5 }))
    expect(read).toMatchObject({ status: 'found', messageCount: 5 })
    expect(decodeRecords(Buffer.from(read.body)).map((record) => record.queueOffset)).toEqual([0, 10, 20, 30, 40])
    const rest = await bench.store.read(request({ recordFilter, offset: read.nextOffset }))
    expect(decodeRecords(Buffer.from(rest.body)).map((record) => record.queueOffset)).toEqual([50, 60, 70, 80, 90])
  })

  test('a tag that is a delay level becomes a delivery time in the schedule topic only', async () => {
    const delayed = { properties: properties({ DELAY: '2', TAGS: 'x' }) }
    const [result] = await bench.append(message({ topic: 'SCHEDULE_TOPIC_XXXX', queueId: 1, ...delayed }), message(delayed))
    const codes: number[] = []
    const entryFilter = (code: number) => codes.push(code) > 0
    await bench.store.read(request({ topic: 'SCHEDULE_TOPIC_XXXX', queueId: 1, entryFilter }))
    await bench.store.read(request({ entryFilter }))
    expect(codes).toEqual([(result?.storeTimestamp ?? 0) + 5_000, 'x'.charCodeAt(0)])
  })

  test('arrivals are announced once per queue and turn, with the newest tag', async () => {
    const seen: unknown[] = []
    bench.store.onArrival((...arrival) => seen.push(arrival))
    await bench.append(message({ tags: 'a' }), message({ tags: 'b' }), message({ queueId: 3 }))
    expect(seen).toEqual([
      ['orders', 0, 2, 98],
      ['orders', 3, 1, 0],
    ])
  })
})

test('messages that left the ring are read from the file, near ones at once and old ones off the main thread, and are the same', async () => {
  const big = new Bench(3, { segmentBytes: 64 * 1024 * 1024, maxMessageBytes: 4 * 1024 * 1024 })
  await big.open()
  const megabyte = 1024 * 1024
  for (let i = 0; i < 160; i++) {
    await big.append(message({ queueId: i % 2, body: Buffer.alloc(megabyte, i) }))
  }
  const cold = big.store.read(request({ maxMessages: 3, maxBytes: 10 * megabyte }))
  expect(cold).toBeInstanceOf(Promise)
  const first = await big.run(Promise.resolve(cold))
  expect(decodeRecords(Buffer.from(first.body)).map((record) => [record.queueOffset, record.body[5], record.body.length])).toEqual([
    [0, 0, megabyte],
    [1, 2, megabyte],
    [2, 4, megabyte],
  ])
  const recent = big.store.read(request({ offset: 60, maxBytes: megabyte }))
  expect(recent).not.toBeInstanceOf(Promise)
  const near = await recent
  expect(decodeRecords(Buffer.from(near.body))[0]?.body[0]).toBe(120)
  const tail = await big.store.read(request({ offset: 79 }))
  expect(decodeRecords(Buffer.from(tail.body))[0]?.body[0]).toBe(158)
  await big.close()
}, 30_000)

describe('offsets by time', () => {
  test('lower is the first at or after a time, upper the last at or before, both within the queue', async () => {
    const times: number[] = []
    for (let i = 0; i < 5; i++) {
      const results = await bench.append(message(), message())
      times.push(results[0]?.storeTimestamp ?? 0)
      await bench.sim.world.run(1_000)
    }
    const at = (time: number, boundary: 'lower' | 'upper') => bench.store.offsetByTime('orders', 0, time, boundary)
    const third = times[2] as number
    expect([at(third, 'lower'), at(third, 'upper')]).toEqual([4, 5])
    expect([at(third + 1, 'lower'), at(third + 1, 'upper')]).toEqual([6, 5])
    expect([at(0, 'lower'), at(0, 'upper')]).toEqual([0, 0])
    expect([at(8e15, 'lower'), at(8e15, 'upper')]).toEqual([10, 9])
    expect(bench.store.earliestStoreTime('orders', 0)).toBe(times[0])
    expect(bench.store.storeTimestamp('orders', 0, 9)).toBe(times[4])
    expect(bench.store.storeTimestamp('orders', 0, 10)).toBe(-1)
    expect(bench.store.earliestStoreTime('nowhere', 0)).toBe(-1)
  })
})

describe('readRecordAt', () => {
  test('gives a record only for the place where one starts', async () => {
    const results = await bench.append(message({ text: 'one' }), message({ text: 'two' }))
    const second = results[1]?.physicalOffset ?? -1
    expect(decodeRecords(Buffer.from(bench.store.readRecordAt(second) ?? []))[0]?.physicalOffset).toBe(second)
    for (let offset = 1; offset < second; offset++) expect(bench.store.readRecordAt(offset)).toBeUndefined()
    for (const offset of [-1, 1.5, Number.NaN, bench.store.maxPhysicalOffset, 1e15])
      expect(bench.store.readRecordAt(offset)).toBeUndefined()
  })
})

describe('messages by key', () => {
  test('are found by each word of KEYS and by UNIQ_KEY, newest first, in the topic and time asked for', async () => {
    const keyed = (keys: string, id: string) => message({ properties: properties({ KEYS: keys, UNIQ_KEY: id }) })
    const [first] = await bench.append(keyed('a b', 'id1'))
    await bench.sim.world.run(1_000)
    const [second, other] = await bench.append(keyed('b', 'id2'), message({ topic: 'payments', properties: properties({ KEYS: 'b' }) }))
    const all = { max: 32, beginMs: 0, endMs: 8e15 }
    const [p1, p2] = [first?.physicalOffset, second?.physicalOffset]
    const check = () => {
      expect(bench.store.queryByKey('orders', 'b', all)).toEqual([p2, p1])
      expect(bench.store.queryByKey('orders', 'a', all)).toEqual([p1])
      expect(bench.store.queryByKey('orders', 'id2', all)).toEqual([p2])
      expect(bench.store.queryByKey('orders', 'a b', all)).toEqual([])
      expect(bench.store.queryByKey('payments', 'b', all)).toEqual([other?.physicalOffset])
      expect(bench.store.queryByKey('orders', 'b', { ...all, max: 1 })).toEqual([p2])
      expect(bench.store.queryByKey('orders', 'b', { ...all, endMs: first?.storeTimestamp ?? 0 })).toEqual([p1])
      expect(bench.store.queryByKey('orders', 'b', { ...all, beginMs: (first?.storeTimestamp ?? 0) + 1 })).toEqual([p2])
    }
    check()
    await bench.sim.world.run(3_000)
    bench.kill()
    await bench.open()
    check()
    await bench.close()
    await bench.open()
    check()
  })
})

describe('a deleted topic', () => {
  test('is gone from queues, reads, keys and places; made again it starts at 0, also after the views were rebuilt', async () => {
    const key = { properties: properties({ KEYS: 'k' }) }
    const [old] = await bench.append(message({ text: 'old', ...key }), message({ text: 'old 2' }), message({ topic: 'kept', text: 'kept' }))
    bench.store.deleteTopic('orders')
    const all = { max: 32, beginMs: 0, endMs: 8e15 }
    const gone = () => {
      expect(bench.store.queues().has('kept')).toBe(true)
      expect(bench.store.readRecordAt(old?.physicalOffset ?? -1)).toBeUndefined()
    }
    gone()
    expect(bench.store.queues().has('orders')).toBe(false)
    expect(bench.store.maxOffset('orders', 0)).toBe(0)
    expect(bench.store.queryByKey('orders', 'k', all)).toEqual([])
    const [made] = await bench.append(message({ text: 'new', ...key }))
    expect(made?.queueOffset).toBe(0)
    const check = async () => {
      gone()
      expect(await bench.readAll()).toEqual(['new'])
      expect(bench.store.queryByKey('orders', 'k', all)).toEqual([made?.physicalOffset])
    }
    await check()
    bench.kill()
    await bench.open()
    await check()
    await bench.close()
    bench.node.disk.remove('/data/store/skylark/views')
    await bench.open()
    await check()
    expect(await bench.readAll('kept')).toEqual(['kept'])
  })

  test('deleted and made again within one turn: what was appended before is not shown, what came after is', async () => {
    bench.store.append(message({ text: 'before' }), false, () => {})
    bench.store.deleteTopic('orders')
    const [after] = await bench.append(message({ text: 'after' }))
    expect(after?.queueOffset).toBe(0)
    expect(await bench.readAll()).toEqual(['after'])
  })

  test('whose deletion outlived the log behind it (power cut) does not swallow what comes after', async () => {
    await bench.append(message({ text: 'old' }))
    bench.store.deleteTopic('orders')
    bench.kill()
    // Of the log nothing reached the disk.
    const log = bench.node.disk.open('/data/store/commitlog/00000000000000000000')
    log.write(new Uint8Array(4096), 0, 4096, 0)
    log.close()
    await bench.open()
    const [made] = await bench.append(message({ text: 'new' }))
    expect(made).toMatchObject({ physicalOffset: 0, queueOffset: 0 })
    bench.kill()
    bench.node.disk.remove('/data/store/skylark/views')
    await bench.open()
    expect(await bench.readAll()).toEqual(['new'])
  })
})
