/**
 * Java's `long` as a number, by two 32-bit halves: no BigInt where every message passes. Exact up to 2^53 in size; beyond, the nearest
 * double (such values only come from broken bytes, and every user compares or checks them).
 */
export const readLong = (bytes: Buffer, at: number): number => bytes.readInt32BE(at) * 4294967296 + bytes.readUInt32BE(at + 4)

export function writeLong(bytes: Buffer, value: number, at: number): void {
  bytes.writeInt32BE(Math.floor(value / 4294967296) | 0, at)
  bytes.writeUInt32BE(value >>> 0, at + 4)
}

/** The same memory as a Buffer; no copy. */
export const asBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
