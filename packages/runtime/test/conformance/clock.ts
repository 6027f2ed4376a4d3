import type { Clock } from '@skylarkmq/runtime'
import { describe, expect, it } from 'vitest'
import type { Await } from './harness.ts'
import { deferred } from './harness.ts'

export const clockConformance = (name: string, make: () => { clock: Clock; wait: Await }): void => {
  describe(`${name} clock`, () => {
    it('tells whole milliseconds since the epoch', () => {
      const { clock } = make()
      expect(Number.isInteger(clock.now())).toBe(true)
      expect(clock.now()).toBeGreaterThan(Date.UTC(2024, 0))
    })

    it('moves on while somebody sleeps, and never back', async () => {
      const { clock, wait } = make()
      const before = clock.monotonic()
      await wait(clock.sleep(5))
      // A timer may fire a fraction early on the other clock.
      expect(clock.monotonic() - before).toBeGreaterThan(3)
    })

    it('runs tasks in the order of their times, not of their planning', async () => {
      const { clock, wait } = make()
      const order: string[] = []
      const done = deferred()
      clock.after(40, () => {
        order.push('late')
        done.resolve()
      })
      clock.after(1, () => order.push('early'))
      await wait(done.promise)
      expect(order).toEqual(['early', 'late'])
    })

    it('never runs what was cancelled, however often one cancels', async () => {
      const { clock, wait } = make()
      let ran = 0
      const timer = clock.after(1, () => ran++)
      timer.cancel()
      timer.cancel()
      await wait(clock.sleep(10))
      expect(ran).toBe(0)
    })

    it('awaits a run before it plans the next', async () => {
      const { clock, wait } = make()
      let running = 0
      let most = 0
      let runs = 0
      const done = deferred()
      const timer = clock.every(1, async () => {
        most = Math.max(most, ++running)
        await clock.sleep(5)
        running--
        if (++runs === 3) done.resolve()
      })
      await wait(done.promise)
      timer.cancel()
      expect(most).toBe(1)
    })

    it('stops repeating when a run cancels its own timer', async () => {
      const { clock, wait } = make()
      let runs = 0
      const timer = clock.every(1, () => {
        runs++
        timer.cancel()
      })
      await wait(clock.sleep(20))
      expect(runs).toBe(1)
    })

    it('wakes a sleeper who is aborted, with the reason that was given', async () => {
      const { clock, wait } = make()
      const controller = new AbortController()
      const reason = new Error('closing')
      const sleep = clock.sleep(3_600_000, controller.signal)
      clock.after(1, () => controller.abort(reason))
      await expect(wait(sleep)).rejects.toBe(reason)
      await expect(wait(clock.sleep(1, controller.signal))).rejects.toBe(reason)
    })

    it('does not fire a timer of more than 24.8 days at once', async () => {
      const { clock, wait } = make()
      let fired = false
      const timer = clock.after(2 ** 31 + 1000, () => {
        fired = true
      })
      await wait(clock.sleep(10))
      timer.cancel()
      expect(fired).toBe(false)
    })

    it('runs end-of-turn tasks in order, each after the promises of the one before', async () => {
      const { clock, wait } = make()
      const order: string[] = []
      const done = deferred()
      clock.afterTurn(() => {
        order.push('first')
        void Promise.resolve().then(() => order.push('promise of the first'))
      })
      clock.afterTurn(() => {
        order.push('second')
        done.resolve()
      })
      order.push('this turn')
      await wait(done.promise)
      expect(order).toEqual(['this turn', 'first', 'promise of the first', 'second'])
    })
  })
}
