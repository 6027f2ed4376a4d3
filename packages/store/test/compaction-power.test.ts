/**
 * The commit log has long lost what the compacted files hold: nothing can be made again. The process or the power goes at each change of
 * a file in the next compaction, after a kill also the power at the start that follows, before anything was synced.
 */
import { dirname } from 'node:path'
import { expect, test } from 'vitest'
import { CompactionBench, INTERVAL_MS, update } from './support/compaction.ts'
import { diesAt } from './support/dies-at.ts'
import { message } from './support/fixture.ts'
import { snapshot, write } from './support/snapshot.ts'
import type { Snapshot } from './support/snapshot.ts'

const OPTIONS = {
  flush: 'sync',
  segmentBytes: 16_384,
  fileReservedHours: 0.02,
  deleteWhenHours: Array.from({ length: 24 }, (_, i) => i),
} as const
const FILLER = 'x'.repeat(400)
const CURRENT = 'k0,2 k1,1 k2,1 k3,1 k4,1 k5,1 k6,1 k7,1'

async function compacted(): Promise<Snapshot> {
  const bench = new CompactionBench(1, OPTIONS)
  await bench.start()
  await bench.put(...Array.from({ length: 8 }, (_, i) => `k${i}=1${FILLER}`))
  await bench.compact()
  for (let i = 0; i < 2; i++) {
    await bench.append(...Array.from({ length: 8 }, () => message({ text: 'x'.repeat(4000) })))
    await bench.sim.world.run(90_000)
  }
  expect(bench.store.minPhysicalOffset).toBeGreaterThan(8 * 500)
  await bench.close()
  return snapshot(bench.node.disk)
}

function again(files: Snapshot, seed: number): CompactionBench {
  const bench = new CompactionBench(seed, OPTIONS)
  const { disk } = bench.node
  for (const [path, bytes] of files) {
    write(disk, path, bytes)
    const file = disk.open(path)
    file.syncNow()
    file.close()
    disk.syncDirectory(dirname(path))
  }
  return bench
}

/** A new value, and the compaction after it, whose nth change of a file is not done any more. */
async function diesInCompaction(bench: CompactionBench, n: number): Promise<number> {
  let isDead = false
  const mortal = diesAt(
    bench.node.disk,
    n,
    (path) => path.includes('/compaction/'),
    () => (isDead = true),
  )
  bench.node = { ...bench.node, disk: mortal.disk }
  await bench.open()
  bench.store.compactTopic('prices')
  const before = mortal.steps()
  if (n <= before) return 0
  const [result] = await bench.append(update(`k0=2${FILLER}`))
  expect(result?.status).toBe('ok')
  const untilMs = bench.sim.world.nowMs + INTERVAL_MS + 5_000
  while (!isDead && bench.sim.world.nowMs < untilMs) await bench.sim.world.run(isDead ? 0 : 500)
  return mortal.steps()
}

test.each(['kill', 'crash', 'kill, start, crash'])(
  '%s at any change of a file in a compaction: no value is lost',
  async (how) => {
    const files = await compacted()
    const steps = await diesInCompaction(again(files, 1), Number.POSITIVE_INFINITY)
    expect(steps).toBeGreaterThan(8)
    let unfinished = 0
    for (let n = 1; n <= steps; n++) {
      for (const seed of how === 'kill' ? [1] : [0, 7, 12]) {
        const bench = again(files, seed)
        if ((await diesInCompaction(bench, n)) === 0) continue
        if (how === 'crash') bench.crash()
        else bench.kill()
        await bench.open()
        if (how === 'kill, start, crash') {
          bench.crash()
          await bench.open()
        }
        const values = (await bench.texts()).map((text) => `${text.slice(0, 2)},${text.slice(3, 4)}`)
        expect([...new Map(values.map((text) => [text.slice(0, 2), text])).values()].sort().join(' '), `step ${n}, seed ${seed}`).toBe(
          CURRENT,
        )
        if (bench.sim.world.report().includes('the end of a compacted file is damaged')) unfinished++
        await bench.compact()
        expect(await bench.texts()).toHaveLength(8)
        await bench.close()
      }
    }
    // A footer that was written, believed, and then not there.
    if (how === 'kill, start, crash') expect(unfinished).toBeGreaterThan(0)
  },
  60_000,
)
