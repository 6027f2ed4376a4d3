import fc from 'fast-check'
import { expect, test } from 'vitest'
import { AckMessage, ChangeMessageInvisibletime, PopMessage } from '@skylarkmq/remoting/protocol'
import type { TestClient } from '../support.ts'
import { startForgetfulScene } from './forgetful-scene.ts'
import type { ForgetfulScene } from './forgetful-scene.ts'
import { bodiesOf, messagesOf, placeOf, pop, popHeader } from './pop-support.ts'
import type { PoppedMessage } from './pop-support.ts'

const MAX_INVISIBLE_MS = 8000
const invisible = fc.integer({ min: 200, max: MAX_INVISIBLE_MS })
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('send' as const), queueId: fc.nat(1) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('pop' as const),
      max: fc.integer({ min: 1, max: 4 }),
      invisible,
      pollTime: fc.constantFrom(0, 1500),
    }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('ack' as const), which: fc.nat(30) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('change' as const), which: fc.nat(30), invisible }) },
  // What a pop brings comes back and is acknowledged then.
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('fail once' as const), which: fc.nat(3) }) },
  // One message is kept for long while others come and go, and the state is saved.
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('keep one' as const) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('die' as const), afterMs: fc.double({ min: 0, max: 4, noNaN: true }) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 9000 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
)

interface Held {
  message: PoppedMessage
  /** No later than this the broker may give it to others. */
  until: number
}

/** What a user can know: what was sent, what was delivered, what was acknowledged while it was theirs. */
class Story {
  readonly sent = new Set<string>()
  readonly delivered = new Set<string>()
  readonly acknowledged = new Set<string>()
  /** The broker died with the acknowledgement under way: it may count. */
  readonly inDoubt = new Set<string>()
  readonly held: Held[] = []
  readonly wrong: string[] = []
  readonly #scene: ForgetfulScene
  client: TestClient
  #life = 0

  constructor(scene: ForgetfulScene) {
    this.#scene = scene
    this.client = scene.client('c0')
  }

  reconnect(): void {
    this.client = this.#scene.client(`c${++this.#life}`)
  }

  async send(queueId: number): Promise<void> {
    const body = `m${this.sent.size}`
    expect((await this.client.send('orders', body, { queueId })).code).toBe(0)
    this.sent.add(body)
  }

  pop(max: number, invisibleTime: number, pollTime: number): Promise<number> {
    const askedAt = this.#scene.world.nowMs
    const known = new Set(this.acknowledged)
    const header = popHeader({ maxMsgNums: max, invisibleTime, pollTime })
    return this.client.ask(PopMessage, header).then(
      (answer) => {
        for (const message of messagesOf(answer)) {
          if (known.has(message.body)) this.wrong.push(`${message.body} was delivered after its acknowledgement`)
          this.delivered.add(message.body)
          this.held.push({ message, until: askedAt + invisibleTime })
        }
        return messagesOf(answer).length
      },
      () => 0,
    )
  }

  ack({ message, until }: Held): Promise<void> {
    return this.client.ask(AckMessage, { ...placeOf(message.handle), offset: message.offset }).then(
      (answer) => {
        expect(answer.code).toBe(0)
        if (this.#scene.world.nowMs < until) this.acknowledged.add(message.body)
      },
      () => void this.inDoubt.add(message.body),
    )
  }

  change(held: Held, invisibleTime: number): Promise<void> {
    const { handle, offset } = held.message
    const askedAt = this.#scene.world.nowMs
    return this.client.ask(ChangeMessageInvisibletime, { ...placeOf(handle), offset, invisibleTime }).then(
      (answer) => {
        if (answer.code !== 0) return
        const parts = handle.split(' ')
        const renewed = [parts[0], answer.header().popTime, invisibleTime, ...parts.slice(3)].join(' ')
        held.message = { ...held.message, handle: renewed }
        held.until = askedAt + invisibleTime
      },
      // The handle may have become void without our knowing.
      () => void (held.until = Number.NEGATIVE_INFINITY),
    )
  }

  /** Everything that is left comes back, and can be acknowledged for good. */
  async drain(): Promise<void> {
    const { world } = this.#scene
    for (let quiet = 0; quiet < 2; ) {
      await world.run(MAX_INVISIBLE_MS + 500)
      const from = this.held.length
      const count = await world.until(this.pop(32, MAX_INVISIBLE_MS, 0))
      for (const held of this.held.slice(from)) await world.until(this.ack(held))
      quiet = count === 0 ? quiet + 1 : 0
    }
    // After too many attempts.
    for (const body of bodiesOf(await pop(this.client, { topic: '%DLQ%cg', consumerGroup: 'tool' }))) this.acknowledged.add(body)
  }
}

for (const [flushDiskType, death] of [
  ['ASYNC_FLUSH', 'kill'],
  ['SYNC_FLUSH', 'crash'],
] as const) {
  test(`${flushDiskType}: whatever is popped, acknowledged and when the broker dies (${death}): nothing is lost, nothing comes after its acknowledgement`, {
    timeout: 120_000,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 40 }), async (steps) => {
        const scene = await startForgetfulScene({ flushDiskType })
        const story = new Story(scene)
        for (const queueId of [0, 0, 0, 1]) await story.send(queueId)
        for (const now of steps) {
          const chosen = 'which' in now ? story.held.at(-1 - (now.which % Math.max(1, story.held.length))) : undefined
          if (now.kind === 'send') await story.send(now.queueId)
          else if (now.kind === 'pop') {
            void story.pop(now.max, now.invisible, now.pollTime)
            await scene.world.run(5)
          } else if (now.kind === 'ack' && chosen) void story.ack(chosen)
          else if (now.kind === 'keep one') {
            const from = story.held.length
            await scene.world.until(story.pop(4, MAX_INVISIBLE_MS, 0))
            const [kept, ...others] = story.held.slice(from)
            for (const held of others) void story.ack(held)
            if (kept !== undefined) await scene.world.until(story.change(kept, MAX_INVISIBLE_MS))
            await scene.world.run(6000)
          } else if (now.kind === 'fail once') {
            await scene.world.until(story.pop(4, 200, 0))
            await scene.world.run(300)
            await scene.world.until(story.pop(4, MAX_INVISIBLE_MS, 0))
            for (const held of story.held.slice(-1 - now.which)) void story.ack(held)
          } else if (now.kind === 'change' && chosen) await scene.world.until(story.change(chosen, now.invisible))
          else if (now.kind === 'wait') await scene.world.run(now.ms)
          else if (now.kind === 'restart') {
            await scene.restart()
            story.reconnect()
          } else if (now.kind === 'die') {
            await scene.world.run(now.afterMs)
            await scene.die(death)
            story.reconnect()
          }
        }
        await scene.world.run(5000)
        await story.drain()
        expect(story.wrong).toEqual([])
        expect([...story.sent].filter((body) => !story.delivered.has(body))).toEqual([])
        expect([...story.sent].filter((body) => !story.acknowledged.has(body) && !story.inDoubt.has(body))).toEqual([])
        await scene.close()
      }),
      { numRuns: Number(process.env.PROPERTY_RUNS ?? 15) },
    )
  })
}
