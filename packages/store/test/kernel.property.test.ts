/**
 * The kernel writes and reads records beside the code in TypeScript, which recovery and checks use. What must hold: for any message both
 * make the same record, with the same digest. What views hold of it: `derive.property.test.ts`.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Kernel, PROPERTY_KIND, RUN, RUN_STOP, SERIALIZE_ROCKETMQ, SLOT, encodeFrame } from '@skylarkmq/remoting/protocol'
import { encodeRecord, recordBytes } from '../src/commit-log/record.ts'
import { bodyCrc } from '../src/crc32.ts'
import { recordDigest } from '../src/digest.ts'
import type { MessageToStore } from '../src/types.ts'

const STAMP = 'CLUSTER\u0001C\u0002'
const kernel = new Kernel({ ringBytes: 65_536, receiveBytes: 0, outBytes: 0, slots: 8 })
kernel.addName('UNIQ_KEY', PROPERTY_KIND.uniqKey)
kernel.setTexts([Buffer.from(STAMP)], [])
kernel.setRunRules({ bodyBytesMax: 1000, hostFlags: 0, flagsAllowed: -1, mustWait: false })
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

const frameOf = (m: MessageToStore, properties: string, isBinary: boolean): Buffer => {
  if (isBinary) {
    const { extFields: ext, ...rest } = JSON.parse(headerOf(m, properties)) as {
      code: number
      opaque: number
      extFields: Record<string, string>
    }
    return encodeFrame({
      ...rest,
      language: 'JAVA',
      version: 0,
      flag: 0,
      ext,
      body: Buffer.from(m.body),
      serializeType: SERIALIZE_ROCKETMQ,
    })
  }
  const header = Buffer.from(headerOf(m, properties))
  const frame = Buffer.concat([Buffer.alloc(8), header, m.body])
  frame.writeInt32BE(frame.length - 4, 0)
  frame.writeInt32BE(header.length, 4)
  return frame
}

/** The record that TypeScript writes. */
function expectedRecord(
  message: MessageToStore,
  assigned: { queueOffset: number; physicalOffset: number; storeTimestamp: number },
): Buffer {
  const topicBytes = Buffer.from(message.topic)
  const sizeBytes = recordBytes(message, topicBytes)
  const expected = Buffer.alloc(sizeBytes)
  encodeRecord(expected, new DataView(expected.buffer, expected.byteOffset), 0, message, topicBytes, {
    ...assigned,
    sizeBytes,
    bodyCrc: bodyCrc(message.body),
  })
  return expected
}

function giveOffsets(count: number, first: number): void {
  for (let i = 0; i < count; i++) kernel.floats[(kernel.slotAt(i) + SLOT.queueOffset) / 8] = first + i
  kernel.calls.putQueueOffsets(kernel.slotAt(0), count)
}

