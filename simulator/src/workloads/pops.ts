import { createRemotingClient, expectSuccess } from '@skylarkmq/remoting'
import type { RemotingClient } from '@skylarkmq/remoting'
import {
  AckMessage,
  ChangeMessageInvisibletime,
  decodeRecords,
  formatExtraInfo,
  parseExtraInfo,
  parseStartOffsets,
  popRetryTopicV1,
  popRetryTopicV2,
  PopMessage,
  retryFlagOf,
} from '@skylarkmq/remoting/protocol'
import type { SeededRandom, SimNode } from '@skylarkmq/runtime/sim'
import { BROKER_PORT } from '../cluster.ts'
import type { Cluster } from '../cluster.ts'
import type { Pop } from '../history.ts'
import { JOBS, POPPERS } from '../evidence.ts'
import { idIn } from '../payload.ts'
import { textOf } from '../workload.ts'
import type { ExtraParts } from './index.ts'

const POPPER_COUNT = 2
const PAUSE_MS = 500

/** A message in the hands of somebody, and what its broker knows it by. */
interface Taken {
  readonly pop: Pop
  readonly topic: string
  readonly queueId: number
  readonly offset: number
  handle: string
}

/** Jobs that whoever comes takes for a time: done, given back, kept longer, or forgotten. */
export async function startPops({ workload, cluster, random }: ExtraParts): Promise<void> {
  const name = 'foreman'
  const client = await workload.clientOf(name)
  await cluster.world.until(client.admin().topics.update({ topic: JOBS, queueNums: 2 }))
  await cluster.world.until(client.admin().groups.update({ groupName: POPPERS, retryMaxTimes: 100 }))
  // A copy of its own for each message: who has it, has it alone.
  const producer = client.producer({ group: 'foremen', retries: 0 })
  const { clock } = cluster.world.node(name)
  const run = async (): Promise<void> => {
    for (let count = 0; ; count++) {
      await clock.sleep(random.integer(2 * PAUSE_MS))
      if (workload.isOver) return
      await workload.send(producer, { id: `job-${count}`, topic: JOBS })
    }
  }
  void run()
  for (let i = 1; i <= POPPER_COUNT; i++) {
    const popper = `popper-${i}`
    await workload.clientOf(popper)
    void new Popper(cluster, cluster.world.node(popper), random.fork(popper)).run()
  }
}

class Popper {
  readonly #cluster: Cluster
  readonly #node: SimNode
  readonly #random: SeededRandom
  readonly #remoting: RemotingClient

  constructor(cluster: Cluster, node: SimNode, random: SeededRandom) {
    this.#cluster = cluster
    this.#node = node
    this.#random = random
    this.#remoting = createRemotingClient({ runtime: node, handlers: [] })
  }

  async run(): Promise<void> {
    for (;;) {
      await this.#node.clock.sleep(this.#random.integer(400))
      const brokerName = this.#random.pick([...this.#cluster.brokers.keys()])
      try {
        for (const taken of await this.#pop(brokerName)) void this.#work(brokerName, taken)
      } catch {
        await this.#node.clock.sleep(500)
      }
    }
  }

  #addressOf(brokerName: string): string {
    return `${this.#cluster.world.hostOf(brokerName)}:${BROKER_PORT}`
  }

