/**
 * The fast path must be invisible. The same send goes once as SEND_MESSAGE_V2 (which the fast path takes when nothing is unusual) and once
 * as SEND_MESSAGE (which it never takes): answer and stored record must be the same, whatever the producer sends.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { FrameView, ServerConnection } from '@skylarkmq/remoting'
import {
  PROPERTY,
  Kernel,
  SCANNED,
  SendMessage,
  SendMessageV2,
  decodeFrame,
  decodeRecord,
  encodeFrame,
  encodeHeader,
  formatProperties,
} from '@skylarkmq/remoting/protocol'
import type { Answer } from '@skylarkmq/remoting'
import type { AppendResult, ScannedSend } from '@skylarkmq/store'
import { sendFastPath } from '../src/processors/send-fast-path.ts'
import type { SendDeps } from '../src/processors/send-message.ts'
import { startScene } from './support.ts'
import type { Scene, TestClient } from './support.ts'

let scene: Scene
let client: TestClient
beforeAll(async () => {
  scene = await startScene({ maxMessageSize: 4096 })
  client = scene.client('producer')
  await client.send('T', 'so that the topic is known', {}, {})
})
afterAll(() => scene.close())

const names = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom('KEYS', 'TAGS', 'WAIT', 'color', 'a', 'MIN_OFFSET') },
  {
    weight: 1,
    arbitrary: fc.constantFrom(PROPERTY.DELAY, PROPERTY.POP_CK, PROPERTY.TRAN_MSG, PROPERTY.CLUSTER, PROPERTY.TRACE_ON, PROPERTY.INNER_NUM),
  },
  { weight: 1, arbitrary: fc.constantFrom(PROPERTY.TIMER_DELIVER_MS, PROPERTY.TIMER_DELAY_SEC, PROPERTY.RETRY_TOPIC) },
)
const values = fc.oneof(fc.constantFrom('true', 'false', '1', '0', 'x y', 'é'), fc.stringMatching(/^[a-zA-Z0-9 "\\/]{1,12}$/))
const properties = fc
  .tuple(fc.array(fc.tuple(names, values), { maxLength: 6 }), fc.boolean())
  .map(([list, unique]) => formatProperties(unique ? [...list, ['UNIQ_KEY', 'AC11000116201']] : [['UNIQ_KEY', 'AC11000116201'], ...list]))
const sends = fc.record({
  producerGroup: fc.constantFrom('pg', 'é'),
  topic: fc.constantFrom('T', 'T', 'T', 'Other', 'SCHEDULE_TOPIC_XXXX', '%RETRY%g', 'a/b'),
  defaultTopic: fc.constant('TBW102'),
  defaultTopicQueueNums: fc.constantFrom(4, 0),
  queueId: fc.constantFrom(0, 1, 3, 4, 99),
  sysFlag: fc.constantFrom(0, 1, 2, 4, 8, 0x10, 0x80, 0x300, 0x7fffffff, -1),
  bornTimestamp: fc.constantFrom(0, 1_700_000_000_000, -5),
  flag: fc.constantFrom(0, 7, -1, 2_147_483_647),
  properties,
  reconsumeTimes: fc.constantFrom(undefined, 0, 3, -1),
  unitMode: fc.constantFrom(undefined, false),
  maxReconsumeTimes: fc.constantFrom(undefined, 0, 16),
  batch: fc.constantFrom(undefined, false),
})
const bodies = fc.oneof(fc.uint8Array({ minLength: 1, maxLength: 50 }), fc.constant(new Uint8Array(0)), fc.constant(new Uint8Array(4097)))

/** What is told and kept, without what differs from send to send: offsets, ids of places, store time. */
function essence(answer: Answer<typeof SendMessage> | Answer<typeof SendMessageV2>) {
  if (answer.code !== 0) return { code: answer.code, remark: answer.remark }
  const { queueId, transactionId, msgId } = answer.header()
  const bytes = scene.broker.store.readRecordAt(Number.parseInt(msgId.slice(-16), 16))
  const stored = bytes && decodeRecord(Buffer.from(bytes), 0)
  if (!stored) throw new Error(`no record at ${msgId}`)
  const { topic, flag, sysFlag, bornTimestamp, bornHost, storeHost, storePort, reconsumeTimes, propertiesText, body, bodyCrc } = stored
  const { MSG_REGION, TRACE_ON } = answer.ext ?? {}
  const record = {
    topic,
    queue: stored.queueId,
    flag,
    sysFlag,
    bornTimestamp,
    bornHost,
    storeHost,
    storePort,
    reconsumeTimes,
    propertiesText,
    bodyCrc,
  }
  return {
    code: 0,
    queueId,
    transactionId,
    MSG_REGION,
    TRACE_ON,
    idLength: msgId.length,
    ...record,
    body: Buffer.from(body).toString('hex'),
  }
}

describe('a send', () => {
  test('is answered and stored alike on both ways', async () => {
    await fc.assert(
      fc.asyncProperty(sends, bodies, async (header, body) => {
        const usual = essence(await client.invoke(SendMessage, header, body))
        const fast = essence(await client.invoke(SendMessageV2, header, body))
        expect(fast).toEqual(usual)
      }),
      { numRuns: 600 },
    )
  })
})

