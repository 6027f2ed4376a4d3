import { defineConfig, setting } from '@skylarkmq/runtime'
import type { ConfigOf } from '@skylarkmq/runtime'

/** The NameServer's settings, under the names of Apache's `NamesrvConfig` and `NettyServerConfig`. */
export const NAMESRV_CONFIG = defineConfig(
  {
    listenPort: setting.whole({ default: 9876, max: 65535, fixed: true, meaning: 'Port for brokers and clients; 0 picks a free one.' }),
    bindAddress: setting.text({ default: '0.0.0.0', fixed: true, meaning: 'Address to listen on.' }),
    kvConfigPath: setting.path({ default: '~/namesrv/kvConfig.json', fixed: true, meaning: 'File that holds the KV settings.' }),
    configStorePath: setting.path({
      default: '~/namesrv/namesrv.properties',
      fixed: true,
      meaning: 'File that takes the changes of updateNamesrvConfig; read at start after the file of -c.',
    }),
    configBlackList: setting.text({
      default: '',
      fixed: true,
      meaning: 'Further keys, separated by semicolons, that updateNamesrvConfig may not change.',
    }),
    orderMessageEnable: setting.flag({
      default: false,
      meaning: 'Put the order settings of a topic (KV namespace ORDER_TOPIC_CONFIG) into its route.',
    }),
    returnOrderTopicConfigToBroker: setting.flag({ default: true, meaning: 'Answer a registering broker with all order settings.' }),
    scanNotActiveBrokerInterval: setting.whole({ default: 5000, min: 1, unit: 'ms', meaning: 'How often silent brokers are looked for.' }),
    supportActingMaster: setting.flag({ default: false, meaning: 'Show the lowest replica as master (read-only) while a master is away.' }),
    enableAllTopicList: setting.flag({ default: true, meaning: 'Answer the list of all topics.' }),
    enableTopicList: setting.flag({ default: true, meaning: 'Answer the topic lists by cluster, unit and system.' }),
    needWaitForService: setting.flag({
      default: false,
      meaning: 'Refuse route queries for a while after the start, until brokers have registered.',
    }),
    waitSecondsForService: setting.whole({ default: 45, unit: 's', meaning: 'How long needWaitForService refuses.' }),
    deleteTopicWithBrokerRegistration: setting.flag({
      default: false,
      meaning: 'Forget topics of a broker that its registration no longer lists.',
    }),
    createTopicOnRouteQuery: setting.flag({
      default: false,
      meaning: 'For development: a route query for a topic that is not there creates it on all brokers before it is answered.',
    }),
    metricsExporterType: setting.choice(['DISABLE', 'PROM'], {
      default: 'DISABLE',
      fixed: true,
      meaning: 'PROM opens an HTTP port for metrics, health and the admin API, once the server serves.',
    }),
    metricsPromExporterPort: setting.whole({ default: 5556, max: 65535, fixed: true, meaning: 'That port; 0 picks a free one.' }),
    metricsPromExporterHost: setting.text({
      default: '127.0.0.1',
      fixed: true,
      meaning: 'The local address of that port: whoever reaches it reads what is there.',
    }),
    adminApi: setting.choice(['OFF', 'READ', 'CHANGE'], {
      default: 'READ',
      fixed: true,
      meaning: 'What its admin API does: READ shows, CHANGE also creates and deletes topics and groups.',
    }),
    clientRequestThreadPoolQueueCapacity: setting.whole({
      default: 50_000,
      min: 1,
      fixed: true,
      meaning: 'Unanswered route queries before SYSTEM_BUSY.',
    }),
    defaultThreadPoolQueueCapacity: setting.whole({
      default: 10_000,
      min: 1,
      fixed: true,
      meaning: 'Unanswered other requests before SYSTEM_BUSY.',
    }),
    serverChannelMaxIdleTimeSeconds: setting.whole({
      default: 120,
      min: 1,
      unit: 's',
      fixed: true,
      meaning: 'A connection without traffic is closed after this time.',
    }),
  },
  {
    withoutEffect: [
      'rocketmqHome',
      'productEnvName',
      'clusterTest',
      'clientRequestThreadPoolNums',
      'defaultThreadPoolNums',
      'unRegisterBrokerQueueCapacity',
      'notifyMinBrokerIdChanged',
      'enableControllerInNamesrv',
      'namesrvAddr',
      'serverWorkerThreads',
      'serverCallbackExecutorThreads',
      'serverSelectorThreads',
      'serverOnewaySemaphoreValue',
      'serverAsyncSemaphoreValue',
      'serverSocketSndBufSize',
      'serverSocketRcvBufSize',
      'serverSocketBacklog',
      'serverPooledByteBufAllocatorEnable',
      'useEpollNativeSelector',
      'enableShutdownGracefully',
      'shutdownWaitTimeSeconds',
    ],
  },
)

export type NamesrvConfig = ConfigOf<typeof NAMESRV_CONFIG>
