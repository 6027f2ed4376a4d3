/** Our own client behind the interface of the foreign ones. */
import { createClient, RocketError } from '@skylarkmq/client'
import type { Client, Producer, PullConsumer, PushConsumer, ReceivedMessage } from '@skylarkmq/client'
import type { Delivery, Probe, SendOptions, SubscribeOptions } from './probe.ts'
import { scratch } from './toolchains.ts'

export class OurProbe implements Probe {
  readonly name = 'skylarkmq'
  readonly #namesrv: string
  readonly #clients: Client[] = []
  readonly #consumers = new Map<string, PushConsumer | PullConsumer>()
  readonly #failures: unknown[] = []
  readonly #deliveries = new Map<string, Delivery[]>()
  readonly #producers = new Map<string, Producer>()

  constructor(namesrv: string) {
    this.#namesrv = namesrv
  }

  async send(options: SendOptions): Promise<void> {
    const producer = await this.#producerFor(options)
    const mode = options.mode ?? 'sync'
    const messages = Array.from({ length: options.count ?? 1 }, (_, i) => ({
      topic: options.topic,
      body: `${options.prefix ?? 'm'}-${i}`.padEnd(options.size ?? 0, '.'),
      tags: options.tag,
      keys: options.key,
      delayLevel: options.delayLevel,
      delayMs: options.delayMs,
      deliverAt: options.deliverInMs === undefined ? undefined : Date.now() + options.deliverInMs,
      properties: Object.fromEntries((options.properties?.split(',') ?? []).map((pair) => pair.split(':') as [string, string])),
      orderKey: mode === 'ordered' ? String(i % (options.keys ?? 3)) : undefined,
    }))
    if (mode === 'transaction') {
      for (const [i, message] of messages.entries()) {
        await producer.sendInTransaction(message, () => (['commit', 'rollback', 'unknown', 'unknown'] as const)[i % 4] ?? 'unknown')
      }
    } else if (mode === 'request') {
      for (const message of messages) {
        const { text } = await producer.request(message, { timeoutMs: 90_000 })
        if (text !== `reply to ${message.body}`) throw new Error(`${text} instead of reply to ${message.body}`)
      }
    } else if (mode === 'batch') await producer.sendAll(messages)
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
    } else {
      for (const message of messages) {
        const receipt = await producer.send(message)
        if (options.recall) await producer.recall(receipt)
      }
    }
  }

  async #producerFor({ trace = false, namespace, group = 'probe-ours' }: Partial<SendOptions>): Promise<Producer> {
    const key = `${trace} ${namespace} ${group}`
    const known = this.#producers.get(key)
    if (known) return known
    const client = await this.#client(namespace)
    const made = client.producer({
      group,
      timeoutMs: 10_000,
      messageTrace: trace,
      onCheck: (message) => (Number(message.text.split('-').at(-1)) % 4 === 2 ? 'commit' : 'rollback'),
    })
    this.#producers.set(key, made)
    return made
  }

  async subscribe(options: SubscribeOptions): Promise<void> {
    if (options.mode === 'lite' || options.mode === 'assign') return this.#pull(options)
    const client = await this.#client(options.namespace)
    const seen = new Map<string, number>()
    const fail = options.fail ?? 0
    const consumer = client.pushConsumer({
      group: options.group,
      subscriptions: { [options.topic]: options.sql === undefined ? (options.expr ?? '*') : { sql: options.sql } },
      orderly: options.mode === 'orderly',
      model: options.mode === 'broadcast' ? 'broadcasting' : 'clustering',
      consumeFrom: options.from ?? 'first',
      // As Java's: the broker shares queues out and says whether to pop.
      delivery: options.pop ? 'broker' : 'pull',
      messageTrace: options.trace ?? false,
      offsetFolder: scratch('offsets'),
      suspendMs: 200,
      ...(options.maxReconsume === undefined ? {} : { maxReconsumeTimes: options.maxReconsume }),
      handler: async (message) => {
        const times = (seen.get(message.text) ?? 0) + 1
        seen.set(message.text, times)
        const ok = fail >= 0 && times > fail
        this.#note(options.consumer, message, ok)
        if (ok && options.reply) await (await this.#producerFor({})).reply(message, `reply to ${message.text}`)
        if (ok) return
        if (options.retryLevel !== undefined) message.retry({ delayLevel: options.retryLevel })
        else throw new Error('as told')
      },
    })
    await consumer.start()
    this.#consumers.set(options.consumer, consumer)
  }

  async #pull({ consumer: name, group, topic, expr = '*', mode, rewindAfter }: SubscribeOptions): Promise<void> {
    const client = await this.#client()
    const consumer = client.pullConsumer({ group, consumeFrom: 'first' })
    if (mode === 'lite') await consumer.subscribe(topic, expr)
    else await consumer.assign(await consumer.topicQueues(topic))
    this.#consumers.set(name, consumer)
    const poll = async () => {
      let count = 0
      for await (const message of consumer) {
        this.#note(name, message, true)
        if (++count === rewindAfter) for (const queue of consumer.queues) await consumer.seekToBegin(queue)
      }
    }
    poll().catch((error: unknown) => this.#failures.push(error))
  }

  #note(consumer: string, message: ReceivedMessage, ok: boolean): void {
    const { text: body, topic, tags, keys, queueId, queueOffset, reconsumeTimes } = message
    this.#of(consumer).push({ consumer, body, topic, tag: tags ?? null, keys: keys.join(' '), queueId, queueOffset, reconsumeTimes, ok })
  }

  async unsubscribe(consumer: string): Promise<void> {
    await this.#consumers.get(consumer)?.close()
  }

  deliveries(consumer: string): readonly Delivery[] {
    return this.#of(consumer)
  }

  async stop(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close({ drainMs: 1000 })))
    if (this.#failures.length > 0) throw this.#failures[0]
  }

  /** A client of its own for each consumer, as separate processes would have. */
  async #client(namespace?: string): Promise<Client> {
    const client = await createClient({ namesrvAddr: this.#namesrv, ...(namespace ? { namespace } : {}) })
    this.#clients.push(client)
    return client
  }

  #of(consumer: string): Delivery[] {
    let list = this.#deliveries.get(consumer)
    if (!list) this.#deliveries.set(consumer, (list = []))
    return list
  }
}
