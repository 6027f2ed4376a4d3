import { simRuntime } from '@skylarkmq/runtime/sim'
import { expect, test } from 'vitest'
import { CHUNK_BYTES, CHUNK_ENTRIES, ChunkFile } from '../src/consume-queue/chunk-file.ts'
import { ConsumeQueue } from '../src/consume-queue/consume-queue.ts'
import { ENTRY_BYTES } from '../src/consume-queue/entry.ts'
import { firstAtOrAfter } from '../src/consume-queue/queue-search.ts'
import { Topic } from '../src/consume-queue/topic.ts'
import { LIMITS } from '../src/limits.ts'

test('the room of a freed chunk is given to another queue only when the disk knows that it is free', async () => {
  const sim = simRuntime(1)
  const chunks = new ChunkFile(sim.disk, '/views')
  const [first, second] = [chunks.takeSlot(), chunks.takeSlot()]
  expect([first, second]).toEqual([0, 1])
  chunks.writeHeader({ slot: first, topicId: 0, queueId: 0, chunkNo: 0, start: 0, count: 1, logEnd: 93 })
  chunks.freeSlot(first)
  // A crash now could bring the old header back: with the new entries behind it, the old queue would serve them.
  expect(chunks.takeSlot()).toBe(2)
  await sim.world.until(chunks.sync())
  expect(chunks.takeSlot()).toBe(first)
})

test("whole chunks wait for one write, are read meanwhile, and those that are given back are nobody's", async () => {
  const sim = simRuntime(1)
  const chunks = new ChunkFile(sim.disk, '/views')
  const written = () => [sim.disk.stat('/views/chunks.data')?.sizeBytes, sim.disk.stat('/views/chunks.headers')?.sizeBytes]
  const put = (topicId: number) => {
    const slot = chunks.takeSlot()
    chunks.putWhole(
      { slot, topicId, queueId: 1, chunkNo: 2, start: 0, count: CHUNK_ENTRIES, logEnd: 93 },
      new Uint8Array(CHUNK_BYTES).fill(topicId),
    )
  }
  for (let topicId = 0; topicId < LIMITS.waitingChunks; topicId++) put(topicId)
  expect(written()).toEqual([0, 0])
  expect(chunks.headerCount).toBe(0)
  expect(Buffer.from(chunks.chunk(3)).equals(Buffer.alloc(CHUNK_BYTES, 3))).toBe(true)
  chunks.freeSlot(4)
  put(LIMITS.waitingChunks)
  expect(chunks.headerCount).toBe(LIMITS.waitingChunks)
  expect(written()).toEqual([LIMITS.waitingChunks * CHUNK_BYTES, LIMITS.waitingChunks * 32])
  const target = new Uint8Array(2 * ENTRY_BYTES)
  for (const slot of [3, LIMITS.waitingChunks]) {
    chunks.readEntries(slot, 1, 2, target, ENTRY_BYTES)
    expect([...target]).toEqual([...new Uint8Array(ENTRY_BYTES), ...new Uint8Array(ENTRY_BYTES).fill(slot)])
  }
  chunks.writeWaiting()
  const headers = new ChunkFile(sim.disk, '/views').load(LIMITS.waitingChunks + 1)
  if (typeof headers === 'string') throw new Error(headers)
  expect(headers.map(({ topicId }) => topicId)).toEqual([0, 1, 2, 3, 5, 6, 7, 8])
})

const entry = (physicalOffset: number, tagsCode: number) => ({ physicalOffset, sizeBytes: 93, tagsCode, digest: 7 })

test('entries keep their places across jumps of the offset, in memory and on file', async () => {
  const sim = simRuntime(1)
  const chunks = new ChunkFile(sim.disk, '/views')
  const queue = new ConsumeQueue(new Topic('orders', 0, 0), 3, chunks)
  const offsets = [1000, 1001, 1030, 1100, 1300, 2400, ...Array.from({ length: 700 }, (_, i) => 2401 + i)]
  for (const offset of offsets) expect(queue.append(offset, entry(offset * 100, offset))).toBe(true)
  expect(queue.append(2400, entry(1, 0))).toBe(false)
  expect([queue.minOffset, queue.maxOffset]).toEqual([1000, 3101])

  const check = (of: ConsumeQueue) => {
    const seen: number[] = []
    const target = new Uint8Array(CHUNK_BYTES)
    const view = new DataView(target.buffer)
    for (let at = of.minOffset; at < of.maxOffset; ) {
      const count = of.readEntries(at, CHUNK_ENTRIES, target)
      expect(count).toBeGreaterThan(0)
      for (let i = 0; i < count; i++, at++) {
        if (!of.isSound(view, i * ENTRY_BYTES, at)) continue
        seen.push(at)
        expect(view.getUint32(i * ENTRY_BYTES + 4)).toBe(at * 100)
        expect(view.getUint32(i * ENTRY_BYTES + 16)).toBe(at)
      }
    }
    expect(seen).toEqual(offsets)
    expect([of.minOffset, of.maxOffset]).toEqual([1000, 3101])
    const scratch = new Uint8Array(CHUNK_BYTES)
    expect(firstAtOrAfter(of, 240_000, scratch)).toBeLessThanOrEqual(2400)
    expect(firstAtOrAfter(of, 250_000, scratch)).toBe(2500)
    expect(firstAtOrAfter(of, 9e9, scratch)).toBe(3101)
  }
  check(queue)
  queue.writeTail()
  chunks.writeWaiting()
  const again = new ConsumeQueue(new Topic('orders', 0, 0), 3, chunks)
  const headers = chunks.load(0)
  if (typeof headers === 'string') throw new Error(headers)
  for (const header of headers.sort((a, b) => a.chunkNo - b.chunkNo)) again.adopt(header)
  again.settle(Number.MAX_SAFE_INTEGER, new Uint8Array(CHUNK_BYTES))
  check(again)
})
