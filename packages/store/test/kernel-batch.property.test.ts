/**
 * The kernel takes batches apart where they lie, beside the code in TypeScript. What must hold: for any batch that it does not decline it
 * writes the records that TypeScript does, whatever the bytes say it never writes elsewhere, and what TypeScript calls damaged it declines.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decodeClientBatch, encodeClientBatch, Kernel, PROPERTY_KIND, SCANNED } from '@skylarkmq/remoting/protocol'
import { encodeRecord, recordBytes } from '../src/commit-log/record.ts'
import { bodyCrc } from '../src/crc32.ts'
import { RecordHosts } from '../src/write/record-hosts.ts'
import { ScannedBatches } from '../src/write/scanned-batches.ts'

const STAMP = 'CLUSTER\u0001C\u0002'
const RING_AT = 300
const POISON = 0xa5
const kernel = new Kernel({ ringBytes: 65_536, receiveBytes: 0, outBytes: 0, slots: 0, batchBytes: 32_768 })
kernel.addName('UNIQ_KEY', PROPERTY_KIND.uniqKey)
kernel.addName('WAIT', PROPERTY_KIND.wait)
kernel.addName('DELAY', PROPERTY_KIND.unusual)
kernel.setTexts([Buffer.from(STAMP)], [])
const batches = new ScannedBatches(kernel, new RecordHosts(kernel))
const capacity = { maxMessageBytes: 32_768, maxAppendBytes: 65_000 }

const host = fc.oneof(fc.uint8Array({ minLength: 8, maxLength: 8 }), fc.uint8Array({ minLength: 20, maxLength: 20 }))
const headers = fc.record({
  topic: fc.stringMatching(/^[!#-[\]-~]{1,127}$/),
  queueId: fc.nat(),
  sysFlag: fc.constantFrom(0, 0x80),
  bornTimestamp: fc.nat(2 ** 45),
  bornHost: host,
  storeHost: host,
  reconsumeTimes: fc.nat(20),
})
const property = fc.tuple(
  fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom('TAGS', 'KEYS', 'WAIT') },
    { weight: 8, arbitrary: fc.stringMatching(/^[A-Za-z]{1,12}$/) },
    { weight: 1, arbitrary: fc.constantFrom('DELAY', 'größe', '') },
  ),
  fc.oneof({ weight: 12, arbitrary: fc.stringMatching(/^[ -~]{1,20}$/) }, { weight: 1, arbitrary: fc.constantFrom('é', '', 'a\u0001b') }),
)
const propertyTexts = fc
  .tuple(fc.uniqueArray(property, { maxLength: 5, selector: ([name]) => name }), fc.boolean(), fc.integer({ min: 0, max: 20 }))
  .map(([pairs, hasEnd, keyless]) => {
    const all = keyless === 0 ? pairs : [...pairs, ['UNIQ_KEY', '7F01']]
    return Buffer.from(all.map(([name, value]) => `${name}\u0001${value}`).join('\u0002') + (hasEnd ? '\u0002' : ''))
  })
/** From some 160 bytes on the CRC is made in another way. */
const bodies = fc.oneof(
  { weight: 3, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 90 }) },
  { weight: 1, arbitrary: fc.uint8Array({ minLength: 150, maxLength: 1_500, size: 'max' }) },
)
const messages = fc.record({
  flag: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  body: bodies,
  properties: propertyTexts,
})
/** Messages that are like the first but for some bytes of their properties. */
const alike = fc
  .tuple(
    messages,
    fc.array(fc.array(fc.tuple(fc.nat(), fc.constantFrom(0, 1, 2, 3, 0x41, 0x7f, 0x80, 0xff)), { maxLength: 3 }), { maxLength: 5 }),
  )
  .map(([first, changes]) => [
    first,
    ...changes.map((places) => {
      const properties = Buffer.from(first.properties)
      for (const [at, byte] of places) properties[at % properties.length] = byte
      return { ...first, properties }
    }),
  ])
const assignment = fc.record({ queueOffset: fc.nat(2 ** 40), physicalOffset: fc.nat(2 ** 45), storeTimestamp: fc.nat(2 ** 45) })

type Header = typeof headers extends fc.Arbitrary<infer T> ? T : never
type Assigned = typeof assignment extends fc.Arbitrary<infer T> ? T : never

function scanHeader(h: Header): number {
  return scanText(headerText(h, 320, 7))
}

