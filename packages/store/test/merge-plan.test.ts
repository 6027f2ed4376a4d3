import { describe, expect, test } from 'vitest'
import { planMerge } from '../src/compaction/merge-plan.ts'

describe('which files are merged', () => {
  const MEBI = 1024 * 1024
  const files = (...mebibytes: readonly number[]) =>
    mebibytes.map((size) => ({ sizeBytes: size * MEBI, createdMs: 1_000, oldestTombstoneMs: 0 }))
  const plan = (...mebibytes: readonly number[]) => planMerge(files(...mebibytes), 10_000, 1_000_000)

  test('those of about one size when they are four, all when what came since weighs half as much as the oldest', () => {
    expect(plan()).toBeUndefined()
    expect(plan(5)).toBeUndefined()
    expect(plan(100, 1)).toBeUndefined()
    expect(plan(100, 20, 10)).toBeUndefined()
    expect(plan(100, 20, 10, 10)).toBeUndefined()
    expect(plan(100, 15, 10, 10, 10)).toEqual({ from: 1, to: 5 })
    expect(plan(100, 30, 20)).toEqual({ from: 0, to: 3 })
    expect(plan(1000, 100, 8, 8, 8, 8)).toEqual({ from: 2, to: 6 })
    expect(plan(10, 2, 2)).toBeUndefined()
    expect(plan(10, 3, 2)).toEqual({ from: 0, to: 3 })
  })

  test('those of a small queue when its oldest is ten minutes old, those of a tiny one always', () => {
    expect(planMerge(files(0.9, 0.1), 1_000, 1_000_000)).toEqual({ from: 0, to: 2 })
    expect(planMerge(files(100, 0.8, 0.2), 1_000, 1_000_000)).toBeUndefined()
    expect(planMerge(files(14, 1, 1), 600_999, 1_000_000)).toBeUndefined()
    expect(planMerge(files(14, 1, 1), 601_000, 1_000_000)).toEqual({ from: 0, to: 3 })
    expect(planMerge(files(15, 1, 1), 601_000, 1_000_000)).toBeUndefined()
  })

  /** Pieces of so many MiB come one after another; what is merged is no larger than `most`, since newer values replace older ones. */
  function grow(count: number, mebibytes: number, most = Number.POSITIVE_INFINITY): { copied: number; files: number } {
    let sizes: number[] = []
    let copied = 0
    let files = 0
    for (let i = 0; i < count; i++) {
      sizes.push(mebibytes)
      for (let next = plan(...sizes); next !== undefined; next = plan(...sizes)) {
        const merged = Math.min(
          most,
          sizes.slice(next.from, next.to).reduce((sum, size) => sum + size, 0),
        )
        copied += merged
        sizes = [...sizes.slice(0, next.from), merged, ...sizes.slice(next.to)]
      }
      files = Math.max(files, sizes.length)
    }
    return { copied, files }
  }

  test('a queue that grows for long is copied some six times, and has few files', () => {
    const { copied, files: most } = grow(2_000, 8)
    expect(copied / 16_000).toBeLessThan(7)
    expect(most).toBeLessThanOrEqual(10)
  })

  test('a queue whose values are replaced is not copied whole for the few that came', () => {
    const { copied, files: most } = grow(2_000, 1, 10)
    expect(copied / 2_000).toBeLessThan(3)
    expect(most).toBeLessThanOrEqual(4)
  })

  test('deletions whose time is over go with all that is older, of a large queue at most twice in that time', () => {
    const [old, newer] = [
      { sizeBytes: 100 * MEBI, createdMs: 1_000, oldestTombstoneMs: 0 },
      { sizeBytes: 20 * MEBI, createdMs: 2_000, oldestTombstoneMs: 2_000 },
    ]
    expect(planMerge([old, newer], 2_999, 1_000)).toBeUndefined()
    expect(planMerge([old, newer], 3_000, 1_000)).toEqual({ from: 0, to: 2 })
    expect(planMerge([{ ...old, createdMs: 2_600 }, newer], 3_000, 1_000)).toBeUndefined()
    expect(planMerge([{ ...newer, sizeBytes: MEBI, createdMs: 3_000 }], 3_000, 1_000)).toEqual({ from: 0, to: 1 })
    const small = { sizeBytes: 2 * MEBI, createdMs: 9_000, oldestTombstoneMs: 1_000 }
    expect(planMerge([small], 608_999, 10_000_000)).toBeUndefined()
    expect(planMerge([{ ...small, createdMs: 10_100_000 }], 10_699_999, 10_000_000)).toBeUndefined()
    expect(planMerge([{ ...small, createdMs: 10_100_000 }], 10_700_000, 10_000_000)).toEqual({ from: 0, to: 1 })
  })
})
