import { randomBytes } from 'node:crypto'
import { assert } from '../assert.ts'
import type { Random } from '../random.ts'

/** The machine's chance. */
export const nodeRandom = (): Random => {
  const integer = (bound: number): number => {
    assert(bound >= 1, `a random integer needs a bound of at least 1, not ${bound}`)
    return Math.floor(Math.random() * bound)
  }
  return {
    integer,
    fraction: () => Math.random(),
    pick: (items) => {
      assert(items.length > 0, 'cannot pick from an empty list')
      return items[integer(items.length)] as (typeof items)[number]
    },
    bytes: (length) => randomBytes(length),
  }
}
