import { decodeRecords } from '@skylarkmq/remoting/protocol'
import { describe, expect, test } from 'vitest'
import { Bench, message, properties, ROOT } from './support/fixture.ts'

const LOG = `${ROOT}/commitlog/00000000000000000000`

/** Writes straight into a file, as a fault would. */
function damage(bench: Bench, position: number, bytes: Uint8Array, path = LOG): void {
  const file = bench.node.disk.open(path)
  file.write(bytes, 0, bytes.length, position)
  file.close()
}

function logBytes(bench: Bench): Buffer {
  const file = bench.node.disk.open(LOG, { readOnly: true })
  const bytes = Buffer.alloc(file.sizeBytes())
  file.readNow(bytes, 0, bytes.length, 0)
  file.close()
  return bytes
}

/** Three messages, then kill -9. Returns where each begins, and the log's end. */
async function threeMessages(bench: Bench, withKeys = true): Promise<number[]> {
  await bench.open()
  const results = await bench.append(
    message({ text: 'one', tags: 'a' }),
    message({ text: 'two', properties: properties(withKeys ? { KEYS: 'k2' } : {}) }),
    message({ text: 'three' }),
  )
  const ends = [...results.map((result) => result.physicalOffset), bench.store.maxPhysicalOffset]
  bench.kill()
  return ends
}

const TEXTS = ['one', 'two', 'three']

describe('a torn tail', () => {
  test.each([
    ['zeros', 0],
    ['old bytes of something else', 0xa5],
  ])(
    'cut within the last two records, with %s behind the cut, leaves exactly the whole records before it',
    async (_what, filler) => {
      const reference = new Bench(1, { segmentBytes: 4096 })
      const starts = await threeMessages(reference, filler === 0)
      const [, second = 0, third = 0, end = 0] = starts
      const intact = logBytes(reference)
      for (let cut = second; cut < end; cut++) {
        const bench = new Bench(1, { segmentBytes: 4096 })
        await threeMessages(bench, filler === 0)
        damage(bench, cut, Buffer.alloc(filler === 0 ? 4096 - cut : Math.min(300, 4096 - cut), filler))
        await bench.open()
        // Where the lost bytes were zeros anyway, nothing is torn.
        const torn = intact.subarray(cut, end).some((byte) => byte !== filler)
        const whole = torn ? (cut < third ? 1 : 2) : 3
        expect(await bench.readAll()).toEqual(TEXTS.slice(0, whole))
        expect(bench.store.maxPhysicalOffset).toBe(starts[whole])
        const [next] = await bench.append(message({ text: 'next' }))
        expect(next).toMatchObject({ status: 'ok', queueOffset: whole, physicalOffset: starts[whole] })
        await bench.close()
        // Nothing of the torn record is left that could be read as one.
        expect(
          logBytes(bench)
            .subarray(bench.store.maxPhysicalOffset)
            .every((byte) => byte === 0),
        ).toBe(true)
        await bench.open()
        expect(await bench.readAll()).toEqual([...TEXTS.slice(0, whole), 'next'])
        await bench.close()
      }
    },
    60_000,
  )

  test('is reported: where, how much, and why', async () => {
    const bench = new Bench()
    const [, , third = 0] = await threeMessages(bench)
    damage(bench, third + 90, Uint8Array.of(0xff))
    await bench.open()
    expect(bench.store.recovery).toMatchObject({ cleanStop: false, cutAt: third, recordsChecked: 2, checkedTo: third })
    expect(bench.store.recovery.cutBytes).toBeGreaterThan(90)
    expect(bench.store.recovery.text).toContain(`At ${third} the log was cut`)
    const report: unknown = JSON.parse(bench.node.disk.readText(`${ROOT}/skylark/recovery-report.json`) ?? '')
    expect(report).toEqual(bench.store.recovery)
    await bench.close()
  })
})

test('a bit flipped at any byte of the last record never changes what is served, and never keeps the store from opening', async () => {
  const reference = new Bench(1, { segmentBytes: 4096 })
  const [, , third = 0, end = 0] = await threeMessages(reference)
  for (let at = third; at < end; at++) {
    const bench = new Bench(1, { segmentBytes: 4096 })
    await threeMessages(bench)
    const byte = logBytes(bench)[at] as number
    damage(bench, at, Uint8Array.of(byte ^ (1 << (at % 8))))
    await bench.open()
    const texts = await bench.readAll()
    // Fields that no checksum covers may differ; bodies may not.
    expect(TEXTS.slice(0, 2)).toEqual(texts.slice(0, 2))
    if (texts.length > 2) expect(texts[2]).toBe('three')
    await bench.close()
  }
}, 60_000)

