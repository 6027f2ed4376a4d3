import { assert } from '../assert.ts'
import type { Random } from '../random.ts'

/** Chance that a seed determines, with a few shapes that simulations need. */
export interface SeededRandom extends Random {
  /** True with this probability. */
  chance(probability: number): boolean
  /** min ≤ x < max. */
  between(min: number, max: number): number
  /** An independent stream: drawing from one does not change what another gives. */
  fork(name: string): SeededRandom
}

/** FNV-1a. */
const hash = (text: string): number => {
  let state = 0x811c9dc5
  for (let index = 0; index < text.length; index++) state = Math.imul(state ^ text.charCodeAt(index), 0x01000193)
  return state >>> 0
}

/** sfc32 (PractRand): small, fast, passes the usual batteries. */
const sfc32 = (seed: number): (() => number) => {
  let a = seed | 0
  let b = 0x9e3779b9 | 0
  let c = 0x243f6a88 | 0
  let counter = 1
  const next = (): number => {
    const sum = (((a + b) | 0) + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = ((c << 21) | (c >>> 11)) + sum
    c |= 0
    return sum >>> 0
  }
  for (let round = 0; round < 16; round++) next()
  return next
}

export const seededRandom = (seed: number): SeededRandom => {
  const next = sfc32(seed)
  const fraction = (): number => next() / 2 ** 32
  const integer = (bound: number): number => {
    assert(bound >= 1, `a random integer needs a bound of at least 1, not ${bound}`)
    return Math.floor(fraction() * bound)
  }
  return {
    fraction,
    integer,
    pick: (items) => {
      assert(items.length > 0, 'cannot pick from an empty list')
      return items[integer(items.length)] as (typeof items)[number]
    },
    bytes: (length) => Uint8Array.from({ length }, () => next() & 0xff),
    chance: (probability) => fraction() < probability,
    between: (min, max) => min + fraction() * (max - min),
    fork: (name) => seededRandom((hash(name) ^ Math.imul(seed, 0x85ebca6b)) >>> 0),
  }
}
