/** What goes on beside the main path: a consumer that is too slow, delayed messages, somebody who reads the metrics, keys that are compacted. */
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from '@skylarkmq/client'
import type { Client } from '@skylarkmq/client'

export interface Companion {
  /** What it has to tell at the end or in between. */
  readonly facts: () => Readonly<Record<string, number>>
  stop(): Promise<void>
}

const BODY = 'x'.repeat(1024)
const TICK_MS = 100

/** `perSecond` messages arrive, a twentieth of them is consumed. */
export async function slowConsumer(namesrvAddr: string, perSecond: number): Promise<Companion> {
  const client = await createClient({ namesrvAddr })
  const producer = client.producer({ group: 'bench-slow' })
  let failed = 0
  let consumed = 0
  await topic(client, 'BenchSlow')
  const consumer = client.pushConsumer({
    group: 'bench-slow',
    subscriptions: { BenchSlow: '*' },
    consumeFrom: 'first',
    concurrency: 1,
    handler: async () => {
      consumed++
      await sleep((1000 / perSecond) * 20)
    },
  })
  await consumer.start()
  const timer = every(() => {
    for (let i = 0; i < (perSecond * TICK_MS) / 1000; i++) producer.send({ topic: 'BenchSlow', body: BODY }).catch(() => failed++)
  })
  return { facts: () => ({ failed, consumed }), stop: () => (clearInterval(timer), client.close({ drainMs: 1000 })) }
}

/** Ten a second, by delay level and by time; how late they come. */
export async function delayedMessages(namesrvAddr: string): Promise<Companion> {
  const client = await createClient({ namesrvAddr })
  const producer = client.producer({ group: 'bench-delay' })
  let failed = 0
  let sent = 0
  let received = 0
  let latestMs = 0
  await topic(client, 'BenchDelay')
  const consumer = client.pushConsumer({
    group: 'bench-delay',
    subscriptions: { BenchDelay: '*' },
    consumeFrom: 'first',
    handler: (message) => {
      received++
      latestMs = Math.max(latestMs, Date.now() - Number(message.text))
    },
  })
  await consumer.start()
  const timer = every(() => {
    const byLevel = sent++ % 2 === 0
    const delayMs = byLevel ? 5000 : 3000
    const message = { topic: 'BenchDelay', body: String(Date.now() + delayMs), ...(byLevel ? { delayLevel: 2 } : { delayMs }) }
    producer.send(message).catch(() => failed++)
  })
  return {
    facts: () => {
      const facts = { failed, sent, received, latestMs }
      latestMs = 0
      return facts
    },
    stop: () => (clearInterval(timer), client.close({ drainMs: 1000 })),
  }
}

/** Reads the broker's metrics so often. */
export function scraper(port: number, everyMs: number): Companion {
  let scrapes = 0
  let failed = 0
  const timer = setInterval(
    () =>
      void scrape(port).then(
        () => scrapes++,
        () => failed++,
      ),
    everyMs,
  )
  return { facts: () => ({ scrapes, failed }), stop: async () => clearInterval(timer) }
}

export async function scrape(port: number): Promise<string> {
  const answer = await fetch(`http://127.0.0.1:${port}/metrics`)
  if (!answer.ok) throw new Error(`the metrics answered ${answer.status}`)
  return await answer.text()
}

/** State by key: `perSecond` new values of 10,000 keys, in a topic that the broker compacts. */
export async function compactedKeys(namesrvAddr: string, perSecond: number): Promise<Companion> {
  const client = await createClient({ namesrvAddr })
  const producer = client.producer({ group: 'bench-keys' })
  let failed = 0
  let sent = 0
  const settings = { topic: 'BenchKeys', queueNums: 1, attributes: { 'cleanup.policy': 'COMPACTION' } }
  await client.admin().topics.update(settings, { cluster: 'BenchCluster' })
  const timer = every(() => {
    for (let i = 0; i < (perSecond * TICK_MS) / 1000; i++) {
      producer.send({ topic: 'BenchKeys', body: BODY, keys: [`key-${sent++ % 10_000}`] }).catch(() => failed++)
    }
  })
  return { facts: () => ({ failed, sent }), stop: () => (clearInterval(timer), client.close({ drainMs: 1000 })) }
}

async function topic(client: Client, name: string): Promise<void> {
  await client.admin().topics.update({ topic: name, queueNums: 4 }, { cluster: 'BenchCluster' })
}

const every = (task: () => void): NodeJS.Timeout => setInterval(task, TICK_MS)
