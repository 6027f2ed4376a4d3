import type { Random } from '@skylarkmq/runtime'
import { describe, expect, it } from 'vitest'

export const randomConformance = (name: string, make: () => Random): void => {
  describe(`${name} random`, () => {
    it('gives every integer below the bound, and none else', () => {
      const random = make()
      const seen = new Set(Array.from({ length: 1000 }, () => random.integer(5)))
      expect([...seen].sort()).toEqual([0, 1, 2, 3, 4])
      expect(random.integer(1)).toBe(0)
    })

    it('gives fractions from 0 up to but not 1, on both sides of the middle', () => {
      const random = make()
      const drawn = Array.from({ length: 1000 }, () => random.fraction())
      expect(drawn.every((x) => x >= 0 && x < 1)).toBe(true)
      expect(drawn.some((x) => x < 0.5) && drawn.some((x) => x >= 0.5)).toBe(true)
    })

    it('picks every item of a list', () => {
      const random = make()
      const seen = new Set(Array.from({ length: 300 }, () => random.pick(['a', 'b', 'c'])))
      expect(seen.size).toBe(3)
    })

    it('gives as many bytes as asked for, and others the next time', () => {
      const random = make()
      expect(random.bytes(0)).toHaveLength(0)
      const first = random.bytes(16)
      expect(first).toHaveLength(16)
      expect(Buffer.from(random.bytes(16)).equals(Buffer.from(first))).toBe(false)
    })

    it('refuses what has no answer', () => {
      const random = make()
      expect(() => random.integer(0)).toThrow('bound of at least 1')
      expect(() => random.pick([])).toThrow('empty list')
    })
  })
}
