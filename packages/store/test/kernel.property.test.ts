/**
 * The kernel writes and reads records beside the code in TypeScript, which recovery and checks use. What must hold: for any message both
 * make the same record, and read the same of it.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Kernel, PROPERTY_KIND } from '@skylarkmq/remoting/protocol'
import { encodeRecord, recordBytes } from '../src/commit-log/record.ts'
import { Topic } from '../src/consume-queue/topic.ts'
import { bodyCrc, crc32OfRange } from '../src/crc32.ts'
import { recordDigest } from '../src/digest.ts'
import { RecordParser } from '../src/dispatch/record-parser.ts'
import { ScannedSends } from '../src/scanned-sends.ts'
import type { MessageToStore } from '../src/types.ts'

const STAMP = 'CLUSTER\u0001C\u0002'
const kernel = new Kernel({ ringBytes: 65_536, receiveBytes: 0, outBytes: 0, slots: 1 })
kernel.addName('UNIQ_KEY', PROPERTY_KIND.uniqKey)
kernel.setTexts([Buffer.from(STAMP)], 0)
const scanned = new ScannedSends(kernel)
const view = new DataView(kernel.ring.buffer, kernel.ring.byteOffset, kernel.ring.length)

const host = fc.oneof(fc.uint8Array({ minLength: 8, maxLength: 8 }), fc.uint8Array({ minLength: 20, maxLength: 20 }))
const property = fc.tuple(
  fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom('TAGS', 'KEYS', 'DELAY') },
    { weight: 2, arbitrary: fc.stringMatching(/^[A-Za-z]{1,12}$/) },
  ),
  fc.oneof(fc.stringMatching(/^[ -~]{1,20}$/), fc.constantFrom('3', '18', '99', 'é', 'a b', '日本', 'a\u0000b', 'a\u0001b')),
)
const messages = fc.record({
  topic: fc.oneof(fc.stringMatching(/^[!#-[\]-~]{1,40}$/), fc.stringMatching(/^[a-z]{120,140}$/)),
  queueId: fc.nat(),
  flag: fc.nat(),
  sysFlag: fc.constantFrom(0, 1, 4, 8, 0x100),
  bornTimestamp: fc.nat(2 ** 45),
  bornHost: host,
  storeHost: host,
  reconsumeTimes: fc.nat(20),
  preparedTransactionOffset: fc.constant(0),
  body: fc.uint8Array({ minLength: 1, maxLength: 600 }),
  pairs: fc.uniqueArray(property, { maxLength: 6, selector: ([name]) => name }),
})
const assignment = fc.record({ queueOffset: fc.nat(2 ** 40), physicalOffset: fc.nat(2 ** 45), storeTimestamp: fc.nat(2 ** 45) })

const headerOf = (m: MessageToStore, properties: string): string =>
  JSON.stringify({
    code: 310,
    extFields: {
      ...{ a: 'g', b: m.topic, e: `${m.queueId}`, f: `${m.sysFlag}`, g: `${m.bornTimestamp}`, h: `${m.flag}`, i: properties },
      j: `${m.reconsumeTimes}`,
    },
    opaque: 7,
  })

describe('a record', () => {
  test('is written and read alike by the kernel and in TypeScript', () => {
    let written = 0
    fc.assert(
      fc.property(messages, assignment, fc.boolean(), fc.nat(100), ({ pairs, ...given }, assigned, isInMemory, at) => {
        const sysFlag = given.sysFlag | (given.bornHost.length === 20 ? 0x10 : 0) | (given.storeHost.length === 20 ? 0x20 : 0)
        const text = `${pairs.map(([name, value]) => `${name}\u0001${value}\u0002`).join('')}UNIQ_KEY\u0001K1\u0002`
        const message = { ...given, sysFlag, properties: Buffer.from(text + STAMP) }
        const topicBytes = Buffer.from(message.topic)
        const sizeBytes = recordBytes(message, topicBytes)
        const expected = Buffer.alloc(sizeBytes)
        encodeRecord(expected, new DataView(expected.buffer, expected.byteOffset), 0, message, topicBytes, {
          ...assigned,
          sizeBytes,
          bodyCrc: bodyCrc(message.body),
        })

        const header = Buffer.from(headerOf(message, text))
        const headerAt = kernel.ringAt + 32_768
        kernel.bytes.set(header, headerAt)
        if (kernel.calls.scanSend(headerAt, header.length) === 0) return
        written++
        const bodyAt = headerAt + header.length + 9
        if (isInMemory) kernel.bytes.set(message.body, bodyAt)
        const send = {
          ...{ topic: message.topic, sysFlag, bornHost: message.bornHost, storeHost: message.storeHost },
          ...{ bytes: message.body, bodyStart: 0, bodyEnd: message.body.length, bodyAt: isInMemory ? bodyAt : 0, slot: kernel.slotAt(0) },
        }
        expect(scanned.sizeOf(send)).toBe(sizeBytes)
        scanned.encode(send, at, sizeBytes, assigned.queueOffset, assigned.physicalOffset, assigned.storeTimestamp)
        expect(Buffer.from(kernel.ring.subarray(at, at + sizeBytes)).equals(expected)).toBe(true)
        expect(kernel.slotOf(kernel.slotAt(0))).toEqual({ opaque: 7, queueId: message.queueId, key: 'K1' })

        const digest = recordDigest(view, at)
        expect(kernel.calls.recordDigest(kernel.ringAt + at)).toBe(digest)
        const isAsWritten = () => kernel.calls.isAsWritten(kernel.ringAt + at, sizeBytes, digest)
        expect(isAsWritten()).toBe(1)
        const damaged = at + (given.bornTimestamp % sizeBytes)
        kernel.ring[damaged] = (kernel.ring[damaged] as number) ^ 0x10
        expect(isAsWritten()).toBe(0)
        kernel.ring[damaged] = (kernel.ring[damaged] as number) ^ 0x10
        const isSchedule = given.bornTimestamp % 2 === 0
        const topic = new Topic(isSchedule ? 'SCHEDULE_TOPIC_XXXX' : message.topic, 1, 0)
        const lookup = { find: () => topic, obtain: () => topic }
        const parserOf = (by?: Kernel) => new RecordParser(lookup, [1000, 5000, 10_000], { covers: () => false }, by)
        const { bytes: _bytes, start: _start, ...read } = parserOf(kernel).parse(kernel.ring, view, at) ?? { bytes: 0, start: 0 }
        const { bytes: _other, start: _at, ...plain } = parserOf().parse(kernel.ring, view, at) ?? { bytes: 0, start: 0 }
        expect(withoutEmpty(read)).toEqual(withoutEmpty(plain))
      }),
      { numRuns: 1500 },
    )
    expect(written).toBeGreaterThan(1000)
  })

  test('has the same checksum by the kernel, whatever its length', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 600, maxLength: 3000 }), fc.nat(40), (bytes, at) => {
        kernel.ring.set(bytes, at)
        const from = kernel.ringAt + at
        const lengths = [...Array.from({ length: 600 }, (_, length) => length), bytes.length]
        const bySlices = lengths.map((length) => crc32OfRange(bytes, 0, length))
        expect(lengths.map((length) => kernel.calls.crc32(from, from + length) >>> 0)).toEqual(bySlices)
      }),
    )
  })
})

/** Where a property is not there, its place says nothing. */
function withoutEmpty(record: object): object {
  const { uniqKeyStart, uniqKeyEnd, keysStart, keysEnd, ...rest } = record as Record<string, number>
  return {
    ...rest,
    uniqKey: uniqKeyStart === uniqKeyEnd ? undefined : [uniqKeyStart, uniqKeyEnd],
    keys: keysStart === keysEnd ? undefined : [keysStart, keysEnd],
  }
}
