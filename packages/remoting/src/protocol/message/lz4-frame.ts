/**
 * Reads LZ4 frames (LZ4 Frame Format 1.6), bounded by the caller: no package offers a limit on output, and a block can grow 255 times.
 * Checksums are skipped, as message bodies carry their own. Linked blocks are understood. Throws plain Errors that say what is wrong.
 */
const MAGIC = 0x184d2204

class Output {
  bytes: Buffer
  length = 0
  readonly max: number

  constructor(hint: number, max: number) {
    this.max = max
    this.bytes = Buffer.allocUnsafe(Math.min(max, Math.max(1024, hint)))
  }

  reserve(count: number): void {
    const needed = this.length + count
    if (needed > this.max) throw new Error(`it grows beyond ${this.max} bytes`)
    if (needed <= this.bytes.length) return
    const grown = Buffer.allocUnsafe(Math.min(this.max, Math.max(needed, this.bytes.length * 2)))
    this.bytes.copy(grown, 0, 0, this.length)
    this.bytes = grown
  }
}

const cut = (): Error => new Error('the LZ4 data is cut short')

function decodeBlock(from: Buffer, start: number, end: number, out: Output, windowStart: number): void {
  let at = start
  const extend = (length: number): number => {
    let total = length
    if (length !== 15) return total
    for (;;) {
      if (at >= end) throw cut()
      const more = from[at++] as number
      total += more
      if (more !== 255) return total
    }
  }
  while (at < end) {
    const token = from[at++] as number
    const literals = extend(token >>> 4)
    if (at + literals > end) throw cut()
    out.reserve(literals)
    from.copy(out.bytes, out.length, at, at + literals)
    out.length += literals
    at += literals
    // The last sequence has literals only.
    if (at === end) return
    if (at + 2 > end) throw cut()
    const distance = (from[at] as number) | ((from[at + 1] as number) << 8)
    at += 2
    const count = extend(token & 15) + 4
    const source = out.length - distance
    if (distance === 0 || source < windowStart) throw new Error(`an LZ4 match reaches ${distance} bytes back, before the data's start`)
    out.reserve(count)
    const bytes = out.bytes
    // Byte by byte where the ranges overlap: repeats are written so.
    if (distance >= count) bytes.copyWithin(out.length, source, source + count)
    else for (let i = 0; i < count; i++) bytes[out.length + i] = bytes[source + i] as number
    out.length += count
  }
}

export function decodeLz4Frame(from: Buffer, maxBytes: number): Buffer {
  if (from.length < 7 || from.readUInt32LE(0) !== MAGIC) throw new Error('the LZ4 frame magic is missing')
  const flags = from[4] as number
  if (flags >>> 6 !== 1) throw new Error(`the LZ4 frame version is ${flags >>> 6}, not 1`)
  const independent = (flags & 0x20) !== 0
  const blockChecksum = (flags & 0x10) !== 0
  const contentSize = (flags & 0x08) !== 0
  if ((flags & 0x01) !== 0) throw new Error('the LZ4 frame needs a dictionary')
  let at = 6 + (contentSize ? 8 : 0) + 1
  const out = new Output(from.length * 3, maxBytes)
  for (;;) {
    if (at + 4 > from.length) throw cut()
    const word = from.readUInt32LE(at)
    at += 4
    if (word === 0) break
    const length = word & 0x7fffffff
    const end = at + length
    if (end > from.length) throw cut()
    if (word >>> 31 === 1) {
      out.reserve(length)
      from.copy(out.bytes, out.length, at, end)
      out.length += length
    } else {
      decodeBlock(from, at, end, out, independent ? out.length : 0)
    }
    at = end + (blockChecksum ? 4 : 0)
  }
  return out.bytes.subarray(0, out.length)
}
