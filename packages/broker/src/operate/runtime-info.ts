import { decodeRecord, encodeKVTable } from '@skylarkmq/remoting/protocol'
import type { Reply } from '@skylarkmq/remoting'
import type { Clock, Disk } from '@skylarkmq/runtime'
import type { MessageStore } from '@skylarkmq/store'
import type { Settings } from '../config.ts'
import type { ScheduleService } from '../delay/schedule-service.ts'
import type { HeldPulls } from '../pull/held-pulls.ts'
import type { Throughput } from '../throughput.ts'
import type { TimerService } from '../timer/timer-service.ts'
import { TIMER_QUEUE, TIMER_TOPIC } from '../timer/timer-request.ts'
import type { Counters } from './counters.ts'

export interface RuntimeInfoDeps {
  readonly settings: Settings
  readonly store: MessageStore
  readonly disk: Disk
  readonly schedule: ScheduleService
  readonly heldPulls: HeldPulls
  readonly throughput: Throughput
  readonly counters: Counters
  readonly clock: Clock
  readonly startedAt: number
  readonly timers: TimerService
}

const GIBI = 1024 ** 3

/** GET_BROKER_RUNTIME_INFO. Names and forms of RocketMQ 5.3 `AdminBrokerProcessor#prepareRuntimeInfo`; tools parse them. */
export function getRuntimeInfo(deps: RuntimeInfoDeps) {
  return (): Reply<never> => ({ code: 0, body: encodeKVTable({ table: runtimeInfo(deps) }) })
}

export function runtimeInfo(deps: RuntimeInfoDeps): Record<string, string> {
  const { store, clock, startedAt } = deps
  const table: Record<string, string> = {
    brokerActive: 'true',
    brokerVersion: '479',
    brokerVersionDesc: 'V5_3_3',
    bootTimestamp: String(startedAt),
    runtime: runtimeText(clock.now() - startedAt),
    startAcceptSendRequestTimeStamp: String(startedAt),
    storeRefusal: store.refusal ?? '',
    pullHeldRequests: String(deps.heldPulls.size),
    ...logOf(store),
    ...diskOf(deps),
    ...trafficOf(deps),
    ...queuesOf(deps),
    ...timerOf(deps),
  }
  for (const { level, offset, maxOffset } of deps.schedule.progress()) table[`scheduleMessageOffset_${level}`] = `${offset},${maxOffset}`
  return table
}

function logOf(store: MessageStore): Record<string, string> {
  return {
    commitLogMinOffset: String(store.minPhysicalOffset),
    commitLogMaxOffset: String(store.maxPhysicalOffset),
    dispatchBehindBytes: '0',
    dispatchMaxBuffer: '0',
    pageCacheLockTimeMills: '0',
    remainHowManyDataToFlush: sizeText(store.maxPhysicalOffset - store.flushedOffset),
    remainTransientStoreBufferNumbs: '2147483647',
    earliestMessageTimeStamp: String(earliest(store)),
  }
}

/** The disk is asked anew each time: it fills by others' writes too. */
function diskOf({ disk, settings }: RuntimeInfoDeps): Record<string, string> {
  const { storePathRootDir, storePathCommitLog } = settings.current
  const path = storePathCommitLog || `${storePathRootDir}/commitlog`
  const { totalBytes, freeBytes } = disk.space(storePathRootDir)
  const ratio = totalBytes > 0 ? (1 - freeBytes / totalBytes).toFixed(2) : '0.00'
  return {
    commitLogDirCapacity: `Total : ${(totalBytes / GIBI).toFixed(1)} GiB, Free : ${(freeBytes / GIBI).toFixed(1)} GiB.`,
    commitLogDiskRatio: ratio,
    [`commitLogDiskRatio_${path}`]: ratio,
    consumeQueueDiskRatio: ratio,
  }
}

