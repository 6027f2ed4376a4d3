import { crc32 } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import {
  AddWritePermOfBroker,
  allCommands,
  BrokerHeartbeat,
  DeleteKvConfig,
  DeleteTopicInNamesrv,
  GetAllTopicListFromNameserver,
  GetBrokerClusterInfo,
  GetBrokerMemberGroup,
  GetHasUnitSubTopicList,
  GetHasUnitSubUnunitTopicList,
  GetKvConfig,
  GetKvlistByNamespace,
  GetNamesrvConfig,
  GetRouteinfoByTopic,
  GetSystemTopicListFromNs,
  GetTopicsByCluster,
  GetUnitTopicList,
  PutKvConfig,
  QueryDataVersion,
  RegisterBroker,
  RegisterTopicInNamesrv,
  UnregisterBroker,
  UpdateNamesrvConfig,
  WipeWritePermOfBroker,
} from '@skylarkmq/remoting/protocol'
import { namesrvRoutes } from '../src/namesrv.ts'
import { FakeConnection, namesrvInMemory, topic } from './harness.ts'

const brokerA = { clusterName: 'c', brokerName: 'a', brokerAddr: 'a.10.0.0.1:0', brokerId: 0 }

describe('a client asks where a topic is', () => {
  it('and reads it in the JSON of its version', async () => {
    const { ask, register } = namesrvInMemory()
    await register()
    await register({ id: 1 })
    const java5 = await ask(GetRouteinfoByTopic, { topic: 'T' })
    expect(java5.code).toBe(0)
    expect(JSON.parse(java5.body)).toEqual({
      brokerDatas: [{ brokerAddrs: { 0: 'a.10.0.0.1:0', 1: 'a.10.0.0.1:1' }, brokerName: 'a', cluster: 'c', enableActingMaster: false }],
      filterServerTable: {},
      queueDatas: [{ brokerName: 'a', perm: 6, readQueueNums: 4, topicSysFlag: 0, writeQueueNums: 4 }],
    })
    // Go's client cuts the text of brokerAddrs itself: unquoted ids, no blank anywhere (route.go).
    const go = await ask(GetRouteinfoByTopic, { topic: 'T' }, { version: 317 })
    expect(go.body).toContain('"brokerAddrs":{0:"a.10.0.0.1:0",1:"a.10.0.0.1:1"}')
    expect(go.body).not.toMatch(/\s/)
    const strict = await ask(GetRouteinfoByTopic, { topic: 'T', acceptStandardJsonOnly: true }, { version: 317 })
    expect(strict.body).toBe(java5.body)
  })

  it('and hears that it is nowhere, with the name and what to do', async () => {
    const { ask } = namesrvInMemory()
    const answer = await ask(GetRouteinfoByTopic, { topic: 'T' })
    expect(answer).toMatchObject({ code: 17, body: '' })
    expect(answer.remark).toMatch(/^No topic route info in name server for the topic: T\b.*updateTopic/)
    const long = await ask(GetRouteinfoByTopic, { topic: 'x'.repeat(30_000) })
    expect(long.remark?.length).toBeLessThan(400)
  })

  it('and is never served a remembered answer after anything has changed', async () => {
    const server = namesrvInMemory({ orderMessageEnable: true })
    const { ask, register } = server
    const connection = new FakeConnection()
    await register({ connection })
    const route = async () => (await ask(GetRouteinfoByTopic, { topic: 'T' })).body
    let last = await route()
    expect(await route()).toBe(last)
    const changes: [string, () => unknown][] = [
      ['a replica joins', () => register({ id: 1 })],
      ['another broker joins', () => register({ name: 'b' })],
      ['queues are added', () => register({ topics: [topic('T', { writeQueueNums: 8 }), 'U'], counter: 2, connection })],
      ['write permission is wiped', () => ask(WipeWritePermOfBroker, { brokerName: 'b' })],
      ['an order is set', () => ask(PutKvConfig, { namespace: 'ORDER_TOPIC_CONFIG', key: 'T', value: 'a:4' })],
      ['order messages are switched off', () => ask(UpdateNamesrvConfig, {}, { body: 'orderMessageEnable=false' })],
      ['the topic is deleted in the cluster', () => ask(DeleteTopicInNamesrv, { topic: 'T', clusterName: 'c' })],
      [
        'the topic is registered by hand',
        () =>
          ask(
            RegisterTopicInNamesrv,
            { topic: 'T' },
            { body: JSON.stringify({ queueDatas: [{ brokerName: 'b', readQueueNums: 1, writeQueueNums: 1, perm: 6 }], brokerDatas: [] }) },
          ),
      ],
      ['the broker leaves', () => ask(UnregisterBroker, { clusterName: 'c', brokerName: 'b', brokerAddr: 'b.10.0.0.1:0', brokerId: 0 })],
    ]
    for (const [what, change] of changes) {
      await change()
      const now = await route()
      expect(now, what).not.toBe(last)
      last = now
    }
  })

  it('gets the order of its queues when that is switched on', async () => {
    const { ask, register } = namesrvInMemory({ orderMessageEnable: true })
    await register()
    await ask(PutKvConfig, { namespace: 'ORDER_TOPIC_CONFIG', key: 'T', value: 'a:4' })
    expect(JSON.parse((await ask(GetRouteinfoByTopic, { topic: 'T' })).body)).toMatchObject({ orderTopicConf: 'a:4' })
  })

  it('gets the brokers of its zone only, and those without a master', async () => {
    const { ask, register } = namesrvInMemory()
    await register({ name: 'here', ext: { __ZONE_NAME: 'north' } })
    await register({ name: 'there', ext: { __ZONE_NAME: 'south' } })
    const zone = { ext: { __ZONE_MODE: 'true', __ZONE_NAME: 'North' } }
    const { body } = await ask(GetRouteinfoByTopic, { topic: 'T' }, zone)
    expect(body).toContain('{0:"here.10.0.0.1:0"}')
    expect(body).toContain('"zoneName":"north"')
    expect(body).not.toContain('there')
    const everywhere = await ask(GetRouteinfoByTopic, { topic: 'T' }, { ext: { __ZONE_NAME: 'North' } })
    expect(everywhere.body).toContain('there')
  })

  it('is asked to wait while brokers still register, if so configured', async () => {
    const { ask, register, world } = namesrvInMemory({ needWaitForService: true, waitSecondsForService: 45 })
    await register()
    expect(await ask(GetRouteinfoByTopic, { topic: 'T' })).toMatchObject({
      code: 1,
      remark: expect.stringMatching(/^name server not ready/),
    })
    world.nowMs = 45_000
    expect((await ask(GetRouteinfoByTopic, { topic: 'T' })).code).toBe(0)
  })
})

