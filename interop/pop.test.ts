/**
 * POP without a client in between: the same requests to our broker and to Apache's, and equal outcomes. Times and handles differ; what
 * they are made of does not.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createRemotingClient } from '@skylarkmq/remoting'
import type { Answer, RemotingClient } from '@skylarkmq/remoting'
import * as c from '@skylarkmq/remoting/protocol'
import type { AnyCommand, RequestOf, StoredMessage } from '@skylarkmq/remoting/protocol'
import { nodeRuntime } from '@skylarkmq/runtime/node'
import { apacheCluster, ourCluster } from './src/clusters.ts'
import type { Cluster } from './src/clusters.ts'
import { createTopic, unique, withBroker } from './src/features.ts'
import { jars } from './src/toolchains.ts'

const runtime = nodeRuntime()

type PopHeader = RequestOf<typeof c.PopMessage>

/** Both brokers take it for the time of arrival. One of ours might be long ago when a cold broker comes to it: it would refuse the pop as late. */
const BORN_NOW = 0

/** One broker, asked with single requests. */
class Asker {
  readonly #client: RemotingClient
  readonly #address: string
  readonly topic: string
  readonly group = unique('g')

  constructor(client: RemotingClient, address: string, topic: string) {
    this.#client = client
    this.#address = address
    this.topic = topic
  }

  async ask<C extends AnyCommand>(command: C, header: RequestOf<C>, body?: Uint8Array): Promise<Answer<C>> {
    for (let i = 0; ; i++) {
      const answer = await this.#client.invoke(this.#address, command, header, { timeoutMs: 60_000, body })
      // A slow machine: nothing was done.
      if (answer.code !== c.ResponseCode.SYSTEM_BUSY || i >= 50) return answer
      await runtime.clock.sleep(100)
    }
  }

  async send(...bodies: string[]): Promise<void> {
    const fixed = { producerGroup: 'pg', defaultTopic: 'TBW102', defaultTopicQueueNums: 4, sysFlag: 0, flag: 0, queueId: 0 }
    for (const body of bodies) {
      const header = {
        ...fixed,
        topic: this.topic,
        bornTimestamp: runtime.clock.now(),
        properties: 'TAGS\u0001' + body.slice(0, 1) + '\u0002',
      }
      const answer = await this.ask(c.SendMessageV2, header, Buffer.from(body))
      expect(answer.code).toBe(0)
      await this.#seen(answer.header().queueOffset)
    }
  }

  /** Apache answers a send before its queue has the message. */
  async #seen(offset: number): Promise<void> {
    for (let i = 0; i < 300; i++) {
      const max = (await this.ask(c.GetMaxOffset, { topic: this.topic, queueId: 0 })).header().offset
      if (max > offset) return
      await runtime.clock.sleep(20)
    }
    throw new Error(`message ${offset} does not get into its queue`)
  }

  pop(more: Partial<PopHeader> = {}): Promise<Answer<typeof c.PopMessage>> {
    const fixed = { consumerGroup: this.group, topic: this.topic, queueId: 0, maxMsgNums: 32, invisibleTime: 60_000, pollTime: 0 }
    return this.ask(c.PopMessage, { ...fixed, bornTime: BORN_NOW, initMode: 0, ...more })
  }

  /** Waits for a message that becomes visible again: brokers take their time. */
  async popAgain(more: Partial<PopHeader> = {}): Promise<Answer<typeof c.PopMessage>> {
    for (let i = 0; i < 12; i++) {
      const answer = await this.pop({ pollTime: 5000, queueId: -1, ...more })
      if (answer.code === 0) return answer
    }
    throw new Error('the message did not become visible again')
  }

  ack({ extraInfo, offset, topic }: Handle) {
    const queueId = Number(extraInfo.split(' ')[6])
    return this.ask(c.AckMessage, { consumerGroup: this.group, topic, queueId, extraInfo, offset })
  }

  change({ extraInfo, offset, topic }: Handle, invisibleTime: number) {
    const queueId = Number(extraInfo.split(' ')[6])
    return this.ask(c.ChangeMessageInvisibletime, { consumerGroup: this.group, topic, queueId, extraInfo, offset, invisibleTime })
  }

  handles(answer: Answer<typeof c.PopMessage>): Handle[] {
    const header = answer.header()
    const starts = new Map(
      (header.startOffsetInfo ?? '').split(';').map((entry) => [entry.split(' ').slice(0, 2).join('@'), Number(entry.split(' ')[2])]),
    )
    return c.decodeRecords(answer.body).map((message) => {
      const { queueId, queueOffset: offset } = message
      const made = c.formatExtraInfo({
        startOffset: starts.get(`0@${queueId}`) ?? Number.NaN,
        popTime: header.popTime,
        invisibleTimeMs: header.invisibleTime,
        reviveQueueId: header.reviveQid,
        retryFlag: '0',
        brokerName: 'broker-a',
        queueId,
        queueOffset: offset,
      })
      const extraInfo = message.properties.get('POP_CK') ?? made
      const topic = c.realTopicOf(this.topic, this.group, extraInfo.split(' ')[4] as string) as string
      return { extraInfo, offset, topic, message }
    })
  }
}

