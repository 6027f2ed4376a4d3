import { expect, test } from 'vitest'
import { javaHashOfText } from '../src/bytes.ts'
import { message, ROOT } from './support/fixture.ts'
import { COMPACTION, CompactionBench, INTERVAL_MS, RETENTION_MS, update } from './support/compaction.ts'
import { diesAt } from './support/dies-at.ts'

const FOLDER = `${ROOT}/skylark/compaction`

test('of each key the last value survives, in order, at its offset', async () => {
  const bench = new CompactionBench()
  await bench.start()
  await bench.put('pear=1', 'apple=1', 'pear=2', 'plum=1', 'apple=2')
  expect(await bench.texts()).toEqual(['pear=1', 'apple=1', 'pear=2', 'plum=1', 'apple=2'])
  await bench.compact()
  expect(await bench.consume()).toEqual([
    { offset: 2, text: 'pear=2' },
    { offset: 3, text: 'plum=1' },
    { offset: 4, text: 'apple=2' },
  ])
  // The next values go on behind, at the next offsets, and are seen at once.
  await bench.put('pear=3')
  expect(await bench.consume()).toEqual([
    { offset: 2, text: 'pear=2' },
    { offset: 3, text: 'plum=1' },
    { offset: 4, text: 'apple=2' },
    { offset: 5, text: 'pear=3' },
  ])
  await bench.compact()
  expect(await bench.texts()).toEqual(['plum=1', 'apple=2', 'pear=3'])
  await bench.close()
})

test('a consumer that comes back at an offset that is gone goes on at the next one', async () => {
  const bench = new CompactionBench()
  await bench.start()
  await bench.put(...Array.from({ length: 50 }, (_, i) => `k=${i}`), 'other=1')
  await bench.compact()
  expect(await bench.consume(7)).toEqual([
    { offset: 49, text: 'k=49' },
    { offset: 50, text: 'other=1' },
  ])
  expect(bench.store.minOffset('prices', 0)).toBe(0)
  expect(bench.store.maxOffset('prices', 0)).toBe(51)
  // One at a time it is the same.
  expect(await bench.consume(0, 1)).toEqual(await bench.consume(0))
  expect(bench.store.read({ topic: 'prices', queueId: 0, offset: 51, maxMessages: 1, maxBytes: 1 })).toMatchObject({
    status: 'offset-overflow-one',
    minOffset: 0,
    nextOffset: 51,
  })
  expect(bench.store.read({ topic: 'prices', queueId: 0, offset: -1, maxMessages: 1, maxBytes: 1 })).toMatchObject({
    status: 'offset-too-small',
    nextOffset: 0,
  })
  await bench.close()
})

test('tags select among compacted messages', async () => {
  const bench = new CompactionBench()
  await bench.start()
  await bench.put('a=1#red', 'b=1#blue', 'c=1#red', 'a=2#blue', 'd=1')
  await bench.compact()
  expect((await bench.consume(0, 32, javaHashOfText('red'))).map(({ text }) => text)).toEqual(['c=1'])
  expect((await bench.consume(0, 1, javaHashOfText('blue'))).map(({ text }) => text)).toEqual(['b=1', 'a=2'])
  await bench.close()
})

test('a deletion is seen for its time, then it is gone with all that it deleted', async () => {
  const bench = new CompactionBench()
  await bench.start()
  await bench.put('pear=1', 'apple=1')
  await bench.compact()
  await bench.put('pear=')
  await bench.compact()
  // A consumer that starts now learns of the deletion, not of the value.
  expect(await bench.texts()).toEqual(['apple=1', 'pear='])
  await bench.sim.world.run(RETENTION_MS - 3 * INTERVAL_MS)
  expect(await bench.texts()).toEqual(['apple=1', 'pear='])
  await bench.sim.world.run(4 * INTERVAL_MS)
  expect(await bench.texts()).toEqual(['apple=1'])
  // A new value of the key lives again.
  await bench.put('pear=2')
  await bench.compact()
  expect(await bench.texts()).toEqual(['apple=1', 'pear=2'])
  await bench.close()
})

