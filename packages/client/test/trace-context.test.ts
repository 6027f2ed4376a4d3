/** One order, three services: what happens to it in the third must be found under the trace that began in the first. */
import { channel } from 'node:diagnostics_channel'
import { describe, expect, it } from 'vitest'
import type { TraceContext } from '@skylarkmq/client'
import { currentTrace, withTrace } from '@skylarkmq/client'
import { parseProperties } from '@skylarkmq/remoting/protocol'
import { story } from './consumer/support/small-broker.ts'

const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
const trace: TraceContext = { traceparent: TRACEPARENT, tracestate: 'vendor=1,other=2' }
const consume = (group: string, topic: string) => ({ group, subscriptions: { [topic]: '*' }, consumeFrom: 'first' }) as const

describe('W3C trace context', () => {
  it('goes with a message into its handler, and on with what the handler sends, without a word of the application', async () => {
    const { world, client } = await story({ topics: { orders: 1, bills: 1 } })
    const shop = client('shop').producer({ group: 'shop' })
    const office = client('office')
    const bills = office.producer({ group: 'office' })
    const inHandler: unknown[] = []
    const first = office.pushConsumer({
      ...consume('office', 'orders'),
      handler: async (message, context) => {
        inHandler.push(context.trace, message.trace, currentTrace())
        await Promise.resolve()
        await bills.send({ topic: 'bills', body: `bill for ${message.text}` })
      },
    })
    const got: unknown[] = []
    const second = client('bank').pushConsumer({
      ...consume('bank', 'bills'),
      handler: (message) => void got.push(message.text, message.trace),
    })
    await world.until(Promise.all([first.start(), second.start()]))
    await world.until(withTrace(trace, () => shop.send({ topic: 'orders', body: 'a book' })))
    await world.when(() => got.length === 2, 10_000)
    expect(inHandler).toEqual([trace, trace, trace])
    expect(got).toEqual(['bill for a book', trace])
    expect(currentTrace()).toBeUndefined()

    // A message without a trace leaves none behind, whatever trace `start` was called in.
    await world.until(shop.send({ topic: 'orders', body: 'a pen' }))
    await world.when(() => got.length === 4, 10_000)
    expect(got.slice(2)).toEqual(['bill for a pen', undefined])
    await world.until(Promise.all([first.close(), second.close()]))
  })

  it('sendAll gives it to each message; properties that the application set stay', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    const producer = client('shop').producer({ group: 'shop' })
    const own = TRACEPARENT.replace('b7ad', 'c7ad')
    const sent: Record<string, string>[] = []
    broker.script = (name, header) => {
      if (name === 'send') sent.push(Object.fromEntries(parseProperties(String(header['properties']))))
      return undefined
    }
    await world.until(
      withTrace(trace, () =>
        producer.sendAll([
          { topic: 'orders', body: 'x', delayLevel: 1 },
          { topic: 'orders', body: 'y', delayLevel: 1 },
        ]),
      ),
    )
    await world.until(withTrace(trace, () => producer.send({ topic: 'orders', body: 'z', properties: { traceparent: own } })))
    await world.until(withTrace(trace, () => withTrace(undefined, () => producer.send({ topic: 'orders', body: 'u' }))))
    expect(sent.map(({ traceparent, tracestate }) => [traceparent, tracestate])).toEqual([
      [TRACEPARENT, 'vendor=1,other=2'],
      [TRACEPARENT, 'vendor=1,other=2'],
      [own, undefined],
      [undefined, undefined],
    ])
  })

  it('a subscriber of skylarkmq:send puts its own span into the message; skylarkmq:consume shows where it came from', async () => {
    const { world, client } = await story({ topics: { orders: 1 } })
    const span = TRACEPARENT.replace('b7ad6b7169203331', '1111111111111111')
    const onSend = (event: unknown) => {
      Object.assign((event as { properties: Record<string, string> }).properties, { traceparent: span, baggage: 'shop=north' })
    }
    const consumed: unknown[] = []
    const onConsume = (event: unknown) => void consumed.push((event as { trace: unknown }).trace)
    channel('tracing:skylarkmq:send:start').subscribe(onSend)
    channel('tracing:skylarkmq:consume:start').subscribe(onConsume)
    try {
      const baggage: unknown[] = []
      const consumer = client('office').pushConsumer({
        ...consume('office', 'orders'),
        handler: (message) => void baggage.push(message.properties.get('baggage')),
      })
      await world.until(consumer.start())
      await world.until(withTrace(trace, () => client('shop').producer({ group: 'shop' }).send({ topic: 'orders', body: 'x' })))
      await world.when(() => baggage.length === 1, 10_000)
      expect(consumed).toEqual([{ traceparent: span }])
      expect(baggage).toEqual(['shop=north'])
      await world.until(consumer.close())
    } finally {
      channel('tracing:skylarkmq:send:start').unsubscribe(onSend)
      channel('tracing:skylarkmq:consume:start').unsubscribe(onConsume)
    }
  })

  it('what breaks the rules of the standard is no trace', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    const zeros = '0'.repeat(32)
    for (const traceparent of [
      'nonsense',
      `00-${zeros}-b7ad6b7169203331-01`,
      TRACEPARENT.replace('b7ad6b7169203331', zeros.slice(16)),
      `ff${TRACEPARENT.slice(2)}`,
      TRACEPARENT.toUpperCase(),
      `${TRACEPARENT}x`,
      `cc${TRACEPARENT.slice(2)}-what-the-future-is-like`,
    ])
      broker.put('orders', 0, 'x', { properties: { traceparent, tracestate: 'v'.repeat(513) } })
    const consumer = client('one').pullConsumer(consume('g', 'orders'))
    const messages = await world.until(consumer.poll())
    expect(messages.map((message) => message.trace?.traceparent.slice(0, 2))).toEqual([...Array.from({ length: 6 }, () => undefined), 'cc'])
    expect(messages[6]?.trace?.tracestate).toBeUndefined()
    await world.until(consumer.close())
  })
})