interface Handle {
  readonly extraInfo: string
  readonly offset: number
  readonly topic: string
  readonly message: StoredMessage
}

const text = ({ body }: StoredMessage): string => Buffer.from(body).toString()
const keysOf = (answer: Answer<AnyCommand>): string[] => Object.keys(answer.ext ?? {}).sort()

/** What a pop answered, without times. */
function seen(answer: Answer<typeof c.PopMessage>) {
  const { ext = {}, code, remark } = answer
  const messages = c.decodeRecords(answer.body).map((message) => ({
    body: text(message),
    queueId: message.queueId,
    reconsumeTimes: message.reconsumeTimes,
    retryFlag: message.properties.get('POP_CK')?.split(' ')[4],
    hasFirstPopTime: message.properties.has('1ST_POP_TIME'),
    tag: message.properties.get('TAGS'),
  }))
  const { restNum, invisibleTime, startOffsetInfo, msgOffsetInfo, orderCountInfo } = ext
  return {
    code,
    remark,
    restNum,
    invisibleTime,
    startOffsetInfo,
    msgOffsetInfo,
    orderCountInfo,
    isInOrder: ext['reviveQid'] === '999',
    messages,
  }
}

type Story = (asker: Asker, note: (what: string, value: unknown) => void) => Promise<void>

const takeAndAcknowledge: Story = async (asker, note) => {
  const empty = await asker.pop()
  note('nothing there', {
    code: empty.code,
    hasHeader: keysOf(empty).filter((key) => /^(popTime|invisibleTime|reviveQid|restNum)$/.test(key)),
  })
  await asker.send('m0', 'm1', 'm2', 'm3', 'm4')
  const first = await asker.pop({ maxMsgNums: 3 })
  note('three of five', seen(first))
  const second = await asker.pop({ queueId: -1 })
  note('the rest of any queue', seen(second))
  note('no more', (await asker.pop()).code)
  const [m0, m1, m2] = asker.handles(first) as [Handle, Handle, Handle]
  const [m3, m4] = asker.handles(second) as [Handle, Handle]
  note('acknowledge', [(await asker.ack(m0)).code, (await asker.ack(m2)).code])
  note('acknowledge again', (await asker.ack(m0)).code)
  note('acknowledge what cannot be', [
    (await asker.ack({ ...m0, offset: 99 })).code,
    (await asker.ack({ ...m0, topic: unique('nowhere') })).code,
    (await asker.ack({ ...m0, extraInfo: m0.extraInfo.replace(/ 0 0$/, ' 77 0') })).code,
  ])
  const { popTime, invisibleTime, reviveQid } = second.header()
  const batch = {
    consumerGroup: asker.group,
    topic: asker.topic,
    retryFlag: '0',
    queueId: 0,
    popTime,
    startOffset: 3,
    reviveQueueId: reviveQid,
    invisibleTimeMs: invisibleTime,
    distances: [m3.offset - 3, m4.offset - 3],
  }
  note('acknowledge many', (await asker.ask(c.BatchAckMessage, {}, c.encodeBatchAck({ brokerName: 'broker-a', acks: [batch] }))).code)
  note('acknowledge none', (await asker.ask(c.BatchAckMessage, {}, c.encodeBatchAck({ brokerName: 'broker-a', acks: [] }))).code)
  const changed = await asker.change(m1, 2000)
  const parts = changed.header()
  note('invisible for longer', {
    code: changed.code,
    invisibleTime: parts.invisibleTime,
    isLater: parts.popTime > first.header().popTime,
    isSameReviveQueue: parts.reviveQid === first.header().reviveQid,
  })
  note('invisible where nothing is', (await asker.change({ ...m1, offset: 5 }, 2000)).code)
  const again = await asker.popAgain()
  note('visible again', seen(again))
  const [retried] = asker.handles(again) as [Handle]
  note('acknowledge the second attempt', (await asker.ack(retried)).code)
  note('all is done', (await asker.pop({ queueId: -1, pollTime: 3000 })).code)
}

