import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { FrameSink } from '../../src/transport/frame-reader.ts'
import { FrameReader } from '../../src/transport/frame-reader.ts'
import { requestBytes } from './harness.ts'

class Recorder implements FrameSink {
  readonly frames: string[] = []
  readonly tooLarge: { header: string; frameBytes: number }[] = []
  readonly bad: string[] = []

  onFrame(bytes: Buffer, start: number, end: number): boolean {
    this.frames.push(bytes.toString('latin1', start, end))
    return true
  }

  onTooLarge(bytes: Buffer, start: number, end: number, frameBytes: number): boolean {
    this.tooLarge.push({ header: bytes.toString('latin1', start + 8, end), frameBytes })
    return true
  }

  onBadFrame(sentence: string): void {
    this.bad.push(sentence)
  }
}

const LIMIT = 64 * 1024
const FRAMES = [
  requestBytes({ code: 10, opaque: 1, ext: { topic: 'a' }, body: Buffer.from('hello') }),
  requestBytes({ code: 11, opaque: 2 }),
  Buffer.from([0, 0, 0, 4, 0, 0, 0, 0]),
  requestBytes({ code: 12, opaque: 3, body: Buffer.alloc(9000, 7) }),
  requestBytes({ code: 12, opaque: 4, ext: { topic: 'b' }, serializeType: 1 }),
]
const STREAM = Buffer.concat(FRAMES)
const EXPECTED = FRAMES.map((frame) => frame.toString('latin1'))

/** Gives each chunk in the same memory, which is spoiled afterwards: as the platform's shared read buffer. */
function feed(reader: FrameReader, chunks: readonly Uint8Array[]): void {
  for (const chunk of chunks) {
    const shared = Buffer.from(chunk)
    reader.push(shared)
    shared.fill(0xee)
  }
}

const head = (length: number, word: number): Buffer => {
  const bytes = Buffer.alloc(8)
  bytes.writeInt32BE(length, 0)
  bytes.writeUInt32BE(word >>> 0, 4)
  return bytes
}

describe('frames come out of a byte stream however it is cut', () => {
  it('whole', () => {
    const sink = new Recorder()
    feed(new FrameReader(sink, LIMIT), [STREAM])
    expect(sink.frames).toEqual(EXPECTED)
  })

  it('byte by byte, and nothing is left over', () => {
    const sink = new Recorder()
    const reader = new FrameReader(sink, LIMIT)
    feed(
      reader,
      [...STREAM].map((byte) => Buffer.from([byte])),
    )
    expect(sink.frames).toEqual(EXPECTED)
    expect(reader.partialBytes).toBe(0)
  })

  it('at every single place', () => {
    const short = Buffer.concat(FRAMES.filter((frame) => frame.length < 1000))
    const expected = EXPECTED.filter((frame) => frame.length < 1000)
    for (let at = 0; at <= short.length; at++) {
      const sink = new Recorder()
      feed(new FrameReader(sink, LIMIT), [short.subarray(0, at), short.subarray(at)])
      expect(sink.frames, `cut at ${at}`).toEqual(expected)
    }
  })

  it('at any places', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(STREAM.length), { maxLength: 12 }), (places) => {
        const cuts = [0, ...places.sort((a, b) => a - b), STREAM.length]
        const sink = new Recorder()
        feed(
          new FrameReader(sink, LIMIT),
          cuts.slice(1).map((end, i) => STREAM.subarray(cuts[i], end)),
        )
        expect(sink.frames).toEqual(EXPECTED)
      }),
    )
  })
})

it('a sink that suspends at each frame gets one per resume, however the stream is cut, and loses nothing', () => {
  for (const size of [1, 3, 50, 1000, STREAM.length]) {
    const sink = new Recorder()
    const take = sink.onFrame.bind(sink)
    sink.onFrame = (...frame) => {
      reader.suspend()
      return take(...frame)
    }
    const reader = new FrameReader(sink, LIMIT)
    for (let at = 0; at < STREAM.length; at += size) feed(reader, [STREAM.subarray(at, at + size)])
    expect(sink.frames).toEqual(EXPECTED.slice(0, 1))
    for (let i = 1; i <= EXPECTED.length; i++) {
      expect(sink.frames).toEqual(EXPECTED.slice(0, i))
      reader.resume()
    }
    expect(reader.partialBytes).toBe(0)
  }
})

describe('bytes that are no frame are reported once, with their numbers, and nothing after them is read', () => {
  const cases: [string, Buffer, RegExp][] = [
    ['length 0', head(0, 0), /length field says 0/],
    ['length 3', head(3, 0), /length field says 3/],
    ['negative length', head(-5, 0), /length field says -5/],
    ['header longer than the frame', head(100, 97), /header length says 97 while its length field says 100/],
    ['unknown serialize type', head(100, 0x09000010), /serialize type is 9/],
    ['an HTTP request', Buffer.from('GET / HTTP/1.1\r\n\r\n'), /serialize type is 47/],
    ['a TLS hello', Buffer.from('1603010200010001fc0303', 'hex'), /length field says 36\d+/],
    ['header over its limit', head(5 * 1024 * 1024, 3 * 1024 * 1024), /header has 3145728 bytes/],
  ]
  for (const [name, bytes, sentence] of cases) {
    it(name, () => {
      for (const chunks of [[Buffer.concat([bytes, STREAM])], [...bytes, ...STREAM].map((byte) => Buffer.from([byte]))]) {
        const sink = new Recorder()
        feed(new FrameReader(sink, name.startsWith('header over') ? 16 * 1024 * 1024 : LIMIT), chunks)
        expect(sink.bad).toHaveLength(1)
        expect(sink.bad[0]).toMatch(sentence)
        expect(sink.frames).toEqual([])
      }
    })
  }
})

describe('a frame over the limit', () => {
  it('hands over its header, skips its body, and the next frame is read', () => {
    const large = requestBytes({ code: 10, opaque: 9, body: Buffer.alloc(3 * LIMIT, 1) })
    const headerLength = large.readInt32BE(4)
    for (const size of [1, 7, 1000, large.length]) {
      const sink = new Recorder()
      const bytes = Buffer.concat([large, FRAMES[0] as Buffer])
      const chunks: Buffer[] = []
      for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size))
      feed(new FrameReader(sink, LIMIT), chunks)
      expect(sink.tooLarge).toEqual([{ header: large.toString('latin1', 8, 8 + headerLength), frameBytes: large.length - 4 }])
      expect(sink.frames).toEqual([EXPECTED[0]])
      expect(sink.bad).toEqual([])
    }
  })

  it('exactly at the limit is taken, one byte more is not', () => {
    for (const [extra, taken] of [
      [0, 1],
      [1, 0],
    ] as const) {
      const sink = new Recorder()
      feed(new FrameReader(sink, LIMIT), [head(LIMIT + extra, 0), Buffer.alloc(LIMIT + extra - 4)])
      expect(sink.frames).toHaveLength(taken)
      expect(sink.tooLarge).toHaveLength(1 - taken)
    }
  })
})

it('a length field alone reserves no memory: a peer that promises 16 MiB and sends 100 bytes costs 4 KiB', () => {
  const before = process.memoryUsage().arrayBuffers
  const readers: FrameReader[] = []
  for (let i = 0; i < 100; i++) {
    const reader = new FrameReader(new Recorder(), 16 * 1024 * 1024)
    reader.push(Buffer.concat([head(16 * 1024 * 1024, 50), Buffer.alloc(92)]))
    readers.push(reader)
  }
  expect(readers[0]?.partialBytes).toBe(100)
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10 * 1024 * 1024)
})
