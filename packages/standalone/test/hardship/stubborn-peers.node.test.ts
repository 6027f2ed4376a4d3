/** Peers that are slow, silent or greedy: they cost themselves, and nobody else. */
import { decodeRecords, GetMaxOffset, GetRouteinfoByTopic, PULL_FLAG, PullMessage, SendMessage } from '@skylarkmq/remoting/protocol'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { Neighbour } from './neighbour.node.ts'
import { freePort } from '../../../../scripts/free-ports.ts'
import { Home } from './processes.node.ts'
import type { Server } from './processes.node.ts'
import { RawSocket, requestFrame } from './raw-socket.node.ts'

const MIB = 1024 * 1024
const RESIDENT_BYTES_MAX = 500 * MIB
const SILENT = 1000
const SLOW = 50

let home: Home
let namesrv: Server
let broker: Server
let ports: { readonly broker: number; readonly namesrv: number }
let neighbours: Neighbour[]
beforeAll(async () => {
  home = new Home()
  ports = { broker: await freePort(), namesrv: await freePort() }
  namesrv = home.start('mqnamesrv', ['-c', home.namesrvConf(ports.namesrv)])
  await namesrv.up()
  const settings = { mappedFileSizeCommitLog: 64 * MIB, maxTransferBytesOnMessageInMemory: 4 * MIB, maxTransferCountOnMessageInMemory: 64 }
  broker = home.start('mqbroker', ['-c', home.brokerConf(ports.broker, `127.0.0.1:${ports.namesrv}`, settings)])
  await broker.up()
  neighbours = [Neighbour.ofBroker(`127.0.0.1:${ports.broker}`), Neighbour.ofNamesrv(`127.0.0.1:${ports.namesrv}`, 'TBW102')]
})
afterEach(async () => {
  await nobodyNotices()
  for (const server of [broker, namesrv]) {
    expect(server.isRunning).toBe(true)
    expect(server.logs().filter(({ level }) => level === 'error')).toEqual([])
    expect(server.residentBytes ?? 0).toBeLessThan(RESIDENT_BYTES_MAX)
  }
})
afterAll(async () => {
  for (const neighbour of neighbours) await neighbour.stop()
  await home.dispose()
})

const nobodyNotices = async (): Promise<void> => {
  for (const neighbour of neighbours) await neighbour.noticesNothing()
}
const sendFields = {
  producerGroup: 'p',
  defaultTopic: 'TBW102',
  defaultTopicQueueNums: '1',
  queueId: '0',
  sysFlag: '0',
  bornTimestamp: '1',
  flag: '0',
}
const pullFrom = (topic: string, further: Readonly<Record<string, string>> = {}): Buffer => {
  const place = { consumerGroup: 'cg', topic, queueId: '0', queueOffset: '0', maxMsgNums: '64', sysFlag: String(PULL_FLAG.SUBSCRIPTION) }
  const rest = { commitOffset: '0', suspendTimeoutMillis: '0', subVersion: '0', subscription: '*' }
  return requestFrame({ code: PullMessage.code, ext: { ...place, ...rest, ...further } })
}

test('a reader that asks for 8 GB and reads nothing gets no more than what the sockets hold, and costs nobody else anything', async () => {
  const writer = await RawSocket.to(ports.broker)
  for (let i = 0; i < 4; i++) {
    const ext = { ...sendFields, topic: 'large' }
    expect((await writer.ask({ code: SendMessage.code, ext, body: Buffer.alloc(MIB, 7) })).code).toBe(0)
  }
  writer.destroy()
  const reader = await RawSocket.to(ports.broker)
  reader.socket.pause()
  const request = pullFrom('large')
  for (let i = 0; i < 2000; i++) reader.write(request)
  let peakBytes = 0
  for (let i = 0; i < 50; i++) {
    await nobodyNotices()
    peakBytes = Math.max(peakBytes, broker.residentBytes ?? 0)
  }
  expect(peakBytes).toBeLessThan(RESIDENT_BYTES_MAX)
  // It was only slow: what it asked for first is still on its way.
  reader.socket.resume()
  const first = await reader.answer()
  expect(first.code).toBe(0)
  expect(decodeRecords(first.body).length).toBeGreaterThan(0)
  reader.destroy()
})

test(`${SLOW} peers that send a byte at a time get their answers in the end`, async () => {
  const slow = await Promise.all(Array.from({ length: SLOW }, () => RawSocket.to(ports.broker)))
  const frame = requestFrame({ code: GetMaxOffset.code, ext: { topic: 'TBW102', queueId: '0' } })
  for (const [at] of frame.entries()) {
    for (const raw of slow) raw.write(frame.subarray(at, at + 1))
    if (at % 20 === 0) await nobodyNotices()
  }
  for (const raw of slow) {
    expect((await raw.answer()).ext).toMatchObject({ offset: '0' })
    raw.destroy()
  }
})

test.each(['broker', 'namesrv'] as const)(`${SILENT} connections to the %s that say nothing leave room for those that do`, async (kind) => {
  const server = kind === 'broker' ? broker : namesrv
  const before = server.residentBytes ?? 0
  const silent = await Promise.all(Array.from({ length: SILENT }, () => RawSocket.to(ports[kind])))
  await nobodyNotices()
  expect((server.residentBytes ?? 0) - before).toBeLessThan(100 * MIB)
  const raw = await RawSocket.to(ports[kind])
  expect(
    (await raw.ask({ code: kind === 'broker' ? GetMaxOffset.code : GetRouteinfoByTopic.code, ext: { topic: 'TBW102', queueId: '0' } }))
      .code,
  ).toBe(0)
  raw.destroy()
  for (const each of silent) {
    expect(each.isClosed).toBe(false)
    each.destroy()
  }
})

test('20,000 requests in one breath are all answered, each once', async () => {
  const raw = await RawSocket.to(ports.broker)
  const count = 20_000
  const frames = Array.from({ length: count }, (_, i) =>
    requestFrame({ code: GetMaxOffset.code, ext: { topic: i % 2 === 0 ? 'TBW102' : 'nowhere', queueId: '0' } }, i),
  )
  raw.write(Buffer.concat(frames))
  const opaques = new Set<number>()
  for (let i = 0; i < count; i++) opaques.add((await raw.answer()).opaque)
  expect(opaques.size).toBe(count)
  raw.destroy()
})

test('20,000 pulls of one connection that wait for messages end when it does', async () => {
  const raw = await RawSocket.to(ports.broker)
  const writer = await RawSocket.to(ports.broker)
  const send = (): Promise<{ code: number }> =>
    writer.ask({ code: SendMessage.code, ext: { ...sendFields, topic: 'awaited' }, body: Buffer.from('x') })
  expect((await send()).code).toBe(0)
  const sysFlag = String(PULL_FLAG.SUBSCRIPTION | PULL_FLAG.SUSPEND)
  const waiting = pullFrom('awaited', { queueOffset: '1', sysFlag, suspendTimeoutMillis: '300000' })
  raw.write(Buffer.concat(Array.from({ length: 20_000 }, () => waiting)))
  // Those beyond the limit of a queue are told to come again.
  expect((await raw.answer()).code).toBe(209)
  raw.destroy()
  await nobodyNotices()
  expect((await send()).code).toBe(0)
  const reader = await RawSocket.to(ports.broker)
  reader.write(pullFrom('awaited', { queueOffset: '1', sysFlag, suspendTimeoutMillis: '300000' }))
  expect((await reader.answer()).code).toBe(0)
  for (const each of [writer, reader]) each.destroy()
})