const inOrder: Story = async (asker, note) => {
  const order = { order: true, invisibleTime: 30_000 }
  await asker.send('a', 'b', 'c')
  const first = await asker.pop({ ...order, maxMsgNums: 2, attemptId: 'one' })
  note('two in order', seen(first))
  note('blocked', (await asker.pop({ ...order, attemptId: 'two' })).code)
  note('the same attempt', seen(await asker.pop({ ...order, maxMsgNums: 2, attemptId: 'one' })))
  // The attempt made new handles.
  const latest = await asker.pop({ ...order, maxMsgNums: 2, attemptId: 'one' })
  const [a, b] = asker.handles(latest) as [Handle, Handle]
  note('acknowledge one', (await asker.ack(a)).code)
  note('still blocked', (await asker.pop(order)).code)
  note('acknowledge the other', (await asker.ack(b)).code)
  const third = await asker.pop(order)
  note('the next', seen(third))
  const [last] = asker.handles(third) as [Handle]
  const changed = await asker.change(last, 1500)
  note('visible sooner', { code: changed.code, isSamePopTime: changed.header().popTime === third.header().popTime })
  const again = await asker.popAgain({ ...order, queueId: 0 })
  note('again, and how often', seen(again))
  note('acknowledge it', (await asker.ack((asker.handles(again) as [Handle])[0])).code)
  note('all is done', (await asker.pop(order)).code)
}

const waitAndLook: Story = async (asker, note) => {
  const target = { consumerGroup: asker.group, topic: asker.topic, queueId: 0 }
  const bornTime = () => runtime.clock.now()
  await asker.send('x')
  await asker.ack((asker.handles(await asker.pop()) as [Handle])[0])
  const held = asker.pop({ pollTime: 20_000 })
  const waiting = async () => (await asker.ask(c.PollingInfo, target)).header().pollingNum
  for (let i = 0; i < 150 && (await waiting()) !== 1; i++) await runtime.clock.sleep(100)
  note('one waits', await waiting())
  await asker.send('later')
  note('woken', seen(await held))
  note('nobody waits', (await asker.ask(c.PollingInfo, target)).header().pollingNum)
  note('no notification', (await asker.ask(c.Notification, { ...target, pollTime: 0, bornTime: bornTime() })).header().hasMsg)
  const notified = asker.ask(c.Notification, { ...target, pollTime: 20_000, bornTime: bornTime() })
  await runtime.clock.sleep(1000)
  await asker.send('p0', 'p1')
  note('notified', (await notified).header().hasMsg)
  const peeked = await asker.ask(c.PeekMessage, { ...target, maxMsgNums: 1 })
  note('peek', {
    code: peeked.code,
    remark: peeked.remark,
    restNum: peeked.header().restNum,
    bodies: c.decodeRecords(peeked.body).map(text),
  })
  note('by tags', seen(await asker.pop({ exp: 'q', expType: 'TAG' })))
}

