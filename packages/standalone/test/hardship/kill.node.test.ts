import { createRemotingClient, expectSuccess } from '@skylarkmq/remoting'
import type { RemotingClient } from '@skylarkmq/remoting'
import {
  decodeRecords,
  decompressBody,
  GetMaxOffset,
  GetMinOffset,
  GetTopicConfig,
  PULL_FLAG,
  PullMessage,
  QueryConsumerOffset,
  ResponseCode,
  retryTopic,
  SYS_FLAG,
  UpdateAndCreateTopic,
} from '@skylarkmq/remoting/protocol'
import { silentLog } from '@skylarkmq/runtime'
import { nodeRuntime } from '@skylarkmq/runtime/node'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { Found, QueueRange } from './history.ts'
import { brokenPromises, idOf, skipped } from './history.ts'
import { GROUP, isSubscribed, Load, TOPICS } from './load.node.ts'
import { freePort } from '../../../../scripts/free-ports.ts'
import { Home } from './processes.node.ts'
import type { Server } from './processes.node.ts'

/** As the requirement has it; `npm run kill-test -- --cycles 1000` does more, and says how far it is. */
const CYCLES = Number(process.env['KILL_CYCLES'] ?? 50)
const SYNC_CYCLES = Math.ceil(CYCLES / 10)
/** Every so many cycles the broker is killed again while it starts. */
const KILLED_AT_START_EVERY = 5
const QUEUES = 4
const PROGRESS_EVERY = 50
const SEGMENT_BYTES = 4 * 1024 * 1024
/** Delayed and retried messages come a second after the last kill; whoever is not there after so long is lost. */
const DRAIN_MS = 120_000
const runtime = nodeRuntime({ log: silentLog })
const { clock, random } = runtime
const timeoutMs = 60_000

let home: Home
let asker: RemotingClient
beforeEach(() => {
  home = new Home()
  asker = createRemotingClient({ runtime, connectTimeoutMs: timeoutMs })
})
afterEach(async () => {
  asker.close()
  await home.dispose()
})

class Scene {
  readonly address: string
  readonly startMs: number[] = []
  readonly #conf: string
  broker: Server

  constructor(port: number, conf: string) {
    this.address = `127.0.0.1:${port}`
    this.#conf = conf
    this.broker = home.start('mqbroker', ['-c', conf])
  }

  async kill(): Promise<void> {
    const { signal } = await this.broker.end('SIGKILL')
    // Anything else would mean that it had ended by itself before.
    expect(signal, this.broker.stderr).toBe('SIGKILL')
  }

  async restart(): Promise<void> {
    const startedMs = clock.monotonic()
    this.begin()
    await this.broker.up()
    this.startMs.push(clock.monotonic() - startedMs)
  }

