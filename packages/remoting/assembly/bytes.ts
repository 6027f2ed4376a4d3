/** Small tools on bytes in memory. */

const LOW: u64 = 0x0101010101010101
const HIGH: u64 = 0x8080808080808080

/** Bit 7 of the first byte that is a quote, a backslash or below 0x20 is the lowest bit set; 0 when there is none. */
@inline
export function special(word: u64): u64 {
  const quote = word ^ 0x2222222222222222
  const backslash = word ^ 0x5c5c5c5c5c5c5c5c
  const found = ((quote - LOW) & ~quote) | ((backslash - LOW) & ~backslash) | ((word - 0x2020202020202020) & ~word)
  return found & HIGH
}

/** Position of the first quote, backslash or control byte from `at` on; `end` or more when there is none. */
@inline
export function skipPlain(at: usize, end: usize): usize {
  while (at < end) {
    const found = special(load<u64>(at))
    if (found != 0) return at + (<usize>ctz(found) >> 3)
    at += 8
  }
  return at
}

/** That there is no quote, backslash or control byte in `length` bytes. */
@inline
export function isPlain(at: usize, length: i32): bool {
  const end = at + <usize>length
  for (; at + 8 <= end; at += 8) if (special(load<u64>(at)) != 0) return false
  for (; at < end; at++) {
    const byte = load<u8>(at)
    if (byte < 0x20 || byte == 0x22 || byte == 0x5c) return false
  }
  return true
}

/** Position of the first byte from `at` on that is 1, 2 or not ASCII; `end` or more when there is none. */
@inline
export function skipText(at: usize, end: usize): usize {
  while (at < end) {
    const word = load<u64>(at)
    const one = word ^ LOW
    const two = word ^ (LOW << 1)
    const found = (((one - LOW) & ~one) | ((two - LOW) & ~two) | word) & HIGH
    if (found != 0) return at + (<usize>ctz(found) >> 3)
    at += 8
  }
  return at
}

/** Position of the first byte below 3 (a separator of properties, or 0) from `at` on; `end` at most. */
@inline
export function skipToSeparator(at: usize, end: usize): usize {
  while (at < end) {
    const word = load<u64>(at)
    const found = (word - 0x0303030303030303) & ~word & HIGH
    if (found != 0) {
      at += <usize>ctz(found) >> 3
      return at < end ? at : end
    }
    at += 8
  }
  return end
}

/** Position of the first space from `at` on; `end` when there is none. */
@inline
export function skipToSpace(at: usize, end: usize): usize {
  while (at < end) {
    const rest = load<u64>(at) ^ 0x2020202020202020
    const found = (rest - LOW) & ~rest & HIGH
    if (found != 0) {
      at += <usize>ctz(found) >> 3
      return at < end ? at : end
    }
    at += 8
  }
  return end
}

/** A whole number ≥ 0 of at most 15 plain digits, or -1. */
@inline
export function wholeNumber(at: usize, end: usize): i64 {
  if (at == end || end - at > 15) return -1
  let value: i64 = 0
  for (; at < end; at++) {
    const digit = <u32>load<u8>(at) - 0x30
    if (digit > 9) return -1
    value = value * 10 + <i64>digit
  }
  return value
}

@inline
export function equal(a: usize, b: usize, length: usize): bool {
  if (length >= 8) {
    const last = length - 8
    for (let i: usize = 0; i < last; i += 8) if (load<u64>(a + i) != load<u64>(b + i)) return false
    return load<u64>(a + last) == load<u64>(b + last)
  }
  for (; length > 0; length--) if (load<u8>(a++) != load<u8>(b++)) return false
  return true
}

/** Java's String.hashCode of ASCII bytes. */
@inline
export function javaHash(at: usize, end: usize): i32 {
  let hash: i32 = 0
  for (; at < end; at++) hash = hash * 31 + <i32>load<u8>(at)
  return hash
}

/** int32 result or length number `index` of the layout. */
@inline
export function word(index: i32): i32 {
  return load<i32>(<usize>index << 2)
}

@inline
export function setWord(index: i32, value: i32): void {
  store<i32>(<usize>index << 2, value)
}

@inline
export function put16(at: usize, value: i32): void {
  store<u16>(at, bswap<u16>(<u16>value))
}

@inline
export function put32(at: usize, value: i32): void {
  store<u32>(at, bswap<u32>(<u32>value))
}

@inline
export function put64(at: usize, value: f64): void {
  store<u64>(at, bswap<u64>(<u64>(<i64>value)))
}

@inline
export function get32(at: usize): i32 {
  return <i32>bswap<u32>(load<u32>(at))
}

/** Four words of which each has its bytes the other way round: one step, where `get32` takes several for each. */
@inline
export function turned(words: v128): v128 {
  return i8x16.shuffle(words, words, 3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12)
}

/** Likewise two of eight bytes. */
@inline
export function turned64(words: v128): v128 {
  return i8x16.shuffle(words, words, 7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8)
}

/** Signed, as Java has it. */
@inline
export function get16(at: usize): i32 {
  return <i32>(<i16>bswap<u16>(load<u16>(at)))
}

/** For few bytes: a call into the engine costs more. Writes up to seven bytes more than told. */
@inline
export function copyShort(to: usize, from: usize, length: i32): void {
  for (let i = 0; i < length; i += 8) store<u64>(to + <usize>i, load<u64>(from + <usize>i))
}

/** For up to some hundred bytes, that do not overlap: writes none more than told. */
@inline
export function copyExactly(to: usize, from: usize, length: i32): void {
  if (length < 16) {
    copyFew(to, from, length)
    return
  }
  const last = length - 16
  for (let i = 0; i < last; i += 16) v128.store(to + <usize>i, v128.load(from + <usize>i))
  v128.store(to + <usize>last, v128.load(from + <usize>last))
}

@inline
function copyFew(to: usize, from: usize, length: i32): void {
  if (length < 8) {
    for (let i = 0; i < length; i++) store<u8>(to + <usize>i, load<u8>(from + <usize>i))
    return
  }
  const last = <usize>length - 8
  store<u64>(to, load<u64>(from))
  store<u64>(to + last, load<u64>(from + last))
}

/** For the caller, whose own means to copy within one memory cost several times as much to call. */
export function copy(to: usize, from: usize, length: i32): void {
  memory.copy(to, from, length)
}
