const HIGH = 0x1_0000_0000

/** Big-endian int64 from a number below 2^53. */
export function setInt64(view: DataView, at: number, value: number): void {
  view.setInt32(at, Math.floor(value / HIGH))
  view.setUint32(at + 4, value >>> 0)
}

export function getInt64(view: DataView, at: number): number {
  return view.getInt32(at) * HIGH + view.getUint32(at + 4)
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** Java's String.hashCode of UTF-8 bytes, continued from `seed`. */
export function javaHashOfUtf8(bytes: Uint8Array, start: number, end: number, seed: number): number {
  let hash = seed
  for (let i = start; i < end; i++) {
    const byte = bytes[i] as number
    if (byte > 0x7f) return javaHashOfText(utf8.decode(bytes.subarray(start, end)), seed)
    hash = (Math.imul(hash, 31) + byte) | 0
  }
  return hash
}

export function javaHashOfText(text: string, seed = 0): number {
  let hash = seed
  for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0
  return hash
}

export const utf8 = new TextDecoder()
