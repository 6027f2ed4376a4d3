/** Locks for consuming in order: whatever clients do and however late, no queue ever has two owners. */
import fc from 'fast-check'
import { simRuntime } from '@skylarkmq/runtime/sim'
import { expect, test } from 'vitest'
import { LOCK_EXPIRY_MS, QueueLocks } from '../../src/groups/queue-locks.ts'

/** Clients trust a lock for half of the broker's time (RocketMQ 5.3 `ProcessQueue.REBALANCE_LOCK_MAX_LIVE_TIME`). */
const TRUST_MS = 30_000

const queues = [0, 1, 2].map((queueId) => ({ topic: 'orders', brokerName: 'broker-a', queueId }))
const queue = fc.nat(2).map((id) => queues[id] as (typeof queues)[number])
const clientId = fc.constantFrom('c1', 'c2', 'c3')
const event = fc.oneof(
  fc.record({ kind: fc.constant('lock' as const), clientId, queue }),
  fc.record({ kind: fc.constant('unlock' as const), clientId, queue }),
  fc.record({ kind: fc.constant('wait' as const), ms: fc.integer({ min: 1, max: LOCK_EXPIRY_MS * 1.5 }) }),
  fc.record({ kind: fc.constant('sweep' as const) }),
)

test('no queue is consumed by two clients at a time, and a free one is given to whoever asks', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(event, { maxLength: 60 }), async (events) => {
      const { world, clock } = simRuntime(1)
      const locks = new QueueLocks(clock)
      // What each client believes: until when the queue is its own.
      const believed = new Map<string, number>()
      const believers = (queueId: number) =>
        ['c1', 'c2', 'c3'].filter((client) => (believed.get(`${client}/${queueId}`) ?? -1) > clock.monotonic())
      for (const happening of events) {
        if (happening.kind === 'wait') await world.run(happening.ms)
        else if (happening.kind === 'sweep') locks.sweep()
        else if (happening.kind === 'unlock') {
          locks.unlock('g', happening.clientId, [happening.queue])
          believed.delete(`${happening.clientId}/${happening.queue.queueId}`)
        } else {
          const { clientId: by, queue: wanted } = happening
          const holder = locks.holder('g', wanted)
          const isGranted = locks.lock('g', by, [wanted]).length === 1
          expect(isGranted).toBe(holder === undefined || holder.clientId === by)
          if (isGranted) believed.set(`${by}/${wanted.queueId}`, clock.monotonic() + TRUST_MS)
        }
        for (const { queueId } of queues) expect(believers(queueId).length).toBeLessThanOrEqual(1)
      }
    }),
    { numRuns: 200 },
  )
})
