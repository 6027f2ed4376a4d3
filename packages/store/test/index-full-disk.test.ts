import { describe, expect, test } from 'vitest'
import { Bench, message, properties, ROOT } from './support/fixture.ts'

const ALL = { max: 3, beginMs: 0, endMs: 8e15 }
const KEYS_PER_MESSAGE = 512
/** Entries of the first index file: four for each of its slots. */
const FIRST_FILE = 262_144

const keysOf = (n: number): string => Array.from({ length: KEYS_PER_MESSAGE }, (_, k) => `k${n}-${k}`).join(' ')
const withKeys = (n: number) => message({ text: `${n}`, properties: properties({ KEYS: keysOf(n) }) })

/** A store whose first index file has room for one more message's keys. */
async function almostFull(): Promise<{ bench: Bench; positions: number[] }> {
  const bench = new Bench(1, { segmentBytes: 16 * 1024 * 1024, memoryBytes: 8 * 1024 * 1024 })
  await bench.open()
  const positions: number[] = []
  for (let n = 0; n < FIRST_FILE / KEYS_PER_MESSAGE; n++) {
    bench.store.append(withKeys(n), false, (result) => positions.push(result.physicalOffset))
    if (n % 64 === 63) await bench.sim.world.run(10)
  }
  await bench.sim.world.run(1_500)
  return { bench, positions }
}

describe('the key index begins its next file when the disk is full', () => {
  function fillUp({ node: { disk } }: Bench): { makeRoom: () => void } {
    let isFull = true
    disk.failWrites(1_000, 'ENOSPC', (path) => isFull && path.includes('/views/index/'))
    return {
      makeRoom: () => {
        isFull = false
      },
    }
  }

  test('what was acknowledged is found, writes are refused until there is room, and then all goes on by itself', async () => {
    const { bench, positions } = await almostFull()
    const { makeRoom } = fillUp(bench)
    const accepted = FIRST_FILE / KEYS_PER_MESSAGE
    const results = await bench.append(withKeys(accepted), withKeys(accepted + 1), withKeys(accepted + 2))
    expect(results.map((result) => result.status)).toEqual(['ok', 'ok', 'ok'])
    positions.push(...results.map((result) => result.physicalOffset))
    const expectFound = (): void => {
      for (const [n, position] of positions.entries()) {
        if (n % 100 > 0 && n < accepted - 1) continue
        for (const k of [0, KEYS_PER_MESSAGE - 1]) expect(bench.store.queryByKey('orders', `k${n}-${k}`, ALL)).toEqual([position])
      }
    }
    expectFound()
    await bench.sim.world.run(1_500)
    expect(bench.store.refusal).toMatch(/^The disk is full: ENOSPC.*00000002\.index/)
    expectFound()
    makeRoom()
    await bench.sim.world.run(12_000)
    expect(bench.store.refusal).toBeUndefined()
    positions.push(...(await bench.append(withKeys(positions.length))).map((result) => result.physicalOffset))
    expectFound()
    bench.kill()
    await bench.open()
    expectFound()
    await bench.close()
    await bench.open()
    expect(bench.store.recovery).toMatchObject({ rebuiltBecause: undefined, recordsChecked: 0 })
    expectFound()
    expect(bench.node.disk.list(`${ROOT}/skylark/views/index`)).toEqual(['00000001.index', '00000002.index'])
    await bench.close()
  })

  test('and the process is killed before there is room: the next start has all of it', async () => {
    const { bench, positions } = await almostFull()
    const { makeRoom } = fillUp(bench)
    const [result] = await bench.append(withKeys(positions.length))
    await bench.append(withKeys(positions.length + 1))
    await bench.sim.world.run(1_500)
    bench.kill()
    makeRoom()
    await bench.open()
    expect(bench.store.recovery.rebuiltBecause).toBeUndefined()
    expect(bench.store.queryByKey('orders', `k${positions.length}-7`, ALL)).toEqual([result?.physicalOffset])
    await bench.close()
  })
})
