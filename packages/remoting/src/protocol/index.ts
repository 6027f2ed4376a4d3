export type { AnyCommand, Command, CommandServer, RequestOf, ResponseOf } from './command.ts'
export { defineCommand, RPC_FIELD_NAMES } from './command.ts'
export {
  AddWritePermOfBroker,
  BrokerHeartbeat,
  CheckClientConfig,
  CheckTransactionState,
  ConsumeMessageDirectly,
  ConsumerSendMsgBack,
  DeleteKvConfig,
  DeleteSubscriptiongroup,
  DeleteTopicInBroker,
  DeleteTopicInNamesrv,
  EndTransaction,
  GetAllConsumerOffset,
  GetAllDelayOffset,
  GetAllProducerInfo,
  GetAllSubscriptiongroupConfig,
  GetAllTopicConfig,
  GetAllTopicListFromNameserver,
  GetBrokerClusterInfo,
  GetBrokerConfig,
  GetBrokerMemberGroup,
  GetBrokerRuntimeInfo,
  GetConsumeStats,
  GetConsumerConnectionList,
  GetConsumerListByGroup,
  GetConsumerRunningInfo,
  GetConsumerStatusFromClient,
  GetEarliestMsgStoretime,
  GetHasUnitSubTopicList,
  GetHasUnitSubUnunitTopicList,
  GetKvConfig,
  GetKvlistByNamespace,
  GetMaxOffset,
  GetMinOffset,
  GetNamesrvConfig,
  GetProducerConnectionList,
  GetRouteinfoByTopic,
  GetSubscriptiongroupConfig,
  GetSystemTopicListFromBroker,
  GetSystemTopicListFromNs,
  GetTopicConfig,
  GetTopicStatsInfo,
  GetTopicsByCluster,
  GetUnitTopicList,
  HeartBeat,
  InvokeBrokerToGetConsumerStatus,
  InvokeBrokerToResetOffset,
  LitePullMessage,
  LockBatchMq,
  NotifyConsumerIdsChanged,
  PullMessage,
  PushReplyMessageToClient,
  PutKvConfig,
  QueryConsumerOffset,
  QueryDataVersion,
  QueryMessage,
  QueryTopicConsumeByWho,
  QueryTopicsByConsumer,
  RecallMessage,
  RegisterBroker,
  RegisterTopicInNamesrv,
  ResetConsumerClientOffset,
  SearchOffsetByTimestamp,
  SendBatchMessage,
  SendMessage,
  SendMessageV2,
  SendReplyMessage,
  SendReplyMessageV2,
  UnlockBatchMq,
  UnregisterBroker,
  UnregisterClient,
  UpdateAndCreateSubscriptiongroup,
  UpdateAndCreateTopic,
  UpdateBrokerConfig,
  UpdateConsumerOffset,
  UpdateNamesrvConfig,
  ViewMessageById,
  WipeWritePermOfBroker,
} from './commands/index.ts'
export { javaStringHash, pairsOf, parseFastjson, stringifyFastjson } from './fastjson.ts'
export type { DecodeFrameOptions } from './frame.ts'
export { decodeFrame, encodeFrame, encodeFrameHead, isResponse, MAX_EXT_FIELDS, MAX_HEADER_BYTES, responseSerializeType } from './frame.ts'
export type { Frame, FrameHead, Language, SerializeType } from './frame-types.ts'
export {
  FLAG_ONEWAY,
  FLAG_RESPONSE,
  LANGUAGES,
  PROTOCOL_VERSION,
  SERIALIZE_JSON,
  SERIALIZE_MSGPACK,
  SERIALIZE_ROCKETMQ,
} from './frame-types.ts'
export type { ClientBatchMessage } from './message/client-batch.ts'
export { decodeClientBatch, encodeClientBatch } from './message/client-batch.ts'
export type { Compression } from './message/compression.ts'
export {
  COMPRESSION_FLAGS,
  COMPRESSION_LEVEL,
  compressBody,
  compressionOf,
  decompressBody,
  prepareCompression,
} from './message/compression.ts'
export type { HostAndPort } from './message/hosts.ts'
export { addressBytes, formatAddress, hostFromBytes, hostToBytes } from './message/hosts.ts'
export type { OffsetMessageId } from './message/ids.ts'
export { createUniqueIds, offsetMessageId, parseOffsetMessageId, parseUniqueId } from './message/ids.ts'
export { asBuffer, readLong, writeLong } from './message/longs.ts'
export {
  formatProperties,
  isReservedProperty,
  KEY_SEPARATOR,
  NAME_END,
  PROPERTIES_MAX_BYTES,
  PROPERTY,
  PROPERTY_END,
  parseProperties,
} from './message/properties.ts'
export type { RecordToEncode, StoredMessage } from './message/record.ts'
export {
  bodyCrc32,
  decodeRecord,
  decodeRecords,
  encodeRecord,
  MAGIC_BLANK,
  MAGIC_V1,
  MAGIC_V2,
  RECORD,
  RECORD_TOPIC_V1_MAX_BYTES,
  recordBytes,
} from './message/record.ts'
export { isInherited, isReadable, isWriteable, PERM, PULL_FLAG, SYS_FLAG } from './message/sys-flag.ts'
export type { MsgpackModule } from './msgpack-header.ts'
export { isMsgpackReady, useMsgpack } from './msgpack-header.ts'
export type { Commands } from './registry.ts'
export { allCommands, COMMANDS, commandByCode, RequestCode } from './registry.ts'
export type { ResponseCodeEntry, ResponseCodeName } from './response-code.ts'
export { isRetryableCode, RESPONSE_CODES, ResponseCode, responseCodeName } from './response-code.ts'
export type { Phase, RocketErrorFields } from './rocket-error.ts'
export { RocketError } from './rocket-error.ts'
export type { ExtFields, Field, FieldKind, Fields, HeaderOf } from './schema.ts'
export {
  alias,
  boolean,
  decodeHeader,
  double,
  encodeHeader,
  enumOf,
  HeaderError,
  int,
  long,
  long64,
  optional,
  string,
  wire,
} from './schema.ts'
export {
  BENCHMARK_TOPIC,
  checkGroupName,
  checkTopicName,
  DEFAULT_TOPIC,
  DLQ_PREFIX,
  dlqTopic,
  GROUP_MAX_LENGTH,
  groupOfRetryTopic,
  HALF_TOPIC,
  isDlqTopic,
  isRetryTopic,
  isSendForbidden,
  isSystemGroup,
  isSystemTopic,
  OFFSET_MOVED_TOPIC,
  OP_HALF_TOPIC,
  RETRY_PREFIX,
  RETRY_TOPIC_MAX_LENGTH,
  retryTopic,
  SCHEDULE_TOPIC,
  SELF_TEST_TOPIC,
  SYSTEM_GROUP_PREFIX,
  SYSTEM_GROUPS,
  SYSTEM_TOPIC_PREFIX,
  SYSTEM_TOPICS,
  TOPIC_MAX_LENGTH,
  TRACE_TOPIC,
  TRANS_CHECK_MAX_TIME_TOPIC,
} from './topic-names.ts'
