import * as commands from '@skylarkmq/remoting/protocol'
import { route } from '@skylarkmq/remoting'
import type { Lane, Route } from '@skylarkmq/remoting'
import type { BrokerConfig } from './config.ts'
import { getAllConsumerOffsets, getAllDelayOffsets, getBrokerConfig, updateBrokerConfig } from './processors/broker-admin.ts'
import type { BrokerAdminDeps } from './processors/broker-admin.ts'
import { getDeliveryFacts } from './explain/delivery-facts.ts'
import type { FactsDeps } from './explain/delivery-facts.ts'
import { getGroupHealth } from './guard/group-health.ts'
import type { HealthDeps } from './guard/group-health.ts'
import { cloneGroupOffset } from './offsets/clone-offsets.ts'
import type { HousekeepingDeps } from './housekeeping.ts'
import { checkClientConfig, getConsumerList, heartBeat, unregisterClient } from './processors/client-manage.ts'
import type { ClientDeps } from './processors/client-manage.ts'
import { deleteGroup, getAllGroups, getGroup, updateGroup } from './processors/group-admin.ts'
import { kept } from './processors/kept.ts'
import type { GroupAdminDeps } from './processors/group-admin.ts'
import { pullMessage } from './processors/pull-message.ts'
import type { PullDeps } from './processors/pull-message.ts'
import { queryMessage, viewMessageById } from './processors/query-message.ts'
import type { QueryDeps } from './processors/query-message.ts'
import { lockBatchMq, unlockBatchMq } from './processors/queue-locks.ts'
import type { LockDeps } from './processors/queue-locks.ts'
import {
  getEarliestStoreTime,
  getMaxOffset,
  getMinOffset,
  queryConsumerOffset,
  searchOffset,
  updateConsumerOffset,
} from './processors/queue-offsets.ts'
import type { CommittedDeps } from './processors/queue-offsets.ts'
import { recallMessage } from './processors/recall-message.ts'
import type { RecallDeps } from './processors/recall-message.ts'
import { consumeDirectly, getConsumerStatus, getRunningInfo } from './processors/relay-to-client.ts'
import type { RelayDeps } from './processors/relay-to-client.ts'
import { resetOffset } from './processors/reset-offset.ts'
import type { ResetDeps } from './processors/reset-offset.ts'
import { sendAny, sendBatch } from './processors/send-batch.ts'
import type { SendDeps } from './processors/send-message.ts'
import {
  getAllProducers,
  getConsumeStats,
  getConsumerConnections,
  getGroupsOfTopic,
  getProducerConnections,
  getTopicStats,
  getTopicsOfGroup,
} from './processors/stats-admin.ts'
import type { StatsDeps } from './processors/stats-admin.ts'
import { deleteTopic, getAllTopicConfig, getSystemTopics, getTopicConfig, updateTopic } from './processors/topic-admin.ts'
import type { TopicAdminDeps } from './processors/topic-admin.ts'
import { getTimerCheckPoint, getTimerMetrics, listScheduledMessages } from './processors/timer-admin.ts'
import type { TimerAdminDeps } from './processors/timer-admin.ts'
import { popRoutes } from './pop/pop-routes.ts'
import type { PopParts } from './pop/pop-routes.ts'
import { getRuntimeInfo } from './operate/runtime-info.ts'
import type { RuntimeInfoDeps } from './operate/runtime-info.ts'
import { operateRoutes } from './operate/routes.ts'
import type { OperateDeps } from './operate/routes.ts'
import { sendReply } from './reply/send-reply.ts'
import type { ReplyDeps } from './reply/send-reply.ts'
import { consumerSendMsgBack } from './retry/send-back.ts'
import type { SendBackDeps } from './retry/send-back.ts'
import { endTransaction } from './transaction/transaction-service.ts'
import type { EndDeps } from './transaction/transaction-service.ts'

export type BrokerParts = SendDeps &
  SendBackDeps &
  PullDeps &
  CommittedDeps &
  ClientDeps &
  LockDeps &
  QueryDeps &
  TopicAdminDeps &
  GroupAdminDeps &
  StatsDeps &
  BrokerAdminDeps &
  RelayDeps &
  EndDeps &
  ReplyDeps &
  RecallDeps &
  OperateDeps &
  RuntimeInfoDeps &
  TimerAdminDeps &
  ResetDeps &
  HealthDeps &
  FactsDeps &
  PopParts &
  HousekeepingDeps

export interface Lanes {
  readonly send: Lane
  readonly transaction: Lane
  readonly reply: Lane
  readonly pull: Lane
  readonly client: Lane
  readonly admin: Lane
}

/** Bounds of what is under way. Held pulls count in none: they wait in `HeldPulls`, which has bounds of its own. */
export const makeLanes = (config: BrokerConfig): Lanes => ({
  send: { name: 'send', maxInFlight: config.sendThreadPoolQueueCapacity },
  transaction: { name: 'transaction', maxInFlight: config.endTransactionPoolQueueCapacity },
  reply: { name: 'reply', maxInFlight: config.replyThreadPoolQueueCapacity },
  pull: { name: 'pull', maxInFlight: config.pullThreadPoolQueueCapacity },
  client: { name: 'client', maxInFlight: config.clientManagerThreadPoolQueueCapacity },
  admin: { name: 'admin', maxInFlight: config.adminBrokerThreadPoolQueueCapacity },
})

