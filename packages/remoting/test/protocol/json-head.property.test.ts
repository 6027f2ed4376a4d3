import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { JSON_HEAD_MAX_BYTES, jsonHeadRoom, writeJsonHead } from '../../src/protocol/json-head.ts'
import type { Fields } from '../../src/protocol/index.ts'
import { allCommands, decodeFrame, encodeFrameHead, PullMessage, SendMessageV2, SERIALIZE_JSON } from '../../src/protocol/index.ts'
import { PROTOCOL_VERSION } from '../../src/protocol/frame-types.ts'
import { encodeHeader } from '../../src/protocol/schema.ts'

const value = fc.oneof(
  fc.string({ maxLength: 40 }),
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.constantFrom('TAGS\u0001TagA\u0002UNIQ_KEY\u00017F\u0002', '"\\\b\f\n\r\t\u001f\u007f', 'é', '__proto__'),
  fc.integer(),
  fc.maxSafeNat(),
  fc.constantFrom(0, -0, -1, 9, 10, 2147483647, 2147483648, Number.MAX_SAFE_INTEGER, 1.5, Number.NaN, 1e21),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.boolean(),
  fc.constantFrom(undefined, null),
)
const sides = allCommands().flatMap(({ code, request, response }) => [
  { code, fields: request as Fields },
  { code, fields: response as Fields },
])
const frames = fc.constantFrom(...sides).chain(({ code, fields }) =>
  fc.record({
    code: fc.constant(code),
    fields: fc.constant(fields),
    header: fc.record(Object.fromEntries(Object.keys(fields).map((name) => [name, value])), { requiredKeys: [] }),
    language: fc.constantFrom('OTHER', 'JAVA'),
    remark: fc.option(fc.oneof(fc.string({ maxLength: 40 }), fc.string({ unit: 'binary', maxLength: 12 })), { nil: undefined }),
    opaque: fc.integer({ min: -2147483648, max: 2147483647 }),
    flag: fc.constantFrom(0, 1, 2),
    bodyLength: fc.nat(1 << 24),
    before: fc.nat(64),
  }),
)

const PULL = { code: PullMessage.code, language: 'OTHER', opaque: 1, flag: 0, bodyLength: 0 } as const

describe('a head that is written where it leaves from', () => {
  it('has the bytes that the codec for all frames gives it, and stays in its room', () => {
    fc.assert(
      fc.property(frames, ({ code, fields, header, language, remark, opaque, flag, bodyLength, before }) => {
        const expected = encodeFrameHead(
          {
            code,
            language,
            remark,
            version: PROTOCOL_VERSION,
            opaque,
            flag,
            ext: encodeHeader(fields, header as never),
            serializeType: SERIALIZE_JSON,
          },
          bodyLength,
        )
        const room = jsonHeadRoom(fields, header, remark)
        const bytes = Buffer.alloc(before + room + 16, 0xee)
        const end = writeJsonHead(bytes, before, fields, header, { code, language, opaque, flag, remark, bodyLength })
        expect(bytes.subarray(before + room)).toEqual(Buffer.alloc(16, 0xee))
        if (end >= 0) expect(bytes.toString('utf8', before, end)).toBe(expected.toString('utf8'))
        else expect(/[^\0-\x7f]/.test([...Object.values(header), remark].join(''))).toBe(true)
      }),
      { numRuns: 1000 },
    )
  })

  it('is left to the other codec where its text is not ASCII, or could be of any length', () => {
    const write = (header: Record<string, unknown>) =>
      writeJsonHead(Buffer.alloc(jsonHeadRoom(PullMessage.request, header)), 0, PullMessage.request, header, PULL)
    expect(write({ subscription: 'TagÄ' })).toBe(-1)
    expect(write({ subscription: { toString: () => 'x'.repeat(10_000) } })).toBe(-1)
    expect(write({ subscription: 'TagA' })).toBeGreaterThan(0)
  })

  it('asks for more room than it writes in place when its properties are long', () => {
    expect(jsonHeadRoom(SendMessageV2.request, { properties: 'x'.repeat(32_767) })).toBeGreaterThan(JSON_HEAD_MAX_BYTES)
    const header = { properties: '\u0001'.repeat(1000) }
    const bytes = Buffer.alloc(jsonHeadRoom(SendMessageV2.request, header))
    const end = writeJsonHead(bytes, 0, SendMessageV2.request, header, { ...PULL, code: SendMessageV2.code })
    expect(decodeFrame(bytes.subarray(0, end)).ext).toEqual({ i: header.properties })
  })
})
