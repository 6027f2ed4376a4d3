import fc from 'fast-check'
import { expect, test } from 'vitest'
import { EndTransaction } from '@skylarkmq/remoting/protocol'
import { startScene } from './support.ts'
import { COMMIT, ROLLBACK, bodiesIn, endHeader, producer, sendHalf } from './transaction-support.ts'
import type { Half } from './transaction-support.ts'

const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('send' as const), isCommit: fc.boolean() }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('end' as const), which: fc.nat(20) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('kill' as const), afterMs: fc.double({ min: 0, max: 3, noNaN: true }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 40_000 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
)

test('whatever is sent, ended, killed and when: what was committed comes once, what was rolled back never', {
  timeout: 60_000,
}, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 25 }), async (steps) => {
      const scene = await startScene({ transactionCheckMax: 100 })
      const verdicts = new Map<string, number>()
      const halves: { body: string; half: Half }[] = []
      let life = 0
      const join = () => producer(scene, `p${life++}`, (body) => verdicts.get(body))
      let { client } = await join()
      for (const now of steps) {
        if (now.kind === 'send') {
          const body = `m${verdicts.size}`
          verdicts.set(body, now.isCommit ? COMMIT : ROLLBACK)
          halves.push({ body, half: await sendHalf(client, body) })
        } else if (now.kind === 'end') {
          const chosen = halves[now.which % Math.max(1, halves.length)]
          if (chosen === undefined) continue
          // Under way: the next step may be a kill.
          client.ask(EndTransaction, endHeader(chosen.half, verdicts.get(chosen.body) as number)).catch(() => undefined)
        } else if (now.kind === 'wait') await scene.world.run(now.ms)
        else {
          if (now.kind === 'restart') await scene.restart()
          else {
            await scene.world.run(now.afterMs)
            scene.world.kill('broker')
            await scene.revive()
          }
          client = (await join()).client
        }
      }
      await scene.world.run(65_000)
      const committed = [...verdicts].filter(([, verdict]) => verdict === COMMIT).map(([body]) => body)
      expect((await bodiesIn(client)).sort()).toEqual(committed.sort())
      await scene.close()
    }),
    { numRuns: Number(process.env.PROPERTY_RUNS ?? 15) },
  )
})
