/**
 * The kernel sums a body by folding it, and copies it on the way. What must hold: for any bytes, whatever their length and wherever they lie,
 * the sum is zlib's, the copy is the text, and no byte around either is read or written.
 */
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Kernel } from '@skylarkmq/remoting/protocol'

const LENGTH_MAX = 5000
const LENGTHS = Array.from({ length: LENGTH_MAX + 1 }, (_, length) => length)
const POISON = 0xa5
const POISON_BYTES = 64
const kernel = new Kernel({ ringBytes: 65_536, receiveBytes: 0, outBytes: 0, slots: 0 })
const { bytes, calls } = kernel
const TO_AT = kernel.ringAt + 32_768

const bodies = fc.uint8Array({ minLength: LENGTH_MAX, maxLength: LENGTH_MAX })
const longer = fc.record({ seed: fc.uint8Array({ minLength: 1, maxLength: 40 }), length: fc.integer({ min: LENGTH_MAX, max: 30_000 }) })
const alignments = fc.record({ from: fc.nat(63), to: fc.nat(63) })

/** What differs of a text that lies at `from`, when it is copied to `to`: nothing. */
function differences(from: number, to: number, length: number): string[] {
  const text = bytes.subarray(from, from + length)
  const sum = crc32(text)
  const found: string[] = []
  if (calls.crc32(from, from + length) >>> 0 !== sum) found.push(`sum of ${length} bytes`)
  bytes.fill(POISON, to - POISON_BYTES, to + length + POISON_BYTES)
  if (calls.copyWithCrc32(to, from, length) >>> 0 !== sum) found.push(`sum of ${length} bytes that are copied`)
  if (!bytes.subarray(to, to + length).equals(text)) found.push(`copy of ${length} bytes`)
  const around = [...bytes.subarray(to - POISON_BYTES, to), ...bytes.subarray(to + length, to + length + POISON_BYTES)]
  if (around.some((byte) => byte !== POISON)) found.push(`bytes around the copy of ${length}`)
  return found
}

describe('the checksum of a body by the kernel', () => {
  test('is that of zlib for every length, wherever the body lies, and so is that of a copy', () => {
    fc.assert(
      fc.property(bodies, alignments, (body, { from, to }) => {
        bytes.set(body, kernel.ringAt + from)
        expect(LENGTHS.flatMap((length) => differences(kernel.ringAt + from, TO_AT + to, length))).toEqual([])
      }),
      { numRuns: 20 },
    )
  }, 60_000)

  test('is that of zlib for long bodies, too', () => {
    fc.assert(
      fc.property(longer, alignments, ({ seed, length }, { from, to }) => {
        for (let i = 0; i < length; i++)
          bytes[kernel.ringAt + from + i] = Math.imul(i + (seed[i % seed.length] as number), 2_654_435_761) >>> 13
        expect(differences(kernel.ringAt + from, TO_AT + to, length)).toEqual([])
      }),
    )
  })

  test('is had without a byte behind the body, even at the end of the memory', () => {
    fc.assert(
      fc.property(bodies, (body) => {
        bytes.set(body, kernel.ringAt)
        const end = bytes.length
        for (const length of LENGTHS) {
          const sum = crc32(body.subarray(0, length))
          expect(calls.copyWithCrc32(end - length, kernel.ringAt, length) >>> 0).toBe(sum)
          expect(calls.crc32(end - length, end) >>> 0).toBe(sum)
          expect(calls.copyWithCrc32(kernel.ringAt, end - length, length) >>> 0).toBe(sum)
        }
      }),
      { numRuns: 3 },
    )
  }, 60_000)
})
