/**
 * The fast path must be invisible. The same send goes once as SEND_MESSAGE_V2 (which the fast path takes when nothing is unusual) and once
 * as SEND_MESSAGE (which it never takes): answer and stored record must be the same, whatever the producer sends.
 */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ServerConnection } from '@skylarkmq/remoting'
import {
  PROPERTY,
  Kernel,
  RUN,
  SERIALIZE_JSON,
  SERIALIZE_ROCKETMQ,
  SLOT,
  SendMessage,
  SendMessageV2,
  decodeFrame,
  decodeRecord,
  encodeFrame,
  encodeHeader,
  formatProperties,
} from '@skylarkmq/remoting/protocol'
import type { SerializeType } from '@skylarkmq/remoting/protocol'
import type { Answer } from '@skylarkmq/remoting'
import type { AppendResult, SendRun } from '@skylarkmq/store'
import { KnownTopics } from '../src/processors/known-topics.ts'
import { sendFastPath } from '../src/processors/send-fast-path.ts'
import type { SendDeps } from '../src/processors/send-message.ts'
import { SendSlots } from '../src/processors/send-slots.ts'
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

describe('sends that come together', () => {
  test('are taken by the run, and each is answered and stored as if it had come alone', async () => {
    const { store } = scene.broker
    const append = store.appendSends.bind(store)
    let longest = 0
    store.appendSends = (...run) => {
      const count = append(...run)
      longest = Math.max(longest, count)
      return count
    }
    await client.send('U', 'so that another topic is known', {}, {})
    scene.world.setLink({ chunks: 'whole' })
    const sender = scene.client('one that sends many at once')
    // Most are usual, so that there are runs.
    const usual = { ...header(), topic: 'T' }
    const some = fc.array(
      fc.tuple(
        fc
          .oneof(
            { weight: 6, arbitrary: fc.record({ topic: fc.constantFrom('T', 'T', 'T', 'U'), queueId: fc.nat(3), flag: fc.nat(9) }) },
            { weight: 1, arbitrary: sends },
          )
          .map((more) => ({ ...usual, ...more })),
        fc.oneof({ weight: 9, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 50 }) }, { weight: 1, arbitrary: bodies }),
      ),
      { minLength: 2, maxLength: 40 },
    )
    await fc.assert(
      fc.asyncProperty(some, async (all) => {
        const alone = []
        for (const [head, body] of all) alone.push(essence(await sender.invoke(SendMessage, head, body)))
        // Together, so that one socket read brings many.
        const answers = await scene.world.until(Promise.all(all.map(([head, body]) => sender.ask(SendMessageV2, head, body))))
        expect(answers.map(essence)).toEqual(alone)
        expectConsecutive(answers)
      }),
      { numRuns: 60 },
    )
    store.appendSends = append
    expect(longest).toBeGreaterThan(4)
  })
})

/** Nobody's place was given twice. */
function expectConsecutive(answers: readonly Answer<typeof SendMessageV2>[]): void {
  const places = answers.filter(({ code }) => code === 0).map((answer) => answer.header().msgId)
  expect(new Set(places).size).toBe(places.length)
}

function header() {
  return {
    ...{ producerGroup: 'pg', topic: 'T', defaultTopic: 'TBW102', defaultTopicQueueNums: 4, queueId: 2, sysFlag: 0 },
    ...{ bornTimestamp: 1_700_000_000_000, flag: 0, properties: 'UNIQ_KEY\u0001K1\u0002TAGS\u0001a\u0002' },
  }
}

