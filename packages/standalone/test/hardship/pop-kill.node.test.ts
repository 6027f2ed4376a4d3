import { createRemotingClient } from '@skylarkmq/remoting'
import type { RemotingClient } from '@skylarkmq/remoting'
import {
  AckMessage,
  GetMaxOffset,
  PopMessage,
  QueryConsumerOffset,
  SendMessageV2,
  decodeRecords,
  formatExtraInfo,
  parseExtraInfo,
  popRetryTopicV1,
} from '@skylarkmq/remoting/protocol'
import { silentLog } from '@skylarkmq/runtime'
import { nodeRuntime } from '@skylarkmq/runtime/node'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { freePort } from '../../../../scripts/free-ports.ts'
import { Home } from './processes.node.ts'

const runtime = nodeRuntime({ log: silentLog })
const MESSAGES = 120
const DEATHS = 3
const INVISIBLE_MS = 2500
const TIMEOUT = { timeoutMs: 30_000 }

let home: Home
beforeEach(() => {
  home = new Home()
})
afterEach(() => home.dispose())

/** Consumers of one group that pop and acknowledge with bare requests, and what they know. */
class Consumers {
  readonly acknowledged = new Set<string>()
  /** Asked for, and the answer was never read or came too late: the broker may have noted it before it died, or not. */
  readonly unanswered = new Set<string>()
  readonly delivered = new Set<string>()
  readonly wrong: string[] = []
  client: RemotingClient = createRemotingClient({ runtime })
  readonly #address: string

  constructor(address: string) {
    this.#address = address
  }

  /** One that takes what it gets until the broker dies. Some messages it forgets. */
  async work(forgets: (body: string) => boolean): Promise<void> {
    try {
      for (;;) await this.#round(forgets)
    } catch {
      // The broker is gone.
    }
  }

  /** Until nothing is left for the group, by the broker's word. */
  async drain(): Promise<void> {
    for (let i = 0; i < 60 && (await this.left()) > 0; i++) await this.#round(() => false)
  }

  /** Messages that the group is not through with; what was moved to the retry topic counts twice until the disk has it there. */
  async left(): Promise<number> {
    let left = 0
    for (const topic of ['orders', popRetryTopicV1('cg', 'orders')]) {
      for (let queueId = 0; queueId < (topic === 'orders' ? 4 : 1); queueId++) {
        const end = await this.client.invoke(this.#address, GetMaxOffset, { topic, queueId }, TIMEOUT)
        const committed = await this.client.invoke(this.#address, QueryConsumerOffset, { consumerGroup: 'cg', topic, queueId }, TIMEOUT)
        left += end.header().offset - (committed.code === 0 ? committed.header().offset : 0)
      }
    }
    return left
  }

  async #round(forgets: (body: string) => boolean): Promise<void> {
    const known = new Set(this.acknowledged)
    const fixed = { consumerGroup: 'cg', topic: 'orders', queueId: -1, maxMsgNums: 5, initMode: 0, pollTime: 1000 }
    const askedAt = runtime.clock.monotonic()
    const answer = await this.client.invoke(this.#address, PopMessage, { ...fixed, invisibleTime: INVISIBLE_MS }, TIMEOUT)
    if (answer.code !== 0) return
    const { popTime, reviveQid } = answer.header()
    for (const { body, topic, queueId, queueOffset, properties } of decodeRecords(answer.body)) {
      const text = Buffer.from(body).toString()
      this.delivered.add(text)
      if (known.has(text)) this.wrong.push(text)
      if (forgets(text)) continue
      const handle = { startOffset: queueOffset, popTime, invisibleTimeMs: INVISIBLE_MS, reviveQueueId: reviveQid }
      const extraInfo =
        properties.get('POP_CK') ?? formatExtraInfo({ ...handle, retryFlag: '0', brokerName: 'broker-a', queueId, queueOffset })
      const real = parseExtraInfo(extraInfo)?.retryFlag === '1' ? popRetryTopicV1('cg', topic) : topic
      const header = { consumerGroup: 'cg', topic: real, queueId, extraInfo, offset: queueOffset }
      this.unanswered.add(text)
      const acked = await this.client.invoke(this.#address, AckMessage, header, TIMEOUT)
      // Later than that the message was not theirs any more.
      if (runtime.clock.monotonic() - askedAt >= INVISIBLE_MS) continue
      this.unanswered.delete(text)
      if (acked.code === 0) this.acknowledged.add(text)
    }
  }
}

test('a broker that is killed while a group pops loses no message, and brings none after its acknowledgement', {
  timeout: 180_000,
}, async () => {
  const port = await freePort()
  const conf = home.brokerConf(port, '')
  const address = `127.0.0.1:${port}`
  let broker = home.start('mqbroker', ['-c', conf])
  await broker.up()
  const consumers = new Consumers(address)
  try {
    for (let i = 0; i < MESSAGES; i++) {
      const fixed = { producerGroup: 'pg', topic: 'orders', defaultTopic: 'TBW102', defaultTopicQueueNums: 4, sysFlag: 0, flag: 0 }
      const header = { ...fixed, queueId: i % 4, bornTimestamp: runtime.clock.now(), properties: '' }
      const answer = await consumers.client.invoke(address, SendMessageV2, header, { ...TIMEOUT, body: Buffer.from(`m${i}`) })
      expect(answer.code).toBe(0)
    }
    for (let death = 1; death <= DEATHS; death++) {
      const working = [0, 1].map((one) => consumers.work((body) => (Number(body.slice(1)) + one + death) % 3 === 0))
      await runtime.clock.sleep(40 * death)
      await broker.end('SIGKILL')
      await Promise.all(working)
      broker = home.start('mqbroker', ['-c', conf])
      await broker.up()
    }
    await consumers.drain()
    expect(await consumers.left()).toBe(0)
  } finally {
    consumers.client.close()
  }
  expect(consumers.wrong).toEqual([])
  expect(consumers.delivered.size).toBe(MESSAGES)
  const lost = [...consumers.delivered].filter((text) => !consumers.acknowledged.has(text) && !consumers.unanswered.has(text))
  expect(lost).toEqual([])
})
