import { expect, test } from 'vitest'
import type { Stored } from '../src/evidence.ts'
import { excuseForLeavingOut } from '../src/excuses.ts'
import { handledKey, History } from '../src/history.ts'
import type { Sent } from '../src/history.ts'

const PLACE = { brokerName: 'broker-a', topic: 'orders', queueId: 0, queueOffset: 7 }

/** `late` lies at the place; the group has handled `handled` there, and the disk has lost `lost` there. */
function excuse({ handled = 'early', lost = 'early', lostAtMs = 10 }): string | undefined {
  let nowMs = lostAtMs
  const history = new History(() => nowMs)
  history.loses({ ...PLACE, cause: 'bit-flip', position: 0, id: lost, retryOf: undefined, recalls: undefined, wasSynced: true })
  nowMs = 30
  history.handled.set(handledKey({ group: 'ledger', ...PLACE }), [{ atMs: 5, id: handled }])
  history.sent.set('late', { id: 'late', topic: 'orders', atMs: 15, ack: { ...PLACE, atMs: 20 } } as unknown as Sent)
  const stored = [{ ...PLACE, id: 'late' } as unknown as Stored]
  return excuseForLeavingOut({ history, plan: { flush: 'sync', segmentBytes: 65_536 }, stored }, 'late', 'ledger')
}

test('a message may be left out when its place was another’s, which the group had consumed and rot has taken before', () => {
  expect(excuse({})).toBe('the group had consumed another message at its place, which was lost')
})

test.each([
  ['the group has consumed something else there, which nobody lost', { handled: 'other' }],
  ['what was lost there is what the group has not consumed', { lost: 'other' }],
  ['that one was lost when the message had been acknowledged already', { lostAtMs: 25 }],
])('not when %s', (_when, how) => {
  expect(excuse(how)).toBeUndefined()
})
