import * as msgpackr from 'msgpackr'
import { afterEach, describe, expect, test } from 'vitest'
import type { Frame, SerializeType } from '../../src/protocol/index.ts'
import {
  decodeFrame,
  encodeFrame,
  encodeFrameHead,
  LANGUAGES,
  RocketError,
  responseSerializeType,
  SERIALIZE_JSON,
  SERIALIZE_MSGPACK,
  SERIALIZE_ROCKETMQ,
  useMsgpack,
} from '../../src/protocol/index.ts'

const frame = (more: Partial<Frame> = {}): Frame => ({
  code: 10,
  language: 'JAVA',
  version: 479,
  opaque: 1,
  flag: 0,
  body: Buffer.alloc(0),
  serializeType: SERIALIZE_JSON,
  ...more,
})

/** A frame around any header bytes, with true lengths. */
const around = (header: Uint8Array | string, type: number = SERIALIZE_JSON, body: Uint8Array = Buffer.alloc(0)): Buffer => {
  const bytes = typeof header === 'string' ? Buffer.from(header) : header
  const lengths = Buffer.alloc(8)
  lengths.writeInt32BE(4 + bytes.length + body.length, 0)
  lengths.writeUInt32BE(type * 0x1000000 + bytes.length, 4)
  return Buffer.concat([lengths, bytes, body])
}

const refusal = (run: () => unknown): RocketError => {
  try {
    run()
  } catch (error) {
    expect(error).toBeInstanceOf(RocketError)
    return error as RocketError
  }
  throw new Error('was expected to be refused')
}

const badFrame = (bytes: Buffer): string => {
  const error = refusal(() => decodeFrame(bytes))
  expect(error.code).toBe('BAD_FRAME')
  return error.message
}

describe('headers of other languages', () => {
  test('raw numbers and booleans of the JavaScript and C++ clients become text; null counts as absent', () => {
    const { ext } = decodeFrame(
      around('{"code":10,"opaque":1,"extFields":{"queueId":3,"unitMode":false,"batch":true,"x":null,"ratio":0.5,"topic":"T"}}'),
    )
    expect(ext).toEqual({ queueId: '3', unitMode: 'false', batch: 'true', ratio: '0.5', topic: 'T' })
  })

  test('a raw number beyond 2^53 keeps all its digits', () => {
    const { ext } = decodeFrame(
      around('{"code":11,"opaque":1,"extFields":{"subVersion":1700000000123456789,"min":-9223372036854775808,"i":1}}'),
    )
    expect(ext).toEqual({ subVersion: '1700000000123456789', min: '-9223372036854775808', i: '1' })
  })

  test('an empty remark of C++ and empty ext fields read as none', () => {
    expect(decodeFrame(around('{"code":0,"opaque":1,"remark":"","extFields":{}}'))).toMatchObject({ remark: undefined, ext: undefined })
  })

  test('an unknown language is OTHER, by name and by byte', () => {
    expect(decodeFrame(around('{"code":1,"opaque":1,"language":"COBOL"}')).language).toBe('OTHER')
    const bytes = encodeFrame(frame({ serializeType: SERIALIZE_ROCKETMQ }))
    for (const byte of [LANGUAGES.length, 127, 0x80, 0xff]) {
      bytes[10] = byte
      expect(decodeFrame(bytes).language).toBe('OTHER')
    }
  })

  test('unknown fields are ignored and missing ones have Java’s defaults', () => {
    expect(decodeFrame(around('{"code":34,"opaque":5,"somethingNew":{"a":[1]}}'))).toMatchObject({
      code: 34,
      opaque: 5,
      flag: 0,
      version: 0,
    })
  })

  test('keys that mean something in JavaScript mean nothing here, and of equal keys the last counts', () => {
    const text = '{"code":1,"opaque":1,"__proto__":{"flag":7},"extFields":{"__proto__":"x","constructor":"y","a":"1","a":"2"}}'
    const read = decodeFrame(around(text))
    expect(read.flag).toBe(0)
    expect(Object.entries(read.ext ?? {})).toEqual([
      ['__proto__', 'x'],
      ['constructor', 'y'],
      ['a', '2'],
    ])
    expect(({} as Record<string, unknown>)['flag']).toBeUndefined()
    for (const serializeType of [SERIALIZE_JSON, SERIALIZE_ROCKETMQ] as const) {
      expect(decodeFrame(encodeFrame({ ...read, serializeType })).ext).toEqual(read.ext)
    }
    // One that must be coerced as well.
    const coerced = decodeFrame(around('{"code":1,"opaque":1,"extFields":{"__proto__":5,"n":1}}'))
    expect(Object.entries(coerced.ext ?? {})).toEqual([
      ['__proto__', '5'],
      ['n', '1'],
    ])
  })
})

