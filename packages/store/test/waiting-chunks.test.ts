/**
 * Whole chunks of consume queues wait in memory while the beginnings of later ones are written: a process that dies in between leaves a
 * queue with a gap on file. It dies at each change of the views' files in turn.
 */
import { expect, test } from 'vitest'
import { diesAt } from './support/dies-at.ts'
import { Bench, message } from './support/fixture.ts'

const COUNT = 600
const TEXTS = Array.from({ length: COUNT }, (_, i) => `${i}`)

/** How many messages were acknowledged before the nth change; undefined: it did not come to that. */
async function diesAtChange(n: number, ends: 'kill' | 'crash'): Promise<number | undefined> {
  const bench = new Bench(n, { segmentBytes: 1024 * 1024, ...(ends === 'crash' ? { flush: 'sync' } : {}) })
  let isDead = false
  const whole = bench.node
  const mortal = diesAt(
    whole.disk,
    n,
    (path) => path.includes('/views/'),
    () => (isDead = true),
  )
  bench.node = { ...whole, disk: mortal.disk }
  await bench.open().catch(() => undefined)
  const acknowledged: number[] = []
  if (!isDead) {
    for (const [i, text] of TEXTS.entries()) {
      bench.store.append(message({ text }), ends === 'crash', (result) => {
        if (result.status === 'ok') acknowledged.push(i)
      })
    }
    try {
      bench.store.commitTurn()
    } catch {}
    await bench.sim.world.run(3_000)
  }
  bench[ends]()
  await bench.open()
  const found = await bench.readAll()
  expect(found).toEqual(TEXTS.slice(0, found.length))
  expect(found.length).toBeGreaterThanOrEqual(acknowledged.length)
  if (!isDead) expect(found).toEqual(TEXTS)
  await bench.close()
  return isDead ? acknowledged.length : undefined
}

test.each(['kill', 'crash'] as const)(
  'all that was acknowledged is there, in order, after a %s at any change of the views',
  async (ends) => {
    let n = 1
    while (await diesAtChange(n, ends)) n++
    expect(n).toBeGreaterThan(8)
  },
)
