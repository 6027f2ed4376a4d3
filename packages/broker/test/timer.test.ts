import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  DeleteTopicInBroker,
  GetTimerCheckPoint,
  GetTimerMetrics,
  ListScheduledMessages,
  SendBatchMessage,
  encodeClientBatch,
} from '@skylarkmq/remoting/protocol'
import { textOf } from './support.ts'
import { TIMER_TOPIC, timerScene } from './timer-support.ts'
import type { TimerScene } from './timer-support.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

let timers: TimerScene
beforeEach(async () => {
  timers = await timerScene()
})
afterEach(() => timers.scene.close())

const run = (ms: number) => timers.scene.world.run(ms)
const jump = (ms: number) => timers.scene.world.node('broker').clock.jump(ms)
const send = (body: string, properties: Record<string, string>, queueId = 0) =>
  timers.client().send('orders', body, { queueId }, properties)
const at = (ms: number) => ({ TIMER_DELIVER_MS: String(Math.floor(timers.now() + ms)) })

describe('a message with a time of its own', () => {
  test('comes at its time, whichever way the time is given, and tells how it waited', async () => {
    const start = timers.now()
    const wishes = {
      seconds: { TIMER_DELAY_SEC: '7' },
      milliseconds: { TIMER_DELAY_MS: '4321' },
      moment: { TIMER_DELIVER_MS: String(start + 9_876) },
      aliyun: { __STARTDELIVERTIME: String(start + 2_500) },
    }
    for (const [body, properties] of Object.entries(wishes)) {
      expect(await send(body, { ...properties, TAGS: 't' }, 2)).toMatchObject({ code: 0 })
    }
    const sentBy = timers.now()
    await run(2_000)
    expect(await timers.bodies()).toEqual([])
    await run(9_000)
    const messages = await timers.stored()
    const times = { aliyun: 2_500, milliseconds: 4_321, seconds: 7_000, moment: 9_876 }
    expect(messages.map(textOf)).toEqual(Object.keys(times))
    for (const message of messages) {
      const due = times[textOf(message) as keyof typeof times]
      expect(message.storeTimestamp).toBeGreaterThanOrEqual(start + due)
      expect(message.storeTimestamp).toBeLessThanOrEqual(sentBy + due + 10)
      expect(message.queueId).toBe(2)
      const { properties } = message
      expect(Object.fromEntries(properties)).toMatchObject({
        ...wishes[textOf(message) as keyof typeof wishes],
        REAL_TOPIC: 'orders',
        TAGS: 't',
      })
      expect(Number(properties.get('TIMER_DEQUEUE_MS'))).toBeGreaterThan(Number(properties.get('TIMER_ENQUEUE_MS')))
    }
  })

  test("that has passed goes to its topic at once; of several wishes Apache's order decides", async () => {
    await send('past', at(-1))
    await send('zero', { TIMER_DELAY_MS: '0' })
    await send('negative', { TIMER_DELAY_SEC: '-9223372036854775808' })
    expect(await timers.bodies()).toEqual(['past', 'zero', 'negative'])
    await send('seconds first', { TIMER_DELIVER_MS: '1', TIMER_DELAY_MS: '1', TIMER_DELAY_SEC: '3' })
    await send('level before all', { ...at(20_000), DELAY: '1' })
    await run(1_200)
    expect(await timers.bodies()).toEqual(['past', 'zero', 'negative', 'level before all'])
    await run(2_000)
    expect(await timers.bodies()).toContain('seconds first')
  })

  test('too far ahead is refused with the value and the limit; a year is not too far', async () => {
    const year = await send('a year', { TIMER_DELAY_SEC: String(366 * 86_400) })
    expect(year).toMatchObject({ code: 0 })
    for (const value of [401 * 86_400, 2 ** 31, 2 ** 53, '9223372036854775807']) {
      const answer = await send('later', { TIMER_DELAY_SEC: String(value) })
      expect(answer.code).toBe(13)
      expect(answer.remark).toMatch(
        /^timer message illegal, the delay time should not be bigger than the max delay 34560000000ms; TIMER_DELAY_SEC=/,
      )
      expect(answer.remark).toContain(String(value))
      expect(answer.remark).toContain('raise timerMaxDelaySec=34560000')
    }
    jump(366 * DAY_MS - 5_000)
    await run(3_000)
    expect(await timers.bodies()).toEqual([])
    await run(4_000)
    expect(await timers.bodies()).toEqual(['a year'])
  })

  test('that cannot be read is refused by name, and with timerWheelEnable=false each is', async () => {
    expect(await send('x', { TIMER_DELAY_MS: '1e3' })).toMatchObject({
      code: 13,
      remark: expect.stringContaining('TIMER_DELAY_MS=1e3 is no whole number'),
    })
    await send('before', { TIMER_DELAY_SEC: '5' })
    await timers.scene.restart({ timerWheelEnable: false })
    expect(await send('x', at(1000))).toMatchObject({ code: 1, remark: expect.stringContaining('timerWheelEnable is false') })
    await run(6_000)
    expect(await timers.bodies()).toEqual(['before'])
  })

  test('is not taken in a batch, whose other messages are not stored either', async () => {
    const batch = encodeClientBatch([
      { flag: 0, body: Buffer.from('a'), properties: Buffer.from('') },
      { flag: 0, body: Buffer.from('b'), properties: Buffer.from('TIMER_DELIVER_MS\u00019999999999999\u0002') },
    ])
    const header = {
      producerGroup: 'pg',
      topic: 'orders',
      defaultTopic: 'TBW102',
      defaultTopicQueueNums: 4,
      queueId: 0,
      sysFlag: 0,
      bornTimestamp: 0,
      flag: 0,
      batch: true,
    }
    const answer = await timers.client().invoke(SendBatchMessage, header, batch)
    expect(answer).toMatchObject({ code: 13, remark: expect.stringContaining('message 2 of the batch has the property TIMER_DELIVER_MS') })
    expect(await timers.bodies()).toEqual([])
  })

  test('that was delivered and is sent on as it is does not wait again', async () => {
    await send('hop', { TIMER_DELAY_SEC: '5' })
    await run(6_000)
    const [first] = await timers.stored()
    await timers.client().send('orders', 'hop', {}, Object.fromEntries(first!.properties))
    expect(await timers.bodies()).toEqual(['hop', 'hop'])
  })

  test('does not come into a topic that was deleted meanwhile', async () => {
    await send('orphan', { TIMER_DELAY_SEC: '5' })
    await send('level', { DELAY: '1' })
    await timers.client().invoke(DeleteTopicInBroker, { topic: 'orders' })
    await run(6_000)
    expect([await timers.bodies(), await timers.scene.broker.store.queues().get('orders')]).toEqual([[], undefined])
  })
})

