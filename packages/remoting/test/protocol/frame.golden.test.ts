import { describe, expect, test } from 'vitest'
import { decodeFrame, decodeHeader, encodeFrame, PullMessage, RocketError, SendMessageV2 } from '../../src/protocol/index.ts'
import { FrameReader } from '../../src/transport/frame-reader.ts'
import { apache, goldenNames } from './golden.ts'

const caught = (run: () => unknown): unknown => {
  try {
    return run()
  } catch (error) {
    return error
  }
}

describe('frames of Apache’s Java codec', () => {
  test('a Java producer’s send arrives with every field, from either header', () => {
    for (const codec of ['json', 'rocketmq']) {
      const frame = decodeFrame(apache(`frame/${codec}/send-v2`))
      expect(frame).toMatchObject({ code: 310, language: 'JAVA', version: 500, opaque: 42, flag: 0, remark: undefined })
      expect(Buffer.from(frame.body).toString()).toBe('hello 世界')
      expect(decodeHeader(SendMessageV2.request, frame.ext)).toMatchObject({
        producerGroup: 'pg',
        topic: 'TopicTest',
        defaultTopic: 'TBW102',
        defaultTopicQueueNums: 4,
        queueId: 2,
        bornTimestamp: 1700000000123,
        flag: 7,
        properties: 'KEYS\u0001k1\u0002TAGS\u0001TagA\u0002WAIT\u0001true\u0002',
        unitMode: false,
        maxReconsumeTimes: 16,
        batch: false,
      })
    }
  })

  test('a subVersion in nanoseconds keeps every digit', () => {
    for (const codec of ['json', 'rocketmq']) {
      const { ext, opaque } = decodeFrame(apache(`frame/${codec}/pull`))
      expect(opaque).toBe(-1)
      expect(ext?.['queueOffset']).toBe('9007199254740993')
      expect(decodeHeader({ subVersion: PullMessage.request.subVersion }, ext).subVersion.toString()).toBe('1700000000123456789')
    }
  })

  test('answers, one-way notices and bare frames read alike from both headers', () => {
    for (const name of goldenNames('frame/json/')) {
      const { serializeType: a, ...fromJson } = decodeFrame(apache(name))
      const { serializeType: b, ...fromBinary } = decodeFrame(apache(name.replace('/json/', '/rocketmq/')))
      expect([a, b]).toEqual([0, 1])
      expect(fromBinary).toEqual(fromJson)
    }
    expect(decodeFrame(apache('frame/json/no-route'))).toMatchObject({
      code: 17,
      flag: 1,
      remark: 'No topic route info in name server for the topic: 世界',
      ext: undefined,
    })
    expect(decodeFrame(apache('frame/rocketmq/bare'))).toMatchObject({ code: 106, opaque: 2147483647, ext: undefined, remark: undefined })
    expect(decodeFrame(apache('frame/rocketmq/notify-oneway'))).toMatchObject({ code: 40, flag: 2, ext: { consumerGroup: 'cg' } })
  })

  test('what we write is, byte for byte, what Java writes', () => {
    for (const name of goldenNames('frame/')) {
      const bytes = apache(name)
      expect(encodeFrame(decodeFrame(bytes)).toString('hex'), name).toBe(bytes.toString('hex'))
    }
  })

  test('each frame cut anywhere is refused, and is read from the middle of a larger buffer without touching it', () => {
    for (const name of goldenNames('frame/')) {
      const bytes = apache(name)
      for (let end = 0; end < bytes.length; end++) {
        const error = caught(() => decodeFrame(bytes, 0, end))
        expect(error, `${name} cut at ${end}`).toBeInstanceOf(RocketError)
        expect((error as RocketError).code).toBe('BAD_FRAME')
      }
      const around = Buffer.concat([Buffer.alloc(5, 0xff), bytes, Buffer.alloc(3, 0xff)])
      const before = Buffer.from(around)
      expect(decodeFrame(around, 5, 5 + bytes.length)).toEqual(decodeFrame(bytes))
      expect(around.equals(before)).toBe(true)
    }
  })

  test('all of them in one stream, byte by byte or split anywhere, give the same frames', () => {
    const names = goldenNames('frame/')
    const stream = Buffer.concat(names.map(apache))
    const expected = names.map((name) => decodeFrame(apache(name)))
    for (const step of [1, 2, 3, 7, 61, 500, stream.length]) {
      const found: unknown[] = []
      const bad: string[] = []
      const reader = new FrameReader(
        {
          onFrame: (bytes, start, end) => {
            const frame = decodeFrame(bytes, start, end)
            // The body is a view of bytes that are valid only now.
            return found.push({ ...frame, body: Buffer.from(frame.body) }) > 0
          },
          onTooLarge: () => false,
          onBadFrame: (sentence) => bad.push(sentence),
        },
        16 * 1024 * 1024,
      )
      for (let at = 0; at < stream.length; at += step) reader.push(Buffer.from(stream.subarray(at, at + step)))
      expect(bad).toEqual([])
      expect(found, `in steps of ${step}`).toEqual(expected)
    }
  })

  test('each frame with any one byte changed is either read or refused as BAD_FRAME, nothing else', () => {
    for (const name of goldenNames('frame/')) {
      const bytes = apache(name)
      for (let at = 0; at < bytes.length; at++) {
        for (const value of [0x00, 0x7f, 0x80, 0xff]) {
          const changed = Buffer.from(bytes)
          changed[at] = value
          const result = caught(() => decodeFrame(changed))
          if (result instanceof Error) {
            expect(result, `${name} byte ${at} = ${value}`).toBeInstanceOf(RocketError)
            expect((result as RocketError).code).toBe('BAD_FRAME')
          }
        }
      }
    }
  })
})
