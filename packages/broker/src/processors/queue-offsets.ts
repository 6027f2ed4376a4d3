import { ResponseCode } from '@skylarkmq/remoting/protocol'
import type {
  GetEarliestMsgStoretime,
  GetMaxOffset,
  QueryConsumerOffset,
  RequestOf,
  SearchOffsetByTimestamp,
  UpdateConsumerOffset,
} from '@skylarkmq/remoting/protocol'
import type { Reply, RequestContext } from '@skylarkmq/remoting'
import type { MessageStore } from '@skylarkmq/store'
import { plain, refuse, topicMissing } from '../answers.ts'
import type { Settings } from '../config.ts'
import type { DeliveryJournal } from '../explain/delivery-journal.ts'
import type { GroupConfigs } from '../groups/group-configs.ts'
import type { ConsumerOffsets } from '../offsets/consumer-offsets.ts'
import type { StalePositions } from '../offsets/stale-positions.ts'
import type { StartPins } from '../offsets/start-pins.ts'
import type { TopicConfigs } from '../topics/topic-configs.ts'

type OffsetReply = Reply<{ readonly offset: number }>
type Queue = RequestOf<typeof GetMaxOffset>

interface StoreDeps {
  readonly store: MessageStore
}

/** A queue that has never been written to answers 0: clients probe brokers with it. */
export const getMaxOffset =
  ({ store, startPins, stalePositions }: StoreDeps & Pick<CommittedDeps, 'startPins' | 'stalePositions'>) =>
  ({ topic, queueId }: Queue, { connection }: RequestContext): OffsetReply => {
    const offset = startPins.takeEnd(connection, topic, queueId) ?? store.maxOffset(topic, queueId)
    stalePositions.told(connection, topic, queueId, offset)
    return { code: 0, header: { offset } }
  }

export const getMinOffset =
  ({ store }: StoreDeps) =>
  ({ topic, queueId }: Pick<Queue, 'topic' | 'queueId'>): OffsetReply => ({ code: 0, header: { offset: store.minOffset(topic, queueId) } })

export const searchOffset =
  ({ store, stalePositions }: StoreDeps & Pick<CommittedDeps, 'stalePositions'>) =>
  ({ topic, queueId, timestamp, boundaryType }: RequestOf<typeof SearchOffsetByTimestamp>, { connection }: RequestContext): OffsetReply => {
    const boundary = boundaryType?.toLowerCase() === 'upper' ? 'upper' : 'lower'
    const offset = store.offsetByTime(topic, queueId, timestamp, boundary)
    stalePositions.told(connection, topic, queueId, offset)
    return { code: 0, header: { offset } }
  }

export const getEarliestStoreTime =
  ({ store }: StoreDeps) =>
  ({ topic, queueId }: RequestOf<typeof GetEarliestMsgStoretime>): Reply<{ readonly timestamp: number }> => ({
    code: 0,
    header: { timestamp: store.earliestStoreTime(topic, queueId) },
  })

export interface CommittedDeps extends StoreDeps {
  readonly offsets: ConsumerOffsets
  readonly stalePositions: StalePositions
  readonly groupConfigs: GroupConfigs
  readonly topics: TopicConfigs
  readonly startPins: StartPins
  readonly journal: DeliveryJournal
  readonly settings: Settings
}

/**
 * Without a committed offset a new group starts at 0 as long as the queue's first message is there (RocketMQ 5.3
 * `ConsumerManageProcessor#queryConsumerOffset`), else where its first heartbeat has pinned it; the client decides when there was none.
 */
export const queryConsumerOffset =
  ({ store, offsets, startPins, stalePositions, settings }: CommittedDeps) =>
  (
    { consumerGroup, topic, queueId, setZeroIfNotFound }: RequestOf<typeof QueryConsumerOffset>,
    { connection }: RequestContext,
  ): OffsetReply => {
    const committed = offsets.get(consumerGroup, topic, queueId)
    if (committed !== undefined) {
      stalePositions.told(connection, topic, queueId, committed)
      return { code: 0, header: { offset: committed } }
    }
    if (setZeroIfNotFound === false) return notFound('Not found, do not set to zero, maybe this group boot first')
    const pinned = startPins.get(consumerGroup, topic, queueId)
    stalePositions.told(connection, topic, queueId, pinned ?? 0)
    if (pinned !== undefined && settings.current.startOffsetOfNewGroup === 'asked') return { code: 0, header: { offset: pinned } }
    const isFirstThere = store.minOffset(topic, queueId) <= 0 && store.maxOffset(topic, queueId) > 0
    if (isFirstThere) return { code: 0, header: { offset: 0 } }
    if (pinned !== undefined) return { code: 0, header: { offset: pinned } }
    return notFound('Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first')
  }

const notFound = (remark: string): OffsetReply => ({ code: ResponseCode.QUERY_NOT_FOUND, remark })

/** Negative offsets mean that the client has none (JavaScript): ignored. Lower ones than before are accepted. */
export const updateConsumerOffset =
  ({ offsets, stalePositions, groupConfigs, topics, journal }: CommittedDeps) =>
  (
    { consumerGroup, topic, queueId, commitOffset: wanted }: RequestOf<typeof UpdateConsumerOffset>,
    { connection }: RequestContext,
  ): Reply<never> => {
    if (groupConfigs.get(consumerGroup) === undefined)
      return refuse(
        'SUBSCRIPTION_GROUP_NOT_EXIST',
        `Group ${plain(consumerGroup)} not exist! Create it with: mqadmin updateSubGroup -g NAME -c CLUSTER`,
      )
    const config = topics.get(topic)
    if (config === undefined) return topicMissing(topic)
    const queues = Math.max(config.readQueueNums, config.writeQueueNums)
    if (queueId < 0 || queueId >= queues) {
      return refuse('INVALID_PARAMETER', `queueId[${queueId}] is illegal, topic:[${plain(topic)}] has the queues 0 to ${queues - 1}`)
    }
    if (wanted < 0) return { code: 0 }
    const commitOffset = stalePositions.committable(consumerGroup, topic, queueId, wanted, connection)
    if (offsets.commit(consumerGroup, topic, queueId, commitOffset)) {
      journal.committed(consumerGroup, topic, queueId, commitOffset, connection.address)
      return { code: 0 }
    }
    return { code: 0, remark: 'Offset has been previously reset' }
  }
