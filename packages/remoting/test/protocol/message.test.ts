import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  addressBytes,
  bodyCrc32,
  COMPRESSION_FLAGS,
  compressBody,
  createUniqueIds,
  decodeClientBatch,
  decodeRecord,
  decodeRecords,
  readRecords,
  copyOfRecord,
  decompressBody,
  encodeClientBatch,
  encodeRecord,
  formatProperties,
  hostFromBytes,
  hostToBytes,
  MAGIC_V1,
  MAGIC_V2,
  offsetMessageId,
  offsetMessageIds,
  PROPERTY,
  parseOffsetMessageId,
  parseProperties,
  parseUniqueId,
  prepareCompression,
  RECORD,
  RocketError,
  recordBytes,
  SYS_FLAG,
} from '../../src/protocol/index.ts'
import { apache } from './golden.ts'

const record = (more: Partial<Parameters<typeof encodeRecord>[0]> = {}) => ({
  topic: 'TopicTest',
  queueId: 3,
  queueOffset: 1234567890123,
  physicalOffset: 8589934593,
  flag: 9,
  sysFlag: 0,
  bornTimestamp: 1700000000123,
  bornHost: hostToBytes('10.0.0.1', 12345),
  storeTimestamp: 1700000000456,
  storeHost: hostToBytes('192.168.1.2', 10911),
  reconsumeTimes: 2,
  preparedTransactionOffset: 5,
  body: Buffer.from('hello 世界'),
  properties: '',
  ...more,
})

