/**
 * The kernel derives the views of runs of records beside the code in TypeScript, which takes one record after another. What must hold: whatever
 * is stored, all files are the same to the bit, and so is all that readers see.
 */
import type { DerivationSizes } from '@skylarkmq/remoting/protocol'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { AppendResult, MessageToStore } from '../src/index.ts'
import { crc32OfRange } from '../src/crc32.ts'
import { LIMITS } from '../src/limits.ts'
import { Bench, message } from './support/fixture.ts'
import { snapshot } from './support/snapshot.ts'

const ALL = { max: 1_000, beginMs: 0, endMs: 8e15 }
const LONG = 'long'.repeat(40)
/** `Aa` and `BB` have the same hash in Java; 300 topics are more than the kernel remembers. */
const TOPICS = ['orders', 'Aa', 'BB', 'SCHEDULE_TOPIC_XXXX', LONG, 'x'.repeat(127), ...Array.from({ length: 300 }, (_, n) => `topic-${n}`)]
const KEYS = ['k', 'key-1', 'a key', ' ', '', '  two   words ', 'Aa BB', 'größe', '日本 ascii', 'a\u0000b', 'one\u0001two', 'w '.repeat(70)]

const topics = fc.oneof(
  { weight: 30, arbitrary: fc.constantFrom(...TOPICS.slice(0, 6)) },
  { weight: 1, arbitrary: fc.constantFrom(...TOPICS) },
)
const names = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom('TAGS', 'KEYS', 'UNIQ_KEY') },
  { weight: 1, arbitrary: fc.constantFrom('DELAY', 'UNIQ_KEZ', 'KEY', 'TAGSS', '', 'größe', 'WAIT') },
)
const values = fc.oneof(
  { weight: 6, arbitrary: fc.stringMatching(/^[!-~]{0,40}$/) },
  { weight: 1, arbitrary: fc.constantFrom(...KEYS, '1', '3', '99') },
)
const texts = fc
  .tuple(fc.array(fc.tuple(names, values), { maxLength: 5 }), fc.integer({ min: 0, max: 9 }))
  .map(([pairs, end]) => pairs.map(([name, value]) => `${name}\u0001${value}\u0002`).join('') + (end === 0 ? 'KEYS\u0001cut off' : ''))
const hosts = { 0: [8, 8], 16: [20, 8], 32: [8, 20], 48: [20, 20] } as const
const messages = fc
  .record({
    topic: topics,
    queueId: fc.constantFrom(0, 0, 1, 2, 0x7fffffff),
    transaction: fc.constantFrom(0, 0, 0, 0, 4, 8, 12),
    family: fc.constantFrom(0, 0, 0, 16, 32, 48),
    text: texts,
    bodyBytes: fc.constantFrom(0, 1, 100, 100, 1_500),
  })
  .map(({ transaction, family, text, bodyBytes, topic, queueId }): MessageToStore => {
    const [born, store] = hosts[family as keyof typeof hosts]
    const bytes = {
      bornHost: new Uint8Array(born).fill(7),
      storeHost: new Uint8Array(store).fill(9),
      body: new Uint8Array(bodyBytes).fill(65),
    }
    return message({ topic, queueId, sysFlag: transaction | family, properties: Buffer.from(text), ...bytes })
  })

/** Messages that are like the first but for some bytes of their properties. */
const alike = fc
  .tuple(
    messages,
    fc.array(fc.array(fc.tuple(fc.nat(), fc.constantFrom(0, 1, 2, 3, 32, 65, 128, 255)), { maxLength: 3 }), { maxLength: 20 }),
  )
  .map(([first, changes]) => [
    first,
    ...changes.map((places): MessageToStore => {
      const properties = Buffer.from(first.properties)
      for (const [at, byte] of places) if (properties.length > 0) properties[at % properties.length] = byte
      return { ...first, properties }
    }),
  ])

const commands = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constant('turn' as const),
      deletes: fc.constantFrom(false, false, false, false, true),
      messages: fc.oneof(fc.array(messages, { minLength: 1, maxLength: 40, size: 'max' }), alike),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('batch' as const), message: messages, count: fc.integer({ min: 1, max: 6 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('many' as const),
      topic: fc.constantFrom('orders', 'Aa'),
      count: fc.integer({ min: 200, max: 700 }),
      inOneQueue: fc.constantFrom(1, 30, 500),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 3_000 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('jump' as const), ms: fc.constantFrom(-60_000, -5_000, -400, 5_000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('reopen' as const, 'kill' as const) }) },
)
type Command = typeof commands extends fc.Arbitrary<infer T> ? T : never

const sizes = fc.record({
  entries: fc.constantFrom(3, 64),
  journalEntries: fc.constantFrom(5, 4_096, 4_096),
  indexEntries: fc.constantFrom(4, 1_024, 1_024),
  indexSlots: fc.constantFrom(0, 8, 4_096, 4_096, 4_096),
})

class Side {
  readonly bench: Bench
  readonly seen: unknown[] = []
  /** Messages that were stored, and how many of them the kernel derived. */
  stored = 0
  derived = 0

  constructor(derivation: DerivationSizes | false, flush: 'async' | 'sync') {
    this.bench = new Bench(1, { segmentBytes: 32 * 1024, flush })
    this.bench.deriving = { derivation, indexSlots: 8 }
  }

