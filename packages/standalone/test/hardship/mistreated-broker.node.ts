/** A real broker, a neighbour who must notice nothing, and requests of any kind: the scene of the tests that mistreat a broker. Importing it sets it up. */
import { decodeRecords, PULL_FLAG, PullMessage, SendBatchMessage, SendMessage } from '@skylarkmq/remoting/protocol'
import type { AnyCommand, Frame, StoredMessage } from '@skylarkmq/remoting/protocol'
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest'
import { Neighbour } from './neighbour.node.ts'
import { freePort } from '../../../../scripts/free-ports.ts'
import { Home } from './processes.node.ts'
import type { Server } from './processes.node.ts'
import { RawSocket } from './raw-socket.node.ts'

const RESIDENT_BYTES_MAX = 500 * 1024 * 1024
export const NOT_SUPPORTED = 3
export const ILLEGAL = 13
export const FORBIDDEN = 16
export const NO_TOPIC = 17
export const INVALID = 29

export let home: Home
let broker: Server
export let port: number
let neighbour: Neighbour
/** A connection of its own for each test. */
export let raw: RawSocket
let linesBefore = 0
beforeAll(async () => {
  home = new Home()
  port = await freePort()
  broker = home.start('mqbroker', ['-c', home.brokerConf(port, '', { mappedFileSizeCommitLog: 64 * 1024 * 1024 })])
  await broker.up()
  neighbour = Neighbour.ofBroker(`127.0.0.1:${port}`)
})
beforeEach(async () => {
  raw = await RawSocket.to(port)
  linesBefore = broker.logs().length
})
afterEach(async () => {
  raw.destroy()
  await neighbour.noticesNothing()
  expect(broker.isRunning).toBe(true)
  expect(
    broker
      .logs()
      .slice(linesBefore)
      .filter(({ level }) => level === 'error'),
  ).toEqual([])
  expect(broker.residentBytes ?? 0).toBeLessThan(RESIDENT_BYTES_MAX)
})
afterAll(async () => {
  await neighbour.stop()
  await home.dispose()
})

export const says = (...parts: readonly (string | number)[]) =>
  expect.stringMatching(new RegExp(parts.map((part) => String(part).replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.*'), 's'))

export const sendFields = {
  producerGroup: 'p',
  defaultTopic: 'TBW102',
  defaultTopicQueueNums: '4',
  queueId: '0',
  sysFlag: '0',
  bornTimestamp: '1',
  flag: '0',
}
export type Ext = Readonly<Record<string, string>>
export const send = (topic: string, body: Uint8Array | string = 'x', further: Ext = {}): Promise<Frame> =>
  raw.ask({ code: SendMessage.code, ext: { ...sendFields, topic, ...further }, body: Buffer.from(body) })
export const sendBatch = (topic: string, body: Uint8Array): Promise<Frame> =>
  raw.ask({ code: SendBatchMessage.code, ext: { a: 'p', b: topic, c: 'TBW102', d: '4', e: '0', f: '0', g: '1', h: '0', m: 'true' }, body })
export const pull = (topic: string, further: Ext = {}): Promise<Frame> => {
  const place = { consumerGroup: 'cg', topic, queueId: '0', queueOffset: '0', maxMsgNums: '32', sysFlag: String(PULL_FLAG.SUBSCRIPTION) }
  const rest = { commitOffset: '0', suspendTimeoutMillis: '0', subVersion: '0', subscription: '*' }
  return raw.ask({ code: PullMessage.code, ext: { ...place, ...rest, ...further } })
}
export const askBody = (command: AnyCommand, body: string | Uint8Array, ext: Ext = {}): Promise<Frame> =>
  raw.ask({ code: command.code, ext, body: Buffer.from(body) })
export async function stored(topic: string): Promise<StoredMessage[]> {
  const answer = await pull(topic)
  return answer.code === 0 ? decodeRecords(answer.body) : []
}
export const property = (...pairs: readonly (readonly [string, string])[]): string =>
  pairs.map(([name, value]) => `${name}\u0001${value}\u0002`).join('')

/** The connection breaks, and the client comes back. */
export async function reconnect(): Promise<void> {
  raw.destroy()
  raw = await RawSocket.to(port)
}

export interface Part {
  readonly body: string
  readonly properties?: string
}
/** The body of a batch, as clients write it. */
export function batchOf(parts: readonly Part[]): Buffer {
  return Buffer.concat(
    parts.map(({ body, properties = '' }) => {
      const bytes = Buffer.alloc(22 + body.length + Buffer.byteLength(properties))
      bytes.writeInt32BE(bytes.length, 0)
      bytes.writeInt32BE(body.length, 16)
      bytes.write(body, 20)
      bytes.writeInt16BE(Buffer.byteLength(properties), 20 + body.length)
      bytes.write(properties, 22 + body.length)
      return bytes
    }),
  )
}
