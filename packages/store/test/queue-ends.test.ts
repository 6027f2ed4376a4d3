import { describe, expect, test } from 'vitest'
import { Bench, message, ROOT } from './support/fixture.ts'

const ENDS = `${ROOT}/skylark/queue-ends.json`
const VIEWS = `${ROOT}/skylark/views`

/** Three messages of `idle` long ago; the log has lost them with its oldest segments. */
async function idle(): Promise<Bench> {
  const bench = new Bench(1, { segmentBytes: 8192, retentionBytes: 5 * 8192 })
  await bench.open()
  for (let i = 0; i < 3; i++) await bench.append(message({ topic: 'idle', queueId: 2 }))
  await busy(bench)
  return bench
}

async function busy(bench: Bench): Promise<void> {
  for (let i = 0; i < 300; i++) await bench.append(message({ text: `${i}`.padEnd(300) }))
  await bench.sim.world.run(21_000)
  expect(bench.store.minPhysicalOffset).toBeGreaterThan(8192)
}

async function again(bench: Bench): Promise<void> {
  await bench.close()
  bench.node.disk.remove(VIEWS)
  await bench.open()
}

describe('a queue whose messages have all expired', () => {
  test.each(['closed', 'killed', 'crashed'] as const)(
    'goes on where it was when all views are made anew, %s: who has consumed it passes over nothing',
    async (how) => {
      const bench = await idle()
      if (how === 'closed') await bench.close()
      else if (how === 'killed') bench.kill()
      else bench.crash()
      bench.node.disk.remove(VIEWS)
      await bench.open()
      expect([bench.store.minOffset('idle', 2), bench.store.maxOffset('idle', 2)]).toEqual([3, 3])
      expect(bench.store.queues().get('idle')).toEqual([2])
      const [next] = await bench.append(message({ topic: 'idle', queueId: 2, text: 'next' }))
      expect(next?.queueOffset).toBe(3)
      await again(bench)
      expect([...(await bench.readPlaces('idle', 2))]).toEqual([[3, 'next']])
      await bench.close()
    },
  )

  test('also when a message that came later is lost with the power', async () => {
    const bench = await idle()
    await again(bench)
    await bench.append(message({ topic: 'idle', queueId: 2, text: 'not flushed' }))
    bench.crash()
    bench.node.disk.remove(VIEWS)
    await bench.open()
    expect(bench.store.maxOffset('idle', 2)).toBeGreaterThanOrEqual(3)
    await bench.close()
  })

  test('begins at 0 when its topic was deleted', async () => {
    const bench = await idle()
    bench.store.deleteTopic('idle')
    await again(bench)
    expect(bench.store.queues().has('idle')).toBe(false)
    expect((await bench.append(message({ topic: 'idle', queueId: 2 })))[0]?.queueOffset).toBe(0)
    await bench.close()
  })

  test('is known to its own files, too: a damaged list is told, and written anew', async () => {
    const bench = await idle()
    await bench.close()
    const text = bench.node.disk.readText(ENDS) ?? ''
    for (const [i, char] of [...text].entries()) {
      bench.node.disk.writeTextAtomically(ENDS, text.slice(0, i) + String.fromCharCode(char.charCodeAt(0) ^ 1) + text.slice(i + 1))
      await bench.open()
      expect(bench.store.maxOffset('idle', 2)).toBe(3)
      if (bench.store.recovery.notes.length > 0) expect(bench.store.recovery.text).toContain('queue-ends.json was damaged')
      else expect(i).toBe(text.length - 1)
      await bench.close()
    }
    expect(bench.node.disk.readText(ENDS)).toBe(text)
  })

  test('is remembered once there is room on the disk', async () => {
    const bench = new Bench(1, { segmentBytes: 8192, retentionBytes: 5 * 8192 })
    await bench.open()
    await bench.append(message({ topic: 'idle', queueId: 2 }))
    bench.node.disk.failWrites(1, 'ENOSPC', (path) => path.startsWith(ENDS))
    await busy(bench)
    expect(bench.sim.world.report()).toContain('how far queues without messages had come could not be written')
    await bench.sim.world.run(21_000)
    expect(bench.node.disk.readText(ENDS)).toContain('{"idle":{"2":1}}')
    await bench.close()
  })
})
