/**
 * The fast path of batches must be invisible. The same batch goes once as SEND_BATCH_MESSAGE (which the fast path takes when nothing is
 * unusual) and once as SEND_MESSAGE_V2 that says it is a batch (which it never takes): answers and stored records must be the same, whatever
 * the producer sends, damaged batches included.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Answer, FrameView, ServerConnection } from '@skylarkmq/remoting'
import {
  decodeFrame,
  decodeRecord,
  encodeClientBatch,
  encodeFrame,
  encodeHeader,
  formatProperties,
  Kernel,
  offsetMessageIds,
  PROPERTY,
  PROPERTY_KIND,
  SendBatchMessage,
  SendMessageV2,
} from '@skylarkmq/remoting/protocol'
import type { AppendResult, MessageStore, ScannedBatch } from '@skylarkmq/store'
import { KnownTopics } from '../src/processors/known-topics.ts'
import { sendBatchFastPath } from '../src/processors/send-batch-fast-path.ts'
import type { SendDeps } from '../src/processors/send-message.ts'
import { SendSlots } from '../src/processors/send-slots.ts'
import { startScene } from './support.ts'
import type { Scene, TestClient } from './support.ts'

let scene: Scene
let client: TestClient
let taken = 0
beforeAll(async () => {
  scene = await startScene({ maxMessageSize: 8192 })
  client = scene.client('producer')
  await client.send('T', 'so that the topic is known', {}, {})
  const store = scene.broker.store as { appendScannedBatch: MessageStore['appendScannedBatch'] }
  const original = store.appendScannedBatch.bind(store)
  store.appendScannedBatch = (...args) => {
    const isTaken = original(...args)
    if (isTaken) taken++
    return isTaken
  }
})
afterAll(() => scene.close())

const header = {
  producerGroup: 'pg',
  topic: 'T',
  defaultTopic: 'TBW102',
  defaultTopicQueueNums: 4,
  queueId: 1,
  sysFlag: 0,
  bornTimestamp: 1_700_000_000_000,
  flag: 0,
  properties: 'UNIQ_KEY\u0001AC11000116201\u0002WAIT\u0001true\u0002',
  reconsumeTimes: 0,
  unitMode: false,
  batch: true,
}
const mostly = <T>(usual: T, ...others: T[]) =>
  fc.oneof({ weight: 4 * others.length, arbitrary: fc.constant(usual) }, fc.constantFrom(...others))
const headers = fc.record({
  topic: mostly('T', 'Other', 'SCHEDULE_TOPIC_XXXX', '%RETRY%g', '%DLQ%g', 'a/b', 't'.repeat(130)),
  queueId: mostly(1, 0, 3, 4, 99),
  sysFlag: mostly(0, 1, 2, 4, 0x10, 0x80, 0x300, 0x7fffffff, -1),
  bornTimestamp: mostly(1_700_000_000_000, 0, -5),
  flag: mostly(0, 7, -1),
  properties: mostly(
    header.properties,
    'UNIQ_KEY\u0001K1\u0002WAIT\u0001false\u0002',
    'TAGS\u0001a\u0002',
    'UNIQ_KEY\u0001é"q"\u0002',
    'UNIQ_KEY\u0001K\u0002DELAY\u00013\u0002',
  ),
  reconsumeTimes: mostly(0, 3, -1),
})
const names = fc.oneof(
  { weight: 20, arbitrary: fc.constantFrom('KEYS', 'TAGS', 'WAIT', 'color', 'a', 'MIN_OFFSET') },
  { weight: 1, arbitrary: fc.constantFrom(PROPERTY.DELAY, PROPERTY.POP_CK, PROPERTY.TRAN_MSG, PROPERTY.CLUSTER, PROPERTY.TIMER_DELAY_SEC) },
)
const values = fc.oneof(
  { weight: 20, arbitrary: fc.stringMatching(/^[a-zA-Z0-9 "\\/]{1,12}$/) },
  fc.constantFrom('true', 'false', '0', 'é'),
)
const propertyTexts = fc
  .tuple(fc.uniqueArray(fc.tuple(names, values), { maxLength: 4, selector: ([name]) => name }), fc.integer({ min: 0, max: 40 }))
  .map(([list, how]) => {
    const text = formatProperties(how === 0 ? list : [...list, ['UNIQ_KEY', `AC1100011620${how}`]])
    return Buffer.from(how > 20 ? text.slice(0, -1) : how === 1 ? text + text : text)
  })
const messages = fc.record({
  flag: fc.constantFrom(0, 7, -1),
  body: fc.oneof({ weight: 30, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 60 }) }, fc.constant(new Uint8Array(0))),
  properties: propertyTexts,
})
const bodies = fc.array(messages, { minLength: 1, maxLength: 6 }).map((list) => encodeClientBatch(list))

/** What is told and kept, without what differs from send to send: offsets, store time. UNIQ_KEYs that the broker makes differ, too. */
function essence(answer: Answer<typeof SendBatchMessage> | Answer<typeof SendMessageV2>) {
  if (answer.code !== 0) return { code: answer.code, remark: answer.remark }
  const { queueId, transactionId, msgId, queueOffset } = answer.header()
  const records = msgId.split(',').map((id, i) => {
    const bytes = scene.broker.store.readRecordAt(Number.parseInt(id.slice(-16), 16))
    const stored = bytes && decodeRecord(Buffer.from(bytes), 0)
    if (!stored) throw new Error(`no record at ${id}`)
    const { topic, flag, sysFlag, bornTimestamp, bornHost, storeHost, storePort, reconsumeTimes, body, bodyCrc } = stored
    expect(stored.queueOffset).toBe(queueOffset + i)
    const text = stored.propertiesText.replace(/(UNIQ_KEY.)[0-9A-F]{32}/, '$1made')
    const numbers = { queue: stored.queueId, flag, sysFlag, bornTimestamp, reconsumeTimes, bodyCrc }
    return { topic, ...numbers, bornHost, storeHost, storePort, text, body: Buffer.from(body).toString('hex') }
  })
  const { MSG_REGION, TRACE_ON } = answer.ext ?? {}
  return { code: 0, queueId, transactionId, MSG_REGION, TRACE_ON, idLength: msgId.length, records }
}

