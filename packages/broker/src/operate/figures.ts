import { isDlqTopic, isRetryTopic, isSystemGroup, isSystemTopic } from '@skylarkmq/remoting/protocol'
import type { Figure } from '@skylarkmq/runtime'
import type { ConsumerGroups } from '../groups/consumer-groups.ts'
import type { GroupConfigs } from '../groups/group-configs.ts'
import type { ProducerGroups } from '../groups/producer-groups.ts'
import { statsOfGroup } from '../processors/stats-admin.ts'
import type { LagDeps } from './lag-of-all.ts'
import type { MatchingLag } from './matching-lag.ts'
import type { RuntimeInfoDeps } from './runtime-info.ts'

export interface FigureDeps extends LagDeps, RuntimeInfoDeps {
  readonly groupConfigs: GroupConfigs
  readonly consumers: ConsumerGroups
  readonly producers: ProducerGroups
  readonly matchingLag: MatchingLag
}

/** Rows of one kind in one answer, at most: a broker with a hundred thousand queues must not stop for its monitor. */
const MOST_ROWS = 10_000

/**
 * What a monitor reads: the names are those of RocketMQ 5 (`BrokerMetricsConstant`, `DefaultStoreMetricsConstant`) where it has one.
 * All is computed when it is asked for; a send or a pull pays nothing. `matchingLag` is refreshed by whoever asks.
 */
export function* brokerFigures(deps: FigureDeps): Generator<Figure> {
  const { store, clock, settings, heldPulls } = deps
  const common = { cluster: settings.current.brokerClusterName, node_type: 'broker', node_id: deps.brokerName }
  const gauge = (name: string, help: string, value: number, labels = {}): Figure => ({
    name,
    help,
    value,
    kind: 'gauge',
    labels: { ...common, ...labels },
  })
  const { totalBytes, freeBytes } = deps.disk.space(settings.current.storePathRootDir)
  yield gauge('rocketmq_broker_permission', '4 may be read, 2 may be written', settings.current.brokerPermission)
  yield gauge('rocketmq_topic_number', 'topics', deps.topics.size)
  yield gauge('rocketmq_consumer_group_number', 'consumer groups', [...deps.groupConfigs.all()].length)
  yield gauge('rocketmq_storage_size', 'bytes of the commit log', store.maxPhysicalOffset - store.minPhysicalOffset)
  yield gauge('rocketmq_storage_flush_behind_bytes', 'bytes that are not on disk yet', store.maxPhysicalOffset - store.flushedOffset)
  yield gauge('rocketmq_storage_dispatch_behind_bytes', 'bytes that no queue shows yet', 0)
  yield gauge('skylark_storage_refuses', '1: no message is taken; the health page says why', store.refusal === undefined ? 0 : 1)
  yield gauge('skylark_disk_free_bytes', 'room on the disk of the store', freeBytes)
  yield gauge('skylark_disk_bytes', 'size of the disk of the store', totalBytes)
  yield gauge('skylark_held_pulls', 'pulls that wait for messages', heldPulls.size)
  yield gauge('skylark_uptime_seconds', 'since the start', Math.round((clock.now() - deps.startedAt) / 1000))
  yield* putTimes(deps, gauge)
  yield* connections(deps, gauge)
  yield* messagesIn(deps, common)
  yield* lags(deps, common)
}

function* putTimes({ store, timers }: FigureDeps, gauge: Gauge): Generator<Figure> {
  const { p50Ms, p99Ms, p999Ms } = store.putTimes()
  for (const [quantile, ms] of [
    ['0.5', p50Ms],
    ['0.99', p99Ms],
    ['0.999', p999Ms],
  ] as const)
    yield gauge('skylark_put_seconds', 'from taking a message to having stored it, of the last two minutes', ms / 1000, { quantile })
  yield gauge('skylark_timer_waiting_messages', 'messages that wait for a time of their own', timers.waiting)
  yield gauge('skylark_timer_behind_seconds', 'for how long the first of them is due', timers.behindMs / 1000)
}

