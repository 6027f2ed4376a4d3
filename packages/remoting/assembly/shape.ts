/**
 * Property texts of one sender differ little: the same names at the same places, values of equal length. Of a text that was read whole is
 * remembered where its values lie; one that is equal but for plain values is read by that.
 */
import { SHAPE_TEXT_BYTES } from '../src/protocol/kernel/layout'

// int32 length of the text (0: none), and misses; then the text, what must be equal of it, and what is value.
const MISSES = 4
const TEXT: usize = 16
const FIXED: usize = TEXT + SHAPE_TEXT_BYTES
const VALUES: usize = FIXED + SHAPE_TEXT_BYTES

/** One in so many texts that are not like the one before replaces it. */
const REPLACED_EVERY = 4
const PLAIN_FROM: i8 = 3

@inline
export function forgetShape(shape: usize): void {
  store<i32>(shape, 0)
}

/** That the text at `at` has the names and separators of the shape, and between them neither separators nor anything but ASCII. */
export function isOfShape(shape: usize, at: usize, length: i32): bool {
  if (load<i32>(shape) != length || length == 0) return false
  let differs = i64x2.splat(0)
  for (let i: usize = 0; i < <usize>length; i += 16) {
    const text = v128.load(at + i)
    differs = v128.or(differs, v128.and(v128.xor(text, v128.load(shape + i, TEXT)), v128.load(shape + i, FIXED)))
    // Signed: bytes that are not ASCII are less than any.
    differs = v128.or(differs, v128.and(i8x16.lt_s(text, i8x16.splat(PLAIN_FROM)), v128.load(shape + i, VALUES)))
  }
  return !v128.any_true(differs)
}

/** Begins to remember a text that was not of the shape; false: this one is not worth it. It counts after `endShape`. */
export function beginShape(shape: usize, at: usize, length: i32): bool {
  if (length > SHAPE_TEXT_BYTES) return false
  if (load<i32>(shape) != 0) {
    const misses = load<i32>(shape, MISSES) + 1
    store<i32>(shape, misses, MISSES)
    if (misses % REPLACED_EVERY != 0) return false
    store<i32>(shape, 0)
  }
  memory.copy(shape + TEXT, at, length)
  memory.fill(shape + FIXED, 0xff, length)
  memory.fill(shape + FIXED + <usize>length, 0, SHAPE_TEXT_BYTES - length)
  memory.fill(shape + VALUES, 0, SHAPE_TEXT_BYTES)
  return true
}

/** Bytes `[from, to)` of the text that is being remembered are a value. */
@inline
export function noteValue(shape: usize, from: usize, to: usize): void {
  memory.fill(shape + FIXED + from, 0, to - from)
  memory.fill(shape + VALUES + from, 0xff, to - from)
}

@inline
export function endShape(shape: usize, length: i32): void {
  store<i32>(shape, length)
}
