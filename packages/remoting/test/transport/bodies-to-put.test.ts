import { simRuntime } from '@skylarkmq/runtime/sim'
import { expect, test } from 'vitest'
import { OutBufferPool, OutQueue } from '../../src/transport/out-queue.ts'
import { LARGE_OUT_BUFFER_BYTES, OUT_BUFFER_BYTES } from '../../src/transport/limits.ts'
import { route, startRemotingServer } from '../../src/index.ts'
import type { BodyToPut } from '../../src/index.ts'
import { defineCommand, int } from '../../src/protocol/index.ts'
import { countingNetwork, Echo, LANE, RawPeer, requestBytes } from './harness.ts'

const bodyOf = (length: number, byte: number): BodyToPut => ({
  length,
  putAt: (bytes, start) => void bytes.fill(byte, start, start + length),
})
const BOTH = { out: Buffer.alloc(4 * OUT_BUFFER_BYTES), largeOut: Buffer.alloc(2 * LARGE_OUT_BUFFER_BYTES), receive: Buffer.alloc(65_536) }

/** Of numbers only: its answers' heads are like one before. */
const Count = defineCommand({
  code: 9009,
  name: 'COUNT',
  server: 'broker',
  summary: 'Answers with the number that it was given.',
  request: { text: int() },
  response: { text: int() },
})

test.each([
  ['texts', Echo],
  ['numbers', Count],
])(
  'long answers of a turn, of %s, are one write, heads and bodies side by side, whatever the codec; one that is too long becomes a sentence',
  async (_what, command) => {
    const lengths = [35_000, 35_000, 100, 0, 200_000, 300_000, 17 * 1024 * 1024, 600_000, 35_000, 70_000]
    const runtime = simRuntime(3)
    runtime.world.setLink({ chunks: 'whole' })
    const node = runtime.world.node('broker')
    const network = countingNetwork(node.network)
    const puts = route(command, LANE, ({ text }: { text: string | number }) => ({
      code: 0,
      header: { text } as never,
      body: bodyOf(lengths[Number(text)] as number, Number(text)),
    }))
    await startRemotingServer({ ...node, network }, { name: 'b', port: 9000, routes: [puts], memory: BOTH })
    const peer = await runtime.world.until(RawPeer.connect(runtime, 'broker', 9000))
    const ask = (n: number, serializeType: 0 | 1) =>
      requestBytes({ code: command.code, opaque: n, serializeType, ext: { text: String(n) } })
    for (const serializeType of [0, 1] as const) {
      const before = peer.frames.length
      const writesBefore = network.writes
      peer.send(Buffer.concat(lengths.slice(0, 4).map((_, n) => ask(n, serializeType))))
      await runtime.world.settle()
      // The binary codec makes its heads elsewhere.
      if (serializeType === 0) expect(network.writes - writesBefore).toBe(1)
      peer.send(Buffer.concat(lengths.slice(4).map((_, n) => ask(n + 4, serializeType))))
      await runtime.world.settle()
      for (const [n, frame] of peer.frames.slice(before).entries()) {
        expect(frame.opaque).toBe(n)
        if (n === 6) expect(frame.remark).toContain('a frame ends at')
        else expect(frame.ext).toEqual({ text: String(n) })
        if (n !== 6) expect(Buffer.from(frame.body).equals(Buffer.alloc(lengths[n] as number, n))).toBe(true)
      }
      expect(peer.frames.length - before).toBe(lengths.length)
    }
  },
)

test('who does not take long answers holds no more large buffers than there are', () => {
  const pool = new OutBufferPool(BOTH.out, BOTH.largeOut)
  const queues = Array.from({ length: 3 }, () => new OutQueue(pool))
  const lies = (queue: OutQueue) => queue.reserve(20_000).bytes.length
  expect(queues.map(lies)).toEqual([LARGE_OUT_BUFFER_BYTES, LARGE_OUT_BUFFER_BYTES, OUT_BUFFER_BYTES])
  for (const queue of queues) queue.discard()
  expect(queues.map(lies)).toEqual([LARGE_OUT_BUFFER_BYTES, LARGE_OUT_BUFFER_BYTES, OUT_BUFFER_BYTES])
})