  async open(): Promise<void> {
    const store = await this.bench.open()
    store.onArrival((topic, queueId, maxOffset, tagsCode) => this.seen.push([topic, queueId, maxOffset, tagsCode]))
    const { calls } = store.kernel
    const { deriveRun } = calls
    calls.deriveRun = (at, end) => {
      const count = deriveRun(at, end)
      this.derived += count
      return count
    }
  }

  async apply(command: Command): Promise<void> {
    const { bench } = this
    switch (command.do) {
      case 'turn':
        // Halfway the topic of the first may go: what lies before is of a topic that is no more, what comes behind of a new one.
        if (command.deletes) {
          const results: AppendResult[] = []
          for (const [i, each] of command.messages.entries()) {
            if (i > 0 && i === command.messages.length >> 1) bench.store.deleteTopic(command.messages[0]?.topic ?? '')
            bench.store.append(each, false, (result) => results.push(result))
          }
          await bench.sim.world.run(5)
          this.seen.push(results)
        } else this.seen.push(await bench.append(...command.messages))
        this.stored += command.messages.length
        break
      case 'batch':
        this.seen.push(await bench.batch(Array.from({ length: command.count }, () => command.message)))
        this.stored += command.count
        break
      case 'many':
        this.seen.push(await this.many(command))
        this.stored += command.count
        break
      case 'wait':
        await bench.sim.world.run(command.ms)
        break
      case 'jump':
        bench.node.clock.jump(command.ms)
        break
      case 'reopen':
      case 'kill':
        if (command.do === 'kill') bench.kill()
        else await bench.close()
        await this.open()
    }
  }

  /** Messages to two queues in turns, so many to each at a time. */
  private many({ topic, count, inOneQueue }: Extract<Command, { do: 'many' }>): Promise<AppendResult[]> {
    const key = (n: number): Uint8Array => Buffer.from(`UNIQ_KEY\u0001${`${n}`.padStart(32, '0')}\u0002TAGS\u0001t${n % 3}\u0002`)
    const of = (n: number): MessageToStore => {
      return message({ topic, queueId: Math.floor(n / inOneQueue) % 2, text: `${n}`, properties: key(n) })
    }
    return this.bench.append(...Array.from({ length: count }, (_, n) => of(n)))
  }

  /** All that readers see. */
  async read(): Promise<unknown> {
    const { bench } = this
    const { store } = bench
    const queues: unknown[] = []
    for (const [topic, ids] of store.queues()) {
      for (const id of ids) {
        const places = await bench.readPlaces(topic, id)
        queues.push([
          topic,
          id,
          store.minOffset(topic, id),
          store.maxOffset(topic, id),
          store.offsetByTime(topic, id, 1, 'upper'),
          ...places,
        ])
      }
    }
    const words = [...KEYS.flatMap((key) => key.split(' ')), `${5}`.padStart(32, '0')]
    const found = TOPICS.slice(0, 7).map((topic) => words.map((word) => store.queryByKey(topic, word, ALL)))
    return { queues, found }
  }

  files(): Map<string, string> {
    const files = [...snapshot(this.bench.node.disk)].filter(([path]) => !path.endsWith('recovery-report.json'))
    return new Map(files.map(([path, bytes]) => [path, Buffer.from(bytes).toString('latin1')]))
  }
}

async function expectSame(byKernel: Side, oneByOne: Side): Promise<void> {
  expect(byKernel.seen).toEqual(oneByOne.seen)
  expect(await byKernel.read()).toEqual(await oneByOne.read())
  await byKernel.bench.close()
  await oneByOne.bench.close()
  const expected = oneByOne.files()
  const files = byKernel.files()
  expect([...files.keys()]).toEqual([...expected.keys()])
  expect([...files].filter(([path, bytes]) => bytes !== expected.get(path)).map(([path]) => path)).toEqual([])
}

test('what the kernel derives is what is derived record by record', async () => {
  let derived = 0
  let stored = 0
  await fc.assert(
    fc.asyncProperty(
      fc.array(commands, { minLength: 5, maxLength: 30, size: 'max' }),
      sizes,
      fc.constantFrom('async' as const, 'sync' as const),
      async (all, derivation, flush) => {
        const byKernel = new Side(derivation, flush)
        const oneByOne = new Side(false, flush)
        for (const side of [byKernel, oneByOne]) {
          await side.open()
          for (const command of all) await side.apply(command)
        }
        derived += byKernel.derived
        stored += byKernel.stored
        expect(oneByOne.derived).toBe(0)
        await expectSame(byKernel, oneByOne)
      },
    ),
    { numRuns: 40, endOnFailure: true },
  )
  expect(derived).toBeGreaterThan(stored / 4)
}, 60_000)

test('a message with more keys than the kernel has room for is derived without it, and does no harm', async () => {
  const properties = Buffer.from(`KEYS\u0001${Array.from({ length: 5_000 }, (_, n) => `k${n}`).join(' ')}\u0002`)
  const sides = [new Side(LIMITS.derivation, 'async'), new Side(false, 'async')] as const
  for (const side of sides) {
    await side.open()
    for (const each of [message(), message({ properties }), message({ text: 'behind' })]) side.seen.push(await side.bench.append(each))
    expect(side.bench.store.queryByKey('orders', 'k4999', ALL)).toHaveLength(1)
  }
  expect(sides[0].derived).toBe(1)
  const { calls, ring, ringAt } = sides[0].bench.store.kernel
  expect(calls.crc32(ringAt, ringAt + 1_000) >>> 0).toBe(crc32OfRange(ring, 0, 1_000))
  await expectSame(...sides)
})