test('a stale record of a reused file, whole but of another position, is not taken for a message', async () => {
  const bench = new Bench(1, { segmentBytes: 4096 })
  const [first = 0, second = 0, , end = 0] = await threeMessages(bench)
  damage(bench, end, logBytes(bench).subarray(first, second))
  await bench.open()
  expect(await bench.readAll()).toEqual(TEXTS)
  expect(bench.store.recovery).toMatchObject({ cutAt: end, recordsChecked: 3 })
  await bench.close()
})

test.each([
  ['zeros', 0],
  ['something else', 0xa5],
])(
  'the power goes as the log rolls: the end of one file and the first record of the next are %s, and what follows is served',
  async (_what, filler) => {
    const bench = new Bench(1, { segmentBytes: 448 })
    await bench.open()
    const texts = ['0', '1', '2', '3', '4', '5', '6']
    const starts = (await bench.append(...texts.map((text) => message({ text })))).map((result) => result.physicalOffset)
    const first = starts.findIndex((start) => start >= 448)
    const rolledAt = (starts[first - 1] as number) + (starts[1] as number)
    bench.kill()
    damage(bench, rolledAt, new Uint8Array(448 - rolledAt))
    damage(bench, 0, new Uint8Array(60).fill(filler), `${ROOT}/commitlog/00000000000000000448`)
    await bench.open()
    const served = await bench.readPlaces()
    expect([...served]).toEqual(texts.map((text, at) => [at, text]).filter(([at]) => at !== first))
    const [next] = await bench.append(message({ text: 'next' }))
    expect(next).toMatchObject({ status: 'ok', queueOffset: texts.length })
    await bench.close()
  },
)

