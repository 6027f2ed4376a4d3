/** Messages that consumers hold move with the store folder from Apache's broker to ours. */
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { createClient } from '@skylarkmq/client'
import type { Client } from '@skylarkmq/client'
import { AckMessage, ChangeMessageInvisibletime, decodeRecords, formatExtraInfo, PopMessage } from '@skylarkmq/remoting/protocol'
import { expect, test, vi } from 'vitest'
import { apacheCluster, ourCluster } from './src/clusters.ts'
import { jars, scratch } from './src/toolchains.ts'

const found = jars('5.5.0', 'servers')
const PATIENCE = { timeout: 120_000, interval: 100 }
const [topic, consumerGroup] = ['parcels', 'postmen']

interface Held {
  readonly text: string
  readonly header: { consumerGroup: string; topic: string; queueId: number; offset: number; extraInfo: string }
}

/** All that can be popped now, with handles. */
async function pop(client: Client, count: number, invisibleTime: number): Promise<Held[]> {
  const held: Held[] = []
  await vi.waitFor(async () => {
    const header = { consumerGroup, topic, queueId: 0, maxMsgNums: 32, invisibleTime, pollTime: 0, bornTime: 0, initMode: 0 }
    const answer = await client.core.invoke('broker-a', PopMessage, header)
    if (answer.code === 0) {
      const { popTime, reviveQid, startOffsetInfo } = answer.header()
      const startOffset = Number(startOffsetInfo?.split(' ')[2])
      for (const { queueId, queueOffset: offset, body } of decodeRecords(answer.body)) {
        const info = {
          startOffset,
          popTime,
          invisibleTimeMs: invisibleTime,
          reviveQueueId: reviveQid,
          retryFlag: '0',
          brokerName: 'broker-a',
          queueId,
        }
        const extraInfo = formatExtraInfo({ ...info, queueOffset: offset })
        held.push({ text: Buffer.from(body).toString(), header: { consumerGroup, topic, queueId, offset, extraInfo } })
      }
    }
    expect(held.length).toBe(count)
  }, PATIENCE)
  return held
}

test.skipIf('missing' in found)(
  'what was popped and acknowledged there does not come again; what was popped only comes here, when its time is up',
  async () => {
    const folder = scratch('pop-move')
    const store = { storePathRootDir: folder, storePathCommitLog: join(folder, 'commitlog') }
    let soon: Held[] = []
    let later: Held[] = []
    // Apache's broker is killed: what it has not saved it would not know itself.
    const isSaved = (offset: number) =>
      vi.waitFor(() => {
        const saved = readFileSync(join(folder, 'config/consumerOffset.json'), 'utf8').replaceAll(/\s/g, '')
        expect(saved).toContain(`"${topic}@${consumerGroup}":{0:${offset}`)
      }, PATIENCE)
    const apache = await apacheCluster('5.5.0', { ...store, brokerName: 'broker-a' })
    try {
      await using client = await createClient({ namesrvAddr: apache.namesrv })
      await client.admin().topics.update({ topic, queueNums: 1 }, { cluster: 'DefaultCluster' })
      const producer = client.producer({ group: 'p', timeoutMs: 10_000 })
      const send = async (...bodies: string[]) => {
        for (const body of bodies) await producer.send({ topic, body })
      }
      const ack = async ({ header }: Held) => expect((await client.core.invoke('broker-a', AckMessage, header)).code).toBe(0)
      await send('a0', 'a1', 'a2')
      soon = await pop(client, 3, 20_000)
      await ack(soon[0] as Held)
      await isSaved(3)
      await send('b0', 'b1', 'b2', 'b3')
      later = await pop(client, 4, 45_000)
      await ack(later[1] as Held)
      const { header } = later[3] as Held
      expect((await client.core.invoke('broker-a', ChangeMessageInvisibletime, { ...header, invisibleTime: 35_000 })).code).toBe(0)
      await send('c0')
      await isSaved(7)
    } finally {
      await apache.stop()
    }
    const ours = await ourCluster({ ...store, brokerName: 'broker-a' })
    try {
      await using client = await createClient({ namesrvAddr: ours.namesrv })
      await client.core.route(topic)
      // A consumer that went on working while its broker was replaced.
      expect((await client.core.invoke('broker-a', AckMessage, (later[2] as Held).header)).code).toBe(0)
      const seen: string[] = []
      const consumer = client.pushConsumer({
        group: consumerGroup,
        subscriptions: { [topic]: '*' },
        consumeFrom: 'first',
        delivery: 'pop',
        handler: ({ text, reconsumeTimes }) => void seen.push(`${text} ${reconsumeTimes}`),
      })
      await consumer.start()
      // On a slow machine Apache's broker has begun to deliver again what ours delivers again: at least once is the promise.
      const kinds = () => [...new Set(seen.map((each) => each.slice(0, 2)))].sort()
      await vi.waitFor(() => expect(kinds()).toEqual(['a1', 'a2', 'b0', 'b3', 'c0']), PATIENCE)
      await producer(client)
      await vi.waitFor(() => expect(seen).toContain('end 0'), PATIENCE)
      expect(kinds()).toEqual(['a1', 'a2', 'b0', 'b3', 'c0', 'en'])
    } finally {
      await ours.stop()
      rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
    }
  },
  300_000,
)

const producer = (client: Client) => client.producer({ group: 'p', timeoutMs: 10_000 }).send({ topic, body: 'end' })
