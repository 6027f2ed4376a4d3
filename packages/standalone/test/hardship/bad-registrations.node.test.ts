/** Wrong requests at a real NameServer: it names what is wrong, keeps the routes that it has, and goes on answering others. */
import { deflateSync } from 'node:zlib'
import {
  allCommands,
  decodeTopicRoute,
  DeleteTopicInNamesrv,
  GetKvConfig,
  GetRouteinfoByTopic,
  PutKvConfig,
  QueryDataVersion,
  RegisterBroker,
  RegisterTopicInNamesrv,
  SendMessage,
  UnregisterBroker,
  UpdateNamesrvConfig,
} from '@skylarkmq/remoting/protocol'
import type { AnyCommand, Field, Frame } from '@skylarkmq/remoting/protocol'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { Neighbour } from './neighbour.node.ts'
import { freePort } from '../../../../scripts/free-ports.ts'
import { Home } from './processes.node.ts'
import type { Server } from './processes.node.ts'
import { RawSocket } from './raw-socket.node.ts'

const RESIDENT_BYTES_MAX = 400 * 1024 * 1024
const INVALID = 29

let home: Home
let namesrv: Server
let port: number
let neighbour: Neighbour
let raw: RawSocket
/** A sound broker, which must stay known through all of it. */
let sound: RawSocket
let linesBefore = 0
beforeAll(async () => {
  home = new Home()
  port = await freePort()
  namesrv = home.start('mqnamesrv', ['-c', home.namesrvConf(port)])
  await namesrv.up()
  sound = await RawSocket.to(port)
  expect(await register(sound, { heartbeatTimeoutMillis: '3600000' }, soundBody())).toMatchObject({ code: 0 })
  neighbour = Neighbour.ofNamesrv(`127.0.0.1:${port}`, 'sound')
})
beforeEach(async () => {
  raw = await RawSocket.to(port)
  linesBefore = namesrv.logs().length
})
afterEach(async () => {
  raw.destroy()
  await neighbour.noticesNothing()
  const route = await sound.ask({ code: GetRouteinfoByTopic.code, ext: { topic: 'sound' } })
  expect(decodeTopicRoute(route.body).brokerDatas).toMatchObject([{ brokerName: 'broker-a', brokerAddrs: { 0: '127.0.0.1:10911' } }])
  expect(namesrv.isRunning).toBe(true)
  expect(
    namesrv
      .logs()
      .slice(linesBefore)
      .filter(({ level }) => level === 'error'),
  ).toEqual([])
  expect(namesrv.residentBytes ?? 0).toBeLessThan(RESIDENT_BYTES_MAX)
})
afterAll(async () => {
  await neighbour.stop()
  sound.destroy()
  await home.dispose()
})

