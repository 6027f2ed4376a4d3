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
