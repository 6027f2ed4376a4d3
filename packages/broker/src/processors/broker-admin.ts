import { decodeRecord, encodeJson, encodeKVTable } from '@skylarkmq/remoting/protocol'
import type { GetBrokerConfig, ResponseOf } from '@skylarkmq/remoting/protocol'
import type { Reply, RequestContext } from '@skylarkmq/remoting'
import { parsePropertiesFile } from '@skylarkmq/runtime'
import type { Clock } from '@skylarkmq/runtime'
import type { MessageStore } from '@skylarkmq/store'
import { SUCCESS, plain, refuse } from '../answers.ts'
import { BROKER_CONFIG } from '../config.ts'
import type { Settings } from '../config.ts'
import type { ScheduleService } from '../delay/schedule-service.ts'
import type { ConsumerOffsets } from '../offsets/consumer-offsets.ts'
import type { HeldPulls } from '../pull/held-pulls.ts'
import type { Throughput } from '../throughput.ts'
import type { TopicConfigs } from '../topics/topic-configs.ts'

export interface BrokerAdminDeps {
  readonly settings: Settings
  readonly store: MessageStore
  readonly topics: TopicConfigs
  readonly offsets: ConsumerOffsets
  readonly schedule: ScheduleService
  readonly heldPulls: HeldPulls
  readonly throughput: Throughput
  readonly clock: Clock
  readonly startedAt: number
}

export function getBrokerConfig({ settings, topics }: BrokerAdminDeps) {
  return (): Reply<ResponseOf<typeof GetBrokerConfig>> => ({
    code: 0,
    header: { version: encodeJson(topics.version).toString() },
    body: Buffer.from(BROKER_CONFIG.effectiveText(settings.current)),
  })
}

/** Changes settings that are looked at anew each time. All of them or, when one is wrong, none. */
export function updateBrokerConfig({ settings, topics }: BrokerAdminDeps) {
  return (_header: unknown, context: RequestContext): Reply<never> => {
    const entries = parsePropertiesFile(textOf(context.body))
    if (entries.size === 0) return refuse('INVALID_PARAMETER', 'the request body is empty; it must hold lines of the form key=value')
    const { config, problems, unknownKeys } = BROKER_CONFIG.parse(entries, { base: settings.current })
    const wrong = [...problems, ...unknownKeys][0]
    if (wrong !== undefined) return refuse('INVALID_PARAMETER', wrong.message)
    for (const name of entries.keys()) {
      const field = (BROKER_CONFIG.fields as Readonly<Record<string, { readonly fixed?: boolean }>>)[name]
      if (field?.fixed)
        return refuse(
          'NO_PERMISSION',
          `Can not update config in black list: ${plain(name)} takes effect at a start; change the file and restart`,
        )
    }
    const isOtherPermission = config.brokerPermission !== settings.current.brokerPermission
    settings.current = config
    if (isOtherPermission) topics.touch()
    return SUCCESS
  }
}

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString()

/** Names and forms of RocketMQ 5.3 `AdminBrokerProcessor#prepareRuntimeInfo`, as far as they have meaning here. */
export function getRuntimeInfo(deps: BrokerAdminDeps) {
  return (): Reply<never> => {
    const { store, clock, startedAt, throughput } = deps
    const table: Record<string, string> = {
      brokerActive: 'true',
      brokerVersion: '479',
      brokerVersionDesc: 'V5_3_3',
      bootTimestamp: String(startedAt),
      runtime: runtimeText(clock.now() - startedAt),
      commitLogMinOffset: String(store.minPhysicalOffset),
      commitLogMaxOffset: String(store.maxPhysicalOffset),
      dispatchBehindBytes: '0',
      remainHowManyDataToFlush: String(store.maxPhysicalOffset - store.flushedOffset),
      pullHeldRequests: String(deps.heldPulls.size),
      storeRefusal: store.refusal ?? '',
      startAcceptSendRequestTimeStamp: String(startedAt),
      putTps: throughput.text('puts'),
      getTransferredTps: throughput.text('gets'),
      getTotalTps: throughput.text('gets'),
      getFoundTps: throughput.text('gets'),
      pageCacheLockTimeMills: '0',
      earliestMessageTimeStamp: String(earliest(store)),
      sendThreadPoolQueueSize: '0',
      sendThreadPoolQueueHeadWaitTimeMills: '0',
      pullThreadPoolQueueHeadWaitTimeMills: '0',
      sendThreadPoolQueueCapacity: String(deps.settings.current.sendThreadPoolQueueCapacity),
      pullThreadPoolQueueSize: '0',
      pullThreadPoolQueueCapacity: String(deps.settings.current.pullThreadPoolQueueCapacity),
    }
    for (const { level, offset, maxOffset } of deps.schedule.progress()) table[`scheduleMessageOffset_${level}`] = `${offset},${maxOffset}`
    return { code: 0, body: encodeKVTable({ table }) }
  }
}

/** When the oldest message that is held was stored, or -1. */
function earliest(store: MessageStore): number {
  const record = store.readRecordAt(store.minPhysicalOffset)
  return (record === undefined ? undefined : decodeRecord(record, 0)?.storeTimestamp) ?? -1
}

function runtimeText(ms: number): string {
  const seconds = Math.floor(ms / 1000)
  const parts = [Math.floor(seconds / 86_400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, seconds % 60]
  return `[ ${parts[0]} days, ${parts[1]} hours, ${parts[2]} minutes, ${parts[3]} seconds ]`
}

export function getAllConsumerOffsets({ offsets, topics }: BrokerAdminDeps) {
  return (): Reply<never> => {
    const offsetTable = Object.fromEntries([...offsets.entries()].map(([key, queues]) => [key, Object.fromEntries(queues)]))
    return { code: 0, body: encodeJson({ dataVersion: topics.version, offsetTable }) }
  }
}

export function getAllDelayOffsets({ schedule, topics }: BrokerAdminDeps) {
  return (): Reply<never> => {
    const offsetTable = Object.fromEntries(schedule.progress().map(({ level, offset }) => [level, offset]))
    return { code: 0, body: encodeJson({ dataVersion: topics.version, offsetTable }) }
  }
}
