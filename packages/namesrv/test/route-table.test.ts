import type { DataVersion, TopicConfig } from '@skylarkmq/remoting/protocol'
import { describe, expect, it } from 'vitest'
import { RouteTable } from '../src/route-table.ts'
import type { BrokerRegistration, RouteTableOptions } from '../src/route-table.ts'

const DEFAULTS: RouteTableOptions = { deleteTopicWithBrokerRegistration: false, supportActingMaster: false }

const topic = (topicName: string, more: Partial<TopicConfig> = {}): TopicConfig => ({
  topicName,
  readQueueNums: 4,
  writeQueueNums: 4,
  perm: 6,
  topicFilterType: 'SINGLE_TAG',
  topicSysFlag: 0,
  order: false,
  attributes: {},
  ...more,
})

const version = (counter: number, stateVersion = 0): DataVersion => ({ stateVersion, timestamp: 1000, counter })

interface Broker {
  readonly name?: string
  readonly id?: number
  readonly address?: string
  readonly topics?: readonly (string | TopicConfig)[]
  readonly version?: DataVersion
}

const registration = (broker: Broker & Partial<Omit<BrokerRegistration, 'topics'>>): BrokerRegistration => {
  const { name = 'a', id = 0, address = `${name}${id}:10911`, topics = ['T', 'U'], version: dataVersion = version(1), ...more } = broker
  const configs = topics.map((entry) => (typeof entry === 'string' ? topic(entry) : entry))
  return {
    clusterName: 'c',
    brokerName: name,
    brokerAddr: address,
    brokerId: id,
    dataVersion,
    filterServers: [],
    ...more,
    topics: Object.fromEntries(configs.map((config) => [config.topicName, config])),
  }
}

const table = (options: Partial<RouteTableOptions> = {}) => new RouteTable<string>(() => ({ ...DEFAULTS, ...options }))
const queueOf = (routes: RouteTable<string>, name: string) => routes.route(name)?.queueDatas[0]

describe('registration', () => {
  it('makes the topics of a broker known, with its address', () => {
    const routes = table()
    expect(routes.register(registration({}), 'socket', 0)).toEqual({ status: 'ok' })
    expect(routes.route('T')).toEqual({
      queueDatas: [{ brokerName: 'a', readQueueNums: 4, writeQueueNums: 4, perm: 6, topicSysFlag: 0 }],
      brokerDatas: [{ cluster: 'c', brokerName: 'a', brokerAddrs: { 0: 'a0:10911' }, enableActingMaster: false }],
      filterServerTable: {},
    })
    expect(routes.route('elsewhere')).toBeUndefined()
  })

  it('tells a replica where its master is, and takes no topics from it', () => {
    const routes = table()
    routes.register(registration({ haServerAddr: 'a0:10912' }), 'master', 0)
    const answer = routes.register(registration({ id: 1, topics: ['T', 'U', 'only-there'] }), 'replica', 0)
    expect(answer).toEqual({ status: 'ok', masterAddr: 'a0:10911', haServerAddr: 'a0:10912' })
    expect(routes.route('T')?.brokerDatas[0]?.brokerAddrs).toEqual({ 0: 'a0:10911', 1: 'a1:10911' })
    expect(routes.route('only-there')).toBeUndefined()
  })

  it('refuses a single topic of a broker that never registered in full, and accepts it afterwards', () => {
    const routes = table()
    expect(routes.register(registration({ topics: ['T'] }), 'socket', 0)).toEqual({ status: 'incomplete' })
    expect(routes.clusters().size).toBe(0)
    routes.register(registration({ topics: ['T', 'U'] }), 'socket', 0)
    expect(routes.register(registration({ topics: ['V'], version: version(2) }), 'socket', 0)).toEqual({ status: 'ok' })
    expect(routes.topicNames()).toEqual(['T', 'U', 'V'])
  })

  it('moves a process that comes back under another id', () => {
    const routes = table()
    routes.register(registration({ id: 1, address: 'x:1' }), 'socket', 0)
    routes.register(registration({ id: 0, address: 'x:1' }), 'socket', 0)
    expect(routes.brokers().get('a')?.brokerAddrs).toEqual({ 0: 'x:1' })
  })

  it('ignores an old master that wakes up after another has taken its id with a newer state', () => {
    const routes = table()
    routes.register(registration({ address: 'new:1', version: version(1, 5) }), 'new', 0)
    expect(routes.register(registration({ address: 'old:1', version: version(9, 4) }), 'old', 0)).toEqual({ status: 'outdated' })
    expect(routes.brokers().get('a')?.brokerAddrs).toEqual({ 0: 'new:1' })
    expect(routes.dataVersion('c', 'old:1')).toBeUndefined()
  })

  it('writes a topic only when the data version has changed', () => {
    const routes = table()
    routes.register(registration({}), 'socket', 0)
    routes.register(registration({ topics: [topic('T', { writeQueueNums: 8 }), 'U'] }), 'socket', 0)
    expect(queueOf(routes, 'T')?.writeQueueNums).toBe(4)
    routes.register(registration({ topics: [topic('T', { writeQueueNums: 8 }), 'U'], version: version(2) }), 'socket', 0)
    expect(queueOf(routes, 'T')?.writeQueueNums).toBe(8)
  })

  it('brings back a topic that was deleted here only', () => {
    const routes = table()
    routes.register(registration({}), 'socket', 0)
    routes.deleteTopic('T')
    expect(routes.route('T')).toBeUndefined()
    routes.register(registration({}), 'socket', 0)
    expect(routes.route('T')).toBeDefined()
  })

  it('keeps topics that a registration no longer lists, unless told to forget them', () => {
    for (const forget of [false, true]) {
      const routes = table({ deleteTopicWithBrokerRegistration: forget })
      routes.register(registration({ topics: ['T', 'U', 'V'] }), 'socket', 0)
      routes.register(registration({ topics: ['T', 'U'], version: version(2) }), 'socket', 0)
      expect(routes.topicNames()).toEqual(forget ? ['T', 'U'] : ['T', 'U', 'V'])
      routes.register(registration({ topics: ['W'], version: version(3) }), 'socket', 0)
      expect(routes.topicNames()).toContain('T')
    }
  })
})

