import {
  AckMessage,
  BatchAckMessage,
  ChangeMessageInvisibletime,
  Notification,
  PeekMessage,
  PollingInfo,
  PopMessage,
  QueryAssignment,
  SetMessageRequestMode,
} from '@skylarkmq/remoting/protocol'
import { route } from '@skylarkmq/remoting'
import type { Lane, Route } from '@skylarkmq/remoting'
import { ackMessage, batchAckMessage, changeInvisibleTime } from './acknowledge.ts'
import { notification, peekMessage, pollingInfo } from './notification.ts'
import { popMessage } from './pop-message.ts'
import type { PopDeps } from './pop-message.ts'
import { queryAssignment, setMessageRequestMode } from './query-assignment.ts'
import type { AssignmentDeps } from './query-assignment.ts'

export type PopParts = PopDeps & AssignmentDeps

export interface PopLanes {
  readonly pull: Lane
  readonly client: Lane
}

export const popRoutes = (parts: PopParts, { pull, client }: PopLanes): Route[] => [
  route(PopMessage, pull, popMessage(parts)),
  route(PeekMessage, pull, peekMessage(parts)),
  route(Notification, pull, notification(parts)),
  route(AckMessage, client, ackMessage(parts)),
  route(BatchAckMessage, client, batchAckMessage(parts)),
  route(ChangeMessageInvisibletime, client, changeInvisibleTime(parts)),
  route(PollingInfo, client, pollingInfo(parts)),
  route(QueryAssignment, client, queryAssignment(parts)),
  route(SetMessageRequestMode, client, setMessageRequestMode(parts)),
]
