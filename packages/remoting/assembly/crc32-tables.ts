/** CRC-32 (IEEE) by tables: sixteen, one for each byte of a step. */
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

/** What a byte becomes with so many bytes behind it in a step. */
@inline
function look(behind: usize, byte: u32): u32 {
  return load<u32>(CRC_TABLES_AT + behind * TABLE_BYTES + (<usize>(byte & 0xff) << 2))
}

/** The same of eight bytes, as a word. */
@inline
export function looked(word: u64, behind: usize): u32 {
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

/** A word of a text, which is copied `distance` behind. */
@inline
export function wordAt(at: usize, distance: usize, copies: bool): u64 {
  const word = load<u64>(at)
  if (copies) store<u64>(at + distance, word)
  return word
}

/** Unmasked CRC of `[start, end)`. */
@inline
export function sumByTables(start: usize, end: usize, distance: usize, copies: bool): u32 {
  let at = start
  let c: u32 = 0xffffffff
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
