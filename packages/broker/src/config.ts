import { defineConfig, setting } from '@skylarkmq/runtime'
import type { ConfigOf } from '@skylarkmq/runtime'

const { text, path, whole, flag, choice } = setting

export const DEFAULT_DELAY_LEVELS = '1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h'

/** Every option of the broker. Names and defaults are Apache RocketMQ's (5.3 `BrokerConfig`, `MessageStoreConfig`). */
export const BROKER_CONFIG = defineConfig(
  {
    brokerClusterName: text({ default: 'DefaultCluster', fixed: true, meaning: 'The cluster that the broker belongs to.' }),
    brokerName: text({ default: '', fixed: true, meaning: 'The name of the broker; empty means the host name.' }),
    brokerId: whole({ default: 0, max: 0, fixed: true, meaning: '0: this broker is the master. Replicas come later.' }),
    brokerIP1: text({
      default: '',
      fixed: true,
      meaning: 'The address that clients are told; empty means the first address of this host.',
    }),
    listenPort: whole({ default: 10911, max: 65535, fixed: true, meaning: 'The port that clients connect to; 0 picks a free one.' }),
    bindAddress: text({ default: '0.0.0.0', fixed: true, meaning: 'The local address that the port is opened on.' }),
    namesrvAddr: text({
      default: '',
      form: { pattern: /^(?:[^\s;]+:\d{1,5}(?:;|$))*$/, allowed: '`host:port`, several separated by `;`' },
      fixed: true,
      meaning: 'The NameServers. Empty: none is told.',
    }),
    storePathRootDir: path({ default: '~/store', fixed: true, meaning: 'Where messages and metadata are kept.' }),
    storePathCommitLog: path({ default: '', fixed: true, meaning: 'Where the commit log is kept; empty means `commitlog` in the root.' }),
    mappedFileSizeCommitLog: whole({
      default: 1024 * 1024 * 1024,
      min: 64 * 1024,
      unit: 'bytes',
      fixed: true,
      meaning: 'The size of one file of the commit log, for a new folder: one that has files keeps their size.',
    }),
    flushDiskType: choice(['ASYNC_FLUSH', 'SYNC_FLUSH'], {
      default: 'ASYNC_FLUSH',
      fixed: true,
      meaning: 'SYNC_FLUSH acknowledges a message after it has been flushed to the disk.',
    }),
    fileReservedTime: whole({ default: 72, min: 1, unit: 'hours', meaning: 'How long messages are kept.' }),
    retentionBytes: whole({
      default: 0,
      min: 0,
      unit: 'bytes',
      meaning: 'Above so many bytes of commit log the oldest files are deleted, whatever their age; 0: only age counts.',
    }),
    diskMaxUsedSpaceRatio: whole({
      default: 75,
      min: 10,
      max: 95,
      unit: 'percent',
      meaning: 'Above so much used disk a warning is logged, and expired files are deleted at once.',
    }),
    diskReserveBytes: whole({
      default: 256 * 1024 * 1024,
      min: 0,
      unit: 'bytes',
      meaning: 'Writes are refused while less than this (or than a twentieth of a small disk) is free.',
    }),
    deleteWhen: text({
      default: '04',
      form: { pattern: /^(?:[01]?\d|2[0-3])(?:;(?:[01]?\d|2[0-3]))*;?$/, allowed: 'hours from 0 to 23, separated by `;`' },
      meaning: 'The hours of the day at which expired files are deleted.',
    }),
    maxMessageSize: whole({ default: 4 * 1024 * 1024, min: 1, unit: 'bytes', fixed: true, meaning: 'The largest body of a message.' }),
    messageDelayLevel: text({
      default: DEFAULT_DELAY_LEVELS,
      fixed: true,
      meaning: 'The delays of level 1, 2, …: numbers with s, m, h or d.',
    }),
    compactionScheduleInternal: whole({
      default: 900_000,
      min: 100,
      unit: 'ms',
      fixed: true,
      meaning: 'How often topics with cleanup.policy=COMPACTION are compacted.',
    }),
    compactionTombstoneRetention: whole({
      default: 86_400_000,
      unit: 'ms',
      fixed: true,
      meaning: 'How long the deletion of a key stays visible in a compacted topic: consumers that are slower may miss it.',
    }),
    maxOffsetMapSize: whole({
      default: 100 * 1024 * 1024,
      min: 16 * 1024,
      unit: 'bytes',
      fixed: true,
      meaning: 'Memory for the keys while files of a compacted topic are merged; with more keys the files are looked at several times.',
    }),
    enableMixedMessageType: flag({ default: false, meaning: 'Topics may have message.type=MIXED.' }),
    brokerPermission: whole({ default: 6, min: 0, max: 7, meaning: '4 may be read from, 2 may be written to; the sum of both is usual.' }),
    autoCreateTopicEnable: flag({ default: true, meaning: 'A send to a topic that is not there creates it.' }),
    defaultTopicQueueNums: whole({
      default: 8,
      min: 1,
      max: 1024,
      fixed: true,
      meaning: 'The queues of a topic that is created by a send, at most.',
    }),
    clusterTopicEnable: flag({
      default: true,
      fixed: true,
      meaning: 'The topic named after the cluster may be copied from and written to.',
    }),
    brokerTopicEnable: flag({ default: true, fixed: true, meaning: 'The topic named after the broker may be copied from and written to.' }),
    traceTopicEnable: flag({ default: false, fixed: true, meaning: 'Creates the topic for message traces.' }),
    msgTraceTopicName: text({ default: 'RMQ_SYS_TRACE_TOPIC', fixed: true, meaning: 'The name of the topic for message traces.' }),
    autoCreateSubscriptionGroup: flag({ default: true, meaning: 'A consumer of a group that is not there creates it.' }),
    notifyConsumerIdsChangedEnable: flag({ default: true, meaning: 'Members of a group are told when others come and go.' }),
    startOffsetOfNewGroup: choice(['apache', 'asked'], {
      default: 'apache',
      meaning:
        'Where a new group begins: asked is where its first heartbeat says; apache is the same, but a queue whose first message is still there is read from it.',
    }),
    subscriptionConflict: choice(['warn', 'reject', 'ignore'], {
      default: 'warn',
      meaning: 'Members of one group that subscribe differently: warn logs and reports it, reject refuses the heartbeat of the later one.',
    }),
    queueStalledSeconds: whole({
      default: 60,
      unit: 's',
      meaning: 'A queue with messages that a member owns and has not pulled for so long is reported; 0: none is.',
    }),
    clientNeverConnectedSeconds: whole({
      default: 60,
      unit: 's',
      meaning: 'A client that was told this address for so long and never connected is reported; 0: none is.',
    }),
    advertisedAddresses: text({
      default: '',
      fixed: true,
      meaning:
        'Other addresses for some clients, by their network, the first that fits: `172.17.0.0/16=172.17.0.2;127.0.0.0/8=127.0.0.1:10911`. SkylarkMQ NameServers only.',
    }),
    selfDialEnable: flag({
      default: true,
      fixed: true,
      meaning: 'At its start the broker connects to the addresses that clients are told, and reports those where it is not found.',
    }),
    enablePropertyFilter: flag({ default: false, meaning: 'Consumers may filter by properties (SQL92).' }),
    longPollingEnable: flag({ default: true, meaning: 'A pull that finds nothing waits for as long as the client asked.' }),
    shortPollingTimeMills: whole({ default: 1000, unit: 'ms', meaning: 'How long it waits when longPollingEnable is false.' }),
    litePullMessageEnable: flag({ default: true, meaning: 'Lite pull consumers are served.' }),
    useServerSideResetOffset: flag({
      default: true,
      meaning: 'A reset offset is kept here and told with the next pull; else pushed to clients.',
    }),
    rejectTransactionMessage: flag({ default: false, meaning: 'Transactional messages are refused.' }),
    transactionTimeOut: whole({
      default: 6000,
      min: 0,
      unit: 'ms',
      meaning: 'A transaction that has not ended after this time is asked about.',
    }),
    transactionCheckMax: whole({
      default: 15,
      min: 1,
      meaning: 'How often a producer is asked about a transaction before its message is put aside in TRANS_CHECK_MAX_TIME_TOPIC.',
    }),
    transactionCheckInterval: whole({
      default: 30_000,
      min: 100,
      unit: 'ms',
      meaning: 'How often transactions that have not ended are looked for.',
    }),
    timerWheelEnable: flag({
      default: true,
      meaning: 'Messages may ask for a delivery time of their own; those that wait are delivered in any case.',
    }),
    timerMaxDelaySec: whole({
      default: 400 * 86_400,
      min: 1,
      unit: 's',
      meaning: 'How far ahead that time may be. (Apache RocketMQ: 3 days.)',
    }),
    recallMessageEnable: flag({ default: true, meaning: 'Producers may take scheduled messages back before their time.' }),
    storeReplyMessageEnable: flag({ default: true, meaning: 'Replies to request messages are kept in the reply topic too.' }),
    regionId: text({ default: 'DefaultRegion', fixed: true, meaning: 'The region that messages and answers carry.' }),
    traceOn: flag({ default: true, fixed: true, meaning: 'Clients are told that they may trace messages.' }),
    registerNameServerPeriod: whole({
      default: 30_000,
      min: 1000,
      max: 60_000,
      unit: 'ms',
      fixed: true,
      meaning: 'How often the broker registers.',
    }),
    registerBrokerTimeoutMills: whole({
      default: 24_000,
      min: 1,
      unit: 'ms',
      fixed: true,
      meaning: 'How long an answer to it is waited for.',
    }),
    channelExpiredTimeout: whole({
      default: 120_000,
      min: 1000,
      unit: 'ms',
      meaning: 'A client without a heartbeat for so long is dropped.',
    }),
    subscriptionExpiredTimeout: whole({
      default: 600_000,
      min: 1000,
      unit: 'ms',
      meaning: 'How long a subscription told by a pull is remembered.',
    }),
    flushConsumerOffsetInterval: whole({
      default: 5000,
      min: 100,
      unit: 'ms',
      fixed: true,
      meaning: 'How often committed offsets are saved.',
    }),
    maxTransferBytesOnMessageInMemory: whole({ default: 262_144, min: 1, unit: 'bytes', meaning: 'The most that one pull brings.' }),
    maxTransferCountOnMessageInMemory: whole({ default: 32, min: 1, max: 4096, meaning: 'The most messages that one pull brings.' }),
    defaultQueryMaxNum: whole({ default: 32, min: 1, max: 4096, meaning: 'The most messages that a query by unique key brings.' }),
    maxMsgsNumBatch: whole({ default: 64, min: 1, max: 4096, meaning: 'The most messages that any query by key or tag brings.' }),
    sendThreadPoolQueueCapacity: whole({
      default: 10_000,
      min: 1,
      fixed: true,
      meaning: 'Sends that may be under way; the next is told SYSTEM_BUSY.',
    }),
    pullThreadPoolQueueCapacity: whole({
      default: 100_000,
      min: 1,
      fixed: true,
      meaning: 'Pulls that may be under way (held ones not counted).',
    }),
    clientManagerThreadPoolQueueCapacity: whole({ default: 100_000, min: 1, fixed: true, meaning: 'Heartbeats that may be under way.' }),
    endTransactionPoolQueueCapacity: whole({
      default: 100_000,
      min: 1,
      fixed: true,
      meaning: 'Ends of transactions that may be under way.',
    }),
    replyThreadPoolQueueCapacity: whole({
      default: 10_000,
      min: 1,
      fixed: true,
      meaning: 'Replies to request messages that may be under way.',
    }),
    enableRetryTopicV2: flag({
      default: false,
      meaning: 'Popped messages that nobody acknowledged go to `%RETRY%group+topic` instead of `%RETRY%group_topic`.',
    }),
    retrieveMessageFromPopRetryTopicV1: flag({
      default: true,
      meaning: 'With enableRetryTopicV2 pops look into `%RETRY%group_topic`, too.',
    }),
    popFromRetryProbability: whole({
      default: 20,
      max: 100,
      unit: '%',
      meaning: 'Of so many pops the messages for another attempt come first; of the others last.',
    }),
    popFromRetryProbabilityForPriority: whole({
      default: 0,
      max: 100,
      unit: '%',
      meaning: 'As popFromRetryProbability, for topics with message.type=PRIORITY.',
    }),
    priorityOrderAsc: flag({
      default: true,
      meaning: 'Of a topic with message.type=PRIORITY the highest queue is popped first; else queue 0.',
    }),
    useSeparateRetryQueue: flag({
      default: false,
      meaning: 'The retry topics of popped messages have as many queues as the topic, and a message stays in its own; else one.',
    }),
    popResponseReturnActualRetryTopic: flag({
      default: false,
      meaning: 'A message that is popped for another attempt names its retry topic instead of the topic that it was sent to.',
    }),
    popPollingSize: whole({ default: 1024, min: 1, meaning: 'Pops of one group and queue that wait for messages.' }),
    maxPopPollingSize: whole({ default: 100_000, min: 1, meaning: 'Pops that wait for messages, of all groups.' }),
    enablePopMessageThreshold: flag({ default: false, meaning: 'popInflightMessageThreshold counts.' }),
    popInflightMessageThreshold: whole({
      default: 10_000,
      min: 1,
      unit: 'messages',
      meaning: 'With more in flight of one group and queue nothing else of the queue is popped.',
    }),
    defaultMessageRequestMode: choice(['PULL', 'POP'], {
      default: 'PULL',
      meaning: 'How consumers that ask the broker for their queues get messages, unless setConsumeMode said it for their group and topic.',
    }),
    defaultPopShareQueueNum: whole({
      default: -1,
      min: -1,
      meaning: 'With defaultMessageRequestMode=POP: how many further consumers share the queues of one; 0 or less: all share all.',
    }),
    serverLoadBalancerEnable: flag({
      default: true,
      meaning: 'Consumers that ask the broker for their queues get their share; else all queues.',
    }),
    metricsExporterType: choice(['DISABLE', 'PROM'], {
      default: 'DISABLE',
      fixed: true,
      meaning: 'PROM opens an HTTP port for metrics, health and the admin API, once the server serves.',
    }),
    metricsPromExporterPort: whole({ default: 5557, max: 65535, fixed: true, meaning: 'That port; 0 picks a free one.' }),
    metricsPromExporterHost: text({
      default: '127.0.0.1',
      fixed: true,
      meaning: 'The local address of that port: whoever reaches it reads what is there.',
    }),
    adminApi: choice(['OFF', 'READ', 'CHANGE'], {
      default: 'READ',
      fixed: true,
      meaning: 'What its admin API does: READ shows, CHANGE also creates and deletes topics and groups.',
    }),
    adminBrokerThreadPoolQueueCapacity: whole({
      default: 10_000,
      min: 1,
      fixed: true,
      meaning: 'Requests of tools that may be under way.',
    }),
  },
  {
    withoutEffect: [
      'enableCompaction',
      'compactionThreadNum',
      'compactionMappedFileSize',
      'compactionCqMappedFileSize',
      'brokerRole',
      'brokerIP2',
      'haListenPort',
      'sendMessageThreadPoolNums',
      'pullMessageThreadPoolNums',
      'waitTimeMillsInSendQueue',
      'brokerFastFailureEnable',
      'transferMsgByHeap',
      'transientStorePoolEnable',
      'transientStorePoolSize',
      'warmMapedFileEnable',
      'useReentrantLockWhenPutMessage',
      'mappedFileSizeConsumeQueue',
      'flushIntervalCommitLog',
      'rocketmqHome',
      'compressedRegister',
      'forceRegister',
      'slaveReadEnable',
      'messageIndexEnable',
      'maxHashSlotNum',
      'maxIndexNum',
      'aclEnable',
      'timerPrecisionMs',
      'timerRollWindowSlot',
    ],
  },
)

export type BrokerConfig = ConfigOf<typeof BROKER_CONFIG>

/** The configuration in force: UPDATE_BROKER_CONFIG replaces it. Whoever reads a key that is not `fixed` asks `current` each time. */
export interface Settings {
  current: BrokerConfig
}
