/** A short cut must not be seen: what it stores of a message's properties is what the rules store. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { PROPERTY } from '@skylarkmq/remoting/protocol'
import { BROKER_CONFIG } from '../src/config.ts'
import { PlainProperties, stampText } from '../src/processors/plain-properties.ts'
import { declaredProperties } from '../src/processors/send-batch.ts'

const settings = { current: BROKER_CONFIG.defaults }
const stamp = Buffer.from(stampText(settings.current))
const plain = new PlainProperties()
const declared = (text: Uint8Array) => declaredProperties({ settings, uniqueId: () => 'made-by-the-broker' }, text, 0)

const names = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom('UNIQ_KEY', 'KEYS', 'TAGS', 'WAIT', 'color', 'a', 'b', 'c') },
  { weight: 1, arbitrary: fc.constantFrom(...Object.values(PROPERTY), '', 'größe', 'a\u0001b') },
)
const values = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom('1', 'x y', 'true', '0') },
  fc.constantFrom('', 'é', 'v\u0001w', '\ud83d\ude80'),
)
const texts = fc
  .tuple(fc.array(fc.tuple(names, values), { maxLength: 8 }), fc.constantFrom('', '\u0002', 'half a pair', '\u0002\u0002'))
  .map(([pairs, end]) => Buffer.from(pairs.map(([name, value]) => `${name}\u0001${value}`).join('\u0002') + end))

test('text that is taken as it came is stored as the rules have it', () => {
  let taken = 0
  fc.assert(
    fc.property(fc.oneof({ weight: 9, arbitrary: texts }, fc.uint8Array({ maxLength: 40 })), (text) => {
      const short = plain.stamped(text, stamp)
      if (short === undefined) return
      taken++
      expect(short.toString()).toBe(String(declared(text)))
    }),
    { numRuns: 5000 },
  )
  expect(taken).toBeGreaterThan(100)
})

test('a text of usual pairs takes the short cut, whether its last pair has its end or not', () => {
  for (const text of ['UNIQ_KEY\u00017F\u0002TAGS\u0001a\u0002', 'TAGS\u0001a\u0002WAIT\u0001true\u0002UNIQ_KEY\u00017F']) {
    expect(plain.stamped(Buffer.from(text), stamp)?.toString()).toBe(String(declared(Buffer.from(text))))
  }
})
