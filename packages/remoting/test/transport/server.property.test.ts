import fc from 'fast-check'
import { expect, it } from 'vitest'
import { Echo, rawPeer, requestBytes, stage } from './harness.ts'

/**
 * Whatever bytes one peer sends, in whatever pieces: the server neither fails nor logs an error, every answer it gives is a whole frame
 * of a known shape, at most two warn lines are written about that peer (a frame over the limit, no frame), and a peer beside it is served.
 */
const frames = fc.record({
  code: fc.oneof(fc.constant(Echo.code), fc.integer({ min: -40_000, max: 300_000 })),
  opaque: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  flag: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 7 })),
  ext: fc.dictionary(fc.string({ maxLength: 20 }), fc.string({ maxLength: 50 }), { maxKeys: 6 }),
  body: fc.uint8Array({ maxLength: 400 }),
  serializeType: fc.constantFrom(0 as const, 1 as const),
})
const mutation = fc.record({ at: fc.nat(2000), byte: fc.nat(255) })

it('any bytes', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(frames, { minLength: 1, maxLength: 6 }),
      fc.array(mutation, { maxLength: 3 }),
      fc.array(fc.nat(3000), { maxLength: 5 }),
      fc.nat(1000),
      async (requests, mutations, cuts, seed) => {
        const at = await stage({ limits: { frameBytes: 2000 } }, seed)
        const [bad, good] = [await rawPeer(at), await rawPeer(at)]
        const bytes = Buffer.concat(requests.map((request) => requestBytes(request)))
        for (const { at: position, byte } of mutations) if (position < bytes.length) bytes[position] = byte
        const places = [0, ...cuts.filter((cut) => cut < bytes.length).sort((a, b) => a - b), bytes.length]
        for (let i = 1; i < places.length; i++) {
          bad.send(bytes.subarray(places[i - 1], places[i]))
          good.send(requestBytes({ code: Echo.code, opaque: i, ext: { text: 'here' } }))
          await at.runtime.world.settle()
        }
        expect(good.frames.map((frame) => [frame.opaque, frame.code])).toEqual(places.slice(1).map((_, i) => [i + 1, 0]))
        for (const frame of bad.frames) {
          expect([0, 1, 2, 3, 13, 29]).toContain(frame.code)
          expect(frame.flag).toBe(1)
        }
        const lines = at.runtime.world.lines
        expect(lines.filter((line) => line.level === 'error')).toEqual([])
        expect(lines.filter((line) => line.level === 'warn').length).toBeLessThanOrEqual(2)
        if (mutations.length === 0) expect(bad.isClosed).toBe(false)
        await at.runtime.world.until(at.server.close())
      },
    ),
    { numRuns: 300 },
  )
})