describe('stored records', () => {
  test.each(['v4', 'v6', 'v2-topic'])('Apache’s record (%s) reads whole, and writes back to the same bytes', (kind) => {
    const bytes = apache(`record/${kind}`)
    const m = decodeRecord(bytes)
    if (m === undefined) throw new Error('not read')
    expect(m).toMatchObject({
      topic: kind === 'v2-topic' ? `%RETRY%${'g'.repeat(140)}` : 'TopicTest',
      queueId: 3,
      queueOffset: 1234567890123,
      physicalOffset: 8589934593,
      flag: 9,
      sysFlag: kind === 'v6' ? 0x30 : 0,
      bornTimestamp: 1700000000123,
      bornHost: kind === 'v6' ? '2001:db8::1' : '10.0.0.1',
      bornPort: 12345,
      storeTimestamp: 1700000000456,
      storeHost: kind === 'v6' ? 'fe80::2:0:0:3' : '192.168.1.2',
      storePort: 10911,
      reconsumeTimes: 2,
      preparedTransactionOffset: 5,
      bodyCrc: bodyCrc32(Buffer.from('hello 世界')),
      sizeBytes: bytes.length,
    })
    expect(Buffer.from(m.body).toString()).toBe('hello 世界')
    expect([...m.properties].sort()).toEqual([
      ['KEYS', 'k1 k2'],
      ['TAGS', 'TagA'],
      ['UNIQ_KEY', '0A000001303918B4AAC2000000000001'],
    ])
    expect(offsetMessageId(m.storeHostBytes, m.physicalOffset)).toBe(apache(`record/${kind}/msgId`).toString())
    expect(bytes.readInt32BE(RECORD.MAGIC)).toBe(kind === 'v2-topic' ? MAGIC_V2 : MAGIC_V1)
    const bornHost = hostToBytes(m.bornHost, m.bornPort)
    const again = encodeRecord({ ...m, bornHost, storeHost: m.storeHostBytes, properties: m.propertiesText })
    expect(again.toString('hex')).toBe(bytes.toString('hex'))
  })

  test('a record cut anywhere is no record, and the ones before it are kept', () => {
    for (const kind of ['v4', 'v6', 'v2-topic']) {
      const bytes = apache(`record/${kind}`)
      for (let end = 0; end < bytes.length; end++) expect(decodeRecord(bytes.subarray(0, end)), `${kind} cut at ${end}`).toBeUndefined()
    }
    const two = Buffer.concat([apache('record/v4'), apache('record/v6'), apache('record/v4').subarray(0, 50)])
    expect(decodeRecords(two).map((m) => m.storeHost)).toEqual(['192.168.1.2', 'fe80::2:0:0:3'])
  })

  test('records that are read where they lie have the values of those that are copied, each with its own topic', () => {
    const v4 = decodeRecord(apache('record/v4'))!
    const named = (topic: string) =>
      encodeRecord({ ...v4, topic, bornHost: v4.storeHostBytes, storeHost: v4.storeHostBytes, properties: v4.propertiesText })
    const bytes = Buffer.concat([
      ...['v4', 'v4', 'v6', 'v2-topic', 'v2-topic'].map((kind) => apache(`record/${kind}`)),
      ...['a', 'b', 'aa', 'é', 'Ã©', 'é', 'é'].map(named),
    ])
    const read = readRecords(bytes)
    expect(read.map(copyOfRecord)).toEqual(decodeRecords(bytes))
    expect(read.map(({ topic }) => topic).slice(5)).toEqual(['a', 'b', 'aa', 'é', 'Ã©', 'é', 'é'])
    expect(read.map(({ storeHost, bornPort, bodyCrc }) => [storeHost, bornPort, bodyCrc])).toEqual(
      decodeRecords(bytes).map(({ storeHost, bornPort, bodyCrc }) => [storeHost, bornPort, bodyCrc]),
    )
    expect(read[2]!.properties).toBe(read[2]!.properties)
    expect(read[2]!.properties.get('TAGS')).toBe('TagA')
  })

  test('any byte may be broken: the answer is a record within bounds or none, never an exception', () => {
    for (const kind of ['v4', 'v6', 'v2-topic']) {
      const bytes = apache(`record/${kind}`)
      for (let at = 0; at < bytes.length; at++) {
        for (const value of [0, 0x7f, 0x80, 0xff]) {
          const broken = Buffer.from(bytes)
          broken[at] = value
          const m = decodeRecord(broken)
          if (m !== undefined) expect(m.sizeBytes).toBe(bytes.length)
        }
      }
    }
  })

  test('a size that is not the sum of its parts is no record: the next one would be looked for in the wrong place', () => {
    const bytes = apache('record/v4')
    const longer = Buffer.concat([bytes, Buffer.alloc(10)])
    longer.writeInt32BE(bytes.length + 10, RECORD.TOTAL_SIZE)
    expect(decodeRecord(longer)).toBeUndefined()
    for (const size of [0, -1, 90, 0x7fffffff]) {
      longer.writeInt32BE(size, RECORD.TOTAL_SIZE)
      expect(decodeRecords(longer)).toEqual([])
    }
  })

  test('whatever is written is read back', () => {
    const address = fc.oneof(fc.uint8Array({ minLength: 8, maxLength: 8 }), fc.uint8Array({ minLength: 20, maxLength: 20 }))
    const pair = fc
      .tuple(fc.string({ minLength: 1 }), fc.string({ minLength: 1 }))
      .filter(([n]) => !n.includes('\u0001') && !n.includes('\u0002'))
    fc.assert(
      fc.property(
        fc.record({
          topic: fc.stringMatching(/^[a-zA-Z0-9_-]{1,200}$/),
          queueId: fc.nat(),
          queueOffset: fc.maxSafeNat(),
          physicalOffset: fc.maxSafeNat(),
          flag: fc.integer({ min: -2147483648, max: 2147483647 }),
          sysFlag: fc.nat(0x7ff),
          bornTimestamp: fc.maxSafeNat(),
          bornHost: address,
          storeTimestamp: fc.maxSafeNat(),
          storeHost: address,
          reconsumeTimes: fc.nat(),
          preparedTransactionOffset: fc.maxSafeInteger(),
          body: fc.uint8Array(),
          properties: fc.array(pair.filter(([, v]) => !v.includes('\u0002'))).map((pairs) => formatProperties(pairs)),
        }),
        fc.nat(9),
        (given, shift) => {
          const bytes = encodeRecord(given)
          expect(bytes.length).toBe(
            recordBytes(
              given.topic.length,
              given.body.length,
              Buffer.byteLength(given.properties),
              given.bornHost.length,
              given.storeHost.length,
            ),
          )
          const m = decodeRecord(Buffer.concat([Buffer.alloc(shift, 1), bytes, Buffer.alloc(3)]), shift)
          const hosts = (given.bornHost.length === 20 ? 0x10 : 0) | (given.storeHost.length === 20 ? 0x20 : 0)
          expect(m).toMatchObject({
            topic: given.topic,
            queueId: given.queueId,
            queueOffset: given.queueOffset,
            physicalOffset: given.physicalOffset,
            flag: given.flag,
            sysFlag: (given.sysFlag & ~0x30) | hosts,
            bornTimestamp: given.bornTimestamp,
            storeTimestamp: given.storeTimestamp,
            reconsumeTimes: given.reconsumeTimes,
            preparedTransactionOffset: given.preparedTransactionOffset,
            propertiesText: given.properties,
            bodyCrc: bodyCrc32(given.body),
          })
          expect(Buffer.from(m?.body ?? []).equals(Buffer.from(given.body))).toBe(true)
          expect(Buffer.from(hostToBytes(m?.storeHost ?? '', m?.storePort ?? 0)).length).toBeGreaterThan(0)
        },
      ),
    )
  })

  test('properties that do not fit a record are refused with their size', () => {
    expect(() => encodeRecord(record({ properties: 'x'.repeat(32768) }))).toThrow('32768 bytes')
    expect(encodeRecord(record({ properties: 'x'.repeat(32767) })).length).toBeGreaterThan(32767)
  })
})