function trafficOf({ throughput, counters, store }: RuntimeInfoDeps): Record<string, string> {
  const { now, today, yesterday } = counters.totals()
  const bytes = store.maxPhysicalOffset - store.minPhysicalOffset
  const times = store.putTimes()
  return {
    putTps: throughput.text('puts'),
    getTransferredTps: throughput.text('gets'),
    getTotalTps: throughput.text('gets'),
    getFoundTps: throughput.text('gets'),
    getMissTps: '0.0 0.0 0.0',
    putMessageTimesTotal: String(now.puts),
    putMessageFailedTimes: String(times.failed),
    putMessageSizeTotal: String(bytes),
    putMessageAverageSize: now.puts === 0 ? '0.0' : (bytes / now.puts).toFixed(1),
    putMessageDistributeTime: TIME_CLASSES.map((name, i) => `${name}:${times.distribution[i] ?? 0} `).join(''),
    putMessageEntireTimeMax: times.maxMs.toFixed(0),
    getMessageEntireTimeMax: '0',
    putLatency99: times.p99Ms.toFixed(2),
    putLatency999: times.p999Ms.toFixed(2),
    msgPutTotalYesterdayMorning: String(yesterday.puts),
    msgPutTotalTodayMorning: String(today.puts),
    msgPutTotalTodayNow: String(now.puts),
    msgGetTotalYesterdayMorning: String(yesterday.gets),
    msgGetTotalTodayMorning: String(today.gets),
    msgGetTotalTodayNow: String(now.gets),
  }
}

/** One turn answers what it began: nothing waits in a queue of threads here, but tools print these lines. */
function queuesOf({ settings }: RuntimeInfoDeps): Record<string, string> {
  const { sendThreadPoolQueueCapacity, pullThreadPoolQueueCapacity, adminBrokerThreadPoolQueueCapacity } = settings.current
  const capacities = {
    send: sendThreadPoolQueueCapacity,
    pull: pullThreadPoolQueueCapacity,
    litePull: pullThreadPoolQueueCapacity,
    query: adminBrokerThreadPoolQueueCapacity,
    ack: pullThreadPoolQueueCapacity,
  }
  const table: Record<string, string> = {
    EndTransactionQueueSize: '0',
    EndTransactionThreadPoolQueueCapacity: String(settings.current.endTransactionPoolQueueCapacity),
  }
  for (const [name, capacity] of Object.entries(capacities)) {
    table[`${name}ThreadPoolQueueSize`] = '0'
    table[`${name}ThreadPoolQueueCapacity`] = String(capacity)
    table[`${name}ThreadPoolQueueHeadWaitTimeMills`] = '0'
  }
  return table
}

/** Messages with a time of their own: what is due and not delivered (seconds), not taken over, waits, and comes and goes. */
const timerOf = ({ timers, store, counters, throughput }: RuntimeInfoDeps): Record<string, string> => ({
  timerReadBehind: String(Math.floor(timers.behindMs / 1000)),
  timerOffsetBehind: String(Math.max(0, store.maxOffset(TIMER_TOPIC, TIMER_QUEUE) - timers.indexedTo)),
  timerCongestNum: String(timers.waiting),
  timerEnqueueTps: (counters.view('TOPIC_PUT_NUMS', TIMER_TOPIC)?.minute.tps ?? 0).toFixed(1),
  timerDequeueTps: throughput.text('timed').split(' ')[0] as string,
})

/** RocketMQ 5.3 `StoreStatsService`. */
const TIME_CLASSES =
  '[<=0ms] [0~10ms] [10~50ms] [50~100ms] [100~200ms] [200~500ms] [500ms~1s] [1~2s] [2~3s] [3~4s] [4~5s] [5~10s] [10s~]'.split(' ')

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

function sizeText(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`
  const units = ['KiB', 'MiB', 'GiB', 'TiB']
  const power = Math.min(units.length, Math.floor(Math.log2(bytes) / 10))
  return `${(bytes / 1024 ** power).toFixed(1)} ${units[power - 1]}`
}
