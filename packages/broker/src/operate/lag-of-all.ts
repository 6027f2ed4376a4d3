import { byQueue, encodeJson } from '@skylarkmq/remoting/protocol'
import type { GetBrokerConsumeStats, MessageQueue, OffsetWrapper, QueryConsumeTimeSpan, RequestOf } from '@skylarkmq/remoting/protocol'
import type { Reply } from '@skylarkmq/remoting'
import type { Clock } from '@skylarkmq/runtime'
import { groupMissing, topicMissing } from '../answers.ts'
import type { GroupConfigs } from '../groups/group-configs.ts'
import { statsOfGroup } from '../processors/stats-admin.ts'
import type { StatsDeps } from '../processors/stats-admin.ts'

export interface LagDeps extends StatsDeps {
  readonly groupConfigs: GroupConfigs
  readonly clock: Clock
  readonly brokerAddr: () => string
}

type Row = readonly [MessageQueue, OffsetWrapper]

/** GET_BROKER_CONSUME_STATS: RocketMQ 5.3 `AdminBrokerProcessor#fetchAllConsumeStatsInBroker`. */
export function getLagOfAll(deps: LagDeps) {
  return ({ isOrder }: RequestOf<typeof GetBrokerConsumeStats>): Reply<never> => {
    const consumeStatsList: unknown[] = []
    let [totalDiff, totalInflightDiff] = [0, 0]
    for (const { groupName } of deps.groupConfigs.all()) {
      const rows = statsOfGroup(deps, groupName, deps.offsets.topicsOf(groupName))
      const topics = new Map<string, Row[]>()
      for (const row of rows) {
        if (isOrder === true && deps.topics.get(row[0].topic)?.order !== true) continue
        const list = topics.get(row[0].topic)
        if (list === undefined) topics.set(row[0].topic, [row])
        else list.push(row)
      }
      if (topics.size === 0) continue
      const stats = [...topics.values()].map((offsetTable) => ({
        consumeTps: deps.counters.consumeTps(groupName, [(offsetTable[0] as Row)[0].topic]),
        offsetTable: byQueue(offsetTable),
      }))
      for (const [, { brokerOffset, consumerOffset, pullOffset }] of [...topics.values()].flat()) {
        totalDiff += brokerOffset - consumerOffset
        totalInflightDiff += pullOffset - consumerOffset
      }
      consumeStatsList.push({ [groupName]: stats })
    }
    return { code: 0, body: encodeJson({ brokerAddr: deps.brokerAddr(), consumeStatsList, totalDiff, totalInflightDiff }) }
  }
}

/** QUERY_CONSUME_TIME_SPAN: how old what waits is, queue by queue. */
export function getTimeSpans(deps: LagDeps) {
  return ({ topic, group }: RequestOf<typeof QueryConsumeTimeSpan>): Reply<never> => {
    const { store, offsets, brokerName, clock } = deps
    const config = deps.topics.get(topic)
    if (config === undefined) return topicMissing(topic)
    if (deps.groupConfigs.get(group) === undefined) return groupMissing(group)
    const timeOf = (queueId: number, offset: number) => Math.max(0, store.storeTimestamp(topic, queueId, offset))
    const consumeTimeSpanSet = Array.from({ length: config.writeQueueNums }, (_, queueId) => {
      const [min, max] = [store.minOffset(topic, queueId), store.maxOffset(topic, queueId)]
      const consumed = offsets.get(group, topic, queueId) ?? 0
      const minTimeStamp = max > min ? timeOf(queueId, min) : 0
      const consumeTimeStamp = consumed > min ? timeOf(queueId, consumed - 1) : minTimeStamp
      const delayTime = consumed >= max ? 0 : clock.now() - timeOf(queueId, Math.max(min, consumed))
      const messageQueue = { brokerName, queueId, topic }
      return { messageQueue, minTimeStamp, maxTimeStamp: max > min ? timeOf(queueId, max - 1) : 0, consumeTimeStamp, delayTime }
    })
    return { code: 0, body: encodeJson({ consumeTimeSpanSet }) }
  }
}