describe('frames that cannot be', () => {
  test('lengths that do not fit are named with their value', () => {
    const bytes = encodeFrame(frame())
    bytes.writeInt32BE(-1, 0)
    expect(badFrame(bytes)).toContain('the frame length is -1')
    const long = encodeFrame(frame())
    long.writeUInt32BE(0xffffff, 4)
    expect(badFrame(long)).toContain('the header length is 16777215')
    expect(badFrame(Buffer.alloc(3))).toContain('3 bytes')
    expect(badFrame(around('{}', 9))).toContain('the serialize type is 9')
  })

  test('a header that is no JSON object, or lacks code or opaque, or has them wrong', () => {
    expect(badFrame(around('hello'))).toContain('not JSON')
    expect(badFrame(around('{code:1}'))).toContain('not JSON')
    expect(badFrame(around('[1]'))).toContain('not an object')
    expect(badFrame(around('null'))).toContain('not an object')
    expect(badFrame(around('{"opaque":1}'))).toContain('field code is missing')
    expect(badFrame(around('{"code":1}'))).toContain('field opaque is missing')
    expect(badFrame(around('{"code":1,"opaque":4294967296}'))).toContain('opaque is 4294967296')
    expect(badFrame(around('{"code":1.5,"opaque":1}'))).toContain('code is 1.5')
    expect(badFrame(around('{"code":"ten","opaque":1}'))).toContain('code is "ten"')
    expect(badFrame(around('{"code":1,"opaque":1,"extFields":[1]}'))).toContain('extFields')
    expect(badFrame(around(`{"code":1,"opaque":1,"extFields":{"n":${'9'.repeat(500)}}}`))).toContain('numbers')
  })

  test('remark, ext, key and value lengths that point outside the binary header', () => {
    const good = encodeFrame(frame({ serializeType: SERIALIZE_ROCKETMQ, remark: 'r', ext: { k: 'v' } }))
    const withInt32 = (at: number, value: number): Buffer => {
      const bytes = Buffer.from(good)
      bytes.writeInt32BE(value, at)
      return bytes
    }
    expect(badFrame(withInt32(21, -5))).toContain('remark length is -5')
    expect(badFrame(withInt32(21, 0x7fffffff))).toContain('remark length is 2147483647')
    expect(badFrame(withInt32(26, 9))).toContain('ext fields length is 9')
    expect(badFrame(withInt32(26, -1))).toContain('ext fields length is -1')
    expect(badFrame(withInt32(33, 2))).toContain('value length of ext field 1 is 2')
    expect(badFrame(withInt32(33, -2))).toContain('value length of ext field 1 is -2')
    const key = Buffer.from(good)
    key.writeInt16BE(-1, 30)
    expect(badFrame(key)).toContain('key length of ext field 1 is -1')
    expect(badFrame(around(Buffer.alloc(20), SERIALIZE_ROCKETMQ))).toContain('20 bytes; it needs at least 21')
  })

  test('100,000 ext fields are refused over the limit and read below it, whatever the header', () => {
    const many: Record<string, string> = {}
    for (let i = 0; i < 100_000; i++) many[`k${i}`] = 'v'
    for (const serializeType of [SERIALIZE_JSON, SERIALIZE_ROCKETMQ] as const) {
      const bytes = encodeFrame(frame({ serializeType, ext: many }))
      expect(badFrame(bytes)).toContain('more than 1024 ext fields')
      expect(Object.keys(decodeFrame(bytes, 0, bytes.length, { maxExtFields: 100_000 }).ext ?? {})).toHaveLength(100_000)
    }
  })

  test('megabytes of brackets, of small members or of list items are refused before they are parsed', () => {
    const inside = (value: string) => around(`{"code":1,"opaque":1,"x":${value}}`)
    const count = 1_000_000
    expect(badFrame(inside('['.repeat(count) + ']'.repeat(count)))).toContain('nests deeper than 64')
    expect(badFrame(inside('{"a":'.repeat(count)))).toContain('nests deeper than 64')
    expect(badFrame(inside(`[${'1,'.repeat(count)}1]`))).toContain('more than 1024')
    // Brackets and commas in texts are texts.
    const properties = '[{,"\\'.repeat(count / 4)
    const read = decodeFrame(around(JSON.stringify({ code: 1, opaque: 1, extFields: { i: properties, n: 1 } })))
    expect(read.ext).toEqual({ i: properties, n: '1' })
  })

  test('a small header may nest only as deep as its big numbers can be read exactly', () => {
    const text = `{"code":1,"opaque":1,"x":${'['.repeat(100)}${']'.repeat(100)},"extFields":{"n":9007199254740993}}`
    expect(badFrame(around(text))).toContain('nesting')
  })
})

