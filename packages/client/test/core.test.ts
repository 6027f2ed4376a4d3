/** Routes, NameServers and heartbeats of a client, over scripted servers in virtual time. */
import { describe, expect, it } from 'vitest'
import type { ClientCore } from '@skylarkmq/client'
import { GetConsumerRunningInfo, HeartBeat, NotifyConsumerIdsChanged, PROTOCOL_VERSION } from '@skylarkmq/remoting/protocol'
import { parseNamesrvAddresses } from '../src/core/namesrv.ts'
import { publishQueuesOf, routeFingerprint, subscribeQueuesOf } from '../src/core/publish-queues.ts'
import { failureOf, fakeCluster, routeOf } from './support/fake-cluster.ts'

const TOPIC = 'Orders'

describe('namesrvAddr', () => {
  it('is read as RocketMQ clients read it', () => {
    expect(parseNamesrvAddresses('a:9876;b:9876')).toEqual(['a:9876', 'b:9876'])
    expect(parseNamesrvAddresses(' http://a:9876 ;; b:9877;a:9876')).toEqual(['a:9876', 'b:9877'])
    expect(parseNamesrvAddresses(['[::1]:9876', 'mq.example.org:1'])).toEqual(['[::1]:9876', 'mq.example.org:1'])
  })

  it.each(['', ';', 'a', 'a:0', 'a:70000', 'a:9876,b:9876', '::1:9876'])('is refused with a sentence: %j', (text) => {
    expect(() => parseNamesrvAddresses(text)).toThrow(/namesrvAddr/)
  })
})

describe('several NameServers', () => {
  it('are asked in turn when one is down, and the client stays with the one that answers', async () => {
    const { sim, client, lookUps, routes, brokers } = await fakeCluster({ namesrvs: ['ns1', 'ns2', 'ns3'] })
    routes.set(TOPIC, routeOf(Object.values(brokers)))
    await sim.world.until(client.core.route(TOPIC))
    const first = lookUps[0]?.namesrv as string
    sim.world.kill(first)
    await sim.world.until(client.core.route(TOPIC, { refresh: true }))
    await sim.world.until(client.core.route(TOPIC, { refresh: true }))
    const later = lookUps.slice(1).map((lookUp) => lookUp.namesrv)
    expect(later).toHaveLength(2)
    expect(new Set(later).size).toBe(1)
    expect(later[0]).not.toBe(first)
  })

  it('share the time when one of them hangs', async () => {
    const { sim, client, routes, brokers } = await fakeCluster({ namesrvs: ['ns1', 'ns2'] })
    routes.set(TOPIC, routeOf(Object.values(brokers)))
    sim.world.partition(['local'], ['ns1'])
    const startedAt = sim.world.nowMs
    await sim.world.until(client.core.route(TOPIC, { timeoutMs: 1000 }))
    expect(sim.world.nowMs - startedAt).toBeLessThan(700)
  })

  it('are all named, each with its cause, when none answers', async () => {
    const { sim, client } = await fakeCluster({ namesrvs: ['ns1', 'ns2'] })
    const hosts = ['ns1', 'ns2'].map((name) => sim.world.node(name).host)
    sim.world.kill('ns1')
    sim.world.kill('ns2')
    const error = await sim.world.until(failureOf(client.core.route(TOPIC)))
    expect(error).toMatchObject({ code: 'CONNECT_FAILED', phase: 'resolve', retryable: true })
    for (const host of hosts) expect(error.message).toContain(`${host}:9876`)
    expect(error.message).toContain('ECONNREFUSED')
    expect(error.message).toContain('check namesrvAddr')
  })
})

