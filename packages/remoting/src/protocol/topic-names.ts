/** Names with a meaning (RocketMQ 5.3 `TopicValidator`, `MixAll`) and the rules for names that people choose. */
export const RETRY_PREFIX = '%RETRY%'
export const DLQ_PREFIX = '%DLQ%'
/** Its settings are copied to topics that are created by the first send. */
export const DEFAULT_TOPIC = 'TBW102'
export const SCHEDULE_TOPIC = 'SCHEDULE_TOPIC_XXXX'
export const BENCHMARK_TOPIC = 'BenchmarkTest'
export const HALF_TOPIC = 'RMQ_SYS_TRANS_HALF_TOPIC'
export const OP_HALF_TOPIC = 'RMQ_SYS_TRANS_OP_HALF_TOPIC'
export const TRACE_TOPIC = 'RMQ_SYS_TRACE_TOPIC'
export const TRANS_CHECK_MAX_TIME_TOPIC = 'TRANS_CHECK_MAX_TIME_TOPIC'
export const SELF_TEST_TOPIC = 'SELF_TEST_TOPIC'
export const OFFSET_MOVED_TOPIC = 'OFFSET_MOVED_EVENT'
export const SYSTEM_TOPIC_PREFIX = 'rmq_sys_'
export const SYSTEM_GROUP_PREFIX = 'CID_RMQ_SYS_'

export const SYSTEM_TOPICS: ReadonlySet<string> = new Set([
  DEFAULT_TOPIC,
  SCHEDULE_TOPIC,
  BENCHMARK_TOPIC,
  HALF_TOPIC,
  TRACE_TOPIC,
  OP_HALF_TOPIC,
  TRANS_CHECK_MAX_TIME_TOPIC,
  SELF_TEST_TOPIC,
  OFFSET_MOVED_TOPIC,
])

/** Groups that exist from the start (`SubscriptionGroupManager#init`). */
export const SYSTEM_GROUPS: ReadonlySet<string> = new Set([
  'TOOLS_CONSUMER',
  'FILTERSRV_CONSUMER',
  'SELF_TEST_C_GROUP',
  'CID_ONS-HTTP-PROXY',
  'CID_ONSAPI_PULL',
  'CID_ONSAPI_PERMISSION',
  'CID_ONSAPI_OWNER',
  'CID_RMQ_SYS_TRANS',
])

const SEND_FORBIDDEN: ReadonlySet<string> = new Set([
  SCHEDULE_TOPIC,
  HALF_TOPIC,
  OP_HALF_TOPIC,
  TRANS_CHECK_MAX_TIME_TOPIC,
  SELF_TEST_TOPIC,
  OFFSET_MOVED_TOPIC,
])

export const isSystemTopic = (topic: string): boolean => SYSTEM_TOPICS.has(topic) || topic.startsWith(SYSTEM_TOPIC_PREFIX)
export const isSystemGroup = (group: string): boolean => SYSTEM_GROUPS.has(group) || group.startsWith(SYSTEM_GROUP_PREFIX)
/** Topics that only the broker itself writes. */
export const isSendForbidden = (topic: string): boolean => SEND_FORBIDDEN.has(topic)

export const retryTopic = (group: string): string => RETRY_PREFIX + group
export const dlqTopic = (group: string): string => DLQ_PREFIX + group
export const isRetryTopic = (topic: string): boolean => topic.startsWith(RETRY_PREFIX)
export const isDlqTopic = (topic: string): boolean => topic.startsWith(DLQ_PREFIX)
/** The group whose retry topic this is; undefined for any other topic. */
export const groupOfRetryTopic = (topic: string): string | undefined => (isRetryTopic(topic) ? topic.slice(RETRY_PREFIX.length) : undefined)

const NAME = /^[%|a-zA-Z0-9_-]+$/
export const TOPIC_MAX_LENGTH = 127
export const RETRY_TOPIC_MAX_LENGTH = 255
export const GROUP_MAX_LENGTH = 120
const RESERVED_GROUPS: ReadonlySet<string> = new Set(['DEFAULT_PRODUCER', 'DEFAULT_CONSUMER'])

const shown = (name: string): string => JSON.stringify(name.length > 64 ? `${name.slice(0, 64)}…` : name)
const cut = (name: string): string => shown(name).slice(1, -1)

/** Begins as RocketMQ's own sentences do (`TopicValidator`): scripts match on them. */
function checkName(kind: string, name: string, maxLength: number): string | undefined {
  if (name.trim() === '') return `The specified ${kind} is blank. Give it a name of at least one character`
  if (name.length > maxLength)
    return `The specified ${kind} is longer than ${kind} max length ${maxLength}: ${shown(name)} has ${name.length} characters`
  if (!NAME.test(name))
    return `The specified ${kind}: ${cut(name)}, contains illegal characters, allowing only ${NAME.source}; use letters, digits, %, |, _ and -`
  return undefined
}

/** What is wrong with a topic name, as a sentence; undefined when it is fine. */
export const checkTopicName = (name: string): string | undefined =>
  checkName('topic', name, isRetryTopic(name) || isDlqTopic(name) ? RETRY_TOPIC_MAX_LENGTH : TOPIC_MAX_LENGTH)

/** What is wrong with a group name, as a sentence. The names of Apache's defaults are refused, as its clients do. */
export const checkGroupName = (name: string): string | undefined =>
  RESERVED_GROUPS.has(name)
    ? `the group name ${shown(name)} is RocketMQ's placeholder; choose a name of your own`
    : checkName('group', name, GROUP_MAX_LENGTH)