describe('leaving', () => {
  it('forgets a broker with its last process', () => {
    const routes = table()
    routes.register(registration({}), 'a0', 0)
    routes.register(registration({ id: 1 }), 'a1', 0)
    routes.unregister({ clusterName: 'c', brokerName: 'a', brokerAddr: 'a0:10911', brokerId: 0 })
    expect(routes.route('T')?.brokerDatas[0]?.brokerAddrs).toEqual({ 1: 'a1:10911' })
    routes.unregister({ clusterName: 'c', brokerName: 'a', brokerAddr: 'a1:10911', brokerId: 1 })
    expect(routes.route('T')).toBeUndefined()
    expect(routes.topicNames()).toEqual([])
    expect(routes.clusters().size).toBe(0)
  })

  it('leaves with the connection, unless the broker has registered over a newer one', () => {
    const routes = table()
    routes.register(registration({}), 'first', 0)
    routes.register(registration({}), 'second', 0)
    expect(routes.channelClosed('first')).toEqual([])
    expect(routes.route('T')).toBeDefined()
    expect(routes.channelClosed('second')).toMatchObject([{ brokerName: 'a' }])
    expect(routes.route('T')).toBeUndefined()
  })

  it('gives up a silent broker after its own time, and not one that sends heartbeats', () => {
    const routes = table()
    routes.register(registration({ heartbeatTimeoutMs: 10_000 }), 'a', 0)
    routes.register(registration({ name: 'b' }), 'b', 0)
    routes.heartbeat('c', 'a0:10911', 5_000)
    expect(routes.expire(15_000)).toEqual([])
    expect(routes.expire(15_001)).toMatchObject([{ channel: 'a' }])
    expect(routes.expire(120_000)).toEqual([])
    expect(routes.expire(120_001)).toMatchObject([{ channel: 'b' }])
  })

  it('an old address that says farewell does not take the broker along', () => {
    const routes = table()
    routes.register(registration({ address: 'x:1' }), 'old', 0)
    routes.register(registration({ address: 'x:2' }), 'new', 0)
    routes.unregister({ clusterName: 'c', brokerName: 'a', brokerAddr: 'x:1', brokerId: 0 })
    expect(routes.brokers().get('a')?.brokerAddrs).toEqual({ 0: 'x:2' })
  })
})

