import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { JSON_REQUEST_MAX_BYTES, jsonRequestRoom, writeJsonRequest } from '../../src/protocol/json-request.ts'
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
const request = fc.constantFrom(...allCommands()).chain((command) =>
  fc.record({
    command: fc.constant(command),
    header: fc.record(Object.fromEntries(Object.keys(command.request).map((name) => [name, value])), { requiredKeys: [] }),
    opaque: fc.nat(),
    flag: fc.constantFrom(0, 2),
    bodyLength: fc.nat(1 << 24),
    before: fc.nat(64),
  }),
)

describe('a request that is written where it leaves from', () => {
  it('has the bytes that the codec for all frames gives it, and stays in its room', () => {
    fc.assert(
      fc.property(request, ({ command, header, opaque, flag, bodyLength, before }) => {
        const expected = encodeFrameHead(
          {
            code: command.code,
            language: 'OTHER',
            version: PROTOCOL_VERSION,
            opaque,
            flag,
            ext: encodeHeader(command.request, header as never),
            serializeType: SERIALIZE_JSON,
          },
          bodyLength,
        )
        const room = jsonRequestRoom(command, header)
        const bytes = Buffer.alloc(before + room + 16, 0xee)
        const end = writeJsonRequest(bytes, before, command, header, { opaque, flag, bodyLength })
        expect(bytes.subarray(before + room)).toEqual(Buffer.alloc(16, 0xee))
        if (end >= 0) expect(bytes.toString('utf8', before, end)).toBe(expected.toString('utf8'))
        else expect(/[^\0-\x7f]/.test(Object.values(header).join(''))).toBe(true)
      }),
      { numRuns: 1000 },
    )
  })

  it('is left to the other codec where its text is not ASCII, or could be of any length', () => {
    const write = (header: Record<string, unknown>) =>
      writeJsonRequest(Buffer.alloc(jsonRequestRoom(PullMessage, header)), 0, PullMessage, header, { opaque: 1, flag: 0, bodyLength: 0 })
    expect(write({ subscription: 'TagÄ' })).toBe(-1)
    expect(write({ subscription: { toString: () => 'x'.repeat(10_000) } })).toBe(-1)
    expect(write({ subscription: 'TagA' })).toBeGreaterThan(0)
  })

  it('asks for more room than it writes in place when its properties are long', () => {
    expect(jsonRequestRoom(SendMessageV2, { properties: 'x'.repeat(32_767) })).toBeGreaterThan(JSON_REQUEST_MAX_BYTES)
    const header = { properties: '\u0001'.repeat(1000) }
    const bytes = Buffer.alloc(jsonRequestRoom(SendMessageV2, header))
    const end = writeJsonRequest(bytes, 0, SendMessageV2, header, { opaque: 7, flag: 0, bodyLength: 0 })
    expect(decodeFrame(bytes.subarray(0, end)).ext).toEqual({ i: header.properties })
  })
})
