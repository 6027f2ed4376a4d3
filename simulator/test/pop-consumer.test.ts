/** Our POP consumer on our brokers: what members take, keep, fail and leave behind. */
import { afterEach, describe, expect, it } from 'vitest'
import type { Client, PushConsumer, PushConsumerOptions } from '@skylarkmq/client'
import { encodeRequestMode, SetMessageRequestMode } from '@skylarkmq/remoting/protocol'
import { Cluster } from '../src/cluster.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND

interface Scene {
  readonly cluster: Cluster
  readonly queues: number
  client(name: string): Promise<Client>
  send(...bodies: string[]): Promise<void>
  /** A member that has joined. */
  join(name: string, options?: Partial<PushConsumerOptions>): Promise<PushConsumer>
  /** Lets brokers say that the group pops. */
  setMode(mode: 'POP' | 'PULL', popShareQueueNum?: number): Promise<void>
  until(isTrue: () => boolean, ms?: number): Promise<void>
  /** Topic by topic, all that lies in a group's dead letters. */
  deadLetters(): Promise<string[]>
}

let ended: (() => void)[] = []
afterEach(() => {
  for (const end of ended.splice(0)) end()
})

async function scene({ brokers = 1, queues = 4 } = {}): Promise<Scene> {
  const cluster = new Cluster({ seed: 7, namesrvs: 1, brokers, flush: 'async', segmentBytes: 1 << 20 })
  await cluster.start()
  const { world } = cluster
  const clients = new Map<string, Client>()
  const client = async (name: string) => {
    const known = clients.get(name)
    if (known) return known
    const made = await cluster.client(name)
    clients.set(name, made)
    return made
  }
  const tools = await client('tools')
  const admin = tools.admin()
  await world.until(admin.topics.update({ topic: 'films', queueNums: queues }, { cluster: 'DefaultCluster' }))
  const producer = tools.producer({ group: 'studios' })
  return {
    cluster,
    queues,
    client,
    send: async (...bodies) => {
      for (const body of bodies) await world.until(producer.send({ topic: 'films', body, tags: body[0] as string }))
    },
    join: async (name, options = {}) => {
      const fixed = { group: 'cinemas', subscriptions: { films: '*' }, consumeFrom: 'first', delivery: 'pop' } as const
      const consumer = (await client(name)).pushConsumer({ ...fixed, ...options })
      await world.until(consumer.start())
      return consumer
    },
    setMode: async (mode, popShareQueueNum = 0) => {
      const body = encodeRequestMode({ topic: 'films', consumerGroup: 'cinemas', mode, popShareQueueNum })
      await world.until(tools.core.route('films'))
      for (const name of cluster.brokers.keys()) {
        expect((await world.until(tools.core.invoke(name, SetMessageRequestMode, {}, { body }))).code).toBe(0)
      }
    },
    until: (isTrue, ms = 5 * MINUTE) => world.when(isTrue, ms),
    deadLetters: async () => {
      const reader = tools.pullConsumer({ group: 'undertakers', consumeFrom: 'first' })
      await world.until(reader.assign(await world.until(reader.topicQueues('%DLQ%cinemas'))))
      const got = await world.until(reader.poll({ timeoutMs: 20_000 }))
      await world.until(reader.close())
      return got.map((message) => message.text)
    },
  }
}

const names = (prefix: string, count: number): string[] => Array.from({ length: count }, (_, i) => `${prefix}${i}`)

