import fc from 'fast-check'
import { expect, test } from 'vitest'
import { PROTOCOL_VERSION } from '../../src/protocol/frame-types.ts'
import type { Fields } from '../../src/protocol/index.ts'
import { allCommands, encodeFrameHead, PullMessage, SERIALIZE_JSON } from '../../src/protocol/index.ts'
import type { JsonHead } from '../../src/protocol/json-head.ts'
import { jsonHeadRoom, writeJsonHead } from '../../src/protocol/json-head.ts'
import { JsonRepeatedHeads } from '../../src/protocol/json-repeated-heads.ts'
import { encodeHeader, int, long, optional } from '../../src/protocol/schema.ts'

/** The opaque by name is a trap: it is looked for in the bytes. */
const TRAPS = { opaque: long(), code: optional(int()), a: optional(long()) }
const sides = fc.oneof(
  fc.constant(PullMessage.response as Fields),
  fc.constant(TRAPS as Fields),
  fc.constantFrom(...allCommands().flatMap(({ request, response }) => [request as Fields, response as Fields])),
)

const edges = fc.integer({ min: 0, max: 15 }).chain((zeros) => fc.constantFrom(10 ** zeros - 1, 10 ** zeros, 10 ** zeros + 1))
const value = fc.oneof(
  { weight: 40, arbitrary: fc.integer({ min: 1_100, max: 1_900 }) },
  { weight: 2, arbitrary: edges },
  {
    weight: 1,
    arbitrary: fc.constantFrom(undefined, null, 0, -0, -1, -10, 1.5, Number.NaN, 1e21, 5n, true, '7', '"opaque":"', '"a\\":"', 'é', {}),
  },
)

/** What is answered, one after another, and how much of it is as before. */
const series = sides.chain((fields) =>
  fc.tuple(
    fc.constant(fields),
    fc.array(
      fc.record({
        header: fc.record(Object.fromEntries(Object.keys(fields).map((name) => [name, value]))),
        kept: fc.tuple(fc.nat(0xffff), fc.nat(0xffff)).map(([some, others]) => some | others),
        opaque: fc.oneof(
          { weight: 20, arbitrary: fc.integer({ min: 600, max: 999 }) },
          { weight: 1, arbitrary: fc.constantFrom(-1, 0, 9, 10, 2147483647, -2147483648) },
        ),
        code: fc.constantFrom(0, 0, 0, 0, 19),
        flag: fc.constantFrom(1, 1, 1, 1, 3),
        language: fc.constantFrom('JAVA', 'JAVA', 'JAVA', 'JAVA', 'OTHER'),
        remark: fc.constantFrom('FOUND', 'FOUND', 'FOUND', 'FOUND', undefined, '', '"remark"'),
        bodyLength: fc.constantFrom(0, 1, 70_000),
      }),
      { minLength: 20, maxLength: 60, size: 'max' },
    ),
  ),
)

test('a head that is like one before has the bytes that the codec for all frames gives it', () => {
  let repeated = 0
  fc.assert(
    fc.property(series, ([fields, all]) => {
      const heads = new JsonRepeatedHeads(fields)
      let before: Record<string, unknown> = {}
      for (const { header, kept, ...rest } of all) {
        const head: JsonHead = rest
        Object.keys(fields).forEach((name, i) => {
          if ((kept & (1 << (i % 16))) !== 0 && name in before) (header as Record<string, unknown>)[name] = before[name]
        })
        before = header
        const found = heads.find(header, head)
        const { bodyLength, ...frame } = head
        if (found === undefined) {
          const bytes = Buffer.alloc(3 + jsonHeadRoom(fields, header, head.remark))
          const end = writeJsonHead(bytes, 3, fields, header, head)
          if (end >= 0) heads.remember(bytes, 3, end, head)
          continue
        }
        repeated++
        const ext = encodeHeader(fields, header as never)
        const expected = encodeFrameHead({ ...frame, version: PROTOCOL_VERSION, ext, serializeType: SERIALIZE_JSON }, bodyLength)
        expect(Buffer.from(found).toString('latin1')).toBe(expected.toString('latin1'))
      }
    }),
    { numRuns: 1_000 },
  )
  expect(repeated).toBeGreaterThan(2_000)
})

test('answers to pulls, each a message further on, are all but the first of each length like one before', () => {
  const fields = PullMessage.response as Fields
  const heads = new JsonRepeatedHeads(fields)
  let written = 0
  for (let offset = 0; offset < 2_000; offset++) {
    const header = {
      suggestWhichBrokerId: 0,
      nextBeginOffset: offset + 1,
      minOffset: 0,
      maxOffset: offset + 5,
      topicSysFlag: 0,
      groupSysFlag: 0,
    }
    const head = { code: 0, language: 'JAVA', opaque: 1_000 + offset, flag: 1, remark: 'FOUND', bodyLength: 100 + (offset % 7) } as const
    if (heads.find(header, head) !== undefined) continue
    written++
    const bytes = Buffer.alloc(jsonHeadRoom(fields, header, head.remark))
    heads.remember(bytes, 0, writeJsonHead(bytes, 0, fields, header, head), head)
  }
  expect(written).toBeLessThan(80)
})
