import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ROOT } from './support/fixture.ts'
import { COMPACTION, CompactionBench, INTERVAL_MS, RETENTION_MS, update } from './support/compaction.ts'
import type { Seen } from './support/compaction.ts'
import { diesAt } from './support/dies-at.ts'

/** What was acknowledged, by queue offset. */
type History = string[]

/** The newest value of each key; keys that were deleted are missing. */
function stateOf(messages: Iterable<string>): Map<string, string> {
  const state = new Map<string, string>()
  for (const text of messages) {
    const [key = '', value = ''] = text.split('=')
    if (value === '') state.delete(key)
    else state.set(key, value)
  }
  return state
}

/** Whoever reads from the start knows all keys; what is seen is what was sent, at its offset, in order, and nothing twice. */
function judge(seen: readonly Seen[], history: History): void {
  for (const [i, { offset, text }] of seen.entries()) {
    expect(text).toBe(history[offset])
    if (i > 0) expect(offset).toBeGreaterThan((seen[i - 1] as Seen).offset)
  }
  expect(stateOf(seen.map(({ text }) => text))).toEqual(stateOf(history))
}

async function put(bench: CompactionBench, history: History, texts: readonly string[]): Promise<void> {
  const results = await bench.append(...texts.map((text) => update(text)))
  for (const [i, result] of results.entries()) {
    expect(result).toMatchObject({ status: 'ok', queueOffset: history.length })
    history.push(texts[i] as string)
  }
}

describe('a broker that dies in the middle of compaction', () => {
  const FIRST = ['a=1', 'b=1', 'c=1', 'a=', 'd=1']
  const SECOND = ['b=2', 'e=1', 'c=', 'b=3', 'f=1']
  const isCompaction = (path: string) => path.includes('/compaction/')

  /** Has compacted, let a deletion expire, got new values; at the next interval it copies, merges and removes. Then it dies at step n. */
  async function dies(
    n: number,
    how: 'kill' | 'crash',
    seed: number,
  ): Promise<{ bench: CompactionBench; history: History; steps: number }> {
    const bench = new CompactionBench(seed, { flush: 'sync' })
    const history: History = []
    let isDead = false
    await bench.open()
    await bench.close()
    const mortal = diesAt(bench.node.disk, n, isCompaction, () => (isDead = true))
    bench.node = { ...bench.node, disk: mortal.disk }
    try {
      await bench.open()
      bench.store.compactTopic('prices')
    } catch (error) {
      if (!isDead) throw error
    }
    for (const texts of [FIRST, SECOND]) {
      if (isDead) break
      await put(bench, history, texts)
      const untilMs = bench.sim.world.nowMs + INTERVAL_MS + 5_000
      while (!isDead && bench.sim.world.nowMs < untilMs) await bench.sim.world.run(isDead ? 0 : 500)
    }
    const steps = mortal.steps()
    if (how === 'kill') bench.kill()
    else bench.crash()
    return { bench, history, steps }
  }

  test.each(['kill', 'crash'] as const)(
    'by %s, at any change of a file, has lost nothing when it is back',
    async (how) => {
      const whole = await dies(Number.POSITIVE_INFINITY, how, 1)
      expect(whole.steps).toBeGreaterThan(12)
      for (let n = 1; n <= whole.steps; n++) {
        for (const seed of how === 'kill' ? [1] : [1, 2]) {
          const { bench, history } = await dies(n, how, seed)
          await bench.open()
          bench.store.compactTopic('prices')
          judge(await bench.consume(), history)
          await put(bench, history, ['g=1', 'b=4'])
          judge(await bench.consume(), history)
          await bench.compact()
          judge(await bench.consume(), history)
          const current = [...stateOf(history)].map(([key, value]) => `${key}=${value}`)
          expect((await bench.texts()).filter((text) => !text.endsWith('='))).toEqual(expect.arrayContaining(current))
          expect(await bench.texts()).toHaveLength(new Set(history.map((text) => text.split('=')[0])).size)
          // No leftovers: one file holds it all.
          const [folder = ''] = bench.node.disk.list(`${ROOT}/skylark/compaction`)
          expect(bench.node.disk.list(`${ROOT}/skylark/compaction/${folder}/0`)).toHaveLength(1)
          await bench.close()
        }
      }
    },
    60_000,
  )
})

const commands = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        do: fc.constant('put' as const),
        key: fc.integer({ min: 0, max: 12 }),
        count: fc.integer({ min: 1, max: 40 }),
      }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('delete' as const), key: fc.integer({ min: 0, max: 12 }) }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: INTERVAL_MS * 2 }) }) },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constantFrom('kill' as const, 'crash' as const), ms: fc.double({ min: 0, max: 40, noNaN: true }) }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('reopen' as const, 'rebuild' as const, 'expire' as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('lose' as const), which: fc.nat() }) },
  ),
  { minLength: 5, maxLength: 25 },
)

type Command = typeof commands extends fc.Arbitrary<(infer T)[]> ? T : never

async function apply(bench: CompactionBench, history: History, command: Command, padding: string): Promise<void> {
  switch (command.do) {
    case 'put':
      return put(
        bench,
        history,
        Array.from({ length: command.count }, (_, i) => `k${(command.key + i * 5) % 13}=${history.length + i}${padding}`),
      )
    case 'delete':
      return put(bench, history, [`k${command.key}=`])
    case 'wait':
      return bench.sim.world.run(command.ms)
    case 'expire':
      return bench.sim.world.run(RETENTION_MS)
    case 'kill':
    case 'crash':
      // Somewhere in the middle of the next run of compaction.
      await bench.sim.world.run(INTERVAL_MS - (bench.sim.world.nowMs % INTERVAL_MS) + command.ms)
      bench[command.do]()
      break
    case 'reopen':
    case 'rebuild':
    case 'lose':
      await bench.close()
      if (command.do === 'rebuild') bench.node.disk.remove(`${ROOT}/skylark/views`)
      // The log still has everything: a compacted file that somebody removed is made again.
      if (command.do === 'lose') removeOne(bench, command.which)
      break
  }
  await bench.open()
}

function removeOne(bench: CompactionBench, which: number): void {
  const folder = `${ROOT}/skylark/compaction/0/0`
  const files = bench.node.disk.list(folder)
  const name = files[which % Math.max(1, files.length)]
  if (name !== undefined) bench.node.disk.remove(`${folder}/${name}`)
}

const LARGE = { segmentBytes: 4 * 1024 * 1024, maxMessageBytes: 100_000, memoryBytes: 8 * 1024 * 1024 }

// Large values: a queue that is too large for one file each time has several, of which some are merged.
test.each([0, 90_000])(
  'whatever happens when, every key has its last acknowledged value, with %i bytes more',
  async (more) => {
    const padding = 'x'.repeat(more)
    await fc.assert(
      fc.asyncProperty(fc.nat(), commands, async (seed, list) => {
        const bench = new CompactionBench(seed, { flush: 'sync', compaction: { ...COMPACTION, mapBytes: 1 }, ...(more > 0 ? LARGE : {}) })
        const history: History = []
        await bench.start()
        for (const command of list) {
          await apply(bench, history, command, padding)
          judge(await bench.consume(), history)
        }
        await bench.close()
      }),
      { numRuns: 12 },
    )
  },
  60_000,
)
