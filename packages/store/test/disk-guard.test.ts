/** A disk that fills up is warned of once, not at each look. */
import type { Log } from '@skylarkmq/runtime'
import { expect, test } from 'vitest'
import { DiskGuard } from '../src/disk-guard.ts'

test('one warning each time the mark is crossed; a disk that swings about it is warned of once', () => {
  const said: string[] = []
  const note = (text: string) => void said.push(text)
  const log = { debug: note, info: note, warn: note, error: note } as unknown as Log
  const guard = new DiskGuard(log, '/store', { warnAboveUsedPercent: 75, reserveBytes: 1 })
  const used = (...percents: number[]) => {
    for (const percent of percents) guard.check({ totalBytes: 1000, freeBytes: 1000 - percent * 10 })
    return said.splice(0).length
  }
  expect(used(60, 75)).toBe(0)
  expect(used(76, 77, 78)).toBe(1)
  expect(used(74.9, 75.1, 74, 76, 73, 75.5)).toBe(0)
  expect(used(71.9, 60)).toBe(0)
  expect(used(75.1, 90)).toBe(1)
})
