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

/** Unmasked CRC of `[start, end)`. */
export function crc32(start: usize, end: usize): u32 {
  let c: u32 = 0xffffffff
  let at = start
  for (; at + 16 <= end; at += 16) {
    const a = load<u32>(at) ^ c
    const b = load<u32>(at, 4)
    const d = load<u32>(at, 8)
    const e = load<u32>(at, 12)
    c =
      look(15, a) ^
      look(14, a >>> 8) ^
      look(13, a >>> 16) ^
      look(12, a >>> 24) ^
      look(11, b) ^
      look(10, b >>> 8) ^
      look(9, b >>> 16) ^
      look(8, b >>> 24) ^
      look(7, d) ^
      look(6, d >>> 8) ^
      look(5, d >>> 16) ^
      look(4, d >>> 24) ^
      look(3, e) ^
      look(2, e >>> 8) ^
      look(1, e >>> 16) ^
      look(0, e >>> 24)
  }
  for (; at < end; at++) c = (c >>> 8) ^ look(0, c ^ <u32>load<u8>(at))
  return ~c
}