describe('a broker', () => {
  it('registers, also compressed, and is told the order settings', async () => {
    for (const compressed of [false, true]) {
      const { ask, register } = namesrvInMemory()
      expect(await register({ compressed })).toMatchObject({ code: 0, body: '', header: {} })
      await ask(PutKvConfig, { namespace: 'ORDER_TOPIC_CONFIG', key: 'T', value: 'a:4' })
      expect(await register({ compressed })).toMatchObject({ code: 0, body: '{"table":{"T":"a:4"}}' })
      expect((await ask(GetAllTopicListFromNameserver, {})).body).toBe('{"topicList":["T","U"]}')
    }
  })

  it('learns as a replica where the master is', async () => {
    const { register } = namesrvInMemory()
    await register()
    expect((await register({ id: 1 })).header).toEqual({ masterAddr: 'a.10.0.0.1:0', haServerAddr: 'a:ha' })
  })

  it('is refused when its body was damaged, and accepted when the checksum fits', async () => {
    const { ask } = namesrvInMemory()
    const body = JSON.stringify({
      topicConfigSerializeWrapper: { topicConfigTable: {}, dataVersion: { counter: 1, timestamp: 1, stateVersion: 0 } },
    })
    const right = crc32(body) & 0x7fffffff
    expect(await ask(RegisterBroker, { ...brokerA, bodyCrc32: right ^ 1 }, { body })).toMatchObject({
      code: 1,
      remark: expect.stringMatching(/^crc32 not match/),
    })
    expect((await ask(RegisterBroker, { ...brokerA, bodyCrc32: right }, { body })).code).toBe(0)
  })

  it('must register in full before it registers single topics', async () => {
    const { register } = namesrvInMemory()
    expect(await register({ topics: ['T'] })).toMatchObject({ code: 1, remark: expect.stringMatching(/^register broker failed/) })
  })

  it('asks whether its version is known, which keeps it alive', async () => {
    const { ask, register, world, scan } = namesrvInMemory()
    const body = (counter: number) => JSON.stringify({ stateVersion: 0, timestamp: 1000, counter })
    expect(await ask(QueryDataVersion, brokerA, { body: body(1) })).toMatchObject({ code: 0, header: { changed: true }, body: '' })
    await register()
    world.nowMs = 100_000
    const same = await ask(QueryDataVersion, brokerA, { body: body(1) })
    expect(same.header).toEqual({ changed: false })
    expect(JSON.parse(same.body)).toEqual({ stateVersion: 0, timestamp: 1000, counter: 1 })
    world.nowMs = 200_000
    expect((await ask(QueryDataVersion, brokerA, { body: body(2) })).header).toEqual({ changed: true })
    scan()
    expect((await ask(GetRouteinfoByTopic, { topic: 'T' })).code).toBe(0)
    world.nowMs = 220_001
    scan()
    expect((await ask(GetRouteinfoByTopic, { topic: 'T' })).code).toBe(17)
  })

  it('that falls silent is given up and its connection closed; heartbeats prevent it', async () => {
    const { ask, register, world, scan } = namesrvInMemory()
    const [quiet, lively] = [new FakeConnection(), new FakeConnection()]
    await register({ name: 'quiet', connection: quiet, header: { heartbeatTimeoutMillis: 10_000 } })
    await register({ connection: lively, header: { heartbeatTimeoutMillis: 10_000 } })
    world.nowMs = 9_000
    await ask(BrokerHeartbeat, { clusterName: 'c', brokerName: 'a', brokerAddr: brokerA.brokerAddr })
    world.nowMs = 10_001
    scan()
    expect(quiet.isClosed).toBe(true)
    expect(lively.isClosed).toBe(false)
    expect((await ask(GetTopicsByCluster, { cluster: 'c' })).body).toBe('{"topicList":["T","U"]}')
    expect((await ask(GetBrokerClusterInfo, {})).body).not.toContain('quiet')
  })

  it('whose connection breaks is forgotten at once', async () => {
    const { ask, register, closed } = namesrvInMemory()
    const connection = new FakeConnection()
    await register({ connection })
    closed(connection)
    expect((await ask(GetRouteinfoByTopic, { topic: 'T' })).code).toBe(17)
  })

  it('with a body that is no registration is told so, and changes nothing', async () => {
    const { ask } = namesrvInMemory()
    for (const body of ['{', '[]', 'null', '\x78\x9cgarbage', '{"topicConfigSerializeWrapper":{"topicConfigTable":{"T":7}}}']) {
      const answer = await ask(RegisterBroker, brokerA, { body })
      expect(answer.code, body).not.toBe(0)
      expect(answer.remark, body).toMatch(/\w{4}/)
    }
    expect((await ask(GetAllTopicListFromNameserver, {})).body).toBe('{"topicList":[]}')
  })
})

