import { simRuntime } from '@skylarkmq/runtime/sim'
import { beforeEach, expect, test } from 'vitest'
import { BlockCount } from '../src/commit-log/block-count.ts'
import { ColdBlocks } from '../src/commit-log/cold-blocks.ts'
import { Segment } from '../src/commit-log/segments.ts'

const BLOCK = 1024
const START = 8192
const SIZE = 10 * BLOCK + 100

let sim: ReturnType<typeof simRuntime>
let segment: Segment
let reads: number[]
let failures: number
const log = { writtenOffset: 0 }
const byteAt = (logOffset: number) => (logOffset * 7) % 251

beforeEach(() => {
  sim = simRuntime(1)
  const file = sim.world.node('broker').disk.open('/log', { create: true })
  const bytes = Uint8Array.from({ length: SIZE }, (_, i) => byteAt(START + i))
  file.write(bytes, 0, SIZE, 0)
  reads = []
  failures = 0
  segment = new Segment(START, SIZE, {
    ...file,
    readNow: (...where) => file.readNow(...where),
    async read(...where) {
      reads.push(where[3])
      const got = await file.read(...where)
      if (failures > 0) {
        failures--
        throw Object.assign(new Error('bad sector'), { code: 'EIO' })
      }
      return got
    },
    close: () => file.close(),
  })
  log.writtenOffset = START + SIZE
})

const at = (blocks: ColdBlocks, logOffset: number) => blocks.peek(blocks.startOf(segment, logOffset))?.[(logOffset - START) % BLOCK]

test('consumers that catch up side by side cost one read of the file for each block', async () => {
  const blocks = new ColdBlocks(log, { blockBytes: BLOCK, minBlocks: 4, maxBlocks: 4, ahead: 1 })
  const ask = (logOffset: number) => blocks.load(segment, blocks.startOf(segment, logOffset))
  await sim.world.until(Promise.all([ask(START), ask(START + 5), ask(START + 1000)]))
  expect(reads).toEqual([0])
  expect(at(blocks, START + 777)).toBe(byteAt(START + 777))

  // Whoever reads along finds the next block on its way.
  await sim.world.until(ask(START + BLOCK))
  await sim.world.until(ask(START + 2 * BLOCK))
  await sim.world.until(ask(START + 2 * BLOCK + 9))
  expect(reads).toEqual([0, BLOCK, 2 * BLOCK, 3 * BLOCK])
})

test('as many blocks are brought ahead as are asked for, each once, and none behind the segment', async () => {
  const blocks = new ColdBlocks(log, { blockBytes: BLOCK, minBlocks: 8, maxBlocks: 8, ahead: 3 })
  const ask = (block: number) => sim.world.until(blocks.load(segment, START + block * BLOCK))
  await ask(5)
  await ask(6)
  expect(reads).toEqual([5, 6, 7, 8, 9].map((block) => block * BLOCK))
  await sim.world.run(10)
  blocks.readOn(segment, START + 9 * BLOCK)
  expect(reads.slice(5)).toEqual([10 * BLOCK])
})

test('the last block of a segment is short, and there is none behind it', async () => {
  const blocks = new ColdBlocks(log, { blockBytes: BLOCK, minBlocks: 4, maxBlocks: 4, ahead: 1 })
  for (const block of [9, 10]) await sim.world.until(blocks.load(segment, START + block * BLOCK))
  expect(at(blocks, START + SIZE - 1)).toBe(byteAt(START + SIZE - 1))
  expect(reads).toEqual([9 * BLOCK, 10 * BLOCK])
})

test('a block that is still being written is never kept', () => {
  const blocks = new ColdBlocks(log, { blockBytes: BLOCK, minBlocks: 4, maxBlocks: 4, ahead: 1 })
  log.writtenOffset = START + 3 * BLOCK - 1
  expect(blocks.startOf(segment, START + 2 * BLOCK)).toBe(-1)
  expect(blocks.startOf(segment, START + 2 * BLOCK - 1)).toBe(START + BLOCK)
})

test('memory is bounded: the block that nobody used for longest makes room, and what is read then is right', async () => {
  const blocks = new ColdBlocks(log, { blockBytes: BLOCK, minBlocks: 3, maxBlocks: 3, ahead: 1 })
  // Backwards: nobody reads along.
  for (const block of [8, 6, 4]) await sim.world.until(blocks.load(segment, START + block * BLOCK))
  expect(at(blocks, START + 8 * BLOCK)).toBe(byteAt(START + 8 * BLOCK))
  blocks.loadNow(segment, START + 2 * BLOCK)
  expect(blocks.peek(START + 6 * BLOCK)).toBeUndefined()
  for (const block of [2, 4, 8]) expect(at(blocks, START + block * BLOCK + 3)).toBe(byteAt(START + block * BLOCK + 3))
})

test('of whoever cannot wait for a block that is on its way, the room for blocks does not become less', async () => {
  const room = Buffer.alloc(3 * BLOCK)
  const blocks = new ColdBlocks(log, { blockBytes: BLOCK, minBlocks: 3, maxBlocks: 3, ahead: 0 }, room)
  for (let block = 0; block < 10; block++) {
    const coming = blocks.load(segment, START + block * BLOCK)
    expect(blocks.isComing(START + block * BLOCK)).toBe(true)
    blocks.loadNow(segment, START + block * BLOCK)
    expect(at(blocks, START + block * BLOCK + 3)).toBe(byteAt(START + block * BLOCK + 3))
    await sim.world.until(coming)
  }
  const next = [2, 4, 6].map((block) => START + block * BLOCK)
  for (const start of next) blocks.loadNow(segment, start)
  expect(new Set(next.map((start) => blocks.peek(start)?.byteOffset)).size).toBe(3)
  for (const start of next) expect(blocks.peek(start)?.buffer).toBe(room.buffer)
})

test('few blocks are kept, and more when one that had to make room is needed again', async () => {
  const blocks = new ColdBlocks(log, { blockBytes: BLOCK, minBlocks: 2, maxBlocks: 4, ahead: 0 })
  const here = () => Array.from({ length: 10 }, (_, block) => block).filter((block) => blocks.peek(START + block * BLOCK) !== undefined)
  for (const block of [0, 1, 2, 3, 4, 5]) blocks.loadNow(segment, START + block * BLOCK)
  expect(here()).toEqual([4, 5])
  for (const block of [3, 2, 9]) blocks.loadNow(segment, START + block * BLOCK)
  expect(here()).toEqual([2, 3, 5, 9])
  for (const block of [4, 1]) blocks.loadNow(segment, START + block * BLOCK)
  expect(here().length).toBe(4)
})

test('of the blocks that are kept there are fewer again when for long none was missed', () => {
  const count = new BlockCount(2, 4)
  count.went(7)
  count.came(7)
  expect(count.kept).toBe(4)
  for (let start = 100; start < 300; start++) count.came(start)
  expect(count.kept).toBe(2)
})

test('a read that fails is told to all who wait, and tried again by the next', async () => {
  const blocks = new ColdBlocks(log, { blockBytes: BLOCK, minBlocks: 4, maxBlocks: 4, ahead: 1 })
  failures = 1
  const both = [blocks.load(segment, START), blocks.load(segment, START)]
  const ends = await sim.world.until(Promise.allSettled(both))
  expect(ends.map((end) => end.status)).toEqual(['rejected', 'rejected'])
  expect(blocks.peek(START)).toBeUndefined()
  await sim.world.until(blocks.load(segment, START))
  expect(at(blocks, START + 1)).toBe(byteAt(START + 1))
})