describe('routes', () => {
  it('are looked up once for all who wait', async () => {
    const { sim, client, lookUps, routes, brokers } = await fakeCluster()
    routes.set(TOPIC, routeOf(Object.values(brokers)))
    await sim.world.until(Promise.all(Array.from({ length: 50 }, () => client.core.subscribeQueues(TOPIC))))
    await sim.world.until(client.core.publishQueues(TOPIC))
    expect(lookUps).toHaveLength(1)
  })

  it('come from TBW102 for a topic that is to be created, four queues per broker, until the real one is there', async () => {
    const { sim, client, routes, brokers } = await fakeCluster()
    const all = Object.values(brokers)
    routes.set('TBW102', routeOf(all, 8, 7))
    expect(await sim.world.until(client.core.publishQueues(TOPIC))).toHaveLength(8)
    expect(await sim.world.until(client.core.subscribeQueues(TOPIC))).toEqual([])
    routes.set(TOPIC, routeOf(all.slice(0, 1), 3))
    const producer = client.producer({ group: 'g' })
    await sim.world.run(1100)
    await sim.world.until(producer.send({ topic: TOPIC, body: 'x' }))
    await sim.world.run(100)
    expect(await client.core.publishQueues(TOPIC)).toHaveLength(3)
  })

  it('missing everywhere give an error that says how to create the topic', async () => {
    const { sim, client } = await fakeCluster()
    const error = await sim.world.until(failureOf(client.core.publishQueues(TOPIC)))
    expect(error).toMatchObject({ code: 'TOPIC_NOT_EXIST', brokerCode: 17, topic: TOPIC })
    expect(error.message).toMatch(/updateTopic/)
  })

  it('are refreshed every 30 s; a change is announced once, and the known route survives NameServers that are away', async () => {
    const { sim, client, routes, brokers, broker } = await fakeCluster()
    routes.set(TOPIC, routeOf([broker('a')]))
    await sim.world.until(client.core.route(TOPIC))
    const changes: number[] = []
    client.core.events.on('routeChanged', (_, route) => changes.push(route.queueDatas.length))
    await sim.world.run(61_000)
    expect(changes).toEqual([])
    routes.set(TOPIC, routeOf(Object.values(brokers)))
    await sim.world.run(31_000)
    expect(changes).toEqual([2])
    expect(client.core.brokerNames).toEqual(['a', 'b'])
    routes.delete(TOPIC)
    await sim.world.run(31_000)
    sim.world.kill('ns1')
    await sim.world.run(31_000)
    expect(await client.core.subscribeQueues(TOPIC)).toHaveLength(8)
    routes.set(TOPIC, routeOf([broker('a')]))
    expect(changes).toEqual([2])
  })

  it('are equal whatever the order of their lists', async () => {
    const { broker } = await fakeCluster()
    const one = routeOf([broker('a'), broker('b')])
    const other = { ...one, queueDatas: one.queueDatas.toReversed(), brokerDatas: one.brokerDatas.toReversed() }
    expect(routeFingerprint(other)).toBe(routeFingerprint(one))
    expect(routeFingerprint(routeOf([broker('a')]))).not.toBe(routeFingerprint(one))
  })

  it('say which queues can be written and which can be read', async () => {
    const { broker } = await fakeCluster()
    const all = routeOf([broker('b'), broker('a')], 2)
    expect(publishQueuesOf(TOPIC, all).map((queue) => `${queue.brokerName}${queue.queueId}`)).toEqual(['a0', 'a1', 'b0', 'b1'])
    expect(publishQueuesOf(TOPIC, { ...all, queueDatas: all.queueDatas.map((data) => ({ ...data, perm: 4 })) })).toEqual([])
    expect(subscribeQueuesOf(TOPIC, { ...all, queueDatas: all.queueDatas.map((data) => ({ ...data, perm: 2 })) })).toEqual([])
    const withoutMaster = { ...all, brokerDatas: all.brokerDatas.map((data) => ({ ...data, brokerAddrs: { '1': 'x:1' } })) }
    expect(publishQueuesOf(TOPIC, withoutMaster)).toEqual([])
    expect(subscribeQueuesOf(TOPIC, withoutMaster)).toHaveLength(4)
    expect(publishQueuesOf(TOPIC, { ...all, orderTopicConf: 'b:1;a:3' }).map((queue) => `${queue.brokerName}${queue.queueId}`)).toEqual([
      'b0',
      'a0',
      'a1',
      'a2',
    ])
  })
})