describe('views', () => {
  async function filled(): Promise<Bench> {
    const bench = new Bench(5, { segmentBytes: 16 * 1024 })
    await bench.open()
    for (let i = 0; i < 700; i++) {
      const keys = properties({ KEYS: `key${i % 7}`, UNIQ_KEY: `id${i}`, TAGS: `t${i % 3}` })
      bench.store.append(
        message({ topic: i % 5 === 0 ? 'rare' : 'orders', queueId: i % 2, text: `${i}`, properties: keys }),
        false,
        () => {},
      )
      if (i % 50 === 49) await bench.sim.world.run(300)
    }
    await bench.sim.world.run(10)
    return bench
  }

  async function snapshot(bench: Bench): Promise<unknown> {
    const all: unknown[] = []
    for (const [topic, ids] of bench.store.queues()) {
      for (const id of ids) {
        all.push([topic, id, bench.store.minOffset(topic, id), bench.store.maxOffset(topic, id), await bench.readAll(topic, id)])
        const seen: number[] = []
        const entryFilter = (code: number) => seen.push(code) > 0
        await bench.store.read({ topic, queueId: id, offset: 0, maxMessages: 800, maxBytes: 1e9, entryFilter })
        all.push(seen)
      }
    }
    for (let k = 0; k < 7; k++) all.push(bench.store.queryByKey('orders', `key${k}`, { max: 1000, beginMs: 0, endMs: 8e15 }))
    all.push(bench.store.queryByKey('rare', 'id5', { max: 10, beginMs: 0, endMs: 8e15 }))
    return all
  }

  test.each([
    ['all of them', 'skylark/views'],
    ['the queues', 'skylark/views/chunks.data'],
    ['the topics', 'skylark/views/topics'],
    ['the index', 'skylark/views/index'],
    ['the checkpoint', 'skylark/views/checkpoint'],
  ])('deleted (%s) are derived again from the log, equal to what they were', async (_what, path) => {
    const bench = await filled()
    const before = await snapshot(bench)
    await bench.close()
    bench.node.disk.remove(`${ROOT}/${path}`)
    await bench.open()
    expect(await snapshot(bench)).toEqual(before)
    expect(bench.store.recovery.queuesRebuilt).toBe(4)
    await bench.close()
    await bench.open()
    expect(bench.store.recovery).toMatchObject({ queuesRebuilt: 0, recordsChecked: 0 })
    expect(await snapshot(bench)).toEqual(before)
    await bench.close()
  })

  test('after a kill only what came behind the checkpoint is read again', async () => {
    const bench = await filled()
    const before = await snapshot(bench)
    await bench.sim.world.run(2_500)
    await bench.append(message({ topic: 'late', text: 'late' }))
    bench.kill()
    await bench.open()
    expect(bench.store.recovery).toMatchObject({ cleanStop: false, recordsChecked: 1, queuesRebuilt: 0 })
    expect(await bench.readAll('late')).toEqual(['late'])
    bench.store.deleteTopic('late')
    expect(await snapshot(bench)).toEqual(before)
    await bench.close()
  })

  test('that know more than the log kept forget it', async () => {
    const bench = new Bench(1, { segmentBytes: 256 * 1024 })
    await bench.open()
    await bench.append(...Array.from({ length: 10 }, (_, i) => message({ text: `${i}`, properties: properties({ KEYS: `k${i}` }) })))
    await bench.sim.world.run(2_500)
    // What completes a chunk that is on file in part goes there at once; the log behind the checkpoint is then lost from message 100 on.
    const more = Array.from({ length: 500 }, (_, i) => message({ text: `${i + 10}`, properties: properties({ KEYS: `k${i + 10}` }) }))
    const results = await bench.append(...more)
    bench.kill()
    const cut = results[90]?.physicalOffset ?? 0
    damage(bench, cut, Buffer.alloc(256 * 1024 - cut))
    await bench.open()
    const kept = Array.from({ length: 100 }, (_, i) => `${i}`)
    expect(await bench.readAll()).toEqual(kept)
    const all = { max: 10, beginMs: 0, endMs: 8e15 }
    expect(bench.store.queryByKey('orders', 'k99', all)).toEqual([results[89]?.physicalOffset])
    expect(bench.store.queryByKey('orders', 'k200', all)).toEqual([])
    const [next] = await bench.append(message({ text: 'next', properties: properties({ KEYS: 'k200' }) }))
    expect(next).toMatchObject({ queueOffset: 100, physicalOffset: cut })
    expect(bench.store.queryByKey('orders', 'k200', all)).toEqual([cut])
    await bench.close()
    await bench.open()
    expect(await bench.readAll()).toEqual([...kept, 'next'])
    await bench.close()
  })

  /** A checkpoint under way on a slow disk, while more is appended; then kill -9 right after it. */
  async function killedAfterSlowCheckpoint(): Promise<{ bench: Bench; vouchedFor: number; late: number[] }> {
    const bench = new Bench()
    await bench.open()
    bench.node.disk.setLatency({ min: 300, max: 300 })
    const key = { properties: properties({ KEYS: 'k' }) }
    // Just before the second is over: the checkpoint finds the log unflushed and has to wait for it.
    await bench.sim.world.run(950)
    bench.store.append(message({ text: 'early', ...key }), false, () => {})
    await bench.sim.world.run(100)
    const vouchedFor = bench.store.maxPhysicalOffset
    bench.store.append(message({ text: 'between' }), false, () => {})
    const late: number[] = []
    for (const text of ['a', 'b'])
      bench.store.append(message({ topic: 'late', text, ...key }), false, (result) => late.push(result.physicalOffset))
    bench.store.commitTurn()
    await bench.sim.world.run(2_200)
    bench.kill()
    bench.node.disk.setLatency({ min: 0.1, max: 1 })
    return { bench, vouchedFor, late }
  }

  test('do not learn again later what a start has made them forget', async () => {
    const bench = new Bench()
    await bench.open()
    await bench.append(message({ text: 'one' }))
    await bench.sim.world.run(1_500)
    // The entry of the second message gets on file, but no checkpoint that vouches for it.
    bench.node.disk.failWrites(1, 'EIO', (path) => path.endsWith('views/checkpoint'))
    const [two] = await bench.append(message({ text: 'two' }))
    const [other] = await bench.append(message({ queueId: 1, text: 'other' }))
    const end = bench.store.maxPhysicalOffset
    await bench.sim.world.run(1_500)
    bench.kill()
    // Power takes the message itself, and all that is known of it elsewhere.
    const lost = two?.physicalOffset ?? -1
    damage(bench, lost, Buffer.alloc((other?.physicalOffset ?? -1) - lost))
    bench.node.disk.remove(`${ROOT}/skylark/journal`)
    await bench.open()
    expect(bench.store.recovery).toMatchObject({ checkedFrom: lost, checkedTo: end })
    expect(bench.store.maxOffset('orders', 0)).toBe(1)
    // A checkpoint behind it; then a start that believes the files.
    await bench.append(message({ queueId: 1, text: 'next' }))
    await bench.close()
    await bench.open()
    expect(bench.store.recovery.recordsChecked).toBe(0)
    expect([bench.store.maxOffset('orders', 0), await bench.readAll()]).toEqual([1, ['one']])
    await bench.close()
  })

  test('have each message once, also those that came while a checkpoint was written', async () => {
    const { bench, vouchedFor, late } = await killedAfterSlowCheckpoint()
    await bench.open()
    expect(bench.store.recovery).toMatchObject({ checkedFrom: vouchedFor, recordsChecked: 3 })
    expect(await bench.readAll('late')).toEqual(['a', 'b'])
    expect(bench.store.queryByKey('late', 'k', { max: 10, beginMs: 0, endMs: 8e15 })).toEqual(late.toReversed())
    await bench.close()
  })

  test('do not remember a topic whose messages were all lost', async () => {
    const { bench, vouchedFor } = await killedAfterSlowCheckpoint()
    damage(bench, vouchedFor, Buffer.alloc(4096))
    await bench.open()
    expect(bench.store.queues().has('late')).toBe(false)
    const [next] = await bench.append(message({ topic: 'late', text: 'new' }))
    expect(next).toMatchObject({ status: 'ok', queueOffset: 0, physicalOffset: vouchedFor })
    expect(await bench.readAll('late')).toEqual(['new'])
    await bench.close()
  })

  test('a log that someone else cut and continued makes the views start anew', async () => {
    const bench = await filled()
    await bench.close()
    const end = bench.store.maxPhysicalOffset
    const start = end - (end % (16 * 1024))
    const path = `${ROOT}/commitlog/${String(start).padStart(20, '0')}`
    damage(bench, 0, Buffer.alloc(16 * 1024), path)
    await bench.open()
    expect(bench.store.recovery.queuesRebuilt).toBe(4)
    expect(bench.store.maxPhysicalOffset).toBeLessThanOrEqual(start)
    const texts = await bench.readAll('orders', 1)
    expect(texts.length).toBeGreaterThan(100)
    expect(texts).toEqual(
      texts
        .map(Number)
        .sort((a, b) => a - b)
        .map(String),
    )
    await bench.close()
  })
})

