import { expect, test } from 'vitest'
import { message, ROOT } from './support/fixture.ts'
import { CompactionBench, INTERVAL_MS } from './support/compaction.ts'

const FOLDER = `${ROOT}/skylark/compaction/0/0`
const CURRENT = ['pear=2', 'plum=1', 'apple=2', 'fig=1']

function flip(bench: CompactionBench, path: string, position: number): void {
  const file = bench.node.disk.open(path)
  const byte = new Uint8Array(1)
  file.readNow(byte, 0, 1, position)
  byte[0] = (byte[0] as number) ^ 0x10
  file.write(byte, 0, 1, position)
  file.close()
}

/** A compacted file whose messages the commit log no longer has. */
async function expired(): Promise<{ bench: CompactionBench; path: string; size: number }> {
  const everyHour = Array.from({ length: 24 }, (_, i) => i)
  const bench = new CompactionBench(1, { segmentBytes: 16_384, fileReservedHours: 0.02, deleteWhenHours: everyHour })
  await bench.start()
  await bench.put('pear=1', 'pear=2', 'plum=1', 'apple=1', 'apple=2', 'fig=1')
  await bench.compact()
  for (let i = 0; i < 2; i++) {
    await bench.append(...Array.from({ length: 8 }, () => message({ text: 'x'.repeat(4000) })))
    await bench.sim.world.run(90_000)
  }
  expect(bench.store.minPhysicalOffset).toBeGreaterThan(0)
  await bench.close()
  const path = `${FOLDER}/${bench.node.disk.list(FOLDER)[0]}`
  return { bench, path, size: bench.node.disk.stat(path)?.sizeBytes ?? 0 }
}

test('a bit that turns over at any byte costs its own message at most, and is never served', async () => {
  const { bench, path, size } = await expired()
  let intact = 0
  for (let position = 0; position < size; position += 11) {
    flip(bench, path, position)
    await bench.open()
    const texts = await bench.texts()
    expect(CURRENT.filter((text) => texts.includes(text))).toEqual(texts)
    expect(texts.length).toBeGreaterThanOrEqual(CURRENT.length - 1)
    if (texts.length === CURRENT.length) intact++
    else expect(bench.sim.world.report(20)).toContain('a compacted record is damaged and left out')
    expect(bench.store.maxOffset('prices', 0)).toBe(6)
    await bench.close()
    flip(bench, path, position)
  }
  // Index, directory and footer can be told from the records.
  expect(intact).toBeGreaterThan(30)
}, 60_000)

test('a damaged end is mended by the next run', async () => {
  const { bench, path, size } = await expired()
  flip(bench, path, size - 1)
  await bench.open()
  expect(bench.sim.world.report(20)).toContain('the end of a compacted file is damaged')
  await bench.compact()
  expect(await bench.texts()).toEqual(CURRENT)
  await bench.close()
  const before = bench.sim.world.lines.length
  await bench.open()
  expect(await bench.texts()).toEqual(CURRENT)
  expect(bench.sim.world.report().split('\n').slice(before).join('\n')).not.toContain('is damaged')
  await bench.close()
})

test('a topic whose name is lost takes it from its messages', async () => {
  const { bench } = await expired()
  bench.node.disk.remove(`${ROOT}/skylark/compaction/0/topic.json`)
  await bench.open()
  expect(await bench.texts()).toEqual(CURRENT)
  await bench.put('pear=3')
  await bench.compact()
  expect(await bench.texts()).toEqual(['plum=1', 'apple=2', 'fig=1', 'pear=3'])
  await bench.close()
})

test('a bit that turns over anywhere in the name of a topic puts its messages into no other', async () => {
  const { bench } = await expired()
  const path = `${ROOT}/skylark/compaction/0/topic.json`
  const size = bench.node.disk.stat(path)?.sizeBytes ?? 0
  for (let position = 0; position < size; position++) {
    flip(bench, path, position)
    await bench.open()
    expect(await bench.texts(), `position ${position}`).toEqual(CURRENT)
    expect([...bench.store.compactedTopics]).toEqual(['prices'])
    await bench.close()
  }
})