describe('property text', () => {
  test.each([
    ['', {}],
    ['KEYS\u0001a b\u0002', { KEYS: 'a b' }],
    ['KEYS\u0001a', { KEYS: 'a' }],
    ['KEYS\u0001a\u0002TAGS\u0001t', { KEYS: 'a', TAGS: 't' }],
    ['\u0001a\u0002', {}],
    ['KEYS\u0001\u0002', {}],
    ['KEYS\u0002TAGS\u0001t\u0002', { TAGS: 't' }],
    ['K\u0001a\u0001b\u0002', { K: 'a\u0001b' }],
    ['\u0002\u0002\u0002', {}],
    ['\u0001\u0002', {}],
    ['K\u00011\u0002K\u00012\u0002', { K: '2' }],
    ['__proto__\u0001x\u0002', Object.fromEntries([['__proto__', 'x']])],
  ])('%j reads as Java reads it', (text, expected) => {
    expect(Object.fromEntries(parseProperties(text))).toEqual(expected)
  })

  test('entries without name or value are left out; the rest reads back', () => {
    const text = formatProperties([
      ['a', '1'],
      ['', 'x'],
      ['b', ''],
      ['c', undefined],
      ['d', 'x\u0001y'],
    ])
    expect(text).toBe('a\u00011\u0002d\u0001x\u0001y\u0002')
    expect(Object.fromEntries(parseProperties(text))).toEqual({ a: '1', d: 'x\u0001y' })
  })

  test('a value that would smuggle in another property is refused by its name', () => {
    const smuggled = `x\u0002${PROPERTY.REAL_TOPIC}\u0001other`
    expect(() => formatProperties([['note', smuggled]])).toThrow('"note"')
    expect(() => formatProperties([['a\u0001b', 'x']])).toThrow(RocketError)
  })

  test('any text is read, and what was read reads the same when written again', () => {
    const noisy = fc.array(fc.constantFrom('a', 'b', '\u0001', '\u0002', 'é', ' '), { maxLength: 60 }).map((parts) => parts.join(''))
    fc.assert(
      fc.property(noisy, (text) => {
        const read = parseProperties(text)
        expect(parseProperties(formatProperties(read))).toEqual(read)
      }),
    )
  })
})

describe('client batches', () => {
  test('Apache’s batch of three reads, and writes back to the same bytes', () => {
    const bytes = apache('batch/three')
    const messages = decodeClientBatch(bytes)
    expect(messages.map((m) => [m.flag, Buffer.from(m.body).toString()])).toEqual([
      [0, 'body 0'],
      [1, 'body 1'],
      [2, 'body 2'],
    ])
    expect(parseProperties(Buffer.from(messages[1]?.properties ?? []).toString()).get('TAGS')).toBe('Tag1')
    expect(encodeClientBatch(messages).toString('hex')).toBe(bytes.toString('hex'))
  })

  test('a batch cut anywhere but between messages is refused as MESSAGE_ILLEGAL', () => {
    const bytes = apache('batch/three')
    const size = bytes.readInt32BE(0)
    for (let end = 1; end < bytes.length; end++) {
      if (end % size === 0) continue
      expect(() => decodeClientBatch(bytes.subarray(0, end)), `cut at ${end}`).toThrow(/message \d of the batch/)
    }
  })

  test('lengths that a sender forged are named with their value', () => {
    const forged = (at: number, value: number): Buffer => {
      const bytes = apache('batch/three')
      bytes.writeInt32BE(value, at)
      return bytes
    }
    expect(() => decodeClientBatch(forged(0, -1))).toThrow('the size is -1')
    expect(() => decodeClientBatch(forged(0, 0))).toThrow('the size is 0')
    expect(() => decodeClientBatch(forged(0, 0x7fffffff))).toThrow('the size is 2147483647')
    expect(() => decodeClientBatch(forged(16, -3))).toThrow('the body length is -3')
    expect(() => decodeClientBatch(forged(16, 5000))).toThrow('the body length is 5000')
    expect(() => decodeClientBatch(forged(16, 5))).toThrow('the properties length is')
    expect(decodeClientBatch(Buffer.alloc(0))).toEqual([])
  })

  test('noise is read or refused as MESSAGE_ILLEGAL', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (noise) => {
        try {
          decodeClientBatch(noise)
        } catch (error) {
          expect((error as RocketError).code).toBe('MESSAGE_ILLEGAL')
        }
      }),
    )
  })
})