function headerText(h: Header, code: number, opaque: number): string {
  const ext = { a: 'g', b: h.topic, e: `${h.queueId}`, f: `${h.sysFlag}`, g: `${h.bornTimestamp}`, h: '0', i: 'UNIQ_KEY\u0001B1\u0002' }
  return JSON.stringify({ code, extFields: { ...ext, j: `${h.reconsumeTimes}`, m: 'true' }, opaque })
}

function scanText(text: string, scan = kernel.calls.scanBatch): number {
  const at = kernel.ringAt + 60_000
  const length = kernel.bytes.write(text, at)
  return scan(at, length)
}

const flagsOf = (h: Header): number => h.sysFlag | (h.bornHost.length === 20 ? 0x10 : 0) | (h.storeHost.length === 20 ? 0x20 : 0)

/** The records that the kernel writes; undefined when it declines. */
function byKernel(h: Header, body: Uint8Array, assigned: Assigned): { records: Buffer; offsets: number[] } | undefined {
  kernel.ring.fill(POISON, 0, 60_000)
  expect(scanHeader(h)).toBe(1)
  // What lies behind the batch must not count.
  kernel.bytes.fill(POISON, kernel.batchAt, kernel.batchAt + kernel.batchBytes)
  kernel.bytes.set(body, kernel.batchAt)
  const batch = { ...h, sysFlag: flagsOf(h), bodyAt: kernel.batchAt, bodyLength: body.length }
  const total = batches.measure(batch, capacity)
  if (total < 0) return undefined
  const offsets = batches.encode(batch, RING_AT, assigned)
  expect(kernel.bytes.subarray(kernel.batchAt, kernel.batchAt + body.length).equals(body)).toBe(true)
  for (let i = 0; i < RING_AT; i++) if (kernel.ring[i] !== POISON) throw new Error(`written before the records, at ${i - RING_AT}`)
  for (let i = RING_AT + total; i < 60_000; i++) if (kernel.ring[i] !== POISON) throw new Error(`written ${i - RING_AT - total} behind`)
  return { records: Buffer.from(kernel.ring.subarray(RING_AT, RING_AT + total)), offsets }
}

/** The same in TypeScript. Throws for a damaged batch. */
function declared(h: Header, body: Uint8Array, assigned: Assigned): { records: Buffer; offsets: number[] } {
  const topicBytes = Buffer.from(h.topic)
  const offsets: number[] = []
  let { queueOffset, physicalOffset } = assigned
  const records = decodeClientBatch(body).map((part) => {
    const text = Buffer.from(part.properties).toString('latin1')
    const properties = Buffer.from(`${text}${text.endsWith('\u0002') ? '' : '\u0002'}${STAMP}`, 'latin1')
    const message = { ...h, sysFlag: flagsOf(h), flag: part.flag, preparedTransactionOffset: 0, body: part.body, properties }
    const sizeBytes = recordBytes(message, topicBytes)
    const bytes = Buffer.alloc(sizeBytes)
    const place = { sizeBytes, bodyCrc: bodyCrc(part.body), queueOffset, physicalOffset, storeTimestamp: assigned.storeTimestamp }
    encodeRecord(bytes, new DataView(bytes.buffer, bytes.byteOffset, sizeBytes), 0, message, topicBytes, place)
    offsets.push(physicalOffset)
    queueOffset++
    physicalOffset += sizeBytes
    return bytes
  })
  return { records: Buffer.concat(records), offsets }
}

function isUsual({ body, properties }: { body: Uint8Array; properties: Uint8Array }): boolean {
  const text = Buffer.from(properties).toString('latin1')
  const pairs = (text.endsWith('\u0002') ? text.slice(0, -1) : text).split('\u0002')
  const isSound = pairs.every((pair) => {
    const parts = pair.split('\u0001')
    return parts.length === 2 && parts.every((part) => part !== '' && Array.from(part).every((c) => c < '\u0080'))
  })
  const names = pairs.map((pair) => pair.split('\u0001')[0])
  const isPlain = new Set(names).size === names.length && names.includes('UNIQ_KEY') && !names.includes('DELAY')
  return body.length > 0 && isSound && isPlain
}

const HEADER: Header = {
  topic: 'Orders',
  queueId: 3,
  sysFlag: 0,
  bornTimestamp: 1_700_000_000_000,
  bornHost: new Uint8Array(8),
  storeHost: new Uint8Array(8),
  reconsumeTimes: 0,
}
const ASSIGNED: Assigned = { queueOffset: 5, physicalOffset: 4096, storeTimestamp: 1_700_000_000_001 }
const usual = (n: number) => ({
  flag: n,
  body: Buffer.alloc(n + 1, 'b'),
  properties: Buffer.from(`KEYS\u0001k${n}\u0002UNIQ_KEY\u0001U${n}\u0002`),
})

