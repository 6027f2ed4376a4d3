import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { javaStringHash, pairsOf, parseFastjson, parseFastjsonBytes, RocketError, stringifyFastjson } from '../../src/protocol/index.ts'
import { javaHashes } from './golden.ts'

/** Parsed objects have no prototype; comparison by their JSON values. */
const plain = (value: unknown): unknown => {
  if (value instanceof Map) return new Map([...value].map(([k, v]) => [plain(k), plain(v)]))
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, plain(v)]))
}

/** JSON.parse knows no bigint. */
const bigToNumber = (value: unknown): unknown => {
  if (typeof value === 'bigint') return Number(value)
  if (Array.isArray(value)) return value.map(bigToNumber)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, bigToNumber(v)]))
}

describe('the JSON of Apache’s bodies', () => {
  test.each([
    ['{0:"a",1:"b"}', { '0': 'a', '1': 'b' }],
    ['{-5:1}', { '-5': 1 }],
    ["{'a':'it\\'s'}", { a: "it's" }],
    ['{a:1,$b_2:2}', { a: 1, $b_2: 2 }],
    ['[1,2,]', [1, 2]],
    ['{"a":1,}', { a: 1 }],
    [' \n\t{ "a" : [ true , false , null ] } ', { a: [true, false, null] }],
    ['"\\u00e9\\n\\/\\x41\\""', 'é\n/A"'],
    ['1.5e3', 1500],
    ['12L', 12],
    ['9007199254740993', 9007199254740993n],
    ['-9223372036854775808', -9223372036854775808n],
    ['9007199254740991', 9007199254740991],
    ['{"a":1,"a":2}', { a: 2 }],
    ['\ufeff{}', {}],
  ])('%s is read', (text, expected) => {
    expect(plain(parseFastjson(text))).toEqual(expected)
  })

  test('objects as keys give a Map, and pairsOf reads it, text keys that hold an object, and plain tables', () => {
    const queue = { brokerName: 'b', queueId: 0, topic: 't' }
    for (const text of [
      '{{"brokerName":"b","queueId":0,"topic":"t"}:12}',
      '{"{\\"brokerName\\":\\"b\\",\\"queueId\\":0,\\"topic\\":\\"t\\"}":12}',
    ]) {
      expect(pairsOf(parseFastjson(text)).map(([k, v]) => [plain(k), v])).toEqual([[queue, 12]])
    }
    expect(pairsOf(parseFastjson('{"a":1,"b":2}'))).toEqual([
      ['a', 1],
      ['b', 2],
    ])
    expect(plain(parseFastjson('{"x":1,{"q":0}:2,"y":3}'))).toEqual(
      new Map<unknown, unknown>([
        ['x', 1],
        [{ q: 0 }, 2],
        ['y', 3],
      ]),
    )
  })

  test.each([
    ['', 'a value'],
    ['{', 'a key'],
    ['{"a"', '":"'],
    ['{"a":1', '"," or "}"'],
    ['[1 2]', '"," or "]"'],
    ['"abc', 'the closing "'],
    ['"\\u12"', '4 hexadecimal digits'],
    ['hello', 'a value'],
    ['{} x', 'the end of the text'],
    [`{"n":${'9'.repeat(1000)}}`, '400 digits'],
    ['['.repeat(1_000_000), 'nesting of at most 64'],
    ['{{'.repeat(1_000_000), 'nesting of at most 64'],
  ])('%.20s is refused, and the error says what was expected', (text, expected) => {
    expect(() => parseFastjson(text)).toThrow(RocketError)
    expect(() => parseFastjson(text)).toThrow(expected)
  })

  test('keys that mean something in JavaScript mean nothing', () => {
    const value = parseFastjson('{"__proto__":{"polluted":true},"constructor":1}') as Record<string, unknown>
    expect(Object.keys(value)).toEqual(['__proto__', 'constructor'])
    expect(value['polluted']).toBeUndefined()
    expect(value['toString']).toBeUndefined()
  })

  test('all standard JSON reads as JSON.parse reads it', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 8 }), (text) => {
        expect(bigToNumber(plain(parseFastjson(text)))).toEqual(plain(JSON.parse(text)))
      }),
    )
  })

  test('large texts read the same on their short cut: strict or not, with safe numbers or not', () => {
    const padding = `"${'x'.repeat(20_000)}"`
    fc.assert(
      fc.property(fc.json({ maxDepth: 5 }), (text) => {
        const large = `[${padding},${text}]`
        expect(plain(parseFastjsonBytes(Buffer.from(large)))).toEqual(plain(parseFastjson(large)))
      }),
    )
    for (const text of [
      '{0:"a"}',
      '1700000000123456789',
      '{"a":"\\"9007199254740993"}',
      "{'a':1}",
      '{"__proto__":{"a":1}}',
      '0.1234567890123456789',
    ]) {
      const large = `[${padding},${text}]`
      expect(plain(parseFastjsonBytes(Buffer.from(large)))).toEqual(plain(parseFastjson(large)))
    }
    expect(() => parseFastjsonBytes(Buffer.from(`[${padding},`))).toThrow('a value')
    expect(() => parseFastjsonBytes(Buffer.from('['.repeat(1_000_000)))).toThrow('nesting of at most 64')
  })

  test('noise made of JSON’s characters is read or refused as INVALID_PARAMETER', () => {
    const noise = fc.array(fc.constantFrom(...'{}[]:,"\'\\0123abceu.-+ \n\u0000é'), { maxLength: 40 }).map((c) => c.join(''))
    fc.assert(
      fc.property(noise, (text) => {
        try {
          parseFastjson(text)
        } catch (error) {
          expect((error as RocketError).code).toBe('INVALID_PARAMETER')
        }
      }),
      { numRuns: 3000 },
    )
  })
})

describe('writing', () => {
  test('maps keep their keys as they are; objects give strict JSON', () => {
    expect(stringifyFastjson(new Map([[0, 'a']]))).toBe('{0:"a"}')
    expect(stringifyFastjson(new Map([[{ brokerName: 'b', queueId: 0 }, { offset: 1n }]]))).toBe(
      '{{"brokerName":"b","queueId":0}:{"offset":1}}',
    )
    expect(stringifyFastjson({ a: undefined, b: null, c: [1, 'x', true], d: new Set(['t']), e: 1700000000123456789n })).toBe(
      '{"b":null,"c":[1,"x",true],"d":["t"],"e":1700000000123456789}',
    )
  })

  test('a prototype key is written as any other', () => {
    expect(stringifyFastjson(JSON.parse('{"__proto__":1}'))).toBe('{"__proto__":1}')
  })

  test('what is written reads back', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(bigToNumber(plain(parseFastjson(stringifyFastjson(value))))).toEqual(plain(JSON.parse(JSON.stringify(value))))
      }),
    )
  })
})

test('tags hash as Java’s strings do', () => {
  expect(javaHashes.length).toBeGreaterThan(3)
  for (const [text, hash] of javaHashes) expect(javaStringHash(text), text).toBe(hash)
})
