import { HALF_TOPIC, parseOffsetMessageId, SCHEDULE_TOPIC } from '@skylarkmq/remoting/protocol'
import { SendAllError } from '@skylarkmq/client'
import type { Client, ConsumedMessage, Message, Producer, PushConsumer, SendReceipt } from '@skylarkmq/client'
import type { SeededRandom, SimNode } from '@skylarkmq/runtime/sim'
import type { Cluster } from './cluster.ts'
import { TIMER_TOPIC } from './evidence.ts'
import { bodyOf, differenceFrom, hashOf, idIn, keysOf, tagsOf } from './payload.ts'
import type { Extra } from './workloads/extras.ts'

export const TOPICS = ['orders', 'payments'] as const
export const QUEUES = 3
export const GROUPS = ['ledger', 'ledger-in-order'] as const
/** After so many more attempts a message is a dead letter. */
export const MAX_RECONSUMES = 3
export type Group = (typeof GROUPS)[number]

export const isOrderly = (group: string): boolean => group === 'ledger-in-order'

/** Handlers never succeed at these: they end as dead letters. */
export const isPoison = (id: string): boolean => hashOf(`poison ${id}`) % 53 === 0

export interface WorkloadPlan {
  readonly producers: number
  readonly membersPerGroup: number
  /** Mean pause of a producer between two calls. */
  readonly pauseMs: number
  readonly hasAdmin: boolean
  /** What goes on beside. */
  readonly extras?: readonly Extra[]
}

/** What is sent. */
export interface What {
  readonly id: string
  readonly topic: string
  readonly orderKey?: string
  readonly keys?: string
  readonly delayLevel?: number
  readonly delayMs?: number
  readonly deliverAt?: number
  /** For a delay: when it is over by the sender's clock. */
  readonly dueMs?: number
  readonly outcome?: 'commit' | 'rollback'
  readonly isShortLived?: boolean
  readonly properties?: Readonly<Record<string, string>>
}

interface Member {
  readonly name: string
  readonly group: Group
  readonly consumer: PushConsumer
}

/** Producers, consumers and an administrator, each on a computer of its own. What they do depends on the seed alone. */
export class Workload {
  readonly #cluster: Cluster
  readonly #plan: WorkloadPlan
  readonly #random: SeededRandom
  readonly #members = new Map<string, Member>()
  readonly #producerNodes: string[] = []
  #born = 0
  #isOver = false
  #calls = 0

  constructor(cluster: Cluster, plan: WorkloadPlan, random: SeededRandom) {
    this.#cluster = cluster
    this.#plan = plan
    this.#random = random
  }

  get members(): ReadonlyMap<string, Member> {
    return this.#members
  }