describe('the header of a batch', () => {
  test('that differs from one before only in numbers is read as by itself, and is never taken for that of a send', () => {
    for (const [queueId, opaque] of [
      [3, 7],
      [5, 9],
      [0, 1],
    ] as const) {
      const text = headerText({ ...HEADER, queueId }, 320, opaque)
      expect(scanText(text)).toBe(1)
      const { words } = kernel
      expect([words[SCANNED.queueId], words[SCANNED.opaque], words[SCANNED.waits]]).toEqual([queueId, opaque, 1])
      const keyAt = words[SCANNED.uniqKeyAt] as number
      expect(kernel.bytes.toString('latin1', keyAt, keyAt + (words[SCANNED.uniqKeyLength] as number))).toBe('B1')
      expect(scanText(text, kernel.calls.scanSend)).toBe(0)
      expect(scanText(text.replace('320', '310'))).toBe(0)
    }
    // A leading zero, as JSON does not allow it.
    expect(scanText(headerText(HEADER, 320, 77).replace('77', '07'))).toBe(0)
    const send = headerText(HEADER, 310, 7).replace('"true"', '"false"').replace('},', ',"n":"false"},')
    for (let i = 0; i < 3; i++) expect([scanText(send, kernel.calls.scanSend), scanText(send)]).toEqual([1, 0])
  })
})

describe('a batch', () => {
  test('is taken when all of it is usual, and stored as TypeScript does', () => {
    let taken = 0
    fc.assert(
      fc.property(headers, fc.oneof(fc.array(messages, { minLength: 1, maxLength: 8 }), alike), assignment, (header, list, assigned) => {
        const body = encodeClientBatch(list)
        const stored = byKernel(header, body, assigned)
        expect(stored !== undefined).toBe(list.every(isUsual))
        if (stored === undefined) return
        taken++
        const expected = declared(header, body, assigned)
        expect(stored.records.equals(expected.records)).toBe(true)
        expect(stored.offsets).toEqual(expected.offsets)
      }),
      { numRuns: 1000 },
    )
    expect(taken).toBeGreaterThan(100)
  })

  test('that is cut short anywhere is declined, but between two messages', () => {
    const list = [usual(1), usual(20), usual(7)]
    const body = encodeClientBatch(list)
    const ends = list.map((_, i) => encodeClientBatch(list.slice(0, i + 1)).length)
    for (let end = 1; end <= body.length; end++) {
      const part = body.subarray(0, end)
      const stored = byKernel(HEADER, part, ASSIGNED)
      expect(stored !== undefined, `cut at ${end}`).toBe(ends.includes(end))
      if (stored !== undefined) expect(stored.records.equals(declared(HEADER, part, ASSIGNED).records)).toBe(true)
    }
  })

  test('whose bytes are damaged makes the kernel neither read on nor disagree', () => {
    const body = encodeClientBatch([usual(1), usual(20), usual(7)])
    const lie = fc.oneof(fc.integer({ min: -200, max: 400 }), fc.constantFrom(-(2 ** 31), 2 ** 31 - 1, 0x7fff, 0x8000, 0xffff))
    const places = fc.oneof(fc.nat(body.length - 4), fc.constantFrom(0, 16, 22, body.readInt32BE(0), body.readInt32BE(0) + 16))
    let taken = 0
    fc.assert(
      fc.property(places, lie, fc.nat(255), fc.constantFrom('int', 'short', 'byte'), (at, number, byte, how) => {
        const damaged = Buffer.from(body)
        if (how === 'int') damaged.writeInt32BE(number, at)
        else if (how === 'short') damaged.writeUInt16BE(number & 0xffff, at)
        else damaged[at] = byte
        const stored = byKernel(HEADER, damaged, ASSIGNED)
        if (stored === undefined) return
        taken++
        expect(stored.records.equals(declared(HEADER, damaged, ASSIGNED).records)).toBe(true)
      }),
      { numRuns: 3000 },
    )
    expect(taken).toBeGreaterThan(100)
  })

  test('for which a segment may have no room is left to who says so', () => {
    const body = encodeClientBatch([usual(1)])
    kernel.bytes.set(body, kernel.batchAt)
    expect(scanHeader(HEADER)).toBe(1)
    const batch = { ...HEADER, bodyAt: kernel.batchAt, bodyLength: body.length }
    const total = batches.measure(batch, capacity)
    expect(batches.measure(batch, { ...capacity, maxAppendBytes: total })).toBe(-1)
    expect(batches.measure(batch, { ...capacity, maxMessageBytes: body.length - 1 })).toBe(-1)
  })
})
