/** How long stores took: what a monitor is told must be near what happened. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { PutTimesMeter } from '../src/write/put-times.ts'

test('a quantile is at most a quarter above what was measured, and never below', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0.004, max: 60_000, noNaN: true }), { minLength: 1, maxLength: 200 }), (times) => {
      const meter = new PutTimesMeter(0)
      for (const ms of times) meter.record(1, ms, 1)
      const { count, p50Ms, p99Ms, maxMs, distribution } = meter.report(2)
      const sorted = [...times].sort((a, b) => a - b)
      const rankOf = (q: number) => sorted[Math.ceil(times.length * q) - 1] as number
      expect([count, distribution.reduce((a, b) => a + b, 0)]).toEqual([times.length, times.length])
      expect(maxMs).toBe(sorted.at(-1))
      for (const [told, real] of [
        [p50Ms, rankOf(0.5)],
        [p99Ms, rankOf(0.99)],
      ] as const) {
        // Whole microseconds are counted.
        expect(told).toBeGreaterThanOrEqual(real - 0.001)
        expect(told).toBeLessThanOrEqual(real * 1.26 + 0.001)
      }
    }),
  )
})

test('Apache’s classes: one slow store among many is seen where it belongs', () => {
  const meter = new PutTimesMeter(0)
  meter.record(1000, 0.2, 1)
  meter.record(5, 30, 1)
  meter.record(1, 12_000, 1)
  const { distribution, p50Ms, p999Ms } = meter.report(2)
  expect(distribution).toEqual([1000, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])
  expect(p50Ms).toBeLessThan(0.26)
  expect(p999Ms).toBeGreaterThanOrEqual(30)
})

test('what was minutes ago does not count any more, but for the longest', () => {
  const meter = new PutTimesMeter(0)
  meter.record(3, 40, 10_000)
  expect(meter.report(70_000)).toMatchObject({ count: 3 })
  expect(meter.report(140_000)).toMatchObject({ count: 0, p99Ms: 0, maxMs: 40 })
})
