/** Producers and consumers that never rest, and a record of everything that they were promised and given. */
import type { Client, ConsumedMessage, Message, Producer, PushConsumer, SendReceipt } from '@skylarkmq/client'
import { createClient, RocketError, SendAllError } from '@skylarkmq/client'
import { parseOffsetMessageId, RETRY_PREFIX } from '@skylarkmq/remoting/protocol'
import { silentLog } from '@skylarkmq/runtime'
import type { Clock, Random } from '@skylarkmq/runtime'
import type { Acknowledged } from './history.ts'
import { bodyOf, ConsumedOffsets, idOf, place } from './history.ts'

export const GROUP = 'hardship-consumers'
export const TOPICS = ['orders', 'payments', 'ordered', 'later'] as const
/** One in so many messages fails at its first delivery and comes back through the retry topic. */
const FAILING = 61
const ORDERED_LANES = ['red', 'green', 'blue']
const PAUSE_MS = 5
/** A sender whose broker is away asks again this soon. */
const AGAIN_MS = 20

export class Load {
  readonly acknowledged: Acknowledged[] = []
  readonly consumed = new Set<string>()
  readonly delivered = new Map<string, string>()
  readonly consumedOffsets = new Map<string, ConsumedOffsets>()
  /** Answers that said no, and attempts that ended without an answer, by what was said: for the report. */
  readonly refusals = new Map<string, number>()
  readonly #clock: Clock
  readonly #random: Random
  readonly #client: Client
  readonly #producer: Producer
  readonly #consumer: PushConsumer
  readonly #failedOnce = new Set<string>()
  readonly #writers: Promise<void>[] = []
  readonly #waiters: { readonly count: number; readonly wake: () => void }[] = []
  #isRunning = true
  #born = 0

