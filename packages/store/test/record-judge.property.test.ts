/**
 * Records of old log are judged side by side, whatever lies beside them. What must hold: as many at once as there are, of any shapes, are judged
 * as each would be on its own.
 */
import { Kernel, PICK } from '@skylarkmq/remoting/protocol'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { encodeRecord, recordBytes } from '../src/commit-log/record.ts'
import { ENTRY_BYTES, writeEntry } from '../src/consume-queue/entry.ts'
import { bodyCrc } from '../src/crc32.ts'
import { recordDigest } from '../src/digest.ts'
import { message } from './support/fixture.ts'

const QUEUE_ID = 5
const PLACE = 77
const FIRST = 1_000
const RECORDS_MAX = 20
const LOG_FROM = 2 ** 33 + 12

const kernel = new Kernel({ ringBytes: 65_536, receiveBytes: 0, outBytes: 0, readBytes: 4096, slots: 1 })
const view = new DataView(kernel.ring.buffer, kernel.ring.byteOffset, kernel.ring.length)
const entries = new DataView(kernel.read.buffer, kernel.read.byteOffset, RECORDS_MAX * ENTRY_BYTES)
const entriesAt = kernel.addressOf(kernel.read)
const picksAt = entriesAt + RECORDS_MAX * ENTRY_BYTES

const hosts = { 0: [8, 8], 16: [20, 8], 32: [8, 20], 48: [20, 20] } as const
const shape = fc.record({
  family: fc.constantFrom(0, 0, 0, 0, 0, 0, 16, 32, 48),
  body: fc.uint8Array({ maxLength: 400 }),
  topicBytes: fc.constantFrom(4, 4, 4, 5, 130),
  propertyBytes: fc.constantFrom(60, 60, 60, 61, 0, 3, 200),
  gap: fc.constantFrom(0, 0, 1, 77),
})
const given = fc.record({
  shapes: fc.oneof(
    fc.array(shape, { minLength: 1, maxLength: RECORDS_MAX, size: 'max' }),
    fc.tuple(shape, fc.integer({ min: 1, max: RECORDS_MAX })).map(([one, count]) => Array.from({ length: count }, () => one)),
  ),
  damages: fc.array(fc.tuple(fc.nat(), fc.nat({ max: 7 })), { minLength: RECORDS_MAX, maxLength: RECORDS_MAX }),
})

interface Laid {
  readonly at: number
  readonly sizeBytes: number
  readonly digest: number
}

function putEntry(place: number, { at, sizeBytes }: Laid, digest: number): void {
  writeEntry(entries, place * ENTRY_BYTES, PLACE + place, { physicalOffset: LOG_FROM + at, sizeBytes, tagsCode: -place, digest })
}

/** Lays the records in the ring, and their entries. */
function lay(shapes: readonly (typeof shape extends fc.Arbitrary<infer T> ? T : never)[]): Laid[] {
  let at = 0
  return shapes.map(({ family, body, topicBytes, propertyBytes, gap }, place) => {
    const [born, store] = hosts[family as keyof typeof hosts]
    const properties = Buffer.alloc(propertyBytes, `${place}`)
    const bytes = { bornHost: new Uint8Array(born).fill(7), storeHost: new Uint8Array(store).fill(9), body, properties }
    const one = message({ topic: 't'.repeat(topicBytes), queueId: QUEUE_ID, sysFlag: family, ...bytes })
    const topic = Buffer.from(one.topic)
    at += gap
    const sizeBytes = recordBytes(one, topic)
    const offsets = { queueOffset: FIRST + place, physicalOffset: LOG_FROM + at, storeTimestamp: place }
    encodeRecord(kernel.ring, view, at, one, topic, { ...offsets, sizeBytes, bodyCrc: bodyCrc(body) })
    const laid = { at, sizeBytes, digest: recordDigest(view, at) }
    putEntry(place, laid, laid.digest)
    at += sizeBytes
    return laid
  })
}

const pick = (count: number, isOld: boolean): number =>
  kernel.calls.pickRecords(
    entriesAt,
    count,
    PLACE,
    QUEUE_ID,
    FIRST,
    LOG_FROM,
    LOG_FROM + kernel.ring.length,
    kernel.ringAt,
    0,
    2 ** 30,
    isOld ? 1 : 0,
    picksAt,
  )

const isAsWritten = ({ at, sizeBytes, digest }: Laid): boolean => kernel.calls.isAsWritten(kernel.ringAt + at, sizeBytes, digest) === 1

test('old records that are picked are judged as each on its own: a changed bit of any of them, or of what its entry tells, is noticed', () => {
  let judged = 0
  fc.assert(
    fc.property(given, ({ shapes, damages }) => {
      const records = lay(shapes)
      const { length } = records
      expect(records.every(isAsWritten)).toBe(true)
      expect(pick(length, true)).toBe(length)
      expect(kernel.words[PICK.bytes]).toBe(records.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0))
      const picks = kernel.ints.subarray(picksAt / 4, picksAt / 4 + 2 * length)
      expect([...picks]).toEqual(records.flatMap(({ at, sizeBytes }) => [kernel.ringAt + at, sizeBytes]))
      records.forEach((record, place) => {
        const [where, bit] = damages[place] as [number, number]
        const damaged = record.at + (where % record.sizeBytes)
        kernel.ring[damaged] = (kernel.ring[damaged] as number) ^ (1 << bit)
        expect(isAsWritten(record)).toBe(false)
        expect(pick(length, true)).toBe(-1)
        expect(pick(place, true)).toBe(place)
        kernel.ring[damaged] = (kernel.ring[damaged] as number) ^ (1 << bit)
        putEntry(place, record, record.digest ^ (1 << bit))
        expect(pick(length, true)).toBe(-1)
        expect(pick(length, false)).toBe(length)
        putEntry(place, record, record.digest)
        judged++
      })
      expect(pick(length, true)).toBe(length)
    }),
    { numRuns: 500 },
  )
  expect(judged).toBeGreaterThan(2_000)
})
