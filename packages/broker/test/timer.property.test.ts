import fc from 'fast-check'
import { expect, test } from 'vitest'
import { memoryTables, textOf } from './support.ts'
import { recall, timerScene } from './timer-support.ts'

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('send' as const), delayMs: fc.integer({ min: 1, max: 20_000 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('level' as const), level: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('recall' as const), which: fc.nat(20) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom('kill' as const, 'crash' as const),
      afterMs: fc.double({ min: 0, max: 3000, noNaN: true }),
      list: fc.constantFrom('keep' as const, 'lose' as const),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 12_000 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('jump' as const), ms: fc.integer({ min: -30_000, max: 30_000 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
)

/** Progress of delay levels that is saved when the broker is closed, and never in time before a crash. */
function lazyTables(): ReturnType<typeof memoryTables> {
  const tables = memoryTables()
  const unsaved = new Map<string, string>()
  return {
    ...tables,
    set: (table, key, value) => void (table === 'delay' ? unsaved.set(key, value) : tables.set(table, key, value)),
    flush() {
      for (const [key, value] of unsaved) tables.set('delay', key, value)
      unsaved.clear()
    },
  }
}

test('whatever is sent, recalled, killed and however the clock jumps: each message comes once and not early, recalled ones never', {
  timeout: 120_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 30 }), async (steps) => {
      const metadata = lazyTables()
      const timers = await timerScene({ flushDiskType: 'SYNC_FLUSH' }, { metadata })
      const { scene } = timers
      const sent = new Map<string, { readonly notBefore: number; readonly handle: string | undefined }>()
      const recalled = new Set<string>()
      for (const now of steps) {
        if (now.kind === 'send' || now.kind === 'level') {
          const body = `m${sent.size}`
          const notBefore = now.kind === 'send' ? timers.now() + now.delayMs : 0
          const properties: Record<string, string> =
            now.kind === 'send' ? { TIMER_DELIVER_MS: String(notBefore) } : { DELAY: String(now.level) }
          const answer = await timers.client().send('orders', body, {}, properties)
          sent.set(body, { notBefore, handle: answer.header().recallHandle })
        } else if (now.kind === 'recall') {
          const chosen = [...sent][now.which % Math.max(1, sent.size)]
          if (chosen?.[1].handle === undefined) continue
          const answer = await recall(timers.client(), 'orders', chosen[1].handle)
          if (answer.code === 0) recalled.add(chosen[0])
        } else if (now.kind === 'wait') await scene.world.run(now.ms)
        else if (now.kind === 'jump') scene.world.node('broker').clock.jump(now.ms)
        else if (now.kind === 'restart') await scene.restart()
        else {
          await scene.world.run(now.afterMs)
          await timers.die(now.kind, now.list)
        }
      }
      scene.world.node('broker').clock.jump(1_000_000)
      await scene.world.run(15_000)
      const messages = await timers.stored()
      expect(messages.map(textOf).sort()).toEqual([...sent.keys()].filter((body) => !recalled.has(body)).sort())
      for (const message of messages) {
        const leftAt = Number(message.properties.get('TIMER_DEQUEUE_MS') ?? message.storeTimestamp)
        expect(leftAt).toBeGreaterThanOrEqual(sent.get(textOf(message))!.notBefore)
      }
      await scene.close()
    }),
    { numRuns: Number(process.env.PROPERTY_RUNS ?? 20) },
  )
})