type Gauge = (name: string, help: string, value: number, labels?: Record<string, string>) => Figure

function* connections({ consumers, producers }: FigureDeps, gauge: Gauge): Generator<Figure> {
  let count = 0
  for (const [group, members] of producers.entries()) {
    if (++count > MOST_ROWS) return
    yield gauge('rocketmq_producer_connections', 'connections of a producer group', members.size, { producer_group: group })
  }
  for (const group of consumers.all()) {
    if (++count > MOST_ROWS) return
    const labels = { consumer_group: group.name, consume_mode: group.consumeType, is_system: String(isSystemGroup(group.name)) }
    yield gauge('rocketmq_consumer_connections', 'connections of a consumer group', group.members.size, labels)
  }
}

function* messagesIn({ store }: FigureDeps, common: Readonly<Record<string, string>>): Generator<Figure> {
  let count = 0
  for (const [topic, queueIds] of store.queues()) {
    if (++count > MOST_ROWS) return
    const value = queueIds.reduce((sum, queueId) => sum + store.maxOffset(topic, queueId), 0)
    const labels = { ...common, topic, is_system: String(isSystemTopic(topic)) }
    yield { name: 'rocketmq_messages_in_total', kind: 'counter', help: 'messages that a topic has ever got', value, labels }
  }
}

/** True lag: what is in the queues behind the committed offsets, whether the group's filter wants it or not. */
function* lags(deps: FigureDeps, common: Readonly<Record<string, string>>): Generator<Figure> {
  let count = 0
  for (const { groupName } of deps.groupConfigs.all()) {
    const sums = new Map<string, { lag: number; inflight: number; oldestMs: number; consumed: number }>()
    for (const [{ topic, queueId }, stats] of statsOfGroup(deps, groupName, deps.offsets.topicsOf(groupName))) {
      const sum = sums.get(topic) ?? { lag: 0, inflight: 0, oldestMs: Number.POSITIVE_INFINITY, consumed: 0 }
      sum.lag += stats.brokerOffset - stats.consumerOffset
      sum.inflight += stats.pullOffset - stats.consumerOffset
      sum.consumed += stats.consumerOffset
      if (stats.brokerOffset > stats.consumerOffset) {
        const storedAt = deps.store.storeTimestamp(topic, queueId, Math.max(stats.consumerOffset, deps.store.minOffset(topic, queueId)))
        if (storedAt > 0) sum.oldestMs = Math.min(sum.oldestMs, storedAt)
      }
      sums.set(topic, sum)
    }
    for (const [topic, { lag, inflight, oldestMs, consumed }] of sums) {
      if (++count > MOST_ROWS) return
      const isRetry = String(isRetryTopic(topic) || isDlqTopic(topic))
      const labels = { ...common, topic, consumer_group: groupName, is_retry: isRetry }
      const latency = Number.isFinite(oldestMs) ? Math.max(0, deps.clock.now() - oldestMs) : 0
      yield { name: 'rocketmq_messages_out_total', kind: 'counter', help: 'messages that a group has committed', value: consumed, labels }
      yield { name: 'rocketmq_consumer_lag_messages', kind: 'gauge', help: 'messages that a group has not committed', value: lag, labels }
      const matching = deps.matchingLag.of(groupName, topic, lag)
      yield {
        name: 'skylark_consumer_matching_lag_messages',
        kind: 'gauge',
        help: "of these, what the group's filter wants",
        value: matching,
        labels,
      }
      yield { name: 'rocketmq_consumer_ready_messages', kind: 'gauge', help: 'not pulled yet', value: lag - inflight, labels }
      yield { name: 'rocketmq_consumer_inflight_messages', kind: 'gauge', help: 'pulled and not committed', value: inflight, labels }
      yield { name: 'rocketmq_consumer_lag_latency', kind: 'gauge', help: 'age of the oldest waiting message, ms', value: latency, labels }
    }
  }
}
