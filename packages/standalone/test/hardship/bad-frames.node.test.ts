/** Bytes that are no RocketMQ frames, at a real broker and a real NameServer: each is refused at its own cost. */
import {
  FLAG_ONEWAY,
  GetMaxOffset,
  GetRouteinfoByTopic,
  SendMessage,
  SERIALIZE_JSON,
  SERIALIZE_ROCKETMQ,
} from '@skylarkmq/remoting/protocol'
import { simRuntime } from '@skylarkmq/runtime/sim'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { Neighbour } from './neighbour.node.ts'
import { freePort } from '../../../../scripts/free-ports.ts'
import { Home } from './processes.node.ts'
import type { Server } from './processes.node.ts'
import { frameWithHeader, RawSocket, requestFrame } from './raw-socket.node.ts'

const REFUSED = 'closed a connection that sent what is no RocketMQ frame'
/** Far above what either server needs, far below what holding on to the input of these tests would need. */
const RESIDENT_BYTES_MAX = 400 * 1024 * 1024
const MUTATIONS = 1500

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
  const conf = home.brokerConf(ports.broker, `127.0.0.1:${ports.namesrv}`, { mappedFileSizeCommitLog: 64 * 1024 * 1024 })
  broker = home.start('mqbroker', ['-c', conf])
  await broker.up()
  neighbours = [Neighbour.ofBroker(`127.0.0.1:${ports.broker}`), Neighbour.ofNamesrv(`127.0.0.1:${ports.namesrv}`, 'TBW102')]
})
afterEach(async () => {
  for (const neighbour of neighbours) await neighbour.noticesNothing()
  for (const server of [broker, namesrv]) {
    expect(server.isRunning).toBe(true)
    // An error line would say that something of ours failed.
    expect(server.logs().filter(({ level }) => level === 'error')).toEqual([])
    expect(server.residentBytes ?? 0).toBeLessThan(RESIDENT_BYTES_MAX)
  }
})
afterAll(async () => {
  for (const neighbour of neighbours) await neighbour.stop()
  await home.dispose()
})

const words = (...values: number[]): Buffer => {
  const bytes = Buffer.alloc(4 * values.length)
  values.forEach((value, i) => bytes.writeInt32BE(value | 0, 4 * i))
  return bytes
}
const jsonHeader = (further: string): string => `{"code":30,"language":"JAVA","version":475,"opaque":1,"flag":0,${further}}`
const manyFields = (count: number): string =>
  jsonHeader(`"extFields":{${Array.from({ length: count }, (_, i) => `"field${i}":"v"`).join(',')}}`)

/** The binary header (reference: `RocketMQSerializable`): code, language, version, opaque, flag, remark, ext fields. */
function binaryHeader(ext: Buffer): Buffer {
  const head = Buffer.alloc(21)
  head.writeInt16BE(30, 0)
  head.writeInt16BE(475, 3)
  head.writeInt32BE(1, 5)
  head.writeInt32BE(ext.length, 17)
  return Buffer.concat([head, ext])
}
function binaryField(name: string, value: string): Buffer {
  const bytes = Buffer.alloc(6 + name.length + value.length)
  bytes.writeInt16BE(name.length, 0)
  bytes.write(name, 2)
  bytes.writeInt32BE(value.length, 2 + name.length)
  bytes.write(value, 6 + name.length)
  return bytes
}
const binaryFields = (count: number): Buffer => Buffer.concat(Array.from({ length: count }, (_, i) => binaryField(`field${i}`, 'v')))
const lyingField = (): Buffer => {
  const field = binaryField('topic', 'orders')
  field.writeInt32BE(0x7fffffff, 7)
  return field
}

