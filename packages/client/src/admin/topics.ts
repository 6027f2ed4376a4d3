import type { TopicConfig, TopicOffset, TopicRouteData } from '@skylarkmq/remoting/protocol'
import { expectSuccess } from '@skylarkmq/remoting'
import {
  DEFAULT_TOPIC,
  DeleteTopicInBroker,
  DeleteTopicInNamesrv,
  GetAllTopicConfig,
  GetAllTopicListFromNameserver,
  GetTopicStatsInfo,
  GetTopicsByCluster,
  QueryTopicConsumeByWho,
  RocketError,
  UpdateAndCreateTopic,
  checkTopicName,
  decodeTopicConfigTable,
  decodeTopicList,
  decodeTopicStats,
  parseFastjson,
} from '@skylarkmq/remoting/protocol'
import type { AdminParts, BrokerTarget, Where } from './targets.ts'
import { atEach, brokersOfTopic, mastersAt } from './targets.ts'

export interface TopicSettings {
  readonly topic: string
  /** Default 8. */
  readonly queueNums?: number
  /** Default: `queueNums`. */
  readonly readQueueNums?: number
  readonly writeQueueNums?: number
  /** 2 write, 4 read, 6 both (the default). */
  readonly perm?: number
  readonly order?: boolean
  readonly unit?: boolean
  readonly hasUnitSub?: boolean
  readonly attributes?: Readonly<Record<string, string>>
}

export interface QueueStats extends TopicOffset {
  readonly brokerName: string
  readonly queueId: number
  readonly messages: number
}

const DEFAULT_QUEUES = 8

export class TopicAdmin {
  readonly #parts: AdminParts

  constructor(parts: AdminParts) {
    this.#parts = parts
  }

  /** Creates the topic or changes its settings on each broker; returns the brokers. */
  async update(settings: TopicSettings, where: Where = {}): Promise<readonly BrokerTarget[]> {
    checkTopic(settings.topic)
    const queues = settings.queueNums ?? DEFAULT_QUEUES
    const perm = settings.perm ?? 6
    const readQueueNums = settings.readQueueNums ?? queues
    const writeQueueNums = settings.writeQueueNums ?? queues
    for (const [name, value] of Object.entries({ readQueueNums, writeQueueNums })) {
      if (!Number.isInteger(value) || value < 0 || value > 65_536) throw bad(`${name} is ${value}; it must be from 0 to 65536`)
    }
    if (!Number.isInteger(perm) || perm < 0 || perm > 7) throw bad(`perm is ${perm}; it must be 2 (write), 4 (read) or 6 (both)`)
    const header = {
      topic: settings.topic,
      defaultTopic: DEFAULT_TOPIC,
      readQueueNums,
      writeQueueNums,
      perm,
      topicFilterType: 'SINGLE_TAG',
      topicSysFlag: (settings.unit ? 1 : 0) | (settings.hasUnitSub ? 2 : 0),
      order: settings.order ?? false,
      // RocketMQ 5.3 `AttributeParser`: `+name=value`, separated by commas.
      attributes:
        settings.attributes &&
        Object.entries(settings.attributes)
          .map(([name, value]) => `+${name}=${value}`)
          .join(','),
    }
    const targets = await mastersAt(this.#parts, where)
    await atEach(`updating topic ${settings.topic}`, targets, async ({ address }) => {
      expectSuccess(await this.#parts.core.invoke(address, UpdateAndCreateTopic, header, { timeoutMs: this.#parts.timeoutMs }))
    })
    return targets
  }

  /** Deletes the topic on the masters of the cluster, then from every NameServer. */
  async delete(topic: string, where: Pick<Where, 'cluster'> = {}): Promise<readonly BrokerTarget[]> {
    checkTopic(topic)
    const { core, timeoutMs } = this.#parts
    const targets = await mastersAt(this.#parts, where)
    await atEach(`deleting topic ${topic}`, targets, async ({ address }) => {
      expectSuccess(await core.invoke(address, DeleteTopicInBroker, { topic }, { timeoutMs }))
    })
    const namesrvs = core.namesrvAddresses.map((address) => ({ address }))
    await atEach(`deleting topic ${topic} at the NameServers`, namesrvs, async ({ address }) => {
      expectSuccess(await core.invoke(address, DeleteTopicInNamesrv, { topic, clusterName: where.cluster }, { timeoutMs }))
    })
    return targets
  }

  async list(cluster?: string): Promise<readonly string[]> {
    const { core, timeoutMs } = this.#parts
    const answer =
      cluster === undefined
        ? await core.invokeNamesrv(GetAllTopicListFromNameserver, {}, { timeoutMs })
        : await core.invokeNamesrv(GetTopicsByCluster, { cluster }, { timeoutMs })
    return [...decodeTopicList(expectSuccess(answer).body).topicList].sort()
  }

  /** As the NameServer says now. */
  route(topic: string): Promise<TopicRouteData> {
    checkTopic(topic)
    return this.#parts.core.route(topic, { refresh: true, timeoutMs: this.#parts.timeoutMs })
  }

  /** Offsets and last store time of each queue, from all brokers of the topic. */
  async stats(topic: string): Promise<readonly QueueStats[]> {
    checkTopic(topic)
    const { core, timeoutMs } = this.#parts
    const targets = await brokersOfTopic(this.#parts, topic)
    const tables = await atEach(`the statistics of topic ${topic}`, targets, async ({ address }) =>
      decodeTopicStats(expectSuccess(await core.invoke(address, GetTopicStatsInfo, { topic }, { timeoutMs })).body),
    )
    return tables
      .flatMap((table) => table.offsetTable)
      .map(([queue, offsets]) => ({
        brokerName: queue.brokerName,
        queueId: queue.queueId,
        ...offsets,
        messages: offsets.maxOffset - offsets.minOffset,
      }))
      .sort((a, b) => (a.brokerName === b.brokerName ? a.queueId - b.queueId : a.brokerName < b.brokerName ? -1 : 1))
  }

  /** The settings of all topics of one broker. */
  async configs(address: string): Promise<Readonly<Record<string, TopicConfig>>> {
    const { core, timeoutMs } = this.#parts
    return decodeTopicConfigTable(expectSuccess(await core.invoke(address, GetAllTopicConfig, {}, { timeoutMs })).body).topicConfigTable
  }

  /** Consumer groups of the topic: those connected and those with offsets. */
  async groups(topic: string): Promise<readonly string[]> {
    checkTopic(topic)
    const { core, timeoutMs } = this.#parts
    const targets = await brokersOfTopic(this.#parts, topic)
    const lists = await atEach(`the groups of topic ${topic}`, targets, async ({ address }) => {
      const answer = expectSuccess(await core.invoke(address, QueryTopicConsumeByWho, { topic }, { timeoutMs }))
      const body = parseFastjson(Buffer.from(answer.body).toString('utf8')) as { groupList?: readonly string[] }
      return body.groupList ?? []
    })
    return [...new Set(lists.flat())].sort()
  }
}

const bad = (sentence: string) => new RocketError(sentence, { code: 'BAD_ARGUMENT' })

function checkTopic(topic: string): void {
  const wrong = checkTopicName(topic)
  if (wrong) throw bad(wrong)
}