test('ten thousand queues come back with their offsets after a clean stop and after a kill', async () => {
  const bench = new Bench(1, { segmentBytes: 4 * 1024 * 1024 })
  await bench.open()
  for (let i = 0; i < 20_000; i++)
    bench.store.append(message({ topic: `topic-${i % 1000}`, queueId: Math.floor(i / 1000) % 10 }), false, () => {})
  await bench.sim.world.run(3_000)
  const check = () => {
    let queues = 0
    for (const [topic, ids] of bench.store.queues()) {
      for (const id of ids) {
        queues++
        if (bench.store.maxOffset(topic, id) !== 2) throw new Error(`${topic}/${id} is at ${bench.store.maxOffset(topic, id)}`)
      }
    }
    expect(queues).toBe(10_000)
  }
  check()
  bench.kill()
  await bench.open()
  expect(bench.store.recovery.recordsChecked).toBe(0)
  check()
  await bench.close()
  await bench.open()
  check()
  const [next] = await bench.append(message({ topic: 'topic-999', queueId: 9 }))
  expect(next?.queueOffset).toBe(2)
  await bench.close()
}, 30_000)

test('a store that begins in the middle of a queue (older segments removed before) gives offsets from there', async () => {
  const bench = new Bench(1, { segmentBytes: 4096 })
  await bench.open()
  for (let i = 0; i < 40; i++) await bench.append(message({ text: `${i}`.padEnd(600) }))
  await bench.close()
  bench.node.disk.remove(`${ROOT}/commitlog/00000000000000000000`)
  bench.node.disk.remove(`${ROOT}/skylark`)
  await bench.open()
  const min = bench.store.minOffset('orders', 0)
  expect(min).toBeGreaterThan(0)
  expect(bench.store.maxOffset('orders', 0)).toBe(40)
  const read = await bench.store.read({ topic: 'orders', queueId: 0, offset: min, maxMessages: 1, maxBytes: 1 })
  expect(decodeRecords(Buffer.from(read.body))[0]?.queueOffset).toBe(min)
  expect(bench.store.minPhysicalOffset).toBe(4096)
  await bench.close()
})

test('thousands of busy queues have their tails written every few seconds only, and nothing is missing after a kill', async () => {
  const queues = 2_500
  const seconds = 8
  const bench = new Bench(1, { segmentBytes: 1024 * 1024, memoryBytes: 2 * 1024 * 1024 })
  await bench.open()
  const before = bench.node.disk.counts.writes
  for (let second = 0; second < seconds; second++) {
    await bench.append(...Array.from({ length: queues }, (_, queueId) => message({ queueId, text: `${second}` })))
    await bench.sim.world.run(1_000)
  }
  // Entries and header of each tail, in every third second, and some for the rest.
  expect(bench.node.disk.counts.writes - before).toBeLessThan(((2 * queues * seconds) / 3) * 1.5)
  bench.kill()
  await bench.open()
  for (let queueId = 0; queueId < queues; queueId++) expect(bench.store.maxOffset('orders', queueId)).toBe(seconds)
  expect(await bench.readAll('orders', queues - 1)).toEqual(Array.from({ length: seconds }, (_, second) => `${second}`))
  await bench.close()
}, 30_000)