describe('heartbeats', () => {
  const consumer = (group: string) => ({
    kind: 'consumer' as const,
    group,
    consumerData: () => ({
      groupName: group,
      consumeType: 'CONSUME_PASSIVELY' as const,
      messageModel: 'CLUSTERING' as const,
      consumeFromWhere: 'CONSUME_FROM_LAST_OFFSET' as const,
      subscriptionDataSet: [],
      unitMode: false,
    }),
    topics: () => [TOPIC],
  })

  async function known() {
    const made = await fakeCluster()
    made.routes.set(TOPIC, routeOf(Object.values(made.brokers)))
    await made.sim.world.until(made.client.core.route(TOPIC))
    return made
  }

  it('name all groups of the client to every broker, within a second and then every 30 s', async () => {
    const { sim, client, broker } = await known()
    client.producer({ group: 'p' })
    client.core.registerGroup(consumer('c'))
    await sim.world.run(1100)
    for (const name of ['a', 'b']) {
      expect(broker(name).heartbeats).toMatchObject([
        { clientID: client.clientId, producerDataSet: [{ groupName: 'p' }], consumerDataSet: [{ groupName: 'c' }] },
      ])
    }
    await sim.world.run(60_000)
    expect(broker('a').heartbeats).toHaveLength(3)
    expect(client.core.brokerVersion(broker('a').address)).toBe(PROTOCOL_VERSION)
  })

  it('go to replicas only for consumers', async () => {
    const { sim, client, routes, broker } = await fakeCluster()
    const route = routeOf([broker('a')])
    routes.set(TOPIC, {
      ...route,
      brokerDatas: [
        {
          ...(route.brokerDatas[0] as (typeof route.brokerDatas)[number]),
          brokerAddrs: { '0': broker('a').address, '1': broker('b').address },
        },
      ],
    })
    await sim.world.until(client.core.route(TOPIC))
    client.producer({ group: 'p' })
    await sim.world.until(client.core.heartbeatNow())
    expect([broker('a').heartbeats.length, broker('b').heartbeats.length]).toEqual([1, 0])
    client.core.registerGroup(consumer('c'))
    await sim.world.until(client.core.heartbeatNow())
    expect([broker('a').heartbeats.length, broker('b').heartbeats.length]).toEqual([2, 1])
  })

  it('asked for during a round are in one more round, which tells what is true by then', async () => {
    const { sim, client, broker } = await known()
    client.producer({ group: 'p' })
    const first = client.core.heartbeatNow()
    client.core.registerGroup(consumer('c'))
    const others = [client.core.heartbeatNow(), client.core.heartbeatNow(), client.core.heartbeatNow()]
    expect(await sim.world.until(Promise.all([first, ...others]))).toEqual([2, 2, 2, 2])
    expect(broker('a').heartbeats.map((heartbeat) => heartbeat.consumerDataSet.length)).toEqual([0, 1])
  })

  it('that fail are logged once, and the count says how many brokers answered', async () => {
    const { sim, client } = await known()
    client.producer({ group: 'p' })
    sim.world.kill('b')
    expect(await sim.world.until(client.core.heartbeatNow())).toBe(1)
    expect(await sim.world.until(client.core.heartbeatNow())).toBe(1)
    expect(sim.world.lines.filter((line) => /does not answer heartbeats/.test(JSON.stringify(line)))).toHaveLength(1)
  })

  it('forget a broker that no route names any more', async () => {
    const { sim, client, routes, broker } = await known()
    client.producer({ group: 'p' })
    routes.set(TOPIC, routeOf([broker('a')]))
    await sim.world.run(61_000)
    expect(client.core.brokerNames).toEqual(['a'])
    const before = broker('b').heartbeats.length
    await sim.world.run(61_000)
    expect(broker('b').heartbeats).toHaveLength(before)
  })

  it('end with a goodbye to each broker, unless another member has the same group', async () => {
    const { sim, client, broker } = await known()
    const one = client.producer({ group: 'p' })
    const two = client.producer({ group: 'p' })
    await sim.world.until(client.core.heartbeatNow())
    await sim.world.until(one.close())
    expect(broker('a').goodbyes).toEqual([])
    await sim.world.until(two.close())
    expect(broker('a').goodbyes).toEqual([{ clientID: client.clientId, producerGroup: 'p' }])
  })
})

