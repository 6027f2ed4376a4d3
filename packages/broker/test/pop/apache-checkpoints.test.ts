/** Apache's broker had given messages out when its folder came to us: its checkpoints say which, and until when. */
import {
  QueryConsumerOffset,
  UpdateAndCreateSubscriptiongroup,
  UpdateConsumerOffset,
  encodeJson,
  hostToBytes,
  normalizeGroupConfig,
} from '@skylarkmq/remoting/protocol'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { startScene } from '../support.ts'
import type { Scene, TestClient } from '../support.ts'
import { ack, bodiesOf, messagesOf, pop } from './pop-support.ts'

const REVIVE_TOPIC = 'rmq_sys_REVIVE_LOG_DefaultCluster'

let scene: Scene
let client: TestClient
beforeEach(async () => {
  scene = await startScene()
  client = scene.client('client')
  for (let i = 0; i < 8; i++) await client.send('orders', `m${i}`, { queueId: 0 })
  await client.invoke(UpdateAndCreateSubscriptiongroup, {}, encodeJson(normalizeGroupConfig({ groupName: 'cg' })))
  await client.invoke(UpdateConsumerOffset, { consumerGroup: 'cg', topic: 'orders', queueId: 0, commitOffset: 6 })
})
afterEach(() => scene.close())

/** As Apache's broker leaves it. */
function write(tag: string, body: string, queueId = 3): void {
  const host = hostToBytes('127.0.0.1', 10911)
  const common = { flag: 0, sysFlag: 0, reconsumeTimes: 0, preparedTransactionOffset: 0, bornHost: host, storeHost: host }
  const { store } = scene.broker
  const properties = Buffer.from(`TAGS\u0001${tag}\u0002`)
  const message = { ...common, topic: REVIVE_TOPIC, queueId, bornTimestamp: scene.world.nowMs, body: Buffer.from(body), properties }
  store.append(message, false, () => undefined)
  store.commitTurn()
}

const named = (popTime: number, startOffset = 0) => `"bn":"broker-a","c":"cg","pt":${popTime},"q":0,"so":${startOffset},"t":"orders"`
const checkpoint = (popTime: number, more = '"d":[0,1,2,4],"n":4,"bm":0') => write('ck', `{${more},"it":10000,"ro":0,${named(popTime)}}`)

const committed = async () =>
  (await client.invoke(QueryConsumerOffset, { consumerGroup: 'cg', topic: 'orders', queueId: 0 })).header().offset
const rest = async () => {
  const popped = messagesOf(await pop(client))
  for (const message of popped) await ack(client, message)
  return popped.map(({ body, stored }) => `${body} ${stored.reconsumeTimes}`).sort()
}

test('what it names and nobody acknowledged is delivered again when its time is up, once', async () => {
  const now = scene.world.node('broker').clock.now()
  checkpoint(now)
  write('ack', `{"ao":1,${named(now)}}`)
  write('bAck', `{"ao":0,"aol":[2],${named(now)}}`)
  write('ck', '{"so":')
  write('ck', '{"so":-1,"n":99999999}')
  write('ack', `{"ao":0,${named(now + 1)}}`)
  await scene.world.run(9000)
  expect(await rest()).toEqual(['m6 0', 'm7 0'])
  await scene.world.run(10_000)
  expect(await rest()).toEqual(['m0 1', 'm4 1'])
  expect(await committed()).toBe(8)
  await scene.restart()
  client = scene.client('client-2')
  await scene.world.run(60_000)
  expect(bodiesOf(await pop(client))).toEqual([])
})

test('with a broker that dies meanwhile nothing of it is lost', async () => {
  const now = scene.world.node('broker').clock.now()
  checkpoint(now, '"n":2,"bm":1')
  await scene.world.run(5000)
  scene.world.kill('broker')
  await scene.revive()
  client = scene.client('client-2')
  await scene.world.run(20_000)
  expect(await rest()).toEqual(['m1 1', 'm6 0', 'm7 0'])
})

test('an acknowledgement of what was popped there counts here', async () => {
  const now = scene.world.node('broker').clock.now()
  const handle = `0 ${now} 10000 3 0 broker-a 0`
  await ack(client, { body: 'm4', handle, offset: 4, stored: undefined as never })
  checkpoint(now)
  await scene.world.run(1000)
  await ack(client, { body: 'm0', handle, offset: 0, stored: undefined as never })
  await scene.world.run(20_000)
  expect(await rest()).toEqual(['m1 1', 'm2 1', 'm6 0', 'm7 0'])
})