test('a broker that was down for days does not take the time of a deletion from its consumers', async () => {
  const bench = new CompactionBench()
  await bench.start()
  await bench.put('pear=1', 'pear=')
  await bench.close()
  await bench.sim.world.run(3 * RETENTION_MS)
  await bench.open()
  await bench.compact()
  expect(await bench.texts()).toEqual(['pear='])
  await bench.sim.world.run(RETENTION_MS + 2 * INTERVAL_MS)
  expect(await bench.texts()).toEqual([])
  await bench.close()
})

test('producers whose clients refuse an empty body delete by the property TOMBSTONE=true', async () => {
  const bench = new CompactionBench()
  await bench.start()
  await bench.put('pear=1')
  await bench.append({ ...update('pear=x'), properties: new TextEncoder().encode('KEYS\u0001pear\u0002TOMBSTONE\u0001true\u0002') })
  await bench.compact()
  expect(await bench.texts()).toEqual(['pear=x'])
  await bench.sim.world.run(RETENTION_MS + INTERVAL_MS)
  expect(await bench.texts()).toEqual([])
  await bench.close()
})

test('a message without a key, from before keys were asked for, replaces nothing and is never replaced', async () => {
  const bench = new CompactionBench()
  await bench.start()
  await bench.put('=first', 'k=1', '=second', 'k=2')
  await bench.compact()
  expect(await bench.texts()).toEqual(['=first', '=second', 'k=2'])
  await bench.close()
})

test('values outlive the commit log, and a restart; offsets go on when the log has none of the queue left', async () => {
  const bench = new CompactionBench(1, {
    segmentBytes: 65_536,
    fileReservedHours: 0.05,
    deleteWhenHours: Array.from({ length: 24 }, (_, i) => i),
  })
  await bench.start()
  await bench.put('pear=1', 'pear=2', 'apple=1')
  await bench.compact()
  // Other topics fill the log and all of it expires but the last segment.
  const filler = () => bench.append(...Array.from({ length: 60 }, () => message({ text: 'x'.repeat(4000) })))
  await filler()
  await bench.sim.world.run(200_000)
  await filler()
  await bench.sim.world.run(60_000)
  expect(bench.store.minPhysicalOffset).toBeGreaterThan(0)
  expect(await bench.texts()).toEqual(['pear=2', 'apple=1'])
  await bench.close()
  bench.node.disk.remove(`${ROOT}/skylark/views`)
  await bench.open()
  expect([...bench.store.compactedTopics]).toEqual(['prices'])
  expect(bench.store.queues().get('prices')).toEqual([0])
  expect(await bench.texts()).toEqual(['pear=2', 'apple=1'])
  const [next] = await bench.append(update('pear=3'))
  expect(next?.queueOffset).toBe(3)
  await bench.compact()
  expect(await bench.consume()).toEqual([
    { offset: 2, text: 'apple=1' },
    { offset: 3, text: 'pear=3' },
  ])
  await bench.close()
})

test('the commit log is kept until the last value is copied', async () => {
  const always = Array.from({ length: 24 }, (_, i) => i)
  const compaction = { intervalMs: 500_000, tombstoneRetentionMs: RETENTION_MS, mapBytes: 1024 }
  const bench = new CompactionBench(1, { segmentBytes: 65_536, fileReservedHours: 0.05, deleteWhenHours: always, compaction })
  await bench.start()
  await bench.sim.world.run(70_000)
  await bench.put('pear=1')
  await bench.append(...Array.from({ length: 60 }, () => message({ text: 'x'.repeat(4000) })))
  await bench.sim.world.run(330_000)
  expect(bench.store.minPhysicalOffset).toBe(0)
  await bench.sim.world.run(200_000)
  expect(bench.store.minPhysicalOffset).toBeGreaterThan(0)
  expect(await bench.texts()).toEqual(['pear=1'])
  await bench.close()
})

