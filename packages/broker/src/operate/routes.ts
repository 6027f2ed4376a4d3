import {
  CleanExpiredConsumequeue,
  CleanUnusedTopic,
  DeleteExpiredCommitlog,
  GetBrokerConsumeStats,
  QueryConsumeQueue,
  QueryConsumeTimeSpan,
  UpdateAndCreateSubscriptiongroupList,
  UpdateAndCreateTopicList,
  ViewBrokerStatsData,
} from '@skylarkmq/remoting/protocol'
import { route } from '@skylarkmq/remoting'
import type { Lane, Route } from '@skylarkmq/remoting'
import type { MetadataStore } from '@skylarkmq/store'
import { kept } from '../processors/kept.ts'
import { getLagOfAll, getTimeSpans } from './lag-of-all.ts'
import type { LagDeps } from './lag-of-all.ts'
import { cleanExpiredQueues, cleanUnusedTopics, deleteExpiredLog, viewStats } from './maintenance.ts'
import type { MaintenanceDeps } from './maintenance.ts'
import { updateGroups, updateTopics } from './many-at-once.ts'
import type { ManyDeps } from './many-at-once.ts'
import { queryConsumeQueue } from './queue-entries.ts'
import type { QueueEntriesDeps } from './queue-entries.ts'

export type OperateDeps = LagDeps & MaintenanceDeps & ManyDeps & QueueEntriesDeps & { readonly metadata: MetadataStore }

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
]
