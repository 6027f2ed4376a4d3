/** All JSON bodies by name. Decoders are tolerant and throw RocketError INVALID_PARAMETER with a sentence; encoders write strict JSON where clients allow. */
export {
  ALL_TAGS,
  buildSubscription,
  CONSUME_TYPES,
  decodeConsumerConnection,
  decodeConsumerIdList,
  decodeHeartbeat,
  decodeLockBatch,
  decodeLockResult,
  decodeProducerConnection,
  encodeConsumerConnection,
  encodeConsumerIdList,
  encodeHeartbeat,
  encodeLockBatch,
  encodeLockResult,
  encodeProducerConnection,
  MESSAGE_MODELS,
} from './client.ts'
export {
  decodeGroupConfig,
  decodeGroupConfigList,
  decodeGroupConfigTable,
  decodeTopicConfig,
  decodeTopicConfigList,
  decodeTopicConfigTable,
  normalizeGroupConfig,
  normalizeTopicConfig,
} from './config.ts'
export { decodeDataVersion, encodeJson } from './read.ts'
export { decodeRegisterBroker, encodeRegisterBroker } from './register.ts'
export {
  decodeClusterInfo,
  decodeKVTable,
  decodeTopicList,
  decodeTopicRoute,
  encodeClusterInfo,
  encodeKVTable,
  encodeTopicList,
  encodeTopicRoute,
} from './route.ts'
export { byQueue, decodeConsumeStats, decodeTopicStats, encodeConsumeStats, encodeTopicStats, readByQueue } from './stats.ts'
