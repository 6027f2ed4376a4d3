import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { PushConsumer } from '@skylarkmq/client'
import { Cluster } from '../src/cluster.ts'

/** Something that happens to members that pop, or to their brokers. `who` counts round and round. */
type Step =
  | { readonly kind: 'send' | 'wait'; readonly much: number }
  | { readonly kind: 'join' }
  | { readonly kind: 'leave' | 'kill' | 'broker dies'; readonly who: number }

const who = fc.nat(5)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom('send' as const, 'wait' as const), much: fc.integer({ min: 1, max: 20 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('join' as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('leave' as const, 'kill' as const, 'broker dies' as const), who }) },
)

const MEMBERS_MAX = 4
const SECOND = 1000

async function live(
  seed: number,
  steps: readonly Step[],
): Promise<{ readonly sent: Set<string>; readonly seen: Set<string>; readonly after: string[] }> {
  const cluster = new Cluster({ seed, namesrvs: 1, brokers: 2, flush: 'sync', segmentBytes: 1 << 20 })
  await cluster.start()
  const { world } = cluster
  const tools = await cluster.client('tools')
  await world.until(tools.admin().topics.update({ topic: 'films', queueNums: 2 }, { cluster: 'DefaultCluster' }))
  const producer = tools.producer({ group: 'studios', timeoutMs: 5000 })
  const [sent, seen] = [new Set<string>(), new Set<string>()]
  const members = new Map<string, PushConsumer>()
  let count = 0
  const join = async (note: (text: string) => void) => {
    const name = `m${count++}`
    const { clock } = world.node(name)
    const consumer = (await cluster.client(name)).pushConsumer({
      group: 'cinemas',
      subscriptions: { films: '*' },
      consumeFrom: 'first',
      delivery: 'pop',
      invisibleMs: 10 * SECOND,
      concurrency: 3,
      handler: async ({ text, reconsumeTimes, queueOffset }) => {
        await clock.sleep(500)
        if (reconsumeTimes === 0 && queueOffset % 5 === 0) throw new Error('not yet')
        note(text)
      },
    })
    await world.until(consumer.start())
    members.set(name, consumer)
  }
  await join((text) => seen.add(text))
  for (const one of steps) {
    const names = [...members.keys()]
    const name = 'who' in one ? (names[one.who % names.length] as string) : ''
    if (one.kind === 'wait') await world.run(one.much * SECOND)
    else if (one.kind === 'send') {
      const bodies = Array.from({ length: one.much }, (_, i) => `${sent.size + i}`)
      // What was not acknowledged may be there or not.
      await world.until(
        Promise.all(
          bodies.map((body) =>
            producer.send({ topic: 'films', body }).then(
              () => sent.add(body),
              () => undefined,
            ),
          ),
        ),
      )
    } else if (one.kind === 'join') {
      if (members.size < MEMBERS_MAX) await join((text) => seen.add(text))
    } else if (one.kind === 'broker dies') {
      const broker = one.who % 2 === 0 ? 'broker-a' : 'broker-b'
      cluster.endBroker(broker, 'power-loss')
      await world.run(SECOND)
      cluster.startBroker(broker)
      await world.when(() => cluster.isWhole)
    } else if (members.size > 1) {
      if (one.kind === 'kill') world.kill(name)
      else await world.until((members.get(name) as PushConsumer).close())
      members.delete(name)
    }
  }
  await world.when(() => [...sent].every((body) => seen.has(body)), 600 * SECOND)
  await world.run(120 * SECOND)
  for (const member of members.values()) await world.until(member.close())
  const after: string[] = []
  await join((text) => after.push(text))
  await world.run(60 * SECOND)
  return { sent, seen, after }
}

describe('members that pop', { timeout: 600_000 }, () => {
  it('come, go and die, and so do brokers: each message is consumed, and none again that was', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(2 ** 31), fc.array(step, { minLength: 3, maxLength: 10 }), async (seed, steps) => {
        const { sent, seen, after } = await live(seed, [{ kind: 'send', much: 10 }, ...steps])
        expect([...sent].filter((body) => !seen.has(body))).toEqual([])
        expect(after).toEqual([])
      }),
      { numRuns: 4 },
    )
  })
})