const says = (...parts: readonly (string | number)[]) =>
  expect.stringMatching(new RegExp(parts.map((part) => String(part).replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.*'), 's'))

const identity = { brokerName: 'broker-a', brokerAddr: '127.0.0.1:10911', clusterName: 'c', haServerAddr: '127.0.0.1:10912', brokerId: '0' }
function topic(topicName: string) {
  return { topicName, readQueueNums: 4, writeQueueNums: 4, perm: 6, topicFilterType: 'SINGLE_TAG', topicSysFlag: 0, order: false }
}
function bodyText(topics: readonly string[]): string {
  return JSON.stringify({
    filterServerList: [],
    topicConfigSerializeWrapper: {
      topicConfigTable: Object.fromEntries(topics.map((name) => [name, topic(name)])),
      dataVersion: { stateVersion: 0, timestamp: 1, counter: 1 },
    },
  })
}
function soundBody(): string {
  // Two: a broker that is not known may not begin with a single topic.
  return bodyText(['sound', 'TBW102'])
}
const register = (from: RawSocket, further: Readonly<Record<string, string>>, body: string | Uint8Array): Promise<Frame> =>
  from.ask({ code: RegisterBroker.code, ext: { ...identity, ...further }, body: Buffer.from(body) })
/** Anyone else: what goes wrong here must not touch the sound one. */
const other = { brokerName: 'other', brokerAddr: '127.0.0.1:20911' }

describe('a registration', () => {
  test.each([
    ['half a JSON', '{"topicConfigSerializeWrapper":{'],
    ['bytes', Buffer.from([0, 255, 1, 254])],
    ['a list', '[]'],
    ['a number', '7'],
    ['1,000,000 open brackets', '['.repeat(1_000_000)],
    ['topics that are a list', '{"topicConfigSerializeWrapper":{"topicConfigTable":[1,2]}}'],
    ['topics that are numbers', '{"topicConfigSerializeWrapper":{"topicConfigTable":{"a":5}}}'],
    ['queues that are words', '{"topicConfigSerializeWrapper":{"topicConfigTable":{"a":{"topicName":"a","readQueueNums":"many"}}}}'],
    ['a version that is none', '{"topicConfigSerializeWrapper":{"topicConfigTable":{},"dataVersion":"latest"}}'],
  ])('whose body is %s is refused in words, or taken for what it means', async (_, body) => {
    const answer = await register(raw, other, body)
    if (answer.code !== 0) expect(answer).toMatchObject({ code: INVALID, remark: expect.stringMatching(/\S/) })
  })

  test.each([
    ['no compression at all', Buffer.from('{}')],
    ['bytes', Buffer.from([1, 2, 3, 4])],
    ['a length beyond its end', deflateSync(Buffer.from([0, 0, 0x7f, 0xff, 0xff, 0xff]))],
    ['a negative length', deflateSync(Buffer.from([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]))],
    ['64 MiB of nothing in 64 kB', deflateSync(Buffer.alloc(64 * 1024 * 1024))],
    ['half of what was compressed', deflateSync(Buffer.from(soundBody())).subarray(0, 60)],
  ])('that says it is compressed and holds %s', async (_, body) => {
    const answer = await register(raw, { ...other, compressed: 'true' }, body)
    if (answer.code !== 0) expect(answer).toMatchObject({ code: expect.any(Number), remark: expect.stringMatching(/\S/) })
    expect(answer.remark ?? '').not.toMatch(/^the server failed/)
  })

  test('whose checksum is another', async () => {
    const answer = await register(raw, { ...other, bodyCrc32: '12345' }, soundBody())
    expect(answer).toMatchObject({ code: 1, remark: says('crc32 not match', 'bodyCrc32', 12_345) })
  })

  test('of 30,000 topics is taken whole, and their routes are there', async () => {
    const names = Array.from({ length: 30_000 }, (_, i) => `topic-${i}`)
    expect((await register(raw, other, bodyText(names))).code).toBe(0)
    for (const name of [names[0], names[29_999]]) {
      expect((await raw.ask({ code: GetRouteinfoByTopic.code, ext: { topic: name as string } })).code).toBe(0)
    }
    expect((await raw.ask({ code: UnregisterBroker.code, ext: { ...identity, ...other } })).code).toBe(0)
  })

  test('with topics named after what every object of JavaScript has', async () => {
    const body = `{"topicConfigSerializeWrapper":{"topicConfigTable":{"__proto__":${JSON.stringify(topic('__proto__'))},"constructor":${JSON.stringify(topic('constructor'))}},"dataVersion":{"timestamp":1,"counter":1}}}`
    expect((await register(raw, { ...other, brokerName: '__proto__', clusterName: 'constructor' }, body)).code).toBe(0)
    for (const name of ['toString', 'hasOwnProperty']) {
      expect((await raw.ask({ code: GetRouteinfoByTopic.code, ext: { topic: name } })).code).toBe(17)
    }
    expect((await raw.ask({ code: GetRouteinfoByTopic.code, ext: { topic: 'constructor' } })).code).toBe(0)
  })

  test.each(['', 'no-port', '127.0.0.1:99999999', 'x'.repeat(10_000)])('from the address %j breaks nothing', async (brokerAddr) => {
    const answer = await register(raw, { ...other, brokerAddr }, soundBody().replaceAll('sound', 'unsound'))
    if (answer.code !== 0) expect(answer.remark).toMatch(/\S/)
  })

  test('that breaks off is forgotten with its connection', async () => {
    expect((await register(raw, other, bodyText(['short-lived', 'TBW102']))).code).toBe(0)
    raw.destroy()
    await namesrv.prints(/broker left: its connection closed/)
    // An earlier broker may have printed that.
    const ask = async () => (await sound.ask({ code: GetRouteinfoByTopic.code, ext: { topic: 'short-lived' } })).code
    await expect.poll(ask, { timeout: 60_000, interval: 100 }).toBe(17)
  })
})

/** The commands of a NameServer with one field left out or spoiled. */
function* spoiled(command: AnyCommand): Generator<readonly [string, Readonly<Record<string, string>>, string]> {
  const fields = Object.entries(command.request as Record<string, Field>)
  const value = ({ kind, values }: Field): string => (kind === 'enum' ? (values?.[0] ?? '') : kind === 'string' ? 'x' : '1')
  const all = Object.fromEntries(fields.map(([name, field]) => [field.wireName ?? name, value(field)]))
  for (const [name, field] of fields) {
    const { [field.wireName ?? name]: _, ...without } = all
    if (!field.optional) yield [name, without, 'is missing']
    if (['int', 'long', 'long64'].includes(field.kind)) yield [name, { ...all, [field.wireName ?? name]: 'many' }, '"many"']
  }
}

describe('a request', () => {
  test('with a field missing or no number is told which, by every command', async () => {
    let asked = 0
    for (const command of allCommands()) {
      for (const [field, ext, value] of spoiled(command)) {
        const answer = await raw.ask({ code: command.code, ext })
        if (answer.code === 3) break
        const { code, remark } = answer
        expect({ command: command.name, code, remark }).toEqual({ command: command.name, code: INVALID, remark: says(field, value) })
        asked++
      }
    }
    expect(asked).toBeGreaterThan(20)
  })

  test('for a broker, or of an unknown code, is told whose it is', async () => {
    expect(await raw.ask({ code: SendMessage.code })).toMatchObject({
      code: 3,
      remark: says('request type 10 not supported', 'SEND_MESSAGE', 'namesrv'),
    })
    expect(await raw.ask({ code: 31_999 })).toMatchObject({ code: 3, remark: says('request type 31999 not supported') })
  })

  test('for an unknown topic, broker or key', async () => {
    expect(await raw.ask({ code: GetRouteinfoByTopic.code, ext: { topic: 'nowhere' } })).toMatchObject({
      code: 17,
      remark: says('nowhere'),
    })
    expect((await raw.ask({ code: GetRouteinfoByTopic.code, ext: { topic: 'x'.repeat(100_000) } })).code).toBe(17)
    expect(await raw.ask({ code: GetKvConfig.code, ext: { namespace: 'n', key: 'k' } })).toMatchObject({ code: 22, remark: says('n', 'k') })
    expect((await raw.ask({ code: UnregisterBroker.code, ext: { ...identity, brokerName: 'nobody', brokerAddr: 'nowhere:1' } })).code).toBe(
      0,
    )
    expect((await raw.ask({ code: DeleteTopicInNamesrv.code, ext: { topic: '../../x' } })).code).toBeTypeOf('number')
  })

  test.each([QueryDataVersion, RegisterTopicInNamesrv, UpdateNamesrvConfig])('with garbage for a body: $name', async (command) => {
    for (const body of ['', '{', '[[[[', '5', 'null', '['.repeat(1_000_000), 'noSuchKey=1', 'listenPort=1', 'kvConfigPath=/etc/passwd']) {
      const answer = await raw.ask({ code: command.code, ext: { ...identity, ...other, topic: 'x' }, body: Buffer.from(body) })
      if (answer.code !== 0) expect(answer.remark).toMatch(/\S/)
      expect(answer.remark ?? '').not.toMatch(/^the server failed/)
    }
  })

  test('that would fill the memory with settings is refused at the limit', async () => {
    const value = 'v'.repeat(1024 * 1024)
    const codes: number[] = []
    for (let i = 0; i < 20; i++) {
      codes.push((await raw.ask({ code: PutKvConfig.code, ext: { namespace: 'fill', key: `k${i}`, value } })).code)
    }
    expect(codes[0]).toBe(0)
    expect(codes.at(-1)).not.toBe(0)
  })
})
