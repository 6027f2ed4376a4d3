import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { CacheEntry } from '../../src/consumer/process-queue.ts'
import { ProcessQueue } from '../../src/consumer/process-queue.ts'

interface Item {
  readonly queueOffset: number
  readonly sizeBytes: number
}

/** The same rules, written as slowly and plainly as possible. */
class Model {
  items: { item: Item; taken: boolean; done: boolean }[] = []
  next: number | undefined

  get live() {
    return this.items.filter((entry) => !entry.done)
  }

  get committable() {
    return this.live[0]?.item.queueOffset ?? this.next
  }

  put(item: Item) {
    if (this.next !== undefined && item.queueOffset < this.next) return
    this.items.push({ item, taken: false, done: false })
    this.next = item.queueOffset + 1
  }
}

const operation = fc.oneof(
  fc.record({ op: fc.constant('put' as const), gaps: fc.array(fc.integer({ min: -3, max: 4 }), { maxLength: 40 }) }),
  fc.record({ op: fc.constant('take' as const), max: fc.integer({ min: 1, max: 40 }) }),
  fc.record({ op: fc.constant('complete' as const), pick: fc.nat() }),
  fc.record({ op: fc.constant('completeAll' as const) }),
  fc.record({ op: fc.constant('release' as const), pick: fc.nat() }),
  fc.record({ op: fc.constant('advance' as const), by: fc.integer({ min: -2, max: 50 }) }),
)

describe('process queue', () => {
  it('behaves as the plain model, and the committable offset never passes an unconsumed message', () => {
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 120 }), (operations) => {
        const queue = new ProcessQueue<Item>()
        const model = new Model()
        const inHand: CacheEntry<Item>[] = []
        const settle = (entry: CacheEntry<Item>) => {
          expect(queue.complete(entry)).toBe(true)
          expect(queue.complete(entry)).toBe(false)
          const own = model.items.find((m) => m.item === entry.message)
          if (own) own.done = true
        }
        let committed = Number.NEGATIVE_INFINITY
        for (const step of operations) {
          switch (step.op) {
            case 'put': {
              let offset = model.next ?? 10
              const items = step.gaps.map((gap) => ({ queueOffset: (offset += gap), sizeBytes: 1 + (offset & 7) }))
              const before = model.items.length
              for (const item of items) model.put(item)
              expect(queue.put(items)).toBe(model.items.length - before)
              break
            }
            case 'take': {
              const expected = model.live.filter((entry) => !entry.taken).slice(0, step.max)
              const taken = queue.take(step.max)
              expect(taken.map((entry) => entry.message)).toEqual(expected.map((entry) => entry.item))
              for (const entry of expected) entry.taken = true
              inHand.push(...taken)
              break
            }
            case 'complete':
              if (inHand.length > 0) settle(inHand.splice(step.pick % inHand.length, 1)[0] as CacheEntry<Item>)
              break
            case 'completeAll':
              for (const entry of inHand.splice(0)) settle(entry)
              break
            case 'release': {
              const [entry] = inHand.length > 0 ? inHand.splice(step.pick % inHand.length, 1) : []
              if (!entry) break
              queue.release([entry])
              const own = model.items.find((m) => m.item === entry.message)
              if (own) own.taken = false
              break
            }
            case 'advance':
              queue.advance((model.next ?? 10) + step.by)
              model.next = Math.max(model.next ?? Number.NEGATIVE_INFINITY, (model.next ?? 10) + step.by)
              break
          }
          const live = model.live
          expect(queue.count).toBe(live.length)
          expect(queue.bytes).toBe(live.reduce((sum, entry) => sum + entry.item.sizeBytes, 0))
          expect(queue.minOffset).toBe(live[0]?.item.queueOffset)
          expect(queue.maxOffset).toBe(live.at(-1)?.item.queueOffset)
          expect(queue.span).toBe(live.length === 0 ? 0 : (live.at(-1)?.item.queueOffset ?? 0) - (live[0]?.item.queueOffset ?? 0))
          expect(queue.hasUntaken).toBe(live.some((entry) => !entry.taken))
          expect([...queue.inHand()].map((entry) => entry.message)).toEqual(live.filter((entry) => entry.taken).map((entry) => entry.item))
          expect(queue.committableOffset).toBe(model.committable)
          if (queue.committableOffset !== undefined) {
            expect(queue.committableOffset).toBeGreaterThanOrEqual(committed)
            committed = queue.committableOffset
          }
        }
      }),
      { numRuns: 300 },
    )
  })

  it('long runs keep their memory: consumed messages are forgotten', () => {
    const queue = new ProcessQueue<Item>()
    for (let round = 0; round < 100; round++) {
      queue.put(Array.from({ length: 100 }, (_, i) => ({ queueOffset: round * 100 + i, sizeBytes: 1 })))
      for (const entry of queue.take(100).reverse()) queue.complete(entry)
    }
    expect([queue.count, queue.bytes, queue.committableOffset]).toEqual([0, 0, 10_000])
  })
})
