/**
 * Shapes of JSON bodies, named as in RocketMQ. Reading is tolerant (`parseFastjson` accepts unquoted integer keys, object keys, numbers
 * as text, missing lists); writing is strict JSON unless a client needs otherwise (route bodies for versions below 401).
 * Numbers that may exceed 2^53 (subVersion) are bigint after reading.
 */
export interface QueueData {
  readonly brokerName: string
  readonly readQueueNums: number
  readonly writeQueueNums: number
  readonly perm: number
  readonly topicSysFlag: number
}

export interface BrokerData {
  readonly cluster: string
  readonly brokerName: string
  /** brokerId (0 = master) → "ip:port". */
  readonly brokerAddrs: Readonly<Record<string, string>>
  readonly zoneName?: string | undefined
  readonly enableActingMaster: boolean
}

export interface TopicRouteData {
  readonly orderTopicConf?: string | undefined
  readonly queueDatas: readonly QueueData[]
  readonly brokerDatas: readonly BrokerData[]
  readonly filterServerTable: Readonly<Record<string, readonly string[]>>
}

export interface ClusterInfo {
  readonly brokerAddrTable: Readonly<Record<string, BrokerData>>
  readonly clusterAddrTable: Readonly<Record<string, readonly string[]>>
}

export interface DataVersion {
  readonly stateVersion: number
  readonly timestamp: number
  readonly counter: number
}

export interface TopicConfig {
  readonly topicName: string
  readonly readQueueNums: number
  readonly writeQueueNums: number
  readonly perm: number
  readonly topicFilterType: 'SINGLE_TAG' | 'MULTI_TAG'
  readonly topicSysFlag: number
  readonly order: boolean
  readonly attributes: Readonly<Record<string, string>>
}

export interface TopicConfigTable {
  readonly topicConfigTable: Readonly<Record<string, TopicConfig>>
  readonly dataVersion: DataVersion
}

export interface RegisterBrokerBody {
  readonly topicConfigSerializeWrapper: TopicConfigTable
  readonly filterServerList: readonly string[]
}

export interface KVTable {
  readonly table: Readonly<Record<string, string>>
}

export interface TopicList {
  readonly topicList: readonly string[]
  readonly brokerAddr?: string | undefined
}

export type ConsumeType = 'CONSUME_ACTIVELY' | 'CONSUME_PASSIVELY' | 'CONSUME_POP'
export type MessageModel = 'BROADCASTING' | 'CLUSTERING'
/** The index is the ordinal that C++ sends. */
export const CONSUME_FROM_WHERE = [
  'CONSUME_FROM_LAST_OFFSET',
  'CONSUME_FROM_LAST_OFFSET_AND_FROM_MIN_WHEN_BOOT_FIRST',
  'CONSUME_FROM_MIN_OFFSET',
  'CONSUME_FROM_MAX_OFFSET',
  'CONSUME_FROM_FIRST_OFFSET',
  'CONSUME_FROM_TIMESTAMP',
] as const
export type ConsumeFromWhere = (typeof CONSUME_FROM_WHERE)[number]

export interface SubscriptionData {
  readonly topic: string
  /** The expression: `*`, `TagA||TagB`, or SQL92. */
  readonly subString: string
  readonly tagsSet: readonly string[]
  readonly codeSet: readonly number[]
  /** Milliseconds from Java, nanoseconds from Go: compared as 64-bit numbers. */
  readonly subVersion: bigint
  readonly expressionType: string
  readonly classFilterMode: boolean
}

export interface ConsumerData {
  readonly groupName: string
  readonly consumeType: ConsumeType
  readonly messageModel: MessageModel
  readonly consumeFromWhere: ConsumeFromWhere
  readonly subscriptionDataSet: readonly SubscriptionData[]
  readonly unitMode: boolean
}

export interface HeartbeatData {
  readonly clientID: string
  readonly producerDataSet: readonly { readonly groupName: string }[]
  readonly consumerDataSet: readonly ConsumerData[]
  readonly heartbeatFingerprint: number
  readonly withoutSub: boolean
}

export interface MessageQueue {
  readonly topic: string
  readonly brokerName: string
  readonly queueId: number
}

export interface LockBatchBody {
  readonly consumerGroup: string
  readonly clientId: string
  readonly onlyThisBroker: boolean
  readonly mqSet: readonly MessageQueue[]
}

export interface SubscriptionGroupConfig {
  readonly groupName: string
  readonly consumeEnable: boolean
  readonly consumeFromMinEnable: boolean
  readonly consumeBroadcastEnable: boolean
  readonly consumeMessageOrderly: boolean
  readonly retryQueueNums: number
  readonly retryMaxTimes: number
  readonly brokerId: number
  readonly whichBrokerWhenConsumeSlowly: number
  readonly notifyConsumerIdsChangedEnable: boolean
  readonly groupSysFlag: number
  readonly consumeTimeoutMinute: number
  readonly attributes: Readonly<Record<string, string>>
  /** As Apache writes it, kept unread. */
  readonly groupRetryPolicy?: unknown
  readonly subscriptionDataSet?: unknown
}

export interface TopicOffset {
  readonly minOffset: number
  readonly maxOffset: number
  readonly lastUpdateTimestamp: number
}

/** Keyed by queue: object keys on the wire (fastjson), a list of pairs here. */
export interface TopicStatsTable {
  readonly offsetTable: readonly (readonly [MessageQueue, TopicOffset])[]
}

export interface OffsetWrapper {
  readonly brokerOffset: number
  readonly consumerOffset: number
  readonly pullOffset: number
  readonly lastTimestamp: number
}

export interface ConsumeStats {
  readonly offsetTable: readonly (readonly [MessageQueue, OffsetWrapper])[]
  readonly consumeTps: number
}

export interface ClientConnectionInfo {
  readonly clientId: string
  readonly clientAddr: string
  readonly language: string
  readonly version: number
}

export interface ConsumerConnection {
  readonly connectionSet: readonly ClientConnectionInfo[]
  readonly subscriptionTable: Readonly<Record<string, SubscriptionData>>
  readonly consumeType: ConsumeType
  readonly messageModel: MessageModel
  readonly consumeFromWhere: ConsumeFromWhere
}

export interface SubscriptionGroupTable {
  readonly subscriptionGroupTable: Readonly<Record<string, SubscriptionGroupConfig>>
  /** group → topic → bits. */
  readonly forbiddenTable: Readonly<Record<string, Readonly<Record<string, number>>>>
  readonly dataVersion: DataVersion
}