describe('the fast path', () => {
  const kernel = new Kernel({ ringBytes: 65_536, receiveBytes: 65_536, outBytes: 65_536, slots: 2 })
  const taken: ReturnType<typeof decodeRecord>[] = []
  const config = { topicName: 'T', writeQueueNums: 4, readQueueNums: 4, order: false, attributes: {} }
  let stored: ((result: AppendResult) => void) | undefined
  const deps = {
    store: {
      refusal: undefined,
      kernel,
      appendScanned(send: ScannedSend, _wait: boolean, onStored: (result: AppendResult) => void) {
        const { calls, ringAt, words } = kernel
        const bodyLength = send.bodyEnd - send.bodyStart
        const propertiesLength = (words[SCANNED.propertiesLength] as number) + (words[SCANNED.stampLength] as number)
        const size = 91 + bodyLength + send.topic.length + propertiesLength
        kernel.setHosts(send.bornHost, send.storeHost)
        kernel.bytes.set(send.bytes.subarray(send.bodyStart, send.bodyEnd), calls.bodyAtOf(ringAt, send.sysFlag))
        calls.encodeSend(ringAt, size, words[SCANNED.queueId] as number, send.sysFlag, 41, 0x1_0000_00ff, 1, 0, bodyLength, send.slot)
        taken.push(decodeRecord(Buffer.from(kernel.ring.subarray(0, size)), 0))
        stored = onStored
      },
    },
    topics: { get: (name: string) => (name === 'T' ? config : undefined), onChange() {} },
    storeHost: new Uint8Array([127, 0, 0, 1, 0, 0, 0x2a, 0x9f]),
    settings: { current: { maxMessageSize: 1024, brokerClusterName: 'C', regionId: 'R', traceOn: true, flushDiskType: 'ASYNC_FLUSH' } },
  } as unknown as SendDeps
  const path = sendFastPath(deps)
  const out = Buffer.alloc(1000)
  let written = 0
  let unanswered = 0
  const connection = {
    remoteHost: '10.0.0.5',
    remotePort: 4711,
    isClosed: false,
    noteUnanswered: () => void unanswered++,
    settleOne: () => void unanswered--,
    reserve(length: number) {
      written = length
      return { bytes: out, start: 0 }
    },
    giveBack: (length: number) => void (written -= length),
  } as unknown as ServerConnection
  const header = {
    producerGroup: 'pg',
    topic: 'T',
    queueId: 2,
    sysFlag: 0,
    bornTimestamp: 1_700_000_000_000,
    flag: 0,
    properties: 'UNIQ_KEY\u0001K1\u0002TAGS\u0001a\u0002',
  }
  const view = (more: object = {}): FrameView => {
    const ext = encodeHeader(SendMessageV2.request, { ...header, ...more })
    const bytes = encodeFrame({
      code: 310,
      language: 'JAVA',
      version: 479,
      opaque: 77,
      flag: 0,
      ext,
      body: Buffer.from('hello'),
      serializeType: 0,
    })
    const headerEnd = 8 + (bytes.readInt32BE(4) & 0xffffff)
    return { bytes, serializeType: 0, headerStart: 8, headerEnd, bodyStart: headerEnd, bodyEnd: bytes.length }
  }

  test('takes the usual send, and writes the answer that the declared encoder would', () => {
    expect(path(view(), connection)).toBe(true)
    expect(unanswered).toBe(1)
    expect(taken[0]).toMatchObject({ topic: 'T', queueId: 2, flag: 0, reconsumeTimes: 0, body: Buffer.from('hello') })
    stored?.({ status: 'ok', physicalOffset: 0x1_0000_00ff, queueOffset: 41, storeTimestamp: 1 })
    expect(unanswered).toBe(0)
    const answer = decodeFrame(out, 0, written)
    expect(answer).toMatchObject({ code: 0, opaque: 77, flag: 1 })
    expect(answer.ext).toEqual({
      msgId: '7F00000100002A9F00000001000000FF',
      queueId: '2',
      queueOffset: '41',
      transactionId: 'K1',
      MSG_REGION: 'R',
      TRACE_ON: 'true',
    })
    expect(out.subarray(0, written)).toEqual(encodeFrame({ ...answer, body: Buffer.alloc(0) }))
  })

  test.each([
    ['an unknown topic', { topic: 'U' }],
    ['a queue that is not there', { queueId: 4 }],
    ['a delay', { properties: 'UNIQ_KEY\u0001K1\u0002DELAY\u00011\u0002' }],
    ['no unique key', { properties: 'TAGS\u0001a\u0002' }],
    ['a transaction', { properties: 'UNIQ_KEY\u0001K1\u0002TRAN_MSG\u0001true\u0002' }],
    ['a name twice', { properties: 'UNIQ_KEY\u0001K1\u0002a\u00011\u0002a\u00012\u0002' }],
    ['a batch', { batch: true }],
  ])('declines %s', (_what, more) => {
    const before = taken.length
    expect(path(view(more), connection)).toBe(false)
    expect(taken.length).toBe(before)
  })
})
