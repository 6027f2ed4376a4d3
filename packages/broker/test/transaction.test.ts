import { EndTransaction, HALF_TOPIC, OP_HALF_TOPIC, SYS_FLAG } from '@skylarkmq/remoting/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { messagesIn, startScene, textOf } from './support.ts'
import type { Scene, TestClient } from './support.ts'
import { COMMIT, ROLLBACK, allIn, bodiesIn, end, endHeader, producer, sendHalf } from './transaction-support.ts'

const PARKED = 'TRANS_CHECK_MAX_TIME_TOPIC'
let scene: Scene
let client: TestClient
beforeEach(async () => {
  scene = await startScene({ transactionTimeOut: 6000, transactionCheckInterval: 30_000, transactionCheckMax: 3 })
  client = scene.client('client')
})
afterEach(() => scene.close().catch(() => undefined))

const opBodies = async (): Promise<string[]> => (await allIn(client, OP_HALF_TOPIC)).map(textOf)
const kill = async (): Promise<void> => {
  scene.world.kill('broker')
  await scene.revive()
  client = scene.client(`client-${scene.world.nowMs}`)
}

describe('a half message', () => {
  test('is nobody’s to see until it is committed; then it comes with all that it was sent with', async () => {
    const half = await sendHalf(client, 'pay', { TAGS: 'vip', KEYS: 'k1', color: 'red' })
    expect(await bodiesIn(client)).toEqual([])
    expect((await end(client, half, COMMIT)).code).toBe(0)
    const [message] = messagesIn(await client.pull('orders', { subscription: 'vip' }))
    expect(textOf(message!)).toBe('pay')
    expect(message).toMatchObject({ preparedTransactionOffset: half.physicalOffset, bornTimestamp: 1_700_000_000_000 })
    expect(message!.sysFlag & SYS_FLAG.TRANSACTION_MASK).toBe(COMMIT)
    expect(Object.fromEntries(message!.properties)).toMatchObject({
      ...{ TRAN_MSG: 'true', REAL_TOPIC: 'orders', REAL_QID: '0', UNIQ_KEY: half.id },
      ...{ TAGS: 'vip', KEYS: 'k1', color: 'red', PGROUP: 'pg' },
    })
  })

  test('goes to the queue that was asked for', async () => {
    const answer = await client.send('orders', 'x', { queueId: 3 }, { TRAN_MSG: 'true', PGROUP: 'pg' })
    expect(answer.header()).toMatchObject({ queueId: 3, queueOffset: 0 })
    const second = await sendHalf(client, 'y')
    expect(second.queueOffset).toBe(1)
    await end(client, second, COMMIT)
    expect(await bodiesIn(client, 'orders', 0)).toEqual(['y'])
    expect(await bodiesIn(client, 'orders', 3)).toEqual([])
  })

  test('that is rolled back never comes, and cannot be committed any more', async () => {
    const half = await sendHalf(client, 'pay')
    expect((await end(client, half, ROLLBACK)).code).toBe(0)
    expect(await end(client, half, COMMIT)).toMatchObject({ code: 604, remark: expect.stringContaining('was rolled back already') })
    await scene.world.run(120_000)
    expect(await bodiesIn(client)).toEqual([])
  })

  test('is delivered once, however often it is committed, at the same time too', async () => {
    const half = await sendHalf(client, 'pay')
    const all = [1, 2, 3].map(() => client.ask(EndTransaction, endHeader(half, COMMIT)))
    expect((await scene.world.until(Promise.all(all))).map(({ code }) => code)).toEqual([0, 0, 0])
    expect((await end(client, half, COMMIT)).code).toBe(0)
    expect(await end(client, half, ROLLBACK)).toMatchObject({ code: 604, remark: expect.stringContaining('was committed already') })
    expect(await bodiesIn(client)).toEqual(['pay'])
  })

  test('whose producer does not know yet stays, and its broker answers nothing', async () => {
    const half = await sendHalf(client, 'pay')
    let isAnswered = false
    client.ask(EndTransaction, endHeader(half, 0)).then(
      () => (isAnswered = true),
      () => undefined,
    )
    await scene.world.run(5000)
    expect(isAnswered).toBe(false)
    await end(client, half, COMMIT)
    expect(await bodiesIn(client)).toEqual(['pay'])
  })
})

