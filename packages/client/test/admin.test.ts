/** Administration of clusters with several brokers and NameServers that answer as the tests say. */
import { describe, expect, it } from 'vitest'
import type { Route } from '@skylarkmq/remoting'
import type { ClusterInfo } from '@skylarkmq/remoting/protocol'
import { route } from '@skylarkmq/remoting'
import {
  DeleteTopicInBroker,
  DeleteTopicInNamesrv,
  GetBrokerClusterInfo,
  GetConsumeStats,
  GetConsumerConnectionList,
  GetTopicStatsInfo,
  PutKvConfig,
  QueryMessage,
  ResponseCode,
  UpdateAndCreateTopic,
  ViewMessageById,
  encodeClusterInfo,
  encodeConsumeStats,
  encodeRecord,
  encodeTopicStats,
  formatProperties,
  hostToBytes,
  offsetMessageId,
} from '@skylarkmq/remoting/protocol'
import { LANE, failureOf, fakeCluster, routeOf } from './support/fake-cluster.ts'
import type { FakeCluster } from './support/fake-cluster.ts'

const TOPIC = 'Orders'

interface Call {
  readonly server: string
  readonly what: string
  readonly header: unknown
}

/** Two clusters: `c1` with a and b, `c2` with d. */
async function clusters(
  options: { clusters?: Record<string, string[]>; namesrvs?: string[]; brokerRoutes?: (name: string) => Route[] } = {},
) {
  const table = options.clusters ?? { c1: ['a', 'b'], c2: ['d'] }
  const calls: Call[] = []
  const note = (server: string, what: string, header: unknown) => {
    calls.push({ server, what, header })
    return { code: 0 }
  }
  let made: FakeCluster | undefined
  const info = (): ClusterInfo => ({
    clusterAddrTable: table,
    brokerAddrTable: Object.fromEntries(
      Object.entries(table).flatMap(([cluster, names]) =>
        names.map((name) => [
          name,
          { cluster, brokerName: name, brokerAddrs: { '0': made?.broker(name).address as string }, enableActingMaster: false },
        ]),
      ),
    ),
  })
  made = await fakeCluster({
    brokers: Object.values(table).flat(),
    namesrvs: options.namesrvs ?? ['ns1'],
    namesrvRoutes: (name) => [
      route(GetBrokerClusterInfo, LANE, () => ({ code: 0, body: encodeClusterInfo(info()) })),
      route(PutKvConfig, LANE, (header) => note(name, 'put', header)),
      route(DeleteTopicInNamesrv, LANE, (header) => note(name, 'forget', header)),
    ],
    brokerRoutes: (name) => [
      route(UpdateAndCreateTopic, LANE, (header) => note(name, 'update', header)),
      route(DeleteTopicInBroker, LANE, (header) => note(name, 'delete', header)),
      ...(options.brokerRoutes?.(name) ?? []),
    ],
  })
  return { ...made, calls, admin: made.client.admin() }
}