async function expectAlike(more: Partial<typeof header>, body: Uint8Array): Promise<void> {
  const usual = essence(await client.invoke(SendMessageV2, { ...header, ...more }, body))
  const fast = essence(await client.invoke(SendBatchMessage, { ...header, ...more }, body))
  expect(fast).toEqual(usual)
}

describe('a batch', () => {
  test('is answered and stored alike on both ways', async () => {
    const before = taken
    await fc.assert(
      fc.asyncProperty(headers, bodies, (more, body) => expectAlike(more, body)),
      { numRuns: 400 },
    )
    expect(taken - before).toBeGreaterThan(20)
  })

  test('that is damaged is refused, or stored, alike', async () => {
    const list = ['a', 'bb'].map((text) => ({ flag: 0, body: Buffer.from(text), properties: Buffer.from(`UNIQ_KEY\u0001${text}\u0002`) }))
    const body = encodeClientBatch(list)
    for (let end = 0; end < body.length; end++) await expectAlike({}, body.subarray(0, end))
    for (let at = 0; at < body.length; at++) {
      for (const byte of [0, 1, 2, 0x80, 0xff, (body[at] as number) + 1]) {
        const damaged = Buffer.from(body)
        damaged[at] = byte
        await expectAlike({}, damaged)
      }
    }
  })

  test('stays in one file of the log, also when that ends in its middle', async () => {
    const before = taken
    const one = { flag: 0, body: Buffer.alloc(2000, 'x'), properties: Buffer.from('UNIQ_KEY\u0001K\u0002') }
    const body = encodeClientBatch([one, one, one])
    const segmentBytes = 1024 * 1024
    const segments = new Set<number>()
    for (let i = 0; i < 400; i++) {
      const ids = (await client.invoke(SendBatchMessage, header, body)).header().msgId.split(',')
      const files = ids.map((id) => Math.floor(Number.parseInt(id.slice(-16), 16) / segmentBytes))
      expect(new Set(files).size).toBe(1)
      segments.add(files[0] as number)
    }
    expect(segments.size).toBeGreaterThan(2)
    expect(taken - before).toBe(400)
  })

  test('that finds the disk full is refused, and what comes when there is room has the places that it would have had', async () => {
    const body = encodeClientBatch([{ flag: 0, body: Buffer.from('x'), properties: Buffer.from('UNIQ_KEY\u0001K\u0002') }])
    const { queueOffset } = (await client.invoke(SendBatchMessage, header, body)).header()
    const before = taken
    scene.world.node('broker').disk.failWrites(1, 'ENOSPC', (path) => path.includes('commitlog'))
    const refused = await client.invoke(SendBatchMessage, header, body)
    expect(taken - before).toBe(1)
    expect(refused.code).toBe(14)
    expect(refused.remark).toMatch(/disk is full.*ENOSPC/)
    expect(essence(await client.invoke(SendBatchMessage, header, body))).toEqual(essence(await client.invoke(SendMessageV2, header, body)))
    await scene.world.run(11_000)
    const after = (await client.invoke(SendBatchMessage, header, body)).header()
    expect(after.queueOffset).toBe(queueOffset + 1)
  })
})