  private constructor(client: Client, world: { readonly clock: Clock; readonly random: Random }) {
    this.#clock = world.clock
    this.#random = world.random
    this.#client = client
    this.#producer = client.producer({ group: 'hardship-producers', timeoutMs: 5000 })
    this.#consumer = client.pushConsumer({
      group: GROUP,
      subscriptions: Object.fromEntries(TOPICS.map((topic) => [topic, '*'])),
      consumeFrom: 'first',
      handler: (message) => this.#consume(message),
    })
  }

  static async start(namesrvAddr: string, world: { readonly clock: Clock; readonly random: Random }): Promise<Load> {
    const load = new Load(await createClient({ namesrvAddr, instanceName: 'hardship', log: silentLog }), world)
    await load.#consumer.start()
    for (let i = 0; i < 6; i++) load.#run((n) => load.#sendOne(TOPICS[n % 2] as string, `single${i}-${n}`))
    for (let i = 0; i < 2; i++) load.#run((n) => load.#sendBatch(`batch${i}-${n}`))
    for (const lane of ORDERED_LANES) load.#run((n) => load.#sendOrdered(lane, n))
    load.#run((n) => load.#sendOne('later', `delayed-${n}`, { delayLevel: 1 }))
    load.#run((n) => load.#sendOne('later', `scheduled-${n}`, { delayMs: 1 + ((n * 37) % 3000) }))
    return load
  }

  /** Resolves when so many further messages have been acknowledged. */
  acknowledges(further: number): Promise<void> {
    const count = this.acknowledged.length + further
    return new Promise((wake) => this.#waiters.push({ count, wake }))
  }

  /** A message to a topic that nobody has heard of, which its first send creates. Resolves when it is acknowledged. */
  async sendToNewTopic(): Promise<void> {
    const n = this.#born++
    await this.#sendOne(`born-${n}`, `newborn-${n}`)
  }

  get newTopics(): readonly string[] {
    return Array.from({ length: this.#born }, (_, n) => `born-${n}`)
  }

  /** No further messages; what is being sent is sent to its end. */
  async stopSending(): Promise<void> {
    this.#isRunning = false
    await Promise.all(this.#writers)
  }

  /** Acknowledged messages of subscribed topics that no handler has finished. */
  missing(): string[] {
    return this.acknowledged.filter(({ id, topic }) => isSubscribed(topic) && !this.consumed.has(id)).map(({ id }) => id)
  }

  offsetsOf(topic: string, queueId: number): ConsumedOffsets {
    const key = `${topic}-${queueId}`
    let offsets = this.consumedOffsets.get(key)
    if (offsets === undefined) this.consumedOffsets.set(key, (offsets = new ConsumedOffsets()))
    return offsets
  }

  async close(): Promise<void> {
    this.#isRunning = false
    await this.#client.close({ drainMs: 500 })
    await Promise.all(this.#writers)
  }

  #run(write: (n: number) => Promise<void>): void {
    const loop = async (): Promise<void> => {
      for (let n = 0; this.#isRunning; n++) {
        await write(n)
        await this.#clock.sleep(PAUSE_MS)
      }
    }
    this.#writers.push(loop())
  }

  /** Mostly small; some compress, and some are large enough for a write to be torn and a segment's end to be missed by much. */
  #bytes(): number {
    const die = this.#random.integer(200)
    if (die === 0) return 100_000 + this.#random.integer(300_000)
    if (die < 20) return 4096 + this.#random.integer(12_000)
    return 20 + this.#random.integer(1500)
  }

  async #sendOne(topic: string, id: string, further: Partial<Message> = {}): Promise<void> {
    const message = { topic, body: bodyOf(id, this.#bytes()), keys: id, ...further }
    const receipt = await this.#untilAcknowledged(() => this.#producer.send(message))
    if (receipt !== undefined) this.#note(id, topic, receipt, (further.delayLevel ?? further.delayMs) !== undefined)
  }

  async #sendOrdered(lane: string, n: number): Promise<void> {
    const id = `ordered-${lane}-${n}`
    const message = { topic: 'ordered', body: bodyOf(id, this.#bytes()), orderKey: lane }
    // Never given up while the broker may come back: the numbers of a lane have no gaps.
    const receipt = await this.#untilAcknowledged(() => this.#producer.send(message))
    if (receipt !== undefined) this.#note(id, 'ordered', receipt, false)
  }

  async #sendBatch(id: string): Promise<void> {
    const count = 1 + this.#random.integer(30)
    const ids = Array.from({ length: count }, (_, i) => `${id}-${i}`)
    const messages = ids.map((each) => ({ topic: 'orders', body: bodyOf(each, 20 + this.#random.integer(800)) }))
    try {
      const receipts = await this.#producer.sendAll(messages)
      receipts.forEach((receipt, i) => this.#note(ids[i] as string, 'orders', receipt, false))
    } catch (error) {
      if (!(error instanceof SendAllError)) throw error
      error.receipts.forEach((receipt, i) => receipt && this.#note(ids[i] as string, 'orders', receipt, false))
      await this.#clock.sleep(AGAIN_MS)
    }
  }

  async #untilAcknowledged(send: () => Promise<SendReceipt>): Promise<SendReceipt | undefined> {
    for (;;) {
      try {
        return await send()
      } catch (error) {
        if (!(error instanceof RocketError)) throw error
        const what = `${error.code} ${error.brokerCode ?? ''}`.trim()
        this.refusals.set(what, (this.refusals.get(what) ?? 0) + 1)
        if (!this.#isRunning || error.code === 'CLOSED') return undefined
        await this.#clock.sleep(AGAIN_MS)
      }
    }
  }

  #note(id: string, topic: string, receipt: SendReceipt, isDelayed: boolean): void {
    const { queue, queueOffset, offsetMessageId } = receipt
    const physicalOffset = parseOffsetMessageId(offsetMessageId)?.physicalOffset ?? Number.NaN
    this.acknowledged.push({ id, topic, queueId: queue.queueId, queueOffset, physicalOffset, isDelayed })
    while (this.#waiters[0] !== undefined && this.#waiters[0].count <= this.acknowledged.length) this.#waiters.shift()?.wake()
  }

  #consume(message: ConsumedMessage): void {
    const id = idOf(message.body)
    const { topic } = message.stored
    this.delivered.set(place({ topic, queueId: message.queueId, queueOffset: message.queueOffset }), id)
    this.offsetsOf(topic, message.queueId).add(message.queueOffset)
    const isUnlucky = !this.#failedOnce.has(id) && message.physicalOffset % FAILING === 0 && !topic.startsWith(RETRY_PREFIX)
    if (!isUnlucky) return void this.consumed.add(id)
    this.#failedOnce.add(id)
    message.retry({ delayLevel: 1 })
  }
}

export const isSubscribed = (topic: string): boolean => (TOPICS as readonly string[]).includes(topic)
