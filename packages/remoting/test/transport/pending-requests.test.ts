import type { Clock } from '@skylarkmq/runtime'
import { describe, expect, it } from 'vitest'
import type { Frame } from '../../src/protocol/index.ts'
import { PendingRequests } from '../../src/transport/pending-requests.ts'
import { Echo } from './harness.ts'

/** A clock that the test moves: a timer fires when the test says so, however late. */
function handClock() {
  const hand = {
    nowMs: 0,
    timers: [] as { atMs: number; task: () => void }[],
    turns: [] as (() => void)[],
    clock: {
      monotonic: () => hand.nowMs,
      after: (ms: number, task: () => void) => {
        const timer = { atMs: hand.nowMs + ms, task }
        hand.timers.push(timer)
        return { cancel: () => void (hand.timers = hand.timers.filter((one) => one !== timer)) }
      },
      afterTurn: (task: () => void) => void hand.turns.push(task),
    } as unknown as Clock,
    fire: (atMs: number) => {
      hand.nowMs = atMs
      const due = hand.timers.filter((timer) => timer.atMs <= atMs)
      hand.timers = hand.timers.filter((timer) => timer.atMs > atMs)
      for (const { task } of due) task()
    },
  }
  return hand
}

const waitingUntil = (deadlineMs: number, ended: string[], name: string) => ({
  command: Echo,
  deadlineMs,
  resolve: () => void ended.push(`${name} answered`),
  reject: (error: Error) => void ended.push(`${name} ${error.message}`),
  onTimeout: () => new Error('late'),
})

describe('requests that wait', () => {
  it('a process that stood still for seconds takes the answers that lie in its sockets before it calls the rest late', () => {
    const hand = handClock()
    const pending = new PendingRequests(hand.clock)
    const ended: string[] = []
    for (const name of ['a', 'b']) pending.add(pending.nextOpaque(), waitingUntil(1000, ended, name))
    hand.fire(9000)
    expect(ended).toEqual([])
    pending.take(1)?.resolve({} as Frame)
    for (const turn of hand.turns) turn()
    expect(ended).toEqual(['a answered', 'b late'])
  })

  it('ten thousand requests have one timer', () => {
    const hand = handClock()
    const pending = new PendingRequests(hand.clock)
    const ended: string[] = []
    for (let i = 0; i < 10_000; i++) pending.add(pending.nextOpaque(), waitingUntil(1000 + (i % 7), ended, 'r'))
    expect(hand.timers).toHaveLength(1)
    for (let atMs = 1000; atMs < 1020; atMs++) hand.fire(atMs)
    expect(ended).toHaveLength(10_000)
    expect(hand.timers).toHaveLength(0)
  })

  it('opaque numbers never are 0 and never those of a request that still waits', () => {
    const pending = new PendingRequests(handClock().clock)
    expect([pending.nextOpaque(), pending.nextOpaque()]).toEqual([1, 2])
    pending.add(3, waitingUntil(1000, [], 'x'))
    expect(pending.nextOpaque()).toBe(4)
  })
})