  get clientNodes(): readonly string[] {
    return [...this.#producerNodes, ...this.#members.keys()]
  }

  /** No call of a producer or administrator is under way. */
  get isQuiet(): boolean {
    return this.#calls === 0
  }

  async start(): Promise<void> {
    const { world } = this.#cluster
    const admin = (await this.#cluster.client('admin')).admin()
    for (const topic of TOPICS) await world.until(admin.topics.update({ topic, queueNums: QUEUES }))
    for (const group of GROUPS) for (let i = 0; i < this.#plan.membersPerGroup; i++) await this.join(group)
    for (let i = 1; i <= this.#plan.producers; i++) await this.#addProducer(`producer-${i}`)
    if (this.#plan.hasAdmin) await this.#addAdmin()
  }

  /** A computer of its own for a part of the workload; faults meet it as well. */
  async clientOf(name: string): Promise<Client> {
    this.#producerNodes.push(name)
    return this.#cluster.client(name)
  }

  /** No further calls begin. */
  end(): void {
    this.#isOver = true
  }

  async join(group: Group): Promise<void> {
    const { history, world, plan } = this.#cluster
    const { plants } = plan
    const name = `consumer-${++this.#born}`
    const client = await this.#cluster.client(name)
    const node = world.node(name)
    const random = this.#random.fork(name)
    const consumer = client.pushConsumer({
      group,
      subscriptions: Object.fromEntries(TOPICS.map((topic) => [topic, '*'])),
      consumeFrom: 'first',
      orderly: isOrderly(group) && plants?.forgetsOrder !== true,
      ...(plants?.allocation === undefined ? {} : { allocation: plants.allocation }),
      maxReconsumeTimes: MAX_RECONSUMES,
      suspendMs: 200,
      concurrency: 4,
      handler: (message, { queue }) => this.#handle(message, queue.topic, { name, group, node, random }),
    })
    this.#members.set(name, { name, group, consumer })
    history.fault('client-started', name, `a member of ${group}`)
    this.#keepStarting(consumer, node, name)
  }

  /** As an application does whose consumer could not start. */
  #keepStarting(consumer: PushConsumer, node: SimNode, name: string): void {
    consumer.start().catch(async () => {
      await node.clock.sleep(1000)
      if (this.#members.has(name)) this.#keepStarting(consumer, node, name)
    })
  }

  /** kill -9. */
  killMember(name: string): void {
    this.#members.delete(name)
    this.#cluster.world.kill(name)
    this.#cluster.history.memberDied(name)
    this.#cluster.history.fault('client-killed', name)
  }

  async leave(name: string): Promise<void> {
    const member = this.#members.get(name)
    this.#members.delete(name)
    await this.#cluster.world.until(member?.consumer.close({ drainMs: 300 }) ?? Promise.resolve())
    this.#cluster.history.fault('client-killed', name, 'closed')
  }

  async #handle(message: ConsumedMessage, queueTopic: string, member: { name: string; group: Group; node: SimNode; random: SeededRandom }) {
    const { history, plan } = this.#cluster
    const { name, group, node, random } = member
    const body = plan.plants?.received === undefined ? message.body : plan.plants.received(message.body, message.queueOffset)
    if (body === undefined) return
    const id = idIn(body) ?? `unknown at ${message.offsetMessageId}`
    const difference = differenceFrom(id, body, message.tags, message.keys[0])
    if (difference !== undefined) history.altered({ id, member: name, what: difference })
    const { topic, brokerName, queueId, queueOffset } = message
    const finished = history.working({ group, brokerName, topic: queueTopic, queueId }, name, id)
    await node.clock.sleep(random.integer(60))
    finished()
    history.handle({ group, brokerName, topic: queueTopic, queueId, queueOffset }, id, name)
    if (isPoison(id) || random.chance(0.03)) throw new Error('by chance')
    history.consume({ id, group, member: name, topic, brokerName, queueTopic, queueId, queueOffset })
  }

  async #addProducer(name: string): Promise<void> {
    const client = await this.#cluster.client(name)
    this.#producerNodes.push(name)
    const producer = client.producer({ group: 'writers', retries: 1 })
    void new ProducerLoop(this, this.#cluster, producer, name, this.#random.fork(name)).run(this.#plan.pauseMs)
  }

  get isOver(): boolean {
    return this.#isOver
  }

  /** Counts the call while it runs, and says how it ended. */
  async call<T>(task: () => Promise<T>): Promise<T> {
    this.#calls++
    try {
      return await task()
    } finally {
      this.#calls--
    }
  }

  async #addAdmin(): Promise<void> {
    const client = await this.#cluster.client('operator')
    void this.#administrate(client, this.#cluster.world.node('operator'), this.#random.fork('operator'))
  }

  /** Topics come, get messages, and go; some come again under their old name. */
  async #administrate(client: Client, node: SimNode, random: SeededRandom): Promise<void> {
    const { history } = this.#cluster
    const admin = client.admin()
    const producer = client.producer({ group: 'operators', retries: 1 })
    for (let round = 0; !this.#isOver; round++) {
      const topic = `short-lived-${random.integer(3)}`
      await node.clock.sleep(random.integer(6000))
      if (this.#isOver) return
      const isMade = await this.call(() => admin.topics.update({ topic, queueNums: 2 })).then(
        () => true,
        () => false,
      )
      for (let i = 0; isMade && i < 6; i++) {
        await this.send(producer, { id: `operator-${round}-${i}`, topic, isShortLived: true }).catch(() => undefined)
      }
      await node.clock.sleep(random.integer(4000))
      if (this.#isOver || random.chance(0.4)) continue
      const beganMs = history.nowMs
      try {
        const targets = await this.call(() => admin.topics.delete(topic))
        history.deleted(topic, beganMs, [...new Set(targets.map(({ brokerName }) => brokerName))])
      } catch (error) {
        history.deleted(topic, beganMs, [], textOf(error))
      }
    }
  }

  async send(producer: Producer, what: What): Promise<SendReceipt | undefined> {
    const { history } = this.#cluster
    this.announce(what)
    try {
      const receipt = await this.call(() => producer.send(messageOf(what)))
      this.received(what.id, receipt)
      return receipt
    } catch (error) {
      history.failed(what.id, textOf(error))
      return undefined
    }
  }

  announce(what: What): void {
    const isTimed = what.deliverAt !== undefined || what.delayMs !== undefined
    this.#cluster.history.sending({
      id: what.id,
      topic: what.topic,
      orderKey: what.orderKey,
      tags: tagsOf(what.id),
      waitsIn: isTimed ? TIMER_TOPIC : what.outcome !== undefined ? HALF_TOPIC : what.delayLevel !== undefined ? SCHEDULE_TOPIC : undefined,
      dueMs: what.deliverAt ?? what.dueMs,
      isDelay: what.delayMs !== undefined,
      outcome: what.outcome,
      isShortLived: what.isShortLived ?? false,
    })
  }

  received(id: string, receipt: SendReceipt): void {
    const { brokerName, queueId } = receipt.queue
    const position = parseOffsetMessageId(receipt.offsetMessageId)?.physicalOffset ?? 0
    if (receipt.status === 'OK') this.#cluster.history.acknowledged(id, { brokerName, queueId, queueOffset: receipt.queueOffset, position })
    else this.#cluster.history.failed(id, receipt.status)
  }
}

class ProducerLoop {
  readonly #workload: Workload
  readonly #cluster: Cluster
  readonly #producer: Producer
  readonly #name: string
  readonly #random: SeededRandom
  #count = 0

  constructor(workload: Workload, cluster: Cluster, producer: Producer, name: string, random: SeededRandom) {
    this.#workload = workload
    this.#cluster = cluster
    this.#producer = producer
    this.#name = name
    this.#random = random
  }

  async run(pauseMs: number): Promise<void> {
    const { clock } = this.#cluster.world.node(this.#name)
    const random = this.#random
    while (!this.#workload.isOver) {
      await clock.sleep(random.integer(2 * pauseMs))
      if (this.#workload.isOver) return
      const topic = random.pick(TOPICS)
      const kind = random.integer(10)
      if (kind < 5) await this.#workload.send(this.#producer, { id: this.#nextId(), topic })
      else if (kind < 7) await this.#batch(topic)
      else if (kind < 9) await this.#workload.send(this.#producer, { id: this.#nextId(), topic, orderKey: `key-${random.integer(3)}` })
      else await this.#workload.send(this.#producer, { id: this.#nextId(), topic, delayLevel: 1 + random.integer(5) })
    }
  }

  #nextId(): string {
    return `${this.#name}-${this.#count++}`
  }

  async #batch(topic: string): Promise<void> {
    const { history } = this.#cluster
    const all = Array.from({ length: 2 + this.#random.integer(8) }, () => ({ id: this.#nextId(), topic }))
    for (const what of all) this.#workload.announce(what)
    const note = (receipts: readonly (SendReceipt | undefined)[], error: string): void => {
      all.forEach(({ id }, i) => {
        const receipt = receipts[i]
        if (receipt === undefined) history.failed(id, error)
        else this.#workload.received(id, receipt)
      })
    }
    try {
      note(await this.#workload.call(() => this.#producer.sendAll(all.map(messageOf))), '')
    } catch (error) {
      note(error instanceof SendAllError ? error.receipts : [], textOf(error))
    }
  }
}

export const messageOf = (what: What): Message => ({
  topic: what.topic,
  body: bodyOf(what.id),
  tags: tagsOf(what.id),
  keys: what.keys ?? keysOf(what.id),
  orderKey: what.orderKey,
  delayLevel: what.delayLevel,
  delayMs: what.delayMs,
  deliverAt: what.deliverAt,
  ...(what.properties === undefined ? {} : { properties: what.properties }),
})

export const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error)).split('\n')[0] as string
