import { defineCommand } from '../command.ts'
import { boolean, int, long, optional, string } from '../schema.ts'

const brokerIdentity = { clusterName: string(), brokerName: string(), brokerAddr: string(), brokerId: long() }

export const PutKvConfig = defineCommand({
  code: 100,
  name: 'PUT_KV_CONFIG',
  server: 'namesrv',
  summary: 'Set a value in a namespace.',
  request: { namespace: string(), key: string(), value: string() },
})

export const GetKvConfig = defineCommand({
  code: 101,
  name: 'GET_KV_CONFIG',
  server: 'namesrv',
  summary: 'Read a value of a namespace.',
  request: { namespace: string(), key: string() },
  response: { value: optional(string()) },
})

export const DeleteKvConfig = defineCommand({
  code: 102,
  name: 'DELETE_KV_CONFIG',
  server: 'namesrv',
  summary: 'Delete a value of a namespace.',
  request: { namespace: string(), key: string() },
})

export const GetKvlistByNamespace = defineCommand({
  code: 219,
  name: 'GET_KVLIST_BY_NAMESPACE',
  server: 'namesrv',
  summary: 'All values of a namespace.',
  request: { namespace: string() },
  responseBody: 'KVTable',
})

export const RegisterBroker = defineCommand({
  code: 103,
  name: 'REGISTER_BROKER',
  server: 'namesrv',
  summary: 'A broker announces its address and topics.',
  request: {
    ...brokerIdentity,
    haServerAddr: optional(string()),
    heartbeatTimeoutMillis: optional(long()),
    enableActingMaster: optional(boolean()),
    compressed: optional(boolean()),
    bodyCrc32: optional(int()),
    /** SkylarkMQ only: other addresses for clients of some networks. */
    skylarkAdvertised: optional(string()),
  },
  response: { haServerAddr: optional(string()), masterAddr: optional(string()) },
  requestBody: 'RegisterBrokerBody',
  responseBody: 'KVTable',
})

export const UnregisterBroker = defineCommand({
  code: 104,
  name: 'UNREGISTER_BROKER',
  server: 'namesrv',
  summary: 'A broker leaves.',
  request: brokerIdentity,
})

export const GetRouteinfoByTopic = defineCommand({
  code: 105,
  name: 'GET_ROUTEINFO_BY_TOPIC',
  server: 'namesrv',
  summary: 'Which brokers hold which queues of a topic.',
  request: { topic: string(), acceptStandardJsonOnly: optional(boolean()) },
  responseBody: 'TopicRouteData',
  resource: { topic: 'topic' },
})

export const GetBrokerClusterInfo = defineCommand({
  code: 106,
  name: 'GET_BROKER_CLUSTER_INFO',
  server: 'namesrv',
  summary: 'All clusters, brokers and addresses.',
  responseBody: 'ClusterInfo',
})

export const WipeWritePermOfBroker = defineCommand({
  code: 205,
  name: 'WIPE_WRITE_PERM_OF_BROKER',
  server: 'namesrv',
  summary: 'Take the write permission from every topic of a broker, until it registers a change.',
  request: { brokerName: string() },
  response: { wipeTopicCount: int() },
})

export const AddWritePermOfBroker = defineCommand({
  code: 327,
  name: 'ADD_WRITE_PERM_OF_BROKER',
  server: 'namesrv',
  summary: 'Give read and write permission to every topic of a broker, until it registers a change.',
  request: { brokerName: string() },
  response: { addTopicCount: int() },
})

export const GetAllTopicListFromNameserver = defineCommand({
  code: 206,
  name: 'GET_ALL_TOPIC_LIST_FROM_NAMESERVER',
  server: 'namesrv',
  summary: 'The names of all topics.',
  responseBody: 'TopicList',
})

export const DeleteTopicInNamesrv = defineCommand({
  code: 216,
  name: 'DELETE_TOPIC_IN_NAMESRV',
  server: 'namesrv',
  summary: 'Forget a topic, of one cluster or of all.',
  request: { topic: string(), clusterName: optional(string()) },
})

export const RegisterTopicInNamesrv = defineCommand({
  code: 217,
  name: 'REGISTER_TOPIC_IN_NAMESRV',
  server: 'namesrv',
  summary: 'Add a topic to known brokers (older clients use this code for KV look-ups by value).',
  request: { topic: optional(string()) },
  requestBody: 'TopicRouteData',
})

export const GetTopicsByCluster = defineCommand({
  code: 224,
  name: 'GET_TOPICS_BY_CLUSTER',
  server: 'namesrv',
  summary: 'The topics of one cluster.',
  request: { cluster: string() },
  responseBody: 'TopicList',
})

export const GetSystemTopicListFromNs = defineCommand({
  code: 304,
  name: 'GET_SYSTEM_TOPIC_LIST_FROM_NS',
  server: 'namesrv',
  summary: 'Cluster and broker names (they are topics too), and one broker address.',
  responseBody: 'TopicList',
})

export const GetUnitTopicList = defineCommand({
  code: 311,
  name: 'GET_UNIT_TOPIC_LIST',
  server: 'namesrv',
  summary: 'Topics with the unit flag.',
  responseBody: 'TopicList',
})

export const GetHasUnitSubTopicList = defineCommand({
  code: 312,
  name: 'GET_HAS_UNIT_SUB_TOPIC_LIST',
  server: 'namesrv',
  summary: 'Topics with the unit subscription flag.',
  responseBody: 'TopicList',
})

export const GetHasUnitSubUnunitTopicList = defineCommand({
  code: 313,
  name: 'GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST',
  server: 'namesrv',
  summary: 'Topics with the unit subscription flag and without the unit flag.',
  responseBody: 'TopicList',
})

export const UpdateNamesrvConfig = defineCommand({
  code: 318,
  name: 'UPDATE_NAMESRV_CONFIG',
  server: 'namesrv',
  summary: 'Change settings of a NameServer.',
  requestBody: 'properties',
})

export const GetNamesrvConfig = defineCommand({
  code: 319,
  name: 'GET_NAMESRV_CONFIG',
  server: 'namesrv',
  summary: 'The settings of a NameServer.',
  responseBody: 'properties',
})

export const QueryDataVersion = defineCommand({
  code: 322,
  name: 'QUERY_DATA_VERSION',
  server: 'namesrv',
  summary: 'Does the NameServer hold this version of a broker’s topics?',
  request: brokerIdentity,
  response: { changed: boolean() },
  requestBody: 'DataVersion',
  responseBody: 'DataVersion',
})

export const GetBrokerMemberGroup = defineCommand({
  code: 901,
  name: 'GET_BROKER_MEMBER_GROUP',
  server: 'namesrv',
  summary: 'The addresses of one broker name.',
  request: { clusterName: string(), brokerName: string() },
  responseBody: 'BrokerMemberGroup',
})

export const BrokerHeartbeat = defineCommand({
  code: 904,
  name: 'BROKER_HEARTBEAT',
  server: 'namesrv',
  summary: 'A broker is alive.',
  request: {
    clusterName: string(),
    brokerAddr: string(),
    brokerName: string(),
    brokerId: optional(long()),
    epoch: optional(int()),
    maxOffset: optional(long()),
    confirmOffset: optional(long()),
    heartbeatTimeoutMills: optional(long()),
    electionPriority: optional(int()),
  },
})
