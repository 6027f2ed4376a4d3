import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MAX_EXT_FIELDS } from '../../src/protocol/index.ts'
import { decodeJsonHeader, parseJsonHeader } from '../../src/protocol/json-header.ts'
import { readPlainHeader } from '../../src/protocol/plain-header.ts'

const BODY = Buffer.alloc(0)
type Read = typeof decodeJsonHeader

/** What comes of these bytes, which lie in the middle of others. */
function outcome(read: Read, header: Uint8Array): string {
  const bytes = Buffer.concat([Buffer.from('{"'), header, Buffer.from('"}1,:')])
  try {
    const { ext, ...frame } = read(bytes, 2, 2 + header.length, BODY, MAX_EXT_FIELDS)
    return JSON.stringify({ ...frame, ext: ext && Object.entries(ext) })
  } catch (error) {
    return (error as Error).message
  }
}
const same = (header: Uint8Array): void => {
  expect(outcome(decodeJsonHeader, header)).toBe(outcome(parseJsonHeader, header))
}

const text = fc.oneof(
  fc.stringMatching(/^[ -~]{0,20}$/),
  fc.string({ unit: 'binary', maxLength: 8 }),
  fc.constantFrom('', '\\', '"', '1', '__proto__'),
)
const extFields = fc.oneof(
  fc.dictionary(text, text, { maxKeys: 6 }),
  fc.constantFrom({}, null, [], 'x', 1, { a: 1 }, { a: null }, Object.fromEntries(Array.from({ length: 70 }, (_, i) => [`k${i}`, 'v']))),
)
const number = fc.oneof(
  fc.integer(),
  fc.constantFrom(0, -1, 2147483647, 2147483648, -2147483648, -2147483649, 1.5, 1e10, 9999999999, '7', 'x', null, true),
)
const header = fc.record(
  {
    code: number,
    extFields,
    flag: number,
    language: fc.constantFrom('JAVA', 'OTHER', 'GO', 'Martian', 1, null),
    opaque: number,
    remark: fc.constantFrom('', 'busy', null),
    serializeTypeCurrentRPC: fc.constantFrom('JSON', 1),
    version: number,
    other: fc.constantFrom(1, 'x'),
  },
  { requiredKeys: ['code', 'opaque'] },
)

describe('a JSON header that is read in place', () => {
  it('says what JSON.parse makes of it', () => {
    fc.assert(
      fc.property(header, (fields) => same(Buffer.from(JSON.stringify(fields)))),
      { numRuns: 1000 },
    )
  })

  it('says what JSON.parse makes of it when any byte of it is another one, is missing, or comes twice', () => {
    const plain = Buffer.from(
      '{"code":0,"extFields":{"queueId":"3","msgId":"7F00","queueId":"4"},"flag":1,"language":"JAVA","opaque":12,"serializeTypeCurrentRPC":"JSON","version":475}',
    )
    expect(readPlainHeader(plain, 0, plain.length)).toBeDefined()
    for (let at = 0; at <= plain.length; at++) {
      same(plain.subarray(0, at))
      same(Buffer.concat([plain.subarray(0, at), plain.subarray(at + 1)]))
      same(Buffer.concat([plain.subarray(0, at + 1), plain.subarray(at)]))
      for (const byte of Buffer.from('"\\,:{}[]0-9. n\u0001\u007f\u00ff', 'latin1')) {
        const changed = Buffer.from(plain)
        if (at < changed.length) changed[at] = byte
        same(changed)
      }
    }
  })

  it('takes numbers as JSON writes them, and no others', () => {
    for (const number of ['0', '-0', '00', '01', '-1', '-01', '+1', '1e3', '1.0', '2147483648', '12345678901', '-', '', ' 1', '1 '])
      same(Buffer.from(`{"code":${number},"opaque":1}`))
  })

  it('reads answers whose keys change from one to the next', () => {
    for (const extFields of [{ a: '1', b: '2' }, { b: '2', a: '1' }, { ab: '1' }, { a: '3' }, { __proto: '1', constructor: '2' }])
      same(Buffer.from(JSON.stringify({ code: 0, extFields, opaque: 1 })))
    same(Buffer.from('{"code":0,"extFields":{"__proto__":"x"},"opaque":1}'))
  })
})
