import type { ConsumerConnection, SubscriptionGroupConfig } from '@skylarkmq/remoting/protocol'
import { expectSuccess } from '@skylarkmq/remoting'
import {
  DeleteSubscriptiongroup,
  GetAllSubscriptiongroupConfig,
  GetConsumeStats,
  GetConsumerConnectionList,
  GetConsumerRunningInfo,
  ResponseCode,
  RocketError,
  UpdateAndCreateSubscriptiongroup,
  checkGroupName,
  decodeConsumeStats,
  decodeConsumerConnection,
  decodeGroupConfigTable,
  encodeJson,
  normalizeGroupConfig,
  retryTopic,
} from '@skylarkmq/remoting/protocol'
import type { AdminParts, BrokerTarget, Where } from './targets.ts'
import { atEach, brokersOfTopic, mastersAt } from './targets.ts'

export type GroupSettings = Partial<SubscriptionGroupConfig> & { readonly groupName: string }

export interface QueueProgress {
  readonly topic: string
  readonly brokerName: string
  readonly queueId: number
  /** The next message to be stored. */
  readonly brokerOffset: number
  /** The next message to be consumed. */
  readonly consumerOffset: number
  readonly diff: number
  /** Pulled and not consumed yet. */
  readonly inFlight: number
  /** When the last consumed message was stored; 0 if none. */
  readonly lastTimestamp: number
}

export interface GroupProgress {
  readonly queues: readonly QueueProgress[]
  readonly diff: number
  readonly consumeTps: number
}

export class GroupAdmin {
  readonly #parts: AdminParts

  constructor(parts: AdminParts) {
    this.#parts = parts
  }