describe('a POP consumer', () => {
  it('takes each message once, with more members than queues', async () => {
    const { cluster, join, send, until } = await scene({ queues: 2 })
    const seen: string[][] = [[], [], [], []]
    const members = []
    for (const [i, texts] of seen.entries()) {
      const handler = async (message: { text: string }) => {
        texts.push(message.text)
        await cluster.world.node(`m${i}`).clock.sleep(50)
      }
      members.push(await join(`m${i}`, { handler, concurrency: 1 }))
    }
    const films = names('f', 60)
    await send(...films)
    await until(() => seen.flat().length >= 60)
    await cluster.world.run(3 * MINUTE)
    expect(seen.flat().sort()).toEqual(films.sort())
    // None went without.
    expect(seen.filter((texts) => texts.length > 0)).toHaveLength(4)
    for (const member of members) await cluster.world.until(member.close())
  })

  it('a failed message comes again by itself after its delay; one that fails for ever becomes a dead letter', async () => {
    const { cluster, join, send, until, deadLetters } = await scene()
    const log: unknown[] = []
    const { clock } = cluster.world.node('m')
    let first = 0
    const consumer = await join('m', {
      maxReconsumeTimes: 2,
      handler: (message, context) => {
        first ||= clock.now()
        log.push([message.text, message.topic, message.reconsumeTimes, context.queue.topic])
        if (message.text === 'hopeless' || message.reconsumeTimes === 0) message.retry({ delayLevel: 2 })
      },
    })
    await send('good', 'hopeless')
    await until(() => log.length >= 5)
    await cluster.world.run(5 * MINUTE)
    expect(log.map(String).sort()).toEqual(
      [0, 1, 2]
        .map((times) => `hopeless,films,${times},films`)
        .concat([0, 1].map((times) => `good,films,${times},films`))
        .sort(),
    )
    expect(await deadLetters()).toEqual(['hopeless'])
    await cluster.world.until(consumer.close())
  })

  it('a handler keeps its message by extend(); one that is silent loses it, and learns it by its signal', async () => {
    const { cluster, join, send, until } = await scene()
    const log: string[] = []
    const { clock } = cluster.world.node('m')
    const consumer = await join('m', {
      invisibleMs: 30 * SECOND,
      handler: async (message, { signal, deadline, extend }) => {
        log.push(`${message.text} ${message.reconsumeTimes}`)
        if (message.reconsumeTimes > 0) return
        expect((deadline as Date).getTime() - clock.now()).toBeLessThanOrEqual(30 * SECOND)
        for (let i = 0; i < 10; i++) {
          await clock.sleep(20 * SECOND)
          if (message.text === 'kept') await extend()
        }
        log.push(`${message.text} ends${signal.aborted ? ' aborted' : ''}`)
        if (message.text === 'lost') await extend().catch((error: { code: string }) => log.push(error.code))
      },
    })
    await send('kept', 'lost')
    await until(() => log.includes('ABORTED'), 10 * MINUTE)
    await cluster.world.run(2 * MINUTE)
    expect(log.sort()).toEqual(['ABORTED', 'kept 0', 'kept ends', 'lost 0', 'lost 1', 'lost ends aborted'])
    await cluster.world.until(consumer.close())
  })

  it('a handler that ends because its time is up, or its consumer closes, has not consumed its message', async () => {
    const { cluster, join, send, until } = await scene()
    const { world } = cluster
    let begun = 0
    const untilAborted = (_: unknown, { signal }: { signal: AbortSignal }) => {
      begun++
      return new Promise((resolve) => signal.addEventListener('abort', resolve))
    }
    await send('slow', 'closing')
    const timely = { invisibleMs: 10 * SECOND, concurrency: 1, cachedMessagesPerQueue: 1 }
    const consumer = await join('m', { ...timely, handler: untilAborted })
    // One loses its message by time, and then has another when it closes.
    await until(() => begun === 2)
    await world.until(consumer.close({ drainMs: SECOND }))
    const seen = new Set<string>()
    const other = await join('n', { handler: (message) => void seen.add(message.text) })
    await until(() => seen.size === 2, MINUTE)
    await world.until(other.close())
  })

  it('what waits for a busy handler gets more time, and comes once', async () => {
    const { cluster, join, send, until } = await scene({ queues: 1 })
    const seen: string[] = []
    const { clock } = cluster.world.node('m')
    const consumer = await join('m', {
      invisibleMs: 10 * SECOND,
      concurrency: 1,
      cachedMessagesPerQueue: 8,
      handler: async (message, { extend }) => {
        seen.push(`${message.text} ${message.reconsumeTimes}`)
        await clock.sleep(7 * SECOND)
        await extend()
        await clock.sleep(9 * SECOND)
      },
    })
    const films = names('f', 8)
    await send(...films)
    await until(() => seen.length >= 8, 5 * MINUTE)
    await cluster.world.run(5 * MINUTE)
    expect(seen).toEqual(films.map((film) => `${film} 0`))
    await cluster.world.until(consumer.close())
  })

  it('a member that dies leaves its messages to the others; one that closes gives back what it did not begin', async () => {
    const { cluster, join, send, until } = await scene()
    const { world } = cluster
    const log: string[] = []
    const hang = () => new Promise<void>(() => undefined)
    await join('dying', { invisibleMs: 20 * SECOND, concurrency: 2, handler: hang })
    await send('a', 'b', 'c', 'd')
    await world.run(2 * SECOND)
    world.kill('dying')
    const closing = await join('closing', {
      concurrency: 1,
      cachedMessagesPerQueue: 32,
      invisibleMs: 4 * MINUTE,
      handler: async (message) => {
        await world.node('closing').clock.sleep(5 * SECOND)
        log.push(message.text)
      },
    })
    await send(...names('x', 10))
    await world.run(SECOND)
    const before = world.nowMs
    await world.until(closing.close())
    expect(world.nowMs - before).toBeLessThan(8 * SECOND)
    expect(log).toHaveLength(1)
    const last = await join('last', { handler: (message) => void log.push(message.text) })
    // Long before the four minutes that the one that closed had asked for.
    await until(() => new Set(log).size === 14, 2 * MINUTE)
    await world.run(5 * MINUTE)
    expect(log.sort()).toEqual(['a', 'b', 'c', 'd', ...names('x', 10)])
    await world.until(last.close())
  })

  it('a pop that is answered when the consumer has gone gives its messages back, as long as the client lives', async () => {
    const { cluster, join, send, until } = await scene({ queues: 1 })
    const gone = await join('m', { invisibleMs: 4 * MINUTE, handler: () => undefined })
    // Its pop waits at the broker.
    await cluster.world.run(SECOND)
    await cluster.world.until(gone.close())
    await send('late')
    const seen: string[] = []
    await join('n', { handler: (message) => void seen.push(message.text) })
    await until(() => seen.length === 1, MINUTE)
    expect(seen).toEqual(['late'])
  })

  it('filters by tag; what the group leaves out is no concern of it', async () => {
    const { cluster, join, send, until } = await scene()
    const seen: string[] = []
    const consumer = await join('m', { subscriptions: { films: 'a' }, handler: (message) => void seen.push(message.text) })
    await send('a1', 'b1', 'a2', 'b2')
    await until(() => seen.length >= 2)
    await cluster.world.run(3 * MINUTE)
    expect(seen.sort()).toEqual(['a1', 'a2'])
    await cluster.world.until(consumer.close())
  })

  it('in a loop: what was not acknowledged comes again', async () => {
    const { cluster, join, send } = await scene()
    const { world } = cluster
    await send('one', 'two', 'three')
    const consumer = (await (
      await cluster.client('loop')
    ).pushConsumer({
      group: 'cinemas',
      subscriptions: { films: '*' },
      consumeFrom: 'first',
      delivery: 'pop',
    })) as PushConsumer
    const first: string[] = []
    await world.until(
      (async () => {
        for await (const message of consumer.messages()) {
          first.push(message.text)
          if (first.length === 2) break
        }
      })(),
    )
    await world.until(consumer.close())
    const seen: string[] = []
    const other = await join('other', { handler: (message) => void seen.push(message.text) })
    await world.run(2 * MINUTE)
    expect(seen.sort()).toEqual(['one', 'three', 'two'].filter((text) => text !== first[0]))
    await world.until(other.close())
  })

  it('refuses what POP cannot do, with a sentence', async () => {
    const { client } = await scene()
    const make = async (options: Partial<PushConsumerOptions>) =>
      (await client('m')).pushConsumer({ group: 'g', subscriptions: { films: '*' }, delivery: 'pop', ...options })
    await expect(make({ orderly: true })).rejects.toThrow('gives no order')
    await expect(make({ model: 'broadcasting' })).rejects.toThrow('broadcasting')
    await expect(make({ invisibleMs: 10 })).rejects.toThrow('invisibleMs is 10')
    await expect(make({ consumeFrom: { timestampMs: 1 } })).rejects.toThrow('not at a time')
  })
})