const refusals: Story = async (asker, note) => {
  await asker.send('x')
  const codes = async (...headers: Partial<PopHeader>[]) => {
    const found: number[] = []
    for (const header of headers) found.push((await asker.pop(header)).code)
    return found
  }
  note('pops', await codes({ maxMsgNums: 33 }, { topic: unique('nowhere') }, { queueId: 99 }, { bornTime: 1, pollTime: 10 }))
  note('a condition that is none', await codes({ exp: 'a >', expType: 'SQL92' }))
  const mode = (topic: string) =>
    asker.ask(c.SetMessageRequestMode, {}, c.encodeRequestMode({ topic, consumerGroup: asker.group, mode: 'POP', popShareQueueNum: 0 }))
  const assigned = async (more: object = {}) => {
    const asked = {
      topic: asker.topic,
      consumerGroup: asker.group,
      clientId: 'c1',
      strategyName: 'AVG',
      messageModel: 'CLUSTERING' as const,
      ...more,
    }
    const answer = await asker.ask(c.QueryAssignment, {}, c.encodeQueryAssignment(asked))
    const list = c.decodeAssignments(answer.body)
    return {
      code: answer.code,
      queues: list?.map(({ mode: how, messageQueue }) => `${how} ${messageQueue.brokerName} ${messageQueue.queueId}`).sort(),
    }
  }
  note('nobody is there', await assigned({ consumerGroup: unique('nobody') }))
  const subscription = c.buildSubscription(asker.topic, '*', 'TAG', 1n)
  const member = {
    groupName: asker.group,
    consumeType: 'CONSUME_PASSIVELY',
    messageModel: 'CLUSTERING',
    unitMode: false,
    consumeFromWhere: 'CONSUME_FROM_FIRST_OFFSET',
    subscriptionDataSet: [subscription],
  } as const
  const heartbeat = { clientID: 'c1', producerDataSet: [], consumerDataSet: [member], heartbeatFingerprint: 0, withoutSub: false }
  await asker.ask(c.HeartBeat, {}, c.encodeHeartbeat(heartbeat))
  note('pull', await assigned())
  note('modes', [(await mode(asker.topic)).code, (await mode(`%RETRY%${asker.group}`)).code, (await mode(unique('nowhere'))).code])
  note('pop', await assigned())
  note('all', await assigned({ messageModel: 'BROADCASTING' }))
}

const STORIES: Readonly<Record<string, Story>> = {
  'messages are taken, acknowledged, kept longer, and come back': takeAndAcknowledge,
  'messages are taken in order': inOrder,
  'who waits is woken; looking takes nothing': waitAndLook,
  'what is refused, and how queues are shared out': refusals,
}

async function outcome(cluster: Cluster, story: Story): Promise<Record<string, unknown>> {
  const topic = await createTopic(cluster)
  const noted: Record<string, unknown> = {}
  const client = createRemotingClient({ runtime })
  try {
    const address = await withBroker(cluster, topic, (_, found) => Promise.resolve(found))
    await story(new Asker(client, address, topic), (what, value) => (noted[what] = value))
  } finally {
    client.close()
  }
  return noted
}

const found = jars('5.5.0', 'servers')
const missing = 'missing' in found ? found.missing : undefined

describe.skipIf(missing !== undefined)(`POP on SkylarkMQ and on Apache RocketMQ 5.5.0${missing ? ` (skipped: ${missing})` : ''}`, () => {
  let ours: Cluster
  let apache: Cluster
  beforeAll(async () => {
    ;[ours, apache] = await Promise.all([
      ourCluster({ enablePropertyFilter: 'true' }),
      apacheCluster('5.5.0', { enablePropertyFilter: 'true' }),
    ])
  })
  afterAll(() => Promise.all([ours?.stop(), apache?.stop()]), 60_000)

  for (const [title, story] of Object.entries(STORIES)) {
    test(title, { concurrent: true, timeout: 180_000 }, async () => {
      const [mine, theirs] = await Promise.all([outcome(ours, story), outcome(apache, story)])
      expect(mine).toEqual(theirs)
    })
  }
})
