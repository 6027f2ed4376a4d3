/** Digests of runs of records (`digest.ts` of the store), four side by side. */
import { get32 } from './bytes'
import { bodyAtOf, digestOfRange, FACTOR, MAGIC_V1, SEED } from './record'
import { DIGESTS_AT } from '../src/protocol/kernel/layout'

const FIXED_BYTES_MIN: usize = 92

/** A step of the digests. */
@inline
export function mix(h: u32, word: i32): u32 {
  h = (h ^ <u32>word) * FACTOR
  return h ^ (h >>> 15)
}

/** Where the body ends of the record at `at`, if its lengths are those of a record that is whole below `end`; else 0. */
@inline
export function bodyEndOf(at: usize, end: usize): usize {
  if (at + FIXED_BYTES_MIN > end || get32(at + 4) != MAGIC_V1) return 0
  const next = at + <usize>get32(at)
  const bodyAt = bodyAtOf(at, get32(at + 36))
  if (next > end || bodyAt >= next) return 0
  const bodyLength = get32(bodyAt - 4)
  return bodyLength >= 0 && <usize>bodyLength + 3 < next - bodyAt ? bodyAt + <usize>bodyLength : 0
}

/**
 * Puts the digests of the next records at `DIGESTS_AT`: how many, four at most, 0 when there is none that is whole. Each step of a digest waits for
 * the one before, so four are made side by side.
 */
export function digestNext(a: usize, end: usize): i32 {
  const aEnd = bodyEndOf(a, end)
  if (aEnd == 0) return 0
  const b = a + <usize>get32(a)
  const bEnd = bodyEndOf(b, end)
  const c = bEnd == 0 ? b : b + <usize>get32(b)
  const cEnd = bEnd == 0 ? 0 : bodyEndOf(c, end)
  const d = cEnd == 0 ? c : c + <usize>get32(c)
  const dEnd = cEnd == 0 ? 0 : bodyEndOf(d, end)
  const headBytes = bodyAtOf(a, get32(a + 36)) - a
  if (dEnd == 0 || !hasHead(b, headBytes) || !hasHead(c, headBytes) || !hasHead(d, headBytes)) {
    store<u32>(DIGESTS_AT, digestOfRange(aEnd, b, digestOfRange(a, a + headBytes, SEED)))
    return 1
  }
  const next = d + <usize>get32(d)
  let digests = i32x4.splat(<i32>SEED)
  for (let i: usize = 0; i < headBytes; i += 4) digests = mix4(digests, a + i, b + i, c + i, d + i)
  const bytes = min(min(b - aEnd, c - bEnd), min(d - cEnd, next - dEnd)) & ~3
  for (let i: usize = 0; i < bytes; i += 4) digests = mix4(digests, aEnd + i, bEnd + i, cEnd + i, dEnd + i)
  store<u32>(DIGESTS_AT, digestOfRange(aEnd + bytes, b, i32x4.extract_lane(digests, 0)))
  store<u32>(DIGESTS_AT, digestOfRange(bEnd + bytes, c, i32x4.extract_lane(digests, 1)), 4)
  store<u32>(DIGESTS_AT, digestOfRange(cEnd + bytes, d, i32x4.extract_lane(digests, 2)), 8)
  store<u32>(DIGESTS_AT, digestOfRange(dEnd + bytes, next, i32x4.extract_lane(digests, 3)), 12)
  return 4
}

@inline
function hasHead(at: usize, bytes: usize): bool {
  return bodyAtOf(at, get32(at + 36)) - at == bytes
}

/** `mix` of four digests with the words there. */
@inline
function mix4(digests: v128, a: usize, b: usize, c: usize, d: usize): v128 {
  let words = v128.load32_zero(a)
  words = v128.load32_lane(b, words, 1)
  words = v128.load32_lane(c, words, 2)
  words = v128.load32_lane(d, words, 3)
  words = i8x16.shuffle(words, words, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12)
  digests = i32x4.mul(v128.xor(digests, words), i32x4.splat(<i32>FACTOR))
  return v128.xor(digests, i32x4.shr_u(digests, 15))
}
