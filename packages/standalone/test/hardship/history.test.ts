import { describe, expect, test } from 'vitest'
import { bodyOf, brokenPromises, ConsumedOffsets, idOf, place, skipped } from './history.ts'
import type { Acknowledged, Found, History, QueueRange } from './history.ts'

/** Two queues of three messages, a writer that keeps order in the second, one delayed message: all as promised. */
function sound(): History & { acknowledged: Acknowledged[]; found: Found[]; queues: QueueRange[] } {
  const ids = ['a-0', 'a-1', 'a-2', 'ordered-x-0', 'ordered-x-1', 'ordered-x-2']
  const found = ids.map((id, i): Found => {
    const queueId = Math.floor(i / 3)
    return { id, topic: 't', queueId, queueOffset: i % 3, physicalOffset: i * 700, storeTimestamp: 1000 + i, body: bodyOf(id, 600) }
  })
  found.push({ ...(found[0] as Found), id: 'late', queueId: 2, physicalOffset: 9000, body: bodyOf('late', 5) })
  const acknowledged = found.map(({ id, topic, queueId, queueOffset, physicalOffset }): Acknowledged => {
    const isDelayed = id === 'late'
    return { id, topic, queueId: isDelayed ? 0 : queueId, queueOffset, physicalOffset: isDelayed ? 1 : physicalOffset, isDelayed }
  })
  const queues = [0, 1, 2].map((queueId) => ({ topic: 't', queueId, minOffset: 0, maxOffset: queueId === 2 ? 1 : 3 }))
  const delivered = new Map(found.map((message) => [place(message), message.id]))
  return { acknowledged, found, queues, consumed: new Set([...ids, 'late']), delivered }
}

describe('the judge of the killed broker', () => {
  test('finds nothing where all promises were kept; a repeated attempt is no fault', () => {
    const history = sound()
    expect(brokenPromises(history)).toEqual([])
    const again = { ...(history.found[5] as Found), queueOffset: 3, physicalOffset: 9500 }
    const found = [...history.found.slice(0, 6), again, ...history.found.slice(6)]
    const queues = history.queues.map((queue) => (queue.queueId === 1 ? { ...queue, maxOffset: 4 } : queue))
    expect(brokenPromises({ ...history, found, queues })).toEqual([])
  })

  const faults: [string, (history: ReturnType<typeof sound>) => void, RegExp][] = [
    ['a message that is gone', ({ found }) => found.splice(1, 1), /^lost: a-1 was acknowledged at t-0@1, where nothing is$/],
    ['a last message that is gone', ({ found }) => found.splice(2, 1), /^hole: t-0 ends before 2 and says that it ends before 3$/],
    ['a delayed message that is gone', ({ found }) => found.splice(6, 1), /^lost: the delayed message late is in no queue of t$/],
    [
      'a delayed message that came twice',
      ({ found, queues }) => {
        const late = { ...(found[6] as Found), origin: 1 }
        found.splice(6, 1, late, { ...late, queueOffset: 1, physicalOffset: 9500 })
        queues.splice(2, 1, { topic: 't', queueId: 2, minOffset: 0, maxOffset: 2 })
      },
      /^twice: late waited at log position 1 and is at t-2@0 and at t-2@1$/,
    ],
    ['a flipped bit', ({ found }) => void (found[0]?.body as Buffer).writeUInt8(1, 599), /^altered: the body of a-0 at t-0@0/],
    [
      'an offset given twice',
      ({ acknowledged }) => acknowledged.push({ ...(acknowledged[0] as Acknowledged), id: 'b-0' }),
      /^promised twice: t-0@0/,
    ],
    [
      'two messages that changed places',
      ({ found }) => {
        const [first, second] = [found[0] as Found, found[1] as Found]
        found.splice(0, 2, { ...second, queueOffset: 0, physicalOffset: 0 }, { ...first, queueOffset: 1, physicalOffset: 700 })
      },
      /^moved: a-0 was acknowledged at t-0@0, where a-1 is$/,
    ],
    [
      'a log position that changed',
      ({ found }) => found.splice(0, 1, { ...(found[0] as Found), physicalOffset: 3 }),
      /^moved: a-0 .* position 0 and lies at 3$/,
    ],
    [
      'a queue that is read out of order',
      ({ found }) => found.splice(0, 2, found[1] as Found, found[0] as Found),
      /^order: t-0@0 lies before t-0@1/,
    ],
    [
      'a writer whose numbers go back',
      ({ found }) => {
        const swapped = found[5] as Found
        found.splice(5, 1, {
          ...(found[3] as Found),
          queueOffset: 2,
          physicalOffset: swapped.physicalOffset,
          storeTimestamp: swapped.storeTimestamp,
        })
      },
      /^order: ordered-x-0 comes after number 1 in t-1$/,
    ],
    ['a message that nobody consumed', ({ consumed }) => (consumed as Set<string>).delete('a-2'), /^not consumed: a-2/],
    [
      'a message that a consumer saw and that is no more',
      ({ delivered }) => (delivered as Map<string, string>).set('t-0@3', 'ghost'),
      /^vanished: a consumer was given ghost at t-0@3, where nothing is$/,
    ],
  ]
  test.each(faults)('finds %s', (_, plant, sentence) => {
    const history = sound()
    plant(history)
    expect(brokenPromises(history)).toEqual(expect.arrayContaining([expect.stringMatching(sentence)]))
  })

  test('finds a group that skips what it has not consumed', () => {
    const consumed = new ConsumedOffsets()
    for (const offset of [0, 2, 1, 4]) consumed.add(offset)
    expect(skipped('g', 't-0', 3, consumed)).toEqual([])
    expect(skipped('g', 't-0', 4, consumed)).toEqual(['skipped: g has committed 4 in t-0, and 3 was never consumed'])
    consumed.add(3)
    expect(skipped('g', 't-0', 5, consumed)).toEqual([])
  })

  test('knows a body by its id', () => {
    expect(idOf(bodyOf('ordered-x-17', 5000))).toBe('ordered-x-17')
    expect(bodyOf('a', 300).equals(bodyOf('b', 300))).toBe(false)
  })
})
