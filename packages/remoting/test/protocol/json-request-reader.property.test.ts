/**
 * The reader stands beside the declared codec. What must hold: what it accepts it reads as `decodeFrame` and the declaration do; all else
 * it declines.
 */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Fields } from '../../src/protocol/index.ts'
import { allCommands, decodeFrame, decodeHeader, encodeFrame, encodeHeader, PullMessage } from '../../src/protocol/index.ts'
import { JsonRequestReader, RequestFields } from '../../src/protocol/json-request-reader.ts'
import { headerOf } from './headers.ts'

const reader = new JsonRequestReader()
const quickFields = new Map(allCommands().map(({ code, request }) => [code, new RequestFields(request as Fields)]))

interface Read {
  readonly code: number
  readonly opaque: number
  readonly flag: number
  readonly version: number
  readonly language: string
  readonly header: Record<string, unknown>
}

function quickly(frame: Buffer): Read | undefined {
  const end = 8 + (frame.readInt32BE(4) & 0xffffff)
  const fields = quickFields.get(reader.readCode(frame, 8, end))
  if (fields === undefined) return undefined
  try {
    const header = reader.readRest(frame, end, fields)
    if (header === undefined) return undefined
    const { code, opaque, flag, version, language } = reader
    const present = Object.fromEntries(Object.entries(header).filter(([, value]) => value !== undefined))
    return { code, opaque, flag, version, language, header: present }
  } catch {
    return undefined
  }
}

function asDeclared(frame: Buffer): Read {
  const { code, opaque, flag, version, language, ext } = decodeFrame(frame)
  const command = allCommands().find((one) => one.code === code)
  return { code, opaque, flag, version, language, header: { ...decodeHeader(command?.request as Fields, ext) } }
}

const plainText = fc.stringMatching(/^[A-Za-z0-9_%|.-]{1,40}$/)
const opaques = fc.integer({ min: 0, max: 2147483647 })

describe('reading', () => {
  test.each(allCommands().map((command) => [command.name, command] as const))('%s as its declaration says', (_name, command) => {
    fc.assert(
      fc.property(
        headerOf(command.request as Fields, fc.oneof(plainText, fc.string({ unit: 'binary', maxLength: 20 }))),
        opaques,
        (header, opaque) => {
          const ext = encodeHeader(command.request as Fields, header as never)
          const frame = encodeFrame({
            code: command.code,
            language: 'JAVA',
            version: 453,
            opaque,
            flag: 0,
            ext,
            body: Buffer.from('b'),
            serializeType: 0,
          })
          const read = quickly(frame)
          if (read !== undefined) expect(read).toEqual(asDeclared(frame))
        },
      ),
      { numRuns: 60 },
    )
  })

  const pull = {
    ...{ consumerGroup: 'g', topic: 'orders', queueId: '3', queueOffset: '100', maxMsgNums: '32', sysFlag: '2', commitOffset: '0' },
    ...{ suspendTimeoutMillis: '15000', subVersion: '1763724000000', expressionType: 'TAG' },
  }
  const frameOf = (ext: Record<string, string>): Buffer =>
    encodeFrame({
      code: PullMessage.code,
      language: 'JAVA',
      version: 453,
      opaque: 7,
      flag: 0,
      ext,
      body: Buffer.alloc(0),
      serializeType: 0,
    })

  test('what clients usually send is not declined, in whatever order', () => {
    const reversed = Object.fromEntries(Object.entries(pull).reverse())
    for (const ext of [pull, reversed, { ...pull, bname: 'broker-a', ns: '', lo: 'false' }]) {
      const frame = frameOf(ext)
      expect(quickly(frame)).toEqual(asDeclared(frame))
    }
  })

  test.each([
    ['a field that nobody declared', { ...pull, zoneName: 'z' }],
    ['a number with a sign in front', { ...pull, queueId: '+3' }],
    ['a number beyond 32 bits', { ...pull, queueId: '2147483648' }],
    ['a number of twenty digits', { ...pull, queueOffset: '18446744073709551615' }],
    ['no number', { ...pull, queueOffset: '' }],
    ['a required field is missing', { ...pull, topic: undefined as unknown as string }],
    ['text beyond ASCII', { ...pull, topic: 'Aufträge' }],
    ['an escape', { ...pull, topic: 'a"b' }],
  ])('%s: declined', (_what, ext) => {
    expect(quickly(frameOf(ext))).toBeUndefined()
  })

  test('a header with any byte changed is declined, or read as the declaration says', () => {
    const frame = frameOf({ ...pull, bname: 'broker-a' })
    fc.assert(
      fc.property(fc.integer({ min: 8, max: frame.length - 1 }), fc.integer({ min: 0, max: 255 }), (at, byte) => {
        const changed = Buffer.from(frame)
        changed[at] = byte
        const read = quickly(changed)
        if (read !== undefined) expect(read).toEqual(asDeclared(changed))
      }),
      { numRuns: 5000 },
    )
  })

  test('a header that ends anywhere is declined', () => {
    const frame = frameOf(pull)
    for (let length = 0; length < frame.length - 8; length++) {
      const cut = Buffer.from(frame.subarray(0, 8 + length))
      cut.writeInt32BE(length, 4)
      expect(quickly(cut), `${length} bytes`).toBeUndefined()
    }
  })
})