describe('whatever happens meanwhile', () => {
  test.each(['kill', 'crash'] as const)('a broker that dies (%s) and starts again delivers each message once', async (how) => {
    timers = await timerScene({ flushDiskType: 'SYNC_FLUSH' })
    for (const seconds of [2, 5, 9]) await send(`${seconds}`, { TIMER_DELAY_SEC: String(seconds) })
    await run(2_500)
    await timers.die(how)
    expect(await timers.bodies()).toEqual(['2'])
    await timers.die(how, 'lose')
    await run(3_500)
    expect(await timers.bodies()).toEqual(['2', '5'])
    await timers.die(how, 'lose')
    await run(5_000)
    expect(await timers.bodies()).toEqual(['2', '5', '9'])
  })

  test('a clean restart goes on where it was; what fell due while the broker was down comes at its start', async () => {
    for (const seconds of [1, 30, 60]) await send(`${seconds}`, { TIMER_DELAY_SEC: String(seconds) })
    await run(1_500)
    await timers.scene.world.until(timers.scene.broker.close())
    await run(30_000)
    await timers.scene.restart()
    await run(100)
    expect(await timers.bodies()).toEqual(['1', '30'])
    await run(30_000)
    expect(await timers.bodies()).toEqual(['1', '30', '60'])
  })

  test('a wall clock that is set forward brings messages soon; set back, it makes them wait for their time', async () => {
    await send('noon', at(12 * HOUR_MS))
    await send('evening', at(18 * HOUR_MS))
    jump(12 * HOUR_MS)
    await run(1_100)
    expect(await timers.bodies()).toEqual(['noon'])
    jump(-10 * HOUR_MS)
    await send('soon', at(2_000))
    await run(5_000)
    expect(await timers.bodies()).toEqual(['noon', 'soon'])
    jump(16 * HOUR_MS)
    await run(1_100)
    expect(await timers.bodies()).toEqual(['noon', 'soon', 'evening'])
  })

  test('a delay level is not kept waiting by a clock that is set forward either', async () => {
    await send('level', { DELAY: '3' })
    jump(HOUR_MS)
    await run(1_100)
    expect(await timers.bodies()).toEqual(['level'])
  })

  test.each([
    ['time', { fileReservedTime: 1, deleteWhen: Array.from({ length: 24 }, (_, hour) => hour).join(';') }],
    ['size', { retentionBytes: 200_000 }],
  ])('a message outlives the part of the log that it was stored in, which is kept by %s', async (_, config) => {
    timers = await timerScene({ ...config, mappedFileSizeCommitLog: 64 * 1024 })
    const { store } = timers.scene.broker
    await send('patient', at(5 * HOUR_MS))
    const [record] = await timers.stored(TIMER_TOPIC)
    for (let hour = 0; hour < 4; hour++) {
      for (let i = 0; i < 6; i++) await timers.client().send('noise', Buffer.alloc(30_000), {})
      jump(HOUR_MS)
      await run(80_000)
    }
    expect(store.minPhysicalOffset).toBeGreaterThan(record!.physicalOffset)
    await timers.die('kill', 'lose')
    expect(await timers.bodies()).toEqual([])
    // The new life of a simulated computer has the right time again.
    jump(5 * HOUR_MS)
    await run(2_000)
    const [message, ...others] = await timers.stored()
    expect([textOf(message!), others]).toEqual(['patient', []])
    expect(Number(message!.properties.get('TIMER_ROLL_TIMES'))).toBeGreaterThan(1)
    expect(message!.bornTimestamp).toBe(record!.bornTimestamp)
  })

  test('a topic that a crash forgot before its first message was in it can be consumed', async () => {
    await send('first', { TIMER_DELAY_SEC: '3' }, 3)
    timers.scene.metadata.delete('topics', 'orders')
    await timers.die('kill')
    await run(4_000)
    const answer = await timers.client().pull('orders', { queueId: 3 })
    expect(answer.code).toBe(0)
  })
})

