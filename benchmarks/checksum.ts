/**
 * The CRC of a body: by the kernel, also where it copies the body on the way, and by zlib's native code, which has to be called. All in one run,
 * in turns. Hot: one text again and again. Streaming: texts that lie behind one another in 8 MiB, as records do; what is copied there comes
 * from little memory, as from the buffer of the sockets. Ten seconds.
 *
 *   node --conditions=source --import tsx benchmarks/checksum.ts
 */
import { crc32 } from 'node:zlib'
import { Kernel } from '@skylarkmq/remoting/protocol'

const SIZES = [100, 256, 512, 1024, 4096, 65_536]
const RING_BYTES = 8 << 20
/** The bytes of the ring come again after so many. */
const PERIOD_BYTES = 65_536
const ROUNDS = 25

const kernel = new Kernel({ ringBytes: RING_BYTES, receiveBytes: 2 * PERIOD_BYTES, outBytes: 0, slots: 1 })
const { ring, ringAt, receive, calls } = kernel
for (let i = 0; i < RING_BYTES; i++) ring[i] = Math.imul(i % PERIOD_BYTES, 2_654_435_761) >>> 13
receive.set(ring.subarray(0, receive.length))
const receiveAt = receive.byteOffset

/** The CRC of a text of the ring, signed or not; copying, it is put there once more. */
const WAYS: Readonly<Record<string, (at: number, size: number) => number>> = {
  kernel: (at, size) => calls.crc32(ringAt + at, ringAt + at + size),
  copying: (at, size) => calls.copyWithCrc32(ringAt + at, receiveAt + (at % PERIOD_BYTES), size),
  zlib: (at, size) => crc32(ring.subarray(at, at + size)),
}

/** Nanoseconds for each text, in the middle round, of each way; `step`: how far behind one text the next lies. */
function measured(size: number, step: number): string {
  const nanos: Record<string, number[]> = {}
  const sums = new Set<number>()
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [name, way] of Object.entries(WAYS)) {
      let sum = 0
      let at = 0
      const count = Math.floor(RING_BYTES / size)
      const began = process.hrtime.bigint()
      for (let text = 0; text < count; text++, at += step) sum = (sum + way(at, size)) | 0
      // The first round warms up.
      if (round > 0) (nanos[name] ??= []).push(Number(process.hrtime.bigint() - began) / count)
      sums.add(sum)
    }
  }
  if (sums.size !== 1) throw new Error(`the kernel and zlib disagree about texts of ${size} bytes`)
  return Object.entries(nanos)
    .map(([name, all]) => `${name} ${all.toSorted((a, b) => a - b)[ROUNDS >> 1]?.toFixed(0)} ns`)
    .join(', ')
}

for (const size of SIZES) {
  console.log(`${size} bytes: hot ${measured(size, 0)}; streaming ${measured(size, size)}`)
}
