import type { CliCommand } from '../types.ts'
import {
  addWritePerm,
  brokerStatus,
  deleteKvConfig,
  getBrokerConfig,
  getNamesrvConfig,
  updateBrokerConfig,
  updateKvConfig,
  updateNamesrvConfig,
  updateTopicPerm,
  wipeWritePerm,
} from './broker.ts'
import { consumerConnection, getConsumerConfig, groupList } from './clients.ts'
import { clusterList } from './cluster.ts'
import { consumeMessage } from './consume.ts'
import { consumerProgress, deleteSubGroup, updateSubGroup } from './group.ts'
import { queryMsgById, queryMsgByKey, sendMessage } from './message.ts'
import { groupDoctor } from './doctor.ts'
import { explain } from './explain.ts'
import { cloneGroupOffset, resetOffsetByTime, skipAccumulated } from './offset.ts'
import { scheduledMessages } from './scheduled.ts'
import { deleteTopic, topicList, topicRoute, topicStatus, updateTopic } from './topic.ts'

/** Every sub-command, in the order that help shows them. */
export const COMMANDS: readonly CliCommand[] = [
  clusterList,
  brokerStatus,
  getBrokerConfig,
  updateBrokerConfig,
  getNamesrvConfig,
  updateNamesrvConfig,
  wipeWritePerm,
  addWritePerm,
  updateKvConfig,
  deleteKvConfig,
  topicList,
  topicRoute,
  topicStatus,
  updateTopic,
  updateTopicPerm,
  deleteTopic,
  groupList,
  getConsumerConfig,
  consumerConnection,
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
  scheduledMessages,
]
