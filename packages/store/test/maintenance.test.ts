import { describe, expect, test } from 'vitest'
import { checkStore, exportApacheConfig, importApacheConfig, memoryMetadata, salvageStore } from '../src/index.ts'
import { Bench, message, OPTIONS, properties, ROOT } from './support/fixture.ts'
import { snapshot, write } from './support/snapshot.ts'

const SMALL = { ...OPTIONS, segmentBytes: 4096, memoryBytes: 0 }
const TEXTS = Array.from({ length: 40 }, (_, i) => `text ${i}`)

async function stopped(): Promise<{ bench: Bench; offsets: number[] }> {
  const bench = new Bench(1, SMALL)
  await bench.open()
  const results = await bench.append(
    ...TEXTS.map((text, i) => message({ text, queueId: i % 2, properties: properties({ KEYS: `k${i}`, UNIQ_KEY: `u${i}` }) })),
  )
  await bench.close()
  return { bench, offsets: results.map((result) => result.physicalOffset) }
}

const check = (bench: Bench) => bench.run(checkStore(bench.node, { rootDirectory: ROOT }))

function flip(bench: Bench, physicalOffset: number): void {
  const path = `${ROOT}/commitlog/${String(physicalOffset - (physicalOffset % 4096)).padStart(20, '0')}`
  const byte = snapshot(bench.node.disk).get(path)?.[physicalOffset % 4096] ?? 0
  write(bench.node.disk, path, Uint8Array.of(byte ^ 4), physicalOffset % 4096)
}

describe('a look at a stopped store', () => {
  test('finds nothing wrong in a sound one, tells how far it is, and changes no byte', async () => {
    const { bench } = await stopped()
    const before = snapshot(bench.node.disk)
    const progress: number[] = []
    const report = await bench.run(checkStore(bench.node, { rootDirectory: ROOT, onProgress: (done) => progress.push(done) }))
    expect(report).toMatchObject({
      problems: 0,
      records: 40,
      topics: 1,
      queues: 2,
      keys: 80,
      cleanStop: true,
      damaged: [],
      lost: [],
      views: [],
    })
    expect(progress.at(-1)).toBe(report.segments * 4096)
    const after = snapshot(bench.node.disk)
    expect([...after.keys()]).toEqual([...before.keys()])
    for (const [path, bytes] of before) expect([path, Buffer.compare(bytes, after.get(path) as Uint8Array)]).toEqual([path, 0])
  })

  test.each([
    ['a length', 0],
    ['the queue', 15],
    ['the queue offset', 27],
    ['the store time', 60],
    ['the body', 95],
    ['a property', 115],
  ])('names the place and the message when %s is damaged', async (_what, at) => {
    const { bench, offsets } = await stopped()
    flip(bench, (offsets[10] as number) + at)
    const report = await check(bench)
    expect(report.problems).toBeGreaterThan(0)
    expect(report.damaged.map(({ offset }) => offset)).toContain(offsets[10])
    expect(report.damaged.length).toBe(1)
    // The message at 10 is the sixth of queue 0.
    expect(`${JSON.stringify(report.lost)} ${report.damaged[0]?.why}`).toMatch(/"from":5|message 5 of orders\/0/)
  })

  test('names queue entries and keys that are not what was written', async () => {
    const { bench } = await stopped()
    for (const name of ['chunks.data', 'index/00000001.index']) {
      const path = `${ROOT}/skylark/views/${name}`
      const bytes = snapshot(bench.node.disk).get(path) as Uint8Array
      const at = bytes.findIndex((byte, i) => i > 64 && byte !== 0)
      write(bench.node.disk, path, Uint8Array.of((bytes[at] as number) ^ 1), at)
    }
    const { views } = await check(bench)
    expect(views.join('\n')).toMatch(/the queue entry of message \d+ of orders\/0 is damaged/)
    expect(views.join('\n')).toMatch(/entry \d+ of .*00000001.index is damaged/)
  })
})

