/** The table of RocketMQ 5.3 `MQFaultStrategy`, and what it does to the choice of queues. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Clock } from '@skylarkmq/runtime'
import { seededRandom } from '@skylarkmq/runtime/sim'
import { BrokerLatency, notAvailableMs } from '../src/producer/broker-latency.ts'
import { QueueSelector, hashKey, queueForKey } from '../src/producer/queue-selector.ts'

const ROWS = [
  { from: 0, to: 549, pauseMs: 0 },
  { from: 550, to: 1799, pauseMs: 2000 },
  { from: 1800, to: 2999, pauseMs: 5000 },
  { from: 3000, to: 4999, pauseMs: 6000 },
  { from: 5000, to: 14_999, pauseMs: 10_000 },
  { from: 15_000, to: 10_000_000, pauseMs: 30_000 },
]

function handClock() {
  let now = 1000
  return { clock: { monotonic: () => now } as Clock, pass: (ms: number) => (now += ms) }
}

const queuesOf = (brokers: readonly string[], perBroker: number) =>
  brokers.flatMap((brokerName) => Array.from({ length: perBroker }, (_, queueId) => ({ topic: 'T', brokerName, queueId })))

describe('the latency table', () => {
  it('pauses a broker for as long as its row says, and not a millisecond longer', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...ROWS).chain((row) => fc.tuple(fc.constant(row), fc.integer({ min: row.from, max: row.to }))),
        ([{ pauseMs }, latencyMs]) => {
          expect(notAvailableMs(latencyMs)).toBe(pauseMs)
          const { clock, pass } = handClock()
          const latency = new BrokerLatency(clock)
          latency.answered('a', latencyMs)
          if (pauseMs > 0) {
            expect(latency.isAvailable('a')).toBe(false)
            pass(pauseMs - 1)
            expect(latency.isAvailable('a')).toBe(false)
            pass(1)
          }
          expect(latency.isAvailable('a')).toBe(true)
          expect(latency.isAvailable('b')).toBe(true)
        },
      ),
    )
  })

  it('counts a failure as 10 s, and a fast answer forgives it', () => {
    const { clock, pass } = handClock()
    const latency = new BrokerLatency(clock)
    latency.failed('a', false)
    expect([latency.isAvailable('a'), latency.isReachable('a')]).toEqual([false, false])
    pass(9_999)
    expect(latency.isAvailable('a')).toBe(false)
    latency.answered('a', 3)
    expect([latency.isAvailable('a'), latency.isReachable('a')]).toEqual([true, true])
  })
})

describe('the choice of a queue', () => {
  const brokers = ['a', 'b', 'c']

  it('is round robin: after one round every queue had its turn', () => {
    const selector = new QueueSelector(seededRandom(3), undefined)
    const queues = queuesOf(brokers, 4)
    const chosen = Array.from({ length: 24 }, () => selector.select('T', queues, undefined))
    expect(new Set(chosen.slice(0, 12)).size).toBe(12)
    expect(chosen.slice(12)).toEqual(chosen.slice(0, 12))
  })

  it('holds to the rules for any state of the brokers', () => {
    const state = fc.constantFrom('well', 'slow', 'away')
    fc.assert(
      fc.property(fc.array(state, { minLength: 3, maxLength: 3 }), fc.subarray(brokers), fc.integer(), (states, avoid, seed) => {
        const { clock } = handClock()
        const latency = new BrokerLatency(clock)
        states.forEach((what, i) => {
          if (what === 'slow') latency.answered(brokers[i] as string, 2000)
          if (what === 'away') latency.failed(brokers[i] as string, false)
        })
        const { brokerName } = new QueueSelector(seededRandom(seed), latency).select('T', queuesOf(brokers, 2), new Set(avoid))
        const stateOf = (name: string) => states[brokers.indexOf(name)] as string
        const others = brokers.filter((name) => !avoid.includes(name))
        const wanted = ['well', 'slow', 'away']
          .map((what) => others.filter((name) => stateOf(name) === what))
          .find((found) => found.length > 0)
        expect(wanted ?? brokers).toContain(brokerName)
      }),
    )
  })

  it('by key never depends on anything but the key and the queues', () => {
    // Stored orders rely on it: these numbers may not change between releases.
    expect(hashKey('customer-1')).toMatchInlineSnapshot(`1687572579`)
    const queues = queuesOf(brokers, 4)
    const counts = new Map<unknown, number>()
    for (let i = 0; i < 12_000; i++) {
      const queue = queueForKey(queues, `key ${i}`)
      counts.set(queue, (counts.get(queue) ?? 0) + 1)
    }
    expect(Math.min(...counts.values())).toBeGreaterThan(800)
    expect(Math.max(...counts.values())).toBeLessThan(1200)
  })
})
