/**
 * The kernel is an accelerator beside the declared decoder. What must hold: whatever header it accepts, it reads exactly as JSON.parse and
 * the declaration of SEND_MESSAGE_V2 do; what it cannot read it declines, so that no sender can make the two disagree.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SendMessageV2 } from '../../src/protocol/commands/send.ts'
import { Kernel, PROPERTY_KIND } from '../../src/protocol/kernel/kernel.ts'
import * as layout from '../../src/protocol/kernel/layout.ts'
import { parseProperties } from '../../src/protocol/message/properties.ts'
import { decodeHeader } from '../../src/protocol/schema.ts'

const kernel = new Kernel({ ringBytes: 65_536, receiveBytes: 0, outBytes: 0, slots: 0 })
const UNUSUAL = ['DELAY', 'TRAN_MSG', 'CLUSTER']
for (const name of UNUSUAL) kernel.addName(name, PROPERTY_KIND.unusual)
kernel.addName('UNIQ_KEY', PROPERTY_KIND.uniqKey)
kernel.addName('WAIT', PROPERTY_KIND.wait)

const scan = (text: string) => {
  // In the middle of a larger buffer, as in a socket's chunk.
  const bytes = Buffer.from(`xx${text}yy":,}`)
  kernel.bytes.set(bytes, kernel.ringAt)
  return kernel.calls.scanSend(kernel.ringAt + 2, Buffer.byteLength(text)) !== 0
}
const word = (index: number): number => kernel.words[index] as number
const textAt = (at: number, length: number): string => kernel.bytes.toString('utf8', at, at + length)

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
  if (!scan(text)) return false
  const parsed = reference(text)
  expect(parsed, `the kernel accepted what is no JSON: ${text}`).toBeDefined()
  expect(parsed?.code).toBe(310)
  expect(word(layout.OPAQUE)).toBe(parsed?.opaque)
  expect(word(layout.REQUEST_FLAG)).toBe(parsed?.flag ?? 0)
  expect(word(layout.VERSION)).toBe(parsed?.version ?? 0)
  const declared = decodeHeader(SendMessageV2.request, parsed?.ext ?? {})
  expect(textAt(word(layout.TOPIC_AT), word(layout.TOPIC_LENGTH))).toBe(declared.topic)
  expect(word(layout.QUEUE_ID)).toBe(declared.queueId)
  expect(word(layout.SYS_FLAG)).toBe(declared.sysFlag)
  expect(word(layout.FLAG)).toBe(declared.flag)
  expect(word(layout.RECONSUME_TIMES)).toBe(declared.reconsumeTimes ?? 0)
  expect(kernel.numbers[layout.BORN_TIMESTAMP]).toBe(declared.bornTimestamp)
  expect(declared.batch ?? false).toBe(false)
  const properties = declared.properties ?? ''
  expect(textAt(word(layout.PROPERTIES_TEXT_AT), word(layout.PROPERTIES_LENGTH))).toBe(properties)
  const named = parseProperties(properties)
  expect(textAt(word(layout.UNIQ_KEY_AT), word(layout.UNIQ_KEY_LENGTH))).toBe(named.get('UNIQ_KEY'))
  expect(word(layout.WAITS)).toBe(named.get('WAIT') === 'false' ? 0 : 1)
  for (const name of UNUSUAL) expect(named.has(name)).toBe(false)
  expect(properties.split('\u0002').length - 1, 'no name twice').toBe(named.size)
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
    expect(expectEqual(javaHeader(usual))).toBe(true)
    expect(expectEqual(javaHeader({ ...usual, i: usual.i.replace('true', 'false') }))).toBe(true)
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
    const key = fc.oneof(
      { weight: 9, arbitrary: fc.constantFrom(...Object.keys(usual)) },
      { weight: 1, arbitrary: fc.string({ maxLength: 3 }) },
    )
    const property = fc
      .tuple(fc.stringMatching(/^[A-Z_]{1,8}$/), fc.string({ minLength: 1, unit: 'grapheme' }))
      .map(([n, v]) => `${n}\u0001${v}\u0002`)
    const known = fc.constantFrom('WAIT\u0001false\u0002', 'DELAY\u00011\u0002', 'TAGS\u0001é\u0002')
    const some = fc.array(fc.oneof({ weight: 4, arbitrary: property }, { weight: 1, arbitrary: known }), { maxLength: 6 })
    const properties = fc.tuple(some, some).map(([a, b]) => [...a, 'UNIQ_KEY\u00017F01\u0002', ...b].join(''))
    let accepted = 0
    fc.assert(
      fc.property(fc.dictionary(key, value, { maxKeys: 4 }), fc.option(properties), fc.nat(), (ext, i, opaque) => {
        if (expectEqual(javaHeader({ ...usual, ...ext, ...(i === null ? {} : { i }) }, opaque))) accepted++
      }),
      { numRuns: 3000 },
    )
    expect(accepted).toBeGreaterThan(100)
  })

  test('one like those before it is read by what differs, and no less strictly', () => {
    const text = (length: number) => fc.string({ minLength: length, maxLength: length, unit: fc.constantFrom(...'abcXYZ019 ":,}é\\\n') })
    const word3 = fc.oneof({ weight: 4, arbitrary: fc.stringMatching(/^[A-Za-z0-9 ]{3}$/) }, { weight: 1, arbitrary: text(3) })
    const digits = fc.oneof({ weight: 4, arbitrary: fc.integer({ min: 100, max: 999 }).map(String) }, { weight: 1, arbitrary: text(3) })
    const like = fc.record({
      opaque: fc.nat(2000),
      queueId: digits,
      born: digits,
      tag: word3,
      key: word3,
      id: word3,
      wait: fc.boolean(),
      more: word3,
    })
    let accepted = 0
    let repeated = 0
    fc.assert(
      fc.property(fc.array(like, { minLength: 1, maxLength: 20 }), fc.boolean(), (headers, isRaw) => {
        for (const { opaque, queueId, born, tag, key, id, wait, more } of headers) {
          const i = `KEYS\u0001${key}\u0002UNIQ_KEY\u0001${id}\u0002WAIT\u0001${wait}\u0002TAGS\u0001${tag}\u0002x\u0001${more}\u0002`
          const e = isRaw && /^\d+$/.test(queueId) ? Number(queueId) : queueId
          if (!expectEqual(javaHeader({ ...usual, e, g: born, i }, opaque))) continue
          accepted++
          if (word(layout.PROPERTIES_TEXT_AT) !== layout.PROPERTIES_AT) repeated++
        }
      }),
      { numRuns: 500 },
    )
    expect(accepted).toBeGreaterThan(500)
    expect(repeated).toBeGreaterThan(accepted / 4)
  })

  test('no damage to a header makes the two disagree', () => {
    const javaScript = javaHeader({ ...usual, d: 4, e: 10, f: 0, k: false, m: false })
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
    ['a batch', javaHeader({ ...usual, m: 'true' })],
    ['no unique key', javaHeader({ ...usual, i: 'TAGS\u0001a\u0002' })],
    ['a unique key that no slot has room for', javaHeader({ ...usual, i: `UNIQ_KEY\u0001${'k'.repeat(129)}\u0002` })],
    ['a unique key that an answer would have to escape', javaHeader({ ...usual, i: 'UNIQ_KEY\u0001a"b\u0002' })],
    ['a queue below zero', javaHeader({ ...usual, e: '-1' })],
    ['properties without their last separator', javaHeader({ ...usual, i: 'UNIQ_KEY\u00017F01' })],
    ['bytes after the end', '{"code":310,"opaque":1}x'],
    ['nothing', ''],
  ])('%s is declined', (_what, text) => {
    expect(scan(text)).toBe(false)
  })
})
