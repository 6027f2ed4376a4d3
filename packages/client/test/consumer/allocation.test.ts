import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { MessageQueue } from '@skylarkmq/remoting/protocol'
import { consistentHash } from '../../src/consumer/allocation/consistent-hash.ts'
import { machineRoom, machineRoomNearby } from '../../src/consumer/allocation/machine-room.ts'
import { averagely, averagelyByCircle, byConfig } from '../../src/consumer/allocation/simple.ts'
import type { AllocationStrategy } from '../../src/consumer/allocation/types.ts'

const roomOf = (name: string) => name.split(/[@-]/)[0] as string
const resolver = { ofBroker: (queue: MessageQueue) => roomOf(queue.brokerName), ofConsumer: roomOf }
const strategies: Record<string, AllocationStrategy> = Object.fromEntries(
  [
    averagely,
    averagelyByCircle,
    consistentHash(),
    machineRoom(['room1', 'room2']),
    machineRoomNearby(resolver),
    machineRoomNearby(resolver, averagelyByCircle),
  ].map((strategy) => [strategy.name, strategy]),
)

const queuesOf = (brokers: number, perBroker: number): MessageQueue[] =>
  Array.from({ length: brokers * perBroker }, (_, i) => ({
    topic: 'Orders-ü',
    brokerName: `room${Math.floor(i / perBroker) + 1}@broker${Math.floor(i / perBroker)}`,
    queueId: i % perBroker,
  }))

const text = (queue: MessageQueue) => `${queue.brokerName}:${queue.queueId}`

describe('a Java member and ours in one group come to the same split', () => {
  // Made by Apache RocketMQ 5.5.0's own classes: strategy|brokers|queues per broker|members|client id|queues.
  const lines = readFileSync(new URL('./golden/allocation-5.5.0.txt', import.meta.url), 'utf8')
    .trim()
    .split('\n')
  const membersOf = new Map<string, string[]>()
  for (const line of lines) {
    const [name, brokers, perBroker, count, clientId] = line.split('|') as [string, string, string, string, string]
    const key = [name, brokers, perBroker, count].join('|')
    membersOf.set(key, [...(membersOf.get(key) ?? []), clientId])
  }

  for (const name of Object.keys(strategies)) {
    it(name, () => {
      const own = lines.filter((line) => line.startsWith(`${name}|`))
      expect(own.length).toBeGreaterThan(50)
      for (const line of own) {
        const [, brokers, perBroker, count, clientId, expected] = line.split('|') as [string, string, string, string, string, string]
        const clientIds = membersOf.get([name, brokers, perBroker, count].join('|')) as string[]
        const queues = queuesOf(Number(brokers), Number(perBroker))
        const mine = (strategies[name] as AllocationStrategy).allocate({ group: 'g', clientId, queues, clientIds })
        expect(`${clientId} of ${count}: ${mine.map(text).join(',')}`).toBe(`${clientId} of ${count}: ${expected}`)
      }
    })
  }
})

describe('each queue has exactly one owner', () => {
  const shapes = fc.record({
    brokers: fc.integer({ min: 1, max: 2 }),
    perBroker: fc.integer({ min: 1, max: 20 }),
    members: fc.uniqueArray(fc.string({ minLength: 1, maxLength: 12 }), { minLength: 1, maxLength: 15 }),
  })
  for (const [name, strategy] of Object.entries(strategies)) {
    it(name, () => {
      fc.assert(
        fc.property(shapes, ({ brokers, perBroker, members }) => {
          const clientIds = members.map((member, i) => `room${(i % 2) + 1}-${member}`).sort()
          const queues = queuesOf(brokers, perBroker)
          const owned = clientIds.flatMap((clientId) => strategy.allocate({ group: 'g', clientId, queues, clientIds }))
          expect(owned.map(text).sort()).toEqual(queues.map(text).sort())
        }),
      )
    })
  }

  it('a client that the broker does not list yet takes nothing, and so does one without queues', () => {
    for (const strategy of Object.values(strategies)) {
      expect(strategy.allocate({ group: 'g', clientId: 'room1-x', queues: queuesOf(1, 4), clientIds: ['room1-y'] })).toEqual([])
      expect(strategy.allocate({ group: 'g', clientId: 'room1-x', queues: [], clientIds: ['room1-x'] })).toEqual([])
    }
  })

  it('CONFIG gives the fixed list, whoever asks', () => {
    const fixed = queuesOf(1, 2)
    expect(byConfig(fixed).allocate({ group: 'g', clientId: 'x', queues: [], clientIds: [] })).toEqual(fixed)
  })
})
