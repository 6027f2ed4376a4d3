/** Brokers that tell clients addresses: who can reach them, and who is told which. */
import { startBroker } from '@skylarkmq/broker'
import type { Broker, BrokerConfig } from '@skylarkmq/broker'
import { startNamesrv } from '@skylarkmq/namesrv'
import type { Namesrv } from '@skylarkmq/namesrv'
import { createRemotingClient } from '@skylarkmq/remoting'
import {
  GetBrokerClusterInfo,
  GetGroupHealth,
  GetRouteinfoByTopic,
  HeartBeat,
  decodeClusterInfo,
  decodeTopicRoute,
  encodeHeartbeat,
} from '@skylarkmq/remoting/protocol'
import { simRuntime } from '@skylarkmq/runtime/sim'
import type { World } from '@skylarkmq/runtime/sim'
import { memoryMetadata } from '@skylarkmq/store'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'

const TOPIC = 'BenchmarkTest'
let world: World
let namesrv: Namesrv
let brokers: Broker[]

beforeEach(async () => {
  world = simRuntime(5).world
  brokers = []
  namesrv = await world.until(
    startNamesrv(world.node('ns'), { listenPort: 9876, bindAddress: world.node('ns').host, kvConfigPath: '/kv.json' }),
  )
})
afterEach(async () => {
  for (const broker of brokers) await world.until(broker.close())
  await world.until(namesrv.close())
})

const start = async (name: string, more: Partial<BrokerConfig> = {}): Promise<Broker> => {
  const node = world.node(name)
  const config = { brokerName: name, brokerIP1: node.host, namesrvAddr: `${world.node('ns').host}:9876`, storePathRootDir: `/${name}` }
  const broker = await world.until(
    startBroker(node, { ...config, listenPort: 10911, mappedFileSizeCommitLog: 1 << 20, ...more }, { metadata: memoryMetadata() }),
  )
  brokers.push(broker)
  return broker
}
const clientOf = (name: string) => createRemotingClient({ runtime: world.node(name) })
const namesrvAddr = () => `${world.node('ns').host}:9876`
const route = async (client: ReturnType<typeof clientOf>) => {
  const answer = await world.until(client.invoke(namesrvAddr(), GetRouteinfoByTopic, { topic: TOPIC }, { timeoutMs: 3000 }))
  return decodeTopicRoute(answer.body).brokerDatas.map(({ brokerAddrs }) => brokerAddrs[0])
}
const findings = async (broker: string) => {
  const client = clientOf('doctor')
  const answer = await world.until(client.invoke(`${world.node(broker).host}:10911`, GetGroupHealth, {}, { timeoutMs: 3000 }))
  client.close()
  return (JSON.parse(Buffer.from(answer.body).toString()) as { findings: { kind: string; address: string; sentence: string }[] }).findings
}

describe('a broker dials the addresses that clients are told', () => {
  test('it finds itself and says nothing', async () => {
    await start('broker-a')
    await world.run(10_000)
    expect(await findings('broker-a')).toEqual([])
  })

  test('nobody listens there, or somebody else does: it says so, with the setting to change', async () => {
    await start('broker-a')
    await start('broker-b', { brokerIP1: world.node('broker-a').host })
    await start('broker-c', { brokerIP1: '10.0.0.77' })
    await world.run(20_000)
    const [b] = await findings('broker-b')
    expect(b).toMatchObject({ kind: 'address-unreachable', address: `${world.node('broker-a').host}:10911` })
    expect(b?.sentence).toMatch(/broker broker-b does not find itself there: the broker broker-a listens there; set brokerIP1/)
    const [c] = await findings('broker-c')
    expect(c?.sentence).toMatch(/told to connect to 10\.0\.0\.77:10911/)
    expect(world.lines.filter((line) => line.sentence.includes('10.0.0.77:10911'))).toHaveLength(1)
  })
})

describe('clients of several networks', () => {
  test('are told the address of their own', async () => {
    const [inside, outside] = [clientOf('inside'), clientOf('outside')]
    await start('broker-a', { selfDialEnable: false, advertisedAddresses: `${world.node('outside').host}/32=203.0.113.9:10999` })
    const plain = `${world.node('broker-a').host}:10911`
    expect(await route(inside)).toEqual([plain])
    expect(await route(outside)).toEqual(['203.0.113.9:10999'])
    expect(await route(inside)).toEqual([plain])
    const info = await world.until(outside.invoke(namesrvAddr(), GetBrokerClusterInfo, {}, { timeoutMs: 3000 }))
    expect(decodeClusterInfo(info.body).brokerAddrTable['broker-a']?.brokerAddrs).toEqual({ 0: '203.0.113.9:10999' })
    inside.close()
    outside.close()
  })

  test('a rule that cannot be read stops the start with a sentence', async () => {
    await expect(start('broker-a', { advertisedAddresses: 'home=here' })).rejects.toThrow('the rule "home=here" cannot be read')
  })
})

describe('a client that was told an address and never came', () => {
  const poll = async (client: ReturnType<typeof clientOf>, ms: number) => {
    for (let passed = 0; passed < ms; passed += 30_000) {
      await route(client)
      await world.run(30_000)
    }
  }

  test('is reported with that address, once, until it comes', async () => {
    await start('broker-a')
    const client = clientOf('lost')
    await poll(client, 150_000)
    const [finding] = await findings('broker-a')
    expect(finding).toMatchObject({ kind: 'client-never-connected', address: `${world.node('broker-a').host}:10911`, topic: TOPIC })
    expect(finding?.sentence).toContain(`nobody has connected from ${world.node('lost').host} since`)
    expect(world.lines.filter((line) => line.sentence.includes('nobody has connected from'))).toHaveLength(1)

    const body = encodeHeartbeat({ clientID: 'lost', consumerDataSet: [], producerDataSet: [], heartbeatFingerprint: 0, withoutSub: false })
    await world.until(client.invoke(`${world.node('broker-a').host}:10911`, HeartBeat, {}, { body, timeoutMs: 3000 }))
    expect(await findings('broker-a')).toEqual([])
    await poll(client, 120_000)
    expect(await findings('broker-a')).toEqual([])
    client.close()
  })

  test('a tool that asks once, and a broker that asks often, are none', async () => {
    await start('broker-a')
    await start('broker-b')
    const tool = clientOf('tool')
    await route(tool)
    await world.run(150_000)
    expect(await findings('broker-a')).toEqual([])
    tool.close()
  })
})