describe('a consumer that asks its brokers', () => {
  it('pulls and pops as they say, also when they change their mind, and loses nothing', async () => {
    const { cluster, join, send, setMode, until } = await scene({ brokers: 2 })
    const { world } = cluster
    const seen: string[] = []
    const members: PushConsumer[] = []
    for (const name of ['m0', 'm1', 'm2']) {
      members.push(await join(name, { delivery: 'broker', handler: (message) => void seen.push(message.text) }))
    }
    const kinds = () => members.map(({ queues }) => queues.filter(({ topic }) => topic === 'films').map(({ queueId }) => queueId))
    await world.run(MINUTE)
    // Pulled: each queue has one owner.
    expect(kinds().flat().sort()).toEqual([0, 0, 1, 1, 2, 2, 3, 3])
    await send(...names('pulled', 20))
    await until(() => seen.length >= 20)
    await setMode('POP')
    await send(...names('between', 20))
    await until(() =>
      kinds()
        .flat()
        .every((queueId) => queueId === -1),
    )
    expect(kinds()).toEqual([
      [-1, -1],
      [-1, -1],
      [-1, -1],
    ])
    await send(...names('popped', 20))
    await until(() => new Set(seen).size === 60)
    await setMode('PULL')
    await world.run(MINUTE)
    expect(kinds().flat().sort()).toEqual([0, 0, 1, 1, 2, 2, 3, 3])
    await send(...names('again', 20))
    await until(() => new Set(seen).size === 80)
    for (const member of members) await world.until(member.close())
  })

  it('two brokers, five members that share queues two and two, some leave or die: every queue is assigned, nothing is lost', async () => {
    const { cluster, join, send, setMode, until } = await scene({ brokers: 2 })
    const { world } = cluster
    await setMode('POP', 1)
    const seen: string[] = []
    const members = new Map<string, PushConsumer>()
    const enter = async (name: string) => {
      const handler = async (message: { text: string }) => {
        await world.node(name).clock.sleep(200)
        seen.push(message.text)
      }
      members.set(name, await join(name, { delivery: 'broker', invisibleMs: 20 * SECOND, handler }))
    }
    const owners = () => {
      const count = new Map<string, number>()
      for (const { queues } of members.values()) {
        for (const { topic, brokerName, queueId } of queues) {
          if (topic === 'films') count.set(`${brokerName} ${queueId}`, (count.get(`${brokerName} ${queueId}`) ?? 0) + 1)
        }
      }
      return count
    }
    const everyQueueHas = (count: number) => () => owners().size === 8 && [...owners().values()].every((own) => own === count)
    for (const name of ['m0', 'm1', 'm2', 'm3', 'm4']) await enter(name)
    await until(everyQueueHas(2))
    await send(...names('a', 40))
    // One goes as it should, one dies with messages in hand.
    await world.until((members.get('m1') as PushConsumer).close())
    members.delete('m1')
    await send(...names('b', 10))
    world.kill('m3')
    members.delete('m3')
    await send(...names('c', 40))
    await enter('m5')
    await enter('m6')
    await until(everyQueueHas(2))
    await send(...names('d', 40))
    const all = [...names('a', 40), ...names('b', 10), ...names('c', 40), ...names('d', 40)]
    await until(() => new Set(seen).size === all.length)
    await world.run(2 * MINUTE)
    expect([...new Set(seen)].sort()).toEqual(all.sort())
    for (const member of members.values()) await world.until(member.close())
    // What was acknowledged does not come again.
    const before = seen.length
    await setMode('PULL')
    await enter('m7')
    await world.run(MINUTE)
    expect(seen.length).toBe(before)
  })
})