test('salvage keeps the damaged bytes, and then all but that message is there, also for whoever walks the log', async () => {
  const { bench, offsets } = await stopped()
  const tenth = offsets[10] as number
  flip(bench, tenth + 27)
  flip(bench, (offsets[21] as number) + 1)
  const { contained } = await bench.run(salvageStore(bench.node, { rootDirectory: ROOT }))
  expect(contained.map(({ offset }) => offset)).toEqual([tenth, offsets[21]])
  const saved = snapshot(bench.node.disk).get(contained[0]?.savedTo ?? '') as Uint8Array
  expect(Buffer.from(saved).toString()).toContain('text 10')
  expect(await check(bench)).toMatchObject({ damaged: [], records: 40 })
  await bench.open()
  const expected = (rest: number, lost: number) => TEXTS.filter((_, i) => i % 2 === rest && i !== lost)
  expect(await bench.readAll('orders', 0)).toEqual(expected(0, 10))
  expect(await bench.readAll('orders', 1)).toEqual(expected(1, 21))
  expect((await bench.readPlaces('orders', 0)).get(6)).toBe('text 12')
  await bench.close()
  expect(await check(bench)).toMatchObject({
    problems: 2,
    damaged: [],
    lost: [
      { from: 5, to: 6 },
      { from: 10, to: 11 },
    ],
  })
})

describe("Apache's settings", () => {
  // As fastjson writes them: keys of integers without quotes.
  const files = {
    'topics.json': `{"dataVersion":{"counter":7,"stateVersion":0,"timestamp":1700000000000},"topicConfigTable":{
      "orders":{"attributes":{},"order":false,"perm":6,"readQueueNums":3,"topicFilterType":"SINGLE_TAG","topicName":"orders","topicSysFlag":0,"writeQueueNums":3}}}`,
    'subscriptionGroup.json': `{"dataVersion":{"counter":2},"forbiddenTable":{},"subscriptionGroupTable":{"readers":{"groupName":"readers","retryMaxTimes":3}}}`,
    'consumerOffset.json': `{"dataVersion":{"counter":9},"offsetTable":{"orders@readers":{0:12,1:7}}}`,
    'delayOffset.json': `{"dataVersion":{"counter":9},"offsetTable":{1:100,3:55}}`,
  }

  test('are taken over once, from the older copy where a file is broken, and given back', () => {
    const bench = new Bench()
    const { disk } = bench.node
    disk.makeDirectory(`${ROOT}/config`)
    for (const [name, text] of Object.entries(files)) disk.writeTextAtomically(`${ROOT}/config/${name}`, text)
    disk.writeTextAtomically(`${ROOT}/config/consumerOffset.json.bak`, files['consumerOffset.json'])
    disk.writeTextAtomically(`${ROOT}/config/consumerOffset.json`, '')
    const metadata = memoryMetadata()
    expect(importApacheConfig(bench.node, ROOT, metadata)?.rows).toEqual({
      'topics.json': 1,
      'subscriptionGroup.json': 1,
      'consumerOffset.json': 1,
      'delayOffset.json': 2,
    })
    expect(JSON.parse(metadata.get('topics', 'orders') ?? '')).toMatchObject({ topicName: 'orders', readQueueNums: 3 })
    expect(JSON.parse(metadata.get('groups', 'readers') ?? '')).toMatchObject({ retryMaxTimes: 3 })
    expect(JSON.parse(metadata.get('offsets', 'orders@readers') ?? '')).toEqual({ 0: 12, 1: 7 })
    expect([metadata.get('delay', '1'), metadata.get('delay', '3')]).toEqual(['100', '55'])
    expect(JSON.parse(metadata.get('kv', 'topicDataVersion') ?? '')).toMatchObject({ counter: 7 })
    metadata.set('offsets', 'orders@readers', '{"0":20}')
    expect(importApacheConfig(bench.node, ROOT, metadata)).toBeUndefined()

    exportApacheConfig(disk, metadata, `${ROOT}/config`)
    const again = memoryMetadata()
    importApacheConfig(bench.node, ROOT, again)
    for (const table of ['topics', 'groups', 'offsets', 'delay'] as const) {
      const parsed = (of: typeof again) => [...of.entries(table)].map(([key, value]) => [key, JSON.parse(value) as unknown])
      expect(parsed(again)).toEqual(parsed(metadata))
    }
    expect(disk.readText(`${ROOT}/config/topics.json.bak`)).toBe(files['topics.json'])
  })
})