/** Which processor answers which command. What is not here is answered REQUEST_CODE_NOT_SUPPORTED. */
export function brokerRoutes(parts: BrokerParts, lanes: Lanes): Route[] {
  const c = commands
  const inPlace = { inPlace: true }
  const send = sendAny(parts)
  const pull = pullMessage(parts)
  const reply = sendReply(parts)
  return [
    route(c.SendMessage, lanes.send, send, inPlace),
    route(c.SendMessageV2, lanes.send, send, inPlace),
    route(c.SendBatchMessage, lanes.send, sendBatch(parts), inPlace),
    route(c.ConsumerSendMsgBack, lanes.send, consumerSendMsgBack(parts)),
    route(c.EndTransaction, lanes.transaction, endTransaction(parts)),
    route(c.SendReplyMessage, lanes.reply, reply),
    route(c.SendReplyMessageV2, lanes.reply, reply),
    route(c.RecallMessage, lanes.send, recallMessage(parts)),

    route(c.PullMessage, lanes.pull, pull),
    route(c.LitePullMessage, lanes.pull, pull),
    ...popRoutes(parts, lanes),

    route(c.HeartBeat, lanes.client, heartBeat(parts)),
    route(c.UnregisterClient, lanes.client, unregisterClient(parts)),
    route(c.CheckClientConfig, lanes.client, checkClientConfig(parts)),
    route(c.GetConsumerListByGroup, lanes.client, getConsumerList(parts)),
    route(c.QueryConsumerOffset, lanes.client, queryConsumerOffset(parts)),
    route(c.UpdateConsumerOffset, lanes.client, updateConsumerOffset(parts)),
    route(c.LockBatchMq, lanes.client, lockBatchMq(parts)),
    route(c.UnlockBatchMq, lanes.client, unlockBatchMq(parts)),
    route(c.GetMaxOffset, lanes.client, getMaxOffset(parts)),
    route(c.GetMinOffset, lanes.client, getMinOffset(parts)),
    route(c.SearchOffsetByTimestamp, lanes.client, searchOffset(parts)),
    route(c.GetEarliestMsgStoretime, lanes.client, getEarliestStoreTime(parts)),

    route(c.GetTimerCheckPoint, lanes.admin, getTimerCheckPoint(parts)),
    route(c.GetTimerMetrics, lanes.admin, getTimerMetrics(parts)),
    route(c.ListScheduledMessages, lanes.admin, listScheduledMessages(parts)),
    route(c.QueryMessage, lanes.admin, queryMessage(parts)),
    route(c.ViewMessageById, lanes.admin, viewMessageById(parts)),
    route(c.UpdateAndCreateTopic, lanes.admin, kept(parts, updateTopic(parts))),
    route(c.DeleteTopicInBroker, lanes.admin, kept(parts, deleteTopic(parts))),
    route(c.GetAllTopicConfig, lanes.admin, getAllTopicConfig(parts)),
    route(c.GetTopicConfig, lanes.admin, getTopicConfig(parts)),
    route(c.GetSystemTopicListFromBroker, lanes.admin, getSystemTopics(parts)),
    route(c.UpdateAndCreateSubscriptiongroup, lanes.admin, kept(parts, updateGroup(parts))),
    route(c.DeleteSubscriptiongroup, lanes.admin, kept(parts, deleteGroup(parts))),
    route(c.GetAllSubscriptiongroupConfig, lanes.admin, getAllGroups(parts)),
    route(c.GetSubscriptiongroupConfig, lanes.admin, getGroup(parts)),
    route(c.GetTopicStatsInfo, lanes.admin, getTopicStats(parts)),
    route(c.GetConsumeStats, lanes.admin, getConsumeStats(parts)),
    route(c.GetConsumerConnectionList, lanes.admin, getConsumerConnections(parts)),
    route(c.GetProducerConnectionList, lanes.admin, getProducerConnections(parts)),
    route(c.GetAllProducerInfo, lanes.admin, getAllProducers(parts)),
    route(c.QueryTopicConsumeByWho, lanes.admin, getGroupsOfTopic(parts)),
    route(c.QueryTopicsByConsumer, lanes.admin, getTopicsOfGroup(parts)),
    route(c.GetBrokerConfig, lanes.admin, getBrokerConfig(parts)),
    route(c.UpdateBrokerConfig, lanes.admin, updateBrokerConfig(parts)),
    route(c.GetBrokerRuntimeInfo, lanes.admin, getRuntimeInfo(parts)),
    route(c.GetAllConsumerOffset, lanes.admin, getAllConsumerOffsets(parts)),
    route(c.GetAllDelayOffset, lanes.admin, getAllDelayOffsets(parts)),
    route(c.InvokeBrokerToResetOffset, lanes.admin, kept(parts, resetOffset(parts))),
    route(c.CloneGroupOffset, lanes.admin, cloneGroupOffset(parts)),
    route(c.GetGroupHealth, lanes.admin, getGroupHealth(parts)),
    route(c.GetDeliveryFacts, lanes.admin, getDeliveryFacts(parts)),
    route(c.InvokeBrokerToGetConsumerStatus, lanes.admin, getConsumerStatus(parts)),
    route(c.GetConsumerRunningInfo, lanes.admin, getRunningInfo(parts)),
    route(c.ConsumeMessageDirectly, lanes.admin, consumeDirectly(parts)),
    ...operateRoutes(parts, lanes.admin),
  ]
}
