/** NameServers and brokers that come and go, in processes of their own. */
import { createClient } from '@skylarkmq/client'
import type { Client } from '@skylarkmq/client'
import { createRemotingClient } from '@skylarkmq/remoting'
import type { RemotingClient } from '@skylarkmq/remoting'
import { decodeTopicRoute, GetRouteinfoByTopic, ResponseCode } from '@skylarkmq/remoting/protocol'
import { silentLog } from '@skylarkmq/runtime'
import { nodeRuntime } from '@skylarkmq/runtime/node'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { freePort } from '../../../../scripts/free-ports.ts'
import { Home } from './processes.node.ts'
import type { Server } from './processes.node.ts'

const { clock, ...rest } = nodeRuntime({ log: silentLog })
const runtime = { clock, ...rest }
/** Of processes that share two cores; one that is dead refuses at once. */
const timeoutMs = 30_000
/** The broker's registerNameServerPeriod here; the product's default is 30 s. */
const REGISTER_MS = 1000

let home: Home
let asker: RemotingClient
const clients: Client[] = []
beforeEach(() => {
  home = new Home()
  asker = createRemotingClient({ runtime, connectTimeoutMs: timeoutMs })
})
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close({ drainMs: 0 })))
  asker.close()
  await home.dispose()
})

interface Named {
  readonly address: string
  readonly start: () => Promise<Server>
}

async function namesrv(): Promise<Named> {
  const port = await freePort()
  const conf = home.namesrvConf(port)
  const start = async (): Promise<Server> => {
    const server = home.start('mqnamesrv', ['-c', conf])
    await server.up()
    return server
  }
  return { address: `127.0.0.1:${port}`, start }
}

async function startBroker(brokerName: string, namesrvAddr: string): Promise<Server> {
  const settings = { brokerName, registerNameServerPeriod: REGISTER_MS, mappedFileSizeCommitLog: 16 * 1024 * 1024 }
  const server = home.start('mqbroker', ['-c', home.brokerConf(await freePort(), namesrvAddr, settings)])
  await server.up()
  return server
}

/** The brokers that a NameServer names for a topic; undefined when it knows none, or does not answer. */
async function brokersOf(address: string, topic: string): Promise<string[] | undefined> {
  const answer = await asker.invoke(address, GetRouteinfoByTopic, { topic }, { timeoutMs })
  if (answer.code === ResponseCode.TOPIC_NOT_EXIST) return undefined
  return decodeTopicRoute(answer.body)
    .brokerDatas.map(({ brokerName }) => brokerName)
    .sort()
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo().catch(() => false))) await clock.sleep(20)
}

async function newClient(namesrvAddr: string): Promise<Client> {
  const client = await createClient({ namesrvAddr, log: silentLog, timeouts: { requestMs: timeoutMs, connectMs: timeoutMs } })
  clients.push(client)
  return client
}

test('one of two NameServers dies: old and new clients go on with the other; it returns and learns all routes again', async () => {
  const [one, two] = [await namesrv(), await namesrv()]
  const [first] = await Promise.all([one.start(), two.start()])
  const both = `${one.address};${two.address}`
  await Promise.all([startBroker('broker-a', both), startBroker('broker-b', both)])
  const received = new Set<string>()
  const client = await newClient(both)
  const producer = client.producer({ group: 'writers', timeoutMs })
  const sent: string[] = []
  const send = async (topic: string, body: string): Promise<void> => {
    await producer.send({ topic, body })
    sent.push(body)
  }
  await send('orders', 'before')
  const consumer = client.pushConsumer({
    group: 'readers',
    subscriptions: { orders: '*' },
    consumeFrom: 'first',
    handler: (message) => void received.add(message.text),
  })
  await consumer.start()

  await first?.end('SIGKILL')
  for (let i = 0; i < 20; i++) await send('orders', `while one is away ${i}`)
  // Routes that nobody had asked for before, and clients that are new: whichever NameServer they try first.
  for (let i = 0; i < 4; i++) {
    const late = await newClient(i % 2 === 0 ? both : `${two.address};${one.address}`)
    const body = `by a new client ${i}`
    await late.producer({ group: `late-${i}`, timeoutMs }).send({ topic: 'orders', body })
    sent.push(body)
  }
  await send('orders-of-later', 'a topic that is new')
  await until(async () => sent.filter((body) => body !== 'a topic that is new').every((body) => received.has(body)))

  await one.start()
  for (const topic of ['orders', 'orders-of-later', 'TBW102']) {
    const known = await brokersOf(two.address, topic)
    await until(async () => JSON.stringify(await brokersOf(one.address, topic)) === JSON.stringify(known))
  }
  expect(await brokersOf(one.address, 'TBW102')).toEqual(['broker-a', 'broker-b'])
  const fresh = await newClient(one.address)
  await fresh.producer({ group: 'fresh', timeoutMs }).send({ topic: 'orders', body: 'by the one that returned' })
  await until(async () => received.has('by the one that returned'))
})

test('a broker that stops cleanly is gone from both NameServers when its process is, and its peer serves on', async () => {
  const [one, two] = [await namesrv(), await namesrv()]
  await Promise.all([one.start(), two.start()])
  const both = `${one.address};${two.address}`
  const [a] = await Promise.all([startBroker('broker-a', both), startBroker('broker-b', both)])
  const producer = (await newClient(both)).producer({ group: 'writers', timeoutMs })
  for (let i = 0; i < 8; i++) await producer.send({ topic: 'TBW102', body: `both ${i}` })
  expect(await a?.end('SIGTERM')).toEqual({ code: 0, signal: null })
  for (const { address } of [one, two]) expect(await brokersOf(address, 'TBW102')).toEqual(['broker-b'])
  for (let i = 0; i < 8; i++) {
    const { queue } = await producer.send({ topic: 'TBW102', body: `one ${i}` })
    expect(queue.brokerName).toBe('broker-b')
  }
})

test('a broker that is killed is gone from the NameServers at once, as its connection is', async () => {
  const one = await namesrv()
  const server = await one.start()
  const broker = await startBroker('broker-a', one.address)
  expect(await brokersOf(one.address, 'TBW102')).toEqual(['broker-a'])
  await broker.end('SIGKILL')
  await server.prints(/broker left: its connection closed/)
  expect(await brokersOf(one.address, 'TBW102')).toBeUndefined()
})

test('brokers that were started before any NameServer are known soon after one is there', async () => {
  const one = await namesrv()
  await Promise.all([startBroker('broker-a', one.address), startBroker('broker-b', one.address)])
  await one.start()
  await until(async () => (await brokersOf(one.address, 'TBW102'))?.length === 2)
})