describe('hosts and ids', () => {
  test('ids that Apache made are taken apart and made again', () => {
    for (const [name, host, offset] of [
      ['id/v4', '10.1.2.3', 123456789012],
      ['id/v6', '2001:db8::1', 5],
    ] as const) {
      const text = apache(name).toString()
      const id = parseOffsetMessageId(text)
      expect(id).toMatchObject({ host, port: 10911, physicalOffset: offset })
      expect(offsetMessageId(hostToBytes(host, 10911), offset)).toBe(text)
      expect(parseOffsetMessageId(text.toLowerCase())?.physicalOffset).toBe(offset)
    }
    for (const text of ['', 'xyz', '0A', `${apache('id/v4').toString()}00`, 'FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF']) {
      expect(parseOffsetMessageId(text)).toBeUndefined()
    }
  })

  test('the ids of a batch are those of its messages', () => {
    for (const host of [hostToBytes('10.1.2.3', 10911), hostToBytes('2001:db8::1', 5)]) {
      const offsets = [0, 1171, 2 ** 32 - 1, 2 ** 32, 123456789012]
      expect(offsetMessageIds(host, offsets)).toBe(offsets.map((offset) => offsetMessageId(host, offset)).join(','))
      expect(offsetMessageIds(host, [7])).toBe(offsetMessageId(host, 7))
    }
  })

  test.each([
    ['1.2.3.4', '01020304'],
    ['::', '0'.repeat(32)],
    ['::1', `${'0'.repeat(31)}1`],
    ['[fe80::1]', `fe80${'0'.repeat(27)}1`],
    ['2001:db8:0:0:1:0:0:1', '20010db8000000000001000000000001'],
    ['::ffff:10.0.0.1', '0a000001'],
    ['fe80::1%eth0', `fe80${'0'.repeat(27)}1`],
  ])('the address %s has the bytes %s', (text, hex) => {
    expect(Buffer.from(addressBytes(text) ?? []).toString('hex')).toBe(hex)
  })

  test.each([
    '',
    'localhost',
    '1.2.3',
    '1.2.3.256',
    '01.2.3.4',
    '1.2.3.4.5',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    'g::',
    '1:2:3:4:5:6:7:8:9',
  ])('%j is no address', (text) => {
    expect(addressBytes(text)).toBeUndefined()
    expect(() => hostToBytes(text, 1)).toThrow('not an IP address')
  })

  test('any host of a record reads to a text that gives the same bytes', () => {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ minLength: 8, maxLength: 8 }), fc.uint8Array({ minLength: 20, maxLength: 20 })), (bytes) => {
        fc.pre(bytes.length === 8 || !Buffer.from(bytes).subarray(0, 12).equals(Buffer.from('00000000000000000000ffff', 'hex')))
        const { host, port } = hostFromBytes(bytes)
        expect(Buffer.from(hostToBytes(host, port)).equals(Buffer.from(bytes))).toBe(true)
      }),
    )
  })

  const fixed = { bytes: (n: number) => new Uint8Array(n).fill(0xab), integer: () => 65534 }

  test('client ids carry address and time, and differ within a millisecond', () => {
    const now = new Date(2026, 10, 21, 12, 0, 0).getTime()
    const next = createUniqueIds({ clock: { now: () => now }, random: fixed, host: '10.0.0.9' })
    const ids = [next(), next(), next()]
    expect(new Set(ids).size).toBe(3)
    for (const id of ids) {
      expect(id).toMatch(/^0A000009[0-9A-F]{24}$/)
      expect(parseUniqueId(id, now + 5000)).toEqual({ host: '10.0.0.9', timestamp: now })
    }
    expect(createUniqueIds({ clock: { now: () => now }, random: fixed, host: '2001:db8::1' })()).toHaveLength(56)
    expect(createUniqueIds({ clock: { now: () => now }, random: fixed, host: 'no-address' })()).toMatch(/^ABABABAB/)
  })

  test('the month turns: the time starts anew, and an id of last month is told so', () => {
    let now = new Date(2026, 10, 30, 23, 59, 59).getTime()
    const next = createUniqueIds({ clock: { now: () => now }, random: fixed, host: '10.0.0.9' })
    const old = next()
    const made = now
    now += 2000
    expect(parseUniqueId(next(), now)?.timestamp).toBe(now)
    expect(parseUniqueId(old, now)?.timestamp).toBe(made)
    // The clock steps back over the month's start: no negative time.
    now -= 2500
    expect(next()).toMatch(/^[0-9A-F]{32}$/)
    expect(parseUniqueId('nonsense', now)).toBeUndefined()
  })
})