const noFrames: readonly (readonly [what: string, bytes: Buffer, reason: RegExp])[] = [
  ['the length 0', words(0), /length field says 0; a frame has at least 4 bytes/],
  ['a negative length', words(-1, 0), /length field says -1;/],
  ['the smallest length', words(-2147483648), /length field says -2147483648;/],
  ['a length that leaves no room for the header length', words(3), /length field says 3;/],
  ['a header longer than its frame', words(20, 100), /header length says 100 while its length field says 20/],
  ['a header over its limit', words(10_000_000, 9_000_000), /header has 9000000 bytes and its length field says 10000000/],
  ['the largest length, and a header too long to look at', words(0x7fffffff, 0xfffff), /header has 1048575 bytes/],
  ['a serialize type that does not exist', words(100, 0x07000010), /serialize type is 7 /],
  ['a question of the web', Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'), /serialize type is 47 /],
  ['a question of ssh', Buffer.from('SSH-2.0-OpenSSH_9.6\r\n'), /serialize type is \d+ /],
  ['an empty header', words(4, 0), /header/],
  ['a header that is no JSON', frameWithHeader('{"code":'), /header/],
  ['a header that is a list', frameWithHeader('[]'), /header/],
  ['a header that is null', frameWithHeader('null'), /header/],
  ['a header without a code', frameWithHeader('{"opaque":1}'), /code/],
  ['a code that is a word', frameWithHeader('{"code":"SEND","opaque":1}'), /code.*SEND/],
  ['an opaque beyond 32 bits', frameWithHeader('{"code":30,"opaque":99999999999}'), /opaque.*99999999999/],
  ['ext fields that are a list', frameWithHeader(jsonHeader('"extFields":[1]')), /extFields/],
  ['100,000 ext fields', frameWithHeader(manyFields(100_000)), /more than 1024 ext fields/],
  ['a header of 1,000,000 brackets', frameWithHeader(jsonHeader(`"extFields":${'['.repeat(1_000_000)}`)), /header/],
  ['a header of 100,000 escapes that do not end', frameWithHeader(`{"code":30,"remark":"${'\\"'.repeat(100_000)}`), /header/],
  ['a binary header of 5 bytes', frameWithHeader(Buffer.alloc(5), undefined, SERIALIZE_ROCKETMQ), /header/],
  [
    '100,000 binary ext fields',
    frameWithHeader(binaryHeader(binaryFields(100_000)), undefined, SERIALIZE_ROCKETMQ),
    /more than 1024 ext fields/,
  ],
  ['a binary ext field longer than its header', frameWithHeader(binaryHeader(lyingField()), undefined, SERIALIZE_ROCKETMQ), /2147483647/],
  ['msgpack where nobody offered it', frameWithHeader(Buffer.from([0xc1]), undefined, 2), /msgpack|header/],
]

describe.each(['broker', 'namesrv'] as const)('the %s closes a connection that sends', (kind) => {
  test.each(noFrames)('%s, and its log says why', async (_, bytes, reason) => {
    const server = kind === 'broker' ? broker : namesrv
    const before = server.logs().length
    const raw = (await RawSocket.to(ports[kind])).write(bytes)
    const peer = `127.0.0.1:${raw.socket.localPort}`
    await raw.closes()
    await server.prints(new RegExp(peer))
    const lines = server
      .logs()
      .slice(before)
      .filter((line) => line['peer'] === peer)
    expect(lines).toEqual([expect.objectContaining({ level: 'warn', msg: REFUSED, reason: expect.stringMatching(reason) })])
    raw.destroy()
  })

  test('a frame that breaks off, in any place, and nothing is done of what it asked', async () => {
    const ext = { topic: 'TBW102', queueId: '0', producerGroup: 'p', sysFlag: '0', bornTimestamp: '1', flag: '0' }
    const frame = requestFrame({ code: SendMessage.code, ext, body: Buffer.from('half a message') })
    for (const length of [1, 3, 4, 7, 8, 20, frame.length - 1]) {
      const raw = (await RawSocket.to(ports[kind])).write(frame.subarray(0, length)).end()
      await raw.closes()
      raw.destroy()
    }
    const raw = await RawSocket.to(ports.broker)
    const answer = await raw.ask({ code: GetMaxOffset.code, ext: { topic: 'TBW102', queueId: '0' } })
    expect(answer.ext).toMatchObject({ offset: '0' })
    raw.destroy()
  })

  test('what random changes of sound frames give: it answers or closes, and does neither wrong', async () => {
    const { random } = simRuntime(11)
    const frames = [
      requestFrame({ code: GetMaxOffset.code, ext: { topic: 'neighbours', queueId: '0' } }),
      requestFrame({ code: GetMaxOffset.code, ext: { topic: 'neighbours', queueId: '0' }, serializeType: SERIALIZE_ROCKETMQ }),
      requestFrame({ code: GetRouteinfoByTopic.code, ext: { topic: 'TBW102' }, serializeType: SERIALIZE_ROCKETMQ }),
      requestFrame({ code: SendMessage.code, ext: { topic: 'fuzz', queueId: '0' }, body: Buffer.from('x'), isOneway: true }),
    ]
    for (let i = 0; i < MUTATIONS; i += 50) {
      await Promise.all(
        Array.from({ length: 50 }, async () => {
          const bytes = Buffer.from(random.pick(frames))
          for (let n = random.integer(4); n >= 0; n--) bytes[random.integer(bytes.length)] = random.integer(256)
          const raw = (await RawSocket.to(ports[kind])).write(bytes).end()
          await raw.closes()
          raw.destroy()
        }),
      )
    }
  })
})

describe('a frame over the limit', () => {
  test('with a sound header is answered with its size and the limit, and the connection goes on', async () => {
    const raw = await RawSocket.to(ports.broker)
    const ext = { producerGroup: 'p', topic: 'orders', queueId: '0', sysFlag: '0', bornTimestamp: '1', flag: '0', defaultTopic: 'TBW102' }
    const bytes = 17 * 1024 * 1024
    raw.write(requestFrame({ code: SendMessage.code, ext, body: Buffer.alloc(bytes, 1) }))
    const answer = await raw.answer()
    expect(answer).toMatchObject({
      code: 13,
      remark: expect.stringMatching(/^the frame has 178\d{5} bytes, and this server takes 16777216 at most/),
    })
    expect((await raw.ask({ code: SendMessage.code, ext, body: Buffer.from('small') })).code).toBe(0)
    raw.destroy()
  })

  test('that is announced and never sent takes no memory: 200 promises of 2 GiB', async () => {
    const before = broker.residentBytes ?? 0
    const header = JSON.stringify({ code: 10, opaque: 1, flag: FLAG_ONEWAY, version: 475, language: 'JAVA', extFields: {} })
    const promise = frameWithHeader(header, undefined, SERIALIZE_JSON)
    promise.writeInt32BE(0x7fffffff, 0)
    const sockets = await Promise.all(Array.from({ length: 200 }, () => RawSocket.to(ports.broker)))
    for (const raw of sockets) raw.write(promise).write(Buffer.alloc(100_000))
    for (const neighbour of neighbours) await neighbour.noticesNothing()
    expect((broker.residentBytes ?? 0) - before).toBeLessThan(200 * 1024 * 1024)
    for (const raw of sockets) raw.destroy()
  })
})