  begin(): void {
    this.broker = home.start('mqbroker', ['-c', this.#conf])
  }
}

async function startScene(flushDiskType: string): Promise<{ scene: Scene; load: Load }> {
  const [namesrvPort, port] = [await freePort(), await freePort()]
  const namesrvAddr = `127.0.0.1:${namesrvPort}`
  await home.start('mqnamesrv', ['-c', home.namesrvConf(namesrvPort)]).up()
  const settings = { flushDiskType, mappedFileSizeCommitLog: SEGMENT_BYTES, flushConsumerOffsetInterval: 200 }
  const scene = new Scene(port, home.brokerConf(port, namesrvAddr, { ...settings, maxTransferCountOnMessageInMemory: 512 }))
  await scene.broker.up()
  for (const topic of TOPICS) {
    const header = {
      topic,
      defaultTopic: 'TBW102',
      readQueueNums: QUEUES,
      writeQueueNums: QUEUES,
      perm: 6,
      topicFilterType: 'SINGLE_TAG',
      order: false,
    }
    expectSuccess(await asker.invoke(scene.address, UpdateAndCreateTopic, header, { timeoutMs }))
  }
  return { scene, load: await Load.start(namesrvAddr, { clock, random }) }
}

/** One life of the broker: it works for a while, then it is gone from one instruction to the next. */
async function liveAndDie(scene: Scene, load: Load, cycle: number): Promise<void> {
  await load.acknowledges(20 + random.integer(600))
  if (cycle % 2 === 0) await load.sendToNewTopic()
  await scene.kill()
  if (cycle % KILLED_AT_START_EVERY === 0) {
    scene.begin()
    await clock.sleep(random.integer(300))
    await scene.kill()
  }
  await scene.restart()
}

async function queuesOf(address: string, topic: string): Promise<QueueRange[]> {
  const config = await asker.invoke(address, GetTopicConfig, { topic }, { timeoutMs })
  // A retry topic is made by its first message.
  if (config.code === ResponseCode.TOPIC_NOT_EXIST) return []
  const { readQueueNums } = JSON.parse(expectSuccess(config).body.toString()) as { readQueueNums: number }
  return await Promise.all(
    Array.from({ length: readQueueNums }, async (_, queueId) => ({
      topic,
      queueId,
      minOffset: expectSuccess(await asker.invoke(address, GetMinOffset, { topic, queueId }, { timeoutMs })).header().offset,
      maxOffset: expectSuccess(await asker.invoke(address, GetMaxOffset, { topic, queueId }, { timeoutMs })).header().offset,
    })),
  )
}

async function readQueue(address: string, { topic, queueId, minOffset, maxOffset }: QueueRange): Promise<Found[]> {
  const found: Found[] = []
  for (let queueOffset = minOffset; queueOffset < maxOffset; ) {
    const pull = { consumerGroup: 'auditors', topic, queueId, queueOffset, maxMsgNums: 512, sysFlag: PULL_FLAG.SUBSCRIPTION }
    const header = { ...pull, commitOffset: 0, suspendTimeoutMillis: 0, subVersion: 0n, subscription: '*' }
    const answer = expectSuccess(await asker.invoke(address, PullMessage, header, { timeoutMs }))
    for (const stored of decodeRecords(answer.body)) {
      const body = (stored.sysFlag & SYS_FLAG.COMPRESSED) === 0 ? stored.body : decompressBody(stored.body, stored.sysFlag)
      const { physicalOffset, storeTimestamp, preparedTransactionOffset: origin } = stored
      // A retry topic may still grow: what came after its range was asked for is not judged.
      if (stored.queueOffset >= maxOffset) continue
      found.push({
        id: idOf(body),
        topic,
        queueId: stored.queueId,
        queueOffset: stored.queueOffset,
        physicalOffset,
        storeTimestamp,
        origin,
        body,
      })
    }
    const { nextBeginOffset } = answer.header()
    expect(nextBeginOffset).toBeGreaterThan(queueOffset)
    queueOffset = nextBeginOffset
  }
  return found
}

/** What the group has committed, against what its handlers have had. */
async function skippedBy(scene: Scene, load: Load): Promise<string[]> {
  const wrong: string[] = []
  for (const topic of [...TOPICS, retryTopic(GROUP)]) {
    for (const { queueId } of await queuesOf(scene.address, topic)) {
      const header = { consumerGroup: GROUP, topic, queueId, setZeroIfNotFound: false }
      const answer = await asker.invoke(scene.address, QueryConsumerOffset, header, { timeoutMs })
      if (answer.code === ResponseCode.QUERY_NOT_FOUND) continue
      const { offset } = expectSuccess(answer).header()
      wrong.push(...skipped(GROUP, `${topic}-${queueId}`, offset, load.offsetsOf(topic, queueId)))
    }
  }
  return wrong
}

async function audit(scene: Scene, load: Load, cycles: number): Promise<void> {
  const delivered = new Map(load.delivered)
  const queues: QueueRange[] = []
  for (const topic of [...TOPICS, retryTopic(GROUP), ...load.newTopics]) queues.push(...(await queuesOf(scene.address, topic)))
  const found: Found[] = []
  for (const queue of queues) found.push(...(await readQueue(scene.address, queue)))
  const { acknowledged } = load
  const consumed = new Set([...load.consumed, ...acknowledged.filter(({ topic }) => !isSubscribed(topic)).map(({ id }) => id)])
  expect(brokenPromises({ acknowledged, found, queues, consumed, delivered })).toEqual([])
  const median = scene.startMs.sort((a, b) => a - b)[scene.startMs.length >> 1] ?? 0
  console.log(
    `${cycles} kills, every promise kept: ${acknowledged.length} acknowledged, ${found.length} found, ${load.consumed.size} consumed; ${scene.startMs.length} restarts, median ${Math.round(median)} ms, longest ${Math.round(scene.startMs.at(-1) ?? 0)} ms`,
    load.refusals,
  )
}

test.each([
  ['ASYNC_FLUSH', CYCLES],
  ['SYNC_FLUSH', SYNC_CYCLES],
])(
  'a broker with %s that is killed under load, %i times in a row, keeps every promise that it made',
  async (flushDiskType, cycles) => {
    const { scene, load } = await startScene(flushDiskType)
    try {
      for (let cycle = 0; cycle < cycles; cycle++) {
        await liveAndDie(scene, load, cycle)
        expect(await skippedBy(scene, load)).toEqual([])
        if ((cycle + 1) % PROGRESS_EVERY === 0 && cycles > PROGRESS_EVERY) {
          console.log(`${flushDiskType}: ${cycle + 1} of ${cycles} kills, ${load.acknowledged.length} messages acknowledged`)
        }
      }
      await load.stopSending()
      for (const endMs = clock.monotonic() + DRAIN_MS; load.missing().length > 0 && clock.monotonic() < endMs; ) await clock.sleep(50)
      expect(await skippedBy(scene, load)).toEqual([])
      await audit(scene, load, cycles)
    } finally {
      await load.close()
    }
  },
  60_000 + cyclesMs(CYCLES),
)

function cyclesMs(cycles: number): number {
  return cycles * 12_000
}