test('a compacted folder that is removed while the log has everything is made again', async () => {
  const bench = new CompactionBench()
  await bench.start()
  await bench.put('pear=1', 'pear=2', 'apple=1')
  await bench.compact()
  await bench.close()
  bench.node.disk.remove(`${ROOT}/skylark/compaction`)
  await bench.open()
  bench.store.compactTopic('prices')
  expect(await bench.texts()).toEqual(['pear=1', 'pear=2', 'apple=1'])
  await bench.compact()
  expect(await bench.texts()).toEqual(['pear=2', 'apple=1'])
  await bench.close()
})

test('a disk that is full keeps the log, and compaction goes on when there is room', async () => {
  const bench = new CompactionBench()
  await bench.start()
  await bench.put('pear=1', 'pear=2')
  bench.node.disk.failWrites(1, 'ENOSPC', (path) => path.includes('/compaction/'))
  await bench.compact()
  expect(bench.sim.world.report(20)).toContain('could not be compacted')
  expect(await bench.texts()).toEqual(['pear=1', 'pear=2'])
  await bench.compact()
  expect(await bench.texts()).toEqual(['pear=2'])
  await bench.close()
})

test('an fdatasync that fails adopts nothing', async () => {
  const bench = new CompactionBench()
  await bench.start()
  await bench.put('pear=1', 'pear=2')
  bench.node.disk.failSyncs(1, (path) => path.includes('/compaction/'))
  await bench.compact()
  expect(bench.node.disk.list(FOLDER)).toEqual([])
  await bench.compact()
  bench.crash()
  await bench.open()
  expect(await bench.texts()).toEqual(['pear=2'])
  await bench.close()
})

test('readers and writers go on while compaction runs', async () => {
  const bench = new CompactionBench()
  await bench.start()
  const total = 3_000
  await bench.put(...Array.from({ length: total }, (_, i) => `k${i % 1000}=${i}`))
  await bench.sim.world.run(INTERVAL_MS - (bench.sim.world.nowMs % INTERVAL_MS) - 5)
  // From before the run begins till after it has ended, step by step.
  for (let i = 0; i < 60; i++) {
    const [result] = await bench.append(message({ topic: 'orders', text: String(i) }))
    expect(result?.status).toBe('ok')
    const seen = await bench.consume(total - 1 - i)
    expect(seen.at(-1)).toEqual({ offset: total - 1, text: `k999=${total - 1}` })
    expect(seen).toHaveLength(i + 1)
    await bench.sim.world.run(1)
  }
  await bench.compact()
  expect(await bench.texts()).toHaveLength(1000)
  await bench.close()
})

test('power that is lost while a merge goes to the disk takes no value, whichever sectors of it are there', async () => {
  const filler = 'x'.repeat(400)
  for (let seed = 1; seed <= 80; seed++) {
    const bench = new CompactionBench(seed, { flush: 'sync' })
    await bench.start()
    await bench.put(...Array.from({ length: 8 }, (_, i) => `k${i}=1${filler}`))
    await bench.compact()
    await bench.put(`k0=2${filler}`)
    await bench.sim.world.run(INTERVAL_MS - (bench.sim.world.nowMs % INTERVAL_MS) - 1)
    const { disk } = bench.node
    disk.setLatency({ min: 20, max: 20 })
    const merged = `${FOLDER}/${'0'.repeat(20)}-${'9'.padStart(20, '0')}-0000000003`
    const isGoing = () => disk.exists(merged) && disk.unsyncedWrites(merged) > 0
    for (let i = 0; i < 100 && !isGoing(); i++) await bench.sim.world.run(5)
    expect(isGoing()).toBe(true)
    await bench.sim.world.run((seed % 3) * 20)
    bench.crash()
    await bench.open()
    const values = new Map((await bench.texts()).map((text) => [text.slice(0, 2), text.slice(3, 4)]))
    expect([...values].sort().join(' '), `seed ${seed}`).toBe('k0,2 k1,1 k2,1 k3,1 k4,1 k5,1 k6,1 k7,1')
    await bench.close()
  }
})
