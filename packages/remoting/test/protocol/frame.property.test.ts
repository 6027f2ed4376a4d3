import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { AnyCommand, Fields, Frame } from '../../src/protocol/index.ts'
import {
  allCommands,
  decodeFrame,
  decodeHeader,
  encodeFrame,
  encodeHeader,
  HeaderError,
  RocketError,
  SERIALIZE_JSON,
  SERIALIZE_ROCKETMQ,
} from '../../src/protocol/index.ts'
import { anyText as text, headerOf } from './headers.ts'

const codes = allCommands()
const plain = (value: object): Record<string, unknown> => ({ ...value })

function roundTrips(command: AnyCommand, fields: Fields): void {
  fc.assert(
    fc.property(
      headerOf(fields),
      fc.integer({ min: -2147483648, max: 2147483647 }),
      fc.uint8Array({ maxLength: 64 }),
      fc.option(text),
      (header, opaque, body, remark) => {
        const frame: Frame = {
          code: command.code,
          language: 'NODE_JS',
          version: 479,
          opaque,
          flag: 0,
          remark: remark ?? undefined,
          ext: encodeHeader(fields, header as never),
          body,
          serializeType: SERIALIZE_JSON,
        }
        const fromJson = decodeFrame(encodeFrame(frame))
        const fromBinary = decodeFrame(encodeFrame({ ...frame, serializeType: SERIALIZE_ROCKETMQ }))
        for (const read of [fromJson, fromBinary]) {
          expect(plain(decodeHeader(fields, read.ext))).toEqual(plain(header))
          expect(Buffer.from(read.body).equals(Buffer.from(body))).toBe(true)
        }
        expect(fromJson.serializeType).toBe(SERIALIZE_JSON)
        expect(fromBinary.serializeType).toBe(command.code > 32767 ? SERIALIZE_JSON : SERIALIZE_ROCKETMQ)
        expect({ ...fromBinary, serializeType: 0 }).toEqual({ ...fromJson, serializeType: 0 })
        expect(fromJson.remark).toBe(remark === '' ? undefined : (remark ?? undefined))
      },
    ),
    { numRuns: 25 },
  )
}

describe.each(codes.map((command) => [command.name, command] as const))('%s', (_name, command) => {
  test('its request and its answer survive both headers', () => {
    roundTrips(command, command.request)
    roundTrips(command, command.response)
  })

  test('a missing required field is named', () => {
    const fields = command.request as Fields
    const required = Object.keys(fields).filter((name) => fields[name]?.optional !== true)
    for (const name of required) {
      const [header] = fc.sample(headerOf(fields), { numRuns: 1, seed: 7 }) as [Record<string, unknown>]
      const ext: Record<string, string> = encodeHeader(fields, header as never)
      delete ext[fields[name]?.wireName ?? name]
      for (const other of fields[name]?.aliases ?? []) delete ext[other]
      expect(() => decodeHeader(fields, ext)).toThrow(HeaderError)
      expect(() => decodeHeader(fields, ext)).toThrow(name)
    }
  })
})

describe('any bytes', () => {
  const onlyRocketErrors = (bytes: Buffer): void => {
    try {
      decodeFrame(bytes)
    } catch (error) {
      expect(error).toBeInstanceOf(RocketError)
      expect((error as RocketError).code).toBe('BAD_FRAME')
      expect((error as RocketError).message.length).toBeGreaterThan(10)
    }
  }

  test('noise is read or refused, never anything else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => onlyRocketErrors(Buffer.from(bytes))),
      { numRuns: 2000 },
    )
  })

  test('noise within true lengths reaches the header codecs, which refuse it too', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 8, maxLength: 200 }),
        fc.integer({ min: 0, max: 3 }),
        fc.nat(220),
        (noise, type, headerLength) => {
          const bytes = Buffer.from(noise)
          bytes.writeInt32BE(bytes.length - 4, 0)
          bytes.writeUInt32BE(type * 0x1000000 + Math.min(headerLength, bytes.length - 8), 4)
          onlyRocketErrors(bytes)
        },
      ),
      { numRuns: 4000 },
    )
  })

  test('any JSON value as header', () => {
    fc.assert(
      fc.property(fc.json(), (json) => {
        const text = Buffer.from(`{"code":1,"opaque":1,"extFields":${json}}`)
        const head = Buffer.alloc(8)
        head.writeInt32BE(text.length + 4, 0)
        head.writeInt32BE(text.length, 4)
        onlyRocketErrors(Buffer.concat([head, text]))
      }),
      { numRuns: 1000 },
    )
  })
})
