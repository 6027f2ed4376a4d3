/** The machine's clock is set forward and back while messages come. A search by time stays exact: in the order of the queue, by the times that messages carry. */
import { describe, expect, test } from 'vitest'
import { Bench, message, ROOT } from './support/fixture.ts'
import { snapshot, write } from './support/snapshot.ts'

const MINUTE = 60_000
/** How the clock is set before each round of messages. */
const JUMPS = [0, -10 * MINUTE, 30 * MINUTE, -MINUTE, -25 * MINUTE, 5, -700, 3 * MINUTE, -200, 45 * MINUTE, -90 * MINUTE, 1]

/** Store times of queue 0 and 1, by offset. */
type Times = readonly [number[], number[]]

async function withJumps(bench: Bench, between: (round: number) => Promise<void> = async () => {}): Promise<Times> {
  const times: Times = [[], []]
  for (const [round, jump] of JUMPS.entries()) {
    bench.node.clock.jump(jump)
    for (let n = 0; n < 9; n++) {
      const [result] = await bench.append(message({ queueId: n % 2, text: `${round}/${n}`.padEnd(500) }))
      times[(n % 2) as 0 | 1].push(result?.storeTimestamp ?? -1)
      await bench.sim.world.run(n * 40)
    }
    await between(round)
  }
  return times
}

function expectExact(bench: Bench, times: Times): void {
  for (const queueId of [0, 1] as const) {
    const all = times[queueId]
    const asked = [...new Set(all.flatMap((time) => [time - 1, time, time + 1]))]
    for (const time of [0, ...asked, 8e15]) {
      const first = all.findIndex((other) => other >= time)
      expect(bench.store.offsetByTime('orders', queueId, time, 'lower')).toBe(first < 0 ? all.length : first)
      expect(bench.store.offsetByTime('orders', queueId, time, 'upper')).toBe(
        Math.max(
          0,
          all.findLastIndex((other) => other <= time),
        ),
      )
    }
    expect(all.map((_, offset) => bench.store.storeTimestamp('orders', queueId, offset))).toEqual(all)
  }
}

describe('a clock that is set forward and back', () => {
  test('by minutes: every search by time is exact, also after a clean stop, a kill, and with all views made anew', async () => {
    const bench = new Bench(1, { segmentBytes: 16 * 1024 })
    await bench.open()
    const times = await withJumps(bench)
    expect(times[0]).not.toEqual(times[0].toSorted((a, b) => a - b))
    expectExact(bench, times)
    await bench.close()
    await bench.open()
    expectExact(bench, times)
    bench.node.clock.jump(-200 * MINUTE)
    const [result] = await bench.append(message({ queueId: 0, text: 'last' }))
    times[0].push(result?.storeTimestamp ?? -1)
    bench.kill()
    await bench.open()
    expectExact(bench, times)
    await bench.close()
    bench.node.disk.remove(`${ROOT}/skylark/views`)
    await bench.open()
    expectExact(bench, times)
    await bench.close()
  })

  test('while the broker is killed again and again', async () => {
    const bench = new Bench(1, { segmentBytes: 16 * 1024 })
    await bench.open()
    const times = await withJumps(bench, async (round) => {
      if (round % 2 === 0) await bench.sim.world.run(1_100)
      // Another process, on the same machine with the same clock.
      const skewMs = bench.node.clock.now()
      bench.kill()
      bench.node.clock.jump(skewMs - bench.node.clock.now())
      await bench.open()
    })
    expectExact(bench, times)
    await bench.close()
  })

  test('by less than a second: the store time stands still until the clock has caught up', async () => {
    const bench = new Bench()
    await bench.open()
    const [before] = await bench.append(message())
    bench.node.clock.jump(-900)
    const [during] = await bench.append(message())
    expect(during?.storeTimestamp).toBe(before?.storeTimestamp)
    await bench.sim.world.run(2_000)
    const [after] = await bench.append(message())
    expect(after?.storeTimestamp).toBeGreaterThan(before?.storeTimestamp ?? 0)
    await bench.close()
    await bench.open()
    bench.node.clock.jump(-400 - (bench.node.clock.now() - (after?.storeTimestamp ?? 0)))
    const [again] = await bench.append(message())
    expect(again?.storeTimestamp).toBe(after?.storeTimestamp)
    await bench.close()
  })

  test('and the file of the places where it was is damaged, at any byte: the views are made anew, and the search is exact', async () => {
    const bench = new Bench(1, { segmentBytes: 16 * 1024 })
    await bench.open()
    const times = await withJumps(bench)
    await bench.close()
    const path = `${ROOT}/skylark/views/clock-steps`
    const size = snapshot(bench.node.disk).get(path)?.length ?? 0
    expect(size).toBeGreaterThan(40)
    for (let position = 0; position < size; position += 5) {
      const byte = snapshot(bench.node.disk).get(path)?.[position] ?? 0
      write(bench.node.disk, path, Uint8Array.of(byte ^ 4), position)
      await bench.open()
      expect(bench.store.recovery.rebuiltBecause).toMatch(/entry \d+ in clock-steps is damaged/)
      expectExact(bench, times)
      await bench.close()
    }
  })
})
