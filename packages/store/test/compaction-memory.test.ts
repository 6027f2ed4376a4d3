import { simRuntime } from '@skylarkmq/runtime/sim'
import { expect, test } from 'vitest'
import { Pace } from '../src/compaction/pace.ts'
import { Pages } from '../src/compaction/working-memory.ts'

const MEBI = 1024 * 1024

test('what is taken of pages stays until it is given back, whatever its size', () => {
  const pages = new Pages()
  const sizes = [1, 700_000, 400_000, 3 * MEBI, 5, MEBI, MEBI - 1, 1]
  for (let round = 0; round < 3; round++) {
    const taken = sizes.map((size, i) => {
      const { bytes, page, at } = pages.take(size)
      bytes.fill(i + 1, at, at + size)
      return { page, at, size }
    })
    for (const [i, { page, at, size }] of taken.entries()) {
      expect(
        pages
          .page(page)
          .subarray(at, at + size)
          .every((byte) => byte === i + 1),
      ).toBe(true)
    }
    pages.giveBack()
  }
})

test('some pages are kept for the next run, those of large messages are not', () => {
  const pages = new Pages()
  const take = (sizes: readonly number[]) => sizes.map((size) => pages.take(size).bytes)
  const first = take([MEBI, 3 * MEBI, MEBI, MEBI, MEBI, MEBI, MEBI])
  pages.giveBack()
  const again = take([MEBI, MEBI, MEBI, MEBI, MEBI])
  expect(again.map((page) => first.indexOf(page))).toEqual([0, 2, 3, 4, -1])
})

test('a run that takes long has longer slices, to keep up', async () => {
  const { clock, world } = simRuntime(1)
  const pace = new Pace(clock)
  const lengths: number[] = []
  for (let i = 0; i < 4; i++) {
    lengths.push(pace.length)
    await world.run(11_000)
    const paused = pace.pause()
    await world.run(1_000)
    await paused
  }
  expect(lengths).toEqual([1, 2, 4, 4])
})
