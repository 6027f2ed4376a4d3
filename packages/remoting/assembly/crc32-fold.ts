/**
 * Folding of a CRC-32: where a multiple of its polynomial has few terms, what stands at its highest may be taken away when it is added again
 * further on, at the others (K. Russell, "Chorba: A novel CRC32 implementation", 2024). Here for pairs of words, sixteen bytes.
 */

/** From the second word of a pair to the first of the next. */
@inline
export function between(pair: v128, next: v128): v128 {
  return v128.shuffle<u64>(pair, next, 1, 2)
}

@inline
function fromFifthByte(pair: v128, next: v128): v128 {
  return v128.shuffle<u8>(pair, next, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20)
}

@inline
function fromTenthByte(pair: v128, next: v128): v128 {
  return v128.shuffle<u8>(pair, next, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25)
}

/**
 * `pair` with what pairs before it add that were taken away by bytes. x^120 + x^88 + x^80 + x^34 + x^18 + x^13 + x^8 + 1 is a multiple, so its
 * eighth power is: a byte comes again 32, 40, 86, 102, 107, 112 and 120 bytes further on. Found by search: no shifts, and three shuffles for
 * seven places. `outer` is the sum of the second and the seventh pair before, 32 and 112 bytes; half a pair further on it is 40 and 120.
 * `inner` is that of the fifth and the sixth; six bytes further on it is 86 and 102. `outerBefore` and `innerBefore` were those of the pair
 * before. What is known longest goes in first.
 */
@inline
export function gathered(
  pair: v128,
  seventh: v128,
  sixth: v128,
  innerBefore: v128,
  inner: v128,
  outerBefore: v128,
  outer: v128,
): v128 {
  const known = v128.xor(v128.xor(pair, fromFifthByte(seventh, sixth)), fromTenthByte(innerBefore, inner))
  return v128.xor(v128.xor(known, outer), between(outerBefore, outer))
}

/**
 * `pair` with what pairs before it add that were taken away by bits, for the last of a text: x^300 + x^155 + x^117 + x^89 + 1 is a multiple,
 * so a bit comes again 145, 183, 211 and 300 bits further on; two and three, three and four, four and five words. It takes the last pair,
 * the one before that, and what lies between pairs.
 */
@inline
export function folded(pair: v128, last: v128, older: v128, now: v128, before: v128): v128 {
  const known = v128.xor(v128.xor(pair, i64x2.shr_u(before, 20)), v128.xor(i64x2.shr_u(older, 45), i64x2.shl(older, 44)))
  const soon = v128.xor(known, v128.xor(i64x2.shl(last, 17), i64x2.shl(last, 55)))
  return v128.xor(v128.xor(soon, i64x2.shl(now, 19)), v128.xor(i64x2.shr_u(now, 47), i64x2.shr_u(now, 9)))
}