describe('an end that names the wrong thing is refused, and changes nothing', () => {
  test.each([
    ['another group', { producerGroup: 'thieves' }, 'The producer group wrong'],
    ['another place in the half queue', { tranStateTableOffset: 7 }, 'The transaction state table offset wrong'],
    ['the middle of a record', { commitLogOffset: 3 }, 'Find prepared transaction message failed'],
    ['a place before the log', { commitLogOffset: -1 }, 'Find prepared transaction message failed'],
    ['a place behind the log', { commitLogOffset: 9_000_000 }, 'Find prepared transaction message failed'],
  ])('%s', async (_name, forged, remark) => {
    const half = await sendHalf(client, 'pay')
    expect(await end(client, half, COMMIT, forged)).toMatchObject({ code: 1, remark: expect.stringMatching(`^${remark}`) })
    expect(await bodiesIn(client)).toEqual([])
    expect((await end(client, half, COMMIT)).code).toBe(0)
    expect(await bodiesIn(client)).toEqual(['pay'])
  })

  test('an ordinary message', async () => {
    const plain = (await client.send('orders', 'plain')).header()
    const physicalOffset = Number.parseInt(plain.msgId.slice(-8), 16)
    const refused = await end(client, { queueOffset: 0, physicalOffset, id: 'x' }, COMMIT)
    expect(refused).toMatchObject({ code: 1, remark: expect.stringMatching(/^Find prepared transaction message failed/) })
    expect(await bodiesIn(client)).toEqual(['plain'])
  })
})

describe('the op queue', () => {
  test('says in Apache’s words which half messages have ended: many in one message', async () => {
    const halves = []
    for (const body of ['a', 'b', 'c']) halves.push(await sendHalf(client, body))
    await scene.world.until(Promise.all(halves.map((half) => client.ask(EndTransaction, endHeader(half, COMMIT)))))
    await end(client, await sendHalf(client, 'd'), ROLLBACK)
    expect(await opBodies()).toEqual(['0,1,2,', '3,'])
    const [op] = await allIn(client, OP_HALF_TOPIC)
    expect(op!.properties.get('TAGS')).toBe('d')
  })
})

describe('over a restart', () => {
  test('nothing that has ended is asked about, and what has not still can be ended', async () => {
    const [a, b, c] = [await sendHalf(client, 'a'), await sendHalf(client, 'b'), await sendHalf(client, 'c')]
    await end(client, a, COMMIT)
    await end(client, b, ROLLBACK)
    await scene.restart()
    const { asked, client: asker } = await producer(scene, 'p1')
    client = asker
    await scene.world.run(31_000)
    expect(asked.map(({ message }) => textOf(message))).toEqual(['c'])
    expect((await end(client, a, COMMIT)).code).toBe(0)
    expect((await end(client, b, COMMIT)).code).toBe(604)
    expect((await end(client, c, COMMIT)).code).toBe(0)
    expect(await bodiesIn(client)).toEqual(['a', 'c'])
  })

  test('a crash between commit and op message delivers once, whether the producer asks again or is asked', async () => {
    for (const [i, body] of ['again', 'asked'].entries()) {
      const half = await sendHalf(client, body)
      const ops = scene.broker.store.maxOffset(OP_HALF_TOPIC, 0)
      client.ask(EndTransaction, endHeader(half, COMMIT)).catch(() => undefined)
      await scene.world.when(() => scene.broker.store.queryByKey('orders', half.id, { max: 9, beginMs: 0, endMs: 9e15 }).length > 0)
      expect(scene.broker.store.maxOffset(OP_HALF_TOPIC, 0)).toBe(ops)
      await kill()
      const { asked, client: asker } = await producer(scene, `p${i}`, () => COMMIT)
      client = asker
      if (body === 'again') expect((await end(client, half, COMMIT)).code).toBe(0)
      await scene.world.run(61_000)
      expect(asked).toEqual([])
    }
    expect(await bodiesIn(client)).toEqual(['again', 'asked'])
    expect(await opBodies()).toEqual(['0,', '1,'])
  })

  test('the number of checks goes on, and so does the search: the queues are not read from their beginning', async () => {
    await sendHalf(client, 'lost')
    await scene.world.run(61_000)
    await scene.restart()
    const { asked, client: asker } = await producer(scene, 'p1')
    client = asker
    await scene.world.run(61_000)
    expect(asked.map(({ message }) => message.properties.get('TRANSACTION_CHECK_TIMES'))).toEqual(['3'])
    expect(await bodiesIn(client, PARKED)).toEqual(['lost'])
    expect(JSON.parse(scene.metadata.get('kv', 'transactions')!)).toEqual({ half: 1, op: 1, checks: [] })
  })

  test('a full disk between commit and op message: the message is delivered once', async () => {
    const half = await sendHalf(client, 'pay')
    const { disk } = scene.world.node('broker')
    const ended = client.ask(EndTransaction, endHeader(half, COMMIT))
    await scene.world.when(() => scene.broker.store.queryByKey('orders', half.id, { max: 9, beginMs: 0, endMs: 9e15 }).length > 0)
    disk.failWrites(1, 'ENOSPC', (path) => path.includes('commitlog'))
    expect((await scene.world.until(ended)).code).toBe(0)
    expect(await opBodies()).toEqual([])
    await scene.world.run(61_000)
    expect((await end(client, half, COMMIT)).code).toBe(0)
    expect(await bodiesIn(client)).toEqual(['pay'])
  })
})

