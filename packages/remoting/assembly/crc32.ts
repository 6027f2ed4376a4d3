/** CRC-32 (IEEE), sixteen bytes a step. */
import { CRC_TABLES_AT } from '../src/protocol/kernel/layout'

const TABLE_BYTES = 1024
const TABLES = 16

/** Once, before anything else. */
export function makeTables(): void {
  for (let n: u32 = 0; n < 256; n++) {
    let c = n
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1
    store<u32>(CRC_TABLES_AT + (<usize>n << 2), c)
  }
  for (let k = 1; k < TABLES; k++) {
    const table: usize = <usize>(CRC_TABLES_AT + k * TABLE_BYTES)
    for (let n: usize = 0; n < 256; n++) {
      const before = load<u32>(table - TABLE_BYTES + (n << 2))
      store<u32>(table + (n << 2), (before >>> 8) ^ load<u32>(CRC_TABLES_AT + (<usize>(before & 0xff) << 2)))
    }
  }
}

@inline
function look(table: usize, byte: u32): u32 {
  return load<u32>(CRC_TABLES_AT + table * TABLE_BYTES + (<usize>(byte & 0xff) << 2))
}

/** What eight bytes, as a word, become with so many bytes behind them in a step. */
@inline
function looked(word: u64, behind: usize): u32 {
  const low = <u32>word
  const high = <u32>(word >>> 32)
  return (
    look(behind + 7, low) ^
    look(behind + 6, low >>> 8) ^
    look(behind + 5, low >>> 16) ^
    look(behind + 4, low >>> 24) ^
    look(behind + 3, high) ^
    look(behind + 2, high >>> 8) ^
    look(behind + 1, high >>> 16) ^
    look(behind, high >>> 24)
  )
}

/** From so many bytes on folding pays. */
const FOLDED_FROM_BYTES: usize = 160
/** What is folded last reaches into the five words behind it. */
const CARRIED_BYTES: usize = 40
const PAIR_BYTES: usize = 16

/** The second word of one pair and the first of the next. */
@inline
function between(pair: v128, next: v128): v128 {
  return v128.shuffle<u64>(pair, next, 1, 2)
}

/**
 * What pairs of words folded before add to the pair behind them: the last, the one before that, and what lies between pairs. What is
 * known longest goes in first, since each pair waits for the last.
 */
@inline
function fold(behind: v128, last: v128, older: v128, now: v128, before: v128): v128 {
  const known = v128.xor(v128.xor(behind, i64x2.shr_u(before, 20)), v128.xor(i64x2.shr_u(older, 45), i64x2.shl(older, 44)))
  const soon = v128.xor(known, v128.xor(i64x2.shl(last, 17), i64x2.shl(last, 55)))
  return v128.xor(v128.xor(soon, i64x2.shl(now, 19)), v128.xor(i64x2.shr_u(now, 47), i64x2.shr_u(now, 9)))
}

/**
 * Unmasked CRC of `[start, end)`. Long texts are folded first, by shifts alone: x^300 + x^155 + x^117 + x^89 + 1 is a multiple of the
 * CRC's polynomial, so a bit may be taken away when it is added again 145, 183, 211 and 300 bits further on (K. Russell, "Chorba: A novel
 * CRC32 implementation", 2024). In words: two and three, three and four, four and five further on.
 */
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

@inline
function wordAt(at: usize, distance: usize, copies: bool): u64 {
  const word = load<u64>(at)
  if (copies) store<u64>(at + distance, word)
  return word
}

/** `distance`: how far behind the bytes their copy goes. What of this a caller does not need, the compiler leaves out. */
@inline
function sum(start: usize, end: usize, distance: usize, copies: bool): u32 {
  let at = start
  let c: u32 = 0xffffffff
  if (at + FOLDED_FROM_BYTES <= end) {
    const nothing = i64x2.splat(0)
    let older = nothing
    let last = v128.xor(pairAt(at, distance, copies), i64x2(0xffffffff, 0))
    let before = nothing
    let now = between(nothing, last)
    for (at += PAIR_BYTES; at + PAIR_BYTES + CARRIED_BYTES <= end; at += PAIR_BYTES) {
      const pair = fold(pairAt(at, distance, copies), last, older, now, before)
      before = now
      now = between(last, pair)
      older = last
      last = pair
    }
    const third = fold(pairAt(at, distance, copies), last, older, now, before)
    const fourth = fold(pairAt(at + PAIR_BYTES, distance, copies), nothing, last, between(last, nothing), now)
    c = looked(i64x2.extract_lane(third, 0), 8) ^ looked(i64x2.extract_lane(third, 1), 0)
    c = looked(i64x2.extract_lane(fourth, 0) ^ c, 8) ^ looked(i64x2.extract_lane(fourth, 1), 0)
    c = looked(wordAt(at + 2 * PAIR_BYTES, distance, copies) ^ (i64x2.extract_lane(last, 1) >>> 20) ^ c, 0)
    at += CARRIED_BYTES
  }
  for (; at + 16 <= end; at += 16) c = looked(wordAt(at, distance, copies) ^ c, 8) ^ looked(wordAt(at + 8, distance, copies), 0)
  if (at + 8 <= end) {
    c = looked(wordAt(at, distance, copies) ^ c, 0)
    at += 8
  }
  for (; at < end; at++) {
    const byte = load<u8>(at)
    if (copies) store<u8>(at + distance, byte)
    c = (c >>> 8) ^ look(0, c ^ <u32>byte)
  }
  return ~c
}