describe('topics', () => {
  it('are updated on every master of the cluster named', async () => {
    const { sim, admin, calls } = await clusters()
    const made = await sim.world.until(
      admin.topics.update({ topic: TOPIC, queueNums: 3, order: true, attributes: { a: '1', b: '2' } }, { cluster: 'c1' }),
    )
    expect(made.map((target) => target.brokerName)).toEqual(['a', 'b'])
    expect(calls.map((call) => call.server).sort()).toEqual(['a', 'b'])
    expect(calls[0]?.header).toMatchObject({
      topic: TOPIC,
      defaultTopic: 'TBW102',
      readQueueNums: 3,
      writeQueueNums: 3,
      perm: 6,
      topicFilterType: 'SINGLE_TAG',
      order: true,
      attributes: '+a=1,+b=2',
    })
  })

  it('need a cluster to be named where there are several', async () => {
    const { sim, admin, calls } = await clusters()
    expect((await sim.world.until(failureOf(admin.topics.update({ topic: TOPIC })))).message).toMatch(/2 clusters \(c1, c2\)/)
    expect((await sim.world.until(failureOf(admin.topics.update({ topic: TOPIC }, { cluster: 'c3' })))).message).toMatch(
      /no cluster c3; there are: c1, c2/,
    )
    expect((await sim.world.until(failureOf(admin.topics.update({ topic: TOPIC }, { broker: 'x' })))).message).toMatch(
      /no broker x.*a, b, d/,
    )
    expect(calls).toEqual([])
  })

  it('that one broker cannot take give an error that says where it failed; the others have them', async () => {
    const { sim, admin, calls, broker } = await clusters()
    sim.world.kill('b')
    const error = await sim.world.until(failureOf(admin.topics.update({ topic: TOPIC }, { cluster: 'c1' })))
    expect(error).toMatchObject({ code: 'CONNECT_FAILED', address: broker('b').address, retryable: true })
    expect(error.message).toContain('failed at 1 of 2')
    expect(calls.map((call) => call.server)).toEqual(['a'])
  })

  it('are deleted at the brokers first, then at every NameServer', async () => {
    const { sim, admin, calls } = await clusters({ namesrvs: ['ns1', 'ns2'] })
    await sim.world.until(admin.topics.delete(TOPIC, { cluster: 'c1' }))
    const order = calls.map((call) => call.what)
    expect(order).toEqual(['delete', 'delete', 'forget', 'forget'])
    expect(calls.map((call) => call.server).sort()).toEqual(['a', 'b', 'ns1', 'ns2'])
  })

  it.each([
    [{ topic: 'a/b' }, /illegal characters/],
    [{ topic: TOPIC, perm: 9 }, /perm is 9/],
    [{ topic: TOPIC, queueNums: -1 }, /readQueueNums is -1/],
    [{ topic: TOPIC, writeQueueNums: 1.5 }, /writeQueueNums is 1.5/],
  ])('with impossible settings are refused here (%#)', async (settings, sentence) => {
    const { admin, calls } = await clusters()
    await expect(admin.topics.update(settings, { cluster: 'c1' })).rejects.toThrow(sentence)
    expect(calls).toEqual([])
  })

  it('have statistics from all their brokers, in order', async () => {
    const made = await clusters({
      brokerRoutes: (name) => [
        route(GetTopicStatsInfo, LANE, ({ topic }) => ({
          code: 0,
          body: encodeTopicStats({
            offsetTable: [1, 0].map((queueId) => [
              { topic, brokerName: name, queueId },
              { minOffset: 5, maxOffset: 12 + queueId, lastUpdateTimestamp: 99 },
            ]),
          }),
        })),
      ],
    })
    made.routes.set(TOPIC, routeOf([made.broker('b'), made.broker('a')], 2))
    const stats = await made.sim.world.until(made.admin.topics.stats(TOPIC))
    expect(stats.map((queue) => [queue.brokerName, queue.queueId, queue.messages])).toEqual([
      ['a', 0, 7],
      ['a', 1, 8],
      ['b', 0, 7],
      ['b', 1, 8],
    ])
  })
})

describe('groups', () => {
  const statsRoute = (name: string, code = 0) =>
    route(GetConsumeStats, LANE, ({ topic }) => ({
      code,
      body:
        code === 0
          ? encodeConsumeStats({
              consumeTps: 1.5,
              offsetTable: [
                [
                  { topic: topic ?? TOPIC, brokerName: name, queueId: 0 },
                  { brokerOffset: 100, consumerOffset: 60, pullOffset: 70, lastTimestamp: 5 },
                ],
              ],
            })
          : Buffer.alloc(0),
    }))

  it('have their progress from the brokers of their retry topic', async () => {
    const made = await clusters({ brokerRoutes: (name) => [statsRoute(name)] })
    made.routes.set('%RETRY%g', routeOf([made.broker('a'), made.broker('b')], 1))
    const progress = await made.sim.world.until(made.admin.groups.progress('g'))
    expect(progress).toMatchObject({ diff: 80, consumeTps: 3 })
    expect(progress.queues).toMatchObject([
      { brokerName: 'a', diff: 40, inFlight: 10 },
      { brokerName: 'b', diff: 40, inFlight: 10 },
    ])
  })

  it('may be unknown to some of the brokers of a topic', async () => {
    const made = await clusters({
      brokerRoutes: (name) => [statsRoute(name, name === 'a' ? ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST : 0)],
    })
    made.routes.set(TOPIC, routeOf([made.broker('a'), made.broker('b')], 1))
    expect((await made.sim.world.until(made.admin.groups.progress('g', { topic: TOPIC }))).queues).toHaveLength(1)
  })

  it('without members say so as the broker does', async () => {
    const made = await clusters({
      clusters: { c1: ['a'] },
      brokerRoutes: () => [route(GetConsumerConnectionList, LANE, () => ({ code: 206, remark: 'the consumer group[g] not online' }))],
    })
    expect(await made.sim.world.until(failureOf(made.admin.groups.connection('g')))).toMatchObject({
      code: 'CONSUMER_NOT_ONLINE',
      brokerCode: 206,
    })
  })
})

