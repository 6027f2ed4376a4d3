/** Unit flags: which topics belong to a unit, and which are subscribed to by a unit's consumers, as tools see them. */
import { startBroker } from '@skylarkmq/broker'
import { startNamesrv } from '@skylarkmq/namesrv'
import { createRemotingClient } from '@skylarkmq/remoting'
import {
  GetHasUnitSubTopicList,
  GetHasUnitSubUnunitTopicList,
  GetUnitTopicList,
  HeartBeat,
  SendMessageV2,
  decodeTopicList,
  encodeHeartbeat,
} from '@skylarkmq/remoting/protocol'
import { simRuntime } from '@skylarkmq/runtime/sim'
import { memoryMetadata } from '@skylarkmq/store'
import { expect, test } from 'vitest'

test('topics made by units and by consumers of units are told apart at the NameServer', async () => {
  const { world } = simRuntime(9)
  const ns = world.node('ns')
  const namesrv = await world.until(startNamesrv(ns, { listenPort: 9876, bindAddress: ns.host, kvConfigPath: '/kv.json' }))
  const node = world.node('broker')
  const namesrvAddr = `${ns.host}:9876`
  const settings = { brokerIP1: node.host, namesrvAddr, storePathRootDir: '/store', mappedFileSizeCommitLog: 1 << 20 }
  const broker = await world.until(startBroker(node, settings, { metadata: memoryMetadata() }))
  const client = createRemotingClient({ runtime: world.node('client') })
  const timeoutMs = 3000
  const header = { producerGroup: 'p', defaultTopic: 'TBW102', defaultTopicQueueNums: 4, queueId: 0, sysFlag: 0, bornTimestamp: 1, flag: 0 }
  for (const unitMode of [true, false]) {
    const topic = unitMode ? 'of-a-unit' : 'of-all'
    const body = Buffer.from('x')
    expect(
      (await world.until(client.invoke(broker.address, SendMessageV2, { ...header, topic, unitMode }, { body, timeoutMs }))).code,
    ).toBe(0)
  }
  const consumer = {
    groupName: 'unit-group',
    consumeType: 'CONSUME_PASSIVELY',
    messageModel: 'CLUSTERING',
    consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET',
    subscriptionDataSet: [],
    unitMode: true,
  } as const
  const heartbeat = { clientID: 'c', producerDataSet: [], consumerDataSet: [consumer], heartbeatFingerprint: 0, withoutSub: false }
  await world.until(client.invoke(broker.address, HeartBeat, {}, { body: encodeHeartbeat(heartbeat), timeoutMs }))
  await world.run(1000)
  const list = async (command: typeof GetUnitTopicList | typeof GetHasUnitSubTopicList | typeof GetHasUnitSubUnunitTopicList) =>
    decodeTopicList((await world.until(client.invoke(namesrvAddr, command, {}, { timeoutMs }))).body).topicList
  expect(await list(GetUnitTopicList)).toEqual(['of-a-unit'])
  expect(await list(GetHasUnitSubTopicList)).toEqual(['%RETRY%unit-group'])
  expect(await list(GetHasUnitSubUnunitTopicList)).toEqual(['%RETRY%unit-group'])
  client.close()
  await world.until(broker.close())
  await world.until(namesrv.close())
})
