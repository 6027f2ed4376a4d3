import { describe, expect, it } from 'vitest'
import type { SmallBroker } from './support/small-broker.ts'
import { story } from './support/small-broker.ts'

const fill = (broker: SmallBroker, queues: number, perQueue: number) => {
  for (let i = 0; i < perQueue; i++) for (let queueId = 0; queueId < queues; queueId++) broker.put('orders', queueId, `${queueId}-${i}`)
}
const options = { group: 'g', subscriptions: { orders: '*' }, consumeFrom: 'first' } as const

describe('pull consumer', () => {
  it('polls what it is asked for, and counts a poll as consumed when the next begins', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    fill(broker, 1, 10)
    const consumer = client('one').pullConsumer(options)
    const texts = (messages: readonly { text: string }[]) => messages.map((message) => message.text)
    expect(texts(await world.until(consumer.poll({ max: 4 })))).toEqual(['0-0', '0-1', '0-2', '0-3'])
    await world.run(6000)
    expect(broker.offset('g', 'orders', 0)).toBe(0)
    expect(texts(await world.until(consumer.poll({ max: 4 })))).toEqual(['0-4', '0-5', '0-6', '0-7'])
    await world.run(6000)
    expect(broker.offset('g', 'orders', 0)).toBe(4)
    await world.until(consumer.commit())
    expect(broker.offset('g', 'orders', 0)).toBe(8)
    await world.until(consumer.close())
    expect(broker.offset('g', 'orders', 0)).toBe(8)
    expect(broker.members('g')).toEqual([])
  })

  it('an empty poll takes its time and no longer; a message ends the wait; a signal ends it by an error', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    const consumer = client('one').pullConsumer(options)
    await world.until(consumer.start())
    const from = world.nowMs
    expect(await world.until(consumer.poll({ timeoutMs: 3000 }))).toEqual([])
    expect(world.nowMs - from).toBeGreaterThanOrEqual(3000)
    const waiting = consumer.poll({ timeoutMs: 600_000 })
    await world.run(1000)
    broker.put('orders', 0, 'now')
    expect((await world.until(waiting, 5000)).map((message) => message.text)).toEqual(['now'])
    const stop = new AbortController()
    const aborted = consumer.poll({ timeoutMs: 600_000, signal: stop.signal })
    stop.abort()
    await expect(world.until(aborted)).rejects.toMatchObject({ code: 'ABORTED' })
    await world.until(consumer.close())
  })

  it('two members share the queues', async () => {
    const { world, broker, client } = await story({ topics: { orders: 4 } })
    const [one, two] = ['one', 'two'].map((name) => client(name).pullConsumer(options))
    if (!one || !two) throw new Error('there are two')
    await world.until(one.start())
    await world.until(two.start())
    await world.when(() => one.queues.length === 2 && two.queues.length === 2, 10_000)
    fill(broker, 4, 5)
    const got: string[][] = [[], []]
    for (let i = 0; i < 6; i++) {
      got[0]?.push(...(await world.until(one.poll({ timeoutMs: 500 }))).map((message) => message.text))
      got[1]?.push(...(await world.until(two.poll({ timeoutMs: 500 }))).map((message) => message.text))
    }
    expect(got.map((texts) => texts.length)).toEqual([10, 10])
    expect(new Set(got.flat()).size).toBe(20)
    await world.until(Promise.all([one.close(), two.close()]))
  })

  it('reads the queues it is told to, from where it is told to, without asking who else is there', async () => {
    const { world, broker, client } = await story({ topics: { orders: 3 } })
    fill(broker, 3, 10)
    const consumer = client('one').pullConsumer({ group: 'g', consumeFrom: 'first' })
    const queues = await world.until(consumer.topicQueues('orders'))
    const queue = queues[1]
    if (!queue) throw new Error('there are three')
    await world.until(consumer.assign([queue]))
    consumer.seek(queue, 7)
    expect((await world.until(consumer.poll())).map((message) => message.text)).toEqual(['1-7', '1-8', '1-9'])
    expect(await world.until(consumer.minOffset(queue))).toBe(0)
    expect(await world.until(consumer.maxOffset(queue))).toBe(10)
    expect(await world.until(consumer.committedOffset(queue))).toBeUndefined()
    await world.until(consumer.commit())
    expect(await world.until(consumer.committedOffset(queue))).toBe(10)
    expect(() => consumer.seek({ ...queue, queueId: 2 }, 0)).toThrow(/is not this consumer's/)
    await world.until(consumer.assign(queues.slice(2)))
    expect((await world.until(consumer.poll({ max: 2 }))).map((message) => message.text)).toEqual(['2-0', '2-1'])
    expect(broker.requests).not.toContain('members')
    await world.until(consumer.close())
  })

  it('pauses and resumes single queues; what was fetched stays until then', async () => {
    const { world, broker, client } = await story({ topics: { orders: 2 } })
    fill(broker, 2, 3)
    const consumer = client('one').pullConsumer({ group: 'g', consumeFrom: 'first' })
    const queues = await world.until(consumer.topicQueues('orders'))
    await world.until(consumer.assign(queues))
    consumer.pause(queues.slice(0, 1))
    await world.run(2000)
    expect((await world.until(consumer.poll())).map((message) => message.text)).toEqual(['1-0', '1-1', '1-2'])
    const waiting = consumer.poll({ timeoutMs: 60_000 })
    await world.run(10_000)
    consumer.resume(queues.slice(0, 1))
    expect((await world.until(waiting, 5000)).map((message) => message.text)).toEqual(['0-0', '0-1', '0-2'])
    await world.until(consumer.close())
  })

  it('seeks to the begin, the end and a time; commits what it is told to', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    fill(broker, 1, 3)
    await world.run(60_000)
    const timeMs = world.node('one').clock.now()
    await world.run(60_000)
    fill(broker, 1, 3)
    const consumer = client('one').pullConsumer({ group: 'g', autoCommit: false })
    const queue = { topic: 'orders', brokerName: 'broker-a', queueId: 0 }
    await world.until(consumer.assign([queue]))
    const offsets = async () => (await world.until(consumer.poll({ timeoutMs: 100 }))).map((message) => message.queueOffset)
    expect(await offsets()).toEqual([])
    await world.until(consumer.seekToBegin(queue))
    expect(await offsets()).toEqual([0, 1, 2, 3, 4, 5])
    await world.until(consumer.seekToTime(queue, timeMs))
    expect(await offsets()).toEqual([3, 4, 5])
    await world.until(consumer.seekToEnd(queue))
    expect(await offsets()).toEqual([])
    expect(() => consumer.seek(queue, -1)).toThrow(/from 0 on/)
    await world.until(consumer.commit([[queue, 4]]))
    expect(broker.offset('g', 'orders', 0)).toBe(4)
    await world.until(consumer.close())
  })

  it('subscribes and unsubscribes while it runs; it cannot do both this and assign', async () => {
    const { world, broker, client } = await story({ topics: { orders: 2, bills: 2 } })
    fill(broker, 2, 1)
    for (let queueId = 0; queueId < 2; queueId++) broker.put('bills', queueId, `bill ${queueId}`, { tags: queueId === 0 ? 'Paid' : 'Open' })
    const consumer = client('one').pullConsumer({ group: 'g', consumeFrom: 'first' })
    const texts = async () => (await world.until(consumer.poll({ timeoutMs: 3000 }))).map((message) => message.text)
    await world.until(consumer.subscribe('orders', '*'))
    const first = [...(await texts()), ...(await texts())]
    expect(first.sort()).toEqual(['0-0', '1-0'])
    await world.until(consumer.subscribe('bills', 'Paid'))
    await world.run(2000)
    expect(await texts()).toEqual(['bill 0'])
    await world.until(consumer.unsubscribe('orders'))
    await world.run(2000)
    expect(consumer.queues.every(({ topic }) => topic === 'bills')).toBe(true)
    await expect(world.until(consumer.assign([]))).rejects.toThrow(/both subscribe and assign/)
    await world.until(consumer.close())

    const other = client('two').pullConsumer({ group: 'h', consumeFrom: 'first' })
    const queues = await world.until(other.topicQueues('bills'))
    await world.until(other.assign(queues, { filters: { bills: 'Open' } }))
    const got = [...(await world.until(other.poll({ timeoutMs: 2000 }))), ...(await world.until(other.poll({ timeoutMs: 2000 })))]
    expect(got.map((message) => message.text)).toEqual(['bill 1'])
    await expect(world.until(other.subscribe('orders', '*'))).rejects.toThrow(/assigned queues/)
    await world.until(other.close())
  })

  it('an expression that the broker refuses leaves the subscription as it was', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    const consumer = client('one').pullConsumer(options)
    await world.until(consumer.start())
    // This broker knows nothing of SQL92, nor of the question.
    await expect(world.until(consumer.subscribe('orders', { sql: 'a >> b' }))).rejects.toMatchObject({ code: 'SUBSCRIPTION_PARSE_FAILED' })
    broker.put('orders', 0, 'x')
    expect((await world.until(consumer.poll())).map((message) => message.text)).toEqual(['x'])
    await world.until(consumer.close())
  })

  it('tells when the queues of a topic change', async () => {
    const { world, broker, client } = await story({ topics: { orders: 2 } })
    const consumer = client('one').pullConsumer({ group: 'g' })
    await world.until(consumer.topicQueues('orders'))
    const seen: number[] = []
    const stop = consumer.onQueuesChanged('orders', (queues) => seen.push(queues.length))
    broker.topics.set('orders', 5)
    await world.run(61_000)
    expect(seen).toEqual([5])
    stop()
    await world.until(consumer.close())
  })

  it('without autoCommit nothing is committed but by commit()', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    fill(broker, 1, 6)
    const consumer = client('one').pullConsumer({ ...options, autoCommit: false })
    for (let i = 0; i < 3; i++) {
      await world.until(consumer.poll({ max: 2 }))
      await world.run(10_000)
    }
    expect(broker.commits).toEqual([])
    await world.until(consumer.close())
    expect(broker.commits).toEqual([])
  })

  it('works against a broker of 4.9 that does not know code 361', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    broker.script = (name) => (name === 'lite-pull' ? { code: 3, remark: ' request type 361 not supported' } : undefined)
    fill(broker, 1, 100)
    const consumer = client('one').pullConsumer(options)
    let got = 0
    while (got < 100) got += (await world.until(consumer.poll({ timeoutMs: 1000 }))).length
    expect(got).toBe(100)
    expect(broker.requests.filter((name) => name === 'lite-pull')).toHaveLength(1)
    await world.until(consumer.close())
  })

  it('for await gives message after message until close', async () => {
    const { world, broker, client } = await story({ topics: { orders: 2 } })
    fill(broker, 2, 5)
    const consumer = client('one').pullConsumer(options)
    const seen: string[] = []
    const loop = (async () => {
      for await (const message of consumer) seen.push(message.text)
    })()
    await world.when(() => seen.length === 10, 5000)
    await world.run(6000)
    await world.until(consumer.close())
    await world.until(loop)
    expect([broker.offset('g', 'orders', 0), broker.offset('g', 'orders', 1)].sort()).toEqual([5, 5])
  })

  it('close resolves with no broker left', async () => {
    const { world, broker, client } = await story({ topics: { orders: 1 } })
    const consumer = client('one').pullConsumer(options)
    await world.until(consumer.start())
    broker.kill()
    const from = world.nowMs
    await world.until(consumer.close(), 60_000)
    expect(world.nowMs - from).toBeLessThanOrEqual(1000)
  })
})