test('times are found in what is compacted as in the log', async () => {
  const bench = new CompactionBench()
  await bench.start()
  const times: number[] = []
  for (const text of ['a=1', 'b=1', 'a=2', 'c=1']) {
    const [result] = await bench.append(update(text))
    times.push(result?.storeTimestamp ?? 0)
    await bench.sim.world.run(100)
  }
  await bench.compact()
  const [result] = await bench.append(update('d=1'))
  const last = result?.storeTimestamp ?? 0
  const at = (index: number): number => times[index] ?? 0
  const lower = (time: number) => bench.store.offsetByTime('prices', 0, time, 'lower')
  const upper = (time: number) => bench.store.offsetByTime('prices', 0, time, 'upper')
  // Offset 0 (a=1) is gone: b=1 at offset 1 is the first there is.
  expect([lower(0), lower(at(1)), lower(at(1) + 1), lower(at(3)), lower(at(3) + 1), lower(last), lower(last + 1)]).toEqual([
    1, 1, 2, 3, 4, 4, 5,
  ])
  expect([upper(0), upper(at(1)), upper(at(2)), upper(at(3) + 1), upper(last), upper(last + 9)]).toEqual([0, 1, 2, 3, 4, 4])
  expect(bench.store.earliestStoreTime('prices', 0)).toBe(at(1))
  expect([0, 1, 2, 3, 4].map((offset) => bench.store.storeTimestamp('prices', 0, offset))).toEqual([at(1), at(1), at(2), at(3), last])
  await bench.close()
})

test('a deleted topic leaves nothing, and one of its name begins anew', async () => {
  const bench = new CompactionBench()
  await bench.start()
  await bench.put('pear=1', 'apple=1')
  await bench.compact()
  bench.store.deleteTopic('prices')
  expect(bench.store.maxOffset('prices', 0)).toBe(0)
  await bench.sim.world.run(10)
  expect(bench.node.disk.list(FOLDER)).toEqual([])
  await bench.put('plain=1', 'plain=2')
  await bench.compact()
  expect(await bench.consume()).toEqual([
    { offset: 0, text: 'plain=1' },
    { offset: 1, text: 'plain=2' },
  ])
  await bench.close()
})

test('each queue is compacted by itself, other topics are not', async () => {
  const bench = new CompactionBench()
  await bench.start()
  await bench.append(update('k=1', 'prices', 0), update('k=2', 'prices', 1), update('k=1', 'orders'), update('k=2', 'orders'))
  await bench.compact()
  expect(await bench.readAll('prices', 0)).toEqual(['1'])
  expect(await bench.readAll('prices', 1)).toEqual(['2'])
  expect(await bench.readAll('orders')).toEqual(['1', '2'])
  await bench.close()
})

test('more keys than the memory for them holds at once are looked at in rounds', async () => {
  const bench = new CompactionBench(1, { compaction: { ...COMPACTION, mapBytes: 1 } })
  await bench.start()
  for (let round = 0; round < 2; round++) {
    await bench.put(...Array.from({ length: 1500 }, (_, i) => `k${i}=${round}`))
    await bench.compact()
  }
  const seen = await bench.consume()
  expect(seen.map(({ text }) => text)).toEqual(Array.from({ length: 1500 }, (_, i) => `k${i}=1`))
  expect(seen[0]?.offset).toBe(1500)
  expect(bench.node.disk.list(`${FOLDER}/0/0`)).toHaveLength(1)
  await bench.close()
})

test('a run to which nothing new came touches no file, and the log is not kept for it', async () => {
  const bench = new CompactionBench()
  await bench.open()
  await bench.close()
  const counted = diesAt(
    bench.node.disk,
    Number.POSITIVE_INFINITY,
    (path) => path.includes('/compaction/') || path.includes('/commitlog/'),
    () => {},
  )
  bench.node = { ...bench.node, disk: counted.disk }
  await bench.start()
  await bench.put('pear=1', 'apple=1', 'pear=2')
  await bench.compact()
  const steps = counted.steps()
  await bench.sim.world.run(5 * INTERVAL_MS)
  expect(counted.steps()).toBe(steps)
  expect(await bench.texts()).toEqual(['apple=1', 'pear=2'])
  await bench.close()
})
