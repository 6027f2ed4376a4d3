/** Requests of Apache's tools that this version does not answer, and what they belong to: whoever asks is told so, not "unknown". */
interface Part {
  readonly what: string
  readonly codes: Readonly<Record<number, string>>
}

const PARTS: readonly Part[] = [
  {
    what: 'what RocketMQ 5 has given up',
    codes: {
      13: 'QUERY_BROKER_OFFSET',
      22: 'GET_TOPIC_CONFIG_LIST',
      23: 'GET_TOPIC_NAME_LIST',
      27: 'TRIGGER_DELETE_FILES',
      47: 'GET_CLIENT_CONFIG',
      209: 'SUSPEND_CONSUMER',
      210: 'RESUME_CONSUMER',
      211: 'RESET_CONSUMER_OFFSET_IN_CONSUMER',
      212: 'RESET_CONSUMER_OFFSET_IN_BROKER',
      213: 'ADJUST_CONSUMER_THREAD_POOL',
      214: 'WHO_CONSUME_THE_MESSAGE',
      301: 'REGISTER_FILTER_SERVER',
      302: 'REGISTER_MESSAGE_FILTER_CLASS',
    },
  },
  {
    what: 'high availability',
    codes: {
      905: 'NOTIFY_MIN_BROKER_ID_CHANGE',
      906: 'EXCHANGE_BROKER_HA_INFO',
      907: 'GET_BROKER_HA_STATUS',
      908: 'RESET_MASTER_FLUSH_OFFSET',
      1007: 'GET_BROKER_EPOCH_CACHE',
      1008: 'NOTIFY_BROKER_ROLE_CHANGED',
    },
  },
  {
    what: 'the controller',
    codes: {
      1001: 'CONTROLLER_ALTER_SYNC_STATE_SET',
      1002: 'CONTROLLER_ELECT_MASTER',
      1003: 'CONTROLLER_REGISTER_BROKER',
      1004: 'CONTROLLER_GET_REPLICA_INFO',
      1005: 'CONTROLLER_GET_METADATA_INFO',
      1006: 'CONTROLLER_GET_SYNC_STATE_DATA',
      1009: 'UPDATE_CONTROLLER_CONFIG',
      1010: 'GET_CONTROLLER_CONFIG',
      1011: 'CLEAN_BROKER_DATA',
      1012: 'CONTROLLER_GET_NEXT_BROKER_ID',
      1013: 'CONTROLLER_APPLY_BROKER_ID',
    },
  },
  { what: 'the broker container', codes: { 902: 'ADD_BROKER', 903: 'REMOVE_BROKER' } },
  {
    what: 'access control',
    codes: {
      3001: 'AUTH_CREATE_USER',
      3002: 'AUTH_UPDATE_USER',
      3003: 'AUTH_DELETE_USER',
      3004: 'AUTH_GET_USER',
      3005: 'AUTH_LIST_USER',
      3006: 'AUTH_CREATE_ACL',
      3007: 'AUTH_UPDATE_ACL',
      3008: 'AUTH_DELETE_ACL',
      3009: 'AUTH_GET_ACL',
      3010: 'AUTH_LIST_ACL',
    },
  },
  {
    what: 'the control of cold data',
    codes: {
      2001: 'UPDATE_COLD_DATA_FLOW_CTR_CONFIG',
      2002: 'REMOVE_COLD_DATA_FLOW_CTR_CONFIG',
      2003: 'GET_COLD_DATA_FLOW_CTR_INFO',
      2004: 'SET_COMMITLOG_READ_MODE',
    },
  },
  { what: 'static topics', codes: { 513: 'UPDATE_AND_CREATE_STATIC_TOPIC' } },
  {
    what: 'RocksDB stores, which there are none of here',
    codes: {
      354: 'CHECK_ROCKSDB_CQ_WRITE_PROGRESS',
      355: 'EXPORT_ROCKSDB_CONFIG_TO_JSON',
      5001: 'SWITCH_TIMER_ENGINE',
      200056: 'POP_ROLLBACK',
    },
  },
  {
    what: 'lite topics',
    codes: {
      200074: 'GET_BROKER_LITE_INFO',
      200075: 'GET_PARENT_TOPIC_INFO',
      200076: 'GET_LITE_TOPIC_INFO',
      200077: 'GET_LITE_CLIENT_INFO',
      200078: 'GET_LITE_GROUP_INFO',
      200079: 'TRIGGER_LITE_DISPATCH',
    },
  },
]

const SENTENCES = new Map(
  PARTS.flatMap(({ what, codes }) => Object.entries(codes).map(([code, name]) => [Number(code), `${name} belongs to ${what}`] as const)),
)

/** "GET_BROKER_HA_STATUS belongs to high availability", or undefined for a code that nobody knows. */
export const laterRequest = (code: number): string | undefined => SENTENCES.get(code)