describe('acting master', () => {
  it('shows the lowest replica as a read-only master while the master is away', () => {
    const routes = table({ supportActingMaster: true })
    for (const id of [0, 2, 3]) routes.register(registration({ id, enableActingMaster: true }), `a${id}`, 0)
    routes.channelClosed('a0')
    expect(routes.route('T')).toMatchObject({
      queueDatas: [{ perm: 4 }],
      brokerDatas: [{ brokerAddrs: { 0: 'a2:10911', 3: 'a3:10911' } }],
    })
    expect(routes.brokers().get('a')?.brokerAddrs).toEqual({ 2: 'a2:10911', 3: 'a3:10911' })
    routes.register(registration({ id: 0, enableActingMaster: true, version: version(1) }), 'a0', 0)
    expect(routes.route('T')).toMatchObject({ queueDatas: [{ perm: 6 }], brokerDatas: [{ brokerAddrs: { 0: 'a0:10911' } }] })
  })
})

describe('administration', () => {
  it('takes and gives the write permission of all topics of a broker, until it registers a change', () => {
    const routes = table()
    routes.register(registration({ topics: ['T', topic('R', { perm: 4 })] }), 'a', 0)
    routes.register(registration({ name: 'b', topics: ['T', 'U'] }), 'b', 0)
    expect(routes.setWritePermission('a', false)).toBe(2)
    expect(routes.route('T')?.queueDatas.map((queue) => queue.perm)).toEqual([4, 6])
    routes.register(registration({ topics: ['T', topic('R', { perm: 4 })] }), 'a', 0)
    expect(queueOf(routes, 'T')?.perm).toBe(4)
    expect(routes.setWritePermission('a', true)).toBe(2)
    expect(queueOf(routes, 'R')?.perm).toBe(6)
    routes.register(registration({ topics: ['T', topic('R', { perm: 4 })], version: version(2) }), 'a', 0)
    expect(queueOf(routes, 'R')?.perm).toBe(4)
    expect(routes.setWritePermission('nobody', false)).toBe(0)
  })

  it('deletes a topic on one cluster only', () => {
    const routes = table()
    routes.register(registration({}), 'a', 0)
    routes.register(registration({ name: 'b', clusterName: 'd' }), 'b', 0)
    routes.deleteTopic('T', 'd')
    expect(routes.route('T')?.queueDatas.map((queue) => queue.brokerName)).toEqual(['a'])
    expect(routes.topicsOfCluster('d')).toEqual(['U'])
    expect(routes.topicsOfCluster('c')).toEqual(['T', 'U'])
  })

  it('adds a topic to known brokers and names the first unknown one', () => {
    const routes = table()
    routes.register(registration({}), 'a', 0)
    const queues = (brokerName: string) => ({ brokerName, readQueueNums: 1, writeQueueNums: 1, perm: 6, topicSysFlag: 0 })
    expect(routes.registerTopic('N', [queues('a'), queues('nobody')])).toBe('nobody')
    expect(routes.route('N')?.queueDatas).toEqual([queues('a')])
  })

  it('lists topics by the flags of their first broker', () => {
    const routes = table()
    routes.register(registration({ topics: ['T', topic('unit', { topicSysFlag: 1 }), topic('both', { topicSysFlag: 3 })] }), 'a', 0)
    expect(routes.topicsBySysFlag((flag) => (flag & 1) !== 0)).toEqual(['unit', 'both'])
  })
})

it('a route that was handed out does not change under its reader', () => {
  const routes = table()
  routes.register(registration({}), 'a', 0)
  const held = routes.route('T')
  const before = JSON.stringify(held)
  routes.setWritePermission('a', false)
  routes.register(registration({ id: 1 }), 'a1', 0)
  routes.register(registration({ topics: [topic('T', { readQueueNums: 9 }), 'U'], version: version(2) }), 'a', 0)
  routes.channelClosed('a')
  expect(JSON.stringify(held)).toBe(before)
})
