/**
 * Our client doing what java/ClientLoad.java does with Apache's. Arguments: namesrv, topic, then `send` outstanding size warmUpSeconds seconds,
 * or `consume` count. Prints one line of JSON.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { createClient } from '@skylarkmq/client'

const [namesrvAddr = '', topic = '', mode, ...rest] = process.argv.slice(2)
const numbers = rest.map(Number)
const counters = { done: 0, failed: 0 }

const cpuSeconds = (): number => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

function print(messages: number, ms: number, cpu: number): void {
  const perSecond = Math.round((messages / ms) * 1000)
  process.stdout.write(
    `${JSON.stringify({ messages, failed: counters.failed, perSecond, cpuSecondsPerMillion: (cpu / messages) * 1e6 })}\n`,
  )
}

async function send(outstanding = 64, size = 1024, warmUpSeconds = 2, seconds = 5): Promise<void> {
  const client = await createClient({ namesrvAddr })
  const producer = client.producer({ group: 'client-load' })
  const body = Buffer.alloc(size, 'x')
  const one = async () => {
    for (;;) {
      try {
        await producer.send({ topic, body, tags: 'TagA' })
        counters.done++
      } catch {
        counters.failed++
      }
    }
  }
  for (let i = 0; i < outstanding; i++) void one()
  await sleep(warmUpSeconds * 1000)
  const [before, cpu, began] = [counters.done, cpuSeconds(), performance.now()]
  await sleep(seconds * 1000)
  print(counters.done - before, performance.now() - began, cpuSeconds() - cpu)
}

async function consume(count: number, isMeasured: boolean): Promise<void> {
  const client = await createClient({ namesrvAddr })
  let consumed = 0
  let first = { at: 0, cpu: 0 }
  const ended = new Promise<void>((resolve) => {
    const consumer = client.pushConsumer({
      group: `client-load-${randomUUID()}`,
      subscriptions: { [topic]: '*' },
      consumeFrom: 'first',
      handler: () => {
        if (consumed++ === 0) first = { at: performance.now(), cpu: cpuSeconds() }
        if (consumed !== count) return
        if (isMeasured) print(count, performance.now() - first.at, cpuSeconds() - first.cpu)
        resolve()
      },
    })
    void consumer.start()
  })
  await ended
  await client.close({ drainMs: 1000 })
}

if (mode === 'send') await send(...numbers)
else {
  await consume(numbers[0] as number, false)
  await consume(numbers[0] as number, true)
}
process.exit(0)
