/** A client of fifty groups tells every broker the same subscriptions each thirty seconds. Brokers that know them may be spared. */
import { expect, it } from 'vitest'
import type { GroupMember } from '@skylarkmq/client'
import type { ConsumerData } from '@skylarkmq/remoting/protocol'
import { fakeCluster, routeOf } from './support/fake-cluster.ts'

const SAME = { IS_SUPPORT_HEART_BEAT_V2: 'true', IS_SUB_CHANGE: 'false' }

async function subscribed(heartbeatV2: boolean) {
  const made = await fakeCluster({ brokers: ['a'], client: { heartbeatV2 } })
  made.routes.set('orders', routeOf([made.broker('a')]))
  await made.sim.world.until(made.client.core.route('orders'))
  const subscription = { topic: 'orders', subString: '*', tagsSet: [], codeSet: [], classFilterMode: false, expressionType: 'TAG' }
  let subVersion = 1n
  const consumerData = (): ConsumerData => ({
    groupName: 'g',
    consumeType: 'CONSUME_PASSIVELY',
    messageModel: 'CLUSTERING',
    consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
    subscriptionDataSet: [{ ...subscription, subVersion: subVersion++ }],
    unitMode: false,
  })
  const member: GroupMember = { kind: 'consumer', group: 'g', consumerData }
  made.client.core.registerGroup(member)
  const told = () => made.broker('a').heartbeats.map((heartbeat) => (heartbeat.withoutSub ? 'light' : 'full'))
  return { ...made, told, subscription }
}

it('periodic heartbeats are light for a broker that says it knows the subscriptions, until something changes', async () => {
  const { sim, client, broker, told, subscription } = await subscribed(true)
  broker('a').heartbeatExt = SAME
  await sim.world.run(91_000)
  expect(told()).toEqual(['full', 'light', 'light', 'light'])
  const [first, second] = broker('a').heartbeats
  expect(first?.heartbeatFingerprint).not.toBe(0)
  expect(second?.heartbeatFingerprint).toBe(first?.heartbeatFingerprint)
  expect(second?.consumerDataSet[0]).toMatchObject({ groupName: 'g', subscriptionDataSet: [] })

  // Somebody needs the broker to hear of a new version now.
  await sim.world.until(client.core.heartbeatNow())
  expect(told().at(-1)).toBe('full')
  // A new subscription makes another fingerprint.
  const data = { ...subscription, topic: 'bills', subVersion: 1n }
  const more: GroupMember = {
    kind: 'consumer',
    group: 'h',
    consumerData: () => ({
      groupName: 'h',
      consumeType: 'CONSUME_PASSIVELY',
      messageModel: 'CLUSTERING',
      consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
      subscriptionDataSet: [data],
      unitMode: false,
    }),
  }
  client.core.registerGroup(more)
  await sim.world.run(31_000)
  expect(told().slice(5)).toEqual(['full', 'light'])
  // The broker has doubts.
  broker('a').heartbeatExt = { ...SAME, IS_SUB_CHANGE: 'true' }
  await sim.world.run(60_000)
  expect(told().slice(7)).toEqual(['light', 'full'])
  // A lost connection may be a lost memory.
  broker('a').heartbeatExt = SAME
  await sim.world.run(60_000)
  expect(told().slice(9)).toEqual(['full', 'light'])
  for (const connection of broker('a').connections) connection.close()
  await sim.world.run(31_000)
  expect(told().at(-1)).toBe('full')
})

it('a broker that says nothing of it gets full ones; without the option nobody does otherwise', async () => {
  const old = await subscribed(true)
  await old.sim.world.run(91_000)
  expect(old.told()).toEqual(['full', 'full', 'full', 'full'])
  const off = await subscribed(false)
  off.broker('a').heartbeatExt = SAME
  await off.sim.world.run(91_000)
  expect(off.told()).toEqual(['full', 'full', 'full', 'full'])
  expect(off.broker('a').heartbeats[0]?.heartbeatFingerprint).toBe(0)
})
