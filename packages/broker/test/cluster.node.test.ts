import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startNamesrv } from '@skylarkmq/namesrv'
import { createRemotingClient } from '@skylarkmq/remoting'
import { GetRouteinfoByTopic, PULL_FLAG, PullMessage, SendMessageV2, decodeRecords, decodeTopicRoute } from '@skylarkmq/remoting/protocol'
import { silentLog } from '@skylarkmq/runtime'
import { nodeRuntime } from '@skylarkmq/runtime/node'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { freePort } from '../../../scripts/free-ports.ts'
import { startBroker } from '../src/index.ts'
import type { Broker } from '../src/index.ts'

const runtime = nodeRuntime({ log: silentLog })
let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'skylark-broker-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

const namesrvAt = (name: string, listenPort = 0) =>
  startNamesrv(runtime, {
    listenPort,
    bindAddress: '127.0.0.1',
    kvConfigPath: join(folder, `${name}-kv.json`),
    configStorePath: join(folder, `${name}.properties`),
  })
const brokerAt = (name: string, namesrvAddr: string): Promise<Broker> =>
  startBroker(runtime, {
    listenPort: 0,
    bindAddress: '127.0.0.1',
    brokerName: name,
    namesrvAddr,
    storePathRootDir: join(folder, name),
    mappedFileSizeCommitLog: 16 * 1024 * 1024,
  })

test('two brokers register with two NameServers; a topic is announced by both; messages survive a restart', async () => {
  const namesrvs = [await namesrvAt('one'), await namesrvAt('two')]
  const namesrvAddr = namesrvs.map((namesrv) => `127.0.0.1:${namesrv.port}`).join(';')
  let a = await brokerAt('broker-a', namesrvAddr)
  const b = await brokerAt('broker-b', namesrvAddr)
  const client = createRemotingClient({ runtime })
  try {
    const routeOf = async (namesrv: number, topic: string) => {
      const answer = await client.invoke(`127.0.0.1:${namesrvs[namesrv]!.port}`, GetRouteinfoByTopic, { topic }, { timeoutMs: 3000 })
      return answer.code === 0
        ? decodeTopicRoute(answer.body)
            .brokerDatas.map((data) => data.brokerName)
            .sort()
        : answer.code
    }
    expect(await routeOf(0, 'TBW102')).toEqual(['broker-a', 'broker-b'])
    expect(await routeOf(1, 'TBW102')).toEqual(['broker-a', 'broker-b'])
    expect(await routeOf(0, 'orders')).toBe(17)
    expect(await Promise.all([a.createTopicOnDemand('orders'), b.createTopicOnDemand('orders')])).toEqual([true, true])
    expect(await a.createTopicOnDemand('%RETRY%orders')).toBe(false)
    expect(await routeOf(0, 'orders')).toEqual(['broker-a', 'broker-b'])
    expect(await routeOf(1, 'orders')).toEqual(['broker-a', 'broker-b'])

    const send = { producerGroup: 'pg', topic: 'orders', queueId: 0, sysFlag: 0, bornTimestamp: 1, flag: 0 }
    const bodies = Array.from({ length: 200 }, (_, i) => `message ${i}`)
    const answers = await Promise.all(
      bodies.map((body) => client.invoke(a.address, SendMessageV2, send, { body: Buffer.from(body), timeoutMs: 5000 })),
    )
    expect(answers.every((answer) => answer.code === 0)).toBe(true)
    expect(answers.map((answer) => answer.header().queueOffset)).toEqual(bodies.map((_, i) => i))

    await a.close()
    expect(await routeOf(0, 'orders')).toEqual(['broker-b'])
    a = await brokerAt('broker-a', namesrvAddr)
    const got: string[] = []
    for (let queueOffset = 0; queueOffset < bodies.length; ) {
      const pull = { consumerGroup: 'cg', topic: 'orders', queueId: 0, queueOffset, maxMsgNums: 32, sysFlag: PULL_FLAG.SUBSCRIPTION }
      const header = { ...pull, commitOffset: 0, suspendTimeoutMillis: 0, subVersion: 0n, subscription: '*' }
      const answer = await client.invoke(a.address, PullMessage, header, { timeoutMs: 5000 })
      expect(answer.code).toBe(0)
      got.push(...decodeRecords(answer.body).map((message) => Buffer.from(message.body).toString()))
      queueOffset = answer.header().nextBeginOffset
    }
    expect(got).toEqual(bodies)
  } finally {
    client.close()
    await a.close()
    await b.close()
    for (const namesrv of namesrvs) await namesrv.close()
  }
})

test('a broker that starts before its NameServer is known there soon after it is up', async () => {
  const port = await freePort()
  const broker = await brokerAt('broker-a', `127.0.0.1:${port}`)
  const namesrv = await namesrvAt('late', port)
  const client = createRemotingClient({ runtime })
  try {
    const isKnown = async (): Promise<boolean> =>
      (await client.invoke(`127.0.0.1:${port}`, GetRouteinfoByTopic, { topic: 'TBW102' }, { timeoutMs: 3000 })).code === 0
    while (!(await isKnown())) await runtime.clock.sleep(100)
  } finally {
    client.close()
    await broker.close()
    await namesrv.close()
  }
})

test('a port that is taken is an error with the address, and the store can be opened again', async () => {
  const first = await brokerAt('broker-a', '')
  const taken = startBroker(runtime, { listenPort: first.port, bindAddress: '127.0.0.1', storePathRootDir: join(folder, 'other') })
  await expect(taken).rejects.toMatchObject({ code: 'EADDRINUSE' })
  await first.close()
  const other = await startBroker(runtime, { listenPort: 0, bindAddress: '127.0.0.1', storePathRootDir: join(folder, 'other') })
  await other.close()
})
