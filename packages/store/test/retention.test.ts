import { describe, expect, test } from 'vitest'
import type { AppendResult } from '../src/index.ts'
import { LIMITS } from '../src/limits.ts'
import { Bench, message, ROOT } from './support/fixture.ts'

const MEBI = 1024 * 1024

describe('retention by size', () => {
  test('above its bytes the log loses its oldest segments, whatever their age, and never what somebody still needs', async () => {
    const bench = new Bench(1, { segmentBytes: 8192, retentionBytes: 5 * 8192 })
    await bench.open()
    let needed = 0
    bench.store.retainFrom(() => needed)
    for (let i = 0; i < 300; i++) await bench.append(message({ text: `${i}`.padEnd(300) }))
    await bench.sim.world.run(21_000)
    expect(bench.store.minPhysicalOffset).toBe(0)
    needed = Number.MAX_SAFE_INTEGER
    await bench.sim.world.run(21_000)
    const kept = bench.store.maxPhysicalOffset - bench.store.minPhysicalOffset
    expect(kept).toBeLessThanOrEqual(5 * 8192)
    expect(kept).toBeGreaterThan(3 * 8192)
    const texts = await bench.readAll()
    expect(texts.at(-1)?.trim()).toBe('299')
    expect(bench.store.minOffset('orders', 0)).toBe(300 - texts.length)
    expect(bench.sim.world.report()).toContain('size')
    await bench.close()
  })
})

test('the room of expired segments comes back little by little, the faster the more of them wait; what a stop left goes in the next life', async () => {
  const step = LIMITS.shrinkStepBytes
  const bench = new Bench(1, { segmentBytes: 8192 })
  const leave = (name: string): void => {
    const file = bench.node.disk.open(`${ROOT}/commitlog/expired/${name}`, { create: true })
    file.truncate(8 * step)
    file.close()
  }
  const left = (): number[] =>
    bench.node.disk
      .list(`${ROOT}/commitlog/expired`)
      .map((name) => (bench.node.disk.stat(`${ROOT}/commitlog/expired/${name}`)?.sizeBytes ?? 0) / step)
  leave('00000000000000000000')
  await bench.open()
  await bench.sim.world.run(3.5 * LIMITS.shrinkIntervalMs)
  expect(left()).toEqual([4])
  await bench.close()
  expect(left()).toEqual([4])
  leave('00000000000000008192')
  leave('00000000000000016384')
  await bench.open()
  // Three wait, then two, then one.
  await bench.sim.world.run((2 / 3 + 6 / 2) * LIMITS.shrinkIntervalMs + 100)
  expect(left()).toEqual([7])
  await bench.sim.world.run(7 * LIMITS.shrinkIntervalMs)
  expect(left()).toEqual([])
  await bench.close()
})

describe('retention by topic', () => {
  test('a topic with hours of its own loses older messages; others, and its offsets, stay', async () => {
    const bench = new Bench()
    await bench.open()
    bench.store.keepTopicsFor((topic) => (topic === 'short' ? 2 : undefined))
    await bench.append(message({ topic: 'short', text: 'old' }), message({ text: 'kept' }))
    await bench.sim.world.run(3_600_000)
    await bench.append(message({ topic: 'short', text: 'new' }))
    await bench.sim.world.run(3_600_000 + 60_000)
    expect(await bench.readAll('short')).toEqual(['new'])
    expect(bench.store.minOffset('short', 0)).toBe(1)
    expect(await bench.readAll()).toEqual(['kept'])
    await bench.close()
    await bench.open()
    bench.store.keepTopicsFor((topic) => (topic === 'short' ? 1 : undefined))
    expect(await bench.readAll('short')).toEqual([])
    const [next] = await bench.append(message({ topic: 'short', text: 'newer' }))
    expect(next?.queueOffset).toBe(2)
    await bench.close()
  })
})

