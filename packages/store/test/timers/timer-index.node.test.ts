import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nodeRuntime } from '@skylarkmq/runtime/node'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { memoryTimerIndex, openSqliteTimerIndex } from '../../src/index.ts'
import type { PendingTimer, TimerIndex, TimerIndexState } from '../../src/index.ts'

const log = { debug() {}, info() {}, warn() {}, error() {} }
const runtime = { ...nodeRuntime(), log }
let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'skylark-timers-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const open = () => openSqliteTimerIndex(runtime as never, join(folder, 'timers.db'))
const entry = (origin: number, dueMs: number, topic = 'orders'): PendingTimer => ({
  origin,
  dueMs,
  queueOffset: origin,
  position: origin * 100,
  keyHash: origin % 3,
  topic,
})
const STATE: TimerIndexState = { indexedTo: 7, lastPosition: 2 ** 40, lastStoreTimestamp: 2 ** 41, doubtBelow: 3, cleanAt: -1 }

/** All that can be seen of an index. */
const view = (index: TimerIndex) => ({
  size: index.size,
  counts: Object.fromEntries([...index.counts()].sort()),
  all: index.range(-Infinity, -1, Infinity, 1000),
  behind: index.range(5, 10, 8, 4),
  next: [index.nextDueMs(-Infinity, -1), index.nextDueMs(5, 10), index.nextDueMs(9, 99)],
  found: index.find(2, 8, 1),
  oldest: index.oldest(),
  between: index.storedBetween(3, 20, 5),
  state: index.state,
})

describe('the list of pending messages', () => {
  test('is the same in memory and in SQLite, whatever happens to it, also after it was closed', async () => {
    const change = fc.record({
      add: fc.array(fc.tuple(fc.nat(30), fc.nat(9), fc.constantFrom('a', 'b')).map(([origin, due, topic]) => entry(origin, due, topic))),
      remove: fc.array(fc.nat(30)),
      state: fc.constantFrom(undefined, STATE),
    })
    let run = 0
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 6 }), async (changes) => {
        const path = join(folder, `${run++}.db`)
        const model = memoryTimerIndex()
        let real = await openSqliteTimerIndex(runtime as never, path)
        for (const { add, remove, state } of changes) {
          const next = { add, remove, ...(state ? { state } : {}) }
          model.apply(next)
          real.apply(next)
          expect(view(real)).toEqual(view(model))
        }
        real.close()
        real = await openSqliteTimerIndex(runtime as never, path)
        expect(view(real)).toEqual(view(model))
        real.clear()
        model.clear()
        expect(view(real)).toEqual(view(model))
        real.close()
      }),
      { numRuns: 40 },
    )
  })

  test('keeps the time of a message that is stored anew, and takes its new place', async () => {
    const index = await open()
    index.apply({ add: [entry(5, 1000)] })
    index.apply({ add: [{ ...entry(5, 2000), queueOffset: 90, position: 9_000 }] })
    expect(index.range(-Infinity, -1, Infinity, 9)).toEqual([{ ...entry(5, 1000), queueOffset: 90, position: 9_000 }])
    index.close()
  })

  test('changes wholly or not at all', async () => {
    const index = await open()
    index.apply({ add: [entry(1, 10)], state: STATE })
    const wrong = { ...entry(2, 10, 'new topic'), dueMs: null as unknown as number }
    expect(() => index.apply({ add: [entry(3, 10, 'new topic'), wrong], remove: [1] })).toThrow('NOT NULL')
    expect(view(index)).toMatchObject({ size: 1, counts: { orders: 1 }, all: [entry(1, 10)], state: STATE })
    index.apply({ add: [entry(3, 10, 'new topic')] })
    expect(Object.fromEntries(index.counts())).toEqual({ orders: 1, 'new topic': 1 })
    index.close()
  })

  test('begins anew when its file is damaged, and leaves the start to go on', async () => {
    const index = await open()
    index.apply({ add: [entry(1, 10)], state: STATE })
    index.close()
    const path = join(folder, 'timers.db')
    writeFileSync(path, Buffer.alloc(statSync(path).size, 'x'))
    const again = await open()
    expect([again.size, again.state]).toEqual([0, undefined])
    again.close()
  })
})
