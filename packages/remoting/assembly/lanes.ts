/**
 * Digests of records (`digest.ts` of the store), side by side, wherever they lie. Each step of a digest waits for the product of the one before, so
 * eight are made at once, four in a vector.
 */
import { turned } from './bytes'
import { digestOfRange, FACTOR, SEED } from './record'
import { DIGESTS_AT, LANES, LANES_AT } from '../src/protocol/kernel/layout'

/** Of a record: where it begins, where its body ends, and where it ends. */
const LANE_BYTES: usize = 12
/** Fewer are digested one by one. */
const LANES_MIN = 3

/** Makes a record a lane, by three addresses in it. */
@inline
export function setLane(lane: i32, at: usize, bodyEnd: usize, end: usize): void {
  const there = LANES_AT + <usize>lane * LANE_BYTES
  store<u32>(there, <u32>at)
  store<u32>(there, <u32>bodyEnd, 4)
  store<u32>(there, <u32>end, 8)
}

@inline
function laneAt(lane: usize): usize {
  return load<u32>(LANES_AT + lane * LANE_BYTES)
}

@inline
export function laneBodyEnd(lane: usize): usize {
  return load<u32>(LANES_AT + lane * LANE_BYTES, 4)
}

@inline
function laneEnd(lane: usize): usize {
  return load<u32>(LANES_AT + lane * LANE_BYTES, 8)
}

/** Puts the digests of the records in the first lanes, whose heads have so many bytes, at `DIGESTS_AT`. */
export function digestLanes(count: i32, headBytes: usize): void {
  if (count < LANES_MIN) {
    for (let i: usize = 0; i < <usize>count; i++) {
      const at = laneAt(i)
      store<u32>(DIGESTS_AT + (i << 2), digestOfRange(laneBodyEnd(i), laneEnd(i), digestOfRange(at, at + headBytes, SEED)))
    }
    return
  }
  // The lanes that are left repeat the last: a vector costs the same, however much of it is used.
  for (let i = count; i < LANES; i++) setLane(i, laneAt(count - 1), laneBodyEnd(count - 1), laneEnd(count - 1))
  let bytes = <usize>-1
  for (let i: usize = 0; i < <usize>count; i++) bytes = min(bytes, laneEnd(i) - laneBodyEnd(i))
  bytes &= ~3
  v128.store(DIGESTS_AT, i32x4.splat(<i32>SEED))
  v128.store(DIGESTS_AT, i32x4.splat(<i32>SEED), 16)
  mixLanes(LANES_AT, headBytes)
  mixLanes(LANES_AT + 4, bytes)
  for (let i: usize = 0; i < <usize>count; i++) {
    const digest = DIGESTS_AT + (i << 2)
    store<u32>(digest, digestOfRange(laneBodyEnd(i) + bytes, laneEnd(i), load<u32>(digest)))
  }
}

/** The digests go on over so many bytes, whole words, at the addresses that each lane has at the same place; that of the first is at `lanes`. */
function mixLanes(lanes: usize, bytes: usize): void {
  let low = v128.load(DIGESTS_AT)
  let high = v128.load(DIGESTS_AT, 16)
  const a = <usize>load<u32>(lanes)
  const b = <usize>load<u32>(lanes, LANE_BYTES)
  const c = <usize>load<u32>(lanes, 2 * LANE_BYTES)
  const d = <usize>load<u32>(lanes, 3 * LANE_BYTES)
  const e = <usize>load<u32>(lanes, 4 * LANE_BYTES)
  const f = <usize>load<u32>(lanes, 5 * LANE_BYTES)
  const g = <usize>load<u32>(lanes, 6 * LANE_BYTES)
  const h = <usize>load<u32>(lanes, 7 * LANE_BYTES)
  let i: usize = 0
  for (; i + 16 <= bytes; i += 16) {
    // Four words of each of four records become the first word of each, the second of each, and so on.
    const wordsA = load16(a + i)
    const wordsB = load16(b + i)
    const wordsC = load16(c + i)
    const wordsD = load16(d + i)
    const wordsE = load16(e + i)
    const wordsF = load16(f + i)
    const wordsG = load16(g + i)
    const wordsH = load16(h + i)
    const firstAB = firstTwo(wordsA, wordsB)
    const firstCD = firstTwo(wordsC, wordsD)
    const firstEF = firstTwo(wordsE, wordsF)
    const firstGH = firstTwo(wordsG, wordsH)
    low = mix4(low, v128.shuffle<u64>(firstAB, firstCD, 0, 2))
    high = mix4(high, v128.shuffle<u64>(firstEF, firstGH, 0, 2))
    low = mix4(low, v128.shuffle<u64>(firstAB, firstCD, 1, 3))
    high = mix4(high, v128.shuffle<u64>(firstEF, firstGH, 1, 3))
    const lastAB = lastTwo(wordsA, wordsB)
    const lastCD = lastTwo(wordsC, wordsD)
    const lastEF = lastTwo(wordsE, wordsF)
    const lastGH = lastTwo(wordsG, wordsH)
    low = mix4(low, v128.shuffle<u64>(lastAB, lastCD, 0, 2))
    high = mix4(high, v128.shuffle<u64>(lastEF, lastGH, 0, 2))
    low = mix4(low, v128.shuffle<u64>(lastAB, lastCD, 1, 3))
    high = mix4(high, v128.shuffle<u64>(lastEF, lastGH, 1, 3))
  }
  for (; i < bytes; i += 4) {
    low = mix4(low, wordOfEach(a + i, b + i, c + i, d + i))
    high = mix4(high, wordOfEach(e + i, f + i, g + i, h + i))
  }
  v128.store(DIGESTS_AT, low)
  v128.store(DIGESTS_AT, high, 16)
}

@inline
function load16(at: usize): v128 {
  return turned(v128.load(at))
}

/** Of either. */
@inline
function firstTwo(a: v128, b: v128): v128 {
  return v128.shuffle<u32>(a, b, 0, 4, 1, 5)
}

@inline
function lastTwo(a: v128, b: v128): v128 {
  return v128.shuffle<u32>(a, b, 2, 6, 3, 7)
}

@inline
function wordOfEach(a: usize, b: usize, c: usize, d: usize): v128 {
  let found = v128.load32_zero(a)
  found = v128.load32_lane(b, found, 1)
  found = v128.load32_lane(c, found, 2)
  return turned(v128.load32_lane(d, found, 3))
}

/** `mix` of four digests. */
@inline
function mix4(digests: v128, words: v128): v128 {
  digests = i32x4.mul(v128.xor(digests, words), i32x4.splat(<i32>FACTOR))
  return v128.xor(digests, i32x4.shr_u(digests, 15))
}
