/** A producer that has much to send, and one that ends: bounds on what is under way, and ways to stop. */
import { describe, expect, it } from 'vitest'
import { failureOf, fakeCluster, routeOf } from './support/fake-cluster.ts'
import type { FakeClusterOptions } from './support/fake-cluster.ts'

const TOPIC = 'Orders'

async function cluster(options: FakeClusterOptions = {}) {
  const made = await fakeCluster(options)
  made.routes.set(TOPIC, routeOf(Object.values(made.brokers)))
  return made
}

describe('back-pressure', () => {
  it('sends no more than is allowed without answers; the others wait their turn', async () => {
    const { sim, client, broker } = await cluster({ brokers: ['a'] })
    let open = 0
    let most = 0
    broker('a').answers = async () => {
      most = Math.max(most, ++open)
      await sim.clock.sleep(10)
      open--
      return undefined
    }
    const producer = client.producer({ group: 'g', inFlight: { messages: 3 } })
    const receipts = await sim.world.until(Promise.all(Array.from({ length: 20 }, (_, i) => producer.send({ topic: TOPIC, body: `${i}` }))))
    expect(receipts).toHaveLength(20)
    expect(most).toBe(3)
    expect(broker('a').bodies).toEqual(Array.from({ length: 20 }, (_, i) => `${i}`))
  })

  it('counts bytes too, and lets one message through that is larger than the bound', async () => {
    const { sim, client, broker } = await cluster({ brokers: ['a'] })
    let open = 0
    let most = 0
    broker('a').answers = async () => {
      most = Math.max(most, ++open)
      await sim.clock.sleep(10)
      open--
      return undefined
    }
    const producer = client.producer({ group: 'g', inFlight: { bytes: 250 } })
    const bodies = [Buffer.alloc(100, 'a'), Buffer.alloc(100, 'b'), Buffer.alloc(100, 'c'), Buffer.alloc(1000, 'd'), Buffer.alloc(10, 'e')]
    await sim.world.until(Promise.all(bodies.map((body) => producer.send({ topic: TOPIC, body }))))
    expect(most).toBe(2)
    expect(broker('a').received).toHaveLength(5)
  })

  it('fails at once instead, if asked to, and says what to do', async () => {
    const { sim, client, broker } = await cluster({ brokers: ['a'] })
    broker('a').answers = () => 'silence'
    const producer = client.producer({ group: 'g', inFlight: { messages: 1, whenFull: 'fail' } })
    const first = failureOf(producer.send({ topic: TOPIC, body: 'x' }))
    const error = await failureOf(producer.send({ topic: TOPIC, body: 'y' }))
    expect(error).toMatchObject({ code: 'SYSTEM_BUSY', retryable: true })
    expect(error.message).toMatch(/at most 1 .*slow down/)
    await sim.world.until(first)
  })

  it('lets a waiting send be aborted', async () => {
    const { sim, client, broker } = await cluster({ brokers: ['a'] })
    broker('a').answers = () => 'silence'
    const producer = client.producer({ group: 'g', inFlight: { messages: 1 } })
    const first = failureOf(producer.send({ topic: TOPIC, body: 'x' }))
    const abort = new AbortController()
    const second = failureOf(producer.send({ topic: TOPIC, body: 'y' }, { signal: abort.signal }))
    await sim.world.run(10)
    abort.abort()
    expect((await sim.world.until(second)).code).toBe('ABORTED')
    expect((await sim.world.until(first)).code).toBe('TIMEOUT')
    expect(broker('a').bodies).not.toContain('y')
  })
})

describe('close', () => {
  it('waits for messages under way, says goodbye, and refuses new ones', async () => {
    const { sim, client, broker } = await cluster({ brokers: ['a'] })
    broker('a').answers = async () => {
      await sim.clock.sleep(500)
      return undefined
    }
    const producer = client.producer({ group: 'g' })
    const sending = producer.send({ topic: TOPIC, body: 'x' })
    await sim.world.run(50)
    await sim.world.until(client.core.heartbeatNow())
    const closing = producer.close().then(() => client.close())
    await expect(producer.send({ topic: TOPIC, body: 'late' })).rejects.toThrow(/closed/)
    await sim.world.until(closing)
    expect((await sending).status).toBe('OK')
    expect(broker('a').goodbyes).toEqual([{ clientID: client.clientId, producerGroup: 'g' }])
    await sim.world.run(1000)
    expect(sim.world.openConnections).toBe(0)
  })

  it('resolves when no server is left, within the time to drain', async () => {
    const { sim, client, brokers } = await cluster()
    const producer = client.producer({ group: 'g' })
    await sim.world.until(Promise.all(Array.from({ length: 8 }, (_, i) => producer.send({ topic: TOPIC, body: `${i}` }))))
    await sim.world.until(client.core.heartbeatNow())
    const failed = failureOf(producer.send({ topic: TOPIC, body: 'in vain' }, { timeoutMs: 60_000 }))
    for (const name of Object.keys(brokers)) sim.world.crash(name)
    sim.world.crash('ns1')
    const startedAt = sim.world.nowMs
    await sim.world.until(client.close({ drainMs: 500 }))
    expect(sim.world.nowMs - startedAt).toBeLessThan(4000)
    expect((await sim.world.until(failed)).code).toBe('CLOSED')
  })

  it('gives up on those who still wait for their turn when the time to drain is over', async () => {
    const { sim, client, broker } = await cluster({ brokers: ['a'] })
    broker('a').answers = () => 'silence'
    const producer = client.producer({ group: 'g', inFlight: { messages: 1 } })
    const first = failureOf(producer.send({ topic: TOPIC, body: 'x' }))
    const second = failureOf(producer.send({ topic: TOPIC, body: 'y' }))
    await sim.world.run(10)
    await sim.world.until(producer.close({ drainMs: 100 }))
    expect((await sim.world.until(second)).code).toBe('CLOSED')
    expect((await sim.world.until(first)).code).toBe('TIMEOUT')
    expect(broker('a').received).toHaveLength(1)
  })

  it('is reached by `await using`', async () => {
    const { sim, client, broker } = await cluster({ brokers: ['a'] })
    await sim.world.until(
      (async () => {
        await using producer = client.producer({ group: 'g' })
        await producer.send({ topic: TOPIC, body: 'x' })
        await client.core.heartbeatNow()
      })(),
    )
    expect(broker('a').goodbyes).toHaveLength(1)
    expect(client.core.isClosed).toBe(false)
  })
})
