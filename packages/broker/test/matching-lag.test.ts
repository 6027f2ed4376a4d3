/** Of what waits for a group, how much it will really get: a filter may want next to nothing of a long queue. */
import { UpdateAndCreateTopic, UpdateConsumerOffset, formatProperties, hostToBytes } from '@skylarkmq/remoting/protocol'
import type { SubscriptionData } from '@skylarkmq/remoting/protocol'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { MATCHING_LAG, runsOf } from '../src/operate/matching-lag.ts'
import { consumer, startScene, subscription } from './support.ts'
import type { Scene, TestClient } from './support.ts'

let scene: Scene
let client: TestClient
beforeEach(async () => {
  scene = await startScene()
  client = scene.client('client')
  await client.invoke(UpdateAndCreateTopic, { topic: 'orders', readQueueNums: 2, writeQueueNums: 2, perm: 6 })
})
afterEach(() => scene.close())

const sql = (expression: string): SubscriptionData => ({ ...subscription('orders', expression), tagsSet: [], expressionType: 'SQL92' })

/** The group subscribes, and has consumed nothing of queue 0 but the first `committed` messages. */
async function waits(group: string, wanted: SubscriptionData, committed = 0): Promise<TestClient> {
  const member = scene.client(`member-of-${group}`)
  await member.heartbeat(group, [consumer(group, wanted)])
  await member.invoke(UpdateConsumerOffset, { consumerGroup: group, topic: 'orders', queueId: 0, commitOffset: committed })
  return member
}

async function lagOf(group: string): Promise<{ readonly waiting: number; readonly matching: number }> {
  const figures = [...(await scene.world.until(scene.broker.figures()))]
  const of = (name: string) =>
    figures.find((f) => f.name === name && f.labels?.['consumer_group'] === group && f.labels['topic'] === 'orders')?.value ?? Number.NaN
  return { waiting: of('rocketmq_consumer_lag_messages'), matching: of('skylark_consumer_matching_lag_messages') }
}

/** Straight into the store: many, and with properties of their own. */
function store(count: number, propertiesOf: (i: number) => Record<string, string>): void {
  const host = new Uint8Array(hostToBytes('10.0.0.9', 1))
  const plain = { topic: 'orders', queueId: 0, flag: 0, sysFlag: 0, bornTimestamp: 0, bornHost: host, storeHost: host, reconsumeTimes: 0 }
  const body = new Uint8Array(1)
  for (let i = 0; i < count; i++) {
    const properties = Buffer.from(formatProperties(Object.entries(propertiesOf(i))))
    const message = Object.assign({ preparedTransactionOffset: 0, body, properties }, plain)
    scene.broker.store.append(message, false, () => {})
    if (i % 100 === 99) scene.broker.store.commitTurn()
  }
  scene.broker.store.commitTurn()
}

describe('few messages wait: they are counted', () => {
  test('by tags, behind what the group has committed', async () => {
    for (let i = 0; i < 12; i++) await client.send('orders', `m${i}`, {}, { TAGS: i % 3 === 0 ? 'paid' : 'open' })
    await waits('cashier', subscription('orders', 'paid'), 3)
    expect(await lagOf('cashier')).toEqual({ waiting: 9, matching: 3 })
  })

  test('by properties', async () => {
    for (let i = 0; i < 10; i++) await client.send('orders', `m${i}`, {}, { price: String(i * 10) })
    await waits('auditor', sql('price >= 70'))
    expect(await lagOf('auditor')).toEqual({ waiting: 10, matching: 3 })
  })

  test('a group without a filter gets all of them', async () => {
    for (let i = 0; i < 4; i++) await client.send('orders', `m${i}`, {}, { TAGS: 'paid' })
    await waits('everything', subscription('orders'))
    expect(await lagOf('everything')).toEqual({ waiting: 4, matching: 4 })
  })

  test('messages in both queues count', async () => {
    for (let i = 0; i < 8; i++) await client.send('orders', `m${i}`, { queueId: i % 2 }, { TAGS: i < 2 ? 'paid' : 'open' })
    await waits('cashier', subscription('orders', 'paid'))
    expect(await lagOf('cashier')).toEqual({ waiting: 8, matching: 2 })
  })

  test('the members went away: the filter that they had still counts, for that is when somebody looks', async () => {
    for (let i = 0; i < 6; i++) await client.send('orders', `m${i}`, {}, { TAGS: i === 0 ? 'paid' : 'open' })
    const member = await waits('cashier', subscription('orders', 'paid'))
    expect(await lagOf('cashier')).toEqual({ waiting: 6, matching: 1 })
    member.remoting.close()
    for (let i = 0; i < 3; i++) await client.send('orders', `later${i}`, {}, { TAGS: 'paid' })
    await scene.world.run(MATCHING_LAG.keptMs)
    expect(await lagOf('cashier')).toEqual({ waiting: 9, matching: 4 })
  })

  test('who asks again at once gets what was found a moment ago', async () => {
    await client.send('orders', 'm0', {}, { TAGS: 'paid' })
    await waits('cashier', subscription('orders', 'paid'))
    expect(await lagOf('cashier')).toEqual({ waiting: 1, matching: 1 })
    await client.send('orders', 'm1', {}, { TAGS: 'paid' })
    expect(await lagOf('cashier')).toEqual({ waiting: 2, matching: 1 })
    await scene.world.run(MATCHING_LAG.keptMs)
    expect(await lagOf('cashier')).toEqual({ waiting: 2, matching: 2 })
  })
})

describe('many messages wait: they are estimated, and the look has a bound', () => {
  test('by tags', async () => {
    const count = MATCHING_LAG.entries + 20_000
    store(count, (i) => ({ TAGS: i % 10 === 0 ? 'paid' : 'open' }))
    await waits('cashier', subscription('orders', 'paid'))
    const { waiting, matching } = await lagOf('cashier')
    expect(waiting).toBe(count)
    expect(matching / waiting).toBeGreaterThan(0.09)
    expect(matching / waiting).toBeLessThan(0.11)
  })

  test('by properties', async () => {
    const count = MATCHING_LAG.records * 3
    store(count, (i) => ({ price: String(i) }))
    await waits('auditor', sql(`price >= ${count / 2}`))
    const { waiting, matching } = await lagOf('auditor')
    expect(waiting).toBe(count)
    expect(matching / waiting).toBeGreaterThan(0.45)
    expect(matching / waiting).toBeLessThan(0.55)
  })
})

test('what is looked at lies in what waits, once each, and within the budget', () => {
  fc.assert(
    fc.property(
      fc.nat(1000),
      fc.nat(5000),
      fc.integer({ min: 16, max: 600 }),
      fc.integer({ min: 1, max: 8 }),
      (from, waits, budget, run) => {
        const to = from + waits
        let end = from
        let looked = 0
        for (const [offset, count] of runsOf(from, to, budget, run)) {
          expect(offset).toBeGreaterThanOrEqual(end)
          expect(count).toBeGreaterThan(0)
          end = offset + count
          looked += count
        }
        expect(end).toBeLessThanOrEqual(to)
        expect(looked).toBeLessThanOrEqual(Math.max(budget, Math.min(waits, budget)))
        if (waits > 0) expect(end).toBe(to)
        if (waits <= budget) expect(looked).toBe(waits)
      },
    ),
  )
})
