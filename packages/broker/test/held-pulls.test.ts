import type { ServerConnection } from '@skylarkmq/remoting'
import { simRuntime } from '@skylarkmq/runtime/sim'
import { expect, test } from 'vitest'
import { LIMITS } from '../src/limits.ts'
import { HeldPulls } from '../src/pull/held-pulls.ts'

const connection = (name: string): ServerConnection => ({ address: name, isClosed: false }) as unknown as ServerConnection

test('so many wait for one queue and no more; the other queues do not suffer', () => {
  const { clock } = simRuntime(1)
  const held = new HeldPulls(clock)
  const pull = { topic: 't', queueId: 0, offset: 0, filter: undefined, connection: connection('a'), answer() {} }
  for (let i = 0; i < LIMITS.heldPullsPerQueue; i++) expect(held.hold(pull, 1000)).toBe(true)
  expect(held.hold(pull, 1000)).toBe(false)
  expect(held.hold({ ...pull, queueId: 1 }, 1000)).toBe(true)
  held.drop(pull.connection)
  expect(held.size).toBe(0)
})

test('each waiter is answered exactly once, whatever comes first: a message, its time, the end', async () => {
  const { clock, world } = simRuntime(1)
  const held = new HeldPulls(clock)
  const answered: string[] = []
  const add = (name: string, offset: number, ms: number, filter?: (code: number) => boolean) =>
    held.hold({ topic: 't', queueId: 0, offset, filter, connection: connection(name), answer: () => answered.push(name) }, ms)
  add('message', 5, 1000)
  add('filtered', 5, 1000, (code) => code === 7)
  add('ahead', 9, 500)
  add('end', 9, 5000)
  held.arrived('t', 0, 5, 7)
  expect(answered).toEqual([])
  held.arrived('t', 0, 6, 8)
  expect(answered).toEqual(['message'])
  // Two came: what the first one's tag is, nobody says.
  held.arrived('t', 0, 7, 8)
  expect(answered).toEqual(['message', 'filtered'])
  await world.run(2000)
  expect(answered).toEqual(['message', 'filtered', 'ahead'])
  held.close()
  held.close()
  expect(answered).toEqual(['message', 'filtered', 'ahead', 'end'])
  expect(held.size).toBe(0)
})

test('in whatever order waiters come and go, those that stay are woken by their own queue, and nobody twice', async () => {
  const { clock, random, world } = simRuntime(7)
  const held = new HeldPulls(clock)
  const connections = Array.from({ length: 5 }, (_, i) => connection(`c${i}`))
  const waiting = new Map<number, { topic: string; queueId: number; offset: number; connection: ServerConnection; endsAt: number }>()
  const gone = (matches: (pull: { topic: string; queueId: number; offset: number; connection: ServerConnection }) => boolean) => {
    for (const [id, pull] of [...waiting]) if (matches(pull)) waiting.delete(id)
  }
  const answered: number[] = []
  const pick = (below: number) => random.integer(below)
  for (let id = 0; id < 3000; id++) {
    const pull = { topic: `t${pick(2)}`, queueId: pick(3), offset: pick(4), connection: connections[pick(5)] as ServerConnection }
    const ms = 1 + pick(200)
    held.hold({ ...pull, filter: undefined, answer: () => answered.push(id) }, ms)
    waiting.set(id, { ...pull, endsAt: clock.monotonic() + ms })
    const [topic, queueId, maxOffset] = [`t${pick(2)}`, pick(3), pick(5)]
    const before = new Set(waiting.keys())
    answered.length = 0
    let isDropped = false
    switch (pick(12)) {
      case 0:
        held.arrived(topic, queueId, maxOffset, 0)
        gone((one) => one.topic === topic && one.queueId === queueId && one.offset < maxOffset)
        break
      case 1:
        held.wakeQueue(topic, queueId)
        gone((one) => one.topic === topic && one.queueId === queueId)
        break
      case 2:
        isDropped = true
        held.drop(pull.connection)
        gone((one) => one.connection === pull.connection)
        break
      case 3:
        held.wakeTopic(topic)
        gone((one) => one.topic === topic)
        break
      case 4: {
        await world.run(10)
        const now = clock.monotonic()
        for (const [each, { endsAt }] of [...waiting]) if (endsAt <= now) waiting.delete(each)
        break
      }
    }
    const left = [...before].filter((each) => !waiting.has(each))
    expect(answered.sort((a, b) => a - b)).toEqual(isDropped ? [] : left)
    expect(held.size).toBe(waiting.size)
  }
})
