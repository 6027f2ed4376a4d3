/** Many messages in few requests: how they are bundled, split and answered for. */
import { describe, expect, it } from 'vitest'
import { SendAllError } from '@skylarkmq/client'
import { ResponseCode, decodeClientBatch, parseProperties } from '@skylarkmq/remoting/protocol'
import { failureOf, fakeCluster, routeOf } from './support/fake-cluster.ts'
import type { FakeClusterOptions } from './support/fake-cluster.ts'

const TOPIC = 'Orders'

async function cluster(options: FakeClusterOptions = {}) {
  const made = await fakeCluster(options)
  made.routes.set(TOPIC, routeOf(Object.values(made.brokers)))
  return made
}

describe('sendAll', () => {
  it('sends many messages in few requests, and gives each its receipt', async () => {
    const { sim, client, broker } = await cluster({ brokers: ['a'] })
    const producer = client.producer({ group: 'g' })
    const receipts = await sim.world.until(
      producer.sendAll(Array.from({ length: 100 }, (_, i) => ({ topic: TOPIC, body: `m${i}`, keys: `k${i}`, flag: i }))),
    )
    const [received, ...others] = broker('a').received
    expect(others).toEqual([])
    expect(received?.isBatch).toBe(true)
    expect(received?.header.batch).toBe(true)
    const elements = decodeClientBatch(received?.body as Buffer)
    expect(elements.map((element) => Buffer.from(element.body).toString())).toEqual(Array.from({ length: 100 }, (_, i) => `m${i}`))
    elements.forEach((element, i) => {
      const properties = parseProperties(Buffer.from(element.properties).toString())
      expect(properties.get('UNIQ_KEY')).toBe(receipts[i]?.messageId)
      expect(properties.get('KEYS')).toBe(`k${i}`)
      expect(element.flag).toBe(i)
      expect(receipts[i]).toMatchObject({ queueOffset: i, offsetMessageId: `a-${i}` })
    })
    expect(new Set(receipts.map((receipt) => receipt.messageId)).size).toBe(100)
  })

  it('splits by size, by topic and by order key, and sends delayed messages alone', async () => {
    const made = await cluster({ brokers: ['a'] })
    made.routes.set('Other', routeOf(Object.values(made.brokers)))
    const producer = made.client.producer({ group: 'g', batchBytes: 10_000 })
    const messages = [
      ...Array.from({ length: 30 }, (_, i) => ({ topic: TOPIC, body: Buffer.alloc(1000, i) })),
      { topic: 'Other', body: 'o1' },
      { topic: 'Other', body: 'o2' },
      { topic: TOPIC, body: 'delayed', delayLevel: 1 },
      { topic: TOPIC, body: 'k1', orderKey: 'k' },
      { topic: TOPIC, body: 'k2', orderKey: 'k' },
    ]
    const receipts = await made.sim.world.until(producer.sendAll(messages))
    const { received } = made.broker('a')
    expect(receipts).toHaveLength(messages.length)
    expect(received.every((request) => request.body.length <= 10_000)).toBe(true)
    expect(received.filter((request) => request.header.topic === TOPIC && request.isBatch).length).toBeGreaterThanOrEqual(4)
    const delayed = received.filter((request) => request.properties.has('DELAY'))
    expect(delayed.map((request) => [request.isBatch, request.body.toString()])).toEqual([[false, 'delayed']])
    expect(receipts[33]?.queue).toEqual(receipts[34]?.queue)
    // In the order given, within the topic.
    const bodies = received
      .filter((request) => request.isBatch && request.body.length > 1000)
      .flatMap((request) => decodeClientBatch(request.body).map((element) => element.body[0]))
    expect(bodies).toEqual(Array.from({ length: 30 }, (_, i) => i))
  })

  it('checks all before it sends any', async () => {
    const { client, brokers } = await cluster()
    const messages = [
      { topic: TOPIC, body: 'good' },
      { topic: TOPIC, body: '' },
    ]
    await expect(client.producer({ group: 'g' }).sendAll(messages)).rejects.toThrow(/empty/)
    expect(Object.values(brokers).flatMap((broker) => broker.received)).toHaveLength(0)
  })

  it('tells which messages failed and which did not', async () => {
    const made = await cluster({ brokers: ['a'] })
    made.routes.set('Closed', routeOf(Object.values(made.brokers)))
    made.broker('a').answers = ({ header }) =>
      header.topic === 'Closed' ? { code: ResponseCode.MESSAGE_ILLEGAL, remark: 'closed' } : undefined
    const messages = ['Orders', 'Closed', 'Orders', 'Closed'].map((topic, i) => ({ topic, body: `${i}` }))
    const error = await made.sim.world.until(failureOf(made.client.producer({ group: 'g' }).sendAll(messages)))
    expect(error).toBeInstanceOf(SendAllError)
    const { receipts, failures } = error as SendAllError
    expect(receipts.map((receipt) => receipt !== undefined)).toEqual([true, false, true, false])
    expect(failures.map((failure) => failure.index)).toEqual([1, 3])
    expect(error).toMatchObject({ code: 'MESSAGE_ILLEGAL', brokerCode: 13 })
  })

  it('is done at once with nothing to send', async () => {
    const { client } = await cluster()
    expect(await client.producer({ group: 'g' }).sendAll([])).toEqual([])
  })
})
