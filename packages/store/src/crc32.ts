import { crc32 as nativeCrc32 } from 'node:zlib'

/** Below this many bytes the call into zlib costs more than the work. */
const NATIVE_FROM_BYTES = 250

const tables = makeTables()

function makeTables(): Uint32Array[] {
  const all: Uint32Array[] = []
  const first = new Uint32Array(256)
  for (let n = 0; n < 256; n++) {
    let c = n
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1
    first[n] = c >>> 0
  }
  all.push(first)
  for (let k = 1; k < 8; k++) {
    const before = all[k - 1] as Uint32Array
    const table = new Uint32Array(256)
    for (let n = 0; n < 256; n++) table[n] = ((before[n] as number) >>> 8) ^ (first[(before[n] as number) & 0xff] as number)
    all.push(table)
  }
  return all
}

const T0 = tables[0] as Uint32Array
const T1 = tables[1] as Uint32Array
const T2 = tables[2] as Uint32Array
const T3 = tables[3] as Uint32Array
const T4 = tables[4] as Uint32Array
const T5 = tables[5] as Uint32Array
const T6 = tables[6] as Uint32Array
const T7 = tables[7] as Uint32Array

/** CRC-32 (IEEE) of a body, masked to 31 bits as RocketMQ UtilAll#crc32 does. */
export function bodyCrc(bytes: Uint8Array): number {
  return (bytes.length < NATIVE_FROM_BYTES ? sliceBy8(bytes, 0, bytes.length) : nativeCrc32(bytes)) & 0x7fffffff
}

export function bodyCrcOfRange(bytes: Uint8Array, start: number, end: number): number {
  const crc = end - start < NATIVE_FROM_BYTES ? sliceBy8(bytes, start, end) : nativeCrc32(bytes.subarray(start, end))
  return crc & 0x7fffffff
}

/** Unmasked. */
export function crc32OfRange(bytes: Uint8Array, start: number, end: number): number {
  return sliceBy8(bytes, start, end)
}

function sliceBy8(b: Uint8Array, start: number, end: number): number {
  let c = -1
  let i = start
  for (; i + 8 <= end; i += 8) {
    c ^= (b[i] as number) | ((b[i + 1] as number) << 8) | ((b[i + 2] as number) << 16) | ((b[i + 3] as number) << 24)
    c =
      (T7[c & 0xff] as number) ^
      (T6[(c >>> 8) & 0xff] as number) ^
      (T5[(c >>> 16) & 0xff] as number) ^
      (T4[c >>> 24] as number) ^
      (T3[b[i + 4] as number] as number) ^
      (T2[b[i + 5] as number] as number) ^
      (T1[b[i + 6] as number] as number) ^
      (T0[b[i + 7] as number] as number)
  }
  for (; i < end; i++) c = (c >>> 8) ^ (T0[(c ^ (b[i] as number)) & 0xff] as number)
  return (c ^ -1) >>> 0
}