describe('an administrator', () => {
  it('sees clusters, brokers and topics', async () => {
    const { ask, register } = namesrvInMemory()
    await register({
      topics: ['T', topic('unit', { topicSysFlag: 1 }), topic('sub', { topicSysFlag: 2 }), topic('both', { topicSysFlag: 3 })],
    })
    await register({ name: 'b', header: { clusterName: 'd' } })
    const lists = async (answer: Promise<{ body: string }>) => JSON.parse((await answer).body) as { topicList: string[] }
    // Strict JSON: Apache's tools read quoted broker ids just as well.
    expect((await ask(GetBrokerClusterInfo, {})).body).toBe(
      '{"brokerAddrTable":{"a":{"brokerAddrs":{"0":"a.10.0.0.1:0"},"brokerName":"a","cluster":"c","enableActingMaster":false},' +
        '"b":{"brokerAddrs":{"0":"b.10.0.0.1:0"},"brokerName":"b","cluster":"d","enableActingMaster":false}},"clusterAddrTable":{"c":["a"],"d":["b"]}}',
    )
    expect((await lists(ask(GetTopicsByCluster, { cluster: 'd' }))).topicList).toEqual(['T', 'U'])
    expect(await lists(ask(GetSystemTopicListFromNs, {}))).toEqual({ brokerAddr: 'a.10.0.0.1:0', topicList: ['c', 'a', 'd', 'b'] })
    expect((await lists(ask(GetUnitTopicList, {}))).topicList).toEqual(['unit', 'both'])
    expect((await lists(ask(GetHasUnitSubTopicList, {}))).topicList).toEqual(['sub', 'both'])
    expect((await lists(ask(GetHasUnitSubUnunitTopicList, {}))).topicList).toEqual(['sub'])
    expect(JSON.parse((await ask(GetBrokerMemberGroup, { clusterName: 'c', brokerName: 'a' })).body)).toEqual({
      brokerMemberGroup: { brokerAddrs: { 0: 'a.10.0.0.1:0' }, brokerName: 'a', cluster: 'c' },
    })
  })

  it('takes and gives write permission and hears of how many topics', async () => {
    const { ask, register } = namesrvInMemory()
    await register()
    expect((await ask(WipeWritePermOfBroker, { brokerName: 'a' })).header).toEqual({ wipeTopicCount: 2 })
    expect((await ask(GetRouteinfoByTopic, { topic: 'T' })).body).toContain('"perm":4')
    expect((await ask(AddWritePermOfBroker, { brokerName: 'a' })).header).toEqual({ addTopicCount: 2 })
    expect((await ask(WipeWritePermOfBroker, { brokerName: 'nobody' })).header).toEqual({ wipeTopicCount: 0 })
  })

  it('may switch topic lists off', async () => {
    const { ask } = namesrvInMemory({ enableAllTopicList: false, enableTopicList: false })
    for (const command of [GetAllTopicListFromNameserver, GetUnitTopicList]) {
      expect(await ask(command, {})).toMatchObject({ code: 1, remark: expect.stringMatching(/^disable/) })
    }
  })

  it('keeps values that outlive a restart', async () => {
    const files = new Map<string, string>()
    const first = namesrvInMemory({}, files)
    await first.ask(PutKvConfig, { namespace: 'ORDER_TOPIC_CONFIG', key: 'T', value: 'a:8;b:8' })
    await first.ask(PutKvConfig, { namespace: 'n', key: 'gone', value: 'x' })
    await first.ask(DeleteKvConfig, { namespace: 'n', key: 'gone' })
    expect(files.get('/kv.json')).toBe('{"configTable":{"ORDER_TOPIC_CONFIG":{"T":"a:8;b:8"},"n":{}}}')
    const second = namesrvInMemory({}, files)
    expect((await second.ask(GetKvConfig, { namespace: 'ORDER_TOPIC_CONFIG', key: 'T' })).header).toEqual({ value: 'a:8;b:8' })
    expect(JSON.parse((await second.ask(GetKvlistByNamespace, { namespace: 'ORDER_TOPIC_CONFIG' })).body)).toEqual({
      table: { T: 'a:8;b:8' },
    })
    expect(await second.ask(GetKvConfig, { namespace: 'n', key: 'gone' })).toMatchObject({
      code: 22,
      remark: 'No config item, Namespace: n Key: gone',
    })
    expect(await second.ask(GetKvlistByNamespace, { namespace: 'nowhere' })).toMatchObject({ code: 22 })
  })

  it('does not lose a value that could not be stored: it is not there in the first place', async () => {
    const server = namesrvInMemory()
    server.files.set = () => {
      throw new Error('ENOSPC')
    }
    await expect(server.ask(PutKvConfig, { namespace: 'n', key: 'k', value: 'v' })).rejects.toThrow('ENOSPC')
    expect((await server.ask(GetKvConfig, { namespace: 'n', key: 'k' })).code).toBe(22)
  })

  it('reads and changes settings; all changes of a request or none', async () => {
    const { ask, files } = namesrvInMemory()
    files.set('/namesrv.properties', '# ours\nneedWaitForService=false\n')
    expect((await ask(UpdateNamesrvConfig, {}, { body: 'needWaitForService=true\nwaitSecondsForService=5\n' })).code).toBe(0)
    expect((await ask(GetNamesrvConfig, {})).body).toContain('waitSecondsForService=5\n')
    expect(files.get('/namesrv.properties')).toBe('# ours\nneedWaitForService=true\nwaitSecondsForService=5\n')
    const refusals: [string, number, RegExp][] = [
      ['kvConfigPath=/tmp/x', 16, /kvConfigPath/],
      ['waitSecondsForService=9\nlistenPort=1', 16, /listenPort/],
      ['rocketmqHome=/', 16, /rocketmqHome/],
      ['waitSecondsForService=soon', 29, /waitSecondsForService=soon: it must be a whole number/],
      ['waitSecondForService=9', 29, /did you mean waitSecondsForService/],
      ['', 29, /nothing was changed/],
    ]
    for (const [body, code, remark] of refusals) {
      expect(await ask(UpdateNamesrvConfig, {}, { body }), body).toMatchObject({ code, remark: expect.stringMatching(remark) })
    }
    expect((await ask(GetNamesrvConfig, {})).body).toContain('waitSecondsForService=5\n')
  })

  it('is told when the file of values is damaged, before anything is overwritten', () => {
    expect(() => namesrvInMemory({}, new Map([['/kv.json', '{"configTable":']]))).toThrow(/kv\.json \(kvConfigPath\) is not JSON/)
  })
})

it('answers every request that is declared for a NameServer', () => {
  const answered = namesrvRoutes(namesrvInMemory().state).map((route) => route.command.name)
  const declared = allCommands().filter(({ server }) => [server].flat().includes('namesrv'))
  expect(answered.sort()).toEqual(declared.map((command) => command.name).sort())
})
