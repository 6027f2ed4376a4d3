import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { formatRecallHandle, parseRecallHandle } from '../src/timer/recall-handle.ts'
import { recall, timerScene } from './timer-support.ts'
import type { TimerScene } from './timer-support.ts'

const TOO_LATE = { code: 604, remark: expect.stringMatching(/^recall failed, timestamp invalid/) }

let timers: TimerScene
beforeEach(async () => {
  timers = await timerScene()
})
afterEach(() => timers.scene.close())

const run = (ms: number) => timers.scene.world.run(ms)
/** The handle that the answer names. */
async function schedule(body: string, seconds: number, properties: Record<string, string> = {}, topic = 'orders'): Promise<string> {
  const answer = await timers.client().send(topic, body, {}, { TIMER_DELAY_SEC: String(seconds), ...properties })
  return answer.header().recallHandle as string
}

describe('a recall', () => {
  test('keeps a message from coming, and no other of the same second', async () => {
    const handle = await schedule('wrong', 5)
    await schedule('right', 5)
    const answer = await recall(timers.client(), 'orders', handle)
    const named = parseRecallHandle(handle)
    expect(answer).toMatchObject({ code: 0 })
    expect(answer.header()).toEqual({ msgId: 'uniqKey' in named ? named.uniqKey : '' })
    await run(7_000)
    expect(await timers.bodies()).toEqual(['right'])
  })

  test('names the region in its answer, granted or refused: Java clients do not trace it otherwise', async () => {
    const handle = await schedule('gone', 5)
    for (const wanted of [handle, 'no handle']) {
      expect((await recall(timers.client(), 'orders', wanted)).ext).toMatchObject({ MSG_REGION: 'DefaultRegion' })
    }
  })

  test('concerns one topic, also when a producer gave the same unique key twice', async () => {
    await schedule('keep', 5, { UNIQ_KEY: 'same' }, 'bills')
    const handle = await schedule('drop', 5, { UNIQ_KEY: 'same' })
    await recall(timers.client(), 'orders', handle)
    await run(7_000)
    expect([await timers.bodies('orders'), await timers.bodies('bills')]).toEqual([[], ['keep']])
  })

  test('is in force across a crash that comes right after its answer, even when the list is lost', async () => {
    timers = await timerScene({ flushDiskType: 'SYNC_FLUSH' })
    const handle = await schedule('never', 5)
    await schedule('comes', 5)
    expect(await recall(timers.client(), 'orders', handle)).toMatchObject({ code: 0 })
    await timers.die('crash', 'lose')
    await run(7_000)
    expect(await timers.bodies()).toEqual(['comes'])
  })

  test('may be repeated by a client that missed the answer; once the time has come it is told that it is too late', async () => {
    const handle = await schedule('gone', 5)
    expect(await recall(timers.client(), 'orders', handle)).toMatchObject({ code: 0 })
    expect(await recall(timers.client(), 'orders', handle)).toMatchObject({ code: 0 })
    const late = await schedule('delivered', 5)
    await run(7_000)
    expect(await recall(timers.client(), 'orders', late)).toMatchObject(TOO_LATE)
    expect(await timers.bodies()).toEqual(['delivered'])
  })

  test.each(['a kill', 'the clock being set right'])(
    'of a message that came by a clock that ran ahead is too late, also after %s',
    async (what) => {
      const handle = await schedule('came', 30)
      const { clock } = timers.scene.world.node('broker')
      clock.jump(60_000)
      while ((await timers.bodies()).length === 0) await run(10)
      expect(await timers.bodies()).toEqual(['came'])
      if (what === 'a kill') await timers.die('kill')
      else {
        await run(2_000)
        clock.jump(-60_000)
      }
      expect(await recall(timers.client(), 'orders', handle)).toMatchObject(TOO_LATE)
      await run(35_000)
      expect(await timers.bodies()).toEqual(['came'])
    },
  )

  test('that is no good is told why', async () => {
    const handle = await schedule('x', 50)
    await timers.client().send('bills', 'b')
    const parsed = parseRecallHandle(handle)
    if (!('uniqKey' in parsed)) throw new Error('the handle is none')
    const remark = async (topic: string, text: string) => (await recall(timers.client(), topic, text)).remark
    expect(await remark('none', handle)).toBe('recall failed, the topic[none] not exist; name the one that the message was sent to')
    expect(await remark('bills', handle)).toMatch(/^recall failed, topic not match: the handle is of topic "orders"/)
    expect(await remark('orders', 'rubbish!')).toMatch(/^recall handle is invalid/)
    expect(await remark('orders', Buffer.from('v2 a b 1 c').toString('base64'))).toMatch(/^recall handle is invalid/)
    expect(await remark('orders', formatRecallHandle({ ...parsed, brokerName: 'other' }))).toMatch(
      /^recall failed, broker service not available/,
    )
    await timers.scene.restart({ recallMessageEnable: false })
    expect(await recall(timers.client(), 'orders', handle)).toMatchObject({
      code: 16,
      remark: expect.stringMatching(/^recall failed, operation is forbidden/),
    })
  })

  test("has a handle in Apache's form, and only messages with a time of their own have one", async () => {
    const handle = await schedule('x', 50)
    expect(Buffer.from(handle, 'base64url').toString()).toMatch(/^v1 orders broker-a \d{10}001 \S+$/)
    const plain = await timers.client().send('orders', 'now')
    const level = await timers.client().send('orders', 'level', {}, { DELAY: '1' })
    expect([plain.header().recallHandle, level.header().recallHandle]).toEqual([undefined, undefined])
  })

  test.each(['k1', 'orders+k1'])('may be sent as a message (%s), as producers of Apache 5.0 do', async (recalled) => {
    const deliverAt = String(timers.now() + 5_500)
    await timers.client().send('orders', 'x', {}, { TIMER_DELIVER_MS: deliverAt, UNIQ_KEY: 'k1' })
    await timers.client().send('orders', '0', {}, { TIMER_DELIVER_MS: deliverAt, TIMER_DEL_UNIQKEY: recalled })
    const past = await timers.client().send('orders', '0', {}, { TIMER_DELIVER_MS: '1', TIMER_DEL_UNIQKEY: 'orders+k1' })
    expect(past).toMatchObject({ code: 13, remark: expect.stringContaining('if set del msg') })
    await run(8_000)
    expect(await timers.bodies()).toEqual([])
  })
})