describe('writing', () => {
  test('what does not fit the binary header goes as JSON', () => {
    for (const more of [{ code: 200050 }, { version: 40000 }, { ext: { ['k'.repeat(40_000)]: 'v' } }]) {
      const bytes = encodeFrame(frame({ serializeType: SERIALIZE_ROCKETMQ, ...more }))
      expect(decodeFrame(bytes)).toMatchObject({ serializeType: SERIALIZE_JSON, ...more })
    }
    expect(() => encodeFrame(frame({ opaque: 2 ** 31 }))).toThrow('opaque 2147483648')
  })

  test('an answer mirrors its request, but goes as JSON when the code is beyond 16 bits', () => {
    expect(responseSerializeType({ serializeType: 1 }, 0)).toBe(1)
    expect(responseSerializeType({ serializeType: 1 }, 40_000)).toBe(0)
    expect(responseSerializeType({ serializeType: 0 }, 0)).toBe(0)
    expect(responseSerializeType({ serializeType: 2 }, 40_000)).toBe(2)
  })

  test('ext values are always text on the wire: C++ ignores numbers', () => {
    const raw = { offset: 12, ok: true, none: undefined } as unknown as Record<string, string>
    const bytes = encodeFrame(frame({ ext: raw }))
    expect(JSON.parse(bytes.toString('utf8', 8)).extFields).toEqual({ offset: '12', ok: 'true' })
  })

  test('the head says the length of a body that is written after it', () => {
    const body = Buffer.from('the body')
    const head = encodeFrameHead(frame({ ext: { a: 'ü€😀' } }), body.length)
    expect(Buffer.from(decodeFrame(Buffer.concat([head, body])).body).toString()).toBe('the body')
  })
})

describe('msgpack headers', () => {
  const enable = () => useMsgpack(msgpackr)
  afterEach(() => useMsgpack(undefined))
  const full = frame({
    serializeType: SERIALIZE_MSGPACK as SerializeType,
    code: 200050,
    opaque: -7,
    flag: 1,
    remark: 'ü',
    ext: { a: '1', long: 'x'.repeat(70_000), constructor: 'y' },
    body: Buffer.from('b'),
  })

  test('an end that did not enable them refuses them, and cannot write them', () => {
    enable()
    const bytes = encodeFrame(full)
    useMsgpack(undefined)
    expect(badFrame(bytes)).toContain('msgpack')
    expect(refusal(() => encodeFrame(full)).message).toContain('useMsgpack')
  })

  test('carry what JSON carries', () => {
    enable()
    expect(decodeFrame(encodeFrame(full))).toEqual({ ...full, remark: 'ü' })
    const bare = frame({ serializeType: SERIALIZE_MSGPACK })
    expect(decodeFrame(encodeFrame(bare))).toEqual({ ...bare, remark: undefined, ext: undefined })
  })

  test('lists that claim more than there is, maps, extension types and cut texts are refused before they are unpacked', () => {
    enable()
    const header = (...bytes: number[]) => around(Buffer.from(bytes), SERIALIZE_MSGPACK)
    expect(badFrame(header(0xdd, 0x7f, 0xff, 0xff, 0xff, 0))).toContain('claims 2147483647 items')
    expect(badFrame(header(0x80))).toContain('must be a list')
    expect(badFrame(header(0x96, 1, 0, 0, 1, 0, 0xc7, 1, 1, 1))).toContain('type byte 199')
    expect(badFrame(header(0x96, 1, 0, 0, 1, 0, 0xdd, 0x7f, 0xff, 0xff, 0xff))).toContain('type byte 221')
    expect(badFrame(header(0x96, 1, 0, 0, 1, 0, 0xdb, 0, 0, 1, 0))).toContain('cut short')
    expect(badFrame(header(0x95, 1, 0, 0, 1, 0))).toContain('5 items')
    expect(badFrame(header(0x98, 1, 0, 0, 1, 0, 0xc0, 1, 2))).toContain('ext key')
    expect(badFrame(header(0x96, 0xa1, 0x61, 0, 0, 1, 0, 0xc0))).toContain('field code')
    expect(badFrame(header(0x96, 1, 0, 0, 1, 0, 0xc0, 0))).toContain('after its list')
    expect(badFrame(header())).toContain('cut short')
    const whole = encodeFrame(full)
    const headerLength = whole.readUInt32BE(4) & 0xffffff
    for (const length of [1, 5, 9, headerLength - 1]) badFrame(around(whole.subarray(8, 8 + length), SERIALIZE_MSGPACK))
  })
})