describe('a transaction that nobody ended', () => {
  test('is asked about after its time: the producer sees its message, and its answer counts', async () => {
    const { asked } = await producer(scene, 'p1', (body) => (body === 'yes' ? COMMIT : ROLLBACK))
    const yes = await sendHalf(client, 'yes', { color: 'red' })
    await sendHalf(client, 'no')
    await scene.world.run(29_000)
    expect(asked).toEqual([])
    await scene.world.run(2_000)
    expect(asked).toHaveLength(2)
    expect(asked[0]!.header).toMatchObject({
      ...{ tranStateTableOffset: 0, commitLogOffset: yes.physicalOffset, msgId: yes.id, transactionId: yes.id, topic: HALF_TOPIC },
    })
    expect(asked[0]!.message).toMatchObject({ topic: 'orders', queueId: 0, physicalOffset: yes.physicalOffset })
    expect(asked[0]!.message.properties.get('color')).toBe('red')
    expect(asked[0]!.message.properties.get('TRANSACTION_CHECK_TIMES')).toBe('1')
    await scene.world.run(60_000)
    expect(asked).toHaveLength(2)
    expect(await bodiesIn(client)).toEqual(['yes'])
  })

  test('is answered for by another of the group when its producer is gone, and by nobody of another group', async () => {
    const gone = await producer(scene, 'p1', () => COMMIT)
    const strangers = await producer(scene, 'p3', () => COMMIT, 'others')
    await sendHalf(gone.client, 'pay')
    scene.world.kill('p1')
    const other = await producer(scene, 'p2', () => COMMIT)
    await scene.world.run(31_000)
    expect([gone.asked.length, strangers.asked.length, other.asked.length]).toEqual([0, 0, 1])
    expect(await bodiesIn(client)).toEqual(['pay'])
  })

  test('is asked about in turn, one member each time', async () => {
    const one = await producer(scene, 'p1')
    const two = await producer(scene, 'p2')
    await sendHalf(client, 'pay')
    await scene.world.run(61_000)
    expect([one.asked.length, two.asked.length]).toEqual([1, 1])
  })

  test('is put aside after the last check; a commit that comes at last still delivers it, once', async () => {
    const { asked } = await producer(scene, 'p1')
    const half = await sendHalf(client, 'pay')
    await scene.world.run(200_000)
    expect(asked).toHaveLength(3)
    expect(await bodiesIn(client, PARKED)).toEqual(['pay'])
    expect(await bodiesIn(client)).toEqual([])
    expect((await end(client, half, COMMIT)).code).toBe(0)
    expect((await end(client, half, COMMIT)).code).toBe(0)
    expect(await bodiesIn(client)).toEqual(['pay'])
  })

  test('has the immunity that its sender gave it; after that only the answer to a check counts', async () => {
    const { asked } = await producer(scene, 'p1', () => COMMIT)
    const half = await sendHalf(client, 'slow', { CHECK_IMMUNITY_TIME_IN_SECONDS: '50' })
    await sendHalf(client, 'usual')
    await scene.world.run(31_000)
    expect(asked.map(({ message }) => textOf(message))).toEqual(['usual'])
    await scene.world.run(20_000)
    expect(await end(client, half, ROLLBACK)).toMatchObject({ code: 604 })
    await scene.world.run(10_000)
    expect(asked.map(({ message }) => textOf(message))).toEqual(['usual', 'slow'])
    expect(await bodiesIn(client)).toEqual(['usual', 'slow'])
  })
})

test('transactional messages are refused where they are switched off', async () => {
  await scene.restart({ rejectTransactionMessage: true })
  client = scene.client('client-2')
  expect(await client.send('orders', 'x', {}, { TRAN_MSG: 'true', PGROUP: 'pg' })).toMatchObject({ code: 16 })
})
