import { afterEach, describe, expect, test } from 'vitest'
import { SCHEDULE_TOPIC } from '@skylarkmq/remoting/protocol'
import { COMMIT, ROLLBACK, end, sendHalf } from './transaction-support.ts'
import { TIMER_TOPIC, timerScene } from './timer-support.ts'
import type { TimerScene } from './timer-support.ts'

const HOUR_MS = 3_600_000
const EVERY_HOUR = Array.from({ length: 24 }, (_, hour) => hour).join(';')

let timers: TimerScene
afterEach(() => timers.scene.close())
const run = (ms: number) => timers.scene.world.run(ms)

describe('a delivery that is not on disk yet', () => {
  test.each([
    ['a time of its own', { TIMER_DELAY_SEC: '3' }],
    ['a delay level', { DELAY: '2' }],
  ])('may be lost with the power, the message may not (%s): it comes again', async (_, properties) => {
    timers = await timerScene({ flushDiskType: 'ASYNC_FLUSH' })
    const sent: string[] = []
    let lost = 0
    // What a loss of power does to unsynced writes differs from one to the next.
    while (lost < 2 && sent.length < 30) {
      const body = `m${sent.length}`
      sent.push(body)
      await timers.client().send('orders', body, {}, properties)
      await run(1_000)
      while (!(await timers.bodies()).includes(body)) await run(10)
      await timers.die('crash')
      if (!(await timers.bodies()).includes(body)) lost++
    }
    expect(lost).toBe(2)
    await run(6_000)
    expect((await timers.bodies()).sort()).toEqual(sent.sort())
  })
})

test('a list that knows of messages which the log lost with the power is derived again', async () => {
  timers = await timerScene({ flushDiskType: 'ASYNC_FLUSH' })
  const kept: string[] = []
  let lost = 0
  for (let i = 0; lost < 2 && i < 30; i++) {
    await timers.client().send('orders', `m${i}`, {}, { TIMER_DELAY_SEC: '60' })
    await run(20)
    await timers.die('crash')
    const inLog = (await timers.bodies(TIMER_TOPIC)).includes(`m${i}`)
    if (inLog) kept.push(`m${i}`)
    else lost++
  }
  expect(lost).toBe(2)
  await timers.client().send('orders', 'another in its place', {}, { TIMER_DELAY_SEC: '70' })
  await run(65_000)
  expect((await timers.bodies()).sort()).toEqual(kept.sort())
  await run(10_000)
  expect((await timers.bodies()).sort()).toEqual([...kept, 'another in its place'].sort())
})

test('the log is not cut before a delayed message that it keeps longer than its time', async () => {
  timers = await timerScene({ messageDelayLevel: '3h', fileReservedTime: 1, deleteWhen: EVERY_HOUR, mappedFileSizeCommitLog: 64 * 1024 })
  const { store } = timers.scene.broker
  for (let i = 0; i < 3; i++) await timers.client().send('noise', Buffer.alloc(30_000))
  await timers.client().send('orders', 'patient', {}, { DELAY: '1' })
  const [record] = await timers.stored(SCHEDULE_TOPIC)
  const jump = (ms: number) => timers.scene.world.node('broker').clock.jump(ms)
  for (let hour = 0; hour < 2; hour++) {
    for (let i = 0; i < 3; i++) await timers.client().send('noise', Buffer.alloc(30_000))
    jump(HOUR_MS + 1)
    await run(30_000)
  }
  expect(store.minPhysicalOffset).toBeGreaterThan(0)
  expect(store.minPhysicalOffset).toBeLessThanOrEqual(record!.physicalOffset)
  jump(HOUR_MS)
  await run(2_000)
  expect(await timers.bodies()).toEqual(['patient'])
})

describe('a transaction whose message has a time of its own', () => {
  test('waits for its end, then for its time; a delay counts from the commit', async () => {
    timers = await timerScene()
    const half = await sendHalf(timers.client(), 'pay', { TIMER_DELAY_SEC: '10' })
    const dropped = await sendHalf(timers.client(), 'drop', { TIMER_DELAY_SEC: '10' })
    await run(4_000)
    await end(timers.client(), half, COMMIT)
    await end(timers.client(), dropped, ROLLBACK)
    await run(9_000)
    expect(await timers.bodies()).toEqual([])
    await run(1_500)
    expect(await timers.bodies()).toEqual(['pay'])
  })

  test('is scheduled once, though the broker dies after the commit and is told again', async () => {
    timers = await timerScene()
    const half = await sendHalf(timers.client(), 'pay', { TIMER_DELAY_SEC: '10' })
    await end(timers.client(), half, COMMIT)
    await timers.die('kill')
    expect(await end(timers.client(), half, COMMIT)).toMatchObject({ code: 0 })
    await run(1_000)
    expect(await timers.bodies(TIMER_TOPIC)).toEqual(['pay'])
    await run(15_000)
    expect(await timers.bodies()).toEqual(['pay'])
    expect(await end(timers.client(), half, ROLLBACK)).toMatchObject({ remark: expect.stringContaining('was committed already') })
  })

  test('that is too far ahead is refused before the work is done', async () => {
    timers = await timerScene({ timerMaxDelaySec: 60 })
    const properties = { TRAN_MSG: 'true', PGROUP: 'pg', TIMER_DELAY_SEC: '61' }
    expect(await timers.client().send('orders', 'x', {}, properties)).toMatchObject({
      code: 13,
      remark: expect.stringContaining('TIMER_DELAY_SEC=61'),
    })
  })
})
