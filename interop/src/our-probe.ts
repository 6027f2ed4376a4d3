/** Our own client behind the interface of the foreign ones. */
import { createClient, RocketError } from '@skylarkmq/client'
import type { Client, Producer, PushConsumer } from '@skylarkmq/client'
import type { Delivery, Probe, SendOptions, SubscribeOptions } from './probe.ts'
import { scratch } from './toolchains.ts'

export class OurProbe implements Probe {
  readonly name = 'skylarkmq'
  readonly #namesrv: string
  readonly #clients: Client[] = []
  readonly #consumers = new Map<string, PushConsumer>()
  readonly #deliveries = new Map<string, Delivery[]>()
  #producer: Producer | undefined

  constructor(namesrv: string) {
    this.#namesrv = namesrv
  }

  async send(options: SendOptions): Promise<void> {
    this.#producer ??= (await this.#client()).producer({ group: 'probe-ours', timeoutMs: 10_000 })
    const producer = this.#producer
    const mode = options.mode ?? 'sync'
    const messages = Array.from({ length: options.count ?? 1 }, (_, i) => ({
      topic: options.topic,
      body: `${options.prefix ?? 'm'}-${i}`.padEnd(options.size ?? 0, '.'),
      tags: options.tag,
      keys: options.key,
      delayLevel: options.delayLevel,
      properties: Object.fromEntries((options.properties?.split(',') ?? []).map((pair) => pair.split(':') as [string, string])),
      orderKey: mode === 'ordered' ? String(i % (options.keys ?? 3)) : undefined,
    }))
    if (mode === 'batch') await producer.sendAll(messages)
    else if (mode === 'async') await Promise.all(messages.map((message) => producer.send(message)))
    else if (mode === 'oneway') for (const message of messages) await producer.sendOneway(message)
    else if (mode === 'ordered') {
      const selectQueue = (
        queues: readonly { readonly topic: string; readonly brokerName: string; readonly queueId: number }[],
        message: { readonly orderKey?: string | undefined },
      ) => {
        const queue = queues[Number(message.orderKey) % queues.length]
        if (!queue) throw new RocketError('no queue', { code: 'NO_ROUTE' })
        return queue
      }
      for (const message of messages) await producer.send(message, { selectQueue })
    } else for (const message of messages) await producer.send(message)
  }

  async subscribe(options: SubscribeOptions): Promise<void> {
    const client = await this.#client()
    const seen = new Map<string, number>()
    const fail = options.fail ?? 0
    const consumer = client.pushConsumer({
      group: options.group,
      subscriptions: { [options.topic]: options.sql === undefined ? (options.expr ?? '*') : { sql: options.sql } },
      orderly: options.mode === 'orderly',
      model: options.mode === 'broadcast' ? 'broadcasting' : 'clustering',
      consumeFrom: 'first',
      offsetFolder: scratch('offsets'),
      suspendMs: 200,
      ...(options.maxReconsume === undefined ? {} : { maxReconsumeTimes: options.maxReconsume }),
      handler: async (message) => {
        const times = (seen.get(message.text) ?? 0) + 1
        seen.set(message.text, times)
        const ok = fail >= 0 && times > fail
        this.#of(options.consumer).push({
          consumer: options.consumer,
          body: message.text,
          topic: message.topic,
          tag: message.tags ?? null,
          keys: message.keys.join(' '),
          queueId: message.queueId,
          queueOffset: message.queueOffset,
          reconsumeTimes: message.reconsumeTimes,
          ok,
        })
        if (ok) return
        if (options.retryLevel !== undefined) message.retry({ delayLevel: options.retryLevel })
        else throw new Error('as told')
      },
    })
    await consumer.start()
    this.#consumers.set(options.consumer, consumer)
  }

  async unsubscribe(consumer: string): Promise<void> {
    await this.#consumers.get(consumer)?.close()
  }

  deliveries(consumer: string): readonly Delivery[] {
    return this.#of(consumer)
  }

  async stop(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close({ drainMs: 1000 })))
  }

  /** A client of its own for each consumer, as separate processes would have. */
  async #client(): Promise<Client> {
    const client = await createClient({ namesrvAddr: this.#namesrv })
    this.#clients.push(client)
    return client
  }

  #of(consumer: string): Delivery[] {
    let list = this.#deliveries.get(consumer)
    if (!list) this.#deliveries.set(consumer, (list = []))
    return list
  }
}
