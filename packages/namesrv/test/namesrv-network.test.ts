/** A NameServer, brokers and clients as nodes of a simulated network, in virtual time. The brokers are stubs that register and obey. */
import { expect, it } from 'vitest'
import {
  encodeRegisterBroker,
  GetRouteinfoByTopic,
  PullMessage,
  RegisterBroker,
  RegisterTopicInNamesrv,
  UpdateAndCreateTopic,
} from '@skylarkmq/remoting/protocol'
import { createRemotingClient, route, startRemotingServer } from '@skylarkmq/remoting'
import type { RemotingClient } from '@skylarkmq/remoting'
import { simRuntime } from '@skylarkmq/runtime/sim'
import type { SimNode, World } from '@skylarkmq/runtime/sim'
import { startNamesrv } from '../src/index.ts'
import type { NamesrvConfig } from '../src/index.ts'
import { topic } from './harness.ts'

const NAMESRV = 'namesrv:9876'

const startAll = async (config: Partial<NamesrvConfig> = {}) => {
  const { world } = simRuntime(7)
  const namesrv = await world.until(startNamesrv(world.node('namesrv'), config))
  const client = createRemotingClient({ runtime: world.node('client') })
  const ask = (name: string) => world.until(client.invoke(NAMESRV, GetRouteinfoByTopic, { topic: name }, { timeoutMs: 5_000 }))
  return { world, namesrv, client, ask }
}

async function register(client: RemotingClient, name: string, topics: readonly string[], counter = 1): Promise<number> {
  const table = Object.fromEntries(topics.map((one) => [one, topic(one)]))
  const wrapper = { topicConfigTable: table, dataVersion: { stateVersion: 0, timestamp: 1, counter } }
  const body = encodeRegisterBroker({ topicConfigSerializeWrapper: wrapper, filterServerList: [] })
  const header = { clusterName: 'c', brokerName: name, brokerAddr: `${name}:10911`, brokerId: 0 }
  return (await client.invoke(NAMESRV, RegisterBroker, header, { body, timeoutMs: 5_000 })).code
}

/** Creates what it is asked to, answers, and registers only afterwards, as some brokers do. */
async function stubBroker(world: World, name: string): Promise<{ readonly client: RemotingClient; readonly created: string[] }> {
  const node: SimNode = world.node(name)
  const client = createRemotingClient({ runtime: node })
  const created: string[] = []
  const create = route(UpdateAndCreateTopic, { name: 'admin', maxInFlight: 10 }, (request) => {
    created.push(request.topic)
    node.clock.after(50, () => void register(client, name, ['T', 'U', ...created], created.length + 1))
    return { code: 0 }
  })
  await world.until(startRemotingServer(node, { name, port: 10911, routes: [create] }))
  expect(await world.until(register(client, name, ['T', 'U']))).toBe(0)
  return { client, created }
}

it('forgets a broker whose machine dies, and learns of it anew when it is back', async () => {
  const { world, ask } = await startAll()
  await stubBroker(world, 'a')
  expect((await ask('T')).code).toBe(0)
  world.kill('a')
  await world.run(100)
  expect((await ask('T')).code).toBe(17)
  await stubBroker(world, 'a')
  expect((await ask('T')).code).toBe(0)
})

it('tells a monitor what it knows, and is ready until it closes', async () => {
  const { world, namesrv, ask } = await startAll()
  await stubBroker(world, 'a')
  await ask('T')
  const figures = () => Object.fromEntries([...namesrv.figures()].map(({ name, value }) => [name, value]))
  expect(figures()).toMatchObject({ skylark_namesrv_topics: 2, skylark_namesrv_brokers: 1 })
  expect(figures()['skylark_namesrv_route_cache_bytes']).toBeGreaterThan(0)
  expect(namesrv.unready()).toEqual([])
  world.kill('a')
  await world.run(100)
  expect([...namesrv.figures()].filter(({ name, value }) => name === 'skylark_namesrv_brokers' && value > 0)).toEqual([])
  const closed = namesrv.close()
  expect(namesrv.unready()).toEqual(['it is closing'])
  await world.until(closed)
})

it('gives up a broker behind a cut cable after the time that it promised to report in', async () => {
  const { world, ask } = await startAll({ serverChannelMaxIdleTimeSeconds: 600 })
  await stubBroker(world, 'a')
  world.partition(['a'], ['namesrv'])
  await world.run(119_000)
  expect((await ask('T')).code).toBe(0)
  await world.run(10_000)
  expect((await ask('T')).code).toBe(17)
})

it('answers what it does not serve with "not supported", and goes on', async () => {
  const { world, client, ask } = await startAll()
  const pull = {
    consumerGroup: 'g',
    topic: 'T',
    queueId: 0,
    queueOffset: 0,
    maxMsgNums: 1,
    sysFlag: 0,
    commitOffset: 0,
    suspendTimeoutMillis: 0,
    subVersion: 0n,
  }
  expect((await world.until(client.invoke(NAMESRV, PullMessage, pull, { timeoutMs: 1_000 }))).code).toBe(3)
  const nameless = await world.until(client.invoke(NAMESRV, RegisterTopicInNamesrv, {}, { timeoutMs: 1_000 }))
  expect(nameless).toMatchObject({ code: 29, remark: expect.stringContaining('topic') })
  expect((await ask('T')).code).toBe(17)
})

it('creates a missing topic on all brokers before it answers, in development', async () => {
  const { world, ask, client } = await startAll({ createTopicOnRouteQuery: true })
  const [a, b] = [await stubBroker(world, 'a'), await stubBroker(world, 'b')]
  const both = Promise.all([1, 2].map(() => client.invoke(NAMESRV, GetRouteinfoByTopic, { topic: 'new' }, { timeoutMs: 5_000 })))
  for (const answer of await world.until(both)) {
    expect(answer.code).toBe(0)
    const { queueDatas } = JSON.parse(Buffer.from(answer.body).toString()) as { queueDatas: { brokerName: string }[] }
    expect(queueDatas.map(({ brokerName }) => brokerName).sort()).toEqual(['a', 'b'])
  }
  expect([a.created, b.created]).toEqual([['new'], ['new']])
  for (const name of ['%RETRY%g', '%DLQ%g', 'a/b', '', 'rmq_sys_x', 'TBW102']) expect((await ask(name)).code, name).toBe(17)
  expect([a.created, b.created]).toEqual([['new'], ['new']])
})

it('does not wait for a broker that cannot create a topic, beyond its time', async () => {
  const { world, ask } = await startAll({ createTopicOnRouteQuery: true })
  await stubBroker(world, 'a')
  world.partition(['a'], ['namesrv'])
  const before = world.nowMs
  expect((await ask('new')).code).toBe(17)
  expect(world.nowMs - before).toBeLessThan(5_000)
})

it('closes: the port is free again and no connection is left', async () => {
  const { world, namesrv, client } = await startAll({ createTopicOnRouteQuery: true })
  await stubBroker(world, 'a')
  await world.until(namesrv.close())
  client.close()
  await world.run(1_000)
  expect(world.openConnections).toBe(0)
  const again = await world.until(startNamesrv(world.node('namesrv'), {}))
  expect(again.port).toBe(9876)
  await world.until(again.close())
})
