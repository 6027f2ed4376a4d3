/**
 * What consumers do with a live cluster, ours or Apache's: every step throws if the cluster answers otherwise.
 * By hand: `node --conditions=source --import tsx packages/client/test/support/consumer-story.ts 127.0.0.1:9876`.
 */
import assert from 'node:assert/strict'
import { tmpdir } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Client, MessageQueue } from '@skylarkmq/client'
import { createClient, RocketError } from '@skylarkmq/client'

type Say = (line: string) => void

async function until(what: string, isTrue: () => boolean | Promise<boolean>, limitMs = 60_000): Promise<void> {
  for (let waited = 0; !(await isTrue()); waited += 50) {
    assert(waited < limitMs, `${what} did not happen within ${limitMs} ms`)
    await sleep(50)
  }
}

export interface Features {
  /** Filters by SQL92 conditions. */
  readonly sql: boolean
}

export async function consumerStory(client: Client, other: Client, say: Say, features: Features): Promise<void> {
  const suffix = client.clientId.replace(/\D/g, '').slice(-9)
  const producer = client.producer({ group: `consumer_story_${suffix}` })
  const topicOf = (name: string) => `Consume_${name}_${suffix}`
  const groupOf = (name: string) => `consume_${name}_${suffix}`
  const send = async (topic: string, count: number, from = 0) => {
    for (let i = from; i < from + count; i++) {
      await producer.send({ topic, body: `m${i}`, keys: `k${i}`, tags: i % 2 === 0 ? 'even' : 'odd', orderKey: String(i % 4) })
    }
  }
  const deadLetters = async (name: string): Promise<string[]> => {
    await using reader = client.pullConsumer({ group: groupOf(`${name}_dead`), consumeFrom: 'first' })
    let queues: readonly MessageQueue[] = []
    await until('the dead letter topic', async () => (queues = await reader.topicQueues(`%DLQ%${groupOf(name)}`)).length > 0)
    await reader.assign(queues)
    return (await reader.poll({ timeoutMs: 10_000 })).map((message) => message.text)
  }

  {
    const [topic, group] = [topicOf('shared'), groupOf('shared')]
    await send(topic, 100)
    const seen: string[][] = [[], []]
    const open = (on: Client, i: number, expression: string) =>
      on.pushConsumer({
        group,
        subscriptions: { [topic]: expression },
        consumeFrom: 'first',
        handler: (message) => void seen[i]?.push(message.text),
      })
    const [one, two] = [open(client, 0, '*'), open(other, 1, '*')]
    await one.start()
    await until('100 messages', () => seen[0]?.length === 100)
    await two.start()
    const own = (consumer: typeof one) => consumer.queues.filter((queue) => queue.topic === topic).length
    await until('the queues are shared', () => own(two) > 0 && Math.abs(own(one) - own(two)) <= 1)
    await send(topic, 100, 100)
    await until('200 messages', () => new Set(seen.flat()).size === 200)
    assert((seen[1]?.length ?? 0) > 0)
    await two.close()
    const all = own(one)
    await until('the queues are given back', () => own(one) > all)
    await one.close()
    say(`two members shared 200 messages: ${seen.map((texts) => texts.length).join(' and ')}`)

    const tagged: string[] = []
    const again = client.pushConsumer({ group, subscriptions: { [topic]: 'odd' }, handler: (message) => void tagged.push(message.text) })
    await again.start()
    await send(topic, 10, 200)
    await until('five odd ones', () => tagged.length === 5)
    await sleep(500)
    assert.deepEqual(tagged.sort(), ['m201', 'm203', 'm205', 'm207', 'm209'])
    await again.close()
    say('a restarted group went on where it was, filtered by tag')
  }
  {
    const [topic, group] = [topicOf('retry'), groupOf('retry')]
    await send(topic, 1)
    const attempts: unknown[] = []
    const consumer = client.pushConsumer({
      group,
      subscriptions: { [topic]: '*' },
      consumeFrom: 'first',
      maxReconsumeTimes: 1,
      handler: (message) => {
        attempts.push([message.topic, message.text, message.keys.join(), message.reconsumeTimes])
        message.retry({ delayLevel: 1 })
      },
    })
    await consumer.start()
    await until('two attempts', () => attempts.length === 2)
    assert.deepEqual(attempts, [0, 1].map((times) => [topic, 'm0', 'k0', times])) // biome-ignore format: one thought
    assert.deepEqual(await deadLetters('retry'), ['m0'])
    await consumer.close()
    say('a failing message came again and then went to the dead letters')
  }
  {
    const [topic, group] = [topicOf('orderly'), groupOf('orderly')]
    await send(topic, 200)
    const last = new Map<number, number>()
    const seen: string[] = []
    const consumer = client.pushConsumer({
      group,
      subscriptions: { [topic]: '*' },
      consumeFrom: 'first',
      orderly: true,
      suspendMs: 100,
      maxReconsumeTimes: 2,
      handler: (message) => {
        if (message.text === 'm17' && message.reconsumeTimes < 2) throw new Error('not yet')
        if (message.text === 'm18') throw new Error('never')
        assert((last.get(message.queueId) ?? -1) < message.queueOffset, 'queues are consumed in order')
        last.set(message.queueId, message.queueOffset)
        seen.push(message.text)
      },
    })
    await consumer.start()
    await until('199 messages in order', () => seen.length === 199)
    await consumer.close()
    assert.deepEqual(await deadLetters('orderly'), ['m18'])
    say('199 messages in order, one given up')
  }
  {
    const [topic, group] = [topicOf('broadcast'), groupOf('broadcast')]
    await send(topic, 20)
    const seen: string[][] = [[], []]
    const consumers = [client, other].map((on, i) =>
      on.pushConsumer({
        group,
        subscriptions: { [topic]: '*' },
        model: 'broadcasting',
        consumeFrom: 'first',
        offsetFolder: `${tmpdir()}/skylark-story-offsets-${suffix}`,
        handler: (message) => void seen[i]?.push(message.text),
      }),
    )
    for (const consumer of consumers) await consumer.start()
    await until('both have all', () => seen.every((texts) => texts.length === 20))
    for (const consumer of consumers) await consumer.close()
    say('each broadcast member got all')
  }
  {
    const [topic, group] = [topicOf('poll'), groupOf('poll')]
    await send(topic, 50)
    await using consumer = client.pullConsumer({ group, subscriptions: { [topic]: '*' }, consumeFrom: 'first' })
    const got: string[] = []
    while (got.length < 50) got.push(...(await consumer.poll({ max: 7 })).map((message) => message.text))
    await consumer.commit()
    let sum = 0
    for (const queue of await consumer.topicQueues(topic)) {
      assert.equal(await consumer.minOffset(queue), 0)
      assert.equal(await consumer.committedOffset(queue), await consumer.maxOffset(queue))
      assert.equal(await consumer.offsetByTime(queue, 0), 0)
      sum += (await consumer.committedOffset(queue)) ?? 0
    }
    assert.equal(sum, 50)
    const queue = consumer.queues[0] as MessageQueue
    consumer.seek(queue, 1)
    const [first] = await consumer.poll({ max: 1 })
    assert.deepEqual([first?.queueId, first?.queueOffset], [queue.queueId, 1])
    say('50 messages polled, committed, and sought again')
  }
  {
    const [topic, group] = [topicOf('loop'), groupOf('loop')]
    await send(topic, 30)
    const consumer = client.pushConsumer({ group, subscriptions: { [topic]: '*' }, consumeFrom: 'first' })
    const seen = new Set<string>()
    for await (const message of consumer.messages({ concurrency: 4 })) {
      seen.add(message.text)
      if (seen.size < 30) continue
      message.ack()
      break
    }
    await consumer.close()
    say('30 messages in a for await loop')
  }
  if (features.sql) {
    const [topic, group] = [topicOf('sql'), groupOf('sql')]
    await send(topic, 6)
    const seen: string[] = []
    const consumer = client.pushConsumer({
      group,
      subscriptions: { [topic]: { sql: "TAGS = 'odd'" } },
      consumeFrom: 'first',
      handler: (message) => void seen.push(message.text),
    })
    await consumer.start()
    await until('three odd ones', () => seen.length === 3)
    await consumer.close()
    const wrong = other.pushConsumer({ group: groupOf('wrong'), subscriptions: { [topic]: { sql: 'a >> b' } }, handler: () => undefined })
    await assert.rejects(wrong.start(), (error: RocketError) => error.code === 'SUBSCRIPTION_PARSE_FAILED')
    await wrong.close()
    say('an SQL condition filtered, a wrong one was refused')
  }
  await producer.close()
}

if (process.argv[1]?.endsWith('consumer-story.ts')) {
  const namesrvAddr = process.argv[2] ?? '127.0.0.1:9876'
  const say = (line: string) => process.stdout.write(`${line}\n`)
  const [client, other] = [await createClient({ namesrvAddr }), await createClient({ namesrvAddr })]
  await consumerStory(client, other, say, { sql: !process.argv.includes('--no-sql') })
  await Promise.all([client.close(), other.close()])
  say('the story is true')
}
