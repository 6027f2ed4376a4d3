import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  decodeAssignments,
  decodeBatchAck,
  decodeQueryAssignment,
  decodeRequestMode,
  encodeAssignments,
  encodeBatchAck,
  encodeJson,
  formatExtraInfo,
  formatMessageOffsets,
  formatStartOffsets,
  originOfPopRetryTopic,
  parseExtraInfo,
  parseMessageOffsets,
  popRetryTopicV1,
  popRetryTopicV2,
  realTopicOf,
  retryFlagOf,
} from '../../src/protocol/index.ts'

describe('the handle of a popped message', () => {
  test('is written as Java writes it', () => {
    const info = {
      startOffset: 5,
      popTime: 1700000000000,
      invisibleTimeMs: 60000,
      reviveQueueId: 3,
      retryFlag: '1',
      brokerName: 'broker-a',
    }
    expect(formatExtraInfo({ ...info, queueId: 2, queueOffset: 7 })).toBe('5 1700000000000 60000 3 1 broker-a 2 7')
    expect(formatExtraInfo({ ...info, queueId: 2 })).toBe('5 1700000000000 60000 3 1 broker-a 2')
  })

  test('is read back whole', () => {
    const nat = fc.nat({ max: Number.MAX_SAFE_INTEGER })
    const arbitrary = fc.record({
      startOffset: nat,
      popTime: nat,
      invisibleTimeMs: nat,
      reviveQueueId: fc.constantFrom(0, 7, 999),
      retryFlag: fc.constantFrom('0', '1', '2'),
      brokerName: fc.stringMatching(/^[a-z-]{1,20}$/),
      queueId: fc.nat(1000),
      queueOffset: nat,
    })
    fc.assert(
      fc.property(arbitrary, (info) => {
        expect(parseExtraInfo(formatExtraInfo(info))).toEqual(info)
      }),
    )
  })

  test('that is none is no handle', () => {
    for (const text of ['', '1 2 3', 'a b c d', '1 2 3 99999999999999999999', '1.5 2 3 4']) expect(parseExtraInfo(text)).toBeUndefined()
  })
})

test('retry topics say what they were made for, though groups and topics may have their separators', () => {
  expect(popRetryTopicV1('my_group', 'my_topic')).toBe('%RETRY%my_group_my_topic')
  expect(popRetryTopicV2('my_group', 'my_topic')).toBe('%RETRY%my_group+my_topic')
  for (const made of [popRetryTopicV1, popRetryTopicV2])
    expect(originOfPopRetryTopic(made('my_group', 'my_topic'), 'my_group')).toBe('my_topic')
  expect(originOfPopRetryTopic('orders', 'g')).toBe('orders')
  expect(['orders', '%RETRY%g_orders', '%RETRY%g+orders'].map(retryFlagOf)).toEqual(['0', '1', '2'])
  expect(['0', '1', '2', '3'].map((flag) => realTopicOf('orders', 'g', flag))).toEqual([
    'orders',
    '%RETRY%g_orders',
    '%RETRY%g+orders',
    undefined,
  ])
})

test('the offsets of a pop are told queue by queue', () => {
  const queues = [
    { topic: 'orders', queueId: 1, startOffset: 4, offsets: [4, 6] },
    { topic: '%RETRY%g_orders', queueId: 0, startOffset: 0, offsets: [0] },
  ]
  expect(formatStartOffsets(queues)).toBe('0 1 4;1 0 0')
  expect(formatMessageOffsets(queues)).toBe('0 1 4,6;1 0 0')
  expect(parseMessageOffsets('0 1 4,6;1 0 0')).toEqual(
    new Map([
      ['0@1', [4, 6]],
      ['1@0', [0]],
    ]),
  )
  expect(parseMessageOffsets(undefined).size).toBe(0)
})

describe('a batch of acknowledgements', () => {
  const ack = {
    consumerGroup: 'g',
    topic: 't',
    retryFlag: '0',
    startOffset: 100,
    queueId: 3,
    reviveQueueId: 1,
    popTime: 5,
    invisibleTimeMs: 6,
    distances: [0, 8, 31],
  }

  test('has Java’s bits, in base64', () => {
    const body = encodeBatchAck({ brokerName: 'b', acks: [ack] })
    expect(JSON.parse(body.toString())).toEqual({
      brokerName: 'b',
      acks: [{ b: 'AQEAgA==', c: 'g', it: 6, pt: 5, q: 3, r: '0', rq: 1, so: 100, t: 't' }],
    })
    expect(decodeBatchAck(body)).toEqual({ brokerName: 'b', acks: [ack] })
  })

  test('is read with long names as well', () => {
    const long = { consumerGroup: 'g', topic: 't', retry: '0', startOffset: 100, queueId: 3, reviveQueueId: 1, popTime: 5 }
    const body = encodeJson({ acks: [{ ...long, invisibleTime: 6, bitSet: 'AQEAgA==' }] })
    expect(decodeBatchAck(body)).toEqual({ brokerName: '', acks: [ack] })
  })

  test('with endless bits is refused', () => {
    const body = encodeJson({ acks: [{ c: 'g', t: 't', b: 'A'.repeat(20_000) }] })
    expect(() => decodeBatchAck(body)).toThrow(/20000 characters; at most/)
  })
})

test('assignments are read as Java writes them, and nothing is something else than an empty list', () => {
  const messageQueue = { topic: 't', brokerName: 'b', queueId: -1 }
  const body = encodeAssignments([{ messageQueue, mode: 'POP' }])
  expect(JSON.parse(body.toString())).toEqual({ messageQueueAssignments: [{ attachments: {}, messageQueue, mode: 'POP' }] })
  expect(decodeAssignments(body)).toEqual([{ messageQueue, mode: 'POP' }])
  expect(decodeAssignments(encodeAssignments(undefined))).toBeUndefined()
  expect(decodeAssignments(encodeAssignments([]))).toEqual([])
  const asked = { topic: 't', consumerGroup: 'g', clientId: 'c', strategyName: 'AVG', messageModel: 'CLUSTERING' }
  expect(decodeQueryAssignment(encodeJson(asked))).toEqual(asked)
  expect(decodeRequestMode(encodeJson({ topic: 't', consumerGroup: 'g', mode: 'POP' }))).toMatchObject({ mode: 'POP', popShareQueueNum: 0 })
})
