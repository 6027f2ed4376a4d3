import {
  BENCHMARK_TOPIC,
  DEFAULT_TOPIC,
  HALF_TOPIC,
  OFFSET_MOVED_TOPIC,
  OP_HALF_TOPIC,
  PERM,
  SCHEDULE_TOPIC,
  SELF_TEST_TOPIC,
} from '@skylarkmq/remoting/protocol'
import type { BrokerConfig } from '../config.ts'
import { POP_LOG_TOPIC } from '../pop/pop-topic.ts'
import { TIMER_TOPIC } from '../timer/timer-request.ts'
import type { TopicConfigs } from './topic-configs.ts'

const READ_WRITE = PERM.READ | PERM.WRITE

/** The topics that exist from the start (RocketMQ 5.3 `TopicConfigManager#init`, `TimerMessageStore`). */
export function addSystemTopics(topics: TopicConfigs, config: BrokerConfig, brokerName: string, delayLevels: number): void {
  const cluster = config.brokerClusterName
  const inherit = (on: boolean) => (on ? READ_WRITE | PERM.INHERIT : PERM.INHERIT)
  topics.addSystem(SELF_TEST_TOPIC, 1)
  if (config.autoCreateTopicEnable) topics.addSystem(DEFAULT_TOPIC, config.defaultTopicQueueNums, READ_WRITE | PERM.INHERIT)
  topics.addSystem(BENCHMARK_TOPIC, 1024)
  topics.addSystem(cluster, 16, inherit(config.clusterTopicEnable))
  topics.addSystem(brokerName, 1, inherit(config.brokerTopicEnable))
  topics.addSystem(OFFSET_MOVED_TOPIC, 1)
  topics.addSystem(SCHEDULE_TOPIC, delayLevels)
  if (config.traceTopicEnable) topics.addSystem(config.msgTraceTopicName, 1)
  topics.addSystem(`${cluster}_REPLY_TOPIC`, 1)
  topics.addSystem(`rmq_sys_REVIVE_LOG_${cluster}`, 8)
  topics.addSystem(`rmq_sys_SYNC_BROKER_MEMBER_${brokerName}`, 1, PERM.INHERIT)
  topics.addSystem(HALF_TOPIC, 1)
  topics.addSystem(OP_HALF_TOPIC, 1)
  topics.addSystem(TIMER_TOPIC, 1)
  topics.addSystem(POP_LOG_TOPIC, 1)
}
