import { decodeRecords } from '@skylarkmq/remoting/protocol'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Bench, message, properties, ROOT } from './support/fixture.ts'

interface Stored {
  readonly text: string
  readonly physicalOffset: number
}

/** What a store is, without files: an array of messages per queue. */
class Model {
  readonly queues = new Map<string, Stored[]>()

  queue(topic: string, queueId: number): Stored[] {
    const key = `${topic}/${queueId}`
    const found = this.queues.get(key)
    if (found !== undefined) return found
    const made: Stored[] = []
    this.queues.set(key, made)
    return made
  }

  delete(topic: string): void {
    for (const key of this.queues.keys()) if (key.startsWith(`${topic}/`)) this.queues.delete(key)
  }
}

const topics = fc.constantFrom('orders', 'payments', '%RETRY%group')
const queueIds = fc.integer({ min: 0, max: 2 })

const commands = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('append' as const),
      topic: topics,
      queueId: queueIds,
      count: fc.integer({ min: 1, max: 300 }),
      bytes: fc.integer({ min: 0, max: 900 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('batch' as const),
      topic: topics,
      queueId: queueIds,
      count: fc.integer({ min: 1, max: 8 }),
      bytes: fc.integer({ min: 0, max: 900 }),
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('read' as const),
      topic: topics,
      queueId: queueIds,
      at: fc.double({ min: 0, max: 1, noNaN: true }),
      max: fc.integer({ min: 1, max: 400 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: 4_000 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('reopen' as const, 'kill' as const, 'crash' as const, 'rebuild' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('delete' as const), topic: topics }) },
)

type Command = typeof commands extends fc.Arbitrary<infer T> ? T : never

async function apply(bench: Bench, model: Model, command: Command, number: { next: number }): Promise<void> {
  switch (command.do) {
    case 'append':
    case 'batch': {
      const { topic, queueId, count, bytes } = command
      const texts = Array.from({ length: count }, () => `${number.next++}:`.padEnd(bytes, '.'))
      const messages = texts.map((text) => message({ topic, queueId, text, properties: properties({ KEYS: text.split(':')[0] ?? '' }) }))
      const queue = model.queue(topic, queueId)
      const first = queue.length
      let offsets: readonly number[]
      if (command.do === 'append') {
        const results = await bench.append(...messages)
        expect(results.map((result) => [result.status, result.queueOffset])).toEqual(texts.map((_, i) => ['ok', first + i]))
        offsets = results.map((result) => result.physicalOffset)
      } else {
        const result = await bench.batch(messages)
        expect(result).toMatchObject({ status: 'ok', queueOffset: first })
        offsets = result.physicalOffsets ?? []
      }
      for (const [i, text] of texts.entries()) queue.push({ text, physicalOffset: offsets[i] ?? -1 })
      return
    }
    case 'read': {
      const { topic, queueId, max } = command
      const queue = model.queue(topic, queueId)
      const offset = Math.floor(command.at * queue.length)
      const read = await bench.run(Promise.resolve(bench.store.read({ topic, queueId, offset, maxMessages: max, maxBytes: 1e9 })))
      const expected = queue.slice(offset, offset + max)
      const records = decodeRecords(Buffer.from(read.body))
      expect(records.map((record) => Buffer.from(record.body).toString())).toEqual(expected.map((stored) => stored.text))
      if (expected.length > 0)
        expect(read).toMatchObject({ status: 'found', nextOffset: offset + expected.length, maxOffset: queue.length })
      return
    }
    case 'wait':
      return bench.sim.world.run(command.ms)
    case 'delete':
      bench.store.deleteTopic(command.topic)
      return model.delete(command.topic)
    case 'kill':
      bench.kill()
      break
    case 'crash':
      bench.crash()
      break
    case 'reopen':
      await bench.close()
      break
    case 'rebuild':
      await bench.close()
      bench.node.disk.remove(`${ROOT}/skylark/views`)
      break
  }
  await bench.open()
}

async function check(bench: Bench, model: Model): Promise<void> {
  for (const [key, queue] of model.queues) {
    const [topic = '', id] = key.split('/')
    const queueId = Number(id)
    expect(bench.store.maxOffset(topic, queueId)).toBe(queue.length)
    if (queue.length === 0) continue
    expect(await bench.readAll(topic, queueId)).toEqual(queue.map((stored) => stored.text))
    for (const stored of [queue[0], queue.at(-1)]) {
      if (stored === undefined) continue
      const found = bench.store.queryByKey(topic, stored.text.split(':')[0] ?? '', { max: 10, beginMs: 0, endMs: 8e15 })
      expect(found).toContain(stored.physicalOffset)
      expect(bench.store.readRecordAt(stored.physicalOffset)).toBeDefined()
    }
  }
}

test.each(['async', 'sync'] as const)(
  'with %s flush a store equals an array per queue, whatever is done to it',
  async (flush) => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 1e9 }), fc.array(commands, { minLength: 5, maxLength: 40 }), async (seed, sequence) => {
        const bench = new Bench(seed, { flush, segmentBytes: 32 * 1024 })
        const model = new Model()
        const number = { next: 0 }
        await bench.open()
        for (const command of sequence) {
          // Without a flush the loss of power may take what was acknowledged.
          await apply(bench, model, command.do === 'crash' && flush === 'async' ? { do: 'kill' } : command, number)
        }
        await check(bench, model)
        await bench.close()
      }),
      { numRuns: 30, endOnFailure: true },
    )
  },
  120_000,
)