describe('the fast path of batches', () => {
  const kernel = new Kernel({ ringBytes: 65_536, receiveBytes: 65_536, outBytes: 65_536, slots: 2, batchBytes: 100 })
  const batches: ScannedBatch[] = []
  let stored: ((result: AppendResult) => void) | undefined
  const config = { topicName: 'T', writeQueueNums: 4, readQueueNums: 4, order: false, attributes: {} }
  const storeHost = new Uint8Array([127, 0, 0, 1, 0, 0, 0x2a, 0x9f])
  const deps = {
    store: {
      refusal: undefined,
      kernel,
      appendScannedBatch(batch: ScannedBatch, _wait: boolean, onStored: (result: AppendResult) => void) {
        batches.push(batch)
        stored = onStored
        return true
      },
    },
    topics: { get: (name: string) => (name === 'T' ? config : undefined), onChange() {} },
    storeHost,
    settings: { current: { maxMessageSize: 1024, brokerClusterName: 'C', regionId: 'R"', traceOn: true, flushDiskType: 'ASYNC_FLUSH' } },
  } as unknown as SendDeps
  kernel.addName(PROPERTY.UNIQ_KEY, PROPERTY_KIND.uniqKey)
  const path = sendBatchFastPath(deps, new KnownTopics(deps.topics), new SendSlots(kernel.slots))
  const elsewhere = Buffer.alloc(30_000)
  let out: Buffer = elsewhere
  let written = 0
  let unanswered = 0
  const replies: object[] = []
  const connection = {
    remoteHost: '10.0.0.5',
    remotePort: 4711,
    isClosed: false,
    noteUnanswered: (count: number) => void (unanswered += count),
    settle: (count: number) => void (unanswered -= count),
    reserve(length: number) {
      written = length
      return { bytes: out, start: 0 }
    },
    giveBack: (length: number) => void (written -= length),
    reply: (request: object, reply: object) => void replies.push({ request, reply }),
  } as unknown as ServerConnection
  const view = (body: Buffer, more: object = {}): FrameView => {
    const ext = encodeHeader(SendBatchMessage.request, { ...header, ...more })
    const frame = { code: 320, language: 'JAVA', version: 479, opaque: 77, flag: 0, ext, body, serializeType: 0 } as const
    const bytes = encodeFrame(frame)
    const headerEnd = 8 + (bytes.readInt32BE(4) & 0xffffff)
    return { bytes, serializeType: 0, headerStart: 8, headerEnd, bodyStart: headerEnd, bodyEnd: bytes.length }
  }
  const small = Buffer.alloc(100, 'b')

  const few = [0x1_0000_00ff, 0x1_0000_01ff, 0xfff_ffff_ffff]
  const many = Array.from({ length: 600 }, (_, i) => 0xffff_f000 + i * 1_234)
  test.each<[string, number[], Buffer]>([
    ['of few messages', few, elsewhere],
    ['of few messages in the memory of the kernel', few, kernel.out],
    ['of many messages', many, elsewhere],
    ['of many messages in the memory of the kernel', many, kernel.out],
  ])('writes the answer that the declared encoder would, %s', (_which, physicalOffsets, memory) => {
    out = memory
    expect(path(view(small), connection)).toBe(true)
    expect(unanswered).toBe(1)
    const batch = batches.at(-1)
    expect(kernel.bytes.subarray(batch?.bodyAt, (batch?.bodyAt ?? 0) + (batch?.bodyLength ?? 0))).toEqual(small)
    stored?.({ status: 'ok', physicalOffset: physicalOffsets[0] ?? 0, physicalOffsets, queueOffset: 41, storeTimestamp: 1 })
    expect(unanswered).toBe(0)
    const answer = decodeFrame(out, 0, written)
    expect(answer).toMatchObject({ code: 0, opaque: 77, flag: 1 })
    expect(answer.ext).toEqual({
      msgId: offsetMessageIds(storeHost, physicalOffsets),
      queueId: '1',
      queueOffset: '41',
      transactionId: 'AC11000116201',
      MSG_REGION: 'R"',
      TRACE_ON: 'true',
    })
    expect(out.subarray(0, written)).toEqual(encodeFrame({ ...answer, body: Buffer.alloc(0) }))
  })

  test('leaves the answer to the declared encoder when it has more ids than the kernel has room for', () => {
    const physicalOffsets = Array.from({ length: 2_000 }, (_, i) => i * 1_234)
    written = 0
    expect(path(view(small), connection)).toBe(true)
    stored?.({ status: 'ok', physicalOffset: 0, physicalOffsets, queueOffset: 41, storeTimestamp: 1 })
    expect(written).toBe(0)
    expect(replies).toMatchObject([{ request: { opaque: 77, code: 320 }, reply: { code: 0, header: { transactionId: 'AC11000116201' } } }])
    expect(unanswered).toBe(0)
  })

  test('takes as many at a time as there are slots for what their answers need', () => {
    const callbacks: (typeof stored)[] = []
    for (const isTaken of [true, true, false]) {
      expect(path(view(small), connection)).toBe(isTaken)
      callbacks.push(stored)
    }
    for (const done of callbacks.slice(0, 2))
      done?.({ status: 'ok', physicalOffset: 0, physicalOffsets: few, queueOffset: 1, storeTimestamp: 1 })
    expect(unanswered).toBe(0)
    expect(path(view(small), connection)).toBe(true)
    stored?.({ status: 'ok', physicalOffset: 0, physicalOffsets: few, queueOffset: 1, storeTimestamp: 1 })
  })

  test.each<[string, object]>([
    ['an unknown topic', { topic: 'U' }],
    ['a queue that is not there', { queueId: 4 }],
    ['a queue to be chosen', { queueId: -1 }],
    ['what is no batch', { batch: false }],
    ['no unique key', { properties: 'TAGS\u0001a\u0002' }],
    ['a unique key that JSON would have to escape', { properties: 'UNIQ_KEY\u0001a"b\u0002' }],
  ])('declines %s', (_what, more) => {
    const before = batches.length
    expect(path(view(small, more), connection)).toBe(false)
    expect(batches.length).toBe(before)
  })

  test('declines an empty one, one over the limit, and one that came in parts and is too large to be put together', () => {
    for (const bytes of [0, 101, 1025]) expect(path(view(Buffer.alloc(bytes, 'b')), connection)).toBe(false)
  })
})