  async #pop(brokerName: string): Promise<Taken[]> {
    const { history } = this.#cluster
    const askedMs = history.nowMs
    const invisibleTime = this.#random.pick([2000, 5000, 12_000])
    const answer = await this.#remoting.invoke(
      this.#addressOf(brokerName),
      PopMessage,
      {
        consumerGroup: POPPERS,
        topic: JOBS,
        queueId: -1,
        maxMsgNums: 1 + this.#random.integer(4),
        invisibleTime,
        pollTime: this.#random.pick([0, 2000]),
        initMode: 0,
      },
      { timeoutMs: 5000 },
    )
    if (answer.code !== 0) return []
    const header = answer.header()
    const starts = parseStartOffsets(header.startOffsetInfo)
    return decodeRecords(answer.body).map((stored) => {
      const retryFlag = retryFlagOf(stored.topic)
      const made = formatExtraInfo({
        startOffset: starts.get(`${retryFlag}@${stored.queueId}`) ?? stored.queueOffset,
        popTime: header.popTime,
        invisibleTimeMs: header.invisibleTime,
        reviveQueueId: header.reviveQid,
        retryFlag,
        brokerName,
        queueId: stored.queueId,
        queueOffset: stored.queueOffset,
      })
      const id = idIn(stored.body) ?? 'unknown'
      const place = `${stored.topic} ${stored.queueId} ${stored.queueOffset}`
      const pop = history.popped({
        place,
        id,
        member: this.#node.name,
        brokerName,
        askedMs,
        holdsUntilMs: askedMs + header.invisibleTime,
      })
      return {
        pop,
        topic: stored.topic,
        queueId: stored.queueId,
        offset: stored.queueOffset,
        handle: stored.properties.get('POP_CK') ?? made,
      }
    })
  }

  async #work(brokerName: string, taken: Taken): Promise<void> {
    const { clock } = this.#node
    const kind = this.#random.integer(10)
    try {
      await clock.sleep(this.#random.integer(1500))
      if (kind < 6) await this.#acknowledge(brokerName, taken)
      else if (kind < 8) {
        await this.#change(brokerName, taken, 4000 + this.#random.integer(4000))
        await clock.sleep(this.#random.integer(3000))
        await this.#acknowledge(brokerName, taken)
      } else if (kind < 9) await this.#change(brokerName, taken, 500)
    } catch (error) {
      this.#cluster.history.note(`${taken.pop.id} stays as it is: ${textOf(error)}`, [taken.pop.id])
    }
  }

  async #acknowledge(brokerName: string, taken: Taken): Promise<void> {
    const { topic, queueId, offset, handle, pop } = taken
    const header = { consumerGroup: POPPERS, topic: topicOf(topic, handle), queueId, extraInfo: handle, offset }
    this.#cluster.history.doneUnsaid.add(pop.id)
    if (this.#cluster.plan.plants?.forgetsAcks !== true)
      expectSuccess(await this.#remoting.invoke(this.#addressOf(brokerName), AckMessage, header, { timeoutMs: 3000 }))
    this.#cluster.history.popAcknowledged(pop)
  }

  async #change(brokerName: string, taken: Taken, invisibleTime: number): Promise<void> {
    const { topic, queueId, offset, handle, pop } = taken
    const { history } = this.#cluster
    const header = { consumerGroup: POPPERS, topic: topicOf(topic, handle), queueId, extraInfo: handle, offset, invisibleTime }
    const askedMs = history.nowMs
    const before = pop.holdsUntilMs
    // Whether it is carried out or not is not known before the answer, and perhaps never.
    pop.holdsUntilMs = Math.min(before, askedMs + invisibleTime)
    const answer = await this.#remoting.invoke(this.#addressOf(brokerName), ChangeMessageInvisibletime, header, { timeoutMs: 3000 })
    if (answer.code !== 0) {
      history.note(`${pop.id} is not kept for ${invisibleTime} ms: ${answer.remark ?? answer.code}`, [pop.id])
      return
    }
    pop.holdsUntilMs = askedMs + invisibleTime
    history.note(`${pop.id} is kept for ${invisibleTime} ms more`, [pop.id])
    const made = answer.header()
    const old = parseExtraInfo(handle)
    if (old === undefined) return
    taken.handle = formatExtraInfo({ ...old, popTime: made.popTime, invisibleTimeMs: made.invisibleTime, reviveQueueId: made.reviveQid })
  }
}

/** The topic that a handle's message lies in. */
function topicOf(topic: string, handle: string): string {
  const flag = parseExtraInfo(handle)?.retryFlag
  if (flag === '1') return popRetryTopicV1(POPPERS, JOBS)
  return flag === '2' ? popRetryTopicV2(POPPERS, JOBS) : topic
}
