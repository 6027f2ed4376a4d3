/** CRC-32 (IEEE): of short texts by tables, of others by folding, with tables for what is left. */
import { between, folded, gathered } from './crc32-fold'
import { looked, sumByTables, wordAt } from './crc32-tables'

/** What is taken away by bytes comes again up to so many further on: the last of a text are not. */
const BYTES_REACH: usize = 120
/** What is taken away by bits comes again in the five words behind it. The last five of a text are looked up. */
const BITS_REACH: usize = 40
/** From so many bytes on folding pays. */
const FOLDED_FROM_BYTES: usize = 56
const PAIR_BYTES: usize = 16
/** Of as many pairs as one is gathered from: each goes where the oldest was. */
const ROUND_BYTES: usize = 7 * PAIR_BYTES
/** A sum begins with all bits set; so does one that begins with none and meets these four bytes first. */
const BEFORE_FIRST: u64 = 0x9226f562

/** Unmasked CRC of `[start, end)`. */
export function crc32(start: usize, end: usize): u32 {
  return sum(start, end, 0, false)
}

/** The same of `length` bytes at `from`, which are copied to `to` on the way: each is fetched once. The two must not overlap. */
export function copyWithCrc32(to: usize, from: usize, length: i32): u32 {
  return sum(from, from + <usize>length, to - from, true)
}

@inline
function pairAt(at: usize, distance: usize, copies: bool): v128 {
  const pair = v128.load(at)
  if (copies) v128.store(at + distance, pair)
  return pair
}

/** `distance`: how far behind the bytes their copy goes. What of this a caller does not need, the compiler leaves out. */
@inline
function sum(start: usize, end: usize, distance: usize, copies: bool): u32 {
  return start + FOLDED_FROM_BYTES <= end ? sumByFolding(start, end, distance, copies) : sumByTables(start, end, distance, copies)
}

/**
 * The first bytes fill a pair from its end, as if zeros came before them: so it comes out even, and no bytes are left at the end. Then pairs
 * are taken away by bytes, the last of them by bits, and the last five words are looked up.
 */
@inline
function sumByFolding(start: usize, end: usize, distance: usize, copies: bool): u32 {
  const nothing = i64x2.splat(0)
  const odd = (end - start - BITS_REACH) & (PAIR_BYTES - 1)
  const places = i8x16.add(i8x16(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), i8x16.splat(<i8>odd))
  const placesBefore = i8x16.sub(places, i8x16.splat(<i8>PAIR_BYTES))
  const beforeFirst = i64x2(0, BEFORE_FIRST << 32)
  const headBefore = i8x16.swizzle(beforeFirst, placesBefore)
  const head = v128.xor(i8x16.swizzle(beforeFirst, places), i8x16.swizzle(pairAt(start, distance, copies), placesBefore))
  // By bytes: the seven pairs before, of which p6 is the last, and the sums of two for the last. By bits: see `folded`.
  let p0 = nothing
  let p1 = nothing
  let p2 = nothing
  let p3 = nothing
  let p4 = nothing
  let p5 = nothing
  let p6 = nothing
  let outer = nothing
  let inner = nothing
  let older = nothing
  let last = nothing
  let before = nothing
  let now = nothing

  let at = start + odd
  let left = at
  if (start + BYTES_REACH <= end) {
    p5 = headBefore
    p6 = head
    left = end - BYTES_REACH
  } else {
    older = headBefore
    // Three bytes before the first reach into the last of its pair.
    last = v128.xor(head, i64x2.shl(headBefore, 17))
    now = between(headBefore, last)
  }
  for (; at + ROUND_BYTES <= left; at += ROUND_BYTES) {
    const outer0 = v128.xor(p5, p0)
    const inner0 = v128.xor(p2, p1)
    p0 = gathered(pairAt(at, distance, copies), p0, p1, inner, inner0, outer, outer0)
    const outer1 = v128.xor(p6, p1)
    const inner1 = v128.xor(p3, p2)
    p1 = gathered(pairAt(at + 16, distance, copies), p1, p2, inner0, inner1, outer0, outer1)
    const outer2 = v128.xor(p0, p2)
    const inner2 = v128.xor(p4, p3)
    p2 = gathered(pairAt(at + 32, distance, copies), p2, p3, inner1, inner2, outer1, outer2)
    const outer3 = v128.xor(p1, p3)
    const inner3 = v128.xor(p5, p4)
    p3 = gathered(pairAt(at + 48, distance, copies), p3, p4, inner2, inner3, outer2, outer3)
    const outer4 = v128.xor(p2, p4)
    const inner4 = v128.xor(p6, p5)
    p4 = gathered(pairAt(at + 64, distance, copies), p4, p5, inner3, inner4, outer3, outer4)
    const outer5 = v128.xor(p3, p5)
    const inner5 = v128.xor(p0, p6)
    p5 = gathered(pairAt(at + 80, distance, copies), p5, p6, inner4, inner5, outer4, outer5)
    outer = v128.xor(p4, p6)
    inner = v128.xor(p1, p0)
    p6 = gathered(pairAt(at + 96, distance, copies), p6, p0, inner5, inner, outer5, outer)
  }

  // The same one by one; from `left` on nothing is taken away by bytes, but by bits.
  for (; at < end - BITS_REACH; at += PAIR_BYTES) {
    const nextOuter = v128.xor(p5, p0)
    const nextInner = v128.xor(p2, p1)
    const pair = gathered(pairAt(at, distance, copies), p0, p1, inner, nextInner, outer, nextOuter)
    outer = nextOuter
    inner = nextInner
    p0 = p1
    p1 = p2
    p2 = p3
    p3 = p4
    p4 = p5
    p5 = p6
    p6 = nothing
    if (at < left) {
      p6 = pair
      continue
    }
    const foldedPair = folded(pair, last, older, now, before)
    before = now
    now = between(last, foldedPair)
    older = last
    last = foldedPair
  }
  // Of the seven pairs two are left that were taken away by bytes, then one, then the half of it.
  const third = folded(gathered(pairAt(at, distance, copies), p0, p1, inner, p1, outer, p0), last, older, now, before)
  const fourth = folded(
    gathered(pairAt(at + PAIR_BYTES, distance, copies), p1, nothing, p1, nothing, p0, p1),
    nothing,
    last,
    between(last, nothing),
    now,
  )
  let c = looked(i64x2.extract_lane(third, 0), 8) ^ looked(i64x2.extract_lane(third, 1), 0)
  c = looked(i64x2.extract_lane(fourth, 0) ^ c, 8) ^ looked(i64x2.extract_lane(fourth, 1), 0)
  const fifth = i64x2.extract_lane(p1, 1) ^ (i64x2.extract_lane(last, 1) >>> 20)
  return ~looked(wordAt(at + 2 * PAIR_BYTES, distance, copies) ^ fifth ^ c, 0)
}
