import type { TopicConfig } from '@skylarkmq/remoting/protocol'
import type { StoreOptions } from '@skylarkmq/store'
import type { Settings } from './config.ts'
import type { ExpiryHurry } from './operate/maintenance.ts'

/** What one read of a socket brings at most, 16 buffers of answers, 8 of long ones, and a batch that came in several reads. */
const ROOM = { receiveBytes: 512 * 1024, outBytes: 1024 * 1024, largeOutBytes: 4 * 1024 * 1024, batchBytes: 1024 * 1024 }
const SLOTS_MAX = 65_536

const HOURS = Array.from({ length: 24 }, (_, hour) => hour)

/** How long messages are kept is looked up each time: updateBrokerConfig changes it. */
export function storeOptions(settings: Settings, delayLevelsMs: readonly number[], expiryHurry: ExpiryHurry): StoreOptions {
  const config = settings.current
  return {
    rootDirectory: config.storePathRootDir,
    ...(config.storePathCommitLog === '' ? {} : { commitLogDirectory: config.storePathCommitLog }),
    segmentBytes: config.mappedFileSizeCommitLog,
    flush: config.flushDiskType === 'SYNC_FLUSH' ? 'sync' : 'async',
    maxMessageBytes: config.maxMessageSize,
    room: { ...ROOM, slots: Math.min(config.sendThreadPoolQueueCapacity, SLOTS_MAX) },
    delayLevelsMs,
    compaction: {
      intervalMs: config.compactionScheduleInternal,
      tombstoneRetentionMs: config.compactionTombstoneRetention,
      mapBytes: config.maxOffsetMapSize,
    },
    get retentionBytes() {
      return settings.current.retentionBytes
    },
    disk: {
      get warnAboveUsedPercent() {
        return settings.current.diskMaxUsedSpaceRatio
      },
      get reserveBytes() {
        return settings.current.diskReserveBytes
      },
    },
    get fileReservedHours() {
      return settings.current.fileReservedTime
    },
    get deleteWhenHours() {
      return expiryHurry.isOn ? HOURS : hoursOf(settings.current.deleteWhen)
    },
  }
}

const hoursOf = (text: string): number[] =>
  text
    .split(/[;,\s]+/)
    .filter((hour) => hour !== '')
    .map(Number)

/** RocketMQ 5.5 `TopicAttributes`; in hours, as fileReservedTime. -1, or more than the log's hours: as long as the log. */
const RESERVE_TIME = 'reserve.time'

/** How long the messages of a topic are kept when it says so itself. */
export function retentionHours(topic: TopicConfig | undefined): number | undefined {
  const text = topic?.attributes[RESERVE_TIME]
  const hours = Number(text ?? Number.NaN)
  return hours > 0 ? hours : undefined
}
