/** "Where is my order?" RocketMQ answers with its message trace, if the clients write it: in Apache's form, so that either side reads the other's. */
import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { decodeRecord } from '@skylarkmq/remoting/protocol'
import type { StoredMessage } from '@skylarkmq/remoting/protocol'
import type { MessageTraceEvent } from '@skylarkmq/client'
import { decodeEvents, encodeEvent } from '../src/message-trace/events.ts'
import { story } from './consumer/support/small-broker.ts'
import type { SmallBroker } from './consumer/support/small-broker.ts'

const TRACE = 'RMQ_SYS_TRACE_TOPIC'
const records = (broker: SmallBroker): StoredMessage[] =>
  (broker.queues.get(`${TRACE}:0`) ?? []).map((record) => decodeRecord(record, 0) as StoredMessage)
const eventsAt = (broker: SmallBroker): MessageTraceEvent[] =>
  records(broker).flatMap(({ body }) => decodeEvents(Buffer.from(body).toString()))

describe('message trace', () => {
  it('tells of a message that was sent, failed once and was consumed, to be found by its id and its keys', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1, [TRACE]: 1 } })
    const producer = client('shop').producer({ group: 'shop', messageTrace: true })
    const consumer = client('office').pushConsumer({
      group: 'office',
      subscriptions: { orders: '*' },
      consumeFrom: 'first',
      messageTrace: true,
      handler: async (message) => {
        await world.node('office').clock.sleep(20)
        if (message.reconsumeTimes === 0) message.retry({ delayLevel: 1 })
      },
    })
    await world.until(consumer.start())
    const receipt = await world.until(producer.send({ topic: 'orders', body: 'a book', tags: 'Paid', keys: ['k1', 'k2'] }))
    await world.when(() => eventsAt(broker).length === 5, 60_000)
    expect(eventsAt(broker).sort((a, b) => a.time - b.time)).toMatchObject([
      {
        type: 'sent',
        group: 'shop',
        topic: 'orders',
        messageId: receipt.messageId,
        tags: 'Paid',
        keys: 'k1 k2',
        storeHost: broker.address,
        bodyBytes: 6,
        messageType: 'normal',
        isSuccess: true,
        region: 'DefaultRegion',
      },
      { type: 'consumeBegin', group: 'office', retryTimes: 0 },
      { type: 'consumeEnd', result: 'failed', isSuccess: false, tookMs: 20 },
      { type: 'consumeBegin', retryTimes: 1 },
      { type: 'consumeEnd', result: 'success', isSuccess: true },
    ])
    for (const record of records(broker)) expect(record.properties.get('KEYS')?.split(' ')).toEqual([receipt.messageId, 'k1', 'k2'])
    await world.until(consumer.close())
  })

  it('is complete when a client closes, and silent where the broker wants no traces', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1, [TRACE]: 1 } })
    const shop = client('shop')
    const producer = shop.producer({ group: 'shop', messageTrace: true })
    await world.until(producer.send({ topic: 'orders', body: 'x', delayLevel: 1 }))
    await world.until(shop.close())
    expect(eventsAt(broker)).toMatchObject([{ type: 'sent', messageType: 'delay' }])

    broker.put('orders', 0, 'untraced', { properties: { TRACE_ON: 'false' } })
    broker.put('orders', 0, 'traced', { properties: { MSG_REGION: 'north', TRACE_ON: 'true' } })
    const office = client('office')
    const seen: string[] = []
    const consumer = office.pushConsumer({
      group: 'office',
      subscriptions: { orders: '*' },
      consumeFrom: 'first',
      messageTrace: true,
      handler: (message) => void seen.push(message.text),
    })
    await world.until(consumer.start())
    await world.when(() => seen.length >= 2, 10_000)
    await world.until(office.close())
    const regions = eventsAt(broker).flatMap((event) => (event.type === 'consumeBegin' ? event.region : []))
    expect(regions).toContain('north')
    expect(eventsAt(broker).filter((event) => event.type === 'consumeBegin')).toHaveLength(seen.length - 1)
  })

  it('holds nobody up and breaks nothing when the trace topic cannot be written', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    const shop = client('shop')
    const producer = shop.producer({ group: 'shop', messageTrace: { topic: 'no_such_topic' } })
    for (let i = 0; i < 50; i++) await world.until(producer.send({ topic: 'orders', body: String(i) }))
    await world.run(20_000)
    await world.until(shop.close(), 30_000)
    expect(broker.bodies('orders')).toHaveLength(50)
  })

  it('many events share messages that stay below the limit', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1, [TRACE]: 1 } })
    const producer = client('shop').producer({ group: 'shop', messageTrace: true })
    await world.until(Promise.all(Array.from({ length: 100 }, (_, i) => producer.send({ topic: 'orders', body: 'x', keys: `k${i}` }))))
    await world.run(5000)
    expect(eventsAt(broker)).toHaveLength(100)
    expect(records(broker)).toHaveLength(5)
  })

  it("is Apache's text, byte for byte", () => {
    const text = encodeEvent({
      type: 'sent',
      time: 1_700_000_000_000,
      region: 'DefaultRegion',
      group: 'g',
      topic: 't',
      messageId: 'ID',
      tags: 'T',
      keys: 'k1 k2',
      storeHost: '10.0.0.1:10911',
      bodyBytes: 5,
      tookMs: 7,
      messageType: 'delay',
      offsetMessageId: 'OFF',
      isSuccess: true,
    })
    const fields = ['Pub', '1700000000000', 'DefaultRegion', 'g', 't', 'ID', 'T', 'k1 k2', '10.0.0.1:10911', '5', '7', '3', 'OFF', 'true']
    expect(text).toBe(`${fields.join('\u0001')}\u0002`)
  })

  it("reads what other clients write: Go's longer lines, Java's null, a CLOUD line without time, an unknown kind", () => {
    const lines = [
      ['Pub', '1', 'r', 'g', 't', 'ID', 'null', '', 'h:1', '5', '7', '0', 'OFF', 'true', '10.0.0.9'],
      ['SubBefore', '2', 'r', 'g', 'REQ', 'ID', '0', 'k', '10.0.0.9'],
      ['SubAfter', 'REQ', 'ID', '3', 'false', 'k', '4', ''],
      ['NextYearsInvention', '1'],
    ]
    const events = decodeEvents(lines.map((line) => `${line.join('\u0001')}\u0002`).join(''))
    expect(events).toMatchObject([
      { type: 'sent', tags: '', isSuccess: true, offsetMessageId: 'OFF' },
      { type: 'consumeBegin', requestId: 'REQ', keys: 'k' },
      { type: 'consumeEnd', result: 'failed', tookMs: 3, time: 0, group: '' },
    ])
  })

  it('what is written is read back, whatever the names are', () => {
    const word = fc.string({ maxLength: 20 }).filter((text) => text !== 'null' && !['\u0001', '\u0002'].some((mark) => text.includes(mark)))
    const count = fc.nat()
    const common = { time: count, region: word, group: word, topic: word, messageId: word }
    const event: fc.Arbitrary<MessageTraceEvent> = fc.oneof(
      fc.record({ type: fc.constant('recalled' as const), ...common, isSuccess: fc.boolean() }),
      fc.record({
        type: fc.constant('transactionEnd' as const),
        ...common,
        tags: word,
        keys: word,
        storeHost: word,
        transactionId: word,
        outcome: fc.constantFrom('commit' as const, 'rollback' as const, 'unknown' as const),
        isFromCheck: fc.boolean(),
      }),
      fc.record({
        type: fc.constant('consumeEnd' as const),
        time: count,
        group: word,
        messageId: word,
        requestId: word,
        tookMs: count,
        isSuccess: fc.boolean(),
        keys: word,
        result: fc.constantFrom('success' as const, 'timeout' as const, 'exception' as const, 'failed' as const),
      }),
    )
    fc.assert(
      fc.property(fc.array(event, { maxLength: 5 }), (events) => {
        expect(decodeEvents(events.map(encodeEvent).join(''))).toEqual(events)
      }),
    )
    fc.assert(fc.property(fc.string(), (text) => void decodeEvents(text)))
  })

  it('never lets a property smuggle in an event', () => {
    const [event, more] = decodeEvents(
      encodeEvent({ type: 'recalled', time: 1, region: 'r', group: 'g', topic: 't\u0002Recall\u0001x', messageId: 'm', isSuccess: true }),
    )
    expect(event).toMatchObject({ topic: 't Recall x', messageId: 'm' })
    expect(more).toBeUndefined()
  })
})