describe('a disk that fills up', () => {
  const fill = (bench: Bench, mebi: number): void => {
    bench.node.disk.remove('/data/ballast')
    const ballast = bench.node.disk.open('/data/ballast', { create: true })
    const block = Buffer.alloc(mebi * MEBI)
    ballast.write(block, 0, block.length, 0)
    ballast.close()
  }

  test('is told first, then refuses writes below the reserve, and accepts them again by itself', async () => {
    const bench = new Bench(1, { disk: { warnAboveUsedPercent: 50, reserveBytes: 3 * MEBI } })
    await bench.open()
    bench.node.disk.setCapacity(100 * MEBI)
    await bench.append(message({ text: 'before' }))
    fill(bench, 60)
    await bench.sim.world.run(11_000)
    expect(bench.store.refusal).toBeUndefined()
    expect(bench.sim.world.report()).toContain('the disk fills up')
    fill(bench, 98)
    await bench.sim.world.run(11_000)
    expect(bench.store.refusal).toMatch(/1 MiB of 100 MiB are free for \/data\/store\/commitlog, and 3 MiB are kept in reserve/)
    expect((await bench.append(message()))[0]).toMatchObject({ status: 'not-available' })
    expect(await bench.readAll()).toEqual(['before'])
    fill(bench, 10)
    await bench.sim.world.run(11_000)
    expect((await bench.append(message({ text: 'after' })))[0]).toMatchObject({ status: 'ok', queueOffset: 1 })
    await bench.close()
  })

  test('within a second is not filled to the last byte: the reserve is there for what the store itself must write', async () => {
    const bench = new Bench(1, { disk: { warnAboveUsedPercent: 50, reserveBytes: 3 * MEBI }, maxMessageBytes: MEBI })
    await bench.open()
    bench.node.disk.setCapacity(100 * MEBI)
    fill(bench, 80)
    const body = 'x'.repeat(50_000)
    let last: AppendResult | undefined
    for (let i = 0; i < 500 && last?.status !== 'not-available'; i++) [last] = await bench.append(message({ text: body }))
    expect(last?.reason).toMatch(/2 MiB of 100 MiB are free for .*, and 3 MiB are kept in reserve/)
    await bench.close()
  })

  test('and has no room for the queues: what was acknowledged is found, in this life and the next', async () => {
    const bench = new Bench(1, { segmentBytes: 256 * 1024 })
    await bench.open()
    await bench.append(message({ text: '0' }))
    bench.node.disk.failWrites(1_000, 'ENOSPC', (path) => path.includes('/views/'))
    for (let i = 1; i < 600; i++) bench.store.append(message({ text: `${i}` }), false, () => {})
    await bench.sim.world.run(100)
    const texts = Array.from({ length: 600 }, (_, i) => `${i}`)
    expect(await bench.readAll()).toEqual(texts)
    await bench.sim.world.run(3_000)
    expect(bench.store.refusal).toMatch(/disk is full/)
    bench.kill()
    await bench.open()
    expect(await bench.readAll()).toEqual(texts)
    await bench.close()
  })
})

test('a deleted topic is gone at once: its queues, its messages by position and by key, also for a topic of the same name', async () => {
  const bench = new Bench()
  await bench.open()
  const keys = { properties: Buffer.from('KEYS\u0001k\u0002') }
  const [old] = await bench.append(message({ topic: 'gone', ...keys }))
  bench.store.deleteTopic('gone')
  const all = { max: 10, beginMs: 0, endMs: 8e15 }
  const isGone = (): void => {
    expect(bench.store.queues().has('gone')).toBe(false)
    expect(bench.store.readRecordAt(old?.physicalOffset ?? -1)).toBeUndefined()
    expect(bench.store.queryByKey('gone', 'k', all)).toEqual([])
  }
  isGone()
  await bench.close()
  await bench.open()
  isGone()
  const [again] = await bench.append(message({ topic: 'gone', text: 'again', ...keys }))
  expect(again?.queueOffset).toBe(0)
  expect(bench.store.queryByKey('gone', 'k', all)).toEqual([again?.physicalOffset])
  expect(bench.store.readRecordAt(old?.physicalOffset ?? -1)).toBeUndefined()
  expect(bench.node.disk.exists(`${ROOT}/skylark/deleted-topics.json`)).toBe(true)
  await bench.close()
})

test('a damaged list of deleted topics is told, keeps no store from opening, and hides nobody else’s messages', async () => {
  const bench = new Bench()
  await bench.open()
  await bench.append(message({ topic: 'gone' }), message({ topic: 'kept', text: 'kept' }))
  bench.store.deleteTopic('gone')
  await bench.close()
  const path = `${ROOT}/skylark/deleted-topics.json`
  const text = bench.node.disk.readText(path) ?? ''
  for (const [i, char] of [...text].entries()) {
    bench.node.disk.writeTextAtomically(path, text.slice(0, i) + String.fromCharCode(char.charCodeAt(0) ^ 1) + text.slice(i + 1))
    await bench.open()
    expect(await bench.readAll('kept')).toEqual(['kept'])
    if (i < text.length - 1) expect(bench.store.recovery.text).toContain('deleted-topics.json was damaged')
    await bench.close()
  }
})