describe('requests of brokers', () => {
  it('reach the first member that answers; without one the broker is told', async () => {
    const { sim, client, routes, brokers, broker } = await fakeCluster({ brokers: ['a'] })
    routes.set(TOPIC, routeOf(Object.values(brokers)))
    await sim.world.until(client.core.route(TOPIC))
    client.producer({ group: 'p' })
    await sim.world.until(client.core.heartbeatNow())
    const [connection] = broker('a').connections
    const ask = () =>
      sim.world.until(
        connection?.invoke(GetConsumerRunningInfo, { consumerGroup: 'c', clientId: client.clientId }, { timeoutMs: 1000 }) ??
          Promise.reject(),
      )
    expect(await ask()).toMatchObject({ code: 1, remark: expect.stringContaining('no member') })
    client.core.onNotification(GetConsumerRunningInfo, () => undefined)
    const remove = client.core.onNotification(GetConsumerRunningInfo, ({ consumerGroup }) => ({ code: 0, remark: consumerGroup }))
    expect(await ask()).toMatchObject({ code: 0, remark: 'c' })
    remove()
    expect(await ask()).toMatchObject({ code: 1 })
    const heard: string[] = []
    client.core.onNotification(NotifyConsumerIdsChanged, ({ consumerGroup }) => {
      heard.push(consumerGroup)
      return undefined
    })
    connection?.notify(NotifyConsumerIdsChanged, { consumerGroup: 'c' })
    await sim.world.run(10)
    expect(heard).toEqual(['c'])
  })
})

describe('a client', () => {
  it('has an id of its own, in the form that brokers show', async () => {
    const { client, newClient } = await fakeCluster()
    expect(client.clientId).toMatch(/^127\.0\.0\.1@\d+#\d+$/)
    expect(newClient().clientId).not.toBe(client.clientId)
    expect(newClient({ clientIp: '10.1.2.3', instanceName: 'orders', unitName: 'u' }).clientId).toBe('10.1.2.3@orders@u')
  })

  it('says which broker it does not know, and that it is closed', async () => {
    const { sim, client } = await fakeCluster()
    expect(await failureOf(client.core.invoke('nobody', HeartBeat, {}))).toMatchObject({ code: 'NO_ROUTE', retryable: true })
    await sim.world.until(client.close())
    expect(await failureOf(client.core.invoke('10.0.0.9:1', HeartBeat, {}))).toMatchObject({ code: 'CLOSED' })
    expect(() => client.producer({ group: 'g' })).toThrow(/closed/)
    await client.close()
  })

  it('closes consumers before producers, so that handlers at work can still send', async () => {
    const { sim, client, routes, brokers } = await fakeCluster()
    routes.set(TOPIC, routeOf(Object.values(brokers)))
    const producer = client.producer({ group: 'g' })
    const order: string[] = []
    const core: ClientCore = client.core
    core.onClose(async () => {
      await sim.clock.sleep(100)
      await producer.send({ topic: TOPIC, body: 'the last word' })
      order.push('consumer')
    })
    core.onClose(async () => {
      order.push('producer')
    }, 'producer')
    core.onClose(() => Promise.reject(new Error('broken part')))
    await sim.world.until(client.close())
    expect(order).toEqual(['consumer', 'producer'])
    expect(sim.world.report()).toContain('failed to close')
  })

  it('makes a new connection to a broker that lost power without a word', async () => {
    const { sim, client, routes, brokers, broker } = await fakeCluster({ brokers: ['a'] })
    routes.set(TOPIC, routeOf(Object.values(brokers)))
    const producer = client.producer({ group: 'g', retries: 0 })
    await sim.world.until(producer.send({ topic: TOPIC, body: 'x' }))
    const before = broker('a').connections.size
    sim.world.partition(['local'], ['a'])
    for (let i = 0; i < 3; i++) await sim.world.until(failureOf(producer.send({ topic: TOPIC, body: 'lost' }, { timeoutMs: 100 })))
    sim.world.heal()
    await sim.world.until(producer.send({ topic: TOPIC, body: 'back' }))
    expect(broker('a').connections.size).toBe(before + 1)
  })
})
