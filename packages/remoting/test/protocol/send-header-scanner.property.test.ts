/**
 * The scanner is an accelerator beside the declared decoder. What must hold: whatever it accepts, it reads exactly as JSON.parse and the
 * declaration of SEND_MESSAGE_V2 do; what it cannot read it declines, so that no sender can make the two disagree.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SendMessageV2 } from '../../src/protocol/commands/send.ts'
import { decodeHeader } from '../../src/protocol/schema.ts'
import { SEND_FIELD, SendHeaderScanner } from '../../src/protocol/send-header-scanner.ts'

const scanner = new SendHeaderScanner()
const scan = (text: string) => {
  // In the middle of a larger buffer, as in a socket's chunk.
  const bytes = Buffer.from(`xx${text}yy`)
  return { bytes, accepted: scanner.scan(bytes, 2, bytes.length - 2) }
}

const letters = 'abcdefghijklmn'
const fieldText = (bytes: Buffer, index: number) =>
  scanner.starts[index] === -1 ? undefined : bytes.toString('utf8', scanner.starts[index], scanner.ends[index])
const propertiesText = () => Buffer.from(scanner.properties.subarray(0, scanner.propertiesLength)).toString('utf8')

/** What JSON.parse makes of the text, every ext value as text; undefined when it is no header at all. */
function reference(text: string) {
  try {
    const header = JSON.parse(text) as {
      code: number
      opaque: number
      flag?: number
      version?: number
      extFields?: Record<string, unknown>
    }
    return { ...header, ext: Object.fromEntries(Object.entries(header.extFields ?? {}).map(([k, v]) => [k, String(v)])) }
  } catch {
    return undefined
  }
}

function expectEqual(text: string) {
  const { bytes, accepted } = scan(text)
  if (!accepted) return false
  const parsed = reference(text)
  expect(parsed, `the scanner accepted what is no JSON: ${text}`).toBeDefined()
  expect(scanner.code).toBe(parsed?.code)
  expect(scanner.opaque).toBe(parsed?.opaque)
  expect(scanner.flag).toBe(parsed?.flag ?? 0)
  expect(scanner.version).toBe(parsed?.version ?? 0)
  for (let i = 0; i < letters.length; i++) {
    const seen = i === SEND_FIELD.properties && scanner.starts[i] !== -1 ? propertiesText() : fieldText(bytes, i)
    expect(seen, `field ${letters[i]} of ${text}`).toBe(parsed?.ext[letters[i] as string])
  }
  return true
}

const javaHeader = (ext: Record<string, unknown>, opaque = 7) =>
  JSON.stringify({ code: 310, extFields: ext, flag: 0, language: 'JAVA', opaque, serializeTypeCurrentRPC: 'JSON', version: 479 })

const usual = {
  a: 'group',
  b: 'TopicTest',
  c: 'TBW102',
  d: '4',
  e: '1',
  f: '0',
  g: '1763724000000',
  h: '0',
  i: 'KEYS\u0001k1\u0002UNIQ_KEY\u00017F000001\u0002WAIT\u0001true\u0002TAGS\u0001TagA\u0002',
  j: '0',
  k: 'false',
  m: 'false',
  n: 'broker-a',
}

describe('the header of a send', () => {
  test('a Java client’s header is read in place, properties and all', () => {
    const text = javaHeader(usual)
    expect(expectEqual(text)).toBe(true)
    const { bytes } = scan(text)
    const declared = decodeHeader(SendMessageV2.request, usual)
    expect(fieldText(bytes, SEND_FIELD.topic)).toBe(declared.topic)
    expect(scanner.number(bytes, SEND_FIELD.bornTimestamp)).toBe(declared.bornTimestamp)
    expect(propertiesText()).toBe(declared.properties)
    const names = Array.from({ length: scanner.propertyCount }, (_, i) =>
      Buffer.from(scanner.properties.subarray(scanner.nameStarts[i], scanner.nameEnds[i])).toString(),
    )
    expect(names).toEqual(['KEYS', 'UNIQ_KEY', 'WAIT', 'TAGS'])
  })

  test('raw numbers and booleans of a JavaScript client are read too', () => {
    expect(expectEqual(javaHeader({ ...usual, d: 4, e: 0, f: 0, h: 0, g: 1763724000000, k: false, j: 0 }))).toBe(true)
  })

  test('any header it accepts reads as the declared decoder reads it', () => {
    const value = fc.oneof(
      fc.string(),
      fc.string({ unit: 'binary' }),
      fc.integer(),
      fc.boolean(),
      fc.constantFrom('\u0001', 'a\u0001b\u0002', '\\u0001', '"'),
    )
    const key = fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...letters) }, { weight: 1, arbitrary: fc.string({ maxLength: 3 }) })
    const property = fc
      .tuple(fc.stringMatching(/^[A-Z_]{1,8}$/), fc.string({ minLength: 1, unit: 'grapheme' }))
      .map(([n, v]) => `${n}\u0001${v}\u0002`)
    const properties = fc.array(property, { maxLength: 6 }).map((list) => list.join(''))
    let accepted = 0
    fc.assert(
      fc.property(fc.dictionary(key, value), fc.option(properties), fc.nat(), (ext, i, opaque) => {
        if (expectEqual(javaHeader(i === null ? ext : { ...ext, i }, opaque))) accepted++
      }),
      { numRuns: 3000 },
    )
    expect(accepted).toBeGreaterThan(100)
  })

  test('no damage to a header makes the two disagree', () => {
    const javaScript = javaHeader({ ...usual, d: 4, e: 10, f: 0, k: false, m: true })
    fc.assert(
      fc.property(fc.nat(300), fc.nat(127), fc.constantFrom('replace', 'insert', 'delete', 'cut'), fc.boolean(), (at, code, how, raw) => {
        const text = raw ? javaScript : javaHeader(usual)
        const c = String.fromCharCode(code)
        const tail = how === 'insert' ? text.slice(at) : text.slice(at + 1)
        const damaged = how === 'cut' ? text.slice(0, at) : how === 'delete' ? text.slice(0, at) + tail : text.slice(0, at) + c + tail
        expectEqual(damaged)
      }),
      { numRuns: 5000 },
    )
  })

  test.each([
    ['a key twice', '{"code":310,"code":310,"opaque":1,"extFields":{}}'],
    ['a field twice', '{"code":310,"opaque":1,"extFields":{"a":"x","a":"y"}}'],
    ['white space', '{ "code":310,"opaque":1}'],
    ['a negative opaque', '{"code":310,"opaque":-1}'],
    ['credentials to be checked', '{"code":310,"opaque":1,"extFields":{"AccessKey":"k"}}'],
    ['an escape in a topic', '{"code":310,"opaque":1,"extFields":{"b":"T\\u0041"}}'],
    ['a nested value', '{"code":310,"opaque":1,"extFields":{"b":{}}}'],
    ['bytes after the end', '{"code":310,"opaque":1}x'],
    ['nothing', ''],
  ])('%s is declined', (_what, text) => {
    expect(scan(text).accepted).toBe(false)
  })
})
