import type { DiskFile } from '@skylarkmq/runtime'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { ReadRequest, ReadResult } from '../src/index.ts'
import { LIMITS } from '../src/limits.ts'
import { Bench, message, ROOT, textOf } from './support/fixture.ts'

/** More than the ring and a block of old log hold. */
const MESSAGES = 1_600
const QUEUES = 3
const TURN = 40

interface Given {
  /** Where in the log a bit is flipped, as a part of it. */
  readonly damage: readonly number[]
  readonly reads: readonly { readonly queueId: number; readonly from: number; readonly maxMessages: number; readonly maxBytes: number }[]
}

/** Of a whole, evenly: damage and reads are to be everywhere. */
const part = fc.noBias(fc.nat({ max: 999_999 })).map((n) => n / 1_000_000)

const given: fc.Arbitrary<Given> = fc.record({
  damage: fc.array(part, { minLength: 8, maxLength: 8 }),
  reads: fc.array(
    fc.record({
      queueId: fc.nat({ max: QUEUES - 1 }),
      from: part,
      maxMessages: fc.constantFrom(1, 2, 32, 200),
      maxBytes: fc.constantFrom(1, 5_000, 50_000, 262_144, 262_144),
    }),
    { minLength: 80, maxLength: 80 },
  ),
})

async function stored(segmentBytes: number, isReopened: boolean, damage: readonly number[]): Promise<Bench> {
  const bench = new Bench(1, { segmentBytes })
  await bench.open()
  for (let n = 0; n < MESSAGES; n += TURN) {
    await bench.append(...Array.from({ length: TURN }, (_, i) => message({ queueId: (n + i) % QUEUES, text: textOf(n + i) })))
  }
  if (isReopened) {
    await bench.close()
    await bench.open()
  }
  const { disk } = bench.node
  const names = disk.list(`${ROOT}/commitlog`).filter((name) => /^\d{20}$/.test(name))
  for (const where of damage) {
    const file = disk.open(`${ROOT}/commitlog/${names[Math.floor(where * names.length)] as string}`)
    // A log of one file is not full.
    const position = Math.floor(where * Math.min(file.sizeBytes(), 1024 * 1024))
    const byte = new Uint8Array(1)
    file.readNow(byte, 0, 1, position)
    file.write(Uint8Array.of((byte[0] as number) ^ 4), 0, 1, position)
    file.close()
  }
  return bench
}

const shown = ({ status, messageCount, nextOffset, minOffset, maxOffset }: ReadResult, body: Uint8Array) => ({
  told: { status, messageCount, nextOffset, minOffset, maxOffset },
  body: Buffer.from(body).toString('latin1'),
})

let put = 0

/** What a read that puts its body gives, behind whatever stands there already. */
function bytesOf({ body, bodyToPut }: ReadResult): Buffer {
  if (bodyToPut === undefined) return Buffer.from(body)
  put++
  const bytes = Buffer.alloc(bodyToPut.length + 14, 0xee)
  bodyToPut.putAt(bytes, 7)
  expect([bytes.subarray(0, 7), bytes.subarray(-7)]).toEqual([Buffer.alloc(7, 0xee), Buffer.alloc(7, 0xee)])
  return bytes.subarray(7, -7)
}

test.each([
  ['many files, the newest in memory', 64 * 1024, false],
  ['one file, the newest in memory', 4 * 1024 * 1024, false],
  ['many files, after a start', 64 * 1024, true],
  ['one file, after a start', 4 * 1024 * 1024, true],
])(
  'records that are copied once, from where they lie to where they leave from, are those that any other read finds: %s',
  async (_what, segmentBytes, isReopened) => {
    put = 0
    await fc.assert(
      fc.asyncProperty(given, async ({ damage, reads }) => {
        const bench = await stored(segmentBytes, isReopened, damage)
        for (const { queueId, from, maxMessages, maxBytes } of reads) {
          const offset = Math.floor((from * MESSAGES) / QUEUES)
          const request: ReadRequest = { topic: 'orders', queueId, offset, maxMessages, maxBytes }
          const inPlace = bench.store.read({ ...request, lendsBody: true, putsBody: true })
          const found = inPlace instanceof Promise ? await bench.run(inPlace) : inPlace
          // Off the main thread others run before the body could be put.
          if (inPlace instanceof Promise) expect(found.bodyToPut).toBeUndefined()
          const bytes = bytesOf(found)
          found.release?.()
          const plain = await bench.run(Promise.resolve(bench.store.read(request)))
          expect(shown(found, bytes)).toEqual(shown(plain, plain.body))
        }
        await bench.close()
      }),
      { numRuns: 3, seed: 20261122 },
    )
    expect(put).toBeGreaterThan(60)
  },
  120_000,
)

test('what was picked counts until something else is read', async () => {
  const bench = new Bench()
  await bench.open()
  await bench.append(message({ text: 'first' }), message({ text: 'second' }))
  const read = (offset: number) =>
    bench.store.read({ topic: 'orders', queueId: 0, offset, maxMessages: 1, maxBytes: 1000, putsBody: true }) as ReadResult
  const [first, second] = [read(0), read(1)]
  expect(() => first.bodyToPut?.putAt(Buffer.alloc(1000), 0)).toThrow('before anything else is read')
  expect(bytesOf(second).includes('second')).toBe(true)
})

test('a consumer reads a thin queue of old log along; the disk brings the next block at once, and nothing of it gets into an answer', async () => {
  const bench = new Bench(1, { segmentBytes: 32 * 1024 * 1024, maxMessageBytes: 600_000 })
  await bench.open()
  // One message of the thin queue in each block of old log, and more blocks than are kept.
  const blocks = LIMITS.coldBlocks + 8
  for (let n = 0; n < blocks; n++) {
    await bench.append(message({ text: `thin ${n}.` }), message({ queueId: 1, text: 'x'.repeat(LIMITS.coldBlockBytes - 400) }))
  }
  await bench.close()
  await bench.open()
  const file = bench.node.disk.open(`${ROOT}/commitlog/${'0'.repeat(20)}`)
  const files = Object.getPrototypeOf(file) as DiskFile
  const { read } = files
  files.read = function (this: DiskFile, ...place: Parameters<DiskFile['read']>) {
    return Promise.resolve(this.readNow(...place))
  }
  const answered = async (queueId: number, offset: number, maxMessages: number): Promise<ReadResult> => {
    const maxBytes = maxMessages * LIMITS.coldBlockBytes
    return bench.run(Promise.resolve(bench.store.read({ topic: 'orders', queueId, offset, maxMessages, maxBytes, putsBody: true })))
  }
  let putAtOnce = 0
  try {
    for (let offset = 0; offset + LIMITS.coldBlocks < blocks; offset++) {
      // Brings blocks; the thin reads then take what is there, up to all of them.
      await answered(1, offset, LIMITS.coldBlocks - 2)
      for (let count = 2; count <= LIMITS.coldBlocks; count++) {
        const request = { topic: 'orders', queueId: 0, offset, maxMessages: count, maxBytes: 262_144, putsBody: true }
        const result = bench.store.read(request)
        if (result instanceof Promise) {
          await bench.run(result)
          continue
        }
        putAtOnce++
        const texts = bytesOf(result)
          .toString('latin1')
          .match(/thin \d+\./g)
        expect(texts).toEqual(Array.from({ length: count }, (_, i) => `thin ${offset + i}.`))
        // The block that was read along is here.
        await bench.sim.world.run(1)
      }
    }
  } finally {
    files.read = read
  }
  expect(putAtOnce).toBeGreaterThan(0)
  file.close()
  await bench.close()
})
