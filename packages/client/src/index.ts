export type { AdminOptions } from './admin/admin-client.ts'
export { AdminClient } from './admin/admin-client.ts'
export type { ClusterAdmin, NamesrvAdmin } from './admin/cluster.ts'
export type { GroupAdmin, GroupProgress, GroupSettings, QueueProgress } from './admin/groups.ts'
export type { MessageAdmin, QueryOptions } from './admin/messages.ts'
export type { ScheduledAdmin, ScheduledMessage } from './admin/scheduled.ts'
export type { BrokerTarget, Where } from './admin/targets.ts'
export type { QueueStats, TopicAdmin, TopicSettings } from './admin/topics.ts'
export { Client, createAdmin, createClient, createProducer, createPullConsumer, createPushConsumer } from './client.ts'
export type {
  ClientCore,
  ClientOptions,
  ClientTimeouts,
  CloseOptions,
  CoreEvents,
  CoreInvokeOptions,
  GroupMember,
  RouteOptions,
} from './core/types.ts'
export type {
  AllocationInput,
  AllocationStrategy,
  AssignOptions,
  BatchHandler,
  ConsumeContext,
  ConsumeFrom,
  ConsumerEvents,
  Delivery,
  InvalidOutcome,
  MachineRoomResolver,
  MessageHandler,
  MessagesOptions,
  OnInvalid,
  PollOptions,
  PullConsumerOptions,
  PushConsumerOptions,
  RetryOptions,
  SchemaIssue,
  SchemaResult,
  Stall,
  StandardSchema,
  Subscription,
} from './consumer/index.ts'
export {
  averagely,
  averagelyByCircle,
  byConfig,
  ConsumedMessage,
  consistentHash,
  InvalidMessageError,
  machineRoom,
  machineRoomNearby,
  PullConsumer,
  PushConsumer,
  ReceivedMessage,
} from './consumer/index.ts'
export type {
  ConsumeBeginEvent,
  ConsumeEndEvent,
  ConsumeResult,
  MessageTraceEvent,
  RecallEvent,
  SentEvent,
  TracedMessageType,
  TransactionEndEvent,
} from './message-trace/events.ts'
export type { MessageTraceOption } from './message-trace/tracer.ts'
export type { TraceContext } from './trace-context.ts'
export { currentTrace, withTrace } from './trace-context.ts'
export { SendAllError } from './producer/batch.ts'
export type { InvalidSendOutcome, OnInvalidSend } from './producer/outgoing-check.ts'
export type { ReplyOptions, RequestOptions } from './producer/request-reply.ts'
export type { Outcome, TransactionCheck, TransactionReceipt, TransactionWork } from './producer/transaction.ts'
export type {
  Message,
  Producer,
  ProducerOptions,
  RecallOptions,
  SendOptions,
  SendReceipt,
  SendStatus,
  TransactionOptions,
} from './producer/types.ts'
export type { MessageQueue } from '@skylarkmq/remoting/protocol'
export { RocketError } from '@skylarkmq/remoting/protocol'