describe('messages', () => {
  const storeHost = hostToBytes('10.0.0.1', 10911)
  const record = (keys: string, physicalOffset: number, id = `ID${physicalOffset}`) =>
    encodeRecord({
      topic: TOPIC,
      queueId: 1,
      queueOffset: 2,
      physicalOffset,
      flag: 0,
      sysFlag: 0,
      bornTimestamp: 1000,
      bornHost: storeHost,
      storeTimestamp: 2000 + physicalOffset,
      storeHost,
      reconsumeTimes: 0,
      preparedTransactionOffset: 0,
      body: Buffer.from(`at ${physicalOffset}`),
      properties: formatProperties([
        ['KEYS', keys],
        ['UNIQ_KEY', id],
      ]),
    })

  it('found by key have that key: others of the same hash are left out, and each is there once', async () => {
    const asked: unknown[] = []
    const made = await clusters({
      brokerRoutes: () => [
        route(QueryMessage, LANE, (header) => {
          asked.push(header)
          return {
            code: 0,
            header: { indexLastUpdateTimestamp: 0, indexLastUpdatePhyoffset: 0 },
            body: [record('x k1', 300), record('k11', 200), record('k1', 100), record('k1', 100)],
          }
        }),
      ],
    })
    made.routes.set(TOPIC, routeOf([made.broker('a')]))
    const found = await made.sim.world.until(made.admin.messages.queryByKey(TOPIC, 'k1', { from: 1, to: 9 }))
    expect(found.map((message) => message.text)).toEqual(['at 100', 'at 300'])
    expect(asked).toEqual([{ topic: TOPIC, key: 'k1', maxNum: 64, beginTimestamp: 1, endTimestamp: 9, _UNIQUE_KEY_QUERY: false }])
    const unique = await made.sim.world.until(made.admin.messages.queryByUniqueKey(TOPIC, 'ID200'))
    expect(unique.map((message) => message.text)).toEqual(['at 200'])
  })

  it('are viewed at the broker that their id names', async () => {
    const made = await clusters({
      brokerRoutes: () => [
        route(ViewMessageById, LANE, ({ offset }) =>
          offset === 7 ? { code: 0, body: record('k', 7) } : { code: 22, remark: 'can not find message' },
        ),
      ],
    })
    const [host, port] = made.broker('b').address.split(':') as [string, string]
    const id = (offset: number) => offsetMessageId(hostToBytes(host, Number(port)), offset)
    expect((await made.sim.world.until(made.admin.messages.viewById(id(7)))).text).toBe('at 7')
    expect(await made.sim.world.until(failureOf(made.admin.messages.viewById(id(8))))).toMatchObject({
      code: 'QUERY_NOT_FOUND',
      brokerCode: 22,
    })
    expect(await failureOf(made.admin.messages.viewById('nonsense'))).toMatchObject({ code: 'BAD_ARGUMENT' })
  })
})

describe('NameServers', () => {
  it('all get what is written', async () => {
    const { sim, admin, calls } = await clusters({ namesrvs: ['ns1', 'ns2', 'ns3'] })
    await sim.world.until(admin.namesrv.putKv('N', 'k', 'v'))
    expect(calls.map((call) => call.server).sort()).toEqual(['ns1', 'ns2', 'ns3'])
    sim.world.kill('ns2')
    expect((await sim.world.until(failureOf(admin.namesrv.putKv('N', 'k', 'v')))).message).toContain('failed at 1 of 3')
  })
})