describe('the fast path', () => {
  const kernel = new Kernel({ ringBytes: 65_536, receiveBytes: 65_536, outBytes: 65_536, slots: 2, batchBytes: 65_536 })
  const taken: ReturnType<typeof decodeRecord>[] = []
  const config = { topicName: 'T', writeQueueNums: 4, readQueueNums: 4, order: false, attributes: {} }
  let stored: ((result: AppendResult) => void) | undefined
  const deps = {
    store: {
      refusal: undefined,
      kernel,
      appendSends(
        { at, end, slot, slots, isScanned, bornHost, storeHost }: SendRun,
        _wait: boolean,
        onStored: (result: AppendResult) => void,
      ) {
        const { calls, ringAt, ring, words, floats } = kernel
        kernel.setHosts(bornHost, storeHost)
        const count = calls.takeSends(at, end, ringAt, 60_000, 0x1_0000_00ff, 1, slot, slots, isScanned ? 1 : 0)
        for (let i = 0; i < count; i++) floats[(slot + i * SLOT.bytes + SLOT.queueOffset) / 8] = 41 + i
        calls.putQueueOffsets(slot, count)
        for (let from = 0; from < (words[RUN.bytes] as number); from += ring.readInt32BE(from)) {
          taken.push(decodeRecord(Buffer.from(ring.subarray(from, from + ring.readInt32BE(from))), 0))
        }
        if (count > 0) stored = onStored
        return count
      },
    },
    topics: { get: (name: string) => (name === 'T' ? config : undefined), onChange() {} },
    storeHost: new Uint8Array([127, 0, 0, 1, 0, 0, 0x2a, 0x9f]),
    settings: { current: { maxMessageSize: 1024, brokerClusterName: 'C', regionId: 'R', traceOn: true, flushDiskType: 'ASYNC_FLUSH' } },
  } as unknown as SendDeps
  const path = sendFastPath(deps, new KnownTopics(deps.topics), new SendSlots(kernel.slots))
  const out = Buffer.alloc(4000)
  let written = 0
  let unanswered = 0
  const connection = {
    remoteHost: '10.0.0.5',
    remotePort: 4711,
    isClosed: false,
    requestsLeft: 100,
    noteUnanswered: (count: number) => void (unanswered += count),
    settle: (count: number) => void (unanswered -= count),
    reserve(length: number) {
      written = length
      return { bytes: out, start: 0 }
    },
    giveBack: (length: number) => void (written -= length),
  } as unknown as ServerConnection
  const frameOf = (
    more: object = {},
    opaque = 77,
    flag = 0,
    serializeType: SerializeType = SERIALIZE_JSON,
    body = Buffer.from('hello'),
  ): Buffer => {
    const ext = encodeHeader(SendMessageV2.request, { ...header(), ...more })
    return encodeFrame({ code: 310, language: 'JAVA', version: 479, opaque, flag, ext, body, serializeType })
  }
  const take = (bytes: Buffer): number => path(bytes, 0, bytes.length, connection)

  test.each([['JSON', SERIALIZE_JSON] as const, ['binary', SERIALIZE_ROCKETMQ] as const])(
    'takes the usual send with a header in %s, and writes the answer that the declared encoder would',
    (_name, serializeType) => {
      const frame = frameOf({}, 77, 0, serializeType)
      expect(take(frame)).toBe(frame.length)
      expect(unanswered).toBe(1)
      expect(taken.at(-1)).toMatchObject({ topic: 'T', queueId: 2, flag: 0, reconsumeTimes: 0, body: Buffer.from('hello') })
      stored?.({ status: 'ok', physicalOffset: -1, queueOffset: -1, storeTimestamp: 1 })
      expect(unanswered).toBe(0)
      const answer = decodeFrame(out, 0, written)
      expect(answer).toMatchObject({ code: 0, opaque: 77, flag: 1, serializeType })
      expect(answer.ext).toEqual({
        msgId: '7F00000100002A9F00000001000000FF',
        queueId: '2',
        queueOffset: '41',
        transactionId: 'K1',
        MSG_REGION: 'R',
        TRACE_ON: 'true',
      })
      expect(out.subarray(0, written)).toEqual(encodeFrame({ ...answer, body: Buffer.alloc(0) }))
    },
  )

  test('makes of a binary header what it makes of the same in JSON, or nothing', () => {
    let both = 0
    const mostlyUsual = fc.record({ queueId: fc.nat(4), flag: fc.nat(), sysFlag: fc.nat(8), reconsumeTimes: fc.nat(20), properties })
    const resultOf = (frame: Buffer) => {
      if (take(frame) === 0) return undefined
      stored?.({ status: 'ok', physicalOffset: -1, queueOffset: -1, storeTimestamp: 1 })
      const answer = decodeFrame(out, 0, written)
      expect(out.subarray(0, written)).toEqual(encodeFrame({ ...answer, body: Buffer.alloc(0) }))
      return { record: taken.at(-1), answer: { ...answer, serializeType: undefined } }
    }
    fc.assert(
      fc.property(
        fc.oneof(sends, mostlyUsual),
        fc.uint8Array({ minLength: 1, maxLength: 50 }),
        fc.nat(99_999_999),
        (more, body, opaque) => {
          const [json, binary] = ([SERIALIZE_JSON, SERIALIZE_ROCKETMQ] as const).map((type) =>
            resultOf(frameOf(more, opaque, 0, type, Buffer.from(body))),
          )
          if (binary === undefined) return
          both++
          expect(binary).toEqual(json)
        },
      ),
      { numRuns: 1000 },
    )
    expect(both).toBeGreaterThan(50)
  })

  test('says in the header that came why a send was not stored', () => {
    const replies: unknown[] = []
    const closed = { ...connection, reply: (...reply: unknown[]) => void replies.push(...reply) } as unknown as ServerConnection
    const frame = frameOf({}, 5, 0, SERIALIZE_ROCKETMQ)
    expect(path(frame, 0, frame.length, closed)).toBe(frame.length)
    stored?.({ status: 'not-available', physicalOffset: -1, queueOffset: -1, storeTimestamp: 1, reason: 'full' })
    expect(replies[0]).toMatchObject({ opaque: 5, serializeType: SERIALIZE_ROCKETMQ })
    expect(replies[1]).toMatchObject({ remark: expect.stringContaining('full') })
  })

  test('takes as many as there are slots, answers all but the one-way ones, and takes the next when the slots are free', () => {
    const frames = Buffer.concat([frameOf({}, 1), frameOf({ queueId: 1 }, 2, 2), frameOf({}, 3)])
    const last = frames.length - frameOf({}, 3).length
    expect(take(frames)).toBe(last)
    expect(take(frames.subarray(last))).toBe(0)
    stored?.({ status: 'ok', physicalOffset: -1, queueOffset: -1, storeTimestamp: 1 })
    expect(decodeFrame(out, 0, written)).toMatchObject({ code: 0, opaque: 1 })
    expect(written).toBe(4 + out.readInt32BE(0))
    expect(take(frames.subarray(last))).toBe(frames.length - last)
    expect(unanswered).toBe(1)
    stored?.({ status: 'ok', physicalOffset: -1, queueOffset: -1, storeTimestamp: 1 })
    expect(decodeFrame(out, 0, written)).toMatchObject({ code: 0, opaque: 3 })
    expect(unanswered).toBe(0)
  })

  test('goes no further than the frame that it declines', () => {
    const frames = Buffer.concat([frameOf(), frameOf({ topic: 'U' }), frameOf()])
    expect(take(frames)).toBe(frameOf().length)
    stored?.({ status: 'ok', physicalOffset: -1, queueOffset: -1, storeTimestamp: 1 })
    expect(take(frames.subarray(0, 20))).toBe(0)
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
    expect(take(frameOf(more))).toBe(0)
    expect(taken.length).toBe(before)
  })
})
