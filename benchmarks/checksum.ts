/**
 * The CRC of a body: by the kernel, and by zlib's native code, which has to be called. Both in one run, over texts that lie behind one
 * another in 8 MiB, as records do.
 *
 *   node --conditions=source --import tsx benchmarks/checksum.ts
 */
import { crc32 } from 'node:zlib'
import { Kernel } from '@skylarkmq/remoting/protocol'

const SIZES = [100, 256, 1024, 4096, 65_536]
const RING_BYTES = 8 << 20
const BYTES_PER_ROUND = 64 << 20
const ROUNDS = 5

const kernel = new Kernel({ ringBytes: RING_BYTES, receiveBytes: 65_536, outBytes: 65_536, slots: 1 })
for (let i = 0; i < RING_BYTES; i++) kernel.ring[i] = Math.imul(i, 2_654_435_761) >>> 13

const WAYS: Readonly<Record<string, (at: number, size: number) => number>> = {
  kernel: (at, size) => kernel.calls.crc32(kernel.ringAt + at, kernel.ringAt + at + size) >>> 0,
  zlib: (at, size) => crc32(kernel.ring.subarray(at, at + size)),
}

for (const size of SIZES) {
  const nanos: Record<string, number[]> = {}
  const sums = new Set<number>()
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [name, way] of Object.entries(WAYS)) {
      let sum = 0
      let count = 0
      const began = process.hrtime.bigint()
      for (let done = 0; done < BYTES_PER_ROUND; ) {
        for (let at = 0; at + size <= RING_BYTES; at += size, done += size, count++) sum = (sum + way(at, size)) % 2 ** 48
      }
      // The first round warms up.
      if (round > 0) (nanos[name] ??= []).push(Number(process.hrtime.bigint() - began) / count)
      sums.add(sum)
    }
  }
  if (sums.size !== 1) throw new Error(`the kernel and zlib disagree about texts of ${size} bytes`)
  const shown = Object.entries(nanos).map(([name, all]) => `${name} ${all.toSorted((a, b) => a - b)[ROUNDS >> 1]?.toFixed(0)} ns`)
  console.log(`${size} bytes: ${shown.join(', ')}`)
}