describe('what waits', () => {
  test('is told per topic, and one by one', async () => {
    for (const i of [3, 1, 2]) await send(`m${i}`, { TIMER_DELAY_SEC: String(i * 100), KEYS: `k${i}` })
    await timers.client().send('bills', 'b', {}, { TIMER_DELAY_SEC: '50' })
    await run(100)
    const json = (answer: { body: Uint8Array }) => JSON.parse(Buffer.from(answer.body).toString())
    const metrics = json(await timers.client().invoke(GetTimerMetrics, {}))
    expect(metrics.timingCount).toMatchObject({ orders: { count: 3 }, bills: { count: 1 } })
    const checkpoint = (await timers.client().invoke(GetTimerCheckPoint, {})).body
    expect([checkpoint.length, Buffer.from(checkpoint).readBigInt64BE(16)]).toEqual([56, 4n])

    const first = json(await timers.client().invoke(ListScheduledMessages, { topic: 'orders', max: 2 }))
    expect(first.messages).toMatchObject([{ topic: 'orders', keys: 'k1' }, { keys: 'k2' }])
    expect(first.messages[0].deliverAtMs).toBeGreaterThan(timers.now())
    const rest = json(await timers.client().invoke(ListScheduledMessages, { topic: 'orders', max: 2, ...first.next }))
    expect([rest.messages.map(({ keys }: { keys: string }) => keys), rest.next]).toEqual([['k3'], undefined])
    expect(await timers.client().invoke(ListScheduledMessages, { max: 5000 })).toMatchObject({
      remark: expect.stringContaining('max=5000'),
    })
  })
})
