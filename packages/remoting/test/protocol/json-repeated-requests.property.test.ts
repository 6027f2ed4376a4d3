/**
 * Headers that are read by what differs from one before. What must hold: such a one is what reading it byte by byte makes of it; and requests of
 * one client, of which only numbers differ, are read so.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Fields } from '../../src/protocol/index.ts'
import { allCommands, encodeFrame, encodeHeader } from '../../src/protocol/index.ts'
import { JsonRequestReader, RequestFields } from '../../src/protocol/json-request-reader.ts'
import { headerOf } from './headers.ts'

const fields = new Map(allCommands().map(({ code, request }) => [code, new RequestFields(request as Fields)]))
const whole = new JsonRequestReader()

const told = ({ code, opaque, flag, version, language }: JsonRequestReader, header: object) => ({
  head: { code, opaque, flag, version, language },
  header: { ...header },
})

function byByte(reader: JsonRequestReader, bytes: Buffer, start: number, end: number) {
  const known = fields.get(reader.readCode(bytes, start, end))
  try {
    return known && reader.readRest(bytes, end, known)
  } catch {
    return undefined
  }
}

const plainText = fc.stringMatching(/^[A-Za-z0-9_%|.-]{1,40}$/)
const request = fc.constantFrom(...allCommands()).chain((command) =>
  fc.record({
    command: fc.constant(command),
    header: headerOf(command.request as Fields, plainText),
    opaque: fc.integer({ min: 0, max: 2147483647 }),
  }),
)
/** Which byte becomes another one, in each of the headers that follow: digits are to be met often. */
const changes = fc.array(
  fc.array(fc.record({ at: fc.nat(), byte: fc.oneof(fc.integer({ min: 0x30, max: 0x39 }), fc.integer({ min: 0, max: 255 })) }), {
    maxLength: 3,
  }),
  { maxLength: 20 },
)

const headerBytes = ({ command, header, opaque }: { command: ReturnType<typeof allCommands>[number]; header: object; opaque: number }) => {
  const ext = encodeHeader(command.request as Fields, header as never)
  return encodeFrame({
    code: command.code,
    language: 'JAVA',
    version: 453,
    opaque,
    flag: 0,
    ext,
    body: Buffer.alloc(0),
    serializeType: 0,
  }).subarray(8)
}

test('a header is what reading it byte by byte makes of it, whatever was read before', () => {
  let repeated = 0
  fc.assert(
    fc.property(fc.array(request, { minLength: 1, maxLength: 3 }), changes, fc.nat({ max: 9 }), (requests, variants, shift) => {
      const reader = new JsonRequestReader()
      const originals = requests.map(headerBytes)
      for (const [i, variant] of [[], ...variants].entries()) {
        const original = originals[i % originals.length] as Buffer
        const bytes = Buffer.concat([Buffer.alloc(shift, 0x31), original, Buffer.alloc(7, 0x31)])
        for (const { at, byte } of variant) {
          const digits = [...original.keys()].filter((place) => (original[place] as number) >= 0x30 && (original[place] as number) <= 0x39)
          const place = byte >= 0x30 && byte <= 0x39 ? (digits[at % digits.length] as number) : at % original.length
          bytes[shift + place] = byte
        }
        const end = shift + original.length
        const header = reader.readRepeated(bytes, shift, end, 1)
        const declared = byByte(whole, bytes, shift, end)
        if (header !== undefined) {
          repeated++
          expect(declared).toBeDefined()
          expect(told(reader, header)).toEqual(told(whole, declared as object))
          continue
        }
        const read = byByte(reader, bytes, shift, end)
        if (read !== undefined) reader.remember(bytes, shift, end, 1, read)
      }
    }),
    { numRuns: 1500, seed: 20261122 },
  )
  expect(repeated).toBeGreaterThan(300)
})

test('who holds on to a header keeps what was in it when the next one comes', () => {
  const reader = new JsonRequestReader()
  const pull = allCommands().find(({ name }) => name === 'PULL_MESSAGE') as ReturnType<typeof allCommands>[number]
  const header = {
    consumerGroup: 'g',
    topic: 'orders',
    queueId: 3,
    queueOffset: 100,
    maxMsgNums: 32,
    sysFlag: 2,
    commitOffset: 0,
    suspendTimeoutMillis: 15000,
    subVersion: 1763724000000,
    expressionType: 'TAG',
  }
  const [first, second, third, elsewhere] = [
    headerBytes({ command: pull, header, opaque: 100 }),
    headerBytes({ command: pull, header: { ...header, queueOffset: 132 }, opaque: 101 }),
    headerBytes({ command: pull, header: { ...header, queueOffset: 164, queueId: 5 }, opaque: 102 }),
    headerBytes({ command: pull, header: { ...header, topic: 'ordert' }, opaque: 102 }),
  ] as const
  const read = byByte(reader, first, 0, first.length) as object
  reader.remember(first, 0, first.length, 7, read as never)
  const two = reader.readRepeated(second, 0, second.length, 7)
  const three = reader.readRepeated(third, 0, third.length, 7)
  expect([read, two, three]).toMatchObject([
    { queueOffset: 100, queueId: 3 },
    { queueOffset: 132, queueId: 3 },
    { queueOffset: 164, queueId: 5 },
  ])
  expect(reader.opaque).toBe(102)
  expect(reader.readRepeated(elsewhere, 0, elsewhere.length, 7)).toBeUndefined()
  expect(reader.readRepeated(second, 0, second.length, 8)).toBeUndefined()
})