  async update(settings: GroupSettings, where: Where = {}): Promise<readonly BrokerTarget[]> {
    checkGroup(settings.groupName)
    const { core, timeoutMs } = this.#parts
    const body = encodeJson(normalizeGroupConfig(settings))
    const targets = await mastersAt(this.#parts, where)
    await atEach(`updating group ${settings.groupName}`, targets, async ({ address }) => {
      expectSuccess(await core.invoke(address, UpdateAndCreateSubscriptiongroup, {}, { body, timeoutMs }))
    })
    return targets
  }

  /** `cleanOffsets`: committed offsets go too. */
  async delete(group: string, where: Where & { readonly cleanOffsets?: boolean } = {}): Promise<readonly BrokerTarget[]> {
    checkGroup(group)
    const { core, timeoutMs } = this.#parts
    const targets = await mastersAt(this.#parts, where)
    const header = { groupName: group, cleanOffset: where.cleanOffsets ?? false }
    await atEach(`deleting group ${group}`, targets, async ({ address }) => {
      expectSuccess(await core.invoke(address, DeleteSubscriptiongroup, header, { timeoutMs }))
    })
    return targets
  }

  /** Of all brokers asked; where they differ, the first broker's. */
  async list(where: Where = {}): Promise<readonly SubscriptionGroupConfig[]> {
    const { core, timeoutMs } = this.#parts
    const targets = await mastersAt(this.#parts, where)
    const tables = await atEach('listing groups', targets, async ({ address }) =>
      decodeGroupConfigTable(expectSuccess(await core.invoke(address, GetAllSubscriptiongroupConfig, {}, { timeoutMs })).body),
    )
    const byName = new Map<string, SubscriptionGroupConfig>()
    for (const table of tables) {
      for (const [name, config] of Object.entries(table.subscriptionGroupTable)) if (!byName.has(name)) byName.set(name, config)
    }
    return [...byName.values()].sort((a, b) => (a.groupName < b.groupName ? -1 : 1))
  }

  /** The members of a group. Rejects with CONSUMER_NOT_ONLINE when it has none. */
  async connection(group: string, where: Where = {}): Promise<ConsumerConnection> {
    checkGroup(group)
    const { core, timeoutMs } = this.#parts
    let lastError: unknown
    // Every member is connected to every broker of its topics: the first that knows the group is enough.
    for (const { address } of await this.#brokersOf(group, where)) {
      try {
        return decodeConsumerConnection(
          expectSuccess(await core.invoke(address, GetConsumerConnectionList, { consumerGroup: group }, { timeoutMs })).body,
        )
      } catch (error) {
        lastError = error
      }
    }
    throw lastError ?? noBroker(group)
  }

  /** How far a group has come, per queue. `topic`: only this one. */
  async progress(group: string, options: Where & { readonly topic?: string } = {}): Promise<GroupProgress> {
    checkGroup(group)
    const { core, timeoutMs } = this.#parts
    const { topic } = options
    const targets = topic === undefined ? await this.#brokersOf(group, options) : await brokersOfTopic(this.#parts, topic)
    const stats = await atEach(`the progress of group ${group}`, targets, async ({ address }) => {
      const answer = await core.invoke(address, GetConsumeStats, { consumerGroup: group, topic }, { timeoutMs })
      // A broker where the group has consumed nothing yet may not know it.
      return answer.code === ResponseCode.SUBSCRIPTION_GROUP_NOT_EXIST && targets.length > 1
        ? undefined
        : decodeConsumeStats(expectSuccess(answer).body)
    })
    const queues = stats
      .flatMap((table) => table?.offsetTable ?? [])
      .map(([queue, offsets]) => ({
        topic: queue.topic,
        brokerName: queue.brokerName,
        queueId: queue.queueId,
        brokerOffset: offsets.brokerOffset,
        consumerOffset: offsets.consumerOffset,
        diff: offsets.brokerOffset - offsets.consumerOffset,
        inFlight: Math.max(0, offsets.pullOffset - offsets.consumerOffset),
        lastTimestamp: offsets.lastTimestamp,
      }))
      .sort(byQueue)
    return {
      queues,
      diff: queues.reduce((sum, queue) => sum + queue.diff, 0),
      consumeTps: stats.reduce((sum, table) => sum + (table?.consumeTps ?? 0), 0),
    }
  }

  /** What one member is doing, as it says itself (JSON in fastjson's dialect, unread). */
  async runningInfo(group: string, clientId: string, where: Where = {}): Promise<string> {
    checkGroup(group)
    const { core, timeoutMs } = this.#parts
    let lastError: unknown
    for (const { address } of await this.#brokersOf(group, where)) {
      try {
        const answer = await core.invoke(address, GetConsumerRunningInfo, { consumerGroup: group, clientId }, { timeoutMs: timeoutMs * 2 })
        return Buffer.from(expectSuccess(answer).body).toString('utf8')
      } catch (error) {
        lastError = error
      }
    }
    throw lastError ?? noBroker(group)
  }

  /** Brokers that hold the group's retry topic; all masters when there is none (broadcasting, or never connected). */
  async #brokersOf(group: string, where: Where): Promise<readonly BrokerTarget[]> {
    if (where.address === undefined && where.cluster === undefined && where.broker === undefined) {
      try {
        const targets = await brokersOfTopic(this.#parts, retryTopic(group))
        if (targets.length > 0) return targets
      } catch (error) {
        if (!(error instanceof RocketError) || error.brokerCode !== ResponseCode.TOPIC_NOT_EXIST) throw error
      }
    }
    return mastersAt(this.#parts, where)
  }
}

const noBroker = (group: string) => new RocketError(`no broker is known for group ${group}`, { code: 'NO_ROUTE', group })

const byQueue = (a: QueueProgress, b: QueueProgress): number =>
  a.topic !== b.topic
    ? a.topic < b.topic
      ? -1
      : 1
    : a.brokerName !== b.brokerName
      ? a.brokerName < b.brokerName
        ? -1
        : 1
      : a.queueId - b.queueId

function checkGroup(group: string): void {
  const wrong = checkGroupName(group)
  if (wrong) throw new RocketError(wrong, { code: 'BAD_ARGUMENT', group })
}
