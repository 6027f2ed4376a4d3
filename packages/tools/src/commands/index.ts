import type { CliCommand } from '../types.ts'
import { clusterList } from './cluster.ts'
import { consumeMessage } from './consume.ts'
import { consumerProgress, deleteSubGroup, updateSubGroup } from './group.ts'
import { queryMsgById, queryMsgByKey, sendMessage } from './message.ts'
import { groupDoctor } from './doctor.ts'
import { explain } from './explain.ts'
import { cloneGroupOffset, resetOffsetByTime, skipAccumulated } from './offset.ts'
import { deleteTopic, topicList, topicRoute, topicStatus, updateTopic } from './topic.ts'

/** Every sub-command, in the order that help shows them. */
export const COMMANDS: readonly CliCommand[] = [
  clusterList,
  topicList,
  topicRoute,
  topicStatus,
  updateTopic,
  deleteTopic,
  updateSubGroup,
  deleteSubGroup,
  consumerProgress,
  groupDoctor,
  resetOffsetByTime,
  skipAccumulated,
  cloneGroupOffset,
  explain,
  sendMessage,
  consumeMessage,
  queryMsgById,
  queryMsgByKey,
]
