/** Java's String.hashCode, eight bytes a step. */

/** Bytes of all texts that were hashed since `beginHashes`, together: tells whether all is ASCII. */
let seen: u64 = 0
const NOT_ASCII: u64 = 0x8080808080808080

@inline
export function beginHashes(): void {
  seen = 0
}

/** Of no other text are the hashes right. */
@inline
export function wereAscii(): bool {
  return (seen & NOT_ASCII) == 0
}

// Powers of 31.
const P8: i32 = <i32>2487512833
const POWERS = memory.data<i32>([1, 31, 961, 29791, 923521, 28629151, 887503681, 1742810335])

/** Java's String.hashCode of ASCII bytes, continued from `seed`; eight of them a step. Reads up to seven bytes before `at`. */
@inline
export function hashOf(at: usize, end: usize, seed: i32): i32 {
  const length = end - at
  const odd = length & 7
  let hash = seed
  if (odd != 0) {
    // Zeros in front of a text change nothing of its own hash.
    const bytes = load<u64>(at + odd - 8) & (<u64>-1 << (<u64>(8 - odd) << 3))
    hash = hash * load<i32>(POWERS + (odd << 2)) + hashOf8(bytes)
    at += odd
  }
  for (; at < end; at += 8) hash = hash * P8 + hashOf8(load<u64>(at))
  return hash
}

@inline
function hashOf8(bytes: u64): i32 {
  seen |= bytes
  const pairs = i32x4.dot_i16x8_s(i16x8.extend_low_i8x16_u(i64x2.splat(<i64>bytes)), i16x8(31, 1, 31, 1, 31, 1, 31, 1))
  const sums = i32x4.mul(pairs, i32x4(887503681, 923521, 961, 1))
  const halves = i32x4.add(sums, i8x16.shuffle(sums, sums, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7))
  return i32x4.extract_lane(halves, 0) + i32x4.extract_lane(halves, 1)
}
