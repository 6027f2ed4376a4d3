import {
  CleanExpiredConsumequeue,
  CleanUnusedTopic,
  DeleteExpiredCommitlog,
  GetAllMessageRequestMode,
  GetBrokerConsumeStats,
  QueryConsumeQueue,
  QueryConsumeTimeSpan,
  QueryCorrectionOffset,
  QuerySubscriptionByConsumer,
  ResumeCheckHalfMessage,
  UpdateAndCreateSubscriptiongroupList,
  UpdateAndCreateTopicList,
  UpdateAndGetGroupForbidden,
  ViewBrokerStatsData,
} from '@skylarkmq/remoting/protocol'
import { route } from '@skylarkmq/remoting'
import type { Lane, Route } from '@skylarkmq/remoting'
import type { MetadataStore } from '@skylarkmq/store'
import { kept } from '../processors/kept.ts'
import { getRequestModes, groupForbiddenFor, queryCorrectionOffset, querySubscription, resumeHalfMessage } from './intervene.ts'
import type { InterveneDeps } from './intervene.ts'
import { getLagOfAll, getTimeSpans } from './lag-of-all.ts'
import type { LagDeps } from './lag-of-all.ts'
import { cleanExpiredQueues, cleanUnusedTopics, deleteExpiredLog, viewStats } from './maintenance.ts'
import type { MaintenanceDeps } from './maintenance.ts'
import { updateGroups, updateTopics } from './many-at-once.ts'
import type { ManyDeps } from './many-at-once.ts'
import { queryConsumeQueue } from './queue-entries.ts'
import type { QueueEntriesDeps } from './queue-entries.ts'

export type OperateDeps = LagDeps & InterveneDeps & MaintenanceDeps & ManyDeps & QueueEntriesDeps & { readonly metadata: MetadataStore }

/** What operators ask beside the administration of topics, groups and offsets. */
export const operateRoutes = (parts: OperateDeps, lane: Lane): Route[] => [
  route(UpdateAndCreateTopicList, lane, kept(parts, updateTopics(parts))),
  route(UpdateAndCreateSubscriptiongroupList, lane, kept(parts, updateGroups(parts))),
  route(QueryConsumeTimeSpan, lane, getTimeSpans(parts)),
  route(GetBrokerConsumeStats, lane, getLagOfAll(parts)),
  route(QueryConsumeQueue, lane, queryConsumeQueue(parts)),
  route(ViewBrokerStatsData, lane, viewStats(parts)),
  route(CleanExpiredConsumequeue, lane, cleanExpiredQueues()),
  route(CleanUnusedTopic, lane, cleanUnusedTopics(parts)),
  route(DeleteExpiredCommitlog, lane, deleteExpiredLog(parts)),
  route(QueryCorrectionOffset, lane, queryCorrectionOffset(parts)),
  route(QuerySubscriptionByConsumer, lane, querySubscription(parts)),
  route(UpdateAndGetGroupForbidden, lane, kept(parts, groupForbiddenFor(parts))),
  route(GetAllMessageRequestMode, lane, getRequestModes(parts)),
  route(ResumeCheckHalfMessage, lane, resumeHalfMessage(parts)),
]