describe('a record', () => {
  test('is written and read alike by the kernel and in TypeScript', () => {
    let written = 0
    fc.assert(
      fc.property(messages, assignment, fc.nat(100), fc.boolean(), ({ pairs, ...given }, assigned, at, isBinary) => {
        const hostFlags = (given.bornHost.length === 20 ? 0x10 : 0) | (given.storeHost.length === 20 ? 0x20 : 0)
        const text = `${pairs.map(([name, value]) => `${name}\u0001${value}\u0002`).join('')}UNIQ_KEY\u0001K1\u0002`
        const message = { ...given, sysFlag: given.sysFlag | hostFlags, properties: Buffer.from(text + STAMP) }
        const expected = expectedRecord(message, assigned)
        const sizeBytes = expected.length
        const frame = frameOf({ ...message, sysFlag: given.sysFlag }, text, isBinary)
        const frameAt = kernel.ringAt + 32_768
        kernel.bytes.set(frame, frameAt)
        kernel.setHosts(message.bornHost, message.storeHost)
        kernel.setRunRules({ bodyBytesMax: 1000, hostFlags, flagsAllowed: -1, mustWait: false })
        kernel.setRunTopic(Buffer.from(message.topic), 0x7fffffff)
        const take = (room: number) => {
          const { physicalOffset, storeTimestamp } = assigned
          const end = frameAt + frame.length
          return kernel.calls.takeSends(frameAt, end, kernel.ringAt + at, room, physicalOffset, storeTimestamp, kernel.slotAt(0), 8, 0)
        }
        if (take(sizeBytes - 1) === 0 && kernel.words[RUN.stop] === RUN_STOP.unusual) return
        expect(kernel.words[RUN.stop]).toBe(RUN_STOP.room)
        expect(kernel.words[RUN.neededBytes]).toBe(sizeBytes)
        written++
        expect(take(sizeBytes)).toBe(1)
        giveOffsets(1, assigned.queueOffset)
        expect(Buffer.from(kernel.ring.subarray(at, at + sizeBytes)).equals(expected)).toBe(true)
        const { queueOffset, physicalOffset } = assigned
        const noted = { opaque: 7, queueId: message.queueId, key: 'K1', isOneway: false, isBinary, version: 0, queueOffset, physicalOffset }
        expect(kernel.slotOf(kernel.slotAt(0))).toEqual(noted)

        const digest = recordDigest(view, at)
        expect(kernel.calls.recordDigest(kernel.ringAt + at)).toBe(digest)
        const isAsWritten = () => kernel.calls.isAsWritten(kernel.ringAt + at, sizeBytes, digest)
        expect(isAsWritten()).toBe(1)
        const damaged = at + (given.bornTimestamp % sizeBytes)
        kernel.ring[damaged] = (kernel.ring[damaged] as number) ^ 0x10
        expect(isAsWritten()).toBe(0)
        kernel.ring[damaged] = (kernel.ring[damaged] as number) ^ 0x10
      }),
      { numRuns: 1500 },
    )
    expect(written).toBeGreaterThan(1000)
  })

  test('is one of a run, which ends where a frame is cut off, or is for another topic, or slots or room are used up', () => {
    const some = fc.array(messages, { minLength: 1, maxLength: 10 })
    const seldom = <T>(some: fc.Arbitrary<T>, mostly: T) =>
      fc.oneof({ weight: 3, arbitrary: fc.constant(mostly) }, { weight: 1, arbitrary: some })
    let longest = 0
    fc.assert(
      fc.property(
        some,
        assignment,
        seldom(fc.nat(3000), 0),
        seldom(fc.nat(20_000), 20_000),
        seldom(fc.nat(8), 8),
        (all, assigned, cutOff, room, slots) => {
          const { bornHost, storeHost, topic } = all[0] as (typeof all)[number]
          const hostFlags = (bornHost.length === 20 ? 0x10 : 0) | (storeHost.length === 20 ? 0x20 : 0)
          const text = 'UNIQ_KEY\u0001K1\u0002'
          const sent = all.map((m, i) => ({
            ...{ ...m, queueId: m.queueId >>> 1, bornHost, storeHost, topic: i > 0 && m.queueId % 16 === 0 ? m.topic : topic },
            ...{ sysFlag: m.sysFlag | hostFlags, properties: Buffer.from(text + STAMP) },
          }))
          const frames = sent.map((m, i) => frameOf(m, text, i % 3 === 1))
          const bytes = Buffer.concat(frames)
          const end = Math.max(0, bytes.length - cutOff)
          const at = kernel.ringAt + 32_768
          kernel.bytes.set(bytes, at)
          kernel.setHosts(bornHost, storeHost)
          kernel.setRunRules({ bodyBytesMax: 1000, hostFlags, flagsAllowed: 0x30f | 0x30, mustWait: false })
          kernel.setRunTopic(Buffer.from(topic), 0x7fffffff)
          const { physicalOffset, queueOffset, storeTimestamp } = assigned
          const to = kernel.ringAt
          const count = kernel.calls.takeSends(at, at + end, to, room, physicalOffset, storeTimestamp, kernel.slotAt(0), slots, 0)
          giveOffsets(count, queueOffset)
          longest = Math.max(longest, count)

          let taken = 0
          let stored = 0
          let read = 0
          const nextRecord = () => {
            const i = taken
            return expectedRecord(sent[i] as MessageToStore, {
              queueOffset: queueOffset + i,
              physicalOffset: physicalOffset + stored,
              storeTimestamp,
            })
          }
          while (taken < count) {
            const record = nextRecord()
            expect(Buffer.from(kernel.ring.subarray(stored, stored + record.length)).equals(record)).toBe(true)
            expect(sent[taken]?.topic).toBe(topic)
            stored += record.length
            read += frames[taken++]?.length as number
          }
          expect(kernel.words[RUN.bytes]).toBe(stored)
          expect(kernel.words[RUN.nextAt]).toBe(at + read)
          expect(stored).toBeLessThanOrEqual(room)
          // The next one is none that could have been taken.
          const why = kernel.words[RUN.stop]
          if (taken === slots || taken === sent.length || read + (frames[taken]?.length as number) > end) expect(why).toBe(0)
          else if (sent[taken]?.topic !== topic) expect(why).toBe(RUN_STOP.topic)
          else expect([why, stored + nextRecord().length > room]).toEqual([RUN_STOP.room, true])
        },
      ),
      { numRuns: 500 },
    )
    expect(longest).toBe(8)
  })
})