describe('compression', () => {
  const text = Buffer.from('SkylarkMQ compresses repeated text, repeated text, repeated text. '.repeat(20))

  test('what Apache’s clients compress with zlib and LZ4 is read', () => {
    expect(Buffer.from(decompressBody(apache('compressed/zlib'), SYS_FLAG.COMPRESSED)).equals(text)).toBe(true)
    expect(Buffer.from(decompressBody(apache('compressed/zlib'), SYS_FLAG.COMPRESSED | SYS_FLAG.COMPRESSION_ZLIB)).equals(text)).toBe(true)
    expect(Buffer.from(decompressBody(apache('compressed/lz4'), COMPRESSION_FLAGS.lz4)).equals(text)).toBe(true)
    const big = Buffer.from(Array.from({ length: 100_000 }, (_, i) => (Math.imul(i, i) >>> 7) % 11))
    expect(Buffer.from(decompressBody(apache('compressed/lz4-big'), COMPRESSION_FLAGS.lz4)).equals(big)).toBe(true)
  })

  test('ZSTD is read where Node or a package can, and else the error says what to install', async () => {
    const ready = await prepareCompression()
    if (ready.zstd) {
      expect(Buffer.from(decompressBody(apache('compressed/zstd'), COMPRESSION_FLAGS.zstd)).equals(text)).toBe(true)
      expect(Buffer.from(decompressBody(compressBody(text, 'zstd'), COMPRESSION_FLAGS.zstd)).equals(text)).toBe(true)
    } else {
      expect(() => decompressBody(apache('compressed/zstd'), COMPRESSION_FLAGS.zstd)).toThrow('@foxglove/wasm-zstd')
    }
    if (ready.lz4Write) expect(Buffer.from(decompressBody(compressBody(text, 'lz4'), COMPRESSION_FLAGS.lz4)).equals(text)).toBe(true)
    else expect(() => compressBody(text, 'lz4')).toThrow('npm install lz4-napi')
  })

  test('zlib there and back; a body that is not compressed is itself', () => {
    const packed = compressBody(text)
    expect(packed.length).toBeLessThan(text.length / 5)
    expect(Buffer.from(decompressBody(packed, COMPRESSION_FLAGS.zlib)).equals(text)).toBe(true)
    expect(decompressBody(text, 0)).toBe(text)
  })

  test('a small body that would grow beyond the limit is refused, whatever compressed it', () => {
    const bomb = compressBody(Buffer.alloc(10_000_000))
    expect(() => decompressBody(bomb, COMPRESSION_FLAGS.zlib, 1_000_000)).toThrow('limit 1000000 bytes')
    expect(() => decompressBody(apache('compressed/lz4-big'), COMPRESSION_FLAGS.lz4, 99_999)).toThrow('grows beyond 99999')
    expect(decompressBody(apache('compressed/lz4-big'), COMPRESSION_FLAGS.lz4, 100_000)).toHaveLength(100_000)
  })

  test('broken data and unknown types are refused in a sentence', () => {
    expect(() => decompressBody(text, COMPRESSION_FLAGS.zlib)).toThrow('a zlib body of')
    expect(() => decompressBody(text, 0x401)).toThrow('compression type 4')
    const lz4 = apache('compressed/lz4')
    for (let end = 0; end < lz4.length; end++)
      expect(() => decompressBody(lz4.subarray(0, end), COMPRESSION_FLAGS.lz4)).toThrow(RocketError)
    fc.assert(
      fc.property(fc.nat(lz4.length - 1), fc.nat(255), (at, value) => {
        const broken = Buffer.from(lz4)
        broken[at] = value
        try {
          decompressBody(broken, COMPRESSION_FLAGS.lz4, 1_000_000)
        } catch (error) {
          expect(error).toBeInstanceOf(RocketError)
        }
      }),
    )
  })
})
